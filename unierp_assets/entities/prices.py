"""Price lists, one per currency, and the prices on them, dated where the shop dates them."""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities.spec import BOTH, KEY, Entity, Field, Input, Kind, Role, System, Withdrawal, cleaned


def first_instant_after(last: pl.Expr) -> pl.Expr:
    """The first instant a price no longer holds, by the last it does: Odoo counts in whole seconds."""
    return last + pl.duration(seconds=1)


def stage_price_lists(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per currency the shop sells in."""
    return (
        inputs["currencies"]
        .filter(pl.col("active"))
        .select(KEY, name=pl.format("Storefront {}", KEY), currency=pl.col(KEY))
    )


def stage_prices(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per price. Instants are cut to the second, which is what Odoo stores; the shop's end is the first instant
    the price no longer holds, Odoo's the last it does."""
    return inputs["prices"].select(
        KEY,
        price_list=cleaned("currency").str.to_uppercase(),
        variant=pl.col("variant_id").cast(pl.String),
        amount=pl.col("amount"),
        currency=cleaned("currency").str.to_uppercase(),
        valid_from=pl.col("valid_from").dt.truncate("1s"),
        valid_to=(pl.col("valid_to") - pl.duration(microseconds=1)).dt.truncate("1s"),
    )


PRICE_LISTS = Entity(
    name="price_lists",
    domain="products",
    description="One price list per currency of the shop.",
    model="product.pricelist",
    inputs=(Input("currencies", "code"),),
    fields=(
        Field("name", Kind.TEXT, "Name of the price list.", odoo="name"),
        Field("currency", Kind.TEXT, "ISO 4217 code.", odoo="currency_id", lookup=("res.currency", "name")),
    ),
    stage=stage_price_lists,
)

PRICES = Entity(
    name="prices",
    domain="products",
    description="Prices per variant and currency, with their validity.",
    model="product.pricelist.item",
    inputs=(Input("prices", "id"),),
    fields=(
        Field(
            "price_list",
            Kind.REFERENCE,
            "The price list of its currency.",
            odoo="pricelist_id",
            target="price_lists",
        ),
        Field("variant", Kind.REFERENCE, "Key of the variant.", odoo="product_id", target="variants"),
        Field(
            "amount",
            Kind.DECIMAL,
            "Price in `currency`.",
            odoo="fixed_price",
            scale=2,
            owner=System.UNIERP,
            flows_to=BOTH,
            column="prices.amount",
        ),
        Field("currency", Kind.TEXT, "ISO 4217 code of the amount.", role=Role.STAGED),
        Field(
            "valid_from",
            Kind.TIMESTAMP,
            "First instant of validity.",
            odoo="date_start",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="prices.valid_from",
        ),
        Field(
            "valid_to",
            Kind.TIMESTAMP,
            "Last instant of validity.",
            odoo="date_end",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="prices.valid_to",
            restored=first_instant_after,
        ),
    ),
    stage=stage_prices,
    # The list price that Odoo shows on a product follows its prices.
    touches=("products", "variants"),
    withdrawal=Withdrawal.DELETE,
    ends_with="valid_to",
    constants={"applied_on": "0_product_variant", "compute_price": "fixed"},
)
