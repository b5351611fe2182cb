"""UniERP (Odoo) client library, usable on its own: sessions, features, bulk records, documents.

Only the public names are gathered here. Nothing in this package knows about the storefront, the warehouse or Dagster.

>>> with OdooSession("https://erp.example.com", "main", "bot", key) as session:   # doctest: +SKIP
...     outcomes = load(session, "res.partner", ["id", "name"], [["shop.c1", "Ada"]])
...     confirm_orders(session, [7, 8])
"""

from unierp_assets.odoo import documents, values
from unierp_assets.odoo.bindings import bind, bindings, last_binding_id, unbind
from unierp_assets.odoo.documents import (
    Credit,
    Invoice,
    Payment,
    Progress,
    Return,
    Shipment,
    StockLevel,
    StockRow,
    cancel_orders,
    confirm_orders,
    credit_invoices,
    deliver,
    documents_written_since,
    follow_quantities,
    invoice_orders,
    order_progress,
    orders_touched_since,
    post_invoices,
    register_payments,
    return_deliveries,
    set_stock,
    stock_levels,
    tidy_stock,
    withdraw_payments,
)
from unierp_assets.odoo.errors import (
    OdooAccessDenied,
    OdooAnswerLost,
    OdooCircuitOpen,
    OdooConcurrencyError,
    OdooError,
    OdooLoginFailed,
    OdooMissingModule,
    OdooMissingRecord,
    OdooUnavailable,
    OdooUnsupported,
    OdooValidationError,
)
from unierp_assets.odoo.features import Features
from unierp_assets.odoo.loading import load
from unierp_assets.odoo.outcomes import Attempt, Outcome, failed
from unierp_assets.odoo.records import (
    archive,
    changed_since,
    create,
    newest_writes,
    read,
    search_read,
    unlink,
    write_changed,
)
from unierp_assets.odoo.session import Counters, Guard, OdooSession

__all__ = [
    "Attempt",
    "Counters",
    "Credit",
    "Features",
    "Guard",
    "Invoice",
    "OdooAccessDenied",
    "OdooAnswerLost",
    "OdooCircuitOpen",
    "OdooConcurrencyError",
    "OdooError",
    "OdooLoginFailed",
    "OdooMissingModule",
    "OdooMissingRecord",
    "OdooSession",
    "OdooUnavailable",
    "OdooUnsupported",
    "OdooValidationError",
    "Outcome",
    "Payment",
    "Progress",
    "Return",
    "Shipment",
    "StockLevel",
    "StockRow",
    "archive",
    "bind",
    "bindings",
    "cancel_orders",
    "changed_since",
    "confirm_orders",
    "create",
    "credit_invoices",
    "deliver",
    "documents",
    "documents_written_since",
    "failed",
    "follow_quantities",
    "invoice_orders",
    "last_binding_id",
    "load",
    "newest_writes",
    "order_progress",
    "orders_touched_since",
    "post_invoices",
    "read",
    "register_payments",
    "return_deliveries",
    "search_read",
    "set_stock",
    "stock_levels",
    "tidy_stock",
    "unbind",
    "unlink",
    "values",
    "withdraw_payments",
    "write_changed",
]
