"""What can go wrong with a measurement."""


class BenchError(Exception):
    """A measurement that would mean nothing, because one side did not do its work, or that cannot be written down. The
    message says which and why."""
