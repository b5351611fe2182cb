"""Variants: the articles that are stocked and sold, each with its SKU and barcode."""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities import clean
from unierp_assets.entities.spec import BOTH, KEY, Entity, Field, Input, Kind, Role, System, Withdrawal, cleaned, joined


def bare_barcode(text: pl.Expr) -> pl.Expr:
    """A barcode without the blanks people type into it."""
    return text.str.replace_all(" ", "")


def stage(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per variant, with its configuration."""
    values = inputs["variant_values"].group_by(KEY).agg(attribute_values=joined(pl.col("attribute_value_id")))
    # UniERP archives a product together with its variants: on sale is what is on sale on both levels.
    offered = inputs["products"].select(KEY, offered=pl.col("active").fill_null(True))
    barcode = bare_barcode(cleaned("barcode"))
    return (
        inputs["variants"]
        .join(values, on=KEY, how="left")
        .join(offered, on=KEY, how="left")
        .select(
            KEY,
            product=pl.col("product_id").cast(pl.String),
            attribute_values=pl.col("attribute_values"),
            sku=cleaned("sku"),
            barcode=barcode,
            barcode_is_valid=clean.is_barcode(barcode),
            weight=pl.col("weight_kg"),
            cost=pl.col("cost_amount"),
            cost_currency=pl.col("cost_currency"),
            active=pl.col("active").fill_null(True) & pl.col("offered").fill_null(True),
        )
    )


VARIANTS = Entity(
    name="variants",
    domain="products",
    description="Variants of products: what is stocked, priced and sold.",
    model="product.product",
    inputs=(
        Input("variants", "id"),
        Input("variant_values", "variant_id"),
        Input("products", "id", via=("variants", "id", "product_id")),
    ),
    fields=(
        Field("product", Kind.REFERENCE, "Key of the product.", role=Role.INITIAL, target="products"),
        Field(
            "attribute_values",
            Kind.REFERENCES,
            "Keys of its attribute values.",
            odoo="product_template_attribute_value_ids",
            through=("product.template.attribute.value", "product_attribute_value_id"),
            target="attribute_values",
        ),
        Field(
            "sku",
            Kind.TEXT,
            "Stock keeping unit, unique.",
            odoo="default_code",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="variants.sku",
        ),
        Field(
            "barcode",
            Kind.TEXT,
            "EAN or UPC.",
            odoo="barcode",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="variants.barcode",
            normal=bare_barcode,
            # One article may have it at a time: what is not on sale leaves it to others.
            only_while="active",
        ),
        Field("barcode_is_valid", Kind.BOOLEAN, "Whether the check digit is right.", role=Role.STAGED),
        Field(
            "weight",
            Kind.DECIMAL,
            "Weight in kilograms.",
            odoo="weight",
            scale=2,
            owner=System.UNIERP,
            flows_to=BOTH,
            column="variants.weight_kg",
        ),
        Field(
            "cost",
            Kind.DECIMAL,
            "Cost in the cost currency.",
            odoo="standard_price",
            scale=2,
            owner=System.UNIERP,
            flows_to=BOTH,
            column="variants.cost_amount",
        ),
        Field("cost_currency", Kind.TEXT, "Currency of the cost (the company's).", role=Role.STAGED),
        Field(
            "active",
            Kind.BOOLEAN,
            "Whether it and its product are on sale.",
            odoo="active",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="variants.active",
        ),
    ),
    stage=stage,
    touches=("products",),
    withdrawal=Withdrawal.ARCHIVE,
    ends_with="active",
)
