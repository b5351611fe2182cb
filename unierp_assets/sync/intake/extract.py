"""From the storefront to its landing tables: increments by cursor, what a cursor passes by by comparison."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import System
from unierp_assets.odoo.values import BEGINNING
from unierp_assets.storefront.contract import UPDATED_AT
from unierp_assets.storefront.source import Extent, pages
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.keys import compare_contents, compare_keys, same_keys
from unierp_assets.sync.intake.withheld import subject_of, withheld_subjects
from unierp_assets.sync.load.ahead import ahead
from unierp_assets.sync.load.codec import parse_instant
from unierp_assets.sync.memory.state import contents_cursor, note_read, read_cursor
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import CURSORS, LANDING_STOREFRONT


def changed_tables(context: SyncContext, tables: Iterable[str]) -> list[str]:
    """Those of these tables of the storefront that have to be read, by one question to each side; of the others it is
    noted that they were.

    A table is left out where its rows are as many as those that landed, the recent ones (within the overlap of the
    newest) with the same instants, and where it was read when its newest row was older than the overlap already: what
    a transaction committed late, or in the same instant, had been there to be read. A table whose contents are to be
    compared (:mod:`~unierp_assets.sync.memory.rewind`) is read, and so is one that lost too many rows at once.
    """
    wanted = list(tables)
    now = datetime.now(UTC)
    with context.warehouse.transaction() as tx:
        cursors = tx.cursors("extract:", "read:", "contents:")
        withheld = withheld_subjects(tx, System.STOREFRONT)
    settled: dict[str, datetime | None] = {}
    for table in wanted:
        if contents_cursor(table) in cursors or subject_of(table) in withheld:
            continue
        newest = parse_instant(cursors.get(f"extract:{table}"))
        read = parse_instant(cursors.get(read_cursor(LANDING_STOREFRONT[table])))
        if newest and read and newest != BEGINNING and read - newest > context.overlap:
            settled[table] = newest
    if not settled:
        return wanted
    theirs, ours = extents(context, settled)
    equal = [table for table in settled if theirs[table] == ours[table]]
    # As many rows may be others: one came behind the cursor, and one is gone.
    equal = sorted(same_keys(context, equal))
    if equal:
        with context.warehouse.transaction() as tx:
            note_read(tx, [LANDING_STOREFRONT[table] for table in equal], now)
    return [table for table in wanted if table not in equal]


def extents(context: SyncContext, newest: Mapping[str, datetime | None]) -> tuple[dict[str, Extent], dict[str, Extent]]:
    """What the shop has of each table, and what landed of it; ``newest`` is the instant of its newest row."""
    since = {table: cursor - context.overlap if cursor else None for table, cursor in newest.items()}
    return context.storefront.extents(since), _landed(context.warehouse, since)


def _landed(warehouse: Warehouse, since: Mapping[str, datetime | None]) -> dict[str, Extent]:
    parts = []
    for name, instant in since.items():
        landing = LANDING_STOREFRONT[name]
        stamp = landing.c[UPDATED_AT]
        micros = sa.cast(sa.extract("epoch", stamp) * 1_000_000, sa.BigInteger)
        recent = stamp >= instant if instant else sa.true()
        parts.append(
            sa.select(
                sa.literal(name, sa.Text).label("name"),
                sa.func.count().label("rows"),
                sa.func.count().filter(recent).label("recent"),
                sa.cast(sa.func.coalesce(sa.func.sum(micros).filter(recent), 0), sa.Numeric(38, 0)).label("stamps"),
            ).where(~landing.c._deleted)
        )
    rows = warehouse.read(sa.union_all(*parts)).iter_rows()
    return {name: Extent(count, recent, int(stamps)) for name, count, recent, stamps in rows}


def extract(context: SyncContext, table: str) -> int:
    """Reads what changed in a table of the storefront; returns the number of landing rows that differ from before.

    Rows within the overlap are read again, which is harmless. What is gone, or came behind the cursor, is found by its
    keys; what changed behind it, where contents are to be compared.
    """
    context.on_step("extract", table)
    landing = LANDING_STOREFRONT[table]
    cursor_name = f"extract:{table}"
    with context.warehouse.transaction() as tx:
        cursor = parse_instant(tx.cursor(cursor_name))
        contents = tx.cursor(contents_cursor(table))
    since = cursor - context.overlap if cursor else None
    changed = 0
    now = datetime.now(UTC)

    def land(page: pl.DataFrame) -> int:
        rows = page.with_columns(
            _deleted=pl.lit(False),
            _run_id=pl.lit(context.run_id),
            _extracted_at=pl.lit(now).dt.cast_time_unit("us"),
        )
        with context.warehouse.transaction() as tx:
            return tx.upsert(landing, rows)

    for page in ahead(pages(context.storefront, table, since, context.slice_rows)):
        newest = min(page[UPDATED_AT].to_list()[-1], now)
        changed += land(page)
        if cursor is None or newest > cursor:
            cursor = newest
            with context.warehouse.transaction() as tx:
                tx.set_cursor(cursor_name, newest.isoformat())
    changed += compare_keys(context, table, land)
    if contents:
        changed += compare_contents(context, table, land)
    with context.warehouse.transaction() as tx:
        if contents:
            tx.execute(sa.delete(CURSORS).where(CURSORS.c.name == contents_cursor(table), CURSORS.c.value == contents))
        note_read(tx, [landing], now)
    return changed
