"""How far sale orders have got: what has left, what was invoiced, what was paid; read from all their documents.

Documents people made by hand count like ours. Nothing is written here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from unierp_assets.odoo.documents.invoices import ORDER, ORDER_LINE, PLACES, POSTED
from unierp_assets.odoo.documents.states import states
from unierp_assets.odoo.records import Row, newest_writes, read, search_read
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import decimal, encode, instant, ref, text

PICKING = "stock.picking"
REFUND = "out_refund"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one order has got. ``delivery_status`` is None (nothing has left), `partial` or `full`. ``invoiced`` is
    what was invoiced less what was credited, ``paid`` what was received less what was paid back, in the order's
    currency; drafts and cancelled documents do not count."""

    delivery_status: str | None = None
    tracking_numbers: tuple[str, ...] = ()
    invoice_numbers: tuple[str, ...] = ()
    invoiced: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)


def order_progress(session: OdooSession, ids: Iterable[int]) -> dict[int, Progress]:
    """The progress of each of these orders that exists."""
    wanted = list(dict.fromkeys(ids))
    orders = read(session, ORDER, wanted, ["invoice_ids"])
    delivered = _deliveries(session, list(orders))
    trackings = _trackings(session, list(orders))
    model = session.features.model("invoice")
    kind = session.features.field(model, "type") if model == "account.move" else "type"
    number = "name" if model == "account.move" else "number"
    documents = states(
        session,
        model,
        {id_ for row in orders.values() for id_ in row["invoice_ids"]},
        [number, kind, "amount_total", "amount_residual" if model == "account.move" else "residual"],
    )
    found = {}
    for id_, row in orders.items():
        posted = [documents[each] for each in row["invoice_ids"] if each in documents]
        posted = [document for document in posted if document["state"] in POSTED]
        found[id_] = Progress(
            delivered.get(id_),
            tuple(sorted(trackings.get(id_, ()))),
            tuple(sorted(str(document[number]) for document in posted)),
            sum((_signed(document, kind, _total(document)) for document in posted), Decimal(0)),
            sum((_signed(document, kind, _total(document) - _open(document)) for document in posted), Decimal(0)),
        )
    return found


def _total(document: Row) -> Decimal:
    return decimal(document["amount_total"], PLACES) or Decimal(0)


def _open(document: Row) -> Decimal:
    return decimal(document.get("amount_residual", document.get("residual")), PLACES) or Decimal(0)


def _signed(document: Row, kind: str, amount: Decimal) -> Decimal:
    return -amount if document[kind] == REFUND else amount


def _deliveries(session: OdooSession, orders: list[int]) -> dict[int, str]:
    if not session.features.has(ORDER_LINE, "qty_delivered_method"):
        return {}
    domain = [["order_id", "in", orders], ["qty_delivered_method", "=", "stock_move"]]
    fields = ["order_id", "product_uom_qty", "qty_delivered"]
    ordered: dict[int, list[tuple[Decimal, Decimal]]] = {}
    for line in search_read(session, ORDER_LINE, domain, fields):
        quantities = decimal(line["product_uom_qty"], PLACES), decimal(line["qty_delivered"], PLACES)
        ordered.setdefault(ref(line["order_id"]) or 0, []).append(
            (quantities[0] or Decimal(0), quantities[1] or Decimal(0))
        )
    found = {}
    for order, lines in ordered.items():
        if all(done >= wanted for wanted, done in lines) and any(done for _, done in lines):
            found[order] = "full"
        elif any(done for _, done in lines):
            found[order] = "partial"
    return found


def _trackings(session: OdooSession, orders: list[int]) -> dict[int, set[str]]:
    if not session.features.has(PICKING, "carrier_tracking_ref"):
        return {}
    domain = [["sale_id", "in", orders], ["state", "=", "done"], ["carrier_tracking_ref", "!=", False]]
    found: dict[int, set[str]] = {}
    for picking in search_read(session, PICKING, domain, ["sale_id", "carrier_tracking_ref"]):
        found.setdefault(ref(picking["sale_id"]) or 0, set()).add(str(text(picking["carrier_tracking_ref"])))
    return found


@dataclass(frozen=True, slots=True)
class Touched:
    """What was written of sales documents. ``orders``: ids of the orders. ``newest``: the newest of the instants, None
    where there are none. ``stamps``: for each transfer and invoice (``model:id``) the instant."""

    orders: set[int]
    newest: datetime | None
    stamps: dict[str, datetime]


def orders_touched_since(session: OdooSession, since: datetime | None) -> Touched:
    """The orders of which a transfer, an invoice or the order itself was written at or after ``since`` (aware; None
    for all)."""
    newest: list[datetime] = []
    stamps: dict[str, datetime] = {}

    def look(model: str, fields: list[str], domain: list[list[object]]) -> list[Row]:
        later: list[list[object]] = [["write_date", ">=", encode(since)]] if since else []
        rows = list(search_read(session, model, [*later, *domain], [*fields, "write_date"], archived=True))
        found = {row["id"]: stamp for row in rows if (stamp := instant(row["write_date"]))}
        newest.extend(found.values())
        if model != ORDER:
            stamps.update({f"{model}:{id_}": stamp for id_, stamp in found.items()})
        return rows

    touched = {row["id"] for row in look(ORDER, [], [])}
    for model, (field, domain) in _documents(session).items():
        rows = look(model, [field] if field else [], domain)
        if field:
            touched |= {ref(row[field]) or 0 for row in rows}
        elif rows:
            ids = [row["id"] for row in rows]
            touched |= {row["id"] for row in search_read(session, ORDER, [["invoice_ids", "in", ids]], [])}
    return Touched(touched, max(newest, default=None), stamps)


def documents_written_since(session: OdooSession, since: datetime | None, limit: int) -> dict[str, datetime]:
    """``model:id`` and instant of the transfers and invoices of sales written at or after ``since`` (aware; None for
    all): of each kind the newest, ``limit`` at most."""
    found: dict[str, datetime] = {}
    for model, (_, domain) in _documents(session).items():
        rows = newest_writes(session, model, since, limit=limit, domain=domain)
        found |= {f"{model}:{row['id']}": row["write_date"] for row in rows}
    return found


def _documents(session: OdooSession) -> dict[str, tuple[str | None, list[list[object]]]]:
    """The models of an order's documents: the field that names the order, if there is one, and which records count."""
    invoice = session.features.model("invoice")
    kind = session.features.field(invoice, "type") if invoice == "account.move" else "type"
    found: dict[str, tuple[str | None, list[list[object]]]] = {invoice: (None, [[kind, "in", ["out_invoice", REFUND]]])}
    if session.features.has(PICKING, "sale_id"):
        found[PICKING] = ("sale_id", [["sale_id", "!=", False]])
    return found
