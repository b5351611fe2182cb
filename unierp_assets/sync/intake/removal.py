"""What a person deleted in UniERP ends in the shop: a product is switched off, a price holds no longer.

Which field ends a record is said by its entity (``ends_with``); a record of any other entity is made anew as long as
the shop has it. So is one whose row the shop has changed since, and so are the records of an entity that lost most or
all of them at once: that is a server restored or replaced, and nobody's decision. Where fewer are gone, but more than
the limit for what may vanish at once, nothing is ended before somebody has confirmed it.

Belongs here: what is noted when a record is found to be gone, and the end of its row. Does not belong here: how it is
found (:mod:`pull`).
"""

from datetime import UTC, datetime

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY, Entity, Field, Kind, System
from unierp_assets.sync.compare.merge import as_text
from unierp_assets.sync.compare.plan import CHANGES
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.withheld import settle, withheld_subjects, withhold
from unierp_assets.sync.load.writeback import write_values
from unierp_assets.sync.memory import ledger
from unierp_assets.sync.memory.state import REMOVED, UNDONE, WITHHELD, any_of, pending
from unierp_assets.warehouse.store import Transaction
from unierp_assets.warehouse.tables import ACCEPTED, BASE, BINDINGS, PENDING, PLAN_CHANGES, STAGING

SOME = 20
"""So many records may be deleted at once, however few an entity has."""

_NEW, _OLD = "new", "old"
_ENDED = "it was deleted in UniERP: its row in the shop is ended"


def note_removed(tx: Transaction, entity: Entity, run_id: str, keys: list[str], known: int, *, many: bool) -> None:
    """Notes of records that are gone that their rows are to end. ``known``: how many there were, with these; ``many``:
    whether they are so many that somebody has to confirm it. To be called while the base still remembers what both
    sides had."""
    replaced = len(keys) > max(known / 2, SOME) or len(keys) == known > 1
    if entity.ends_with is None or replaced:
        return
    staged, base = STAGING[entity.name], BASE[entity.name]
    shared = [field for field in entity.synced if System.STOREFRONT in field.flows_to]
    unchanged = tx.read(
        sa.select(staged.c.key, staged.c._seq.label("seen_seq"))
        .join(base, base.c.key == staged.c.key)
        .where(
            any_of(staged.c.key, keys),
            staged.c._status == ACCEPTED,
            *(_unchanged(staged, base, field) for field in shared),
        )
    )
    tx.upsert(
        PENDING,
        unchanged.with_columns(
            entity=pl.lit(entity.name),
            state=pl.lit(WITHHELD if many else REMOVED),
            reason=pl.lit(
                "it was deleted in UniERP with many others at once: `unierp sync --confirm-removals` ends their rows"
                if many
                else _ENDED
            ),
            attempts=pl.lit(0),
            run_id=pl.lit(run_id),
            since=pl.lit(datetime.now(UTC).replace(microsecond=0)).dt.cast_time_unit("us"),
        ),
    )


def _unchanged(staged: sa.Table, base: sa.Table, field: Field) -> sa.ColumnElement[bool]:
    same = staged.c[field.name].is_not_distinct_from(base.c[field.name])
    return sa.or_(~staged.c[field.only_while], same) if field.only_while else same


def review_withheld(context: SyncContext) -> None:
    """Looks again at what was withheld of UniERP: what is back counts no longer, and what was confirmed is to end."""
    with context.warehouse.transaction() as tx:
        waits = PENDING.c.state == WITHHELD
        back = sa.exists().where(BINDINGS.c.entity == PENDING.c.entity, BINDINGS.c.key == PENDING.c.key)
        tx.execute(sa.delete(PENDING).where(waits, back))
        counted = sa.select(PENDING.c.entity, sa.func.count().label("rows")).where(waits).group_by(PENDING.c.entity)
        left: dict[str, int] = dict(tx.read(counted).iter_rows())
        before = withheld_subjects(tx, System.UNIERP)
        for name in {*left, *before}:
            gone = left.get(name, 0)
            bound = sa.select(sa.func.count()).select_from(BINDINGS).where(BINDINGS.c.entity == name)
            if gone and context.confirmed.get(name) != gone:
                withhold(context, tx, System.UNIERP, name, gone, tx.read(bound).item() + gone)
                continue
            settle(tx, System.UNIERP, name)
            tx.execute(sa.update(PENDING).where(waits, PENDING.c.entity == name).values(state=REMOVED, reason=_ENDED))


