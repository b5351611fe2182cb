"""Customer invoices of sale orders: one for the whole order, made, compared to the cent, posted.

Payments are in :mod:`.payments`; credit notes and supplier bills do not belong here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from unierp_assets.odoo.batches import settle
from unierp_assets.odoo.bindings import bind, bindings
from unierp_assets.odoo.documents.states import gone, insist, states, unfit
from unierp_assets.odoo.errors import OdooError
from unierp_assets.odoo.loading import load_new
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.records import Row, read
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import decimal, ref

ORDER = "sale.order"
ORDER_LINE = "sale.order.line"
POSTED = ("posted", "open", "paid", "in_payment")
# Currencies of Odoo are rounded to at most so many places; used to compare what the server computed in floats.
PLACES = 6


@dataclass(frozen=True, slots=True)
class Invoice:
    """The one invoice of an order. ``key`` becomes its external id; ``reference`` its customer reference;
    ``payment_reference`` what a bank statement shows. ``total`` (order's currency, tax included) is what it must come
    to; None compares with the order's own total. ``due_date`` defaults to the payment terms."""

    key: str
    order_id: int
    invoice_date: date
    reference: str | None = None
    payment_reference: str | None = None
    due_date: date | None = None
    total: Decimal | None = None


def invoice_orders(
    session: OdooSession,
    namespace: str,
    invoices: Sequence[Invoice],
    *,
    batch: int = 50,
    connections: int | None = None,
) -> list[Outcome[str]]:
    """Makes one draft invoice per order over all its lines, whatever the invoicing policy, in the order's currency.

    Found by external id first, then by the order's own invoices. An invoice whose total differs from the expected one
    fails with :class:`OdooValidationError` and stays draft (``id`` is set). Key: ``Invoice.key``."""
    session.features.require(ORDER, session.features.model("invoice"))

    written: set[str] = set()

    def act(part: list[Invoice]) -> list[Outcome[str]]:
        return _make(session, namespace, part, written)

    # Older servers number the first invoice of a month while it is a draft: two connections would give it twice.
    lanes = session.features.number_lanes(connections)
    return settle(
        session, invoices, act, key=lambda invoice: invoice.key, batch=batch, connections=lanes, written=written
    )


def _make(session: OdooSession, namespace: str, part: Sequence[Invoice], written: set[str]) -> list[Outcome[str]]:
    """``written`` gets the keys of the invoices that are about to be made or bound."""
    model = session.features.model("invoice")
    ids = bindings(session, namespace, model=model, names=[invoice.key for invoice in part])
    orders = states(session, ORDER, [invoice.order_id for invoice in part], _order_fields(session))
    errors: dict[str, OdooError] = {}
    new: list[Invoice] = []
    adopted: dict[str, int] = {}
    loose = {
        id_ for i in part if i.key not in ids for id_ in orders.get(i.order_id, {"invoice_ids": ()})["invoice_ids"]
    }
    others = states(session, model, loose, [kind_field(session)])
    for invoice in part:
        if invoice.key in ids:
            continue
        order = orders.get(invoice.order_id)
        if order is None:
            errors[invoice.key] = gone(session, ORDER, invoice.order_id)
            continue
        known = [
            id_
            for id_ in order["invoice_ids"]
            if id_ in others and others[id_]["state"] != "cancel" and others[id_][kind_field(session)] == "out_invoice"
        ]
        if len(known) > 1:
            errors[invoice.key] = unfit(
                session, ORDER, invoice.order_id, "the order has several invoices", "keep one of them in UniERP"
            )
        elif known:
            adopted[invoice.key] = known[0]
        elif order["state"] not in ("sale", "done"):
            errors[invoice.key] = unfit(
                session, ORDER, invoice.order_id, "the order is not confirmed", "confirm it before it is invoiced"
            )
        else:
            new.append(invoice)
    written.update(adopted, (invoice.key for invoice in new))
    insist(bind(session, namespace, model, adopted))
    ids |= adopted
    if new:
        ids |= _create(session, namespace, model, new, orders)
    rows = states(session, model, ids.values(), ["amount_total"])
    return [
        Outcome(
            invoice.key,
            ids.get(invoice.key),
            errors.get(invoice.key) or _differing(session, model, invoice, ids[invoice.key], rows, orders),
            changed=False,
        )
        for invoice in part
    ]


def kind_field(session: OdooSession) -> str:
    """The field that tells customer invoices from refunds and bills."""
    if session.features.model("invoice") == "account.invoice":
        return "type"
    return session.features.field("account.move", "type")


# Field of the invoice: field of the order it is taken from.
_TAKEN = {
    "partner_id": "partner_invoice_id",
    "partner_shipping_id": "partner_shipping_id",
    "currency_id": "currency_id",
    "fiscal_position_id": "fiscal_position_id",
    "invoice_payment_term_id": "payment_term_id",
    "invoice_user_id": "user_id",
    "team_id": "team_id",
}


def _order_fields(session: OdooSession) -> list[str]:
    return ["name", "amount_total", "invoice_ids", "order_line", *dict.fromkeys(_TAKEN.values())]


def _create(
    session: OdooSession, namespace: str, model: str, new: Sequence[Invoice], orders: Mapping[int, Row]
) -> dict[str, int]:
    if model == "account.invoice":
        return _create_by_order(session, namespace, new)
    tax, uom = session.features.field(ORDER_LINE, "tax"), session.features.field(ORDER_LINE, "uom")
    fields = ["product_id", "name", "product_uom_qty", "price_unit", "discount", "sequence", "display_type", tax, uom]
    lines = read(session, ORDER_LINE, [id_ for i in new for id_ in orders[i.order_id]["order_line"]], fields)
    kind, payment_reference = kind_field(session), session.features.field("account.move", "payment_reference")
    taken = {name: source for name, source in _TAKEN.items() if session.features.has(model, name)}
    dues = any(invoice.due_date for invoice in new)
    columns = ["id", kind, *(f"{name}/.id" for name in taken)]
    columns += ["invoice_date", "invoice_origin", "ref", payment_reference]
    columns += ["invoice_date_due"] if dues else []
    line_columns = ["product_id/.id", "name", "quantity", "price_unit", "discount", "sequence"]
    line_columns += ["product_uom_id/.id", "tax_ids/.id", "sale_line_ids/.id"]
    columns += [f"invoice_line_ids/{name}" for name in line_columns]
    rows: list[list[Any]] = []
    keys: list[str] = []
    for invoice in new:
        order = orders[invoice.order_id]
        head: list[Any] = [f"{namespace}.{invoice.key}", "out_invoice", *(ref(order[name]) for name in taken.values())]
        head += [invoice.invoice_date, order["name"], invoice.reference, invoice.payment_reference]
        head += [invoice.due_date] if dues else []
        for id_ in order["order_line"]:
            line = lines[id_]
            if line["display_type"]:
                continue
            cells = [ref(line["product_id"]), line["name"], line["product_uom_qty"], line["price_unit"]]
            cells += [line["discount"], line["sequence"], ref(line[uom]), line[tax], id_]
            rows.append([*head, *cells])
            keys.append(invoice.key)
    return load_new(session, model, columns, rows, keys=keys, context={f"default_{kind}": "out_invoice"})


def _create_by_order(session: OdooSession, namespace: str, new: Sequence[Invoice]) -> dict[str, int]:
    """Odoo 12, whose invoices the orders make themselves (by their invoicing policy)."""
    model = "account.invoice"
    session.step(ORDER, "action_invoice_create", [invoice.order_id for invoice in new], True)
    orders = read(session, ORDER, [invoice.order_id for invoice in new], ["invoice_ids"])
    ids: dict[str, int] = {}
    for invoice in new:
        found = orders[invoice.order_id]["invoice_ids"]
        if not found:
            raise unfit(session, ORDER, invoice.order_id, "nothing to invoice", "deliver the order first")
        ids[invoice.key] = max(found)
        values: dict[str, Any] = {"date_invoice": invoice.invoice_date, "name": invoice.reference}
        values |= {"reference": invoice.payment_reference} if invoice.payment_reference else {}
        values |= {"date_due": invoice.due_date} if invoice.due_date else {}
        session.step(model, "write", [ids[invoice.key]], values)
    insist(bind(session, namespace, model, ids))
    return ids


def _differing(
    session: OdooSession, model: str, invoice: Invoice, id_: int, rows: Mapping[int, Row], orders: Mapping[int, Row]
) -> OdooError | None:
    """The error of an invoice that is gone, cancelled or does not come to what was expected."""
    if id_ not in rows:
        return gone(session, model, id_)
    if rows[id_]["state"] == "cancel":
        return unfit(session, model, id_, "the invoice is cancelled", "reset it to draft in UniERP")
    total = decimal(rows[id_]["amount_total"], PLACES)
    expected = invoice.total
    if expected is None:
        if invoice.order_id not in orders:
            return gone(session, ORDER, invoice.order_id)
        expected = decimal(orders[invoice.order_id]["amount_total"], PLACES)
    if total == expected:
        return None
    return unfit(
        session,
        model,
        id_,
        f"the invoice of order {invoice.order_id} comes to {total.normalize():f} instead of {expected.normalize():f}",
        "compare taxes, rounding and discounts of the order; the invoice was left as it is",
    )


def post_invoices(
    session: OdooSession, ids: Sequence[int], *, batch: int = 50, connections: int | None = None
) -> list[Outcome[int]]:
    """Posts draft invoices; posted ones are left alone, cancelled ones fail. Key: invoice id."""
    model = session.features.model("invoice")
    method = "action_invoice_open" if model == "account.invoice" else "action_post"

    lanes = session.features.number_lanes(connections)
    written: set[int] = set()
    numbers_on_posting = model == "account.invoice" or session.features.choose("parallel_numbers")

    def act(part: list[int]) -> list[Outcome[int]]:
        rows = states(session, model, part, ["name"])
        drafts = [id_ for id_, row in rows.items() if row["state"] == "draft"]
        numbered = [id_ for id_ in drafts if rows[id_]["name"] not in (False, "/")]
        if numbered and not numbers_on_posting:
            # Given to a draft, a number may have been given away since: it gets its own when it is posted.
            session.step(model, "write", numbered, {"name": "/"})
        if drafts:
            written.update(drafts)
            session.step(model, method, drafts)
            rows |= states(session, model, drafts, [])
        outcomes = []
        for id_ in part:
            error: OdooError | None = None
            if id_ not in rows:
                error = gone(session, model, id_)
            elif rows[id_]["state"] not in POSTED:
                state = rows[id_]["state"]
                error = unfit(session, model, id_, f"the invoice is not posted but {state}", "look at it in UniERP")
            outcomes.append(Outcome(id_, id_, error, changed=False))
        return outcomes

    wanted = list(dict.fromkeys(ids))
    return settle(session, wanted, act, key=lambda id_: id_, batch=batch, connections=lanes, written=written)
