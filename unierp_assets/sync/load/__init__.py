"""What is written: the appliers, one module for each kind of record or document that needs more than the ordinary
way."""
