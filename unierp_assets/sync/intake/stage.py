"""From landing to staging: the canonical rows of those keys whose landing rows changed."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

import polars as pl
import polars.selectors as cs
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY, Entity, Field, Input
from unierp_assets.storefront.contract import UPDATED_AT
from unierp_assets.sync.compare.merge import CHANGED_AT
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.isolation import each_apart, note_fault
from unierp_assets.sync.memory.state import any_of
from unierp_assets.warehouse.store import Transaction
from unierp_assets.warehouse.tables import LANDING_STOREFRONT, NEW, STAGING, WITHDRAWN


def due_stages(context: SyncContext, entities: Iterable[Entity]) -> list[Entity]:
    """Those of these entities whose landing rows changed since they were staged: one look for all of them."""
    wanted = list(entities)
    tables = {source.table: LANDING_STOREFRONT[source.table] for entity in wanted for source in entity.inputs}
    with context.warehouse.transaction() as tx:
        cursors = tx.cursors("stage:")
        tops = tx.tops(tables.values())
    return [
        entity
        for entity in wanted
        if max(tops[tables[source.table].fullname] for source in entity.inputs)
        > int(cursors.get(f"stage:{entity.name}") or 0)
    ]


def stage(context: SyncContext, entity: Entity) -> int:
    """Stages what changed since the last time; returns the number of staged rows that differ from before.

    A row whose content changed becomes ``new`` and has to pass the gate again. A key that none of the first input's
    rows carries any more is marked ``withdrawn``. A row that the program stumbles over stays as it was staged before,
    and fails with a word on it.
    """
    context.on_step("stage", entity.name)
    cursor_name = f"stage:{entity.name}"
    with context.warehouse.transaction() as tx:
        cursor = int(tx.cursor(cursor_name) or 0)
        top = _top(tx, entity)
        keys = _changed_keys(tx, entity, cursor) if top > cursor else []

    def at_fault(key: str, reason: str) -> int:
        note_fault(context, entity.name, key, reason)
        return 0

    changed = 0
    for start in range(0, len(keys), context.slice_rows):
        part = keys[start : start + context.slice_rows]
        changed += sum(each_apart(partial(_stage_part, context, entity), part, entity.name, at_fault))
    if top > cursor:
        with context.warehouse.transaction() as tx:
            tx.set_cursor(cursor_name, str(top))
    return changed


def _top(tx: Transaction, entity: Entity) -> int:
    return max(tx.tops({LANDING_STOREFRONT[source.table] for source in entity.inputs}).values())


def _key_and_table(source: Input) -> tuple[sa.ColumnElement[str], sa.FromClause]:
    table = LANDING_STOREFRONT[source.table]
    if source.via is None:
        return sa.cast(table.c[source.key], sa.Text), table
    other, here, there = source.via
    through = LANDING_STOREFRONT[other]
    return sa.cast(through.c[source.key], sa.Text), table.join(through, table.c[here] == through.c[there])


def _changed_keys(tx: Transaction, entity: Entity, cursor: int) -> list[str]:
    parts = []
    for source in entity.inputs:
        key, tables = _key_and_table(source)
        parts.append(
            sa.select(key.label(KEY)).select_from(tables).where(LANDING_STOREFRONT[source.table].c._seq > cursor)
        )
    keys = tx.read(sa.union(*parts))
    return keys[KEY].drop_nulls().to_list()


def _stage_part(context: SyncContext, entity: Entity, keys: list[str]) -> int:
    with context.warehouse.transaction() as tx:
        return _stage_slice(context, tx, entity, keys)


def _stage_slice(context: SyncContext, tx: Transaction, entity: Entity, keys: list[str]) -> int:
    inputs = {}
    for source in entity.inputs:
        key, tables = _key_and_table(source)
        table = LANDING_STOREFRONT[source.table]
        statement = (
            sa.select(key.label(KEY), *(column for column in table.columns if not column.name.startswith("_")))
            .select_from(tables)
            .where(any_of(key, keys), ~table.c._deleted)
        )
        # What asks for the day of an instant is told that of the business.
        instants = cs.datetime(time_zone="*")
        inputs[source.table] = tx.read(statement).with_columns(instants.dt.convert_time_zone(context.time_zone))
    schema = entity.schema()
    now = datetime.now(UTC)
    staged = entity.stage(inputs)
    rows = staged.select(_typed(name, staged.schema[name], dtype) for name, dtype in schema.items())
    rows = rows.with_columns(_offered(context, field, rows[field.name]) for field in entity.fields if field.detail)
    changed_at = (
        pl.concat([frame.select(KEY, pl.col(UPDATED_AT).alias(CHANGED_AT)) for frame in inputs.values()])
        .with_columns(pl.col(CHANGED_AT).dt.convert_time_zone("UTC"))
        .group_by(KEY)
        .max()
    )
    rows = rows.join(changed_at, on=KEY, how="left")
    stamps = {
        "_run_id": pl.lit(context.run_id),
        "_staged_at": pl.lit(now).dt.cast_time_unit("us"),
    }
    changed = tx.upsert(STAGING[entity.name], rows.with_columns(_status=pl.lit(NEW), **stamps))
    gone = pl.DataFrame({KEY: keys}).join(rows, on=KEY, how="anti").with_columns(_status=pl.lit(WITHDRAWN), **stamps)
    return changed + tx.update_rows(STAGING[entity.name], gone, ["_status", "_run_id"])


def _offered(context: SyncContext, field: Field, values: pl.Series) -> pl.Series:
    """The codes of a detail without those that UniERP does not know."""
    if field.lookup is None or values.null_count() == len(values):
        return values
    known = context.lookups.ids(*field.lookup)
    return values.set(~values.is_in(list(known)), None)


def _typed(name: str, given: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    """A column in its canonical type; amounts with more digits are rounded as money is, halves away from zero."""
    value = pl.col(name)
    if isinstance(wanted, pl.Decimal) and isinstance(given, pl.Decimal) and given.scale > wanted.scale:
        value = value.round(wanted.scale, mode="half_away_from_zero")
    return value.cast(wanted)
