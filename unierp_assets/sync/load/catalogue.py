"""What products, prices and price lists need beyond the ordinary way of loading."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY
from unierp_assets.odoo import load, raise_first, search_read, values, write_changed
from unierp_assets.sync.compare.merge import TO_UNIERP
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.load.applier import Applier, Result
from unierp_assets.sync.memory import ledger
from unierp_assets.sync.memory.state import any_of, bound_ids
from unierp_assets.warehouse.tables import ACCEPTED, BINDINGS, STAGING, WITHDRAWN

WITHOUT_VARIANTS = {"create_product_product": False}
"""Keeps Odoo from making a first variant with a product. The shop's are created by themselves, many in a statement and
with their external ids; that one would have to be found and written record by record, for each of which Odoo values the
stock anew."""


class PriceLists(Applier):
    """Price lists, whose currencies have to be active."""

    def load(self, rows: pl.DataFrame) -> list[Result]:
        codes = rows["currency"].unique().to_list()
        domain = [("name", "in", codes), ("active", "=", False)]
        sleeping = [row["id"] for row in search_read(self.session, "res.currency", domain, ["name"], archived=True)]
        raise_first(write_changed(self.session, "res.currency", {id_: {"active": True} for id_ in sleeping}))
        return super().load(rows)


class AttributeValues(Applier):
    """Values of attributes. Odoo has each name once for an attribute: what is gone from the shop gives its own up."""

    def load(self, rows: pl.DataFrame) -> list[Result]:
        self._free_names(rows)
        return super().load(rows)

    def _free_names(self, rows: pl.DataFrame) -> None:
        attributes = self.plan.ids["attributes"]
        wanted = {(attributes[attribute], name) for attribute, name in rows.select("attribute", "name").iter_rows()}
        domain = [
            ("attribute_id", "in", sorted({attribute for attribute, _ in wanted})),
            ("name", "in", sorted({name for _, name in wanted})),
        ]
        found = {
            row["id"]: row["name"]
            for row in search_read(self.session, self.entity.model, domain, ["attribute_id", "name"])
            if (values.ref(row["attribute_id"]), row["name"]) in wanted
        }
        staged = STAGING[self.entity.name]
        with self.context.warehouse.transaction() as tx:
            gone = tx.read(
                sa.select(BINDINGS.c.key, BINDINGS.c.odoo_id)
                .join(staged, staged.c.key == BINDINGS.c.key)
                .where(
                    BINDINGS.c.entity == self.entity.name,
                    any_of(BINDINGS.c.odoo_id, list(found)),
                    staged.c._status == WITHDRAWN,
                )
            )
            if gone.is_empty():
                return
            before = pl.col("odoo_id").replace_strict(found, return_dtype=pl.String)
            gone = gone.with_columns(before=before).with_columns(after=pl.format("{} ({})", "before", KEY))
            names = {id_: {"name": name} for id_, name in gone.select("odoo_id", "after").iter_rows()}
            raise_first(write_changed(self.session, self.entity.model, names))
            entries = ledger.given_up("name", gone)
            ledger.append(tx, self.entity.name, self.context.run_id, self.context.actor, entries)


class Products(Applier):
    """Products with their attribute lines, and the list price that Odoo shows on them."""

    # A product that is woken has archived variants alone. Odoo would wake all of them, those the shop does not sell as
    # well, unless it sees the archived ones; they are woken by themselves.
    writing: Mapping[str, Any] | None = {"active_test": False}

    def load(self, rows: pl.DataFrame) -> list[Result]:
        fields, constants = self.loaded_fields, self.constants()
        columns = [
            "id", *(self.codec.column(field) for field in fields), *constants, "list_price",
            "attribute_line_ids/attribute_id/.id", "attribute_line_ids/value_ids/.id",
        ]  # fmt: skip
        prices = list_prices(self.context, rows[KEY].to_list())
        attributes = self._attributes(rows)
        cells: list[list[Any]] = []
        keys: list[str] = []
        for row in rows.iter_rows(named=True):
            key = row[KEY]
            head = [
                self.external_id(key),
                *(self.codec.cell(field, row[field.name], self.plan.ids) for field in fields),
                *constants.values(),
                prices.get(key, Decimal(0)),
            ]
            lines: list[tuple[int | None, str | None]] = [*self._lines(row["attribute_values"], attributes)]
            for number, line in enumerate(lines or [(None, None)]):
                cells.append([*(head if number == 0 else [None] * len(head)), *line])
                keys.append(key)
        outcomes = load(
            self.session,
            self.entity.model,
            columns,
            cells,
            keys=keys,
            batch=self.context.batch,
            context=WITHOUT_VARIANTS,
        )
        return [Result.of(outcome.key, outcome) for outcome in outcomes]

    def _attributes(self, rows: pl.DataFrame) -> dict[str, int]:
        """Database id of the attribute by key of the value."""
        used = rows["attribute_values"].drop_nulls().str.split(",").explode().unique().to_list()
        return attributes_of(self.context, used)

    def _lines(self, value_keys: str | None, attributes: dict[str, int]) -> list[tuple[int, str]]:
        lines: dict[int, list[str]] = {}
        known = self.plan.ids["attribute_values"]
        for key in value_keys.split(",") if value_keys else ():
            if key not in known or key not in attributes:
                continue
            lines.setdefault(attributes[key], []).append(str(known[key]))
        return [(attribute, ",".join(ids)) for attribute, ids in lines.items()]


def attributes_of(context: SyncContext, value_keys: Iterable[str]) -> dict[str, int]:
    """Database ids of the attributes, by keys of attribute values."""
    staged = STAGING["attribute_values"]
    with context.warehouse.transaction() as tx:
        pairs = dict(
            tx.read(
                sa.select(staged.c.key, staged.c.attribute).where(any_of(staged.c.key, list(value_keys)))
            ).iter_rows()
        )
        ids = bound_ids(tx, "attributes", set(pairs.values()))
    return {value: ids[attribute] for value, attribute in pairs.items() if attribute in ids}


def list_prices(context: SyncContext, products: list[str]) -> dict[str, Decimal]:
    """The price Odoo shows on a product: its lowest undated price in the company's currency, by key of the product."""
    prices, variants = STAGING["prices"], STAGING["variants"]
    statement = (
        sa.select(variants.c.product, sa.func.min(prices.c.amount).label("amount"))
        .join(variants, variants.c.key == prices.c.variant)
        .where(
            any_of(variants.c.product, products),
            prices.c._status == ACCEPTED,
            prices.c.currency == context.session.company()["currency"],
            prices.c.valid_from.is_(None),
            prices.c.valid_to.is_(None),
        )
        .group_by(variants.c.product)
    )
    with context.warehouse.transaction() as tx:
        return dict(tx.read(statement).iter_rows())


