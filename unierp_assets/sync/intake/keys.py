"""What a cursor passes by: rows that are gone, that came or that changed behind it, found by comparing both sides.

Keys are compared in every run, by one number for each table and, where it differs, as a whole; contents are compared
where it is asked for (``sync/memory/rewind.py``), by a number for each block of keys.

Belongs here: the comparison of the shop's tables with what landed. Does not belong here: the reading along the cursor
(``extract.py``).
"""

from collections.abc import Callable, Iterable

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import System
from unierp_assets.storefront.contract import contract_tables, key_column
from unierp_assets.storefront.digest import BLOCK_BITS, block, is_numbered, key_digest, row_digest
from unierp_assets.storefront.source import Digest
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.withheld import may_withdraw, settle, subject_of
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import LANDING_STOREFRONT

Land = Callable[[pl.DataFrame], int]
"""Writes rows of the shop to the landing table; returns how many differ from what was there."""

_SUM = sa.Numeric(38, 0)


def same_keys(context: SyncContext, tables: Iterable[str]) -> set[str]:
    """Those of these tables whose keys the shop and the landing tables have alike: one question to each side."""
    wanted = list(tables)
    theirs, ours = context.storefront.key_digests(wanted), _landed_keys(context.warehouse, wanted)
    return {table for table in wanted if theirs[table] == ours[table]}


def compare_keys(context: SyncContext, table: str, land: Land) -> int:
    """Reads the rows that the shop has and landing has not, and marks those that are gone; returns how many landing
    rows differ from before. Where too many are gone at once, they stay as they are, and it is noted."""
    subject = subject_of(table)
    if table in same_keys(context, [table]):
        with context.warehouse.transaction() as tx:
            settle(tx, System.STOREFRONT, subject)
        return 0
    landing, key = LANDING_STOREFRONT[table], key_column(contract_tables()[table]).name
    present = context.storefront.keys(table).alias(key).to_frame()
    with context.warehouse.transaction() as tx:
        ours = tx.read(sa.select(landing.c[key]).where(~landing.c._deleted))
    changed = _read(context, table, present.join(ours, on=key, how="anti")[key], land)
    gone = ours.join(present, on=key, how="anti")
    with context.warehouse.transaction() as tx:
        if not may_withdraw(context, tx, System.STOREFRONT, subject, gone.height, ours.height):
            return changed
        marked = gone.with_columns(_deleted=pl.lit(True), _run_id=pl.lit(context.run_id))
        return changed + tx.update_rows(landing, marked, ["_deleted", "_run_id"])


def compare_contents(context: SyncContext, table: str, land: Land) -> int:
    """Reads the blocks of rows whose contents the two sides do not have alike; returns how many landing rows differ."""
    key = key_column(contract_tables()[table])
    theirs, ours = context.storefront.block_digests(table), _landed_blocks(context.warehouse, table)
    differing = [number for number, digest in theirs.items() if ours.get(number) != digest]
    if not differing:
        return 0
    keys = context.storefront.keys(table)
    if is_numbered(key):
        size = 1 << BLOCK_BITS
        keys = keys.filter((keys // size).is_in(differing))
    return _read(context, table, keys, land)


def _read(context: SyncContext, table: str, keys: pl.Series, land: Land) -> int:
    parts = (keys.slice(start, context.slice_rows) for start in range(0, len(keys), context.slice_rows))
    return sum(land(rows) for part in parts if (rows := context.storefront.rows_of(table, part)).height)


def _landed_keys(warehouse: Warehouse, tables: Iterable[str]) -> dict[str, Digest]:
    parts = []
    for name in tables:
        landing = LANDING_STOREFRONT[name]
        digest = sa.func.sum(sa.literal_column(key_digest(key_column(contract_tables()[name])), sa.BigInteger))
        parts.append(
            sa.select(
                sa.literal(name, sa.Text).label("name"),
                sa.func.count().label("rows"),
                sa.cast(sa.func.coalesce(digest, 0), _SUM).label("digest"),
            )
            .select_from(landing)
            .where(~landing.c._deleted)
        )
    if not parts:
        return {}
    rows = warehouse.read(sa.union_all(*parts)).iter_rows()
    return {name: Digest(count, int(digest)) for name, count, digest in rows}


def _landed_blocks(warehouse: Warehouse, table: str) -> dict[int, Digest]:
    definition, landing = contract_tables()[table], LANDING_STOREFRONT[table]
    number = sa.literal_column(block(key_column(definition)), sa.BigInteger).label("block")
    digest = sa.func.sum(sa.literal_column(row_digest(list(definition.columns)), sa.BigInteger))
    rows = warehouse.read(
        sa.select(number, sa.func.count().label("rows"), sa.cast(digest, _SUM).label("digest"))
        .select_from(landing)
        .where(~landing.c._deleted)
        .group_by(sa.literal_column("1"))
    ).iter_rows()
    return {int(found): Digest(count, int(total)) for found, count, total in rows}
