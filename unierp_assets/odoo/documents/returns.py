"""Deliveries taken back: one return transfer for all that a done transfer has moved.

Deliveries themselves are in :mod:`.deliveries`; what becomes of invoices and payments is in :mod:`.reversals`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from unierp_assets.odoo.batches import settle
from unierp_assets.odoo.bindings import bind, bindings
from unierp_assets.odoo.documents.deliveries import ENDED, LINE, MOVE, PICKING, VALIDATE_CONTEXT, not_done
from unierp_assets.odoo.documents.states import gone, insist, states, unfit
from unierp_assets.odoo.errors import OdooError
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.records import Row, write_changed
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import instant, ref

WIZARD = "stock.return.picking"
# The server computes in floats and rounds to the precision of units.
NOTHING = Decimal("0.00001")


@dataclass(frozen=True, slots=True)
class Return:
    """A delivery to take back completely. ``key`` becomes the external id of the return transfer; ``returned_at`` is
    aware."""

    key: str
    picking_id: int
    returned_at: datetime


class Goods(NamedTuple):
    """What tells quantities of one product apart: the place they left or come back to, lot, owner, unit (ids)."""

    place: int
    lot: int | None
    owner: int | None
    unit: int


Quantities = Mapping[Goods, Decimal]


@dataclass(frozen=True, slots=True)
class _Trail:
    """What done transfers have moved, and what has come back of it or is about to."""

    moved: Mapping[int, list[Row]]  # done moves by transfer
    back: Mapping[int, list[Row]]  # moves of returns by the move they return
    amounts: Mapping[int, Decimal]  # by move, in the unit the server's wizard counts in

    def returning(self, picking: int, *, done: bool) -> list[Row]:
        """The moves that have brought things of a transfer back, or those that still wait."""
        rows = [row for move in self.moved.get(picking, ()) for row in self.back.get(move["id"], ())]
        return [row for row in rows if (row["state"] == "done") == done]

    def out(self, picking: int) -> dict[int, Decimal]:
        """What has not come back yet, by move."""
        left = {move["id"]: self.amounts[move["id"]] for move in self.moved.get(picking, ())}
        for row in self.returning(picking, done=True):
            left[row["origin_returned_move_id"][0]] -= self.amounts[row["id"]]
        return {move: amount for move, amount in left.items() if amount >= NOTHING}

    def asked(self, picking: int) -> dict[int, Decimal]:
        """What the returns that wait are to bring back, by move."""
        asked: dict[int, Decimal] = {}
        for row in self.returning(picking, done=False):
            move = row["origin_returned_move_id"][0]
            asked[move] = asked.get(move, Decimal(0)) + self.amounts[row["id"]]
        return asked


def return_deliveries(
    session: OdooSession,
    namespace: str,
    returns: Sequence[Return],
    *,
    batch: int = 20,
    connections: int | None = None,
) -> list[Outcome[str]]:
    """Takes done transfers back, with the lots and to the places they left; delivered quantities of orders go down.

    What a person has returned already is left out; a transfer that came back completely is left alone. A transfer that
    is not done is cancelled instead: then ``id`` is that transfer itself, and otherwise the return. The return is given
    its external id before it is validated, so a repeated call goes on with the same one. Key: ``Return.key``.
    Raises ValueError if a transfer comes twice, :class:`OdooMissingModule` where the server has no stock."""
    session.features.require(PICKING, WIZARD)
    if len({one.picking_id for one in returns}) < len(returns):
        raise ValueError("a transfer is to be returned twice")

    written: set[str] = set()

    def act(part: list[Return]) -> list[Outcome[str]]:
        return _take_back(session, namespace, part, written)

    return settle(session, returns, act, key=lambda one: one.key, batch=batch, connections=connections, written=written)


def _take_back(session: OdooSession, namespace: str, part: Sequence[Return], written: set[str]) -> list[Outcome[str]]:
    """``written`` gets the keys of the returns that are about to be made, validated or dated."""
    ids = bindings(session, namespace, model=PICKING, names=[one.key for one in part])
    origins = states(session, PICKING, [one.picking_id for one in part], ["location_id"])
    unfinished = [one for one in part if one.picking_id in origins and origins[one.picking_id]["state"] not in ENDED]
    if unfinished:
        written.update(one.key for one in unfinished)
        session.step(PICKING, "action_cancel", [one.picking_id for one in unfinished])
        origins |= states(session, PICKING, [one.picking_id for one in unfinished], ["location_id"])
    trail = _trail(session, [id_ for id_, row in origins.items() if row["state"] == "done"])
    errors: dict[str, OdooError] = {}
    kept: dict[str, int] = {}
    adopted: dict[str, int] = {}
    new: list[Return] = []
    for one in part:
        if one.key in ids:
            continue
        found = _standing(session, one, origins, trail)
        if isinstance(found, OdooError):
            errors[one.key] = found
        elif found is None:
            new.append(one)
        elif origins[one.picking_id]["state"] == "done" and trail.out(one.picking_id):
            adopted[one.key] = found
        else:
            kept[one.key] = found
    written.update(adopted, (one.key for one in new))
    if new:
        adopted |= _create(session, new, origins, trail)
    if adopted:
        insist(bind(session, namespace, PICKING, adopted))
        ids |= adopted
    rows = states(session, PICKING, ids.values(), ["date_done"])
    todo = [one for one in part if one.key in ids and rows.get(ids[one.key], {"state": "done"})["state"] not in ENDED]
    if todo:
        written.update(one.key for one in todo)
        errors |= _set_quantities(session, todo, ids)
        good = [ids[one.key] for one in todo if one.key not in errors]
        if good:
            session.step(PICKING, session.features.way("validate"), good, context=VALIDATE_CONTEXT)
            rows |= states(session, PICKING, good, ["date_done"])
    _date(session, part, ids, rows, written)
    outcomes = []
    for one in part:
        error = errors.get(one.key)
        if error is None and one.key in ids:
            error = not_done(session, ids[one.key], rows)
        outcomes.append(Outcome(one.key, ids.get(one.key, kept.get(one.key)), error, changed=False))
    return outcomes


def _standing(session: OdooSession, one: Return, origins: Mapping[int, Row], trail: _Trail) -> int | OdooError | None:
    """What there is for a return without an external id: the cancelled transfer itself, the return that brought all
    of it back, or one that waits and would; an error where that cannot be said; None where there is none."""
    if one.picking_id not in origins:
        return gone(session, PICKING, one.picking_id)
    state = origins[one.picking_id]["state"]
    if state == "cancel":
        return one.picking_id
    if state != "done":
        message = f"the transfer did not become cancelled but {state}"
        return unfit(session, PICKING, one.picking_id, message, "cancel it in UniERP to see what it asks")
    out, asked = trail.out(one.picking_id), trail.asked(one.picking_id)
    came = {row["picking_id"][0] for row in trail.returning(one.picking_id, done=not out)}
    if not out:
        return max(came, default=one.picking_id)
    if not asked:
        return None
    if len(came) == 1 and asked.keys() == out.keys() and all(abs(asked[id_] - out[id_]) < NOTHING for id_ in out):
        return came.pop()
    return unfit(
        session,
        PICKING,
        one.picking_id,
        "a return of the transfer is open which does not ask for all that is still out",
        "finish or cancel that return in UniERP",
    )


def _trail(session: OdooSession, pickings: Sequence[int]) -> _Trail:
    if not pickings:
        return _Trail({}, {}, {})
    counted = session.features.field(MOVE, "returnable")
    fields = ["picking_id", "state", "product_id", "product_uom_qty", "location_id", "origin_returned_move_id", counted]
    # without what was scrapped on the way
    place = ["location_dest_id.usage", "!=", "inventory"]
    moved = session.call(
        MOVE, "search_read", [["picking_id", "in", list(pickings)], ["state", "=", "done"], place], fields, order="id"
    )
    origins = [move["id"] for move in moved]
    back = session.call(
        MOVE,
        "search_read",
        [["origin_returned_move_id", "in", origins], ["state", "!=", "cancel"]],
        fields,
        order="id",
    )
    by_picking: dict[int, list[Row]] = {}
    for move in moved:
        by_picking.setdefault(move["picking_id"][0], []).append(move)
    by_origin: dict[int, list[Row]] = {}
    for move in back:
        by_origin.setdefault(move["origin_returned_move_id"][0], []).append(move)
    # Where a move has only one quantity, that of an open one is what is reserved, not what is asked for.
    reserving = counted == session.features.field(MOVE, "done")
    amounts = {
        move["id"]: Decimal(repr(move["product_uom_qty" if reserving and move["state"] != "done" else counted]))
        for move in [*moved, *back]
    }
    return _Trail(by_picking, by_origin, amounts)


def _create(session: OdooSession, new: Sequence[Return], origins: Mapping[int, Row], trail: _Trail) -> dict[str, int]:
    """Return transfers by key, made by the server's own wizard."""
    # without it the order still counts the goods as delivered
    refund = {"to_refund": True} if session.features.has(f"{WIZARD}.line", "to_refund") else {}
    # where the wizard asks for a place, only its web form would fill it in
    placed = session.features.has(WIZARD, "location_id")
    wizards: list[dict[str, Any]] = []
    for one in new:
        products = {move["id"]: ref(move["product_id"]) for move in trail.moved[one.picking_id]}
        lines = [
            [0, 0, {"product_id": products[move], "move_id": move, "quantity": amount, **refund}]
            for move, amount in trail.out(one.picking_id).items()
        ]
        place = {"location_id": ref(origins[one.picking_id]["location_id"])} if placed else {}
        wizards.append({"picking_id": one.picking_id, "product_return_moves": lines, **place})
    made = session.step(WIZARD, "create", wizards)
    method = session.features.way("return")
    return {one.key: session.step(WIZARD, method, [id_])["res_id"] for one, id_ in zip(new, made, strict=True)}