class Prices(Applier):
    """Prices on price lists. The list price Odoo shows on a product follows them."""

    def create(self) -> list[Result]:
        self._show(self.plan.creates)
        return super().create()

    def update(self) -> list[Result]:
        self._show(self.plan.updates.filter(pl.col(TO_UNIERP).list.contains("amount")))
        return super().update()

    def _show(self, rows: pl.DataFrame) -> None:
        """Sets the list price before the price itself: should the run end in between, the price is still to be written
        and this happens again."""
        company = self.session.company()["currency"]
        undated = pl.col("valid_from").is_null() & pl.col("valid_to").is_null()
        variants = rows.filter((pl.col("price_list") == company) & undated)["variant"].to_list()
        if not variants:
            return
        staged = STAGING["variants"]
        with self.context.warehouse.transaction() as tx:
            products = tx.read(sa.select(staged.c.product).where(any_of(staged.c.key, variants)).distinct())
            ids = bound_ids(tx, "products", products["product"].drop_nulls().to_list())
        prices = list_prices(self.context, list(ids))
        shown = {
            record["id"]: values.decimal(record["list_price"], 2)
            for record in search_read(
                self.session, "product.template", [("id", "in", list(ids.values()))], ["list_price"], archived=True
            )
        }
        changes = {
            ids[key]: {"list_price": price}
            for key, price in prices.items()
            if ids[key] in shown and shown[ids[key]] != price
        }
        raise_first(write_changed(self.session, "product.template", changes))
