"""What would be written: the three-way comparison, the plan made of it, and the conflicts a person decides."""
