"""Outgoing transfers of sale orders: one transfer per shipment. Stock levels are in :mod:`.stock`."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from unierp_assets.odoo.batches import settle
from unierp_assets.odoo.bindings import bind, bindings
from unierp_assets.odoo.documents.states import gone, insist, states, unfit
from unierp_assets.odoo.errors import OdooError
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.records import Row, read, write_changed
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import instant, ref

ORDER = "sale.order"
PICKING = "stock.picking"
MOVE = "stock.move"
LINE = "stock.move.line"
VALIDATE_CONTEXT = {"skip_immediate": True, "skip_backorder": True, "skip_sms": True}
ENDED = ("done", "cancel")


@dataclass(frozen=True, slots=True)
class Shipment:
    """What was sent. ``key`` becomes the transfer's external id. ``quantities`` are by sale order line id, in the
    unit of the product; lines without a transfer (services) are passed over; None ships all that is still open.
    ``carrier`` is a name: the transfer gets the delivery method of that name, or a note where there is none.
    ``shipped_at`` is aware."""

    key: str
    order_id: int
    shipped_at: datetime
    quantities: Mapping[int, Decimal] | None = None
    tracking_number: str | None = None
    carrier: str | None = None


def deliver(
    session: OdooSession,
    namespace: str,
    shipments: Sequence[Shipment],
    *,
    batch: int = 50,
    connections: int | None = None,
) -> list[Outcome[str]]:
    """Books shipments of confirmed orders as done transfers; what is left stays open as a backorder.

    Quantities are forced: short stock becomes negative rather than stopping a parcel that has left. Several shipments
    of one order are booked in the order given. The transfer is given its external id before anything else happens to
    it, so a repeated call goes on with the same one. ``id`` is the transfer. Key: ``Shipment.key``.
    Raises :class:`OdooMissingModule` where the server has no sales with stock, or no tracking numbers but some were
    given."""
    session.features.require_field(PICKING, "sale_id")
    if any(shipment.tracking_number for shipment in shipments):
        session.features.require_field(PICKING, "carrier_tracking_ref")
    carriers = _carriers(session, {shipment.carrier for shipment in shipments if shipment.carrier})
    turns: list[list[Shipment]] = []
    count: dict[int, int] = {}
    for shipment in shipments:
        turn = count.get(shipment.order_id, 0)
        count[shipment.order_id] = turn + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(shipment)

    written: set[str] = set()

    def act(part: list[Shipment]) -> list[Outcome[str]]:
        return _book(session, namespace, part, carriers, written)

    found = {
        outcome.key: outcome
        for turn in turns
        for outcome in settle(
            session,
            turn,
            act,
            key=lambda shipment: shipment.key,
            batch=batch,
            connections=connections,
            written=written,
        )
    }
    return [found[shipment.key] for shipment in shipments]


def _carriers(session: OdooSession, names: set[str]) -> dict[str, int]:
    """Delivery methods by lower-case name, of those asked for."""
    if not names or not session.features.has(PICKING, "carrier_id"):
        return {}
    rows = session.call("delivery.carrier", "search_read", [], ["name"], order="id desc")
    wanted = {name.casefold() for name in names}
    return {row["name"].casefold(): row["id"] for row in rows if row["name"].casefold() in wanted}


def _book(
    session: OdooSession,
    namespace: str,
    part: Sequence[Shipment],
    carriers: Mapping[str, int],
    written: set[str],
) -> list[Outcome[str]]:
    """``written`` gets the keys of the shipments that are about to be booked or marked."""
    errors: dict[str, OdooError] = {}
    pickings = bindings(session, namespace, model=PICKING, names=[shipment.key for shipment in part])
    new = [shipment for shipment in part if shipment.key not in pickings]
    if new:
        chosen, errors = _choose(session, new)
        insist(bind(session, namespace, PICKING, chosen))
        pickings |= chosen
    rows = _rows(session, pickings.values())
    todo = [
        shipment
        for shipment in part
        if shipment.key in pickings and rows.get(pickings[shipment.key], {"state": "done"})["state"] not in ENDED
    ]
    if todo:
        short = _set_quantities(session, todo, pickings)
        errors |= short
        todo = [shipment for shipment in todo if shipment.key not in short]
    if todo:
        written.update(shipment.key for shipment in todo)
        session.step(
            PICKING,
            session.features.way("validate"),
            [pickings[shipment.key] for shipment in todo],
            context=VALIDATE_CONTEXT,
        )
        rows |= _rows(session, [pickings[shipment.key] for shipment in todo])
    _mark(session, part, pickings, rows, carriers, written)
    outcomes = []
    for shipment in part:
        id_ = pickings.get(shipment.key)
        error = errors.get(shipment.key)
        if error is None and id_ is not None:
            error = not_done(session, id_, rows)
        outcomes.append(Outcome(shipment.key, id_, error, changed=False))
    return outcomes


def _rows(session: OdooSession, ids: Any) -> dict[int, Row]:
    optional = [name for name in ("carrier_tracking_ref", "carrier_id") if session.features.has(PICKING, name)]
    return states(session, PICKING, ids, ["date_done", "note", *optional])


def _choose(session: OdooSession, shipments: Sequence[Shipment]) -> tuple[dict[str, int], dict[str, OdooError]]:
    """For each shipment an open outgoing transfer of its order that no shipment has yet, best the one that holds all
    its lines; else the reason why there is none."""
    orders = [shipment.order_id for shipment in shipments]
    candidates = session.call(
        PICKING,
        "search_read",
        [["sale_id", "in", orders], ["state", "not in", ENDED], ["picking_type_id.code", "=", "outgoing"]],
        ["sale_id"],
        order="id",
    )
    taken = {
        row["res_id"]
        for row in session.call(
            "ir.model.data",
            "search_read",
            [["model", "=", PICKING], ["res_id", "in", [row["id"] for row in candidates]]],
            ["res_id"],
        )
    }
    free: dict[int, list[int]] = {}
    for row in candidates:
        if row["id"] not in taken:
            free.setdefault(row["sale_id"][0], []).append(row["id"])
    several = [id_ for ids in free.values() if len(ids) > 1 for id_ in ids]
    lines: dict[int, set[int]] = {}
    if several:
        moves = session.call(MOVE, "search_read", [["picking_id", "in", several]], ["picking_id", "sale_line_id"])
        for move in moves:
            lines.setdefault(move["picking_id"][0], set()).add(ref(move["sale_line_id"]) or 0)
    chosen: dict[str, int] = {}
    errors: dict[str, OdooError] = {}
    for shipment in shipments:
        ids = free.get(shipment.order_id, [])
        if not ids:
            errors[shipment.key] = _nothing_open(session, shipment)
            continue
        wanted = set(shipment.quantities or ())
        best = max(ids, key=lambda id_: (len(wanted & lines.get(id_, set())), -id_)) if len(ids) > 1 else ids[0]
        chosen[shipment.key] = best
        ids.remove(best)
    return chosen, errors


def _nothing_open(session: OdooSession, shipment: Shipment) -> OdooError:
    rows = states(session, ORDER, [shipment.order_id], [])
    if shipment.order_id not in rows:
        return gone(session, ORDER, shipment.order_id)
    if rows[shipment.order_id]["state"] not in ("sale", "done"):
        return unfit(
            session, ORDER, shipment.order_id, "the order is not confirmed", "confirm it before it is delivered"
        )
    return unfit(
        session,
        ORDER,
        shipment.order_id,
        f"shipment {shipment.key} finds nothing left to deliver",
        "compare the shipments of the order with its transfers in UniERP",
    )


def _set_quantities(
    session: OdooSession, shipments: Sequence[Shipment], pickings: Mapping[str, int]
) -> dict[str, OdooError]:
    """Sets what was sent on the moves; the errors of shipments that ask for lines their transfer does not have."""
    features = session.features
    quantity = features.field(MOVE, "done")
    picked = features.has(MOVE, "picked")
    # Reserved quantities count as done on servers where a move has only one quantity.
    fields = ["picking_id", "sale_line_id", "product_uom_qty", "state", "move_line_ids", quantity]
    moves = session.call(
        MOVE,
        "search_read",
        [["picking_id", "in", [pickings[shipment.key] for shipment in shipments]], ["state", "not in", ENDED]],
        [*fields, *(["picked"] if picked else [])],
        order="id",
    )
    by_picking: dict[int, list[Row]] = {}
    for move in moves:
        by_picking.setdefault(move["picking_id"][0], []).append(move)
    changes: dict[int, dict[str, Any]] = {}
    split: dict[int, Decimal] = {}
    errors: dict[str, OdooError] = {}
    for shipment in shipments:
        own = by_picking.get(pickings[shipment.key], [])
        sent = _allot(own, shipment.quantities)
        left = set(shipment.quantities or ()) - {ref(move["sale_line_id"]) for move in own}
        left = {line for line in left if (shipment.quantities or {})[line]}
        if not any(sent.values()) or (left and _goods(session, left)):
            lines = ", ".join(map(str, sorted(left))) or "none"
            errors[shipment.key] = unfit(
                session,
                PICKING,
                pickings[shipment.key],
                f"the transfer has nothing open for shipment {shipment.key} (lines without a move: {lines})",
                "compare the shipments of the order with its transfers in UniERP",
            )
            continue
        whole = all(sent[move["id"]] == Decimal(repr(move[quantity])) for move in own)
        for move in own:
            amount = sent[move["id"]]
            if picked and whole:
                # nothing picked and everything reserved: validation takes it all
                if any(other["picked"] for other in own):
                    changes[move["id"]] = {"picked": True}
            elif not picked and len(move["move_line_ids"]) > 1:
                split[move["id"]] = amount
            elif picked:
                changes[move["id"]] = {quantity: amount, "picked": bool(amount)}
            elif amount != Decimal(repr(move[quantity])):
                changes[move["id"]] = {quantity: amount}
    insist(write_changed(session, MOVE, changes))
    if split:
        _set_lines(session, split)
    return errors


def _allot(moves: Sequence[Row], quantities: Mapping[int, Decimal] | None) -> dict[int, Decimal]:
    """What of a shipment each move carries: filled in order, what is more than was asked for goes to the last."""
    if quantities is None:
        return {move["id"]: Decimal(repr(move["product_uom_qty"])) for move in moves}
    rest = dict(quantities)
    last = {ref(move["sale_line_id"]): move["id"] for move in moves}
    sent: dict[int, Decimal] = {}
    for move in moves:
        line = ref(move["sale_line_id"])
        left = rest.get(line, Decimal(0)) if line is not None else Decimal(0)
        amount = left if last[line] == move["id"] else min(left, Decimal(repr(move["product_uom_qty"])))
        sent[move["id"]] = amount
        if line is not None:
            rest[line] = left - amount
    return sent


def _goods(session: OdooSession, lines: set[int]) -> bool:
    """True if one of the order lines is for goods, which need a transfer, rather than a service."""
    rows = read(session, "sale.order.line", lines, ["product_id"])
    products = read(
        session, "product.product", [id_ for row in rows.values() if (id_ := ref(row["product_id"]))], ["type"]
    )
    return len(rows) < len(lines) or any(row["type"] != "service" for row in products.values())


def _set_lines(session: OdooSession, moves: Mapping[int, Decimal]) -> None:
    """Done quantities of moves reserved from several places (before moves could do this themselves)."""
    done = session.features.field(LINE, "done")
    rows = session.call(
        LINE, "search_read", [["move_id", "in", list(moves)]], ["move_id", "product_uom_qty"], order="id"
    )
    last = {row["move_id"][0]: row["id"] for row in rows}
    rest = dict(moves)
    changes: dict[int, dict[str, Any]] = {}
    for row in rows:
        move = row["move_id"][0]
        reserved = Decimal(repr(row["product_uom_qty"]))
        amount = rest[move] if last[move] == row["id"] else min(rest[move], reserved)
        changes[row["id"]] = {done: amount}
        rest[move] -= amount
    insist(write_changed(session, LINE, changes))


def _mark(
    session: OdooSession,
    part: Sequence[Shipment],
    pickings: Mapping[str, int],
    rows: Mapping[int, Row],
    carriers: Mapping[str, int],
    written: set[str],
) -> None:
    """Writes date, tracking number and carrier on done transfers where they differ."""
    changes: dict[int, dict[str, Any]] = {}
    for shipment in part:
        id_ = pickings.get(shipment.key)
        if id_ is None or id_ not in rows or rows[id_]["state"] != "done":
            continue
        row = rows[id_]
        change: dict[str, Any] = {}
        shipped_at = shipment.shipped_at.astimezone(UTC).replace(microsecond=0)
        if instant(row["date_done"]) != shipped_at:
            change["date_done"] = shipped_at
        if shipment.tracking_number and row["carrier_tracking_ref"] != shipment.tracking_number:
            change["carrier_tracking_ref"] = shipment.tracking_number
        if shipment.carrier:
            carrier = carriers.get(shipment.carrier.casefold())
            if carrier is not None and ref(row["carrier_id"]) != carrier:
                change["carrier_id"] = carrier
            if carrier is None and shipment.carrier not in html.unescape(row["note"] or ""):
                change["note"] = shipment.carrier
        if change:
            changes[id_] = change
            written.add(shipment.key)
    insist(write_changed(session, PICKING, changes))


def not_done(session: OdooSession, id_: int, rows: Mapping[int, Row]) -> OdooError | None:
    """The error of a transfer that is gone, or not done after it was validated."""
    if id_ not in rows:
        return gone(session, PICKING, id_)
    state = rows[id_]["state"]
    if state == "done":
        return None
    return unfit(
        session,
        PICKING,
        id_,
        f"the transfer did not become done but {state}",
        "validate it in UniERP to see what it asks",
    )
