"""Conflicts: what both sides changed, what a person decided about it, and what became of it.

How a conflict is found belongs to :mod:`unierp_assets.sync.compare.merge`; here it is remembered, shown and decided.
"""

from collections.abc import Collection
from datetime import UTC, datetime

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import KEY, Entity, Strategy
from unierp_assets.sync.compare.merge import DECISIONS, from_text
from unierp_assets.sync.memory.state import any_of
from unierp_assets.warehouse.store import Transaction, Warehouse
from unierp_assets.warehouse.tables import CONFLICTS

OURS, THEIRS, VALUE, OBSOLETE = "ours", "theirs", "value", "obsolete"


class CannotResolve(ValueError):
    """There is no such open conflict, or the value is none of the field's; the message says which and what to do."""


def open_conflicts(warehouse: Warehouse, entity: str | None = None) -> pl.DataFrame:
    """The conflicts that wait for a person, oldest first: the columns of ``sync.conflicts``."""
    statement = sa.select(CONFLICTS).where(CONFLICTS.c.outcome.is_(None)).order_by(CONFLICTS.c.id)
    return warehouse.read(statement.where(CONFLICTS.c.entity == entity) if entity else statement)


def resolve(warehouse: Warehouse, number: int, take: str, by: str) -> None:
    """Decides an open conflict: ``take`` is `ours` (the shop's value), `theirs` (UniERP's), or a value for both sides.

    The next sync writes it, unless either side has changed again by then. Raises :class:`CannotResolve`.
    """
    with warehouse.transaction() as tx:
        found = tx.read(sa.select(CONFLICTS).where(CONFLICTS.c.id == number))
        if found.is_empty():
            raise CannotResolve(f"There is no conflict {number}; `unierp conflicts` lists those that wait.")
        row = found.row(0, named=True)
        if row["outcome"] is not None:
            raise CannotResolve(f"Conflict {number} is decided already ({row['outcome']}); nothing was changed.")
        outcome, value = (take, None) if take in (OURS, THEIRS) else (VALUE, take)
        field = ENTITIES[row["entity"]][row["field"]]
        if outcome == VALUE and pl.DataFrame({"text": [take]}).select(from_text(field, pl.col("text"))).item() is None:
            raise CannotResolve(f"{take!r} is no {field.kind.value}, which {row['entity']}.{field.name} has to be.")
        tx.execute(
            sa.update(CONFLICTS)
            .where(CONFLICTS.c.id == number)
            .values(outcome=outcome, value=value, decided_at=datetime.now(UTC), decided_by=by)
        )


def decisions(tx: Transaction, entity: Entity, keys: Collection[str]) -> pl.DataFrame:
    """What persons decided about these keys, the last of each field: rows of :data:`DECISIONS`."""
    if not any(field.strategy is Strategy.MANUAL for field in entity.synced):
        return pl.DataFrame(schema=DECISIONS)
    rows = tx.read(
        sa.select(
            CONFLICTS.c[KEY],
            CONFLICTS.c.field,
            CONFLICTS.c.ours,
            CONFLICTS.c.theirs,
            CONFLICTS.c.outcome.label("take"),
            CONFLICTS.c.value,
        )
        .where(
            CONFLICTS.c.entity == entity.name,
            any_of(CONFLICTS.c[KEY], keys),
            CONFLICTS.c.outcome.in_([OURS, THEIRS, VALUE]),
            CONFLICTS.c.strategy == Strategy.MANUAL.value,
        )
        .order_by(CONFLICTS.c.id)
    )
    return rows.unique([KEY, "field"], keep="last")


def note(tx: Transaction, entity: Entity, run_id: str, keys: Collection[str], found: pl.DataFrame) -> None:
    """Remembers the conflicts found among these keys; one that waits already is not noted twice, and one that the sides
    have settled between themselves is closed. ``found``: rows of
    :data:`~unierp_assets.sync.compare.merge.CONFLICTS`."""
    undecided = found.filter(pl.col("outcome").is_null())
    decided = found.filter(pl.col("outcome").is_not_null(), pl.col("strategy") != Strategy.MANUAL.value)
    shape = [KEY, "field", "base", "ours", "theirs"]
    waiting = tx.read(
        sa.select(CONFLICTS.c.id, *(CONFLICTS.c[name] for name in shape)).where(
            CONFLICTS.c.entity == entity.name, any_of(CONFLICTS.c[KEY], keys), CONFLICTS.c.outcome.is_(None)
        )
    )
    settled = waiting.join(undecided, on=shape, how="anti", nulls_equal=True)
    tx.execute(sa.update(CONFLICTS).where(any_of(CONFLICTS.c.id, settled["id"].to_list())).values(outcome=OBSOLETE))
    new = pl.concat([decided, undecided.join(waiting, on=shape, how="anti", nulls_equal=True)])
    now = pl.lit(datetime.now(UTC)).dt.cast_time_unit("us")
    tx.insert(CONFLICTS, new.with_columns(run_id=pl.lit(run_id), entity=pl.lit(entity.name), at=now))
