"""Quantities on hand: set absolutely, and read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.session import OdooSession


@dataclass(frozen=True, slots=True)
class StockRow:
    """The quantity counted of a product (``product.product`` id) at a location, in the product's unit."""

    product_id: int
    location_id: int
    quantity: Decimal
    lot_id: int | None = None


@dataclass(frozen=True, slots=True)
class StockLevel:
    """On hand and reserved at one internal location, lots summed; available is ``quantity - reserved``."""

    product_id: int
    location_id: int
    quantity: Decimal
    reserved: Decimal


def set_stock(
    session: OdooSession, rows: Sequence[StockRow], *, batch: int = 200
) -> list[Outcome[tuple[int, int, int | None]]]:
    """Sets counted quantities absolutely; rows that already are right are left alone.

    Work is divided by product: the first stock of one product from two connections would be added up by the server.
    Key: (product id, location id, lot id or None). ``id`` is None."""
    raise NotImplementedError


def stock_levels(
    session: OdooSession,
    product_ids: Sequence[int] | None = None,
    *,
    changed_since: datetime | None = None,
    location_ids: Sequence[int] | None = None,
    batch: int = 1000,
) -> Iterator[StockLevel]:
    """Levels per product and internal location (those with a quant; the rest are zero), in order of product.

    ``changed_since`` restricts to products with a quant written since (aware; rewind by the longest transaction)."""
    raise NotImplementedError
