"""The lab of one project folder: PostgreSQL, Odoo and Redis, brought up, looked at, taken down.

What belongs here: the order of things and what is remembered. What does not: how a server is run
(``postgres``, ``odoo``, ``redis``) and which addresses a command uses (``services``).
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from unierp_assets.lab import odoo, postgres
from unierp_assets.lab.cache import Cache, default_cache, locked, remove
from unierp_assets.lab.odoo import VERSIONS, OdooInstance, OdooServer, OdooVersion, Program
from unierp_assets.lab.postgres import Cluster, PostgresServer
from unierp_assets.lab.processes import HOST, free_port
from unierp_assets.lab.progress import Reporter, SilentReporter
from unierp_assets.lab.redis import RedisInstance
from unierp_assets.lab.state import LabState, load_state, save_state

DEFAULT_VERSION: OdooVersion = "19"
DAGSTER = "dagster"


def odoo_database(version: OdooVersion) -> str:
    """The name of the database of the lab's Odoo."""
    return f"odoo_{version}"


def warehouse_database(version: OdooVersion | None) -> str:
    """The name of the lab's warehouse. Each version has its own: a warehouse remembers one database of UniERP."""
    return "warehouse" if version in (None, DEFAULT_VERSION) else f"warehouse_{version}"


def storefront_database(version: OdooVersion | None) -> str:
    """The name of the lab's shop. Each version has its own, for UniERP writes stock and progress back to it."""
    return "shop" if version in (None, DEFAULT_VERSION) else f"shop_{version}"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One row of ``unierp lab status``. ``address`` holds no password."""

    service: str
    running: bool
    address: str
    databases: tuple[str, ...]
    pid: int | None
    log: str


class Lab:
    """Real services for one project folder.

    Args:
        home: The project's ignored folder (the setting ``UNIERP_HOME``); the lab keeps to ``home/lab``.
        cache: Where downloads and initialised databases are kept for all projects of this user.
    """

    def __init__(self, home: Path, cache: Path | None = None) -> None:
        self.folder = home.expanduser().resolve() / "lab"
        self.cache = Cache(cache or default_cache())
        # Beside the folder, which reset removes.
        self._lock = self.folder.parent / "lab.lock"
        self._state_file = self.folder / "state.json"
        self._cluster = Cluster(self.folder / "postgres")
        self._redis = RedisInstance(self.folder / "redis")

    def state(self) -> LabState:
        """What is remembered of the servers; they may have died since."""
        return load_state(self._state_file)

    def up(
        self,
        odoo: OdooVersion | None = None,
        progress: Reporter | None = None,
    ) -> LabState:
        """Make sure that PostgreSQL, its databases and one version of Odoo run; the other version is left as it is.

        What runs and answers is not touched, what died is started again, and whatever an interrupted run left
        half-done is done anew.

        Args:
            odoo: The version of Odoo; the one last asked for unless told, 19 in a new lab.
            progress: Is told of every long step.

        Raises:
            LabError: A service cannot be prepared or started; says what to do.
        """
        progress = progress or SilentReporter()
        with self._changing(progress) as state:
            version = odoo or state.current or DEFAULT_VERSION
            server = self._start_postgres(version, state, progress)
            self._start_odoo(version, state, server, progress)
            state.current = version
            return state

    def up_postgres(self, progress: Reporter | None = None) -> LabState:
        """Make sure that PostgreSQL and its databases run, for use with an Odoo that is not the lab's."""
        progress = progress or SilentReporter()
        with self._changing(progress) as state:
            self._start_postgres(None, state, progress)
            return state

    def up_redis(self, progress: Reporter | None = None) -> LabState:
        """Make sure that Redis runs, which only the executor for several machines needs."""
        progress = progress or SilentReporter()
        with self._changing(progress) as state:
            if state.redis is None or not state.redis.accepts():
                with progress.step("Starting Redis") as detail:
                    state.redis = self._redis.start(state.redis)
                    detail(f"port {state.redis.port}")
            return state

    def down(self, progress: Reporter | None = None) -> list[str]:
        """Stop the servers that :meth:`up` started, and nothing else. The names of those that ran."""
        progress = progress or SilentReporter()
        if not self.folder.exists():
            return []
        with self._changing(progress) as state:
            return self._stop_all(state, progress)

    def reset(self, progress: Reporter | None = None) -> None:
        """Stop everything and remove the lab's data. The cache stays, so that a new lab is up within seconds."""
        progress = progress or SilentReporter()
        if not self.folder.exists():
            return
        with locked(self._lock, progress):
            # The state is not needed for it, so that a damaged one can be got rid of.
            self._stop_all(LabState(), progress)
            with progress.step("Removing the lab's data"):
                remove(self.folder)

    def passwords(self) -> dict[str, str]:
        """The password of each service, by its name in :meth:`status`."""
        state = self.state()
        known = {"PostgreSQL": state.postgres.password} if state.postgres else {}
        known |= {"Redis": state.redis.password} if state.redis else {}
        return known | {f"Odoo {version}": server.password for version, server in state.odoo.items()}

    def status(self) -> list[ServiceStatus]:
        """The lab's services, each with whether it runs and answers."""
        state = self.state()
        rows = []
        if state.postgres:
            process = state.postgres.process
            up = self._cluster.is_running()
            rows.append(
                ServiceStatus(
                    "PostgreSQL",
                    up,
                    f"{HOST}:{state.postgres.port}",
                    tuple(postgres.list_databases(state.postgres)) if up else (),
                    process.pid if up and process else None,
                    str(self._cluster.log),
                )
            )
        for version, server in state.odoo.items():
            process = server.process
            up = process is not None and process.is_alive() and odoo.answers(server.url)
            rows.append(
                ServiceStatus(
                    f"Odoo {version}",
                    up,
                    server.url,
                    (server.database,),
                    process.pid if up and process else None,
                    str(self._odoo(version).log),
                )
            )
        if state.redis:
            up = self._redis.is_alive() and state.redis.accepts()
            pid = state.redis.process.pid if up and state.redis.process else None
            rows.append(ServiceStatus("Redis", up, f"{HOST}:{state.redis.port}", (), pid, str(self._redis.log)))
        return rows

    # -- steps -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _changing(self, progress: Reporter) -> Iterator[LabState]:
        """The state, for this run alone; written back also when a step fails, for what was started is started."""
        with locked(self._lock, progress):
            state = self.state()
            try:
                yield state
            finally:
                save_state(self._state_file, state)

    def _start_postgres(self, version: OdooVersion | None, state: LabState, progress: Reporter) -> PostgresServer:
        if state.postgres is None:
            # Remembered before it is used: a run that is killed right after must not lock itself out.
            state.postgres = PostgresServer(free_port(), postgres.new_password())
            save_state(self._state_file, state)
        if self._cluster.is_running():
            state.postgres = self._cluster.start(state.postgres)
        else:
            with progress.step("Starting PostgreSQL") as detail:
                state.postgres = self._cluster.start(state.postgres)
                detail(f"port {state.postgres.port}")
        save_state(self._state_file, state)
        for name in (warehouse_database(version), storefront_database(version), DAGSTER):
            postgres.ensure_database(state.postgres, name)
        return state.postgres

    def _start_odoo(
        self, version: OdooVersion, state: LabState, server: PostgresServer, progress: Reporter
    ) -> OdooServer:
        instance = self._odoo(version)
        known = state.odoo.get(version)
        database = odoo_database(version)
        program: list[Program] = []

        def prepared() -> Program:
            if not program:
                program.append(odoo.prepare_program(version, self.cache, progress))
            return program[0]

        password = known.password if known else secrets.token_urlsafe(12)
        if not postgres.database_exists(server, database):
            instance.stop()
            template = odoo.prepare_template(prepared(), self.cache, progress)
            with progress.step(f"Creating the Odoo {version} database"):
                instance.create_database(server, template, database, password)
            known = None
        elif known is None:
            # The state was lost between creating the database and starting the server.
            instance.set_password(server, database, password)
        if known and instance.is_serving(known, server):
            return known
        with progress.step(f"Starting Odoo {version}") as detail:
            state.odoo[version] = instance.start(prepared, server, database, password, known)
            detail(state.odoo[version].url)
        save_state(self._state_file, state)
        return state.odoo[version]

    def _stop_all(self, state: LabState, progress: Reporter) -> list[str]:
        stopped = []
        for version in VERSIONS:
            instance, server = self._odoo(version), state.odoo.get(version)
            if instance.is_alive():
                with progress.step(f"Stopping Odoo {version}"):
                    instance.stop()
                stopped.append(f"Odoo {version}")
            if server:
                state.odoo[version] = replace(server, process=None)
        if self._redis.is_alive():
            with progress.step("Stopping Redis"):
                self._redis.stop()
            stopped.append("Redis")
        if state.redis:
            state.redis = replace(state.redis, process=None)
        if self._cluster.is_running():
            with progress.step("Stopping PostgreSQL"):
                self._cluster.stop()
            stopped.append("PostgreSQL")
        if state.postgres:
            state.postgres = replace(state.postgres, process=None)
        return stopped

    def _odoo(self, version: OdooVersion) -> OdooInstance:
        return OdooInstance(self.folder / f"odoo-{version}", version)
