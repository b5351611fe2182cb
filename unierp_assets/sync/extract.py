"""From the storefront to its landing tables: increments by cursor, deletions by comparison of keys."""

from datetime import UTC, datetime

import polars as pl
import sqlalchemy as sa

from unierp_assets.storefront.contract import UPDATED_AT, contract_tables, key_column
from unierp_assets.storefront.source import pages
from unierp_assets.sync.ahead import ahead
from unierp_assets.sync.codec import parse_instant
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.state import note_read
from unierp_assets.warehouse.tables import LANDING_STOREFRONT


def extract(context: SyncContext, table: str) -> int:
    """Reads what changed in a table of the storefront; returns the number of landing rows that differ from before.

    Rows within the overlap are read again, which is harmless. When afterwards the numbers of rows differ, rows were
    deleted in the shop: they are found by their keys and marked.
    """
    context.on_step("extract", table)
    landing = LANDING_STOREFRONT[table]
    cursor_name = f"extract:{table}"
    with context.warehouse.transaction() as tx:
        cursor = parse_instant(tx.cursor(cursor_name))
    since = cursor - context.overlap if cursor else None
    changed = 0
    now = datetime.now(UTC)
    for page in ahead(pages(context.storefront, table, since, context.slice_rows)):
        rows = page.with_columns(
            _deleted=pl.lit(False),
            _run_id=pl.lit(context.run_id),
            _extracted_at=pl.lit(now).dt.cast_time_unit("us"),
        )
        newest = min(page[UPDATED_AT].to_list()[-1], now)
        with context.warehouse.transaction() as tx:
            changed += tx.upsert(landing, rows)
            if cursor is None or newest > cursor:
                cursor = newest
                tx.set_cursor(cursor_name, newest.isoformat())
    changed += _mark_deleted(context, table, landing)
    with context.warehouse.transaction() as tx:
        note_read(tx, landing, now)
    return changed


def _mark_deleted(context: SyncContext, table: str, landing: sa.Table) -> int:
    live = sa.select(sa.func.count()).select_from(landing).where(~landing.c._deleted)
    with context.warehouse.transaction() as tx:
        known = tx.read(live).item()
    if known == context.storefront.count(table):
        return 0
    key = key_column(contract_tables()[table]).name
    present = context.storefront.keys(table).alias(key)
    with context.warehouse.transaction() as tx:
        ours = tx.read(sa.select(landing.c[key]).where(~landing.c._deleted))
        gone = ours.join(present.to_frame(), on=key, how="anti")
        return tx.update_rows(
            landing, gone.with_columns(_deleted=pl.lit(True), _run_id=pl.lit(context.run_id)), ["_deleted", "_run_id"]
        )
