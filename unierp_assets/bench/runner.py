"""Runs the bench from beginning to end: stand, scenarios, report."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from unierp_assets.bench.results import Report, Scenario
from unierp_assets.bench.scenarios import SCENARIOS
from unierp_assets.bench.setting import Bench, Sizes
from unierp_assets.bench.stand import open_stand
from unierp_assets.lab.cache import Cache
from unierp_assets.lab.odoo import OdooVersion
from unierp_assets.lab.progress import Reporter


def run_bench(
    home: Path,
    cache: Cache,
    sizes: Sizes,
    progress: Reporter,
    version: OdooVersion = "19",
    scenarios: Sequence[str] = tuple(SCENARIOS),
) -> Report:
    """Runs the scenarios of these names in the given order on servers of their own in ``home``.

    Raises :class:`~unierp_assets.bench.errors.BenchError` where one side did not do its work, and
    :class:`~unierp_assets.lab.errors.LabError` where a server or a peer cannot be got.
    """
    done: list[Scenario] = []
    with open_stand(home / "bench", version, cache, progress) as stand:
        bench = Bench(stand, sizes, cache, progress)
        for name in scenarios:
            done += SCENARIOS[name](bench)
    return Report(version, asdict(sizes), machine(), done)


def machine() -> dict[str, object]:
    """What the figures depend on: processors, the load at the end (both of one run), versions."""
    return {
        "processors": os.cpu_count(),
        "load_average": [round(each, 1) for each in os.getloadavg()],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
