"""What has changed outside, or was left undone here, that no run has taken in yet.

It compares states and remembers no events: what the shop and UniERP have now, with what the warehouse last read of it.
So nothing is missed while nobody looks, and what a sync itself wrote is no news, because it was read back.

Belongs here: the comparison, small enough to be made every few seconds. Does not belong here: what is done about it
(``unierp_assets.sensors``), and the careful reading (``extract.py``, ``pull.py``), which also sees what this may miss:
more than :data:`~unierp_assets.sync.intake.pull.NEWEST` records of a model within one overlap, and a record that is
written twice within the second in which it is read. The nightly run compares everything.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import Entity, Field, Kind
from unierp_assets.odoo import bindings, documents_written_since, last_binding_id, newest_writes, values
from unierp_assets.quality.rules import Outcome
from unierp_assets.sync.compare.plan import Position
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.extract import extents
from unierp_assets.sync.intake.pull import DOCUMENTS_SEEN, INTERNAL, NEWEST, seen_documents
from unierp_assets.sync.load.codec import parse_external_name, parse_instant
from unierp_assets.sync.memory.state import FAILED, HELD, any_of
from unierp_assets.sync.pipeline import tables_of
from unierp_assets.warehouse.store import Transaction, Warehouse
from unierp_assets.warehouse.tables import (
    ACCEPTED,
    BASE,
    BINDINGS,
    LANDING_STOREFRONT,
    LANDING_UNIERP,
    MERGES,
    NEW,
    PENDING,
    QUARANTINE,
    STAGING,
    STATUS,
    WITHDRAWN,
)

STOCK, ORDERS = "stock_levels", "orders"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that no run has taken in. ``subject``: a table of the shop, or an entity. ``rows``: how many rows it is
    about, at most. ``evidence``: a text that is the same as long as it is the same change."""

    subject: str
    rows: int
    evidence: str


def storefront_news(context: SyncContext) -> list[Change]:
    """The tables of the shop whose rows are not those the warehouse has: one question to each side.

    Raises :class:`~unierp_assets.storefront.source.StorefrontError` and
    :class:`~unierp_assets.warehouse.errors.WarehouseError`.
    """
    with context.warehouse.transaction() as tx:
        cursors = tx.cursors("extract:")
    tables = tables_of(tuple(ENTITIES.values()))
    theirs, ours = extents(context, {table: parse_instant(cursors.get(f"extract:{table}")) for table in tables})
    return [
        # What was counted says how many rows there are, not which: all the recent ones may be new.
        Change(table, max(theirs[table].recent, 1), f"{theirs[table]} after {ours[table]}")
        for table in tables
        if theirs[table] != ours[table]
    ]


def unierp_news(context: SyncContext) -> list[Change]:
    """The entities of which UniERP has something else than the warehouse: one small call for each model.

    Raises :class:`~unierp_assets.odoo.OdooError` and :class:`~unierp_assets.warehouse.errors.WarehouseError`.
    """
    with context.warehouse.transaction() as tx:
        cursors = tx.cursors("pull:", "bindings")
    models: dict[str, list[Entity]] = {}
    for entity in ENTITIES.values():
        models.setdefault(entity.model, []).append(entity)

    def look(model: str) -> list[Change]:
        known = [parse_instant(cursors.get(f"pull:{entity.name}")) for entity in models[model]]
        since = [cursor - context.overlap for cursor in known if cursor]
        # What was never read has no records of ours, or is read by the run that binds the first.
        if not since:
            return []
        if models[model][0].name == STOCK:
            return _stock_news(context, min(since))
        return _model_news(context, models[model], min(since))

    found = [_binding_news(context, cursors), _document_news(context, cursors)]
    found += [answer.get() for answer in context.session.map(look, models)]
    return _merged(change for changes in found for change in changes)


def _model_news(context: SyncContext, entities: list[Entity], since: datetime) -> list[Change]:
    written = {
        row["id"]: row["write_date"] for row in newest_writes(context.session, entities[0].model, since, limit=NEWEST)
    }
    if not written:
        return []
    changes = []
    with context.warehouse.transaction() as tx:
        for entity in entities:
            known = _known_writes(tx, entity, list(written))
            changes += _differing(entity, {id_: written[id_] for id_ in known}, known)
    return changes


