"""Customer invoices and payments undone: full credit notes, and payments withdrawn.

Goods are taken back in :mod:`.returns`. Credit notes for a part of an invoice, and money paid out again, do not belong
here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from unierp_assets.odoo.batches import settle
from unierp_assets.odoo.bindings import bind, bindings
from unierp_assets.odoo.documents.invoices import PLACES, POSTED, kind_field, post_invoices
from unierp_assets.odoo.documents.matching import reconcile_pairs, regular_only
from unierp_assets.odoo.documents.payments import DEAD, PAYMENT
from unierp_assets.odoo.documents.states import gone, insist, states, unfit
from unierp_assets.odoo.errors import OdooError, OdooUnsupported
from unierp_assets.odoo.loading import load_new
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.records import Row, read
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import decimal, ref

MOVE = "account.move"
LINE = "account.move.line"


@dataclass(frozen=True, slots=True)
class Credit:
    """The full credit note of an invoice. ``key`` becomes its external id, ``reason`` its reference; ``total``
    (invoice's currency, tax included) is what it must come to."""

    key: str
    invoice_id: int
    date: date
    reason: str
    total: Decimal


def credit_invoices(
    session: OdooSession,
    namespace: str,
    credits: Sequence[Credit],
    *,
    batch: int = 20,
    connections: int | None = None,
) -> list[Outcome[str]]:
    """Credits posted customer invoices completely: the same lines, posted, and set against what is still open.

    The credit note is compared with ``total`` before it is posted: one that differs fails with
    :class:`OdooValidationError` and stays a draft (``id`` is set). What was paid already stays as the customer's
    credit. A draft invoice is cancelled instead: then ``id`` is that invoice, and otherwise the credit note. Cancelled
    invoices, and those that a person has credited completely, are left alone; those credited in part fail. Key:
    ``Credit.key``. Raises ValueError if an invoice comes twice, :class:`OdooUnsupported` before Odoo 13."""
    session.features.require(session.features.model("invoice"))
    if not session.features.has(MOVE, "invoice_line_ids"):
        raise OdooUnsupported("credit notes of this generation must be made by hand", server=session.server, model=MOVE)
    if len({credit.invoice_id for credit in credits}) < len(credits):
        raise ValueError("an invoice is to be credited twice")
    if not credits:
        return []
    regular = regular_only(session)

    written: set[str] = set()
    settled: set[tuple[int, int]] = set()

    def act(part: list[Credit]) -> list[Outcome[str]]:
        return _credit(session, namespace, part, written, settled, regular=regular)

    # as for invoices: older servers number the first credit note of a month while it is a draft
    lanes = session.features.number_lanes(connections)
    return settle(session, credits, act, key=lambda credit: credit.key, batch=batch, connections=lanes, written=written)


def _credit(
    session: OdooSession,
    namespace: str,
    part: Sequence[Credit],
    written: set[str],
    settled: set[tuple[int, int]],
    *,
    regular: bool,
) -> list[Outcome[str]]:
    """``written`` gets the keys of the credits about to be changed, ``settled`` the pairs of credit note and invoice
    about to be reconciled."""
    kind = kind_field(session)
    ids = bindings(session, namespace, model=MOVE, names=[credit.key for credit in part])
    invoices = states(session, MOVE, [credit.invoice_id for credit in part], _invoice_fields(session))
    drafts = [
        credit
        for credit in part
        if credit.invoice_id in invoices
        and (invoices[credit.invoice_id]["state"], invoices[credit.invoice_id][kind]) == ("draft", "out_invoice")
    ]
    if drafts:
        written.update(credit.key for credit in drafts)
        session.step(MOVE, "button_cancel", [credit.invoice_id for credit in drafts])
        invoices |= states(session, MOVE, [credit.invoice_id for credit in drafts], _invoice_fields(session))
    notes: dict[int, list[Row]] = {}
    loose = [credit.invoice_id for credit in part if credit.key not in ids]
    domain = [["reversed_entry_id", "in", loose], [kind, "=", "out_refund"], ["state", "!=", "cancel"]]
    for row in session.call(MOVE, "search_read", domain, ["reversed_entry_id", "state", "amount_total"], order="id"):
        notes.setdefault(row["reversed_entry_id"][0], []).append(row)
    errors: dict[str, OdooError] = {}
    kept: dict[str, int] = {}
    adopted: dict[str, int] = {}
    new: list[Credit] = []
    for credit in part:
        if credit.key in ids:
            continue
        found = _standing(session, credit, invoices, notes.get(credit.invoice_id, []))
        if isinstance(found, OdooError):
            errors[credit.key] = found
        elif found is None:
            new.append(credit)
        elif any(row["state"] == "draft" for row in notes.get(credit.invoice_id, ())):
            adopted[credit.key] = found
        else:
            kept[credit.key] = found
    written.update(adopted, (credit.key for credit in new))
    insist(bind(session, namespace, MOVE, adopted))
    ids |= adopted
    if new:
        ids |= _create(session, namespace, new, invoices)
    rows = states(session, MOVE, ids.values(), ["amount_total"])
    for credit in part:
        error = _differing(session, credit, ids[credit.key], rows) if credit.key in ids else None
        if error:
            errors[credit.key] = error
    good = [credit for credit in part if credit.key in ids and credit.key not in errors]
    unposted = [credit for credit in good if rows[ids[credit.key]]["state"] == "draft"]
    written.update(credit.key for credit in unposted)
    insist(post_invoices(session, [ids[credit.key] for credit in unposted]))
    # Newer servers have settled most of them when they were posted.
    pairs = {
        credit.key: (ids[credit.key], credit.invoice_id)
        for credit in good
        if invoices[credit.invoice_id]["state"] in POSTED
    }
    reconcile_pairs(session, list(pairs.values()), settled, regular=regular)
    written.update(key for key, pair in pairs.items() if pair in settled)
    return [
        Outcome(credit.key, ids.get(credit.key, kept.get(credit.key)), errors.get(credit.key), changed=False)
        for credit in part
    ]


def _standing(
    session: OdooSession, credit: Credit, invoices: Mapping[int, Row], notes: Sequence[Row]
) -> int | OdooError | None:
    """What there is for a credit without an external id: the cancelled invoice itself, the credit note a person has
    made; an error where that cannot be said; None where there is nothing."""
    invoice = invoices.get(credit.invoice_id)
    if invoice is None:
        return gone(session, MOVE, credit.invoice_id)
    kind = kind_field(session)
    if invoice[kind] != "out_invoice":
        message = f"the document is no customer invoice but {invoice[kind]}"
        return unfit(session, MOVE, credit.invoice_id, message, "look whether the right document is to be credited")
    if invoice["state"] == "cancel":
        return credit.invoice_id
    if invoice["state"] not in POSTED:
        message = f"the invoice did not become cancelled but {invoice['state']}"
        return unfit(session, MOVE, credit.invoice_id, message, "cancel it in UniERP to see what it asks")
    if not notes:
        return None
    credited = sum((decimal(row["amount_total"], PLACES) for row in notes), Decimal(0))
    if credited == decimal(invoice["amount_total"], PLACES) and (
        len(notes) == 1 or all(row["state"] in POSTED for row in notes)
    ):
        return int(notes[-1]["id"])
    return unfit(
        session,
        MOVE,
        credit.invoice_id,
        f"the invoice has credit notes of {credited.normalize():f} already",
        "credit the rest in UniERP, or cancel those credit notes",
    )


# Taken from the invoice as they are.
_TAKEN = (
    "partner_id",
    "partner_shipping_id",
    "currency_id",
    "journal_id",
    "fiscal_position_id",
    "invoice_user_id",
    "team_id",
    "invoice_cash_rounding_id",
)
_LINE_TAKEN = ("product_id", "account_id", "product_uom_id")
_LINE_MANY = ("tax_ids", "sale_line_ids")
_LINE_PLAIN = ("name", "quantity", "price_unit", "discount", "sequence")


def _invoice_fields(session: OdooSession) -> list[str]:
    names = [kind_field(session), "name", "amount_total", "invoice_origin", "invoice_line_ids"]
    return names + [name for name in _TAKEN if session.features.has(MOVE, name)]


def _create(session: OdooSession, namespace: str, new: Sequence[Credit], invoices: Mapping[int, Row]) -> dict[str, int]:
    """Draft credit notes with their external ids, all in one transaction."""
    kind = kind_field(session)
    taken = [name for name in _TAKEN if session.features.has(MOVE, name)]
    wanted = [id_ for credit in new for id_ in invoices[credit.invoice_id]["invoice_line_ids"]]
    lines = read(session, LINE, wanted, ["display_type", *_LINE_PLAIN, *_LINE_TAKEN, *_LINE_MANY])
    columns = ["id", kind, "reversed_entry_id/.id", *(f"{name}/.id" for name in taken)]
    # due at once, whatever the customer's payment terms say
    columns += ["invoice_payment_term_id/.id", "invoice_date_due", "invoice_date", "date", "invoice_origin", "ref"]
    columns += [f"invoice_line_ids/{name}" for name in _LINE_PLAIN]
    columns += [f"invoice_line_ids/{name}/.id" for name in (*_LINE_TAKEN, *_LINE_MANY)]
    rows: list[list[Any]] = []
    keys: list[str] = []
    for credit in new:
        invoice = invoices[credit.invoice_id]
        head: list[Any] = [f"{namespace}.{credit.key}", "out_refund", credit.invoice_id]
        head += [ref(invoice[name]) for name in taken]
        head += [None, credit.date, credit.date, credit.date, invoice["invoice_origin"] or None, credit.reason]
        for id_ in invoice["invoice_line_ids"]:
            line = lines[id_]
            if line["display_type"] in ("line_section", "line_subsection", "line_note"):
                continue
            cells = [line[name] or None if name == "name" else line[name] for name in _LINE_PLAIN]
            cells += [ref(line[name]) for name in _LINE_TAKEN]
            rows.append([*head, *cells, *(line[name] for name in _LINE_MANY)])
            keys.append(credit.key)
    return load_new(session, MOVE, columns, rows, keys=keys, context={f"default_{kind}": "out_refund"})


def _differing(session: OdooSession, credit: Credit, id_: int, rows: Mapping[int, Row]) -> OdooError | None:
    """The error of a credit note that is gone, cancelled or does not come to what was expected."""
    if id_ not in rows:
        return gone(session, MOVE, id_)
    if rows[id_]["state"] == "cancel":
        return unfit(session, MOVE, id_, "the credit note is cancelled", "reset it to draft in UniERP")
    total = decimal(rows[id_]["amount_total"], PLACES)
    if total == credit.total:
        return None
    return unfit(
        session,
        MOVE,
        id_,
        f"the credit note of invoice {credit.invoice_id} comes to {total.normalize():f}"
        f" instead of {credit.total.normalize():f}",
        "compare it with the invoice; it was left as it is",
    )


def withdraw_payments(
    session: OdooSession, payment_ids: Sequence[int], *, batch: int = 20, connections: int | None = None
) -> list[Outcome[int]]:
    """Cancels payments and opens what they had paid again; cancelled and rejected ones are left alone.

    The entries of a payment stay, cancelled, with their numbers. Key: payment id."""
    session.features.require(PAYMENT)
    steps = session.features.choose("withdraw")
    written: set[int] = set()

    def act(part: list[int]) -> list[Outcome[int]]:
        rows = states(session, PAYMENT, part, [])
        for step in steps:
            # a draft has nothing to be reset
            todo = [
                id_
                for id_, row in rows.items()
                if row["state"] not in DEAD and not (row["state"] == "draft" and step == "action_draft")
            ]
            if todo:
                written.update(todo)
                session.step(PAYMENT, step, todo)
        rows = states(session, PAYMENT, part, []) if written.intersection(part) else rows
        outcomes = []
        for id_ in part:
            error: OdooError | None = None
            if id_ not in rows:
                error = gone(session, PAYMENT, id_)
            elif rows[id_]["state"] not in DEAD:
                message = f"the payment did not become cancelled but is {rows[id_]['state']}"
                error = unfit(session, PAYMENT, id_, message, "cancel it in UniERP to see what it asks")
            outcomes.append(Outcome(id_, id_, error, changed=False))
        return outcomes

    wanted = list(dict.fromkeys(payment_ids))
    return settle(session, wanted, act, key=lambda id_: id_, batch=batch, connections=connections, written=written)
