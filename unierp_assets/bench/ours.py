"""Our side of a measurement: a shop filled, and a sync of it run in a process of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from unierp_assets.bench.errors import BenchError
from unierp_assets.bench.results import Worker
from unierp_assets.bench.shop import BenchShop
from unierp_assets.bench.stand import Place
from unierp_assets.lab.progress import Reporter
from unierp_assets.odoo import OdooSession
from unierp_assets.settings import Settings
from unierp_assets.storefront.sample import Sample, write_sample
from unierp_assets.warehouse.store import Warehouse

CONNECTIONS = 2


def fill(place: Place, shop: BenchShop) -> None:
    """Writes the shop, replacing an older one, and gives the warehouse its tables, which happens once in its life."""
    warehouse = Warehouse(place.warehouse_url)
    warehouse.upgrade()
    warehouse.close()
    write_sample(place.storefront_url, Sample(0, shop.rows, ()), replace=True)


def sync(place: Place, home: Path, domain: str | None = None) -> Worker:
    """Runs a sync as a user would, with the settings' defaults and two connections.

    Raises :class:`BenchError` where it fails, or leaves something out or differing.
    """
    command = [sys.executable, "-m", "unierp_assets.bench.worker", *([domain] if domain else [])]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment(place, home), check=False)
    whole = time.perf_counter() - begun
    if done.returncode:
        raise BenchError(f"The sync failed: {' '.join(done.stderr.split()[-60:])}")
    worker = Worker(whole, json.loads(done.stdout.splitlines()[-1]))
    left = {what: worker.count(what) for what in ("quarantined", "held", "failed")}
    left["differences"] = int(worker.summary["reconciliation"]["differences"])
    if any(left.values()):
        counted = ", ".join(f"{count} {what}" for what, count in left.items() if count)
        raise BenchError(f"The sync did not load the bench's shop as it should: {counted}.")
    return worker


def settle(place: Place, home: Path, progress: Reporter, domain: str | None = None) -> None:
    """Waits until what was written is older than what an incremental read goes back over, and has a sync leave it
    behind, as everyday syncs find it. A sync right after a load reads its last minute again."""
    wait = Settings.model_fields["overlap_seconds"].default + 1
    with progress.step(f"The last load gets {wait} s old, and is read again"):
        time.sleep(wait)
        sync(place, home, domain)


def session(place: Place) -> OdooSession:
    """A session like that of a sync."""
    return OdooSession(place.odoo_url, place.odoo_db, place.login, place.password, connections=CONNECTIONS)


def environment(place: Place, home: Path) -> dict[str, str]:
    """The variables of a sync at this place. The user's own settings would make one bench differ from another."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("UNIERP_")}
    return inherited | {
        "UNIERP_HOME": str(home),
        "UNIERP_ODOO_URL": place.odoo_url,
        "UNIERP_ODOO_DB": place.odoo_db,
        "UNIERP_ODOO_LOGIN": place.login,
        "UNIERP_ODOO_PASSWORD": place.password,
        "UNIERP_ODOO_CONNECTIONS": str(CONNECTIONS),
        "UNIERP_WAREHOUSE_URL": place.warehouse_url,
        "UNIERP_STOREFRONT_URL": place.storefront_url,
    }
