"""Runs :mod:`victim`, a sync in a process of its own, and tells what became of it."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import victim
from world import World

from unierp_assets.bench.ours import environment
from unierp_assets.bench.stand import Place

PATIENCE = 180


class Victim:
    """A running sync of a world. ``events`` are the lines it wrote, ``seconds`` what it took from its beginning."""

    def __init__(self, world: World, *arguments: str) -> None:
        self.events: list[str] = []
        self.seconds = 0.0
        self.error = ""
        self._home = tempfile.TemporaryDirectory()
        place = Place(
            odoo_url=world.odoo.url,
            odoo_db=world.odoo.db,
            login=world.odoo.login,
            password=world.odoo.password,
            warehouse_url=world.postgres.url(world.warehouse_name),
            storefront_url=world.postgres.url(world.shop_name),
        )
        package = Path(victim.__file__).parents[2]
        self._process = subprocess.Popen(
            [sys.executable, victim.__file__, *arguments],
            env=environment(place, Path(self._home.name)) | {"PYTHONPATH": str(package)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._begun = self._process.stdout.readline().strip() == victim.BEGUN
        self._since = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._home.cleanup()

    def wait(self) -> None:
        """Waits for its end."""
        written, self.error = self._process.communicate(timeout=PATIENCE)
        self.seconds = time.perf_counter() - self._since
        self.events = written.splitlines()

    def kill_after(self, seconds: float) -> None:
        """Kills it that long after its beginning, unless it has ended by then."""
        try:
            self._process.wait(max(0, self._since + seconds - time.perf_counter()))
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.wait()

    @property
    def was_killed(self) -> bool:
        return self._process.returncode == -9
