"""Products: what the shop shows on one page, sold in one or more variants."""

from collections.abc import Mapping

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
    joined,
    prose,
)


def stage(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per product, with the attribute values that its variants use."""
    values = inputs["variant_values"].group_by(KEY).agg(attribute_values=joined(pl.col("attribute_value_id")))
    return (
        inputs["products"]
        .join(values, on=KEY, how="left")
        .select(
            KEY,
            name=cleaned("name"),
            description=prose("description"),
            category=pl.col("category_id").cast(pl.String),
            tax=pl.col("tax_code"),
            active=pl.col("active").fill_null(True),
            attribute_values=pl.col("attribute_values"),
        )
    )


PRODUCTS = Entity(
    name="products",
    domain="products",
    description="Products of the catalogue (templates in Odoo's words).",
    model="product.template",
    inputs=(
        Input("products", "id"),
        Input("variant_values", "product_id", via=("variants", "variant_id", "id")),
    ),
    fields=(
        Field(
            "name",
            Kind.TEXT,
            "Name shown to customers.",
            odoo="name",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="products.name",
        ),
        Field(
            "description",
            Kind.PROSE,
            "Text shown to customers.",
            odoo="description_sale",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="products.description",
        ),
        Field(
            "category",
            Kind.REFERENCE,
            "Key of the category.",
            odoo="categ_id",
            target="categories",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="products.category_id",
        ),
        Field(
            "tax",
            Kind.REFERENCE,
            "Code of the sales tax.",
            odoo="taxes_id",
            target="taxes",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="products.tax_code",
        ),
        Field(
            "active",
            Kind.BOOLEAN,
            "Whether it is on sale.",
            odoo="active",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="products.active",
        ),
        Field(
            "attribute_values",
            Kind.REFERENCES,
            "Keys of the attribute values its variants use.",
            role=Role.INITIAL,
            target="attribute_values",
            # A value that cannot be there holds the variants that have it, and nothing else.
            waits=False,
        ),
    ),
    stage=stage,
    touches=("variants",),
    withdrawal=Withdrawal.ARCHIVE,
    ends_with="active",
    constants={"storable": True, "invoice_policy": "order"},
)
