"""Orders that wait, money that is booked nowhere and rows that vanished: what a person has to know first.

Belongs here: which orders and amounts these are, as the reports were last made, and the sentences that tell of them.
Does not belong here: how they are shown (``cli/``, ``assets/operations.py``), and why a single one waits
(``reports.py``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY
from unierp_assets.sync.intake.withheld import sentences as withheld_sentences
from unierp_assets.sync.intake.withheld import withheld
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import ACCEPTED, ORDER_RECONCILIATION, QUARANTINED, STAGING

_SETTLED = "matched"


@dataclass(frozen=True, slots=True)
class Unsettled:
    """What waits.

    ``orders``: columns ``key``, ``number``, ``currency``, ``total`` (what the customer pays), ``state`` and ``reason``
    of ``reporting.order_reconciliation``, of every order that is not as it should be and was not cancelled.
    ``money``: columns ``key``, ``number`` (of the order), ``currency``, ``amount`` (captured by the shop and not booked
    in UniERP) and ``reason``; of a payment whose order nobody knows, ``key`` is null.
    ``removals``: what vanished at once and is not withdrawn, as :func:`~unierp_assets.sync.intake.withheld.withheld`.
    """

    orders: pl.DataFrame
    money: pl.DataFrame
    removals: pl.DataFrame

    def __bool__(self) -> bool:
        return not (self.orders.is_empty() and self.money.is_empty() and self.removals.is_empty())

    def sentences(self) -> Iterator[str]:
        """One for each kind of rows that vanished, one for the money and one for the orders, where there are any:
        counts and sums, no personal data."""
        yield from withheld_sentences(self.removals)
        if self.money.height:
            yield f"Money that came in and is booked nowhere: {_told(self.money, 'amount')}."
        if self.orders.height:
            yield f"Orders that wait: {self.orders.height:,} ({_told(self.orders, 'total')})."

    def to_dict(self) -> dict[str, Any]:
        """Counts and sums by currency for machines; amounts as text, so that no digit is lost."""
        return {
            "orders": self.orders.height,
            "orders_total": _texts(self.orders, "total"),
            "money_not_booked": _texts(self.money, "amount"),
            "removals_withheld": self.removals.select("system", "subject", "rows", "known").to_dicts(),
        }


def unsettled(warehouse: Warehouse) -> Unsettled:
    """What waits, as the reports were last made."""
    report, payments, orders = ORDER_RECONCILIATION, STAGING["payments"], STAGING["orders"]
    columns = [report.c[name] for name in (KEY, "number", "currency", "shop_total", "state", "reason")]
    cancelled = sa.and_(
        report.c.shop_state == "cancelled",
        sa.or_(report.c.unierp_state.is_(None), report.c.unierp_state == "cancelled"),
        report.c.paid_shop == report.c.paid_unierp,
    )
    waiting = warehouse.read(
        sa.select(*columns)
        .where(report.c.state != _SETTLED, ~sa.func.coalesce(cancelled, False))
        .order_by(*_by_key(report))
    )
    missing = report.c.paid_shop - report.c.paid_unierp
    booked_nowhere = warehouse.read(
        sa.select(report.c.key, report.c.number, report.c.currency, missing.label("amount"), report.c.reason)
        .where(missing > 0)
        .order_by(*_by_key(report))
    )
    known = sa.exists().where(orders.c.key == payments.c.order, orders.c._status.in_([ACCEPTED, QUARANTINED]))
    orphans = warehouse.read(
        sa.select(
            sa.null().cast(sa.Text).label(KEY),
            sa.null().cast(sa.Text).label("number"),
            payments.c.currency,
            payments.c.amount,
            sa.func.concat("payment ", payments.c.key, " is of an order that the shop does not have").label("reason"),
        )
        .where(payments.c._status.in_([ACCEPTED, QUARANTINED]), payments.c.amount > 0, ~known)
        .order_by(*_by_key(payments))
    )
    money = pl.concat([booked_nowhere, orphans], how="vertical_relaxed")
    return Unsettled(waiting.rename({"shop_total": "total"}), money, withheld(warehouse))


def _by_key(table: sa.Table) -> tuple[sa.ColumnElement[Any], ...]:
    return sa.func.length(table.c.key), table.c.key


def _sums(frame: pl.DataFrame, column: str) -> dict[str, Decimal]:
    """The sum of a column by currency, largest first."""
    sums = frame.group_by(pl.col("currency").fill_null("?")).agg(pl.col(column).sum()).sort(column, descending=True)
    return dict(sums.iter_rows())


def _told(frame: pl.DataFrame, column: str) -> str:
    return ", ".join(f"{amount:,f} {currency}" for currency, amount in _sums(frame, column).items())


def _texts(frame: pl.DataFrame, column: str) -> dict[str, str]:
    return {currency: f"{amount:f}" for currency, amount in _sums(frame, column).items()}
