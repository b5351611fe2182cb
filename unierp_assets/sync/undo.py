"""Undoing a run: what it changed gets its former values, what it created is deleted, archived or reversed.

The ledger says what a run did. A value somebody has changed since is left as it is, and said. Documents are taken back
by the proper counter-document: payments are withdrawn, invoices credited, deliveries returned, orders cancelled. How a
document is reversed belongs to :mod:`unierp_assets.odoo.documents`.

What was undone is not done again by the next sync: it waits until its row changes in the shop, or until it is released.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import KEY, Entity, Field, Kind, System
from unierp_assets.odoo import (
    Outcome,
    StockRow,
    archive,
    cancel_orders,
    set_stock,
    unlink,
    withdraw_payments,
    write_changed,
)
from unierp_assets.sync.compare.merge import as_text, from_text
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.load.codec import Codec
from unierp_assets.sync.load.reversal import credit, return_goods
from unierp_assets.sync.load.writeback import write_values
from unierp_assets.sync.memory import ledger
from unierp_assets.sync.memory.state import HELD, UNDONE, any_of, bound_ids
from unierp_assets.sync.pipeline import LOCK, Pipeline, read_written, refresh_storefront
from unierp_assets.sync.reports import rebuild_reports
from unierp_assets.warehouse.store import Transaction
from unierp_assets.warehouse.tables import BASE, LANDING_UNIERP, LEDGER, PENDING, STAGING

RESTORED, DELETED, ARCHIVED, REVERSED, KEPT, FAILED = "restored", "deleted", "archived", "reversed", "kept", "failed"

REPORT = pl.Schema(
    {
        "entity": pl.String(),
        KEY: pl.String(),
        "field": pl.String(),
        "system": pl.String(),
        "outcome": pl.String(),
        "detail": pl.String(),
    }
)
"""One row per field that was changed and per record that was created, and what became of it."""


class NothingToUndo(Exception):
    """The ledger knows no such run, or the run wrote nothing."""


@dataclass(frozen=True, slots=True)
class _Undone:
    """What became of one record or field; ``former`` is the text of the value that was restored."""

    entity: str
    key: str
    field: str | None
    system: str
    outcome: str
    detail: str | None = None
    former: str | None = None

    @property
    def done(self) -> bool:
        return self.outcome not in (KEPT, FAILED)


class Undo:
    """Takes back what a run did, as a run of its own."""

    def __init__(self, context: SyncContext, run_id: str) -> None:
        self.context = context
        self.run_id = run_id

    @property
    def steps(self) -> int:
        """How many steps are announced, roughly: what a progress bar counts to."""
        return 2 * Pipeline(self.context).steps

    def run(self) -> pl.DataFrame:
        """Reads both systems, takes the run back, and reads them again; the report, as rows of :data:`REPORT`.

        Doing it twice does nothing twice. Raises :class:`NothingToUndo`, and the error of a system that failed.
        """
        pipeline = Pipeline(self.context)
        with self.context.warehouse.lock(LOCK), pipeline.recorded("undo"):
            entries = _entries(self.context, self.run_id)
            pipeline.take_in()
            report = _undo(self.context, self.run_id, entries)
            read_written(self.context, ENTITIES)
            rebuild_reports(self.context.warehouse, self.context.run_id, self.context.time_zone)
        return report

    def release(self) -> int:
        """Lets the next sync do again what was undone of the run; returns how many records."""
        undone = sa.update(PENDING).where(PENDING.c.state == UNDONE, PENDING.c.run_id == self.run_id)
        with self.context.warehouse.lock(LOCK):
            for entity in ENTITIES.values():
                self._wake(entity)
            with self.context.warehouse.transaction() as tx:
                return tx.execute(undone.values(state=HELD, reason="released: the next sync does it again"))

    def _wake(self, entity: Entity) -> None:
        """Makes archived records active that have no field of the sync to do it."""
        if "active" in BASE[entity.name].c:
            return
        with self.context.warehouse.transaction() as tx:
            archived = tx.read(
                sa.select(LEDGER.c.key)
                .join(PENDING, sa.and_(PENDING.c.entity == LEDGER.c.entity, PENDING.c.key == LEDGER.c.key))
                .where(
                    LEDGER.c.entity == entity.name,
                    LEDGER.c.action == "undo",
                    LEDGER.c.after == ARCHIVED,
                    PENDING.c.state == UNDONE,
                    PENDING.c.run_id == self.run_id,
                )
                .distinct()
            )
            ids = bound_ids(tx, entity.name, archived[KEY].to_list())
        for outcome in archive(self.context.session, entity.model, list(ids.values()), active=True):
            if outcome.error:
                raise outcome.error


def _entries(context: SyncContext, run_id: str) -> pl.DataFrame:
    entries = context.warehouse.read(sa.select(LEDGER).where(LEDGER.c.run_id == run_id).order_by(LEDGER.c.id))
    if entries.is_empty():
        raise NothingToUndo(f"The ledger has no entry of a run {run_id}; `unierp status` lists the runs.")
    return entries


def _undo(context: SyncContext, run_id: str, entries: pl.DataFrame) -> pl.DataFrame:
    found: dict[str, list[_Undone]] = {}
    for entity in reversed(ENTITIES.values()):
        mine = entries.filter(entity=entity.name)
        context.on_step("undo", entity.name)
        created = mine.filter(action="create")[KEY].to_list()
        undone = [*_restore(context, entity, mine.filter(pl.col("action") == "update", ~pl.col(KEY).is_in(created)))]
        if created:
            undone += _take_back(context, entity, created)
        undone += (
            _Undone(
                entity.name, row[KEY], None, row["system"], KEPT, f"it was {row['action']}d: the shop has it no more"
            )
            for row in mine.filter(~pl.col("action").is_in(["create", "update"])).iter_rows(named=True)
        )
        found[entity.name] = undone
    for name, undone in found.items():
        # What was written to the shop comes back as a change, which must not pass for one of the shop's own.
        if any(each.done and each.system == System.STOREFRONT.value for each in undone):
            refresh_storefront(context, ENTITIES[name])
    for name, undone in found.items():
        _remember(context, ENTITIES[name], run_id, undone)
    rows = [_row(each) for undone in found.values() for each in undone]
    return pl.DataFrame(rows, schema=REPORT, orient="row")


def _row(each: _Undone) -> tuple[str | None, ...]:
    return (each.entity, each.key, each.field, each.system, each.outcome, each.detail)


# Values


def _restore(context: SyncContext, entity: Entity, changed: pl.DataFrame) -> Iterable[_Undone]:
    to_shop: dict[str, dict[str, str | None]] = {}
    for (system, name), rows in changed.group_by("system", "field", maintain_order=True):
        field, target = entity[str(name)], System(str(system))
        # A field that the run wrote more than once had its former value before the first time.
        spans = rows.group_by(KEY, maintain_order=True).agg(pl.col("before").first(), pl.col("after").last())
        refusal = _not_restored(entity, field)
        if refusal:
            yield from (_Undone(entity.name, key, field.name, target.value, KEPT, refusal) for key in spans[KEY])
            continue
        spans = spans.join(_standing(context, entity, field, target, spans[KEY].to_list()), on=KEY, how="left")
        untouched = pl.col("now").eq_missing(pl.col("after"))
        already = pl.col("now").eq_missing(pl.col("before"))
        for row in spans.filter(already).iter_rows(named=True):
            detail = "it had its former value already"
            yield _Undone(entity.name, row[KEY], field.name, target.value, RESTORED, detail, row["before"])
        for row in spans.filter(~untouched & ~already).iter_rows(named=True):
            detail = f"it was changed since, to {row['now']}"
            yield _Undone(entity.name, row[KEY], field.name, target.value, KEPT, detail)
        todo = spans.filter(untouched & ~already)
        if target is System.STOREFRONT:
            for row in todo.iter_rows(named=True):
                to_shop.setdefault(row[KEY], {})[field.name] = row["before"]
        elif todo.height:
            errors = _write_unierp(context, entity, field, todo)
            for row in todo.iter_rows(named=True):
                outcome = FAILED if row[KEY] in errors else RESTORED
                detail_or_none = errors.get(row[KEY])
                yield _Undone(entity.name, row[KEY], field.name, target.value, outcome, detail_or_none, row["before"])
    yield from _write_storefront(context, entity, to_shop)


def _not_restored(entity: Entity, field: Field) -> str | None:
    """Why a change of this field is not taken back by writing its former value; None where it is."""
    if System.UNIERP not in field.flows_to:
        return "it follows from what stands in UniERP"
    if field.name == "state":
        return f"the step of the document stays: take it back in UniERP, with its counter-document ({entity.model})"
    if field.through:
        return "what a record is made of is not restored: change it in the shop"
    if field.kind is Kind.REFERENCES and field.column:
        return "sets are not restored: change them on either side"
    return None


def _standing(context: SyncContext, entity: Entity, field: Field, system: System, keys: list[str]) -> pl.DataFrame:
    table = (LANDING_UNIERP if system is System.UNIERP else STAGING)[entity.name]
    rows = context.warehouse.read(sa.select(table.c.key, table.c[field.name]).where(any_of(table.c.key, keys)))
    return rows.select(KEY, now=as_text(field, pl.col(field.name)))


def _write_unierp(context: SyncContext, entity: Entity, field: Field, rows: pl.DataFrame) -> dict[str, str]:
    codec = Codec(entity, context.session, context.lookups)
    typed = rows.select(KEY, before=from_text(field, pl.col("before")), after=from_text(field, pl.col("after")))
    mentioned = {
        key
        for name in ("before", "after")
        for value in typed[name].drop_nulls().to_list()
        if field.target
        for key in (value.split(",") if field.kind is Kind.REFERENCES else [value])
    }
    with context.warehouse.transaction() as tx:
        ids = bound_ids(tx, entity.name, typed[KEY].to_list())
        targets = {field.target: bound_ids(tx, field.target, mentioned)} if field.target else {}
    name = codec.name(field)
    changes = {
        ids[key]: {name: codec.value(field, before, after, targets)}
        for key, before, after in typed.iter_rows()
        if key in ids
    }
    by_id = {id_: key for key, id_ in ids.items()}
    errors = {key: "it is no longer in UniERP" for key in typed[KEY].to_list() if key not in ids}
    for outcome in write_changed(context.session, entity.model, changes):
        if not outcome.ok:
            errors[by_id[outcome.key]] = str(outcome.error)
    return errors


def _write_storefront(
    context: SyncContext, entity: Entity, wanted: Mapping[str, Mapping[str, str | None]]
) -> Iterable[_Undone]:
    """All fields of a row at once: the first write would make the row another than was read."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for key, values in wanted.items():
        alike.setdefault(tuple(values), []).append(key)
    for names, keys in alike.items():
        fields = [entity[name] for name in names]
        texts = pl.DataFrame(
            [(key, *wanted[key].values()) for key in keys], schema=dict.fromkeys([KEY, *names], pl.String), orient="row"
        )
        rows = texts.select(KEY, *(from_text(field, pl.col(field.name)).alias(field.name) for field in fields))
        late = write_values(context, entity, fields, rows)
        for key in keys:
            outcome, detail = (FAILED, "the shop changed the row meanwhile") if key in late else (RESTORED, None)
            for name in names:
                yield _Undone(entity.name, key, name, System.STOREFRONT.value, outcome, detail, wanted[key][name])


