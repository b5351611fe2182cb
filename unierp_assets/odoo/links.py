"""Addresses of pages of UniERP's web client, for people who want to see a record or a list.

Belongs here: which page shows a model. Does not belong here: reading anything; nothing is called. The form of the
addresses is that of Odoo up to 17, which later versions turn into their own.
"""

from urllib.parse import quote, urlencode

LISTS = {
    "account.move": "account.action_move_out_invoice_type",
    "account.payment": "account.action_account_payments",
    "account.tax": "account.action_tax_form",
    "product.attribute": "product.attribute_action",
    "product.attribute.value": "product.attribute_action",
    "product.category": "product.product_category_action_form",
    "product.pricelist": "product.product_pricelist_action2",
    "product.pricelist.item": "product.product_pricelist_item_action",
    "product.product": "product.product_normal_action",
    "product.template": "product.product_template_action_all",
    "res.currency.rate": "base.action_currency_form",
    "res.partner": "base.action_partner_form",
    "res.partner.category": "base.action_partner_category_form",
    "sale.order": "sale.action_orders",
    "sale.order.line": "sale.action_orders",
    "stock.location": "stock.action_location_form",
    "stock.picking": "stock.action_picking_tree_all",
    "stock.quant": "product.product_normal_action",
}
"""The window action that lists a model, or what its records are part of, by its external id. Each exists from 14 on."""


def list_url(server: str, database: str, model: str) -> str | None:
    """The page that lists the records of a model; None where there is no such page."""
    action = LISTS.get(model)
    return _page(server, database, {"action": action}) if action else None


def record_url(server: str, database: str, model: str, record_id: int) -> str:
    """The page of one record."""
    return _page(server, database, {"id": str(record_id), "model": model, "view_type": "form"})


def _page(server: str, database: str, state: dict[str, str]) -> str:
    return f"{server.rstrip('/')}/web?db={quote(database, safe='')}#{urlencode(state)}"
