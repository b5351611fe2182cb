"""Makes the dump of a release: its warehouse and its shop after a first sync of a small sample, and a sync after it.

Run at a release's commit, never again: ``pytest tests/releases/make_dump.py --odoo 19``. What later releases make of
it is proven in ``tests/warehouse/test_releases.py``.
"""

import gzip
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from world import make_world

from unierp_assets.lab.postgres import PostgresServer, binaries

if TYPE_CHECKING:
    from conftest import RunningOdoo

SIZE = (12, 12, 12)


def test_dump_this_release(odoo_server: "RunningOdoo", postgres: PostgresServer) -> None:
    with make_world(odoo_server, postgres, size=SIZE) as world:
        (release,) = world.warehouse.upgrade()[-1:]
        world.sync()
        world.sync()
        folder = Path(__file__).parent / release
        folder.mkdir(exist_ok=True)
        for name, database in (("warehouse", world.warehouse_name), ("shop", world.shop_name)):
            (folder / f"{name}.sql.gz").write_bytes(gzip.compress(_dump(postgres, database), mtime=0))


def _dump(server: PostgresServer, database: str) -> bytes:
    url = server.url(database)
    command = [binaries() / "pg_dump", "--no-owner", "--no-privileges", "--restrict-key=unierp", url]
    return subprocess.run(command, capture_output=True, check=True).stdout
