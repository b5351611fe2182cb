"""Attributes (colour, storage, grade) and their values, out of which variants are configured."""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities.spec import KEY, Entity, Field, Input, Kind, cleaned


def stage_attributes(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per attribute."""
    return inputs["attributes"].select(KEY, name=cleaned("name"))


def stage_values(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per attribute value."""
    return inputs["attribute_values"].select(
        KEY, attribute=pl.col("attribute_id").cast(pl.String), name=cleaned("name")
    )


ATTRIBUTES = Entity(
    name="attributes",
    domain="products",
    description="Attributes by which the variants of a product differ.",
    model="product.attribute",
    inputs=(Input("attributes", "id"),),
    fields=(Field("name", Kind.TEXT, "Name of the attribute.", odoo="name"),),
    stage=stage_attributes,
    # Only the variants the shop sells are made, not every combination of the values.
    constants={"create_variant": "dynamic"},
)

ATTRIBUTE_VALUES = Entity(
    name="attribute_values",
    domain="products",
    description="Values of the attributes.",
    model="product.attribute.value",
    inputs=(Input("attribute_values", "id"),),
    fields=(
        Field("attribute", Kind.REFERENCE, "Key of the attribute.", odoo="attribute_id", target="attributes"),
        Field("name", Kind.TEXT, "Name of the value.", odoo="name"),
    ),
    stage=stage_values,
)
