"""Customer payments: created, posted and reconciled with the invoices they pay. Refunds do not belong here, nor the
reconciliation itself (:mod:`.matching`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from unierp_assets.odoo.batches import even_batch, settle_groups, together
from unierp_assets.odoo.bindings import bind, bindings
from unierp_assets.odoo.documents.matching import reconcile_pairs, regular_only
from unierp_assets.odoo.documents.states import gone, insist, states, unfit
from unierp_assets.odoo.errors import OdooError, OdooValidationError
from unierp_assets.odoo.loading import load_new
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.records import Row
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import decimal, ref

PAYMENT = "account.payment"
# Every word the generations have for it.
DEAD = ("cancel", "canceled", "cancelled", "rejected")
OPEN_INVOICE = ("posted", "open", "paid", "in_payment")


@dataclass(frozen=True, slots=True)
class Payment:
    """Money received for an invoice. ``key`` becomes the payment's external id; ``currency`` is an ISO code;
    ``reference`` is what the money came with (a transaction id). ``journal_id`` defaults to the company's first bank
    journal."""

    key: str
    invoice_id: int
    amount: Decimal
    currency: str
    date: date
    reference: str
    journal_id: int | None = None


@dataclass(frozen=True, slots=True)
class _Books:
    """What is the same for all payments of a call."""

    currencies: Mapping[str, int]
    journal: int | None
    method: int | None
    regular: bool


def register_payments(
    session: OdooSession,
    namespace: str,
    payments: Sequence[Payment],
    *,
    batch: int = 50,
    connections: int | None = None,
) -> list[Outcome[str]]:
    """Creates, posts and reconciles payments (partial ones too), each once. ``id`` is the payment.

    A payment is created together with its external id in one transaction; a lost answer or a crash between creation,
    posting and reconciliation is continued where it stopped. A payment that somebody has entered by hand (same
    reference, customer, amount and currency, and not yet that of another key) is taken for it. More than the
    invoice's open amount stays on the customer's account. The rate is that of the payment's date. Key:
    ``Payment.key``."""
    if not payments:
        return []
    books = _books(session, payments)
    old = session.features.way("pay") == "post"
    lanes = session.features.number_lanes(connections)
    # payments of one invoice stay together, for two connections must not reconcile one invoice
    size = even_batch(len(payments), batch, session.lanes(lanes))
    groups = together(payments, lambda payment: payment.invoice_id, size)

    written: set[str] = set()
    settled: set[tuple[int, int]] = set()

    def act(part: list[Payment]) -> list[Outcome[str]]:
        return _register(session, namespace, part, books, written, settled, old=old)

    outcomes = settle_groups(session, groups, act, key=lambda payment: payment.key, connections=lanes, written=written)
    found = {outcome.key: outcome for outcome in outcomes}
    return [found[payment.key] for payment in payments]


def _books(session: OdooSession, payments: Sequence[Payment]) -> _Books:
    codes = sorted({payment.currency for payment in payments})
    rows = session.call(
        "res.currency", "search_read", [["name", "in", codes]], ["name"], context={"active_test": False}
    )
    journals: list[int] = []
    if any(payment.journal_id is None for payment in payments):
        company = session.company()["id"]
        domain = [["type", "=", "bank"], ["company_id", "=", company]]
        journals = session.call("account.journal", "search", domain, limit=1, order="sequence, id")
        if not journals:
            raise OdooValidationError(
                "the company has no bank journal",
                server=session.server,
                model="account.journal",
                remedy="make one in UniERP, or name a journal for each payment",
            )
    methods: list[int] = []
    if session.features.way("pay") == "post":
        domain = [["payment_type", "=", "inbound"], ["code", "=", "manual"]]
        methods = session.call("account.payment.method", "search", domain, limit=1)
    return _Books(
        currencies={row["name"]: row["id"] for row in rows},
        journal=journals[0] if journals else None,
        method=methods[0] if methods else None,
        regular=regular_only(session),
    )


def _register(
    session: OdooSession,
    namespace: str,
    part: Sequence[Payment],
    books: _Books,
    written: set[str],
    settled: set[tuple[int, int]],
    *,
    old: bool,
) -> list[Outcome[str]]:
    """``written`` gets the keys of the payments that are about to be changed, ``settled`` the pairs of entry and
    invoice about to be reconciled."""
    model = session.features.model("invoice")
    ids = bindings(session, namespace, model=PAYMENT, names=[payment.key for payment in part])
    invoices = states(session, model, [payment.invoice_id for payment in part], ["commercial_partner_id"])
    errors = {
        payment.key: error for payment in part if (error := _not_payable(session, model, payment, invoices, books))
    }
    new = [payment for payment in part if payment.key not in ids and payment.key not in errors]
    written.update(payment.key for payment in new)
    if new:
        adopted = _entered_by_hand(session, namespace, new, invoices, books)
        insist(bind(session, namespace, PAYMENT, adopted))
        ids |= adopted
        new = [payment for payment in new if payment.key not in adopted]
    if new:
        ids |= _create(session, namespace, new, invoices, books, old=old)
    extra = ["move_id"] if session.features.has(PAYMENT, "move_id") else []
    rows = states(session, PAYMENT, ids.values(), extra)
    drafts = [id_ for id_ in ids.values() if id_ in rows and rows[id_]["state"] == "draft"]
    if drafts:
        written.update(key for key, id_ in ids.items() if id_ in drafts)
        session.step(PAYMENT, session.features.way("pay"), drafts)
        rows |= states(session, PAYMENT, drafts, extra)
    for payment in part:
        if payment.key in ids and payment.key not in errors:
            error = _not_posted(session, ids[payment.key], rows)
            if error:
                errors[payment.key] = error
    good = [payment for payment in part if payment.key in ids and payment.key not in errors]
    if not old:
        # a payment without an entry (no outstanding account) is only linked to its invoice
        entries = {payment.key: ref(rows[ids[payment.key]]["move_id"]) for payment in good}
        pairs = {p.key: (entry, p.invoice_id) for p in good if (entry := entries[p.key]) is not None}
        reconcile_pairs(session, list(pairs.values()), settled, regular=books.regular)
        written.update(key for key, pair in pairs.items() if pair in settled)
    return [Outcome(payment.key, ids.get(payment.key), errors.get(payment.key), changed=False) for payment in part]


def _not_payable(
    session: OdooSession, model: str, payment: Payment, invoices: Mapping[int, Row], books: _Books
) -> OdooError | None:
    if payment.invoice_id not in invoices:
        return gone(session, model, payment.invoice_id)
    state = invoices[payment.invoice_id]["state"]
    if state not in OPEN_INVOICE:
        return unfit(session, model, payment.invoice_id, f"the invoice is {state}, not posted", "post it first")
    if payment.currency not in books.currencies:
        return OdooValidationError(
            f"UniERP has no currency {payment.currency}",
            server=session.server,
            model="res.currency",
            record=payment.key,
            field="currency_id",
            remedy="activate the currency in UniERP",
        )
    return None


def _entered_by_hand(
    session: OdooSession,
    namespace: str,
    payments: Sequence[Payment],
    invoices: Mapping[int, Row],
    books: _Books,
) -> dict[str, int]:
    """Payments on the server that are the ones wanted but lack the external id."""
    reference = session.features.field(PAYMENT, "reference")
    references = sorted({payment.reference for payment in payments if payment.reference})
    domain = [[reference, "in", references], ["payment_type", "=", "inbound"], ["state", "not in", DEAD]]
    if not references:
        return {}
    rows = session.call(PAYMENT, "search_read", domain, [reference, "partner_id", "amount", "currency_id"], order="id")
    if not rows:
        return {}
    ours = session.call(
        "ir.model.data",
        "search_read",
        [["module", "=", namespace], ["model", "=", PAYMENT], ["res_id", "in", [row["id"] for row in rows]]],
        ["res_id"],
    )
    taken = {row["res_id"] for row in ours}
    found: dict[str, int] = {}
    for payment in payments:
        partner = ref(invoices[payment.invoice_id]["commercial_partner_id"])
        wanted = (payment.reference, partner, payment.amount, books.currencies[payment.currency])
        for row in rows:
            digits = -int(payment.amount.as_tuple().exponent)
            amount = decimal(row["amount"], max(digits, 2))
            there = (row[reference], ref(row["partner_id"]), amount, ref(row["currency_id"]))
            if row["id"] not in taken and there == wanted:
                found[payment.key] = row["id"]
                taken.add(row["id"])
                break
    return found


def _create(
    session: OdooSession,
    namespace: str,
    payments: Sequence[Payment],
    invoices: Mapping[int, Row],
    books: _Books,
    *,
    old: bool,
) -> dict[str, int]:
    """Drafts with their external ids, all in one transaction."""
    features = session.features
    columns = ["id", "payment_type", "partner_type", "partner_id/.id", "amount", "currency_id/.id", "journal_id/.id"]
    columns += [features.field(PAYMENT, "date"), features.field(PAYMENT, "reference")]
    linked = features.has(PAYMENT, "invoice_ids")
    columns += ["invoice_ids/.id"] if linked else []
    columns += ["payment_method_id/.id"] if old else []
    rows: list[list[Any]] = []
    for payment in payments:
        partner = ref(invoices[payment.invoice_id]["commercial_partner_id"])
        row: list[Any] = [f"{namespace}.{payment.key}", "inbound", "customer", partner, payment.amount]
        row += [books.currencies[payment.currency], payment.journal_id or books.journal, payment.date]
        row += [payment.reference]
        row += [[payment.invoice_id]] if linked else []
        row += [books.method] if old else []
        rows.append(row)
    # Not `load`, which would write the same values again if its answer were lost: writing a payment's journal makes
    # Odoo 19 forget its outstanding account, and then it is posted without an entry.
    return load_new(session, PAYMENT, columns, rows, keys=[payment.key for payment in payments])


def _not_posted(session: OdooSession, id_: int, rows: Mapping[int, Row]) -> OdooError | None:
    if id_ not in rows:
        return gone(session, PAYMENT, id_)
    state = rows[id_]["state"]
    if state == "draft" or state in DEAD:
        return unfit(session, PAYMENT, id_, f"the payment is {state}, not posted", "look at it in UniERP")
    return None
