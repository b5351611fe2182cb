"""Stock locations of the shop, as internal locations of UniERP's warehouse."""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities.spec import KEY, Entity, Field, Input, Kind, Role, cleaned


def stage(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per location."""
    return inputs["locations"].select(
        KEY, name=cleaned("name"), code=cleaned("code"), country=cleaned("country").str.to_uppercase()
    )


LOCATIONS = Entity(
    name="locations",
    domain="inventory",
    description="Places where goods are stocked.",
    model="stock.location",
    inputs=(Input("locations", "id"),),
    fields=(
        Field("name", Kind.TEXT, "Name of the location.", odoo="name"),
        Field("code", Kind.TEXT, "Short code in the shop.", role=Role.STAGED),
        Field("country", Kind.TEXT, "ISO 3166 code.", role=Role.STAGED),
    ),
    stage=stage,
    constants={"usage": "internal"},
)
