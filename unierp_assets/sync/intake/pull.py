"""From UniERP to its landing tables: which records are ours, and what stands in them now."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities import ENTITIES
from unierp_assets.entities.orders import PROGRESS
from unierp_assets.entities.spec import KEY, Entity
from unierp_assets.odoo import (
    bindings,
    changed_since,
    dangling,
    last_binding_id,
    order_progress,
    orders_touched_since,
    read,
    stock_levels,
    tidy_stock,
    values,
)
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.removal import note_removed, review_withheld
from unierp_assets.sync.intake.withheld import is_too_many
from unierp_assets.sync.isolation import each_apart, note_fault
from unierp_assets.sync.load.ahead import ahead
from unierp_assets.sync.load.codec import Codec, parse_external_name, parse_instant
from unierp_assets.sync.memory.state import binding_rows, bound_keys
from unierp_assets.warehouse.store import Transaction
from unierp_assets.warehouse.tables import BASE, BINDINGS, LANDING_UNIERP, LEDGER, STAGING

MOVING = ("orders", "order_lines", "shipments")
"""Entities whose writes reserve or move stock."""
STAMPS_AT_ONCE = 10_000
"""Records per call where only id and instant are read."""
NEWEST = 200
"""How many of the records written last are compared where it is only asked whether something was written."""
INTERNAL = [("location_id.usage", "=", "internal")]
"""Which quants are stock of ours."""
DOCUMENTS_SEEN = "pull:orders:documents"
"""Name of the cursor that remembers which transfers and invoices the progress of orders was read from."""


def pull_bindings(context: SyncContext) -> int:
    """Learns which records carry external ids of ours; returns how many bindings are new or gone.

    A record that was deleted in UniERP has lost its external id: its binding and base are forgotten. Its row in the
    shop ends, or the record is made anew (:mod:`~unierp_assets.sync.intake.removal`).
    """
    context.on_step("read", "external ids")
    context.stamps.clear()
    session, namespace = context.session, context.namespace
    with context.warehouse.transaction() as tx:
        seen = int(tx.cursor("bindings") or 0)
        known = tx.read(sa.select(sa.func.count()).select_from(BINDINGS)).item()
    newest = last_binding_id(session, namespace)
    changed = 0
    if newest > seen:
        found = bindings(session, namespace, since_id=seen)
        with context.warehouse.transaction() as tx:
            changed = _note(tx, context.run_id, found, _named(found))
            tx.set_cursor("bindings", str(newest))
            known = tx.read(sa.select(sa.func.count()).select_from(BINDINGS)).item()
    on_server = session.call("ir.model.data", "search_count", [("module", "=", namespace)])
    if on_server != known:
        found = bindings(session, namespace)
        alive = _alive(context, found)
        with context.warehouse.transaction() as tx:
            changed += _note(tx, context.run_id, found, alive) + _forget_all_but(context, tx, alive)
            tx.set_cursor("bindings", str(newest))
    review_withheld(context)
    return changed


Bound = tuple[str, str]
"""Entity and key of a record; the empty entity and the name where an external id stands for none of ours."""


def _named(names: Iterable[str]) -> dict[str, Bound]:
    """What the names stand for. A name of another form is a record somebody else named in our namespace."""
    return {name: parse_external_name(name) or ("", name) for name in names}


def _alive(context: SyncContext, names: Iterable[str]) -> dict[str, Bound]:
    """What the names stand for, where a name whose record is gone stands for none of ours. Looked at is what may have
    gone with a record that is known to be gone, and what was gone before."""
    bound = _named(names)
    with context.warehouse.transaction() as tx:
        known = set(tx.read(sa.select(BINDINGS.c.entity, BINDINGS.c.key)).iter_rows())
    lost = {entity for entity, _ in known - set(bound.values())}
    for entity in ENTITIES.values():
        with_it = entity.name in lost or any(field.target in lost for field in entity.references)
        suspects = [name for name, (of, _) in bound.items() if of == entity.name and (with_it or ("", name) in known)]
        gone = dangling(context.session, context.namespace, suspects) if suspects else set()
        bound |= {name: ("", name) for name in gone}
        lost |= {entity.name} if gone else set()
    return bound


def _note(tx: Transaction, run_id: str, names: dict[str, int], bound: dict[str, Bound]) -> int:
    by_entity: dict[str, dict[str, int]] = {}
    for name, id_ in names.items():
        entity, key = bound[name]
        by_entity.setdefault(entity, {})[key] = id_
    return sum(
        tx.upsert(BINDINGS, binding_rows(entity, _model(entity), ids, run_id)) for entity, ids in by_entity.items()
    )


def _model(entity: str) -> str:
    return ENTITIES[entity].model if entity in ENTITIES else ""


def _forget_all_but(context: SyncContext, tx: Transaction, bound: dict[str, Bound]) -> int:
    there = pl.DataFrame([*bound.values()], schema={"entity": pl.String, KEY: pl.String}, orient="row")
    known = tx.read(sa.select(BINDINGS.c.entity, BINDINGS.c.key))
    gone = known.join(there, on=["entity", KEY], how="anti")
    tx.delete(BINDINGS, gone)
    for (entity,), rows in gone.group_by("entity"):
        if entity not in BASE:
            continue
        name = str(entity)
        keys = rows.select(KEY)
        total = known.filter(pl.col("entity") == name).height
        many = is_too_many(context, keys.height, total)
        note_removed(tx, ENTITIES[name], context.run_id, keys[KEY].to_list(), total, many=many)
        tx.delete(BASE[name], keys)
        tx.update_rows(
            LANDING_UNIERP[name],
            keys.with_columns(_deleted=pl.lit(True), _run_id=pl.lit(context.run_id)),
            ["_deleted", "_run_id"],
        )
    return gone.height


def pull(context: SyncContext, entity: Entity) -> int:
    """Reads the entity's records that were written since the last time, and those bound since; returns how many
    landing rows differ from before."""
    context.on_step("read", entity.name)
    cursor_name = f"pull:{entity.name}"
    with context.warehouse.transaction() as tx:
        cursor = parse_instant(tx.cursor(cursor_name))
    # What is not ours yet is read when it becomes ours, whenever it was written.
    newest = cursor or context.session.clock()
    changed = 0
    fields = [*dict.fromkeys(_fields(context, entity))]
    if cursor:
        for records in ahead(_changed(context, entity, fields, cursor - context.overlap)):
            changed += _land(context, entity, records)
            stamps = (values.instant(record["write_date"]) or cursor for record in records)
            # With the clock the cursor leaves behind what was read, or all of it would be read again for ever: nothing
            # newer may be written for a long time.
            newest = max(newest, context.session.clock(), *stamps)
    changed += _pull_bound(context, entity, fields)
    if newest != cursor:
        with context.warehouse.transaction() as tx:
            tx.set_cursor(cursor_name, newest.isoformat())
    return changed


def _pull_bound(context: SyncContext, entity: Entity, fields: list[str]) -> int:
    """Reads what became ours since the last time, whenever it was written; returns how many landing rows differ."""
    cursor_name = f"pull:{entity.name}:bound"
    now = datetime.now(UTC)
    with context.warehouse.transaction() as tx:
        cursor = parse_instant(tx.cursor(cursor_name))
        unread = _unread(tx, entity, cursor - context.overlap if cursor else None)
        newest = tx.read(sa.select(sa.func.max(BINDINGS.c.bound_at)).where(BINDINGS.c.entity == entity.name)).item()
    changed = there = 0
    for records in ahead(_whole(context, entity, unread, fields)):
        changed += _land(context, entity, records)
        there += len(records)
    # What was not there to be read is looked for again.
    if there == len(unread) and (cursor is None or (newest and newest >= cursor)):
        with context.warehouse.transaction() as tx:
            tx.set_cursor(cursor_name, now.isoformat())
    return changed


def _changed(
    context: SyncContext, entity: Entity, fields: list[str], since: datetime
) -> Iterator[list[dict[str, Any]]]:
    """Records of the entity's model written since, in slices. Where other entities live in that model too, only the
    entity's own are read whole, so that nothing is read twice; the others come with id and ``write_date`` alone."""
    if sum(each.model == entity.model for each in ENTITIES.values()) == 1:
        found = changed_since(context.session, entity.model, fields, since, names=False)
        while records := [*islice(found, context.slice_rows)]:
            yield records
        return
    # One look at the model serves all its entities until the next pass over UniERP.
    seen, stamps = context.stamps.get(entity.model, (None, {}))
    if seen is None or seen > since:
        found = changed_since(context.session, entity.model, [], since, batch=STAMPS_AT_ONCE)
        stamps = {row["id"]: row for row in found}
        context.stamps[entity.model] = (since, stamps)
    with context.warehouse.transaction() as tx:
        own = bound_keys(tx, entity.name, stamps)
    if others := [row for id_, row in stamps.items() if id_ not in own]:
        yield others
    yield from _whole(context, entity, list(own), fields)


