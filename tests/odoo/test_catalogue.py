"""What merchants do to their catalogue: attributes that come and go, codes that change places, variants and products
that are deleted and made anew. What stood for a variant stands for it afterwards, with its stock, codes and orders.

One shop has all cases, each with products of its own: it is synced, changed and synced again. What belongs here: the
outcome of each case. What does not: sequences of many changes (:mod:`test_catalogue_sequences`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from small_shop import SmallShop, small_shop
from world import World

from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.sync.pipeline import Summary

if TYPE_CHECKING:
    from conftest import RunningOdoo


@dataclass
class Catalogue:
    """The shop with its keys by name, and what the syncs said."""

    shop: SmallShop
    keys: dict[str, int] = field(default_factory=dict)
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    planned: set[tuple[str, str, str, str]] = field(default_factory=set)
    summaries: list[Summary] = field(default_factory=list)

    @property
    def world(self) -> World:
        return self.shop.world

    def article(self, name: str) -> dict[str, Any]:
        """What UniERP has of a variant: its record, codes, values, stock on hand, and whether it is active."""
        (record,) = self.world.session.call(
            "product.product",
            "search_read",
            [("id", "=", self.world.odoo_id("variants", self.keys[name]))],
            ["default_code", "barcode", "active", "qty_available", "product_template_attribute_value_ids"],
            context={"active_test": False},
        )
        places = self.world.session.call(
            "product.template.attribute.value",
            "read",
            record.pop("product_template_attribute_value_ids"),
            ["product_attribute_value_id"],
        )
        record["values"] = sorted(place["product_attribute_value_id"][1] for place in places)
        return dict(record)

    def remember(self, *names: str) -> None:
        self.before |= {name: self.article(name) for name in names}

    def waiting(self, entity: str, name: str) -> list[tuple[Any, ...]]:
        return self.world.warehouse_rows(
            "SELECT state, reason FROM sync.pending WHERE entity = %s AND key = %s", entity, str(self.keys[name])
        )


def two_sizes(catalogue: Catalogue, location: int, name: str) -> None:
    """The product of the issue: two sizes in stock, of which the smaller was sold once and ordered once more."""
    shop, keys = catalogue.shop, catalogue.keys
    small, medium = keys["S"], keys["M"]
    keys[name] = shop.product(name)
    keys[f"{name}-S"] = shop.variant(keys[name], f"{name}-S", small, barcode=None)
    keys[f"{name}-M"] = shop.variant(keys[name], f"{name}-M", medium)
    shop.stock(keys[f"{name}-S"], location, 10)
    shop.stock(keys[f"{name}-M"], location, 5)


def sell(catalogue: Catalogue, name: str) -> int:
    """An open order of one piece."""
    order = catalogue.shop.order(catalogue.keys["customer"], total=10)
    catalogue.shop.line(order, catalogue.keys[name])
    catalogue.keys[f"order of {name}"] = order
    return order


@pytest.fixture(scope="module")
def catalogue(odoo_server: "RunningOdoo", postgres: PostgresServer) -> Iterator[Catalogue]:
    with small_shop(odoo_server, postgres) as shop:
        found = Catalogue(shop)
        keys = found.keys
        keys["S"], keys["M"] = shop.attribute("Size", "S", "M")
        keys["Black"], keys["White"] = shop.attribute("Colour", "Black", "White")
        location = shop.location()
        keys["customer"] = shop.customer()
        shop.address(keys["customer"])

        two_sizes(found, location, "TEE")
        shop.change("variants", keys["TEE-S"], barcode="4006381333931")
        sell(found, "TEE-S")
        # mixed: the two that are there differ in the new attribute, too
        two_sizes(found, location, "MIX")
        sell(found, "MIX-M")
        # its first attribute
        keys["MUG"] = shop.product("Mug")
        keys["MUG-1"] = shop.variant(keys["MUG"], "MUG", barcode="96385074")
        shop.stock(keys["MUG-1"], location, 7)
        sell(found, "MUG-1")

        found.summaries.append(found.world.sync())
        names = ["TEE-S", "TEE-M", "MIX-S", "MIX-M", "MUG-1"]
        found.remember(*names)

        for name in ("TEE-S", "TEE-M"):
            shop.add("variant_values", variant_id=keys[name], attribute_value_id=keys["Black"])
        for size in ("S", "M"):
            keys[f"TEE-{size}-W"] = shop.variant(keys["TEE"], f"TEE-{size}-W", keys[size], keys["White"])
        for name, colour in (("MIX-S", "Black"), ("MIX-M", "White")):
            shop.add("variant_values", variant_id=keys[name], attribute_value_id=keys[colour])
        shop.add("variant_values", variant_id=keys["MUG-1"], attribute_value_id=keys["White"])
        keys["MUG-2"] = shop.variant(keys["MUG"], "MUG-B", keys["Black"])
        found.planned = set(found.world.preview().select("entity", "key", "field", "action").iter_rows())
        found.summaries.append(found.world.sync())
        found.summaries.append(found.world.sync())
        yield found


def test_a_sync_of_all_these_changes_leaves_no_difference_and_the_next_one_writes_nothing(catalogue: Catalogue) -> None:
    assert catalogue.world.warehouse_rows("SELECT entity, key, state, reason FROM sync.pending") == []
    assert [summary.differences for summary in catalogue.summaries] == [0, 0, 0]
    assert catalogue.summaries[-1].odoo_writes == 0


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("TEE-S", ["Colour: Black", "Size: S"]),
        ("TEE-M", ["Colour: Black", "Size: M"]),
        ("MIX-S", ["Colour: Black", "Size: S"]),
        ("MIX-M", ["Colour: White", "Size: M"]),
        ("MUG-1", ["Colour: White"]),
    ],
)
def test_a_variant_keeps_its_record_codes_and_stock_when_its_product_gets_an_attribute(
    catalogue: Catalogue, name: str, values: list[str]
) -> None:
    assert catalogue.article(name) == catalogue.before[name] | {"values": values}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("TEE-S-W", ["Colour: White", "Size: S"]),
        ("TEE-M-W", ["Colour: White", "Size: M"]),
        ("MUG-2", ["Colour: Black"]),
    ],
)
def test_variants_of_the_new_values_come_anew(catalogue: Catalogue, name: str, values: list[str]) -> None:
    found = catalogue.article(name)
    assert found["id"] not in {each["id"] for each in catalogue.before.values()}
    assert (found["values"], found["active"], found["qty_available"]) == (values, True, 0)


@pytest.mark.parametrize("name", ["TEE-S", "MIX-M", "MUG-1"])
def test_an_open_order_keeps_its_article_when_attributes_change(catalogue: Catalogue, name: str) -> None:
    order = catalogue.world.odoo_id("orders", catalogue.keys[f"order of {name}"])
    (line,) = catalogue.world.session.call(
        "sale.order.line", "search_read", [("order_id", "=", order)], ["product_id", "product_uom_qty"]
    )
    assert line["product_id"][0] == catalogue.before[name]["id"]
    assert line["product_uom_qty"] == 1


def test_the_shop_keeps_its_codes_and_quantities_when_attributes_change(catalogue: Catalogue) -> None:
    rows = {
        name: (catalogue.shop.row("variants", catalogue.keys[name]), catalogue.before[name])
        for name in ("TEE-S", "TEE-M", "MIX-S", "MIX-M", "MUG-1")
    }
    assert {name: row["sku"] for name, (row, _) in rows.items()} == {
        name: was["default_code"] for name, (_, was) in rows.items()
    }
    assert {name: row["barcode"] or False for name, (row, _) in rows.items()} == {
        name: was["barcode"] for name, (_, was) in rows.items()
    }
    available = dict(catalogue.world.shop("SELECT variant_id, available FROM stock_levels"))
    keys = catalogue.keys
    assert [available[keys[name]] for name in ("TEE-S", "TEE-M", "MIX-S", "MIX-M", "MUG-1")] == [
        Decimal(9),
        Decimal(5),
        Decimal(10),
        Decimal(4),
        Decimal(6),
    ]


def test_the_plan_shows_new_values_of_old_variants_and_the_new_ones(catalogue: Catalogue) -> None:
    shown = {(key, field, action) for entity, key, field, action in catalogue.planned if entity == "variants"}
    keys = catalogue.keys
    assert {(str(keys[name]), "attribute_values", "update") for name in ("TEE-S", "TEE-M", "MUG-1")} <= shown
    assert (str(keys["TEE-S-W"]), "sku", "create") in shown
    assert (str(keys["TEE-S"]), "sku", "update") not in shown
