"""Where the bench runs: a PostgreSQL and an Odoo of its own, and fresh databases on them.

What belongs here: getting clean databases quickly and leaving nothing behind. What does not: what is measured.
The lab of the project is not touched, so that nobody's data is in the way of a measurement or changed by one.
"""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from unierp_assets.lab import postgres
from unierp_assets.lab.cache import Cache
from unierp_assets.lab.odoo import LOGIN, OdooInstance, OdooVersion, Program, prepare_program, prepare_template
from unierp_assets.lab.postgres import Cluster, PostgresServer
from unierp_assets.lab.progress import Reporter

_PRISTINE = "bench_template"


@dataclass(frozen=True, slots=True)
class Place:
    """Databases of one measurement: an Odoo, a shop and a warehouse."""

    odoo_url: str
    odoo_db: str
    login: str
    password: str
    warehouse_url: str
    storefront_url: str


class Stand:
    """A running PostgreSQL and Odoo with two workers, set up as the lab sets them up; made by :func:`open_stand`."""

    def __init__(self, folder: Path, version: OdooVersion, server: PostgresServer, instance: OdooInstance) -> None:
        self.folder = folder
        self.version = version
        self._server = server
        self._instance = instance
        self._password = secrets.token_urlsafe(12)
        self._url = ""
        self._program: Program | None = None
        self._places = count(1)

    def start(self, cache: Cache, progress: Reporter) -> None:
        """Bring up Odoo on a pristine database, from which :meth:`place` copies."""
        program = self._program = prepare_program(self.version, cache, progress)
        template = prepare_template(program, cache, progress)
        with progress.step(f"Starting Odoo {self.version} for the bench"):
            self._instance.create_database(self._server, template, _PRISTINE, self._password)
            # The server shows the pages of a copy: nobody may be connected to what is copied.
            self._instance.clone_database(self._server, _PRISTINE, "bench", self._password)
            self._url = self._instance.start(lambda: program, self._server, "bench", self._password).url

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Fresh databases: an Odoo as after installation, an empty shop and an empty warehouse; dropped afterwards.

        No name comes twice: the server's processes remember things of a database by its name.
        """
        number = next(self._places)
        odoo, shop, warehouse = (f"bench_{number}_{name}" for name in ("odoo", "shop", "warehouse"))
        self._instance.clone_database(self._server, _PRISTINE, odoo, self._password)
        try:
            yield Place(
                odoo_url=self._url,
                odoo_db=odoo,
                login=LOGIN,
                password=self._password,
                warehouse_url=postgres.ensure_database(self._server, warehouse),
                storefront_url=postgres.ensure_database(self._server, shop),
            )
        finally:
            for database in (odoo, shop, warehouse):
                postgres.drop_database(self._server, database)

    def shell(self, place: Place, script: Path, log: Path) -> "subprocess.Popen[bytes]":
        """Odoo's own shell on the place's database, running the script; what it prints goes to the log."""
        assert self._program is not None, "the stand was not started"
        command = self._program.command("shell", "-c", self._instance.conf, "-d", place.odoo_db, "--no-http")
        with script.open("rb") as stdin, log.open("wb") as output:
            return subprocess.Popen(
                [str(part) for part in (*command, "--log-level", "error")],
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._program.environment(),
            )


@contextmanager
def open_stand(folder: Path, version: OdooVersion, cache: Cache, progress: Reporter) -> Iterator[Stand]:
    """The bench's servers, running; stopped and removed afterwards. What a killed bench left behind goes first.

    Raises :class:`~unierp_assets.lab.errors.LabError` where they cannot be got or started.
    """
    cluster, instance = Cluster(folder / "postgres"), OdooInstance(folder / "odoo", version)

    def clear() -> None:
        instance.stop()
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)

    clear()
    try:
        with progress.step("Starting PostgreSQL for the bench"):
            server = cluster.start()
        stand = Stand(folder, version, server, instance)
        stand.start(cache, progress)
        yield stand
    finally:
        clear()
