"""Sales orders and their lines."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

import polars as pl

from unierp_assets.entities.spec import (
    BOTH,
    KEY,
    Entity,
    Field,
    Input,
    Kind,
    Role,
    System,
    Withdrawal,
    cleaned,
    prose,
)

CENT = Decimal("0.01")

STATES = {
    "pending": "pending",
    "confirmed": "confirmed",
    "shipped": "confirmed",
    "completed": "confirmed",
    "cancelled": "cancelled",
}
"""State of the sales document by the shop's status. That goods were shipped is said by shipments, not by the order."""


DOCUMENT_STATES = {
    "draft": "pending",
    "sent": "pending",
    "sale": "confirmed",
    "done": "confirmed",
    "cancel": "cancelled",
}
"""State of the sales document by Odoo's own; ``done`` is a locked order of the older versions."""


def _told(name: str, kind: Kind, comment: str, scale: int = 0) -> Field:
    """What UniERP tells the shop about the progress of an order; read from the order's documents."""
    return Field(
        name,
        kind,
        comment,
        scale=scale,
        owner=System.UNIERP,
        flows_to=(System.STOREFRONT,),
        column=f"orders.{name}",
    )


PROGRESS = (
    _told("delivery_status", Kind.TEXT, "`none`, `partial` or `full`: what has left, as UniERP knows it."),
    _told("tracking_numbers", Kind.TEXT, "Tracking numbers of its deliveries, joined by commas."),
    _told("invoice_numbers", Kind.TEXT, "Numbers of its invoices and credit notes, joined by commas."),
    _told("invoiced_total", Kind.DECIMAL, "Invoiced less credited, in `currency`.", 2),
    _told("paid_total", Kind.DECIMAL, "Received less paid back, in `currency`.", 2),
)


def discount_percent(gross: Decimal, discount: Decimal) -> Decimal:
    """The discount in percent that takes exactly ``discount`` off ``gross`` once the line is rounded to the cent.

    Two digits where they are enough, which is what Odoo keeps by default; otherwise six.
    """
    if not discount or not gross:
        return Decimal(0)
    percent = 100 * discount / gross
    for digits in (CENT, Decimal("0.000001")):
        rounded = percent.quantize(digits, ROUND_HALF_UP)
        if (gross * (1 - rounded / 100)).quantize(CENT, ROUND_HALF_UP) == gross - discount:
            break
    return rounded


