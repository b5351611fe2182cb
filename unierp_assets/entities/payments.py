"""Payments captured by the shop, registered against the invoices of their orders."""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities.spec import KEY, Entity, Field, Input, Kind, Role, cleaned


def stage(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per payment of which something was captured. Authorised and failed ones are no money yet."""
    return (
        inputs["payments"]
        .filter(pl.col("status").is_in(["captured", "partially_captured"]))
        .select(
            KEY,
            order=pl.col("order_id").cast(pl.String),
            invoice=pl.col("order_id").cast(pl.String),
            amount=pl.col("captured_amount"),
            currency=cleaned("currency").str.to_uppercase(),
            paid_on=pl.col("captured_at").dt.date(),
            method=cleaned("method"),
            reference=cleaned("reference"),
            state=pl.lit("posted"),
        )
    )


PAYMENTS = Entity(
    name="payments",
    domain="finance",
    description="Customer payments.",
    model="account.payment",
    inputs=(Input("payments", "id"),),
    fields=(
        Field("order", Kind.REFERENCE, "Key of the order.", role=Role.STAGED),
        Field("invoice", Kind.REFERENCE, "Key of the invoice (its order's).", role=Role.INITIAL, target="invoices"),
        Field("amount", Kind.DECIMAL, "Amount captured, in `currency`.", role=Role.VERIFY, odoo="amount", scale=2),
        Field("currency", Kind.TEXT, "ISO 4217 code of the amount.", role=Role.STAGED),
        Field("paid_on", Kind.DATE, "Day of the capture (UTC).", role=Role.INITIAL, odoo="date"),
        Field("method", Kind.TEXT, "Method of payment in the shop.", role=Role.STAGED),
        Field("reference", Kind.TEXT, "Transaction reference.", role=Role.INITIAL),
        Field(
            "state",
            Kind.TEXT,
            "`posted`.",
            odoo="state",
            # What a posted payment goes through once it is matched with the bank.
            codes={"in_process": "posted", "paid": "posted", "sent": "posted", "reconciled": "posted"},
        ),
    ),
    stage=stage,
    touches=("orders", "invoices", "customers", "addresses"),
)