def _set_quantities(session: OdooSession, returns: Sequence[Return], ids: Mapping[str, int]) -> dict[str, OdooError]:
    """Makes open returns bring back exactly what is out; the errors of those that ask for something else."""
    trail = _trail(session, [one.picking_id for one in returns])
    places = {move["id"]: "location_id" for moves in trail.moved.values() for move in moves}
    places |= {row["id"]: "location_dest_id" for rows in trail.back.values() for row in rows}
    goods = _goods(session, places)
    wanted: dict[int, tuple[Row, Quantities]] = {}
    errors: dict[str, OdooError] = {}
    for one in returns:
        came = trail.returning(one.picking_id, done=True)
        for row in trail.returning(one.picking_id, done=False):
            origin = ref(row["origin_returned_move_id"]) or 0
            earlier = [goods.get(other["id"], {}) for other in came if ref(other["origin_returned_move_id"]) == origin]
            left = still_out(goods.get(origin, {}), earlier)
            if row["picking_id"][0] != ids[one.key] or abs(sum(left.values()) - trail.amounts[row["id"]]) >= NOTHING:
                errors[one.key] = unfit(
                    session,
                    PICKING,
                    ids[one.key],
                    "the return does not ask for just what is still out",
                    "compare quantities and units with the transfer it returns, and validate it in UniERP",
                )
            wanted[row["id"]] = row, left
    bad = {ids[key] for key in errors}
    wanted = {id_: (row, left) for id_, (row, left) in wanted.items() if row["picking_id"][0] not in bad}
    wrong = [id_ for id_, (_, left) in wanted.items() if goods.get(id_, {}) != left]
    if wrong:
        there = session.call(LINE, "search", [["move_id", "in", wrong]])
        if there:
            session.step(LINE, "unlink", there)
        session.step(LINE, "create", [line for id_ in wrong for line in _lines(session, *wanted[id_])])
    if wanted and session.features.has(MOVE, "picked"):
        # or only the moves whose lines were made here would be validated
        session.step(MOVE, "write", list(wanted), {"picked": True})
    return errors


