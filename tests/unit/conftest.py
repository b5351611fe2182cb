"""Settings of the property tests: no deadlines, because a busy machine is not a fault of the code."""

from hypothesis import settings

settings.register_profile("unierp", deadline=None)
settings.load_profile("unierp")
