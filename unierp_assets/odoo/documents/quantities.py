"""Open transfers made to agree with the lines of their orders after those were changed.

What servers do by themselves when a line of a confirmed order changes: a new line and a higher quantity get a move
everywhere. A lower quantity, or zero, leaves the moves as they are on Odoo 14. Odoo 19 lowers the move whose dates are
still those the order would give it; beside any other one, which an order has whose date was restored after it was
confirmed, it plans a receipt of goods that never left. Changing the lines belongs to the callers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from unierp_assets.odoo.batches import settle
from unierp_assets.odoo.documents.deliveries import ENDED, MOVE, ORDER, PICKING
from unierp_assets.odoo.documents.states import gone, insist, states, unfit
from unierp_assets.odoo.errors import OdooError
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.records import Row, read, write_changed
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import ref

LINE = "sale.order.line"
# The server computes in floats and rounds to the precision of units.
NOTHING = Decimal("0.00001")


@dataclass(slots=True)
class _Line:
    """An order line and its open moves; quantities are in the unit of the product."""

    order: int
    due: Decimal  # ordered and not delivered
    moves: dict[int, Decimal] = field(default_factory=dict)  # to the customer, in order
    receipts: dict[int, Decimal] = field(default_factory=dict)  # of goods that never left


def follow_quantities(
    session: OdooSession, order_ids: Sequence[int], *, batch: int = 20, connections: int | None = None
) -> list[Outcome[int]]:
    """Makes the open moves of confirmed orders come to what is ordered less what is delivered.

    Moves are lowered from the last one backwards, the last one is raised, and a transfer with nothing left to move is
    cancelled; stock is reserved anew. Receipts that the server planned for goods that never left are cancelled, returns
    that somebody waits for are not. Lines that never had a move (services, drop shipments) are passed over, orders that
    are not confirmed are left alone. Where something is neither delivered nor in an open move, because its transfer was
    cancelled or the goods came back, the order fails with :class:`OdooValidationError`: whether it is sent again is for
    a person to say. Of deliveries in several steps only the moves that belong to the order line are changed.
    Key: order id."""
    session.features.require_field(MOVE, "sale_line_id")
    written: set[int] = set()
    touched: set[int] = set()

    def act(part: list[int]) -> list[Outcome[int]]:
        return _follow(session, part, written, touched)

    wanted = list(dict.fromkeys(order_ids))
    return settle(session, wanted, act, key=lambda id_: id_, batch=batch, connections=connections, written=written)


def _follow(session: OdooSession, part: Sequence[int], written: set[int], touched: set[int]) -> list[Outcome[int]]:
    """``written`` gets the orders about to be changed, ``touched`` the transfers whose stock is to be reserved anew
    (kept by the caller: after a lost answer nothing else tells them)."""
    orders = states(session, ORDER, part, [])
    confirmed = [id_ for id_, row in orders.items() if row["state"] in ("sale", "done")]
    moves = _moves(session, confirmed)
    lines, per = _lines(session, moves)
    wanted: dict[int, Decimal] = {}
    errors: dict[int, OdooError] = {id_: gone(session, ORDER, id_) for id_ in part if id_ not in orders}
    for id_, line in lines.items():
        changes, lacking = spread(line.moves, line.due)
        changes |= {move: Decimal(0) for move, quantity in line.receipts.items() if quantity >= NOTHING}
        if changes:
            written.add(line.order)
        wanted |= changes
        if lacking:
            errors[line.order] = unfit(
                session,
                LINE,
                id_,
                f"{lacking.normalize():f} of the line are neither delivered nor in an open transfer",
                "lower the ordered quantity, or make a transfer in UniERP",
            )
    emptied = _emptied(session, moves, wanted)
    if emptied:
        session.step(PICKING, "action_cancel", sorted(emptied))
    demands = {
        id_: {"product_uom_qty": quantity / per[id_]}
        for id_, quantity in wanted.items()
        if ref(moves[id_]["picking_id"]) not in emptied
    }
    touched |= _ids((moves[id_] for id_ in demands), "picking_id")
    insist(write_changed(session, MOVE, demands))
    again = sorted(touched & _ids(moves.values(), "picking_id"))
    if again:
        session.step(PICKING, "action_assign", again)
        touched.difference_update(again)
    return [Outcome(id_, id_, errors.get(id_), changed=False) for id_ in part]


def spread(moves: Mapping[int, Decimal], due: Decimal) -> tuple[dict[int, Decimal], Decimal]:
    """The new quantities of open moves that are to come to ``due``, and what is lacking where there is no move."""
    excess = sum(moves.values(), Decimal(0)) - due
    if excess <= -NOTHING:
        if not moves:
            return {}, -excess
        last = list(moves)[-1]
        return {last: moves[last] - excess}, Decimal(0)
    changes: dict[int, Decimal] = {}
    for id_ in reversed(list(moves)):
        part = min(excess, moves[id_])
        if part >= NOTHING:
            changes[id_] = moves[id_] - part
            excess -= part
    return changes, Decimal(0)


def _moves(session: OdooSession, orders: Sequence[int]) -> dict[int, Row]:
    """All moves of the lines of orders, ended ones too, in order."""
    if not orders:
        return {}
    fields = ["sale_line_id", "product_id", "product_uom", "product_uom_qty", "picking_id", "state", "location_id"]
    fields += [_aim(session), "origin_returned_move_id"]
    rows = session.call(MOVE, "search_read", [["sale_line_id.order_id", "in", list(orders)]], fields, order="id")
    return {row["id"]: row for row in rows}


def _aim(session: OdooSession) -> str:
    """The field that says where the goods of a move are to end, by this or by a later step."""
    return session.features.field(MOVE, "aim")


def _lines(session: OdooSession, moves: Mapping[int, Row]) -> tuple[dict[int, _Line], dict[int, Decimal]]:
    """The order lines that have moves, and how many of the product's unit one unit of each move is."""
    uom, ratio = session.features.field(LINE, "uom"), session.features.field("uom.uom", "ratio")
    fields = ["order_id", "product_id", "product_uom_qty", "qty_delivered", uom]
    rows = read(session, LINE, _ids(moves.values(), "sale_line_id"), fields)
    products = read(session, "product.product", _ids(rows.values(), "product_id"), ["uom_id"])
    units = _ids(moves.values(), "product_uom") | _ids(rows.values(), uom) | _ids(products.values(), "uom_id")
    ratios = {id_: Decimal(repr(row[ratio])) for id_, row in read(session, "uom.uom", units, [ratio]).items()}
    places = _ids(moves.values(), "location_id") | _ids(moves.values(), _aim(session))
    customers = {
        id_ for id_, row in read(session, "stock.location", places, ["usage"]).items() if row["usage"] == "customer"
    }
    lines: dict[int, _Line] = {}
    per: dict[int, Decimal] = {}
    for id_, move in moves.items():
        row = rows[move["sale_line_id"][0]]
        if ref(move["product_id"]) != ref(row["product_id"]):
            continue  # a part of a kit
        base = ratios[products[row["product_id"][0]]["uom_id"][0]]
        per[id_] = ratios[move["product_uom"][0]] / base
        due = Decimal(repr(row["product_uom_qty"])) - Decimal(repr(row["qty_delivered"]))
        due *= ratios[row[uom][0]] / base
        line = lines.setdefault(row["id"], _Line(row["order_id"][0], max(due, Decimal(0))))
        if move["state"] in ENDED:
            continue
        quantity = Decimal(repr(move["product_uom_qty"])) * per[id_]
        if ref(move["location_id"]) not in customers:
            if ref(move[_aim(session)]) in customers:
                line.moves[id_] = quantity
        elif not move["origin_returned_move_id"]:
            line.receipts[id_] = quantity
    return lines, per


def _ids(rows: Iterable[Row], name: str) -> set[int]:
    return {id_ for row in rows if (id_ := ref(row[name])) is not None}


def _emptied(session: OdooSession, moves: Mapping[int, Row], wanted: Mapping[int, Decimal]) -> set[int]:
    """Transfers that will have nothing left to move."""
    pickings = _ids((moves[id_] for id_, quantity in wanted.items() if quantity < NOTHING), "picking_id")
    if not pickings:
        return set()
    domain = [["picking_id", "in", sorted(pickings)], ["state", "not in", ENDED]]
    rows = session.call(MOVE, "search_read", domain, ["picking_id", "product_uom_qty"])
    kept = [row for row in rows if wanted.get(row["id"], Decimal(repr(row["product_uom_qty"]))) >= NOTHING]
    return pickings - _ids(kept, "picking_id")
