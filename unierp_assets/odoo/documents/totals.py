"""Draft invoices brought to the amounts a shop has charged: the tax that was charged, and a visible line for the rest.

Tax authorities take the tax that the customer paid and saw; what rounds otherwise (by line or by document, by gross or
by net) is not wrong. Belongs here: how a draft is adjusted. Does not belong here: by how much it may be (the caller).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from unierp_assets.odoo.records import Row, read, search_read
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import decimal, ref

MOVE, LINE = "account.move", "account.move.line"
PLACES = 6
ROUNDING = "Rounding"
"""Text of the line that makes up what no tax does."""


@dataclass(frozen=True, slots=True)
class Charged:
    """What the customer was charged, in the currency of the invoice: the total with tax, and the tax in it."""

    total: Decimal
    tax: Decimal


def adjust_totals(session: OdooSession, charged: Mapping[int, Charged]) -> None:
    """Brings these draft invoices to what was charged, as far as can be. An invoice that agrees is left alone, so a
    repeated call does nothing; one without any tax keeps its tax, and its total is made up by the visible line.

    Raises :class:`OdooError`; a draft that does not balance is refused by the server."""
    drafts = _differing(session, charged)
    lines = {
        id_: net
        for id_, row in drafts.items()
        if (net := charged[id_].total - charged[id_].tax - decimal(row["amount_untaxed"], PLACES))
    }
    for id_, net in lines.items():
        values = {"name": ROUNDING, "quantity": 1, "price_unit": float(net), "tax_ids": [(6, 0, [])]}
        session.step(MOVE, "write", [id_], {"invoice_line_ids": [(0, 0, values)]})
    drafts = _differing(session, charged) if lines else drafts
    if not drafts:
        return
    entries = _entries(session, list(drafts))
    for id_, row in drafts.items():
        more = charged[id_].tax - decimal(row["amount_tax"], PLACES)
        taxes = [entry for entry in entries[id_] if entry["tax_line_id"]]
        if more and taxes:
            largest = max(taxes, key=lambda entry: abs(entry["balance"]))
            session.step(MOVE, "write", [id_], {"line_ids": _changed_tax(session, row, largest, entries[id_], more)})


def _differing(session: OdooSession, charged: Mapping[int, Charged]) -> dict[int, Row]:
    fields = ["state", "amount_total", "amount_tax", "amount_untaxed", "currency_id", "company_currency_id"]
    rows = read(session, MOVE, list(charged), fields)
    return {
        id_: row
        for id_, row in rows.items()
        if row["state"] == "draft"
        and (decimal(row["amount_total"], PLACES), decimal(row["amount_tax"], PLACES))
        != (charged[id_].total, charged[id_].tax)
    }


def _entries(session: OdooSession, moves: Sequence[int]) -> dict[int, list[Row]]:
    """The journal items of moves, those of the customer last."""
    fields = ["move_id", "tax_line_id", "balance", "amount_currency", "debit", "credit", "date_maturity", "account_id"]
    found: dict[int, list[Row]] = {id_: [] for id_ in moves}
    for entry in search_read(session, LINE, [("move_id", "in", list(moves))], fields):
        found[ref(entry["move_id"]) or 0].append(entry)
    return found


def _changed_tax(
    session: OdooSession, move: Row, tax: Row, entries: Sequence[Row], more: Decimal
) -> list[tuple[int, int, dict[str, Any]]]:
    """Commands that add ``more`` to the tax of an invoice, against what the customer owes."""
    foreign = ref(move["currency_id"]) != ref(move["company_currency_id"])
    in_currency = decimal(tax["amount_currency"], PLACES) if foreign else decimal(tax["balance"], PLACES)
    if session.features.has(MOVE, "tax_totals"):
        # These servers balance what the customer owes by themselves.
        shown = decimal(tax["amount_currency"], PLACES)
        return [(1, tax["id"], {"amount_currency": float(shown - more)})]
    share = decimal(tax["balance"], PLACES) / in_currency if in_currency else Decimal(1)
    in_books = (more * share).quantize(Decimal("0.01"), ROUND_HALF_UP) if foreign else more
    owed = [entry for entry in entries if entry["date_maturity"]][-1]
    return [
        (1, tax["id"], _moved(tax, -in_books, -more if foreign else None)),
        (1, owed["id"], _moved(owed, in_books, more if foreign else None)),
    ]


def _moved(entry: Row, balance: Decimal, amount_currency: Decimal | None) -> dict[str, Any]:
    new = decimal(entry["balance"], PLACES) + balance
    values: dict[str, Any] = {"debit": float(max(new, Decimal(0))), "credit": float(max(-new, Decimal(0)))}
    if amount_currency is not None:
        values["amount_currency"] = float(decimal(entry["amount_currency"], PLACES) + amount_currency)
    return values
