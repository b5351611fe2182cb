"""Sales taxes: the storefront's tax codes as taxes of UniERP."""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities.spec import KEY, Entity, Field, Input, Kind, Role, Withdrawal, cleaned


def stage(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per tax code."""
    return inputs["taxes"].select(
        KEY,
        name=cleaned("name"),
        country=cleaned("country").str.to_uppercase(),
        rate=pl.col("rate"),
        included=pl.col("included"),
    )


TAXES = Entity(
    name="taxes",
    domain="products",
    description="Sales taxes the storefront charges, by code.",
    model="account.tax",
    inputs=(Input("taxes", "code"),),
    fields=(
        Field("name", Kind.TEXT, "Name shown on documents.", odoo="name"),
        Field("country", Kind.TEXT, "ISO 3166 code of the country that levies the tax.", role=Role.STAGED),
        Field("rate", Kind.DECIMAL, "Rate in percent.", odoo="amount", scale=4),
        Field(
            "included",
            Kind.BOOLEAN,
            "Whether prices of the shop contain the tax.",
            odoo="price_include",
            codes={"tax_included": True, "tax_excluded": False},
        ),
    ),
    stage=stage,
    withdrawal=Withdrawal.KEEP,
    constants={"type_tax_use": "sale", "amount_type": "percent"},
)
