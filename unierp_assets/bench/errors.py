"""What can go wrong with a measurement."""


class BenchError(Exception):
    """A measurement that would not mean anything: one side did not do its work. The message says which and why."""
