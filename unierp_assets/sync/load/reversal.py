"""Taking documents back by their counter-documents: the names these get, and what of an order has to be taken back.

Used where the shop cancels an order and where a person undoes a run. How a document is reversed in UniERP belongs to
:mod:`unierp_assets.odoo.documents`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from unierp_assets.odoo import Credit, OdooError, Outcome, Return, credit_invoices, read, return_deliveries, values
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.load.codec import external_name

ORDER, PICKING = "sale.order", "stock.picking"


def return_goods(context: SyncContext, pickings: Iterable[int]) -> dict[int, Outcome[str]]:
    """Takes deliveries back whole; outcomes by id of the delivery."""
    names = {external_name("returns", str(id_)): id_ for id_ in pickings}
    now = datetime.now(UTC).replace(microsecond=0)
    outcomes = return_deliveries(
        context.session, context.namespace, [Return(name, id_, now) for name, id_ in names.items()]
    )
    return {names[outcome.key]: outcome for outcome in outcomes}


def credit(context: SyncContext, invoices: Iterable[int], reason: str) -> dict[int, Outcome[str]]:
    """Credits invoices whole, to the cent of each; outcomes by id of the invoice."""
    model = context.session.features.model("invoice")
    rows = read(context.session, model, invoices, ["amount_total"])
    names = {external_name("credit_notes", str(id_)): id_ for id_ in rows}
    today = datetime.now(ZoneInfo(context.time_zone)).date()
    outcomes = credit_invoices(
        context.session,
        context.namespace,
        [
            Credit(name, id_, today, reason, values.decimal(rows[id_]["amount_total"], 2) or Decimal(0))
            for name, id_ in names.items()
        ],
    )
    return {names[outcome.key]: outcome for outcome in outcomes}


def take_back(context: SyncContext, orders: Iterable[int], reason: str) -> dict[int, OdooError]:
    """Returns what these orders delivered and credits what they invoiced, so that they can be cancelled; the errors by
    id of the order. What the customer paid stays as the customer's credit."""
    session = context.session
    stock = session.features.has(ORDER, "picking_ids")
    rows = read(session, ORDER, orders, ["invoice_ids", *(["picking_ids"] if stock else [])])
    order_of = {id_: order for order, row in rows.items() for id_ in row.get("picking_ids", ())}
    pickings = read(session, PICKING, order_of, ["state", "picking_type_code"]) if order_of else {}
    left = [id_ for id_, row in pickings.items() if (row["state"], row["picking_type_code"]) == ("done", "outgoing")]
    invoiced = {id_: order for order, row in rows.items() for id_ in row["invoice_ids"]}
    model = session.features.model("invoice")
    kind = session.features.field(model, "type") if model == "account.move" else "type"
    invoices = read(session, model, invoiced, ["state", kind]) if invoiced else {}
    posted = [
        id_ for id_, row in invoices.items() if row[kind] == "out_invoice" and row["state"] not in ("draft", "cancel")
    ]
    errors: dict[int, OdooError] = {}
    for id_, outcome in return_goods(context, left).items():
        if outcome.error:
            errors[order_of[id_]] = outcome.error
    # Goods come back before money goes out.
    for id_, outcome in credit(context, [id_ for id_ in posted if invoiced[id_] not in errors], reason).items():
        if outcome.error:
            errors[invoiced[id_]] = outcome.error
    return errors
