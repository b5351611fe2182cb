"""Sale orders: confirmation and cancellation."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.session import OdooSession


def confirm_orders(
    session: OdooSession, ids: Sequence[int], *, dates: Mapping[int, datetime] | None = None, batch: int = 20
) -> list[Outcome[int]]:
    """Confirms draft and sent orders and then restores ``date_order`` (UTC), which Odoo overwrites with now.

    Confirmed ones are left alone except for a differing date. Cancelled ones fail. Key: order id."""
    raise NotImplementedError


def cancel_orders(session: OdooSession, ids: Sequence[int], *, batch: int = 20) -> list[Outcome[int]]:
    """Cancels orders and their open transfers; cancelled ones are left alone. Key: order id.

    Orders with done transfers or posted invoices fail with :class:`OdooValidationError` that names the documents:
    those need a return and a credit note."""
    raise NotImplementedError