def _goods(session: OdooSession, places: Mapping[int, str]) -> dict[int, dict[Goods, Decimal]]:
    """Quantities done by move; ``places`` says for each move which of its ends counts."""
    done = session.features.field(LINE, "done")
    rows = session.call(
        LINE,
        "search_read",
        [["move_id", "in", list(places)]],
        ["move_id", "location_id", "location_dest_id", "lot_id", "owner_id", "product_uom_id", done],
        order="id",
    )
    goods: dict[int, dict[Goods, Decimal]] = {}
    for row in rows:
        move = row["move_id"][0]
        kind = Goods(row[places[move]][0], ref(row["lot_id"]), ref(row["owner_id"]), row["product_uom_id"][0])
        own = goods.setdefault(move, {})
        own[kind] = own.get(kind, Decimal(0)) + Decimal(repr(row[done]))
    return goods


def still_out(taken: Quantities, returned: Sequence[Quantities]) -> dict[Goods, Decimal]:
    """What is still out of what was taken. A return counts for the same lot, owner and unit, and for the place it went
    to before all others."""
    left = dict(taken)
    for quantities in returned:
        for back, quantity in quantities.items():
            rest = quantity
            same = [kind for kind in left if kind[1:] == back[1:]]
            for kind in sorted(same, key=lambda kind: kind.place != back.place):
                part = min(rest, left[kind])
                left[kind] -= part
                rest -= part
    return {kind: quantity for kind, quantity in left.items() if quantity >= NOTHING}


def _lines(session: OdooSession, move: Row, quantities: Quantities) -> list[dict[str, Any]]:
    return [
        {
            "move_id": move["id"],
            "picking_id": ref(move["picking_id"]),
            "product_id": ref(move["product_id"]),
            "location_id": ref(move["location_id"]),
            "location_dest_id": kind.place,
            "lot_id": kind.lot,
            "owner_id": kind.owner,
            "product_uom_id": kind.unit,
            session.features.field(LINE, "done"): quantity,
        }
        for kind, quantity in quantities.items()
    ]


def _date(
    session: OdooSession, part: Sequence[Return], ids: Mapping[str, int], rows: Mapping[int, Row], written: set[str]
) -> None:
    """Writes the date on done returns where it differs."""
    changes: dict[int, dict[str, Any]] = {}
    for one in part:
        row = rows.get(ids.get(one.key, 0))
        returned_at = one.returned_at.astimezone(UTC).replace(microsecond=0)
        if row and row["state"] == "done" and instant(row["date_done"]) != returned_at:
            changes[row["id"]] = {"date_done": returned_at}
            written.add(one.key)
    insist(write_changed(session, PICKING, changes))
