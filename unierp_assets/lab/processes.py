"""Starting, recognising and stopping processes. What does not belong here: what the processes are for.

A process is recognised by its pid together with the moment it started, so that a pid which the system has given to
somebody else since is never touched.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from unierp_assets.lab.errors import LabError

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """One process of this machine, for good: ``started`` tells it from a later process with the same pid."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "ProcessRef | None":
        """The running process with this pid, or None."""
        started = _started(pid)
        return None if started is None else cls(pid, started)

    def is_alive(self) -> bool:
        return _started(self.pid) == self.started


def _started(pid: int) -> str | None:
    """When the process started, as exactly as the system tells; None where it does not run (a zombie does not)."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if sys.platform == "linux":
            # Ticks since boot, with the boot's own id: a clock that is set anew changes neither.
            stat = Path(f"/proc/{pid}/stat").read_text()
            ticks = stat.rpartition(")")[2].split()[19]
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            return f"{boot}/{ticks}"
        return f"{process.create_time():.0f}"
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def free_port(taken: Sequence[int] = ()) -> int:
    """A TCP port of this machine on which nothing listens now."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def run(
    command: Sequence[str | Path],
    what: str,
    *,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    cwd: Path | str | None = None,
    stdin: IO[bytes] | None = None,
) -> str:
    """Run a command to its end and return its standard output.

    Args:
        what: What the command does, in a few words; opens the error message.
        user: Run as this system user (only root may).

    Raises:
        LabError: The command is missing or failed; the message ends with the last line it wrote.
    """
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=env,
            cwd=cwd,
            user=user,
            group=user,
            # None keeps the caller's groups; another user must not inherit them.
            extra_groups=None if user is None else [],
        )
    except OSError as error:
        raise LabError(f"{what} failed: {error.strerror}: {error.filename}") from error
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise LabError(f"{what} failed: {lines[-1].strip() if lines else f'exit code {done.returncode}'}")
    return done.stdout


def spawn(command: Sequence[str | Path], *, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one, in a session of its own so that Ctrl-C here does not reach it."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd="/",
            start_new_session=True,
        )


def naming(arguments: Sequence[str]) -> list[psutil.Process]:
    """Running processes whose command line holds these arguments, one right after the other."""
    wanted = list(arguments)

    def holds(line: list[str]) -> bool:
        return any(line[at : at + len(wanted)] == wanted for at in range(len(line) - len(wanted) + 1))

    return [process for process, line in _command_lines() if holds(line)]


def using(folder: Path) -> list[psutil.Process]:
    """Running processes, other than this one, whose command line names the folder or something in it."""
    inside = re.compile(re.escape(str(folder)) + r"(/|$)")
    found = [process for process, line in _command_lines() if any(inside.search(argument) for argument in line)]
    return [process for process in found if process.pid != os.getpid()]


def _command_lines() -> Iterator[tuple[psutil.Process, list[str]]]:
    for process in psutil.process_iter():
        try:
            yield process, process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue


def leads(process: psutil.Process) -> bool:
    """Whether the process leads a session, as those of :func:`spawn` do and their children do not."""
    try:
        return bool(os.getsid(process.pid) == process.pid)
    except ProcessLookupError:
        return False


def stop(processes: Sequence[psutil.Process], *, how: int = signal.SIGTERM, patience: float = 20.0) -> None:
    """Ask the processes to end, wait, and end by force those that still run after ``patience`` seconds.

    A process that ended meanwhile is no error. psutil itself refuses to signal a pid that has been given away.
    """
    others = [process for process in processes if process.pid != os.getpid()]
    for process in others:
        try:
            process.send_signal(how)
        except psutil.NoSuchProcess:
            continue
    _, stubborn = psutil.wait_procs(others, timeout=patience)
    for process in stubborn:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(stubborn, timeout=5)


def wait_until(condition: Callable[[], bool], seconds: float, *, pause: float = 0.1) -> bool:
    """Whether the condition came true within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(pause)
    return bool(condition())
