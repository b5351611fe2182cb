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


NAMES = ("TEE-S", "TEE-M", "MIX-S", "MIX-M", "MUG-1")
CODES = {1: "4006381333931", 2: "4006381333948", 3: "4006381333955", 4: "4006381333962", 5: "4006381333979",
         6: "4006381333986"}  # fmt: skip


@dataclass
class Catalogue:
    """The shop with its keys by name, and what the syncs said."""

    shop: SmallShop
    keys: dict[str, int] = field(default_factory=dict)
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    archived: dict[str, dict[str, Any]] = field(default_factory=dict)
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


def delete_variant(catalogue: Catalogue, name: str) -> None:
    """As a shop deletes one: with all that hangs on it."""
    key = catalogue.keys[name]
    for table in ("variant_values", "stock_levels", "prices"):
        catalogue.world.shop(f"DELETE FROM {table} WHERE variant_id = %s", key)
    catalogue.shop.remove("variants", key)


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
        keys["S"], keys["M"], keys["L"] = shop.attribute("Size", "S", "M", "L")
        keys["Black"], keys["White"] = shop.attribute("Colour", "Black", "White")
        location = shop.location()
        keys["customer"] = shop.customer()
        shop.address(keys["customer"])

        two_sizes(found, location, "TEE")
        shop.change("variants", keys["TEE-S"], barcode="73513537")
        sell(found, "TEE-S")
        # mixed: the two that are there differ in the new attribute, too
        two_sizes(found, location, "MIX")
        sell(found, "MIX-M")
        # its first attribute
        keys["MUG"] = shop.product("Mug")
        keys["MUG-1"] = shop.variant(keys["MUG"], "MUG", barcode="96385074")
        shop.stock(keys["MUG-1"], location, 7)
        sell(found, "MUG-1")

        # values and codes that change places, an attribute that goes
        keys["RING"] = shop.product("Ring")
        for number, size in enumerate(("S", "M", "L"), 1):
            keys[f"RING-{number}"] = shop.variant(keys["RING"], f"RING-{number}", keys[size], barcode=CODES[number])
            shop.stock(keys[f"RING-{number}"], location, number)
        keys["BAG"] = shop.product("Bag")
        for colour in ("Black", "White"):
            keys[f"BAG-{colour}"] = shop.variant(keys["BAG"], f"BAG-{colour}", keys["S"], keys[colour])
            shop.stock(keys[f"BAG-{colour}"], location, 4)
        # what is not sold any more
        for name, code in (("OFF", CODES[4]), ("GONE", CODES[5]), ("AGAIN", CODES[6])):
            keys[name] = shop.product(name)
            keys[f"{name}-1"] = shop.variant(keys[name], f"{name}-1", keys["S"], barcode=code)
            shop.stock(keys[f"{name}-1"], location, 3)
        keys["LOST"] = shop.product("LOST")
        for number, size in ((1, "S"), (2, "M")):
            keys[f"LOST-{number}"] = shop.variant(keys["LOST"], f"LOST-{number}", keys[size])
            shop.stock(keys[f"LOST-{number}"], location, 3)
        # a value that is deleted and made anew
        (keys["Oak"],) = shop.attribute("Wood", "Oak")
        keys["DESK"] = shop.product("DESK")
        keys["DESK-1"] = shop.variant(keys["DESK"], "DESK-1", keys["Oak"])
        # one bad value, and no category
        size = shop.row("attribute_values", keys["S"])["attribute_id"]
        keys["bad"] = shop.add("attribute_values", attribute_id=size, name=" S ", position=9)
        keys["DIRTY"] = shop.product("Dirty", category_id=None)
        keys["DIRTY-good"] = shop.variant(keys["DIRTY"], "DIRTY-good", keys["M"])
        keys["DIRTY-bad"] = shop.variant(keys["DIRTY"], "DIRTY-bad", keys["bad"])

        found.summaries.append(found.world.sync())
        found.remember(
            *NAMES, "RING-1", "RING-2", "RING-3", "BAG-Black", "OFF-1", "GONE-1", "AGAIN-1", "LOST-1", "DESK-1"
        )

        for name in ("TEE-S", "TEE-M"):
            shop.add("variant_values", variant_id=keys[name], attribute_value_id=keys["Black"])
        for size in ("S", "M"):
            keys[f"TEE-{size}-W"] = shop.variant(keys["TEE"], f"TEE-{size}-W", keys[size], keys["White"])
        for name, colour in (("MIX-S", "Black"), ("MIX-M", "White")):
            shop.add("variant_values", variant_id=keys[name], attribute_value_id=keys[colour])
        shop.add("variant_values", variant_id=keys["MUG-1"], attribute_value_id=keys["White"])
        keys["MUG-2"] = shop.variant(keys["MUG"], "MUG-B", keys["Black"])
        shop.world.shop("UPDATE variants SET sku = 'tmp-' || sku, barcode = NULL WHERE product_id = %s", keys["RING"])
        for number, (size, after) in enumerate((("M", 2), ("L", 3), ("S", 1)), 1):
            shop.change("variants", keys[f"RING-{number}"], sku=f"RING-{after}", barcode=CODES[after])
            shop.world.shop("DELETE FROM variant_values WHERE variant_id = %s", keys[f"RING-{number}"])
            shop.add("variant_values", variant_id=keys[f"RING-{number}"], attribute_value_id=keys[size])
        delete_variant(found, "BAG-White")
        shop.world.shop(
            "DELETE FROM variant_values WHERE variant_id = %s AND attribute_value_id = %s",
            keys["BAG-Black"],
            keys["Black"],
        )
        shop.change("variants", keys["OFF-1"], active=False)
        keys["OFF-2"] = shop.variant(keys["OFF"], "OFF-1", keys["S"], barcode=CODES[4])
        delete_variant(found, "GONE-1")
        keys["GONE-2"] = shop.variant(keys["GONE"], "GONE-1", keys["S"], barcode=CODES[5])
        found.planned = set(found.world.preview().select("entity", "key", "field", "action").iter_rows())
        wood = shop.row("attribute_values", keys["Oak"])["attribute_id"]
        shop.remove("attribute_values", keys["Oak"])
        keys["new oak"] = shop.add("attribute_values", attribute_id=wood, name="Oak", position=1)
        shop.world.shop("UPDATE variant_values SET attribute_value_id = %s WHERE variant_id = %s",
                        keys["new oak"], keys["DESK-1"])  # fmt: skip
        for key in ("AGAIN-1", "LOST-1", "LOST-2"):
            delete_variant(found, key)
        shop.remove("products", keys["LOST"])
        found.summaries.append(found.world.sync())
        found.archived = {name: found.article(name) for name in ("AGAIN-1", "LOST-1")}
        shop.variant(keys["AGAIN"], "AGAIN-1", keys["S"], barcode=CODES[6], id=keys["AGAIN-1"])
        shop.product("LOST", id=keys["LOST"])
        shop.variant(keys["LOST"], "LOST-1", keys["S"], id=keys["LOST-1"])
        shop.variant(keys["LOST"], "LOST-2", keys["M"], id=keys["LOST-2"], active=False)
        found.summaries.append(found.world.sync())
        found.summaries.append(found.world.sync())
        yield found


