"""The category tree."""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities.spec import BOTH, KEY, Entity, Field, Input, Kind, System, cleaned


def stage(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per category."""
    return inputs["categories"].select(KEY, name=cleaned("name"), parent=pl.col("parent_id").cast(pl.String))


CATEGORIES = Entity(
    name="categories",
    domain="products",
    description="The category tree of the shop.",
    model="product.category",
    inputs=(Input("categories", "id"),),
    fields=(
        Field(
            "name",
            Kind.TEXT,
            "Name of the category.",
            odoo="name",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="categories.name",
        ),
        Field(
            "parent",
            Kind.REFERENCE,
            "Key of the parent; null at the root.",
            odoo="parent_id",
            target="categories",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="categories.parent_id",
        ),
    ),
    stage=stage,
)