# Records


def _take_back(context: SyncContext, entity: Entity, keys: list[str]) -> list[_Undone]:
    with context.warehouse.transaction() as tx:
        ids = bound_ids(tx, entity.name, keys)
    way = _WAYS.get(entity.name, _remove)
    gone = [
        _Undone(entity.name, key, None, System.UNIERP.value, DELETED, "it was not there any more")
        for key in keys
        if key not in ids
    ]
    return gone + way(context, entity, ids)


def _remove(context: SyncContext, entity: Entity, ids: Mapping[str, int]) -> list[_Undone]:
    """Deletes what Odoo lets be deleted and archives the rest."""
    session = context.session
    refused = {out.key: out for out in unlink(session, entity.model, list(dict.fromkeys(ids.values()))) if not out.ok}
    archived: dict[int, Outcome[int]] = {}
    if session.features.has(entity.model, "active"):
        archived = {outcome.key: outcome for outcome in archive(session, entity.model, list(refused))}
    found = []
    for key, id_ in ids.items():
        if id_ not in refused:
            outcome, detail = DELETED, None
        elif id_ in archived and archived[id_].ok:
            outcome, detail = ARCHIVED, f"UniERP does not let it be deleted: {refused[id_].error}"
        else:
            outcome, detail = KEPT, str((archived.get(id_) or refused[id_]).error)
        found.append(_Undone(entity.name, key, None, System.UNIERP.value, outcome, detail))
    return found


