"""What comes in: rows of the shop and records of UniERP, read, staged, and looked at for news and deletions."""
