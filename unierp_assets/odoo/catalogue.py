"""What differs between the generations of Odoo, as data: names, values, methods and the apps that bring models.

A new generation is a new row here. Nothing in this module talks to a server; :mod:`~unierp_assets.odoo.features` asks
which row holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Option:
    """One way to say a concept; it holds where ``model`` exists and, if given, has ``field``."""

    value: Any
    model: str
    field: str | None = None


def _names(model: str, *fields: str) -> tuple[Option, ...]:
    """The field that exists, by its own name."""
    return tuple(Option(field, model, field) for field in fields)


# The first option that holds is the answer. Newest generation first. Keys: "model/concept" for a field name,
# a plain concept for models, values and methods.
CONCEPTS: Mapping[str, tuple[Option, ...]] = {
    # fields
    "product.template/image": _names("product.template", "image_1920", "image"),
    "product.product/image": _names("product.product", "image_variant_1920", "image_variant"),
    "sale.order.line/tax": _names("sale.order.line", "tax_ids", "tax_id"),
    "sale.order.line/uom": _names("sale.order.line", "product_uom_id", "product_uom"),
    "purchase.order.line/tax": _names("purchase.order.line", "tax_ids", "taxes_id"),
    "purchase.order.line/uom": _names("purchase.order.line", "product_uom_id", "product_uom"),
    "stock.picking/moves": _names("stock.picking", "move_ids", "move_lines"),
    "stock.move/done": (
        Option("quantity_done", "stock.move", "quantity_done"),
        Option("quantity", "stock.move", "quantity"),
    ),
    # what of a done move may be returned, in the unit the return's wizard counts in: the product's, later the move's
    "stock.move/returnable": (
        Option("product_qty", "stock.move", "quantity_done"),
        Option("quantity", "stock.move", "quantity"),
    ),
    # where the goods are to end, by this move or by later ones that follow it
    "stock.move/aim": _names("stock.move", "location_final_id", "location_dest_id"),
    "stock.move.line/done": (
        Option("qty_done", "stock.move.line", "qty_done"),
        Option("quantity", "stock.move.line", "quantity"),
    ),
    # how many reference units one is
    "uom.uom/ratio": _names("uom.uom", "factor_inv", "factor"),
    "account.move/type": _names("account.move", "move_type", "type"),
    "account.move/paid": _names("account.move", "payment_state", "invoice_payment_state"),
    "account.move/payment_reference": _names("account.move", "payment_reference", "invoice_payment_ref"),
    "account.payment/reference": _names("account.payment", "memo", "ref", "communication"),
    "account.payment/date": _names("account.payment", "date", "payment_date"),
    "account.tax/price_include": _names("account.tax", "price_include_override", "price_include"),
    "account.account/class": _names("account.account", "account_type", "user_type_id"),
    "res.users/groups": _names("res.users", "group_ids", "groups_id"),
    "product.supplierinfo/vendor": _names("product.supplierinfo", "partner_id", "name"),
    # models
    "lot": (Option("stock.lot", "stock.lot"), Option("stock.production.lot", "stock.production.lot")),
    "invoice": (Option("account.invoice", "account.invoice"), Option("account.move", "account.move")),
    "payment_register": (
        Option("account.register.payments", "account.register.payments"),
        Option("account.payment.register", "account.payment.register"),
    ),
    "loyalty_program": tuple(
        Option(model, model) for model in ("loyalty.program", "coupon.program", "sale.coupon.program")
    ),
    "loyalty_card": tuple(Option(model, model) for model in ("loyalty.card", "coupon.coupon", "sale.coupon")),
    # values
    "storable": (
        Option({"type": "consu", "is_storable": True}, "product.template", "is_storable"),
        Option({"type": "product"}, "product.template"),
    ),
    "customer": (
        Option({"customer_rank": 1}, "res.partner", "customer_rank"),
        Option({"customer": True}, "res.partner", "customer"),
    ),
    "supplier": (
        Option({"supplier_rank": 1}, "res.partner", "supplier_rank"),
        Option({"supplier": True}, "res.partner", "supplier"),
    ),
    # methods and ways
    "return": (
        Option("create_returns", "stock.return.picking", "location_id"),
        Option("action_create_returns", "stock.return.picking"),
    ),
    "set_stock": (
        Option("quants", "stock.quant", "inventory_quantity_set"),
        Option("inventory", "stock.inventory"),
    ),
    "validate": (
        # Before Odoo 14 button_validate takes one transfer only; that generation is told apart by its invoices.
        Option("button_validate", "stock.move", "picked"),
        Option("button_validate", "account.move", "move_type"),
        Option("action_done", "stock.picking"),
    ),
    # True where moves must be given a description of their own
    "move_name": (Option(True, "stock.move", "name"), Option(False, "stock.move")),
    # True where the wizard that registers payments takes an amount and a currency
    "payment_register_amount": (
        Option(True, "account.payment.register", "amount"),
        Option(False, "account.payment.register"),
        Option(False, "account.register.payments"),
    ),
    "parallel_numbers": (
        # Before account types became plain text, two posting transactions could give out one number, or be refused
        # for it: numbers are then given on one connection.
        Option(False, "account.account", "user_type_id"),
        Option(True, "account.account"),
    ),
    "pay": (
        # posting a payment reconciled it with its invoices by itself
        Option("post", "account.payment", "communication"),
        Option("action_post", "account.payment"),
    ),
    # the steps from a posted payment to a cancelled one
    "withdraw": (
        # cancels the posted entry itself, which stays with its number
        Option(("action_cancel",), "account.payment", "memo"),
        Option(("action_draft", "cancel"), "account.payment", "communication"),
        Option(("action_draft", "action_cancel"), "account.payment"),
    ),
}

# Apps that do something of their own when an invoice is paid by the regular reconciliation.
PAID_HOOKS: tuple[tuple[str, str | None], ...] = (("event.booth", None), ("event.registration", "sale_order_id"))

# The app a person must install for a model to appear; the longest prefix wins.
MODULES: Mapping[str, str] = {
    "account": "account",
    "account.register.payments": "account",
    "choose.delivery.carrier": "delivery",
    "coupon": "sale_coupon",
    "crm": "crm",
    "delivery": "delivery",
    "hr.expense": "hr_expense",
    "loyalty": "loyalty",
    "mail": "mail",
    "product": "product",
    "product.pricelist": "product",
    "purchase": "purchase",
    "sale": "sale_management",
    "sale.coupon": "sale_coupon",
    "stock": "stock",
    "stock.landed.cost": "stock_landed_costs",
    "stock.valuation.layer": "stock_account",
    "uom": "uom",
}

# Fields on models of other apps, by the app that adds them.
FIELD_MODULES: Mapping[tuple[str, str], str] = {
    ("sale.order", "carrier_id"): "delivery",
    ("sale.order", "picking_ids"): "sale_stock",
    ("sale.order.line", "is_delivery"): "delivery",
    ("stock.move", "sale_line_id"): "sale_stock",
    ("stock.move", "purchase_line_id"): "purchase_stock",
    ("stock.picking", "carrier_tracking_ref"): "delivery",
    ("stock.picking", "sale_id"): "sale_stock",
    ("account.move.line", "sale_line_ids"): "sale_management",
}


def module_of(model: str, field: str | None = None) -> str | None:
    """The Odoo app that brings a model or field; None if unknown to this table."""
    if field is not None and (model, field) in FIELD_MODULES:
        return FIELD_MODULES[model, field]
    parts = model.split(".")
    for length in range(len(parts), 0, -1):
        module = MODULES.get(".".join(parts[:length]))
        if module:
            return module
    return None
