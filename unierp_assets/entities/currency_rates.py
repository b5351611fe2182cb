"""Dated exchange rates, by which documents in other currencies enter the books."""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities.spec import KEY, Entity, Field, Input, Kind, cleaned


def stage(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per currency and day."""
    return inputs["exchange_rates"].select(
        KEY, currency=cleaned("currency").str.to_uppercase(), day=pl.col("valid_on"), rate=pl.col("rate")
    )


CURRENCY_RATES = Entity(
    name="currency_rates",
    domain="finance",
    description="Exchange rates by currency and day.",
    model="res.currency.rate",
    inputs=(Input("exchange_rates", "id"),),
    fields=(
        Field("currency", Kind.TEXT, "ISO 4217 code.", odoo="currency_id", lookup=("res.currency", "name")),
        Field("day", Kind.DATE, "First day the rate holds.", odoo="name"),
        Field("rate", Kind.DECIMAL, "Units of the currency for one unit of the company's.", odoo="rate", scale=8),
    ),
    stage=stage,
)