def _whole(context: SyncContext, entity: Entity, ids: list[int], fields: list[str]) -> Iterator[list[dict[str, Any]]]:
    """The records of these ids, in slices; those that are gone meanwhile are left out."""
    for start in range(0, len(ids), context.slice_rows):
        part = ids[start : start + context.slice_rows]
        yield [*read(context.session, entity.model, part, [*fields, "write_date"], names=False).values()]


def _fields(context: SyncContext, entity: Entity) -> list[str]:
    codec = Codec(entity, context.session, context.lookups)
    return [codec.name(field) for field in entity.read_back if field.odoo]


def _unread(tx: Transaction, entity: Entity, since: datetime | None = None) -> list[int]:
    """The ids of records that are ours and not as such in the landing table, of those bound since or of all."""
    landing = LANDING_UNIERP[entity.name]
    statement = (
        sa.select(BINDINGS.c.odoo_id)
        .outerjoin(landing, landing.c.key == BINDINGS.c.key)
        .where(
            BINDINGS.c.entity == entity.name,
            BINDINGS.c.bound_at >= since if since else sa.true(),
            sa.or_(landing.c.key.is_(None), landing.c._deleted, landing.c.odoo_id != BINDINGS.c.odoo_id),
        )
        .distinct()
    )
    return tx.read(statement)["odoo_id"].to_list()


