"""How a command of seconds or minutes has its memory tidied."""

import atexit
import gc
from typing import Final

_USUAL: Final = gc.get_threshold()


def collect_rarely() -> None:
    """Lets Python look for garbage in circles once in 100,000 new objects instead of once in 700, and not at the end.

    Next to nothing of ours is in circles, and looking takes a tenth of a second of each start and end, and more of a
    large load. For a process of its own, not for one that others share.
    """
    gc.set_threshold(100_000, 20, 20)
    atexit.register(gc.freeze)


def collect_as_usual() -> None:
    """Takes :func:`collect_rarely` back: for a process that turns out to last."""
    gc.set_threshold(*_USUAL)
    atexit.unregister(gc.freeze)
