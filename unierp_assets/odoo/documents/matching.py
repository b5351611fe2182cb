"""Reconciles the receivable lines of payments with those of the invoices they pay, many pairs per call.

Odoo's own ``account.move.line.reconcile`` takes one pair at a time: two thirds of the time of a payment (117 of
150 ms on Odoo 19). Where a pair agrees in currency and rate, what it would write is known beforehand: one
``account.partial.reconcile`` for the matched amount, and one ``account.full.reconcile`` for a set of lines with nothing
left. These are made for all such pairs in two calls (26 ms a pair). Everything else (exchange differences,
cash-basis taxes, apps with a hook on paid invoices) goes through ``reconcile``. How payments come to be belongs in
:mod:`.payments`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from unierp_assets.odoo.catalogue import PAID_HOOKS
from unierp_assets.odoo.loading import load_new
from unierp_assets.odoo.records import Row
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import ref

LINE = "account.move.line"
PARTIAL = "account.partial.reconcile"
FULL = "account.full.reconcile"
# Of the external ids of matches. No sync has one of its own: all of them together settle two lines once.
NAMESPACE = "unierp_matching"
FIELDS = [
    "move_id",
    "account_id",
    "currency_id",
    "company_currency_id",
    "amount_residual",
    "amount_residual_currency",
    "reconciled",
    "full_reconcile_id",
    "matched_credit_ids",
    "date_maturity",
]


@dataclass(frozen=True, slots=True)
class Match:
    """A part of an invoice line (debit) and a payment line (credit) that settle each other."""

    debit: int
    credit: int
    amount: Decimal  # company currency
    amount_currency: Decimal  # currency of both lines
    after: int  # the newest partial reconciliation of the invoice line before it, 0 if none


def regular_only(session: OdooSession) -> bool:
    """True where every pair must go through ``reconcile``: cash-basis taxes, or apps that listen to it."""
    if any(session.features.has(model, field) for model, field in PAID_HOOKS):
        return True
    if not session.features.has(PARTIAL, "debit_amount_currency"):
        return True
    if not session.features.has("res.company", "tax_exigibility"):
        return False
    rows = session.call("res.company", "search_read", [["tax_exigibility", "=", True]], ["id"], limit=1)
    return bool(rows)


def reconcile_pairs(
    session: OdooSession, pairs: Sequence[tuple[int, int]], settled: set[tuple[int, int]], *, regular: bool
) -> None:
    """Settles ``(payment entry id, invoice id)`` pairs as far as both have something open; ``settled`` gets those that
    had, before anything is written.

    Both must be posted. Looks first, so it may be called again at any time. ``regular`` is :func:`regular_only`."""
    if not pairs:
        return
    lines = _receivable(session, {move for pair in pairs for move in pair})
    open_pairs = [pair for pair in pairs if _open(lines, pair[0]) and _open(lines, pair[1])]
    settled.update(open_pairs)
    by_invoice: dict[int, list[int]] = {}
    for payment, invoice in open_pairs:
        by_invoice.setdefault(invoice, []).append(payment)
    matches: list[Match] = []
    for invoice, payments in by_invoice.items():
        found = None if regular else plan_matches(_open(lines, invoice), [_open(lines, move) for move in payments])
        if found is None:
            _reconcile_one_by_one(session, invoice, payments)
        else:
            matches.extend(found)
    if matches:
        _settle(session, matches)
    if not regular:
        _complete(session, {line["id"] for rows in lines.values() for line in rows})


def _settle(session: OdooSession, matches: Sequence[Match]) -> None:
    """Writes the matches, each once, whoever else is at it.

    A server begins ``create`` anew by itself when somebody has written the same lines meanwhile, as does the sync after
    one that was killed while the server was still at work on its call, and then settles them a second time. ``load``
    is not begun anew, and what was loaded is found by the external id, which a match has for this. Lines that are open
    once more, because another payment of theirs was withdrawn, settle each other again by a match of another name."""
    columns = ["id", "debit_move_id/.id", "credit_move_id/.id", "amount"]
    columns += ["debit_amount_currency", "credit_amount_currency"]
    names = [f"{NAMESPACE}.{match.debit}_{match.credit}_{match.after}" for match in matches]
    rows = [
        [name, match.debit, match.credit, match.amount, match.amount_currency, match.amount_currency]
        for name, match in zip(names, matches, strict=True)
    ]
    load_new(session, PARTIAL, columns, rows, keys=names)


def _receivable(session: OdooSession, moves: Iterable[int]) -> dict[int, list[Row]]:
    """Receivable lines by journal entry, the first due first."""
    if session.features.has("account.account", "account_type"):
        kind = ["account_id.account_type", "=", "asset_receivable"]
    else:
        kind = ["account_id.user_type_id.type", "=", "receivable"]
    rows = session.call(
        LINE, "search_read", [["move_id", "in", sorted(moves)], kind], FIELDS, order="date_maturity, id"
    )
    by_move: dict[int, list[Row]] = {}
    for row in rows:
        by_move.setdefault(row["move_id"][0], []).append(row)
    return by_move


def _open(lines: Mapping[int, Sequence[Row]], move: int) -> list[Row]:
    return [line for line in lines.get(move, ()) if not line["reconciled"]]


def plan_matches(invoice: Sequence[Row], payments: Sequence[Sequence[Row]]) -> list[Match] | None:
    """How the open lines of an invoice and of its payments settle each other, in order; None if that takes Odoo's own
    reconciliation, because currencies or rates differ.

    In the company's currency any amounts settle. In another one the rates of both days must come to the same: only a
    payment of the whole open line whose value in company currency is equal, too."""
    matches: list[Match] = []
    left = {line["id"]: _residuals(line) for line in invoice}
    for lines in payments:
        if len(lines) != 1:
            return None
        credit = lines[0]
        money, money_currency = _residuals(credit)
        for debit in invoice:
            if _frame(debit) != _frame(credit):
                return None
            due, due_currency = left[debit["id"]]
            if not due_currency or not money_currency:
                continue
            if due_currency < 0 or money_currency > 0:
                return None
            if ref(debit["currency_id"]) not in (None, ref(debit["company_currency_id"])) and (
                due_currency != -money_currency or due != -money
            ):
                return None
            amount, amount_currency = min(due, -money), min(due_currency, -money_currency)
            newest = max(debit["matched_credit_ids"], default=0)
            matches.append(Match(debit["id"], credit["id"], amount, amount_currency, newest))
            left[debit["id"]] = (due - amount, due_currency - amount_currency)
            money, money_currency = money + amount, money_currency + amount_currency
    return matches


def _residuals(line: Row) -> tuple[Decimal, Decimal]:
    """Open amount in company currency and in the line's own."""
    company = Decimal(repr(line["amount_residual"]))
    own = ref(line["currency_id"])
    if own is None or own == ref(line["company_currency_id"]):
        return company, company
    return company, Decimal(repr(line["amount_residual_currency"]))