def _land(context: SyncContext, entity: Entity, rows: list[dict[str, Any]]) -> int:
    """Lands the records that are ours; one that the program cannot read stays as it was landed, with a word on it."""
    with context.warehouse.transaction() as tx:
        keys = bound_keys(tx, entity.name, [row["id"] for row in rows])
    ours = {keys[row["id"]]: row for row in rows if row["id"] in keys}

    def work(part: list[str]) -> int:
        codec = Codec(entity, context.session, context.lookups)
        chosen = codec.followed([ours[key] for key in part])
        with context.warehouse.transaction() as tx:
            bound = {target: bound_keys(tx, target, ids) for target, ids in codec.targets(chosen).items()}
            return _upsert(context, tx, entity, codec.frame(chosen, keys, bound))

    def at_fault(key: str, reason: str) -> int:
        note_fault(context, entity.name, key, reason)
        return 0

    return sum(each_apart(work, list(ours), entity.name, at_fault)) if ours else 0


def _upsert(context: SyncContext, tx: Transaction, entity: Entity, frame: pl.DataFrame) -> int:
    return tx.upsert(
        LANDING_UNIERP[entity.name],
        frame.with_columns(
            _deleted=pl.lit(False),
            _run_id=pl.lit(context.run_id),
            _read_at=pl.lit(datetime.now(UTC)).dt.cast_time_unit("us"),
        ),
    )


def pull_progress(context: SyncContext, entity: Entity) -> int:
    """Reads how far the orders have got whose documents were written since the last time; returns how many landing rows
    differ."""
    cursor_name = f"pull:{entity.name}:progress"
    with context.warehouse.transaction() as tx:
        cursor = parse_instant(tx.cursor(cursor_name))
    touched = orders_touched_since(context.session, cursor - context.overlap if cursor else None)
    newest = max(touched.newest, context.session.clock()) if touched.newest else None
    with context.warehouse.transaction() as tx:
        keys = bound_keys(tx, entity.name, touched.orders)
    changed = 0
    ids = sorted(keys)
    for start in range(0, len(ids), context.slice_rows):
        found = order_progress(context.session, ids[start : start + context.slice_rows])
        rows = [
            (
                keys[id_],
                each.delivery_status,
                ",".join(each.tracking_numbers) or None,
                ",".join(each.invoice_numbers) or None,
                each.invoiced,
                each.paid,
                context.run_id,
            )
            for id_, each in found.items()
        ]
        names = [KEY, *(field.name for field in PROGRESS), "_run_id"]
        schema = dict.fromkeys(names, pl.String()) | {field.name: field.dtype for field in PROGRESS}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        with context.warehouse.transaction() as tx:
            changed += tx.update_rows(LANDING_UNIERP[entity.name], frame, names[1:])
    if newest:
        seen = seen_documents(touched.stamps, newest - context.overlap)
        with context.warehouse.transaction() as tx:
            if newest != cursor:
                tx.set_cursor(cursor_name, newest.isoformat())
            if tx.cursor(DOCUMENTS_SEEN) != seen:
                tx.set_cursor(DOCUMENTS_SEEN, seen)
    return changed