def endings(tx: Transaction, entity: Entity) -> pl.DataFrame:
    """What ends the rows of records that were deleted in UniERP, as rows of
    :data:`~unierp_assets.sync.compare.plan.CHANGES`."""
    if entity.ends_with is None:
        return pl.DataFrame(schema=CHANGES)
    return _changes(entity, entity[entity.ends_with], _to_end(tx, entity, entity.ends_with))


def _changes(entity: Entity, field: Field, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col(_OLD).ne_missing(pl.col(_NEW))).select(
        entity=pl.lit(entity.name),
        key=pl.col(KEY),
        field=pl.lit(field.name),
        action=pl.lit("update"),
        target=pl.lit(System.STOREFRONT.value),
        old=as_text(field, pl.col(_OLD)),
        new=as_text(field, pl.col(_NEW)),
    )


def _to_end(tx: Transaction, entity: Entity, ends_with: str) -> pl.DataFrame:
    """The rows that are to end: columns ``key``, ``old`` and ``new``, equal where a row has ended already."""
    field, staged = entity[ends_with], STAGING[entity.name]
    rows = tx.read(
        sa.select(staged.c.key, staged.c[field.name].label(_OLD), staged.c._seq, PENDING.c.seen_seq, PENDING.c.since)
        .join(PENDING, sa.and_(PENDING.c.entity == entity.name, PENDING.c.key == staged.c.key))
        .where(PENDING.c.state == REMOVED, staged.c._status == ACCEPTED)
    )
    if field.kind is Kind.TIMESTAMP:
        over = pl.when(pl.col(_OLD) <= pl.col("since")).then(pl.col(_OLD)).otherwise(pl.col("since"))
    else:
        over = pl.lit(False)
    rows = rows.with_columns(over.alias(_NEW))
    # What the shop has changed since wins, unless the change is the ending itself: the work of a run that died.
    return rows.filter((pl.col("_seq") <= pl.col("seen_seq")) | pl.col(_OLD).eq_missing(pl.col(_NEW))).select(
        KEY, _OLD, _NEW
    )


def end_removed(context: SyncContext, entity: Entity) -> list[str]:
    """Ends in the shop the rows of records that were deleted in UniERP; their keys. The shop has to be read again then,
    and :func:`remember_ended` told. A row the shop has changed meanwhile is left alone, and made anew by the next run.
    """
    with context.warehouse.transaction() as tx:
        waiting = pending(tx, entity.name, REMOVED)
        if entity.ends_with is None or waiting.is_empty():
            return []
        context.on_step("end", entity.name)
        rows, field = _to_end(tx, entity, entity.ends_with), entity[entity.ends_with]
        tx.upsert(PLAN_CHANGES, _changes(entity, field, rows).with_columns(run_id=pl.lit(context.run_id)))
        left = waiting.join(rows, on=KEY, how="anti").select(KEY, entity=pl.lit(entity.name))
        tx.delete(PENDING, left)
    standing = rows.filter(pl.col(_OLD).ne_missing(pl.col(_NEW))).select(KEY, pl.col(_NEW).alias(field.name))
    late = write_values(context, entity, [field], standing) if standing.height else set()
    return [key for key in rows[KEY].to_list() if key not in late]


def remember_ended(context: SyncContext, entity: Entity, keys: list[str]) -> None:
    """Enters the endings in the ledger; the rows wait from now on until the shop changes them."""
    staged = STAGING[entity.name]
    with context.warehouse.transaction() as tx:
        # Also what a run meant to write that died before it came here.
        meant = tx.read(
            sa.select(PLAN_CHANGES)
            .join(PENDING, sa.and_(PENDING.c.entity == PLAN_CHANGES.c.entity, PENDING.c.key == PLAN_CHANGES.c.key))
            .where(
                PLAN_CHANGES.c.entity == entity.name,
                any_of(PLAN_CHANGES.c.key, keys),
                PLAN_CHANGES.c.field == entity.ends_with,
                PLAN_CHANGES.c.target == System.STOREFRONT,
                PENDING.c.state == REMOVED,
            )
        ).unique(KEY, keep="first", maintain_order=True)
        written = meant.select(
            KEY,
            system="target",
            action=pl.lit("update"),
            field="field",
            before="old",
            after="new",
            odoo_id=pl.lit(None, pl.Int64),
        )
        ledger.append(tx, entity.name, context.run_id, context.actor, written)
        seen = tx.read(sa.select(staged.c.key, staged.c._seq.label("seen_seq")).where(any_of(staged.c.key, keys)))
        tx.update_rows(
            PENDING,
            seen.with_columns(
                entity=pl.lit(entity.name),
                state=pl.lit(UNDONE),
                reason=pl.lit("it was deleted in UniERP: it is made anew when its row changes in the shop"),
            ),
            ["state", "reason", "seen_seq"],
        )
