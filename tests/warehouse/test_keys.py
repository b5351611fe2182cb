"""What a cursor passes by: rows that came or changed behind it are read, and rows that vanish at once stay."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
import sqlalchemy as sa

from unierp_assets.odoo import OdooSession
from unierp_assets.storefront.contract import contract_tables
from unierp_assets.storefront.sql import SqlStorefront
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.extract import changed_tables, extract
from unierp_assets.sync.intake.keys import compare_contents
from unierp_assets.sync.intake.withheld import sentences, withheld
from unierp_assets.sync.memory.rewind import rewind
from unierp_assets.sync.unsettled import unsettled
from unierp_assets.warehouse import Warehouse
from unierp_assets.warehouse.tables import LANDING_STOREFRONT

GROUPS = "customer_groups"
LONG_AGO = datetime(2025, 1, 1, 12, tzinfo=UTC)


def context(
    warehouse: Warehouse, shop: SqlStorefront, confirmed: Mapping[str, int] | None = None, slice_rows: int = 20_000
) -> SyncContext:
    session = OdooSession("http://127.0.0.1:9", "db", "a", "b")
    return SyncContext(warehouse, shop, session, "run", slice_rows=slice_rows, confirmed=confirmed or {})


def add(owner: psycopg.Connection, first: int, last: int, updated_at: datetime) -> None:
    owner.execute(
        "INSERT INTO shop.customer_groups (id, name, updated_at)"
        " SELECT n, n::text, %s FROM generate_series(%s::int, %s::int) n",
        [updated_at, first, last],
    )


def landed(warehouse: Warehouse) -> dict[int, str]:
    table = LANDING_STOREFRONT[GROUPS]
    return dict(warehouse.read(sa.select(table.c.id, table.c.name).where(~table.c._deleted)).iter_rows())


def read(where: SyncContext) -> int:
    """What a run does with the table."""
    return extract(where, GROUPS) if changed_tables(where, [GROUPS]) else 0


def test_two_thousand_rows_inserted_behind_the_cursor_arrive_in_the_next_run(
    warehouse: Warehouse, shop: SqlStorefront, owner: psycopg.Connection
) -> None:
    add(owner, 1, 3000, datetime.now(UTC) - timedelta(hours=1))
    run = context(warehouse, shop, slice_rows=700)
    assert read(run) == 3000
    add(owner, 5001, 7000, LONG_AGO)
    assert read(run) == 2000
    assert len(landed(warehouse)) == 5000
    assert changed_tables(run, [GROUPS]) == []


def test_two_thousand_rows_changed_behind_the_cursor_arrive_when_contents_are_compared(
    warehouse: Warehouse, shop: SqlStorefront, owner: psycopg.Connection
) -> None:
    add(owner, 1, 10_000, datetime.now(UTC) - timedelta(hours=1))
    run = context(warehouse, shop)
    read(run)
    owner.execute("UPDATE shop.customer_groups SET name = 'new', updated_at = %s WHERE id > 8000", [LONG_AGO])
    assert read(run) == 0
    rewind(warehouse, "night")
    assert read(run) == 2000
    assert sum(name == "new" for name in landed(warehouse).values()) == 2000
    assert changed_tables(run, [GROUPS]) == []


def test_an_insert_and_a_deletion_do_not_hide_each_other(
    warehouse: Warehouse, shop: SqlStorefront, owner: psycopg.Connection
) -> None:
    add(owner, 1, 10, datetime.now(UTC) - timedelta(hours=1))
    run = context(warehouse, shop)
    read(run)
    add(owner, 100, 100, LONG_AGO)
    owner.execute("DELETE FROM shop.customer_groups WHERE id = 3")
    # Where the row that is gone was no recent one, the numbers and instants of the recent ones are as they were.
    assert changed_tables(run, [GROUPS]) == [GROUPS]
    assert read(run) == 2
    assert sorted(landed(warehouse)) == [1, 2, 4, 5, 6, 7, 8, 9, 10, 100]


def test_a_row_that_comes_back_with_its_old_instant_is_read(
    warehouse: Warehouse, shop: SqlStorefront, owner: psycopg.Connection
) -> None:
    add(owner, 1, 10, LONG_AGO)
    run = context(warehouse, shop)
    read(run)
    owner.execute("DELETE FROM shop.customer_groups WHERE id = 3")
    assert read(run) == 1
    add(owner, 3, 3, LONG_AGO)
    assert read(run) == 1
    assert len(landed(warehouse)) == 10


@pytest.mark.parametrize(
    ("rows", "gone", "withdrawn"),
    [
        (44, 20, True),
        (44, 21, False),
        (44, 43, False),
        (1000, 50, True),
        (1000, 51, False),
        (2, 2, False),
        (1, 1, True),
    ],
)
def test_more_rows_than_the_limit_are_not_withdrawn_when_they_vanish_at_once(
    rows: int, gone: int, withdrawn: bool, warehouse: Warehouse, shop: SqlStorefront, owner: psycopg.Connection
) -> None:
    add(owner, 1, rows, LONG_AGO)
    run = context(warehouse, shop)
    read(run)
    owner.execute("DELETE FROM shop.customer_groups WHERE id <= %s", [gone])
    assert read(run) == (gone if withdrawn else 0)
    assert read(run) == 0
    assert len(landed(warehouse)) == (rows - gone if withdrawn else rows)
    told = list(unsettled(warehouse).sentences())
    assert told == [] if withdrawn else f"{gone} of {rows:,} customer_groups are gone from the shop" in told[0]
    assert bool(unsettled(warehouse)) is not withdrawn


def test_the_limit_is_a_setting(warehouse: Warehouse, shop: SqlStorefront, owner: psycopg.Connection) -> None:
    add(owner, 1, 100, LONG_AGO)
    run = context(warehouse, shop)
    run.removal_rows, run.removal_percent = 3, Decimal("2.5")
    read(run)
    owner.execute("DELETE FROM shop.customer_groups WHERE id <= 4")
    assert read(run) == 0
    assert withheld(warehouse).select("system", "subject", "rows", "known").rows() == [
        ("storefront", "customer_groups", 4, 100)
    ]


def test_a_table_that_is_empty_for_a_moment_leaves_no_trace(
    warehouse: Warehouse, shop: SqlStorefront, owner: psycopg.Connection
) -> None:
    add(owner, 1, 44, LONG_AGO)
    run = context(warehouse, shop)
    read(run)
    before = landed(warehouse)
    owner.execute("DELETE FROM shop.customer_groups WHERE id > 1")
    read(run)
    rewind(warehouse, "night")
    read(run)
    assert landed(warehouse) == before
    add(owner, 2, 44, LONG_AGO)
    assert read(run) == 0
    assert withheld(warehouse).is_empty()
    assert changed_tables(run, [GROUPS]) == []


def test_what_vanished_is_withdrawn_when_its_number_is_confirmed(
    warehouse: Warehouse, shop: SqlStorefront, owner: psycopg.Connection
) -> None:
    add(owner, 1, 44, LONG_AGO)
    read(context(warehouse, shop))
    owner.execute("DELETE FROM shop.customer_groups WHERE id > 2")
    assert read(context(warehouse, shop)) == 0
    (told,) = sentences(withheld(warehouse))
    assert told.endswith("`unierp sync --confirm-removals customer_groups=42`.")
    assert read(context(warehouse, shop, {"customer_groups": 41})) == 0
    assert read(context(warehouse, shop, {"customers": 42})) == 0
    assert read(context(warehouse, shop, {"customer_groups": 42})) == 42
    assert withheld(warehouse).is_empty()
    assert sorted(landed(warehouse)) == [1, 2]


def test_contents_are_compared_alike_whatever_a_column_holds(
    warehouse: Warehouse, shop: SqlStorefront, owner: psycopg.Connection
) -> None:
    """Every kind of value has the same digest in the shop and in the warehouse: nothing is read without need."""
    owner.execute("INSERT INTO shop.currencies (code, name) VALUES ('EUR', E'Euro \t€')")
    owner.execute(
        "INSERT INTO shop.exchange_rates (id, currency, valid_on, rate) VALUES (-5000, 'EUR', '2026-01-02', 1.5),"
        " (7, 'EUR', '2026-01-03', 'NaN')"
    )
    for table in ("currencies", "exchange_rates"):
        assert table in contract_tables()
        run = context(warehouse, shop)
        extract(run, table)
        asked = []
        assert compare_contents(run, table, lambda rows, asked=asked: asked.append(rows) or 0) == 0
        assert asked == []