def _stock_news(context: SyncContext, since: datetime) -> list[Change]:
    rows = newest_writes(context.session, "stock.quant", since, ["product_id"], limit=NEWEST, domain=INTERNAL)
    written: dict[int, datetime] = {}
    for row in reversed(rows):
        written[values.ref(row["product_id"]) or 0] = row["write_date"]
    if not written:
        return []
    with context.warehouse.transaction() as tx:
        known = _known_writes(tx, ENTITIES[STOCK], list(written))
    return _differing(ENTITIES[STOCK], {id_: written[id_] for id_ in known}, known)


def _known_writes(tx: Transaction, entity: Entity, ids: list[int]) -> dict[int, datetime | None]:
    """When the records that are ours were last written, as far as the warehouse knows. Keys may share a record."""
    landing = LANDING_UNIERP[entity.name]
    statement = (
        sa.select(BINDINGS.c.odoo_id, sa.func.max(landing.c.write_date))
        .outerjoin(landing, sa.and_(landing.c.key == BINDINGS.c.key, ~landing.c._deleted))
        .where(BINDINGS.c.entity == entity.name, any_of(BINDINGS.c.odoo_id, ids))
        .group_by(BINDINGS.c.odoo_id)
    )
    return dict(tx.read(statement).iter_rows())


def _differing(entity: Entity, written: dict[int, datetime], known: dict[int, datetime | None]) -> list[Change]:
    new = sorted((id_, stamp) for id_, stamp in written.items() if known[id_] != stamp)
    told = ", ".join(f"{id_} at {stamp:%Y-%m-%d %H:%M:%S}" for id_, stamp in new)
    return [Change(entity.name, len(new), told)] if new else []


def _binding_news(context: SyncContext, cursors: dict[str, str]) -> list[Change]:
    """Records that became ours, or are no longer. Which are gone takes a comparison of all: every entity is named."""
    seen = int(cursors.get("bindings") or 0)
    known = context.warehouse.read(sa.select(sa.func.count()).select_from(BINDINGS)).item()
    newest = last_binding_id(context.session, context.namespace)
    there = context.session.call("ir.model.data", "search_count", [("module", "=", context.namespace)])
    if newest > seen:
        names = bindings(context.session, context.namespace, since_id=seen)
        entities = {(parse_external_name(name) or ("", ""))[0] for name in names} & set(ENTITIES)
        if entities:
            return [Change(name, len(names), f"external ids up to {newest}") for name in sorted(entities)]
        there -= len(names)  # what others have named in our namespace hides nothing that is gone
    if there != known:
        return [
            Change(name, abs(there - known), f"{there} external ids up to {newest} after {known}") for name in ENTITIES
        ]
    return []


def _document_news(context: SyncContext, cursors: dict[str, str]) -> list[Change]:
    cursor = parse_instant(cursors.get(f"pull:{ORDERS}:progress"))
    if cursor is None:
        return []
    since = cursor - context.overlap
    now = seen_documents(documents_written_since(context.session, since, NEWEST), since)
    return [Change(ORDERS, 1, f"documents {now}")] if now != cursors.get(DOCUMENTS_SEEN) else []


def backlog(warehouse: Warehouse) -> list[Change]:
    """The entities with work that a run should have done and has not: it died, or the next steps were not run.

    What a run has looked at and set aside (held, refused, quarantined) is none. Raises
    :class:`~unierp_assets.warehouse.errors.WarehouseError`.
    """
    with warehouse.transaction() as tx:
        cursors = tx.cursors("stage:", "plan:")
        tops = tx.tops([*LANDING_STOREFRONT.values(), *STAGING.values(), *LANDING_UNIERP.values()])
    counts = []
    for entity in ENTITIES.values():
        staged = int(cursors.get(f"stage:{entity.name}") or 0)
        if any(tops[LANDING_STOREFRONT[source.table].fullname] > staged for source in entity.inputs):
            counts += _counted(entity, _unstaged(entity, staged))
        planned = Position.from_text(cursors.get(f"plan:{entity.name}"))
        if tops[STAGING[entity.name].fullname] > planned.staging:
            counts += _counted(entity, [_unjudged(entity), unplanned(entity, planned)])
        if tops[LANDING_UNIERP[entity.name].fullname] > planned.landing:
            counts += _counted(entity, [_unmerged(entity, planned)])
    lagging: dict[str, int] = {}
    for name, count in warehouse.read(sa.union_all(*counts)).iter_rows() if counts else ():
        lagging[name] = lagging.get(name, 0) + count
    return [
        Change(name, rows, f"{rows} after {cursors.get(f'stage:{name}')}, {cursors.get(f'plan:{name}')}")
        for name, rows in lagging.items()
        if rows
    ]


