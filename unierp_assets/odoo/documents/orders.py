"""Sale orders: confirmation and cancellation. How they are created belongs to the callers (``load``)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from unierp_assets.odoo.batches import settle
from unierp_assets.odoo.documents.invoices import PLACES, kind_field
from unierp_assets.odoo.documents.states import gone, insist, states, unfit
from unierp_assets.odoo.errors import OdooError
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.records import Row, search_read, write_changed
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import decimal, instant

ORDER = "sale.order"
PICKING = "stock.picking"


def confirm_orders(
    session: OdooSession,
    ids: Sequence[int],
    *,
    dates: Mapping[int, datetime] | None = None,
    batch: int = 50,
    connections: int | None = None,
) -> list[Outcome[int]]:
    """Confirms draft and sent orders and then restores ``date_order`` (UTC), which Odoo overwrites with now.

    Without ``dates`` the order keeps the date it had as a draft. Confirmed ones are left alone except for a date in
    ``dates`` that differs. Cancelled ones fail with :class:`OdooValidationError`. Key: order id."""
    written: set[int] = set()
    placed: dict[int, datetime] = {
        id_: date.astimezone(UTC).replace(microsecond=0) for id_, date in (dates or {}).items()
    }

    def act(part: list[int]) -> list[Outcome[int]]:
        before = states(session, ORDER, part, ["date_order"])
        drafts = [id_ for id_ in part if id_ in before and before[id_]["state"] in ("draft", "sent")]
        after = before
        for id_ in drafts:
            # kept from the first look: after a lost answer the order no longer knows it
            placed.setdefault(id_, instant(before[id_]["date_order"]) or datetime.now(UTC))
        if drafts:
            written.update(drafts)
            session.step(ORDER, "action_confirm", drafts)
            after = states(session, ORDER, part, ["date_order"])
        redated = {
            id_: {"date_order": placed[id_]}
            for id_, row in after.items()
            if row["state"] in ("sale", "done") and id_ in placed and instant(row["date_order"]) != placed[id_]
        }
        written.update(redated)
        insist(write_changed(session, ORDER, redated))
        return [Outcome(id_, id_, _not_confirmed(session, id_, after), changed=False) for id_ in part]

    wanted = list(dict.fromkeys(ids))
    return settle(session, wanted, act, key=lambda id_: id_, batch=batch, connections=connections, written=written)


def _not_confirmed(session: OdooSession, id_: int, rows: Mapping[int, Row]) -> OdooError | None:
    if id_ not in rows:
        return gone(session, ORDER, id_)
    if rows[id_]["state"] in ("sale", "done"):
        return None
    if rows[id_]["state"] == "cancel":
        return unfit(session, ORDER, id_, "the order is cancelled", "set it back to a quotation in UniERP or leave it")
    return unfit(session, ORDER, id_, "the order did not become confirmed", "confirm it in UniERP to see what it asks")


def cancel_orders(
    session: OdooSession, ids: Sequence[int], *, batch: int = 20, connections: int | None = None
) -> list[Outcome[int]]:
    """Cancels orders and their open transfers and draft invoices; cancelled ones are left alone. Key: order id.

    Orders of which goods or invoices are out fail with :class:`OdooValidationError` that names the documents: goods
    that were delivered and did not come back, invoices that no credit notes make up for."""
    stock = session.features.has(ORDER, "picking_ids")
    lockable = session.features.has(ORDER, "locked")
    written: set[int] = set()
    fields = ["invoice_ids", *(["picking_ids"] if stock else []), *(["locked"] if lockable else [])]

    def act(part: list[int]) -> list[Outcome[int]]:
        rows = states(session, ORDER, part, fields)
        opposed = _opposed(session, rows)
        todo = [id_ for id_, row in rows.items() if row["state"] != "cancel" and id_ not in opposed]
        written.update(todo)
        locked = [id_ for id_ in todo if rows[id_]["state"] == "done" or rows[id_].get("locked")]
        if locked:
            session.step(ORDER, "action_unlock", locked)
        if todo:
            session.step(ORDER, "action_cancel", todo, context={"disable_cancel_warning": True})
            rows |= states(session, ORDER, todo, [])
        outcomes = []
        for id_ in part:
            error: OdooError | None = opposed.get(id_)
            if id_ not in rows:
                error = gone(session, ORDER, id_)
            elif error is None and rows[id_]["state"] != "cancel":
                error = unfit(session, ORDER, id_, "the order did not become cancelled", "cancel it in UniERP")
            outcomes.append(Outcome(id_, id_, error, changed=False))
        return outcomes

    wanted = list(dict.fromkeys(ids))
    return settle(session, wanted, act, key=lambda id_: id_, batch=batch, connections=connections, written=written)


def _opposed(session: OdooSession, rows: Mapping[int, Row]) -> dict[int, OdooError]:
    """Orders that must not be cancelled because goods or invoices are out, and why."""
    active = [row for row in rows.values() if row["state"] != "cancel"]
    transfers = states(session, PICKING, [id_ for row in active for id_ in row.get("picking_ids", ())], ["name"])
    model = session.features.model("invoice")
    kind = kind_field(session)
    fields = ["display_name", "amount_total", kind]
    invoices = states(session, model, [id_ for row in active for id_ in row["invoice_ids"]], fields)
    done = {
        row["id"]: [id_ for id_ in row.get("picking_ids", ()) if id_ in transfers and transfers[id_]["state"] == "done"]
        for row in active
    }
    out = _delivered(session, [order for order, pickings in done.items() if pickings])
    errors: dict[int, OdooError] = {}
    for row in active:
        posted = [
            invoices[id_]
            for id_ in row["invoice_ids"]
            if id_ in invoices and invoices[id_]["state"] not in ("draft", "cancel")
        ]
        owed = sum(
            decimal(invoice["amount_total"], PLACES) * (-1 if invoice[kind] == "out_refund" else 1)
            for invoice in posted
        )
        named = [transfers[id_]["name"] for id_ in done[row["id"]] if row["id"] in out]
        named += [invoice["display_name"] for invoice in posted if owed]
        if named:
            errors[row["id"]] = unfit(
                session,
                ORDER,
                row["id"],
                f"the order cannot simply be cancelled: {', '.join(map(str, named))} are done",
                "book a return and a credit note first",
            )
    return errors


def _delivered(session: OdooSession, orders: Sequence[int]) -> set[int]:
    """Orders of which goods are with the customer."""
    if not orders:
        return set()
    lines = search_read(
        session,
        "sale.order.line",
        [["order_id", "in", list(orders)], ["qty_delivered_method", "=", "stock_move"], ["qty_delivered", "!=", 0]],
        ["order_id"],
    )
    return {line["order_id"][0] for line in lines}
