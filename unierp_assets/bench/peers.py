"""The peer of the customers scenario: odoo-import-export-client, a well-known threaded importer of CSV files.

Belongs here: its installation, its command and the file it is given. It is installed in a virtual environment of its
own in the user's cache; nothing of it enters ours. Version: ``peer-requirements.txt``.
"""

import csv
import hashlib
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from unierp_assets.bench.errors import BenchError
from unierp_assets.bench.stand import Place
from unierp_assets.lab.cache import Cache
from unierp_assets.lab.odoo import install_packages
from unierp_assets.lab.progress import Reporter

NAME = "odoo-import-export-client"
CONNECTIONS = 2
BATCH = 500
_REQUIREMENTS = Path(__file__).with_name("peer-requirements.txt")
_TOTAL = re.compile(r"(\d+) \S+ imported, total time ([\d.]+) second")


@dataclass(frozen=True, slots=True)
class PeerRun:
    """How long an import took: the whole process, and what the tool says of the import alone."""

    whole: float
    told: float


def install(cache: Cache, progress: Reporter) -> Path:
    """The folder of the peer's programs, from the cache or installed now.

    Raises :class:`~unierp_assets.lab.errors.LabError` where it cannot be installed.
    """
    wanted = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:10]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    def build(folder: Path) -> None:
        with progress.step(f"Installing {NAME} for comparison"):
            install_packages(Path(sys.executable), folder, _REQUIREMENTS)

    return cache.get(f"{NAME}-python{version}-{wanted}", build, progress) / "bin"


def write_file(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """The file to import: comma-separated, the first line names Odoo's fields."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(rows)


def load(programs: Path, place: Place, model: str, file: Path) -> PeerRun:
    """Imports the file with two connections in batches of 500, as the tool's users do for speed.

    Raises :class:`BenchError` where not everything was imported.
    """
    conf = file.with_suffix(".conf")
    conf.touch(mode=0o600)
    address = urlsplit(place.odoo_url)
    options = {
        "hostname": address.hostname,
        "port": address.port,
        "database": place.odoo_db,
        "login": place.login,
        "password": place.password,
        "protocol": "xmlrpc",
        "uid": 2,
    }
    conf.write_text("[Connection]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
    command = [
        *(str(programs / "python"), str(programs / "odoo_import_thread.py"), "-c", str(conf), "--file", str(file)),
        *("--model", model, "--worker", str(CONNECTIONS), "--size", str(BATCH), "-s", ","),
        *("--context", "{'tracking_disable': True}"),
    ]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    whole = time.perf_counter() - begun
    told = _TOTAL.search(done.stdout)
    refused = file.with_name(f"{file.name}.fail").read_text(encoding="utf-8").count("\n") - 1
    if done.returncode or told is None or refused:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise BenchError(f"{NAME} did not import everything: {lines[-1] if lines else done.returncode}")
    return PeerRun(whole, float(told[2]))
