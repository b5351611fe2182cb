"""What is remembered: bindings and what is pending, the ledger, users, and how cursors are set back."""