def seen_documents(stamps: Mapping[str, datetime], since: datetime | None) -> str:
    """What tells one state of transfers and invoices (``model:id`` and instant) from another: a digest of the newest
    :data:`NEWEST` of each model, as far as they were written at or after ``since``."""
    by_model: dict[str, list[tuple[datetime, int]]] = {}
    for name, stamp in stamps.items():
        model, _, id_ = name.partition(":")
        if since is None or stamp >= since:
            by_model.setdefault(model, []).append((stamp, int(id_)))
    newest = {model: sorted(rows, reverse=True)[:NEWEST] for model, rows in sorted(by_model.items())}
    return hashlib.sha256(repr(newest).encode()).hexdigest()


def pull_stock(context: SyncContext, entity: Entity) -> int:
    """Reads the quantities available of variants whose stock changed; returns how many landing rows differ.

    Stock has no external ids of its own (Odoo merges and deletes quants): the rows follow the bindings of variant and
    location, and exist from the moment the first stock was set. Their ``write_date`` is that of the product's newest
    quant, and null where that was written before the time that is looked at.
    """
    context.on_step("read", entity.name)
    cursor_name = f"pull:{entity.name}"
    with context.warehouse.transaction() as tx:
        cursor = parse_instant(tx.cursor(cursor_name))
        unread = _unread(tx, entity)
        placed = _places(tx, entity)
        moved = tx.read(
            sa.select(LEDGER.c.id).where(LEDGER.c.run_id == context.run_id, LEDGER.c.entity.in_(MOVING)).limit(1)
        )
    if not moved.is_empty():
        tidy_stock(context.session)
    newest = cursor or context.session.clock()
    levels = changed_since(
        context.session, entity.model, ["product_id"], newest - context.overlap, domain=INTERNAL, names=False
    )
    # In the order of their instants: the last of a product counts.
    written = {values.ref(row["product_id"]) or 0: values.instant(row["write_date"]) for row in levels}
    if written:
        newest = max(newest, context.session.clock(), *filter(None, written.values()))
    known = set(placed["product_id"].to_list())
    # Where everything is read, also what is no longer stocked anywhere, of which nothing is written any more.
    wanted = sorted(known if cursor == values.BEGINNING else {*written, *unread} & known)
    stamps = pl.DataFrame(
        {"product_id": list(written), "write_date": list(written.values())},
        schema={"product_id": pl.Int64, "write_date": pl.Datetime("us", "UTC")},
    )
    changed = 0
    for start in range(0, len(wanted), context.slice_rows):
        ids = wanted[start : start + context.slice_rows]
        found = [
            (level.product_id, level.location_id, level.quantity - level.reserved)
            for level in stock_levels(context.session, ids)
        ]
        available = pl.DataFrame(
            found,
            schema={"product_id": pl.Int64, "location_id": pl.Int64, "available": pl.Decimal(18, 2)},
            orient="row",
        )
        rows = (
            placed.filter(pl.col("product_id").is_in(ids))
            .join(available, on=["product_id", "location_id"], how="left")
            .join(stamps, on="product_id", how="left")
            .select(
                KEY,
                "write_date",
                available=pl.col("available").fill_null(0),
                odoo_id=pl.col("product_id"),
            )
        )
        with context.warehouse.transaction() as tx:
            changed += _upsert(context, tx, entity, rows)
    if newest != cursor:
        with context.warehouse.transaction() as tx:
            tx.set_cursor(cursor_name, newest.isoformat())
    return changed


def _places(tx: Transaction, entity: Entity) -> pl.DataFrame:
    """Product and location in Odoo of every stock level whose first stock was set."""
    staged = STAGING[entity.name]
    variant, location = BINDINGS.alias("variant"), BINDINGS.alias("location")
    return tx.read(
        sa.select(
            staged.c.key,
            variant.c.odoo_id.label("product_id"),
            location.c.odoo_id.label("location_id"),
        )
        .join(BINDINGS, sa.and_(BINDINGS.c.entity == entity.name, BINDINGS.c.key == staged.c.key))
        .join(variant, sa.and_(variant.c.entity == "variants", variant.c.key == staged.c.variant))
        .join(location, sa.and_(location.c.entity == "locations", location.c.key == staged.c.location))
    )