def _frame(line: Row) -> tuple[int | None, int | None]:
    """What two lines must share to settle each other simply: account and currency."""
    return ref(line["account_id"]), ref(line["currency_id"]) or ref(line["company_currency_id"])


def _reconcile_one_by_one(session: OdooSession, invoice: int, payments: Sequence[int]) -> None:
    for payment in payments:
        lines = _receivable(session, [invoice, payment])
        for credit in _open(lines, payment):
            debits = [line["id"] for line in _open(lines, invoice) if line["account_id"] == credit["account_id"]]
            if debits:
                session.step(LINE, "reconcile", [credit["id"], *debits])
                lines = _receivable(session, [invoice, payment])


def _complete(session: OdooSession, lines: set[int]) -> None:
    """Marks sets of lines that settle each other completely (``account.full.reconcile``) where that is missing."""
    known: dict[int, tuple[int, int]] = {}
    while True:
        partials = session.call(
            PARTIAL,
            "search_read",
            ["|", ["debit_move_id", "in", sorted(lines)], ["credit_move_id", "in", sorted(lines)]],
            ["debit_move_id", "credit_move_id"],
        )
        known = {row["id"]: (row["debit_move_id"][0], row["credit_move_id"][0]) for row in partials}
        reached = lines | {line for ends in known.values() for line in ends}
        if reached == lines:
            break
        lines = reached
    rows = session.call(LINE, "search_read", [["id", "in", sorted(lines)]], ["reconciled", "full_reconcile_id"])
    lacking = {row["id"] for row in rows if row["reconciled"] and not row["full_reconcile_id"]}
    fulls = [
        {"partial_reconcile_ids": [[6, 0, partials]], "reconciled_line_ids": [[6, 0, members]]}
        for partials, members in components(known)
        if lacking.issuperset(members)
    ]
    if fulls:
        session.step(FULL, "create", fulls)


def components(partials: Mapping[int, tuple[int, int]]) -> list[tuple[list[int], list[int]]]:
    """Sets of lines joined by partials: ``[(partial ids, line ids)]``, each sorted."""
    root: dict[int, int] = {}

    def find(line: int) -> int:
        while root.setdefault(line, line) != line:
            root[line] = root[root[line]]
            line = root[line]
        return line

    for debit, credit in partials.values():
        root[find(debit)] = find(credit)
    members: dict[int, list[int]] = {}
    for line in sorted(root):
        members.setdefault(find(line), []).append(line)
    edges: dict[int, list[int]] = {}
    for id_, (debit, _) in sorted(partials.items()):
        edges.setdefault(find(debit), []).append(id_)
    return [(edges[top], lines) for top, lines in members.items()]
