"""Customer invoices: one per order, as soon as money was captured or goods were shipped."""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities.orders import STATES
from unierp_assets.entities.spec import KEY, Entity, Field, Input, Kind, Role, cleaned


def stage(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per order that is due for invoicing, dated by the first capture or shipment (UTC)."""
    events = pl.concat(
        [
            inputs["payments"].filter(pl.col("captured_amount") > 0).select(KEY, at="captured_at"),
            inputs["shipments"].select(KEY, at="shipped_at"),
        ]
    )
    due = events.group_by(KEY).agg(invoice_date=pl.col("at").min().dt.date())
    confirmed = [status for status, state in STATES.items() if state == "confirmed"]
    return (
        inputs["orders"]
        .filter(pl.col("status").is_in(confirmed))
        .join(due, on=KEY)
        .select(
            KEY,
            order=pl.col(KEY),
            reference=cleaned("number"),
            invoice_date=pl.col("invoice_date"),
            currency=cleaned("currency").str.to_uppercase(),
            tax_total=pl.col("tax_total"),
            total=pl.col("total"),
            state=pl.lit("posted"),
        )
    )


INVOICES = Entity(
    name="invoices",
    domain="finance",
    description="Posted customer invoices.",
    model="account.move",
    inputs=(Input("orders", "id"), Input("payments", "order_id"), Input("shipments", "order_id")),
    fields=(
        Field("order", Kind.REFERENCE, "Key of the order.", role=Role.INITIAL, target="orders"),
        Field("reference", Kind.TEXT, "The order's number.", role=Role.INITIAL, odoo="ref"),
        Field("invoice_date", Kind.DATE, "Date of the invoice (UTC).", role=Role.INITIAL, odoo="invoice_date"),
        Field("currency", Kind.TEXT, "ISO 4217 code of its amounts.", role=Role.STAGED),
        Field("tax_total", Kind.DECIMAL, "Sum of the taxes.", role=Role.VERIFY, odoo="amount_tax", scale=2),
        Field("total", Kind.DECIMAL, "Total of the invoice.", role=Role.VERIFY, odoo="amount_total", scale=2),
        Field("state", Kind.TEXT, "`posted`.", odoo="state"),
    ),
    stage=stage,
    touches=("orders", "order_lines", "customers", "addresses"),
    readback=(
        Field("number", Kind.TEXT, "Number of the invoice.", odoo="name"),
        Field("residual", Kind.DECIMAL, "What is still to be paid.", odoo="amount_residual", scale=2),
        Field("payment_state", Kind.TEXT, "`not_paid`, `partial`, `in_payment` or `paid`.", odoo="paid"),
    ),
)
