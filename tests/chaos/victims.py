"""Runs :mod:`victim`, a sync in a process of its own, and tells what became of it."""

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

import victim
from world import World

from unierp_assets.bench.ours import environment
from unierp_assets.bench.stand import Place

PATIENCE = 180

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["great_expectations", "unierp_assets.sync.pipeline", "unierp_assets.wiring"])


class Victim:
    """A running sync of a world, which kills itself at the n-th event of a point, if one is chosen.

    ``events`` are the lines it wrote, ``seconds`` what it took from its beginning, ``error`` what it complained of."""

    def __init__(self, world: World, point: str | None = None, nth: int = 1) -> None:
        self.events: list[str] = []
        self.seconds = 0.0
        self.error = ""
        self._home = tempfile.TemporaryDirectory()
        self._errors = Path(self._home.name) / "errors"
        place = Place(
            odoo_url=world.odoo.url,
            odoo_db=world.odoo.db,
            login=world.odoo.login,
            password=world.odoo.password,
            warehouse_url=world.postgres.url(world.warehouse_name),
            storefront_url=world.postgres.url(world.shop_name),
        )
        reader, writer = _FORKS.Pipe(duplex=False)
        settings = environment(place, Path(self._home.name))
        self._process = _FORKS.Process(
            target=victim.suffer, args=(settings, writer, str(self._errors), point, nth), daemon=True
        )
        self._process.start()
        writer.close()
        self._lines = os.fdopen(os.dup(reader.fileno()), encoding="utf-8")
        reader.close()
        self._begun = self._lines.readline().strip() == victim.BEGUN
        self._since = time.perf_counter()
        # Read as they come: who writes to a full pipe waits.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        self.events.extend(line.rstrip("\n") for line in self._lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._reader.join()
        self._lines.close()
        self._home.cleanup()

    def wait(self) -> None:
        """Waits for its end."""
        self._process.join(PATIENCE)
        assert self._process.exitcode is not None, "the victim goes on for ever"
        self.seconds = time.perf_counter() - self._since
        self._reader.join()
        self.error = self._errors.read_text() if self._errors.exists() else ""

    def kill_after(self, seconds: float) -> None:
        """Kills it that long after its beginning, unless it has ended by then."""
        self._process.join(max(0, self._since + seconds - time.perf_counter()))
        self._process.kill()
        self.wait()

    @property
    def was_killed(self) -> bool:
        return self._process.exitcode == -signal.SIGKILL