def test_a_sync_of_all_these_changes_leaves_no_difference_and_the_next_one_writes_nothing(catalogue: Catalogue) -> None:
    assert catalogue.world.warehouse_rows("SELECT entity, key, state, reason FROM sync.pending") == []
    assert set(
        catalogue.world.warehouse_rows("SELECT entity, key, rule FROM quarantine.rows WHERE outcome <> 'warn'")
    ) == {
        ("attribute_values", str(catalogue.keys["bad"]), "duplicate_name"),
        ("variants", str(catalogue.keys["DIRTY-bad"]), "unknown_attribute_value"),
    }
    assert [summary.differences for summary in catalogue.summaries] == [0, 0, 0, 0]
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


def test_codes_and_values_of_three_variants_change_places(catalogue: Catalogue) -> None:
    for number, (size, after) in enumerate((("M", 2), ("L", 3), ("S", 1)), 1):
        changed = {"default_code": f"RING-{after}", "barcode": CODES[after], "values": [f"Size: {size}"]}
        assert catalogue.article(f"RING-{number}") == catalogue.before[f"RING-{number}"] | changed
        assert catalogue.shop.row("variants", catalogue.keys[f"RING-{number}"])["barcode"] == CODES[after]


def test_an_attribute_that_is_dropped_leaves_the_record_as_it_is_otherwise(catalogue: Catalogue) -> None:
    assert catalogue.article("BAG-Black") == catalogue.before["BAG-Black"] | {"values": ["Size: S"]}
    assert not catalogue.article("BAG-White")["active"]


