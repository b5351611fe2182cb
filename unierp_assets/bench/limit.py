"""The in-process limit: what Odoo can do at all, with the same batches through its ORM, in its own shell.

Belongs here: starting as many shells as the sync has connections, setting them off at once, and the time until the last
is done. Their start is not counted. What they do is in ``limit_in_odoo.py``, which runs inside Odoo.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unierp_assets.bench.errors import BenchError
from unierp_assets.bench.stand import Place, Stand
from unierp_assets.lab.processes import wait_until

_SCRIPT = Path(__file__).with_name("limit_in_odoo.py")
_START_SECONDS = 180


def seconds(stand: Stand, place: Place, jobs: Sequence[Mapping[str, Any]]) -> float:
    """How long the jobs take, each in a shell of its own, side by side.

    Raises :class:`BenchError` where one of them fails, with the end of what it printed.
    """
    folder = stand.folder / "limit"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shells = [_start(stand, place, folder, number, job) for number, job in enumerate(jobs)]
    try:
        names = range(len(jobs))
        wait_until(
            lambda: all((folder / f"{number}.ready").exists() for number in names) or _any_ended(shells),
            _START_SECONDS,
        )
        begun = time.time()
        (folder / "go").touch()
        for shell in shells:
            shell.wait()
        ends = [folder / f"{number}.done" for number in names]
        if not all(end.exists() for end in ends):
            printed = "".join(log.read_text(encoding="utf-8", errors="replace") for log in folder.glob("*.log"))
            raise BenchError(f"The in-process limit failed: {' '.join(printed.split()[-60:])}")
        return max(float(end.read_text(encoding="utf-8")) for end in ends) - begun
    finally:
        for shell in shells:
            if shell.poll() is None:
                shell.kill()


def shares(items: Sequence[Any], count: int) -> list[list[Any]]:
    """The items in ``count`` lists of about equal length."""
    return [list(items[start::count]) for start in range(count)]


def _start(stand: Stand, place: Place, folder: Path, number: int, job: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    (folder / f"{number}.json").write_text(json.dumps(job), encoding="utf-8")
    script = folder / f"{number}.py"
    begin = f"\n\nwork(env, {str(folder)!r}, {number})\n"
    script.write_text(_SCRIPT.read_text(encoding="utf-8") + begin, encoding="utf-8")
    return stand.shell(place, script, folder / f"{number}.log")


def _any_ended(shells: Sequence[subprocess.Popen[bytes]]) -> bool:
    return any(shell.poll() is not None for shell in shells)
