"""What a former release left is carried on: its warehouse with all it holds, and the shop it read.

``tests/releases/make_dump.py`` made the dumps, each at its release. A new release adds a folder; none is ever changed.
"""

import gzip
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from unierp_assets.lab.postgres import PostgresServer, binaries, drop_database, ensure_database
from unierp_assets.storefront.contract import contract_tables
from unierp_assets.storefront.sql import SqlStorefront
from unierp_assets.sync.reports import rebuild_reports
from unierp_assets.warehouse import Warehouse, evolve
from unierp_assets.warehouse.tables import metadata

RELEASES = Path(__file__).parents[1] / "releases"
REBUILT = "reporting"
"""The schema that is made anew out of the others, so that its rows need not stay what they were."""
CURSORS = "sync.cursors"
"""How far steps had read: a migration may have them begin anew."""


@dataclass
class Left:
    """The databases of a release, as it left them."""

    warehouse: Warehouse
    shop: SqlStorefront


@pytest.fixture(params=sorted(each.name for each in RELEASES.iterdir() if (each / "shop.sql.gz").exists()))
def left(request: pytest.FixtureRequest, postgres: PostgresServer) -> Iterator[Left]:
    token, folder = secrets.token_hex(4), RELEASES / request.param
    names = {part: f"{part}_{token}" for part in ("warehouse", "shop")}
    for part, name in names.items():
        url = ensure_database(postgres, name)
        dump = gzip.decompress((folder / f"{part}.sql.gz").read_bytes())
        command = [binaries() / "psql", "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", url]
        subprocess.run(command, input=dump, capture_output=True, check=True)
    found = Left(Warehouse(postgres.url(names["warehouse"])), SqlStorefront(postgres.url(names["shop"])))
    try:
        yield found
    finally:
        found.warehouse.close()
        found.shop.close()
        for name in names.values():
            drop_database(postgres, name)


def counts(warehouse: Warehouse) -> dict[str, int]:
    """How many rows each table holds that is not made anew, by the name it has in the database."""
    with sa.create_engine(warehouse.url, poolclass=sa.NullPool).connect() as connection:
        names = connection.execute(
            sa.text(
                "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
                "AND table_schema NOT IN ('pg_catalog', 'information_schema', 'public', :rebuilt)"
            ),
            {"rebuilt": REBUILT},
        ).all()
        return {
            f"{schema}.{name}": connection.execute(
                sa.select(sa.func.count()).select_from(sa.table(name, schema=schema))
            ).scalar_one()
            for schema, name in names
        }


def test_a_warehouse_of_a_release_is_migrated_with_all_it_holds(left: Left) -> None:
    before = counts(left.warehouse)
    assert before["sync.bindings"] > 100
    left.warehouse.upgrade()
    with sa.create_engine(left.warehouse.url, poolclass=sa.NullPool).connect() as connection:
        assert evolve.drift(connection) == []
    after = counts(left.warehouse)
    changed = {name: rows for name, rows in after.items() if before.get(name, rows) != rows and name != CURSORS}
    # What UniERP has is read anew, all of it, where there is more to read.
    assert all(name.startswith("landing_unierp.") and rows == 0 for name, rows in changed.items()), changed
    rebuild_reports(left.warehouse, "after the upgrade")
    assert not left.warehouse.read(metadata.tables["reporting.order_reconciliation"].select()).is_empty()


def test_a_shop_that_met_the_contract_of_a_release_still_does(left: Left) -> None:
    """Who connected a shop has nothing to do for a new release: what the contract gained may be absent."""
    left.shop.check()
    for table in contract_tables():
        assert left.shop.count(table) >= 0
