"""Settings of the property tests: no deadlines, because a busy machine is not a fault of the code, and as many examples
as leave the unit tests quick enough to be run all the time."""

from hypothesis import settings

settings.register_profile("unierp", deadline=None, max_examples=50)
settings.load_profile("unierp")
