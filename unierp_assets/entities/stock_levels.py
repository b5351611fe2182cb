"""Stock per variant and location.

UniERP owns stock. What the shop had on hand enters UniERP once, when a variant is first stocked; from then on the
available quantity flows the other way.
"""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities.spec import KEY, Entity, Field, Input, Kind, Role, System


def stage(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per variant and location."""
    return inputs["stock_levels"].select(
        KEY,
        variant=pl.col("variant_id").cast(pl.String),
        location=pl.col("location_id").cast(pl.String),
        on_hand=pl.col("on_hand"),
        available=pl.col("available"),
    )


STOCK_LEVELS = Entity(
    name="stock_levels",
    domain="inventory",
    description="Quantities per variant and location.",
    model="stock.quant",
    inputs=(Input("stock_levels", "id"),),
    fields=(
        Field("variant", Kind.REFERENCE, "Key of the variant.", role=Role.INITIAL, target="variants"),
        Field("location", Kind.REFERENCE, "Key of the location.", role=Role.INITIAL, target="locations"),
        Field("on_hand", Kind.DECIMAL, "Quantity the shop had at first, in units.", role=Role.INITIAL, scale=2),
        Field(
            "available",
            Kind.DECIMAL,
            "Quantity free to sell: on hand less reserved, in units.",
            scale=2,
            owner=System.UNIERP,
            flows_to=(System.STOREFRONT,),
            column="stock_levels.available",
        ),
    ),
    stage=stage,
    touches=("variants", "locations"),
)
