"""Billing and shipping addresses of customers."""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities import clean
from unierp_assets.entities.spec import KEY, Entity, Field, Input, Kind, Role, Withdrawal, cleaned


def stage(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per address, in Odoo's words: `invoice` for billing, `delivery` for shipping."""
    country = clean.country(cleaned("country"))
    return inputs["addresses"].select(
        KEY,
        customer=pl.col("customer_id").cast(pl.String),
        kind=pl.col("kind").replace({"billing": "invoice", "shipping": "delivery"}),
        name=pl.coalesce(cleaned("name"), cleaned("company")),
        street=cleaned("street"),
        street2=cleaned("street2"),
        city=cleaned("city"),
        postcode=cleaned("postcode"),
        state=clean.region(country, cleaned("region")),
        country=country,
        country_is_known=clean.is_country(country),
        phone=clean.phone(cleaned("phone")),
    )


ADDRESSES = Entity(
    name="addresses",
    domain="customers",
    description="Billing and shipping addresses (child contacts in Odoo's words).",
    model="res.partner",
    inputs=(Input("addresses", "id"),),
    fields=(
        Field("customer", Kind.REFERENCE, "Key of the customer.", odoo="parent_id", target="customers"),
        Field("kind", Kind.TEXT, "`invoice` (billing) or `delivery` (shipping).", odoo="type"),
        Field("name", Kind.TEXT, "Recipient.", odoo="name", personal=True),
        Field("street", Kind.TEXT, "Street and number.", odoo="street", personal=True),
        Field("street2", Kind.TEXT, "Second line.", odoo="street2", personal=True),
        Field("city", Kind.TEXT, "City.", odoo="city", personal=True),
        Field("postcode", Kind.TEXT, "Postcode.", odoo="zip", personal=True),
        Field(
            "state",
            Kind.TEXT,
            "ISO 3166-2 code; null where UniERP knows no such region.",
            odoo="state_id",
            lookup=("res.country.state", "code"),
            detail=True,
        ),
        Field("country", Kind.TEXT, "ISO 3166 code.", odoo="country_id", lookup=("res.country", "code")),
        Field("country_is_known", Kind.BOOLEAN, "Whether the code exists.", role=Role.STAGED),
        Field("phone", Kind.TEXT, "Phone number in E.164.", odoo="phone", personal=True, normal=clean.phone),
    ),
    stage=stage,
    touches=("customers",),
    withdrawal=Withdrawal.ARCHIVE,
)
