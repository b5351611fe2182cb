"""The engine's memory in the warehouse: bindings, merges, what is pending, and the record of runs.

Small reads and writes of the ``sync`` schema that several steps need. What they mean belongs to the steps.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY
from unierp_assets.warehouse.store import Transaction, Warehouse
from unierp_assets.warehouse.tables import BINDINGS, MERGES, PENDING, RUNS

HELD, FAILED, PARKED, UNDONE, REMOVED, WITHHELD = "held", "failed", "parked", "undone", "removed", "withheld"
PARKED_AFTER = 3
"""How often a record is refused before it is parked."""
RUNNING, SUCCEEDED, DIFFERS, DIED = "running", "succeeded", "differs", "died"
"""States of a run, beside :data:`FAILED`. One that did all it could and left differences has not just succeeded."""


def any_of(column: sa.ColumnElement[Any], values: Collection[Any]) -> sa.ColumnElement[bool]:
    """``column = ANY(values)`` with one bound array, however many values there are."""
    return column == sa.any_(sa.literal(list(values), sa.ARRAY(column.type)))


def bound_ids(tx: Transaction, entity: str, keys: Collection[str]) -> dict[str, int]:
    """Database ids in Odoo by key, of those keys that are bound."""
    if not keys:
        return {}
    statement = sa.select(BINDINGS.c.key, BINDINGS.c.odoo_id).where(
        BINDINGS.c.entity == entity, any_of(BINDINGS.c.key, keys)
    )
    return dict(tx.read(statement).iter_rows())


def bound_keys(tx: Transaction, entity: str, ids: Collection[int]) -> dict[int, str]:
    """Keys by database id in Odoo, of those ids that are bound. Where several keys share a record, the first counts."""
    if not ids:
        return {}
    statement = (
        sa.select(BINDINGS.c.odoo_id, sa.func.min(BINDINGS.c.key))
        .where(BINDINGS.c.entity == entity, any_of(BINDINGS.c.odoo_id, ids))
        .group_by(BINDINGS.c.odoo_id)
    )
    return dict(tx.read(statement).iter_rows())


def binding_rows(entity: str, model: str, ids: Mapping[str, int], run_id: str) -> pl.DataFrame:
    """Rows for the table of bindings."""
    return pl.DataFrame(
        {"entity": [entity] * len(ids), KEY: list(ids), "model": [model] * len(ids), "odoo_id": list(ids.values())},
        schema={"entity": pl.String, KEY: pl.String, "model": pl.String, "odoo_id": pl.Int64},
    ).with_columns(run_id=pl.lit(run_id), bound_at=pl.lit(datetime.now(UTC)).dt.cast_time_unit("us"))


def read_cursor(table: sa.Table) -> str:
    """Name of the cursor that tells when all of a landing table was last read, whether or not anything had changed."""
    return f"read:{table.fullname}"


def contents_cursor(table: str) -> str:
    """Name of the cursor that is there as long as the contents of a table of the shop are to be compared."""
    return f"contents:{table}"


def note_read(tx: Transaction, tables: Iterable[sa.Table], at: datetime) -> None:
    """Remembers that everything in these landing tables up to this instant was read."""
    tx.set_cursors({read_cursor(table): at.isoformat() for table in tables})


def merged_into(tx: Transaction, entity: str) -> pl.DataFrame:
    """The merged duplicates of an entity: columns ``key`` and ``into_key``."""
    return tx.read(sa.select(MERGES.c.key, MERGES.c.into_key).where(MERGES.c.entity == entity))


def pending(tx: Transaction, entity: str, state: str | None = None) -> pl.DataFrame:
    """What waits or failed: columns ``key``, ``state``, ``reason``, ``attempts``."""
    statement = sa.select(PENDING.c.key, PENDING.c.state, PENDING.c.reason, PENDING.c.attempts).where(
        PENDING.c.entity == entity
    )
    return tx.read(statement.where(PENDING.c.state == state) if state else statement)


def set_pending(tx: Transaction, entity: str, run_id: str, done: Iterable[str], rows: pl.DataFrame) -> None:
    """Forgets what is done and notes what is not. ``rows``: columns ``key``, ``state``, ``reason``.

    A record that the server refused for the :data:`PARKED_AFTER` th time becomes a dead letter.
    """
    gone = pl.DataFrame({KEY: list(done)}, schema={KEY: pl.String}).with_columns(entity=pl.lit(entity))
    tx.delete(PENDING, gone)
    if rows.is_empty():
        return
    known = pending(tx, entity)
    refused = pl.col("state") == FAILED
    rows = (
        rows.join(known.select(KEY, "attempts"), on=KEY, how="left")
        .with_columns(pl.when(refused).then(pl.col("attempts").fill_null(0) + 1).otherwise(0).alias("attempts"))
        .with_columns(
            pl.when(refused & (pl.col("attempts") >= PARKED_AFTER))
            .then(pl.lit(PARKED))
            .otherwise("state")
            .alias("state")
        )
    )
    fresh = rows.join(known, on=[KEY, "state", "reason", "attempts"], how="anti", nulls_equal=True)
    tx.upsert(
        PENDING,
        fresh.with_columns(
            entity=pl.lit(entity), run_id=pl.lit(run_id), since=pl.lit(datetime.now(UTC)).dt.cast_time_unit("us")
        ),
    )


def dead_letters(warehouse: Warehouse, entity: str | None = None) -> pl.DataFrame:
    """The records that were refused too often, with the server's message: the columns of ``sync.pending``."""
    statement = sa.select(PENDING).where(PENDING.c.state == PARKED).order_by(PENDING.c.entity, PENDING.c[KEY])
    return warehouse.read(statement.where(PENDING.c.entity == entity) if entity else statement)


def replay(warehouse: Warehouse, entity: str | None = None, key: str | None = None) -> int:
    """Lets the next sync try dead letters again: all, those of an entity, or one; returns how many."""
    chosen = [PENDING.c.state == PARKED]
    chosen += [PENDING.c.entity == entity] if entity else []
    chosen += [PENDING.c[KEY] == key] if key else []
    with warehouse.transaction() as tx:
        return tx.execute(sa.update(PENDING).where(*chosen).values(state=FAILED, attempts=0))


def begin_run(warehouse: Warehouse, run_id: str, kind: str) -> None:
    """Notes that a run has begun; a run that is known already goes on."""
    with warehouse.transaction() as tx:
        statement = sa.dialects.postgresql.insert(RUNS).values(run_id=run_id, kind=kind, status=RUNNING)
        tx.execute(statement.on_conflict_do_nothing())


def bury_the_dead(warehouse: Warehouse, run_id: str) -> None:
    """Notes of runs that never ended that they died. For who holds the lock of the sync: no other run is alive."""
    with warehouse.transaction() as tx:
        others = sa.and_(RUNS.c.status == RUNNING, RUNS.c.run_id != run_id)
        tx.execute(sa.update(RUNS).where(others).values(status=DIED))


def end_run(warehouse: Warehouse, run_id: str, status: str, summary: Mapping[str, Any]) -> None:
    """Notes how a run ended."""
    with warehouse.transaction() as tx:
        tx.execute(
            sa.update(RUNS)
            .where(RUNS.c.run_id == run_id)
            .values(status=status, finished_at=datetime.now(UTC), summary=json.loads(json.dumps(summary, default=str)))
        )
