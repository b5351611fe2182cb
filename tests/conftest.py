"""What every test may ask for: a PostgreSQL server, an empty database, a real Odoo.

What belongs here: starting and stopping real services, once per test session and only when a test asks. What does
not: the data of a test. Unit tests ask for none of it.
"""

import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import get_ready
import psutil
import pytest
from world import Loaded, World, load_world

from unierp_assets.lab import postgres as lab_postgres
from unierp_assets.lab.odoo import (
    LOGIN,
    VERSIONS,
    OdooInstance,
    OdooServer,
    OdooVersion,
    Program,
    Template,
)
from unierp_assets.lab.postgres import Cluster, PostgresServer
from unierp_assets.lab.processes import ProcessRef
from unierp_assets.lab.redis import RedisInstance, RedisServer

TEMPLATE = "template"
PREPARED = pytest.StashKey[dict[OdooVersion, "subprocess.Popen[bytes]"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--odoo",
        action="append",
        choices=list(VERSIONS),
        help="run the tests that need Odoo with this version only (may be given more than once)",
    )
    parser.addoption("--undo-orders", type=int, default=5, metavar="N", help="orders of the load that is undone")
    chaos = parser.getgroup("chaos", "disturbances (tests/chaos)")
    chaos.addoption("--chaos-seed", type=int, help="repeat the chances of a run; each run prints its seed")
    chaos.addoption("--chaos-kills", type=int, default=0, metavar="N", help="kill a sync at so many moments more")
    chaos.addoption("--chaos-calls", type=int, default=150, metavar="N", help="calls to Odoo over a faulty network")
    chaos.addoption("--chaos-sequences", type=int, default=3, metavar="N", help="sequences of changes to a catalogue")
    itself = parser.getgroup("by itself", "sensors and outages (tests/e2e/test_by_itself.py)")
    itself.addoption("--changes", type=int, default=4, metavar="N", help="changes whose way to the other side is timed")
    itself.addoption("--outage", type=float, default=15, metavar="SECONDS", help="how long a system is down")
    itself.addoption("--idle", type=float, default=45, metavar="SECONDS", help="how long there is nothing to do")


def pytest_configure(config: pytest.Config) -> None:
    # Set as if it had been given, so that parallel processes of one run share it.
    if config.option.chaos_seed is None:
        config.option.chaos_seed = random.randrange(1_000_000)


def pytest_report_header(config: pytest.Config) -> str:
    return f"chaos: --chaos-seed {config.option.chaos_seed}"


def _versions(config: pytest.Config) -> list[OdooVersion]:
    chosen = config.getoption("--odoo")
    return [version for version in VERSIONS if not chosen or version in chosen]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``odoo_server`` runs on every version, unless it names its versions itself."""
    if "odoo_server" not in metafunc.fixturenames:
        return
    marks = metafunc.definition.iter_markers("parametrize")
    if not any("odoo_server" in str(mark.args[0]).replace(" ", "").split(",") for mark in marks):
        versions = _versions(metafunc.config)
        metafunc.parametrize(
            "odoo_server", versions, indirect=True, scope="session", ids=[f"odoo{v}" for v in versions]
        )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs Odoo, so that ``-m "not odoo"`` leaves it out; leave out the versions not chosen, and, unless any
    were, the older ones where what is tested does not depend on the version."""
    left_out: list[pytest.Item] = []
    for item in items:
        if "odoo_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.odoo)
            version = item.callspec.params["odoo_server"]  # type: ignore[attr-defined]
            if version != VERSIONS[0]:
                # What runs is told by the newest version: to follow every line costs a third of the processor time.
                item.add_marker(pytest.mark.no_cover)
            if version not in _versions(config):
                item.add_marker(pytest.mark.skip(reason=f"--odoo leaves out {version}"))
            elif not config.getoption("--odoo") and version != VERSIONS[0] and item.get_closest_marker("newest"):
                left_out.append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    # First what runs while Odoo is got ready, then the longest: where the files are shared among processes, the others
    # fill the gaps.
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("odoo"):
        return 1
    return 0 if "unit" in item.path.parts else 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Parallel processes share the work by file; the disturbances stay together, because what they copy takes long to
    make."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/chaos" if nodeid.startswith("tests/chaos/") else super()._split_scope(nodeid)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to get the programs and initialised databases ready that the tests will ask for, side by side, while those
    that need no Odoo run. The lines that tell how far it is are seen all the same."""
    calls = [getattr(item, "callspec", None) for item in session.items]
    asked = {call.params.get("odoo_server") for call in calls if call is not None}
    wanted = [version for version in _versions(session.config) if version in asked]
    if not wanted or session.config.option.collectonly:
        return
    with session.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        session.config.stash[PREPARED] = {
            version: subprocess.Popen([sys.executable, get_ready.__file__, version]) for version in wanted
        }


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Wait for what a test will ask for: the first time on a machine it takes minutes, which count against no test's
    time limit. What failed is tried again by the test, which tells why it fails."""
    call = getattr(item, "callspec", None)
    preparing = item.config.stash.get(PREPARED, {}).get(call.params.get("odoo_server")) if call else None
    if preparing:
        preparing.wait()
    return (yield)


@pytest.fixture(scope="session")
def services_folder(pytestconfig: pytest.Config) -> Iterator[Path]:
    """The folder of this session's services. What a killed session left behind is stopped and removed first."""
    parent = pytestconfig.rootpath / ".unierp" / "test"
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.iterdir():
        owner = (old / "owner").read_text().split() if (old / "owner").exists() else []
        if len(owner) == 2 and ProcessRef(int(owner[0]), owner[1]).is_alive():
            continue
        for version in VERSIONS:
            OdooInstance(old / f"odoo-{version}", version).stop()
        RedisInstance(old / "redis").stop()
        Cluster(old / "postgres").stop()
        # A process that starts at the same time clears away the same.
        shutil.rmtree(old, ignore_errors=True)
    myself = ProcessRef.of(os.getpid())
    assert myself is not None
    # Named only when its owner stands in it: a process that starts at the same time would take it for left behind.
    making = Path(tempfile.mkdtemp(dir=pytestconfig.rootpath / ".unierp"))
    (making / "owner").write_text(f"{myself.pid} {myself.started}")
    folder = making.rename(parent / str(os.getpid()))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(services_folder: Path) -> Iterator[PostgresServer]:
    """A throw-away PostgreSQL server, which forgets everything if the machine dies."""
    cluster = Cluster(services_folder / "postgres", durable=False)
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def redis(services_folder: Path) -> Iterator[RedisServer]:
    """A throw-away Redis server."""
    instance = RedisInstance(services_folder / "redis")
    try:
        yield instance.start()
    finally:
        instance.stop()


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a fresh, empty database, which is dropped after the test."""
    name = f"test_{secrets.token_hex(6)}"
    yield lab_postgres.ensure_database(postgres, name)
    lab_postgres.drop_database(postgres, name)


@dataclass(frozen=True)
class OdooDatabase:
    """One database of a running Odoo: how to reach it over the network, and its tables by SQL."""

    version: OdooVersion
    url: str
    db: str
    login: str
    password: str
    sql_url: str


class RunningOdoo:
    """A real Odoo of the test session with a fresh database, and the means to make it fail."""

    def __init__(
        self, folder: Path, version: OdooVersion, program: Program, template: Template, postgres: PostgresServer
    ) -> None:
        self.version = version
        self.login = LOGIN
        self.password = secrets.token_urlsafe(9)
        self.db = f"odoo_{version}"
        self._postgres = postgres
        self._program = program
        self._instance = OdooInstance(folder / f"odoo-{version}", version)
        self._pristine = f"odoo_{version}_{TEMPLATE}"
        self._instance.create_database(postgres, template, self._pristine, self.password)
        self._instance.clone_database(postgres, self._pristine, self.db, self.password)
        self._server: OdooServer | None = None

    @property
    def url(self) -> str:
        assert self._server is not None, "the server has not been started"
        return self._server.url

    @property
    def sql_url(self) -> str:
        return self._postgres.url(self.db)

    @property
    def log(self) -> Path:
        return self._instance.log

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that answer calls; the server replaces one that dies."""
        assert self._server is not None, "the server has not been started"
        assert self._server.process is not None
        children = psutil.Process(self._server.process.pid).children()
        return [child for child in children if "gevent" not in child.cmdline()]

    @property
    def database(self) -> OdooDatabase:
        """The session's own database; what one test writes there the next one sees."""
        return OdooDatabase(self.version, self.url, self.db, self.login, self.password, self.sql_url)

    def fresh_database(self) -> OdooDatabase:
        """Another database in the state after installation, served by the same server; made in a second or two."""
        name = f"odoo_{self.version}_{secrets.token_hex(4)}"
        self._instance.clone_database(self._postgres, self._pristine, name, self.password)
        return replace(self.database, db=name, sql_url=self._postgres.url(name))

    def copy_database(self, source: OdooDatabase) -> OdooDatabase:
        """A copy of a database as it is, its identity included, whose sessions are ended for it."""
        name = f"odoo_{self.version}_{secrets.token_hex(4)}"
        lab_postgres.end_sessions(self._postgres, source.db)
        lab_postgres.clone_database(self._postgres, source.db, name)
        shutil.copytree(self._instance.filestore / source.db, self._instance.filestore / name)
        return replace(source, db=name, sql_url=self._postgres.url(name))

    def drop_database(self, name: str) -> None:
        lab_postgres.drop_database(self._postgres, name)

    def start(self) -> None:
        """Start the server at the address it had; a running one is left alone."""
        self._server = self._instance.start(lambda: self._program, self._postgres, self.db, self.password, self._server)

    def stop(self) -> None:
        """Stop the server, as an outage would; :meth:`start` brings it back."""
        self._instance.stop()


@pytest.fixture(scope="session")
def odoo_servers(
    request: pytest.FixtureRequest, services_folder: Path, postgres: PostgresServer
) -> Iterator[Callable[[OdooVersion], RunningOdoo]]:
    """The servers by version, each made when it is first asked for and kept to the end.

    pytest tears a session's parametrised fixture down whenever the next test wants another parameter: kept here, a
    version is started once, however the tests are ordered.
    """
    running: dict[OdooVersion, RunningOdoo] = {}

    def server(version: OdooVersion) -> RunningOdoo:
        if version not in running:
            running[version] = RunningOdoo(services_folder, version, *get_ready.get_ready(version), postgres)
            running[version].start()
        return running[version]

    try:
        yield server
    finally:
        for odoo in running.values():
            odoo.stop()


@pytest.fixture(scope="session")
def odoo_server(request: pytest.FixtureRequest, odoo_servers: Callable[[OdooVersion], RunningOdoo]) -> RunningOdoo:
    """A real Odoo with two workers, once per session and version."""
    return odoo_servers(request.param)


@pytest.fixture(scope="session")
def loaded_worlds(
    postgres: PostgresServer, odoo_servers: Callable[[OdooVersion], RunningOdoo]
) -> Iterator[Callable[[RunningOdoo], Loaded]]:
    """A shop that is loaded, of each version, made when it is first asked for."""
    with ExitStack() as stack:
        yield cache(lambda odoo: stack.enter_context(load_world(odoo, postgres)))


@pytest.fixture(scope="module")
def loaded(odoo_server: RunningOdoo, loaded_worlds: Callable[[RunningOdoo], Loaded]) -> Loaded:
    """A shop that is loaded, of which copies are made, and what its first sync did."""
    return loaded_worlds(odoo_server)


@pytest.fixture(scope="module")
def loaded_world(loaded: Loaded) -> Iterator[World]:
    """A copy of the loaded shop for the tests of one module."""
    with loaded.origin.copy() as world:
        yield world


@pytest.fixture
def odoo_database(odoo_server: RunningOdoo) -> Iterator[OdooDatabase]:
    """A database of its own for one test, in the state after installation."""
    fresh = odoo_server.fresh_database()
    yield fresh
    odoo_server.drop_database(fresh.db)
