"""The peers: well-known importers of CSV files, run as their documentation advises for speed.

Belongs here: their installation, their commands and the file they are given. Each is installed in a virtual
environment of its own in the user's cache; nothing of it enters ours. Versions: ``*-requirements.txt``.
"""

import csv
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from unierp_assets.bench.errors import BenchError
from unierp_assets.bench.stand import Place
from unierp_assets.lab.cache import Cache
from unierp_assets.lab.odoo import install_packages
from unierp_assets.lab.progress import Reporter

CONNECTIONS = 2
BATCH = 500


@dataclass(frozen=True, slots=True)
class Peer:
    """An importer. ``command`` makes its command of the folder of its programs, the connection file, the file of rows
    and the model; ``told`` finds the seconds it says the import took."""

    name: str
    protocol: str
    command: Callable[[Path, Path, Path, str], list[str]]
    told: re.Pattern[str]

    @property
    def requirements(self) -> Path:
        return Path(__file__).with_name(f"{self.name}-requirements.txt")


def _importer_command(programs: Path, conf: Path, file: Path, model: str) -> list[str]:
    return [
        *(str(programs / "python"), str(programs / "odoo_import_thread.py"), "-c", str(conf), "--file", str(file)),
        *("--model", model, "--worker", str(CONNECTIONS), "--size", str(BATCH), "-s", ","),
        *("--context", "{'tracking_disable': True}"),
    ]


def _fluvo_command(programs: Path, conf: Path, file: Path, model: str) -> list[str]:
    return [
        # Not its own script, which names the folder it was installed in before the cache took it over.
        *(str(programs / "python"), "-m", "fluvo", "import", "--connection-file", str(conf), "--protocol", "jsonrpc"),
        *("--file", str(file), "--model", model, "--worker", str(CONNECTIONS), "--size", str(BATCH), "-s", ","),
        *("--no-adaptive-throttle", "--no-checkpoint", "--headless"),
    ]


IMPORTER = Peer(
    "odoo-import-export-client",
    "xmlrpc",
    _importer_command,
    re.compile(r"\d+ \S+ imported, total time ([\d.]+) second"),
)
FLUVO = Peer("fluvo", "jsonrpc", _fluvo_command, re.compile(r"records processed\. Total time: ([\d.]+)s"))
PEERS = (IMPORTER, FLUVO)
SKIP_UNCHANGED = "--skip-unchanged"
"""Fluvo's option to read what is there first and leave out what is equal."""


@dataclass(frozen=True, slots=True)
class PeerRun:
    """How long an import took: the whole process, and what the tool says of the import alone."""

    whole: float
    told: float


def install(peer: Peer, cache: Cache, progress: Reporter) -> Path:
    """The folder of the peer's programs, from the cache or installed now.

    Raises :class:`~unierp_assets.lab.errors.LabError` where it cannot be installed.
    """
    wanted = hashlib.sha256(peer.requirements.read_bytes()).hexdigest()[:10]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    def build(folder: Path) -> None:
        with progress.step(f"Installing {peer.name} for comparison"):
            install_packages(Path(sys.executable), folder, peer.requirements)

    return cache.get(f"{peer.name}-python{version}-{wanted}", build, progress) / "bin"


def write_file(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """The file to import: comma-separated, the first line names Odoo's fields. False is an empty cell, which is how
    fluvo tells that it is equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows([None if value is False else value for value in row] for row in rows)


def load(peer: Peer, programs: Path, place: Place, model: str, file: Path, *options: str) -> PeerRun:
    """Imports the file with two connections in batches of 500, as the tools' users do for speed.

    Raises :class:`BenchError` where not everything was imported.
    """
    conf = file.with_suffix(".conf")
    conf.touch(mode=0o600)
    address = urlsplit(place.odoo_url)
    settings = {
        "hostname": address.hostname,
        "port": address.port,
        "database": place.odoo_db,
        "login": place.login,
        "password": place.password,
        "protocol": peer.protocol,
        "uid": 2,
    }
    conf.write_text("[Connection]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    command = [*peer.command(programs, conf, file, model), *options]
    begun = time.perf_counter()
    # What they say of the time is not to be broken at the end of a line.
    wide = os.environ | {"COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=file.parent, env=wide)
    whole = time.perf_counter() - begun
    told = peer.told.search(done.stdout)
    refused = sum(path.read_text(encoding="utf-8").count("\n") - 1 for path in _refusals(file))
    everything_equal = SKIP_UNCHANGED in options and told is None
    if done.returncode or refused or (told is None and not everything_equal):
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise BenchError(f"{peer.name} did not import everything: {lines[-1] if lines else done.returncode}")
    return PeerRun(whole, float(told[1]) if told else whole)


def _refusals(file: Path) -> list[Path]:
    """The files in which the tools keep the rows that were refused."""
    return [path for path in (file.with_name(f"{file.name}.fail"), *file.parent.rglob("*_fail.csv")) if path.exists()]
