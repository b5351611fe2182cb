"""Amounts of money: the digits of a currency, how they are rounded, how far a document may be brought to the shop's.

Belongs here: arithmetic on amounts that every domain shares. Does not belong here: which fields are amounts (the
entities), and how a document of UniERP is adjusted (``odoo/documents/totals.py``).
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

import polars as pl

AMOUNT, PRICE, QUANTITY = 4, 6, 4
"""Digits after the point that are kept: of amounts, whose currency says how many count; of prices for one unit and
costs; of quantities and weights."""

_USUAL = 2
_ALL_DIGITS = range(AMOUNT + 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """By how much a document may be brought to what the shop says, in its currency: a single line, a whole order."""

    line: Decimal = Decimal("0.05")
    order: Decimal = Decimal("1.00")

    def of(self, name: str) -> Decimal:
        """The limit of this name."""
        return self.line if name == LINE else self.order


LINE, ORDER = "line", "order"
"""Names of the limits, as fields name them."""


@lru_cache(maxsize=512)
def digits(currency: str | None) -> int:
    """Digits after the point of a currency by ISO 4217: 0 for JPY, 3 for KWD; 2 for what is none."""
    from babel.numbers import get_currency_precision

    return int(get_currency_precision(currency)) if currency else _USUAL


def rounded(amount: Decimal, currency: str | None) -> Decimal:
    """The amount in the digits of its currency, halves away from zero."""
    return amount.quantize(Decimal(1).scaleb(-digits(currency)), ROUND_HALF_UP)


def rounded_column(amount: pl.Expr, currency: pl.Expr) -> pl.Expr:
    """The same for a column of amounts beside one of currencies."""
    places = currency.map_batches(
        lambda codes: pl.Series([digits(code) for code in codes], dtype=pl.Int64), return_dtype=pl.Int64
    )
    exact = amount.cast(pl.Decimal(18, PRICE))
    return pl.coalesce(pl.when(places == n).then(exact.round(n, mode="half_away_from_zero")) for n in _ALL_DIGITS).cast(
        pl.Decimal(18, AMOUNT)
    )


def shown(amount: Decimal) -> str:
    """The amount as people write it: at least two digits after the point, and no zeros beyond those."""
    text = f"{amount:,f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(_USUAL, '0')}"