@pytest.mark.parametrize("name", ["OFF", "GONE"])
def test_what_is_not_sold_any_more_gives_its_codes_to_a_new_variant(catalogue: Catalogue, name: str) -> None:
    old, new = catalogue.article(f"{name}-1"), catalogue.article(f"{name}-2")
    was = catalogue.before[f"{name}-1"]
    assert (old["id"], old["active"], old["barcode"], old["qty_available"]) == (was["id"], False, False, 3)
    assert new["id"] != old["id"]
    assert (new["default_code"], new["barcode"], new["values"], new["active"], new["qty_available"]) == (
        f"{name}-1", was["barcode"], ["Size: S"], True, 0,
    )  # fmt: skip


def test_the_shop_keeps_the_barcode_of_what_it_switched_off(catalogue: Catalogue) -> None:
    assert catalogue.shop.row("variants", catalogue.keys["OFF-1"])["barcode"] == CODES[4]


def test_one_bad_value_holds_the_variants_that_have_it_and_nothing_else(catalogue: Catalogue) -> None:
    good = catalogue.article("DIRTY-good")
    assert (good["default_code"], good["values"], good["active"]) == ("DIRTY-good", ["Size: M"], True)


def test_a_product_without_a_category_arrives_and_its_shop_row_stays_without(catalogue: Catalogue) -> None:
    assert catalogue.world.odoo_id("products", catalogue.keys["DIRTY"])
    assert catalogue.shop.row("products", catalogue.keys["DIRTY"])["category_id"] is None


@pytest.mark.parametrize("name", ["AGAIN-1", "LOST-1"])
def test_what_is_deleted_and_made_anew_under_its_key_is_active_again_with_its_record(
    catalogue: Catalogue, name: str
) -> None:
    archived, was = catalogue.archived[name], catalogue.before[name]
    assert (archived["id"], archived["active"], archived["barcode"]) == (was["id"], False, False)
    assert catalogue.article(name) == was
    assert catalogue.shop.row("variants", catalogue.keys[name])["active"]
    assert catalogue.shop.row("products", catalogue.keys[name.partition("-")[0]])["active"]


def test_a_product_that_comes_back_wakes_no_variant_the_shop_does_not_sell(catalogue: Catalogue) -> None:
    assert not catalogue.article("LOST-2")["active"]
    assert not catalogue.shop.row("variants", catalogue.keys["LOST-2"])["active"]


def test_a_value_made_anew_gets_a_record_of_its_own_and_the_name(catalogue: Catalogue) -> None:
    assert catalogue.article("DESK-1") == catalogue.before["DESK-1"]
    old, new = (catalogue.world.odoo_id("attribute_values", catalogue.keys[name]) for name in ("Oak", "new oak"))
    names = catalogue.world.session.call("product.attribute.value", "read", [old, new], ["name"])
    assert {row["id"]: row["name"] for row in names} == {old: f"Oak ({catalogue.keys['Oak']})", new: "Oak"}