def stage_orders(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per order. Amounts are in ``currency``; the instant is cut to the second, which is what Odoo stores."""
    return inputs["orders"].select(
        KEY,
        number=cleaned("number"),
        channel=cleaned("channel"),
        customer=pl.col("customer_id").cast(pl.String),
        invoice_address=pl.col("billing_address_id").cast(pl.String),
        shipping_address=pl.col("shipping_address_id").cast(pl.String),
        currency=cleaned("currency").str.to_uppercase(),
        price_list=cleaned("currency").str.to_uppercase(),
        prices_include_tax=pl.col("prices_include_tax"),
        status=pl.col("status"),
        state=pl.col("status").replace_strict(STATES, default=None, return_dtype=pl.String),
        ordered_at=pl.col("placed_at").dt.truncate("1s"),
        coupon_code=cleaned("coupon_code"),
        discount_total=pl.col("discount_total"),
        shipping_total=pl.col("shipping_total"),
        tax_total=pl.col("tax_total"),
        total=pl.col("total"),
        **{field.name: pl.col(field.name) for field in PROGRESS},
    )


def stage_lines(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per order line, the discount as the percentage that Odoo computes with."""
    lines = inputs["order_lines"]
    percents = [
        discount_percent(quantity * price, discount) if None not in (quantity, price, discount) else None
        for quantity, price, discount in lines.select("quantity", "unit_price", "discount_amount").iter_rows()
    ]
    return lines.select(
        KEY,
        order=pl.col("order_id").cast(pl.String),
        position=pl.col("position").cast(pl.Int64),
        kind=pl.col("kind"),
        variant=pl.col("variant_id").cast(pl.String),
        name=prose("name"),
        quantity=pl.col("quantity"),
        unit_price=pl.col("unit_price"),
        discount_amount=pl.col("discount_amount"),
        discount_percent=pl.Series(percents, dtype=pl.Decimal(18, 6)),
        tax=pl.col("tax_code"),
        tax_amount=pl.col("tax_amount"),
        total=pl.col("total"),
    )


ORDERS = Entity(
    name="orders",
    domain="orders",
    description="Sales orders of the shop.",
    model="sale.order",
    inputs=(Input("orders", "id"),),
    fields=(
        Field("number", Kind.TEXT, "Order number shown to the customer.", odoo="client_order_ref"),
        Field("channel", Kind.TEXT, "Where the order was placed.", odoo="origin"),
        Field("customer", Kind.REFERENCE, "Key of the customer.", odoo="partner_id", target="customers"),
        Field(
            "invoice_address",
            Kind.REFERENCE,
            "Key of the billing address.",
            odoo="partner_invoice_id",
            target="addresses",
        ),
        Field(
            "shipping_address",
            Kind.REFERENCE,
            "Key of the shipping address.",
            odoo="partner_shipping_id",
            target="addresses",
        ),
        Field("currency", Kind.TEXT, "ISO 4217 code of all its amounts.", role=Role.STAGED),
        Field(
            "price_list", Kind.REFERENCE, "The price list of its currency.", odoo="pricelist_id", target="price_lists"
        ),
        Field("prices_include_tax", Kind.BOOLEAN, "Whether its prices contain the tax.", role=Role.STAGED),
        Field("status", Kind.TEXT, "Status in the shop.", role=Role.STAGED),
        Field(
            "state",
            Kind.TEXT,
            "`pending`, `confirmed` or `cancelled`.",
            odoo="state",
            codes=DOCUMENT_STATES,
            flows_to=BOTH,
            column="orders.status",
        ),
        Field("ordered_at", Kind.TIMESTAMP, "When the customer placed it.", odoo="date_order"),
        Field("coupon_code", Kind.TEXT, "Coupon the customer used.", role=Role.STAGED),
        Field("discount_total", Kind.DECIMAL, "Sum of the lines' discounts.", role=Role.STAGED, scale=2),
        Field("shipping_total", Kind.DECIMAL, "Shipping, tax included.", role=Role.STAGED, scale=2),
        Field("tax_total", Kind.DECIMAL, "Sum of the taxes.", role=Role.VERIFY, odoo="amount_tax", scale=2),
        Field("total", Kind.DECIMAL, "What the customer pays.", role=Role.VERIFY, odoo="amount_total", scale=2),
        *PROGRESS,
    ),
    stage=stage_orders,
    readback=(Field("document", Kind.TEXT, "Number of the sales document in UniERP.", odoo="name"),),
    touches=("stock_levels", "customers", "addresses", "shipments", "invoices", "payments"),
)

ORDER_LINES = Entity(
    name="order_lines",
    domain="orders",
    description="Lines of the sales orders, shipping included.",
    model="sale.order.line",
    inputs=(Input("order_lines", "id"),),
    fields=(
        Field("order", Kind.REFERENCE, "Key of the order.", odoo="order_id", target="orders"),
        Field("position", Kind.INTEGER, "Place on the document.", odoo="sequence"),
        Field("kind", Kind.TEXT, "`product` or `shipping`.", role=Role.STAGED),
        Field(
            "variant", Kind.REFERENCE, "Key of the variant; null for shipping.", odoo="product_id", target="variants"
        ),
        Field("name", Kind.PROSE, "Text on the document.", odoo="name"),
        Field("quantity", Kind.DECIMAL, "Units ordered.", odoo="product_uom_qty", scale=2),
        Field("unit_price", Kind.DECIMAL, "Price of one unit, as the order's prices are.", odoo="price_unit", scale=2),
        Field("discount_amount", Kind.DECIMAL, "Discount on the line.", role=Role.STAGED, scale=2),
        Field("discount_percent", Kind.DECIMAL, "The same in percent.", odoo="discount", scale=6),
        Field("tax", Kind.REFERENCE, "Code of the tax; null for none.", odoo="tax", target="taxes"),
        Field("tax_amount", Kind.DECIMAL, "Tax of the line.", role=Role.VERIFY, odoo="price_tax", scale=2),
        Field("total", Kind.DECIMAL, "Line total, tax included.", role=Role.VERIFY, odoo="price_total", scale=2),
    ),
    stage=stage_lines,
    withdrawal=Withdrawal.ZERO,
    created_with="orders",
    touches=("stock_levels", "shipments"),
)
