"""Runs inside Odoo's own shell: the work of a scenario straight through the ORM, without a network in between.

What belongs here: the batches the sync sends, as the ORM's own calls, each committed as a call of the server is. The
code keeps to Python 3.9, which Odoo 14 runs on (so without strict ``zip``), and imports nothing of ours. The other
side is ``limit.py``.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONTEXT = {
    "tracking_disable": True,
    "mail_create_nolog": True,
    "mail_notrack": True,
    "mail_create_nosubscribe": True,
    "tz": "UTC",
}
PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)


def work(env: Any, folder: str, number: int) -> None:
    """Does the job ``<number>.json`` of the folder once the file ``go`` is there; ``<number>.done`` says the time at
    which it ended."""
    job = json.loads(Path(folder, f"{number}.json").read_text(encoding="utf-8"))
    env = env(user=2, context=CONTEXT)
    do = {"load": load, "orders": orders}[job["kind"]]
    # Once before the clock starts, and taken back: the first call to a fresh database takes seconds.
    flush = env.flush_all if hasattr(env, "flush_all") else env["base"].flush
    do(env, {**job, "items": job["items"][:1]}, flush)
    env.cr.rollback()
    env.clear()
    Path(folder, f"{number}.ready").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.01)
    do(env, job, env.cr.commit)
    Path(folder, f"{number}.done").write_text(str(time.time()), encoding="utf-8")


def committed(env: Any, step: Callable[[], Any], commit: Callable[[], Any]) -> Any:
    """What a step returns, in a transaction that ``commit`` ends; one that others were in the way of is repeated, as
    the server does it."""
    import psycopg2

    for pause in PAUSES:
        try:
            result = step()
            commit()
            # Each call of a server begins without what the one before had in memory.
            env.clear()
            return result
        except psycopg2.OperationalError:
            env.cr.rollback()
            time.sleep(pause)
    raise RuntimeError("the other process was in the way too often")


def batches(rows: Any, size: int) -> Any:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def load(env: Any, job: Any, commit: Callable[[], Any]) -> None:
    """Rows of a sheet into a model."""
    for part in batches(job["items"], job["batch"]):
        answer = committed(env, lambda: env[job["model"]].load(job["columns"], part), commit)  # noqa: B023
        if not answer["ids"]:
            raise RuntimeError(str(answer["messages"]))


def orders(env: Any, job: Any, commit: Callable[[], Any]) -> None:
    """Whole orders: created, confirmed, delivered, invoiced, posted, paid."""

    def step(action: Callable[[], Any]) -> Any:
        return committed(env, action, commit)

    for part in batches(job["items"], job["batch"]):
        made = step(lambda: env["sale.order"].create([_order(each) for each in part]))  # noqa: B023
        step(made.action_confirm)
        tracking = [each["tracking_number"] for each in part]
        step(lambda: _deliver(made, tracking))  # noqa: B023
        invoices = step(lambda: made._create_invoices(grouped=True))  # noqa: B023
        step(invoices.action_post)
        payments = step(lambda: env["account.payment"].create(_payments(env, invoices)))  # noqa: B023
        step(payments.action_post)
        step(lambda: _reconcile(env, invoices, payments))  # noqa: B023


def _order(order: Any) -> Any:
    lines = [
        {"product_id": product, "product_uom_qty": qty, "price_unit": price} for product, qty, price in order["lines"]
    ]
    return {
        "partner_id": order["partner_id"],
        "client_order_ref": order["number"],
        "order_line": [(0, 0, line) for line in lines],
    }


def _deliver(made: Any, tracking: Any) -> None:
    for order, number in zip(made, tracking):  # noqa: B905
        order.picking_ids.write({"carrier_tracking_ref": number})
    pickings = made.picking_ids
    if "quantity_done" in pickings.env["stock.move"]._fields:
        for move in pickings.env["stock.move"].search([("picking_id", "in", pickings.ids)]):
            move.quantity_done = move.product_uom_qty
    pickings.with_context(skip_immediate=True, skip_backorder=True, skip_sms=True).button_validate()


def _payments(env: Any, invoices: Any) -> Any:
    journal = env["account.journal"].search([("type", "=", "bank")], limit=1)
    fields = env["account.payment"]._fields
    reference = "memo" if "memo" in fields else "ref"
    values = []
    for invoice in invoices:
        payment = {"payment_type": "inbound", "partner_type": "customer", "partner_id": invoice.partner_id.id}
        payment |= {"amount": invoice.amount_total, "currency_id": invoice.currency_id.id, "journal_id": journal.id}
        payment |= {reference: invoice.name, "date": invoice.invoice_date}
        payment |= {"invoice_ids": [(4, invoice.id)]} if "invoice_ids" in fields else {}
        values.append(payment)
    return values


def _reconcile(env: Any, invoices: Any, payments: Any) -> None:
    """As the sync does it: a partial and a full reconciliation for each pair, all in two calls."""
    both = zip(invoices, payments)  # noqa: B905
    pairs = [(_receivable(invoice), _receivable(payment.move_id)) for invoice, payment in both]
    partials = env["account.partial.reconcile"].create(
        [
            {
                "debit_move_id": debit.id,
                "credit_move_id": credit.id,
                "amount": debit.amount_residual,
                "debit_amount_currency": debit.amount_residual,
                "credit_amount_currency": debit.amount_residual,
            }
            for debit, credit in pairs
        ]
    )
    env["account.full.reconcile"].create(
        [
            {"partial_reconcile_ids": [(6, 0, partial.ids)], "reconciled_line_ids": [(6, 0, (debit + credit).ids)]}
            for partial, (debit, credit) in zip(partials, pairs)  # noqa: B905
        ]
    )


def _receivable(move: Any) -> Any:
    if "account_type" in move.env["account.account"]._fields:
        return move.line_ids.filtered(lambda line: line.account_id.account_type == "asset_receivable")
    return move.line_ids.filtered(lambda line: line.account_id.internal_type == "receivable")
