"""Customers, registered ones and guests, and the groups they belong to."""

from collections.abc import Mapping

import polars as pl

from unierp_assets.entities import clean
from unierp_assets.entities.spec import (
    BOTH,
    KEY,
    Entity,
    Field,
    Input,
    Kind,
    Role,
    Strategy,
    System,
    Withdrawal,
    cleaned,
    joined,
)


def bare_vat(text: pl.Expr) -> pl.Expr:
    """A VAT id without what people put between its characters, in capitals."""
    return text.str.replace_all(r"[ .-]", "").str.to_uppercase()


def small(text: pl.Expr) -> pl.Expr:
    """An e-mail address in small letters, without joiners that nobody sees."""
    return text.str.replace_all("[\u200c\u200d]", "").str.to_lowercase()


def stage_groups(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per customer group."""
    return inputs["customer_groups"].select(KEY, name=cleaned("name"))


def stage_customers(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per customer. A company goes by its own name, a person by first and last name."""
    groups = inputs["customer_group_members"].group_by(KEY).agg(groups=joined(pl.col("group_id")))
    person = pl.concat_str(cleaned("first_name"), cleaned("last_name"), separator=" ", ignore_nulls=True)
    email = small(cleaned("email"))
    vat = bare_vat(cleaned("vat"))
    return (
        inputs["customers"]
        .join(groups, on=KEY, how="left")
        .select(
            KEY,
            name=pl.coalesce(cleaned("company"), pl.when(person != "").then(person)),
            is_company=cleaned("company").is_not_null(),
            kind=pl.col("kind"),
            email=email,
            email_is_valid=clean.is_email(email),
            phone=clean.phone(cleaned("phone")),
            vat=vat,
            vat_is_valid=clean.is_vat(vat),
            groups=pl.col("groups"),
            language=pl.col("language"),
            registered_at=pl.col("created_at"),
            active=pl.col("active").fill_null(True),
        )
    )


CUSTOMER_GROUPS = Entity(
    name="customer_groups",
    domain="customers",
    description="Groups of customers (contact tags in Odoo's words).",
    model="res.partner.category",
    inputs=(Input("customer_groups", "id"),),
    fields=(Field("name", Kind.TEXT, "Name of the group.", odoo="name"),),
    stage=stage_groups,
)

CUSTOMERS = Entity(
    name="customers",
    domain="customers",
    description="People and companies who buy in the shop; guests and registered customers are one person each.",
    model="res.partner",
    inputs=(Input("customers", "id"), Input("customer_group_members", "customer_id")),
    fields=(
        Field("name", Kind.TEXT, "Company, or first and last name.", odoo="name", personal=True),
        Field("is_company", Kind.BOOLEAN, "Whether it is a company.", odoo="is_company"),
        Field("kind", Kind.TEXT, "`registered` or `guest`.", role=Role.STAGED),
        Field("email", Kind.TEXT, "E-mail address, in small letters.", odoo="email", personal=True, normal=small),
        Field("email_is_valid", Kind.BOOLEAN, "Whether the address is well formed.", role=Role.STAGED),
        Field(
            "phone",
            Kind.TEXT,
            "Phone number, in E.164 where it is an international one.",
            odoo="phone",
            personal=True,
            flows_to=BOTH,
            column="customers.phone",
            strategy=Strategy.LATEST,
            normal=clean.phone,
        ),
        Field(
            "vat",
            Kind.TEXT,
            "VAT id with its country prefix.",
            odoo="vat",
            personal=True,
            flows_to=BOTH,
            column="customers.vat",
            strategy=Strategy.MANUAL,
            normal=bare_vat,
        ),
        Field("vat_is_valid", Kind.BOOLEAN, "Whether the check digit is right.", role=Role.STAGED),
        Field(
            "groups",
            Kind.REFERENCES,
            "Keys of the groups; other tags set in UniERP are kept.",
            odoo="category_id",
            target="customer_groups",
            strategy=Strategy.UNION,
            flows_to=BOTH,
            column="customer_group_members.group_id",
        ),
        Field("language", Kind.TEXT, "Language the customer chose.", role=Role.STAGED),
        Field("registered_at", Kind.TIMESTAMP, "When the shop first knew the customer.", role=Role.STAGED),
        Field(
            "active",
            Kind.BOOLEAN,
            "Whether the customer may buy.",
            odoo="active",
            owner=System.UNIERP,
            flows_to=BOTH,
            column="customers.active",
        ),
    ),
    stage=stage_customers,
    touches=("addresses",),
    withdrawal=Withdrawal.ARCHIVE,
    constants={"customer": True},
)
