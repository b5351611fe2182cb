"""Outgoing transfers of sale orders: one transfer per shipment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.session import OdooSession


@dataclass(frozen=True, slots=True)
class Shipment:
    """What was sent. ``key`` becomes the transfer's external id. ``quantities`` are by sale order line id, in the
    line's unit; None ships all that is still open. ``carrier`` is a name, kept with the tracking number."""

    key: str
    order_id: int
    shipped_at: datetime
    quantities: Mapping[int, Decimal] | None = None
    tracking_number: str | None = None
    carrier: str | None = None


def deliver(
    session: OdooSession, namespace: str, shipments: Sequence[Shipment], *, batch: int = 20
) -> list[Outcome[str]]:
    """Books shipments of confirmed orders as done transfers; what is left stays open as a backorder.

    Quantities are forced: short stock becomes negative rather than stopping a parcel that has left. Several shipments
    of one order are booked in the order given. ``id`` is the transfer. Key: ``Shipment.key``."""
    raise NotImplementedError
