"""Customer payments, registered on posted invoices and reconciled with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.session import OdooSession


@dataclass(frozen=True, slots=True)
class Payment:
    """Money received for an invoice. ``key`` becomes the payment's external id; ``currency`` is an ISO code;
    ``journal_id`` defaults to the first bank journal of the company."""

    key: str
    invoice_id: int
    amount: Decimal
    currency: str
    date: date
    reference: str
    journal_id: int | None = None


def register_payments(
    session: OdooSession, namespace: str, payments: Sequence[Payment], *, batch: int = 50
) -> list[Outcome[str]]:
    """Creates, posts and reconciles payments (partial ones too), each once. ``id`` is the payment.

    A payment is found by its external id; a lost answer or a crash between creation, posting and reconciliation is
    continued where it stopped. More than the invoice's open amount stays on the customer's account.
    Key: ``Payment.key``."""
    raise NotImplementedError