def _counted(entity: Entity, found: list[sa.Select[Any]]) -> list[sa.Select[Any]]:
    return [
        sa.select(sa.literal(entity.name, sa.Text).label("entity"), sa.func.count().label("rows")).select_from(
            rows.subquery()
        )
        for rows in found
    ]


def _unstaged(entity: Entity, cursor: int) -> list[sa.Select[Any]]:
    tables = [LANDING_STOREFRONT[source.table] for source in entity.inputs]
    return [sa.select(table.c._seq).where(table.c._seq > cursor) for table in tables]


def _unjudged(entity: Entity) -> sa.Select[Any]:
    staged = STAGING[entity.name]
    return sa.select(staged.c._seq).where(staged.c[STATUS] == NEW)


def unplanned(entity: Entity, position: Position) -> sa.Select[Any]:
    """Staged rows that came after the last comparison and are not what both sides agreed on: column ``_staged_at``."""
    staged, base = STAGING[entity.name], BASE[entity.name]
    set_aside = sa.exists().where(PENDING.c.entity == entity.name, PENDING.c.key == staged.c.key)
    bound = sa.exists().where(BINDINGS.c.entity == entity.name, BINDINGS.c.key == staged.c.key)
    new = sa.and_(staged.c[STATUS] == ACCEPTED, ~set_aside, _differs(staged, base, entity.synced))
    gone = sa.and_(staged.c[STATUS] == WITHDRAWN, bound)
    return (
        sa.select(staged.c._staged_at)
        .outerjoin(base, base.c.key == staged.c.key)
        .where(staged.c._seq > position.staging, sa.or_(new, gone))
    )


def _unmerged(entity: Entity, position: Position) -> sa.Select[Any]:
    """Records of UniERP that were read after the last comparison and are not what both sides agreed on."""
    landing, base = LANDING_UNIERP[entity.name], BASE[entity.name]
    fields = [field for field in entity.synced if field.name in landing.c]
    return (
        sa.select(landing.c._seq)
        .outerjoin(base, base.c.key == landing.c.key)
        .where(landing.c._seq > position.landing, sa.or_(landing.c._deleted, _differs(landing, base, fields)))
    )


def _differs(rows: sa.Table, base: sa.Table, fields: Iterable[Field]) -> sa.ColumnElement[bool]:
    return sa.or_(
        base.c.key.is_(None),
        *(_compared(rows, field).is_distinct_from(_compared(base, field)) for field in fields),
    )


def _compared(table: sa.Table, field: Field) -> sa.ColumnElement[Any]:
    """A field as the merge compares it: no number is zero, no answer is no, a duplicate is what it was merged into."""
    value = table.c[field.name]
    match field.kind:
        case Kind.INTEGER | Kind.DECIMAL:
            return sa.func.coalesce(value, 0)
        case Kind.BOOLEAN:
            return sa.func.coalesce(value, sa.false())
        case Kind.REFERENCE:
            into = sa.select(MERGES.c.into_key).where(MERGES.c.entity == field.target, MERGES.c.key == value)
            return sa.func.coalesce(into.scalar_subquery(), value)
        case _:
            return value


def unsettled(warehouse: Warehouse) -> set[str]:
    """The entities with rows that wait for others, were refused, or did not pass the gate: a change of what they refer
    to may settle them. Raises :class:`~unierp_assets.warehouse.errors.WarehouseError`."""
    waiting = sa.select(PENDING.c.entity).where(PENDING.c.state.in_([HELD, FAILED])).distinct()
    refused = sa.select(QUARANTINE.c.entity).where(QUARANTINE.c.outcome == Outcome.QUARANTINE).distinct()
    return set(warehouse.read(sa.union(waiting, refused))["entity"].to_list())


def _merged(changes: Iterable[Change]) -> list[Change]:
    """One change for each subject, in load order."""
    found: dict[str, Change] = {}
    for change in changes:
        known = found.get(change.subject)
        found[change.subject] = (
            Change(change.subject, known.rows + change.rows, f"{known.evidence}; {change.evidence}")
            if known
            else change
        )
    return [found[name] for name in ENTITIES if name in found]
