"""The per-user cache of things that are costly to get: programs, virtual environments, initialised databases.

What belongs here: where the cache is, that an entry appears whole or not at all, and that two runs at the same time do
not disturb each other. What does not: what the entries are.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from unierp_assets.lab.processes import stop, using
from unierp_assets.lab.progress import Reporter, SilentReporter

APPLICATION = "unierp-assets"


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/unierp-assets``, or ``~/.cache/unierp-assets``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / APPLICATION


@contextmanager
def locked(path: Path, progress: Reporter | None = None) -> Iterator[None]:
    """Hold the lock file: others, in this process or another, wait. The system frees it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with (progress or SilentReporter()).step(f"Waiting for another run to be done with {path.name}"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remove(folder: Path) -> None:
    """Remove a folder and what is in it; a missing one is no error."""
    if folder.exists():
        shutil.rmtree(folder)


class Cache:
    """A folder of finished entries. The name of an entry says everything its content depends on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str, build: Callable[[Path], None], progress: Reporter | None = None) -> Path:
        """The entry's folder; made by ``build(empty_folder)`` where it is not there yet.

        An entry is built aside and renamed once it is whole. What a killed run left behind, running programs
        included, is removed first.
        """
        entry = self.folder / name
        if entry.is_dir():
            return entry
        with locked(self.folder / "locks" / name, progress):
            if entry.is_dir():
                return entry
            partial = self.folder / f"{name}.partial"
            # Killing a run does not end the programs it was waiting for, and they would go on writing here.
            stop(using(partial))
            remove(partial)
            partial.mkdir(parents=True)
            build(partial)
            partial.rename(entry)
        return entry

    def drop(self, name: str) -> None:
        """Forget an entry that turned out to be unusable."""
        with locked(self.folder / "locks" / name):
            remove(self.folder / name)
