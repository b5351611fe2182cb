"""Customer invoices of sale orders."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.session import OdooSession


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
    session: OdooSession, namespace: str, invoices: Sequence[Invoice], *, batch: int = 20
) -> list[Outcome[str]]:
    """Makes one draft invoice per order over all its lines, whatever the invoicing policy, in the order's currency.

    Found by external id first, then by the order's own invoices. An invoice whose total differs from the expected one
    fails with :class:`OdooValidationError` and stays draft (``id`` is set). Key: ``Invoice.key``."""
    raise NotImplementedError


def post_invoices(session: OdooSession, ids: Sequence[int], *, batch: int = 20) -> list[Outcome[int]]:
    """Posts draft invoices; posted ones are left alone, cancelled ones fail. Key: invoice id."""
    raise NotImplementedError
