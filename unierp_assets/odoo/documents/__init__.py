"""Workflows for many documents per call: confirm, deliver, invoice, post, pay; their reversals; stock.

Every function first reads the states and then acts only on documents that lag behind, so it may be called again after
a crash at any point, or after a lost answer, without doing anything twice. A failing batch is split until the bad
document stands alone. Each returns one :class:`~unierp_assets.odoo.outcomes.Outcome` per document, in the order given.
"""

from unierp_assets.odoo.documents.deliveries import Shipment, deliver
from unierp_assets.odoo.documents.invoices import Invoice, invoice_orders, post_invoices
from unierp_assets.odoo.documents.orders import cancel_orders, confirm_orders
from unierp_assets.odoo.documents.payments import Payment, register_payments
from unierp_assets.odoo.documents.progress import (
    Progress,
    documents_written_since,
    order_progress,
    orders_touched_since,
)
from unierp_assets.odoo.documents.quantities import follow_quantities
from unierp_assets.odoo.documents.returns import Return, return_deliveries
from unierp_assets.odoo.documents.reversals import Credit, credit_invoices, withdraw_payments
from unierp_assets.odoo.documents.stock import StockLevel, StockRow, set_stock, stock_levels, tidy_stock

__all__ = [
    "Credit",
    "Invoice",
    "Payment",
    "Progress",
    "Return",
    "Shipment",
    "StockLevel",
    "StockRow",
    "cancel_orders",
    "confirm_orders",
    "credit_invoices",
    "deliver",
    "documents_written_since",
    "follow_quantities",
    "invoice_orders",
    "order_progress",
    "orders_touched_since",
    "post_invoices",
    "register_payments",
    "return_deliveries",
    "set_stock",
    "stock_levels",
    "tidy_stock",
    "withdraw_payments",
]