def _reversed(entity: Entity, outcomes: Mapping[str, Outcome[Any]], how: str) -> list[_Undone]:
    """``outcomes`` by key of the entity."""
    return [
        _Undone(
            entity.name,
            key,
            None,
            System.UNIERP.value,
            FAILED if outcome.error else REVERSED,
            str(outcome.error) if outcome.error else how,
        )
        for key, outcome in outcomes.items()
    ]


def _by_key(ids: Mapping[str, int], outcomes: Mapping[int, Outcome[Any]]) -> dict[str, Outcome[Any]]:
    return {key: outcomes[id_] for key, id_ in ids.items() if id_ in outcomes}


def _withdraw(context: SyncContext, entity: Entity, ids: Mapping[str, int]) -> list[_Undone]:
    outcomes = {outcome.key: outcome for outcome in withdraw_payments(context.session, list(ids.values()))}
    return _reversed(entity, _by_key(ids, outcomes), "the payment was withdrawn")


def _credit(context: SyncContext, entity: Entity, ids: Mapping[str, int]) -> list[_Undone]:
    outcomes = credit(context, ids.values(), "undone")
    return _reversed(entity, _by_key(ids, outcomes), "the invoice was credited, or deleted where it was a draft")


def _return(context: SyncContext, entity: Entity, ids: Mapping[str, int]) -> list[_Undone]:
    return _reversed(entity, _by_key(ids, return_goods(context, ids.values())), "the goods were taken back")


