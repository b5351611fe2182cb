"""From UniERP back to the storefront: which columns of which rows a plan changes there.

A row the shop has changed since it was read is left alone: its change would be lost. The next run sees both.
"""

from collections.abc import Collection
from dataclasses import replace

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY, Entity, Field, Kind
from unierp_assets.storefront.contract import UPDATED_AT, contract_tables, key_column
from unierp_assets.sync.compare.merge import OURS, TO_STOREFRONT
from unierp_assets.sync.compare.plan import Plan
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.load.applier import DONE, Result
from unierp_assets.sync.memory.state import HELD, any_of
from unierp_assets.warehouse.frames import polars_type
from unierp_assets.warehouse.tables import LANDING_STOREFRONT

MEANWHILE = "the shop changed it while the sync was running; the next sync compares it anew"


def write_back(context: SyncContext, plan: Plan, results: list[Result]) -> list[Result]:
    """Writes what flows to the storefront of the records that went well in UniERP; the results with what came of it."""
    done = [result.key for result in results if result.state == DONE]
    rows = plan.updates.filter(pl.col(TO_STOREFRONT).list.len() > 0, pl.col(KEY).is_in(done))
    if rows.is_empty():
        return results
    late: set[str] = set()
    columns, sets = _places(plan.entity)
    for names, group in rows.group_by(pl.col(TO_STOREFRONT).list.sort(), maintain_order=True):
        written: list[str] = list(names[0])
        plain = [field for field in columns if field.name in written]
        if plain:
            late |= write_values(context, plan.entity, plain, group)
    for field in sets:
        chosen = rows.filter(pl.col(TO_STOREFRONT).list.contains(field.name), ~pl.col(KEY).is_in(list(late)))
        _write_set(context, plan, field, chosen)
    return [replace(result, state=HELD, reason=MEANWHILE) if result.key in late else result for result in results]


def _type(table: sa.Table, column: str) -> pl.DataType:
    return polars_type(column, table.c[column].type)


def _places(entity: Entity) -> tuple[list[Field], list[Field]]:
    fields = [field for field in entity.synced if field.column]
    return [f for f in fields if f.kind is not Kind.REFERENCES], [f for f in fields if f.kind is Kind.REFERENCES]


def write_values(context: SyncContext, entity: Entity, fields: list[Field], rows: pl.DataFrame) -> set[str]:
    """Sets the columns of these fields (no sets) in the shop; returns the keys of rows it has changed since they were
    read. ``rows``: key and the fields."""
    table = contract_tables()[entity.inputs[0].table]
    landing = LANDING_STOREFRONT[table.name]
    key = key_column(table).name
    with context.warehouse.transaction() as tx:
        seen = tx.read(
            sa.select(sa.cast(landing.c[key], sa.Text).label(KEY), landing.c[UPDATED_AT]).where(
                any_of(sa.cast(landing.c[key], sa.Text), rows[KEY].to_list())
            )
        )
    values = []
    for field in fields:
        name = str(field.column).partition(".")[2]
        value = pl.col(field.name)
        values.append((field.restored(value) if field.restored else value).cast(_type(table, name)).alias(name))
    incoming = rows.join(seen, on=KEY).select(pl.col(KEY).cast(_type(table, key)).alias(key), UPDATED_AT, *values)
    written = {str(value) for value in context.storefront.write(table.name, incoming)}
    return set(rows[KEY].to_list()) - written


def _write_set(context: SyncContext, plan: Plan, field: Field, rows: pl.DataFrame) -> None:
    """Adds and removes the rows of a linking table, so that the set is as it should be."""
    table_name, _, name = str(field.column).partition(".")
    table = contract_tables()[table_name]
    (owner,) = (source.key for source in plan.entity.inputs if source.table == table_name)
    pairs = rows.join(plan.merged.former.select(KEY, f"{field.name}{OURS}"), on=KEY)

    def links(column: str) -> pl.DataFrame:
        return (
            pairs.select(KEY, value=pl.col(column).str.split(","))
            .explode("value")
            .drop_nulls("value")
            .select(
                pl.col(KEY).cast(_type(table, owner)).alias(owner),
                pl.col("value").cast(_type(table, name)).alias(name),
            )
        )

    wanted, known = links(field.name), links(f"{field.name}{OURS}")
    context.storefront.link(table_name, wanted.join(known, on=[owner, name], how="anti"))
    context.storefront.unlink(table_name, known.join(wanted, on=[owner, name], how="anti"))


def writable_columns(entities: Collection[Entity]) -> dict[str, list[str]]:
    """The columns of the storefront that syncing these entities may write, by table."""
    found: dict[str, list[str]] = {}
    for entity in entities:
        for field in entity.synced:
            if field.column:
                table, _, column = field.column.partition(".")
                found.setdefault(table, []).append(column)
    return found
