"""Workflows for many documents per call: confirm, deliver, invoice, post, pay; stock.

Every function first reads the states and then acts only on documents that lag behind, so it may be called again after
a crash at any point, or after a lost answer, without doing anything twice. A failing batch is split until the bad
document stands alone. Each returns one :class:`~unierp_assets.odoo.outcomes.Outcome` per document, in the order given.
"""

from unierp_assets.odoo.documents.deliveries import Shipment, deliver
from unierp_assets.odoo.documents.invoices import Invoice, invoice_orders, post_invoices
from unierp_assets.odoo.documents.orders import cancel_orders, confirm_orders
from unierp_assets.odoo.documents.payments import Payment, register_payments
from unierp_assets.odoo.documents.stock import StockLevel, StockRow, set_stock, stock_levels

__all__ = [
    "Invoice",
    "Payment",
    "Shipment",
    "StockLevel",
    "StockRow",
    "cancel_orders",
    "confirm_orders",
    "deliver",
    "invoice_orders",
    "post_invoices",
    "register_payments",
    "set_stock",
    "stock_levels",
]