def _cancel(context: SyncContext, entity: Entity, ids: Mapping[str, int]) -> list[_Undone]:
    outcomes = {outcome.key: outcome for outcome in cancel_orders(context.session, list(ids.values()))}
    return _reversed(entity, _by_key(ids, outcomes), "the order was cancelled")


def _with_their_order(context: SyncContext, entity: Entity, ids: Mapping[str, int]) -> list[_Undone]:
    """Lines go with their order, which is undone after them."""
    with context.warehouse.transaction() as tx:
        staged = STAGING[entity.name]
        orders = dict(
            tx.read(sa.select(staged.c.key, staged.c.order).where(any_of(staged.c.key, list(ids)))).iter_rows()
        )
    return [
        _Undone(entity.name, key, None, System.UNIERP.value, REVERSED, f"with its order {orders.get(key)}")
        for key in ids
    ]


def _empty(context: SyncContext, entity: Entity, ids: Mapping[str, int]) -> list[_Undone]:
    """Takes the first stock off again: the quantity becomes what it was, zero."""
    staged = STAGING[entity.name]
    with context.warehouse.transaction() as tx:
        rows = tx.read(
            sa.select(staged.c.key, staged.c.variant, staged.c.location).where(any_of(staged.c.key, list(ids)))
        )
        variants = bound_ids(tx, "variants", rows["variant"].drop_nulls().unique().to_list())
        locations = bound_ids(tx, "locations", rows["location"].drop_nulls().unique().to_list())
    places = {
        (variants[variant], locations[location]): key
        for key, variant, location in rows.iter_rows()
        if variant in variants and location in locations
    }
    outcomes = set_stock(context.session, [StockRow(*place, quantity=Decimal(0)) for place in places])
    emptied = {places[outcome.key[0], outcome.key[1]]: outcome for outcome in outcomes}
    return _reversed(entity, emptied, "the quantity was set to zero")


_WAYS: dict[str, Callable[[SyncContext, Entity, Mapping[str, int]], list[_Undone]]] = {
    "payments": _withdraw,
    "invoices": _credit,
    "shipments": _return,
    "orders": _cancel,
    "order_lines": _with_their_order,
    "stock_levels": _empty,
}


# Memory


def _agree_on_the_former(tx: Transaction, entity: Entity, done: Iterable[_Undone]) -> None:
    """Has the base say what was before, so that doing it again is a change of one side alone."""
    base = BASE[entity.name]
    gone = [each.key for each in done if each.outcome == DELETED]
    tx.delete(base, pl.DataFrame({KEY: gone}, schema={KEY: pl.String}))
    asleep = [each.key for each in done if each.outcome == ARCHIVED]
    if asleep and "active" in base.c:
        tx.update_rows(base, pl.DataFrame({KEY: asleep}).with_columns(active=pl.lit(False)), ["active"])
    for each in done:
        if each.outcome == RESTORED and each.field:
            text = pl.DataFrame({KEY: [each.key], "text": [each.former]}, schema={KEY: pl.String, "text": pl.String})
            row = text.select(KEY, from_text(entity[each.field], pl.col("text")).alias(each.field))
            tx.update_rows(base, row, [each.field])


def _remember(context: SyncContext, entity: Entity, undone_run: str, undone: list[_Undone]) -> None:
    done = [each for each in undone if each.done]
    if not done:
        return
    keys = sorted({each.key for each in done})
    entries = pl.DataFrame(
        [(each.key, each.system, "undo", each.field, None, each.outcome, None) for each in done],
        schema=ledger.ENTRY,
        orient="row",
    )
    with context.warehouse.transaction() as tx:
        ledger.append(tx, entity.name, context.run_id, context.actor, entries)
        _agree_on_the_former(tx, entity, done)
        staged = STAGING[entity.name]
        seen = tx.read(sa.select(staged.c.key, staged.c._seq.label("seen_seq")).where(any_of(staged.c.key, keys)))
        tx.upsert(
            PENDING,
            seen.with_columns(
                entity=pl.lit(entity.name),
                state=pl.lit(UNDONE),
                reason=pl.lit(f"run {undone_run} was undone: it waits until its row changes, or is released"),
                attempts=pl.lit(0),
                run_id=pl.lit(undone_run),
                since=pl.lit(datetime.now(UTC)).dt.cast_time_unit("us"),
            ),
        )
