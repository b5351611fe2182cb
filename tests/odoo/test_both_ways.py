"""A day on which people change things on either side, and some on both: every field ends as it is declared to.

The tests of this module share one world for each Odoo version. The morning is one sync; then everything of the day
happens at once, one sync brings the sides together, and each test looks at the outcome of some kinds of changes.
"""

import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from world import World

from unierp_assets.sync.compare.conflicts import open_conflicts, resolve
from unierp_assets.sync.memory import ledger
from unierp_assets.sync.pipeline import Pipeline, PlanChanged, Summary


@dataclass
class Day:
    """The world after the day's sync, the summary of that sync, and the records by the part they play."""

    world: World
    summary: Summary
    cast: dict[str, Any] = field(default_factory=dict)

    def shop(self, table: str, column: str, role: str) -> Any:
        ((value,),) = self.world.shop(f"SELECT {column} FROM {table} WHERE id = %s", self.cast[role])
        return value

    def odoo(self, entity: str, model: str, name: str, role: str) -> Any:
        id_ = self.world.odoo_id(entity, self.cast[role])
        rows = self.world.session.call(model, "search_read", [("id", "=", id_)], [name], context={"active_test": False})
        return rows[0][name]


def good(world: World, table: str, entity: str, count: int, where: str = "true") -> list[int]:
    """Keys of rows that are in UniERP and equal there."""
    bound = world.warehouse_rows(
        f"SELECT b.key FROM sync.bindings b JOIN staging.{entity} s ON s.key = b.key AND s._status = 'accepted' "
        "WHERE b.entity = %s AND b.key NOT IN (SELECT key FROM sync.pending WHERE entity = b.entity)",
        entity,
    )
    keys = [key for (key,) in bound]
    rows = world.shop(f"SELECT id FROM {table} WHERE id::text = ANY(%s) AND {where} ORDER BY id LIMIT {count}", keys)
    assert len(rows) == count, (table, where)
    return [id_ for (id_,) in rows]


def write(world: World, entity: str, model: str, key: object, **values: Any) -> None:
    """What a person does in Odoo's forms."""
    world.session.call(model, "write", [world.odoo_id(entity, key)], values)


def cast_the_day(world: World) -> dict[str, Any]:
    """Who plays which part: records that nothing else of the day touches."""
    products = good(world, "products", "products", 9, "active")
    undated = "valid_from IS NULL AND valid_to IS NULL AND amount > 5"
    prices = good(world, "prices", "prices", 6, undated)
    customers = good(
        world,
        "customers",
        "customers",
        9,
        "active AND company IS NULL AND kind = 'registered' AND lower(email) NOT IN "
        "(SELECT lower(email) FROM customers WHERE email IS NOT NULL GROUP BY 1 HAVING count(*) > 1)",
    )
    variants = good(world, "variants", "variants", 3, "active AND barcode IS NOT NULL")
    categories = good(world, "categories", "categories", 2)
    addresses = good(world, "addresses", "addresses", 1)
    names = ("renamed_in_odoo", "described_in_odoo", "moved_in_odoo", "archived_in_odoo", "renamed_in_shop")
    names += ("renamed_on_both", "renamed_alike", "renamed_here_described_there", "archived_in_shop")
    cast = dict(zip(names, products, strict=True))
    cast |= dict(
        zip(
            (
                "price_in_odoo",
                "price_in_shop",
                "price_on_both",
                "price_dated_in_odoo",
                "price_deleted_in_shop",
                "price_idle",
            ),
            prices,
            strict=True,
        )
    )
    names = ("phone_in_shop", "phone_in_odoo", "phone_later_in_odoo", "phone_later_in_shop", "email_in_odoo")
    names += ("vat_on_both", "group_in_odoo", "group_on_both", "blocked_in_odoo")
    cast |= dict(zip(names, customers, strict=True))
    cast |= dict(zip(("sku_in_odoo", "weight_in_odoo", "barcode_in_shop"), variants, strict=True))
    cast |= {"category": categories[0], "target_category": categories[1], "address": addresses[0]}
    return cast


@pytest.fixture(scope="module")
def day(loaded_world: World) -> Day:
    cast = cast_the_day(loaded_world)
    in_odoo_first(loaded_world, cast)
    in_the_shop(loaded_world, cast)
    time.sleep(2)  # Odoo tells whole seconds: what is later has to be so by more than one
    in_odoo_later(loaded_world, cast)
    return Day(loaded_world, loaded_world.sync(), cast)


def in_odoo_first(world: World, cast: dict[str, Any]) -> None:
    write(world, "customers", "res.partner", cast["phone_later_in_shop"], phone="+4930111111")
    write(world, "products", "product.template", cast["renamed_on_both"], name="Odoo calls it so")
    write(world, "prices", "product.pricelist.item", cast["price_on_both"], fixed_price=77.77)


def in_the_shop(world: World, cast: dict[str, Any]) -> None:
    world.shop("UPDATE products SET name = 'Shop calls it so' WHERE id = %s", cast["renamed_on_both"])
    world.shop("UPDATE products SET name = 'The shop''s new name' WHERE id = %s", cast["renamed_in_shop"])
    world.shop("UPDATE products SET name = 'Both say this' WHERE id = %s", cast["renamed_alike"])
    world.shop("UPDATE products SET name = 'Named here' WHERE id = %s", cast["renamed_here_described_there"])
    world.shop("UPDATE products SET active = false WHERE id = %s", cast["archived_in_shop"])
    world.shop("UPDATE prices SET amount = 55.55 WHERE id = %s", cast["price_in_shop"])
    world.shop("UPDATE prices SET amount = 66.66 WHERE id = %s", cast["price_on_both"])
    world.shop("DELETE FROM prices WHERE id = %s", cast["price_deleted_in_shop"])
    world.shop("UPDATE customers SET phone = '+49 30 222222' WHERE id = %s", cast["phone_in_shop"])
    world.shop("UPDATE customers SET phone = '+49 30 333333' WHERE id = %s", cast["phone_later_in_odoo"])
    # An instant later than any of Odoo's, whose stamps are those of the server's clock.
    world.shop(
        "UPDATE customers SET phone = '+49 30 444444', updated_at = now() + interval '1 hour' WHERE id = %s",
        cast["phone_later_in_shop"],
    )
    world.shop("UPDATE customers SET vat = 'DE136695976' WHERE id = %s", cast["vat_on_both"])
    groups = [id_ for (id_,) in world.shop("SELECT id FROM customer_groups ORDER BY id LIMIT 3")]
    cast["groups"] = groups
    world.shop("DELETE FROM customer_group_members WHERE customer_id = %s", cast["group_on_both"])
    world.shop(
        "INSERT INTO customer_group_members (id, customer_id, group_id) "
        "SELECT max(id) + 1, %s, %s FROM customer_group_members",
        cast["group_on_both"],
        groups[0],
    )
    world.shop("UPDATE variants SET barcode = NULL WHERE id = %s", cast["barcode_in_shop"])
    world.shop("UPDATE addresses SET street = 'New street 1' WHERE id = %s", cast["address"])
    ((last,),) = world.shop("SELECT max(id) FROM customers")
    cast["new_customer"] = last + 1
    world.shop(
        "INSERT INTO customers (id, kind, email, first_name, last_name, created_at, active) "
        "VALUES (%s, 'registered', 'hedy@shop.example', 'Hedy', 'Lamarr', now(), true)",
        last + 1,
    )


def in_odoo_later(world: World, cast: dict[str, Any]) -> None:
    template = "product.template"
    write(world, "products", template, cast["renamed_in_odoo"], name="  Renamed   by a person ")
    write(world, "products", template, cast["described_in_odoo"], description_sale="Told anew")
    target = world.odoo_id("categories", cast["target_category"])
    write(world, "products", template, cast["moved_in_odoo"], categ_id=target)
    write(world, "products", template, cast["archived_in_odoo"], active=False)
    write(world, "products", template, cast["renamed_alike"], name="Both say this")
    write(world, "products", template, cast["renamed_here_described_there"], description_sale="Told there")
    write(world, "prices", "product.pricelist.item", cast["price_in_odoo"], fixed_price=12.34)
    write(
        world, "prices", "product.pricelist.item", cast["price_dated_in_odoo"],
        date_start="2026-01-01 00:00:00", date_end="2026-12-31 22:59:59",
    )  # fmt: skip
    write(world, "variants", "product.product", cast["sku_in_odoo"], default_code="ODOO-SKU-1")
    write(world, "variants", "product.product", cast["weight_in_odoo"], weight=4.5)
    write(world, "categories", "product.category", cast["category"], name="Renamed category")
    partner = "res.partner"
    write(world, "customers", partner, cast["phone_in_odoo"], phone="+49 (30) 55-55-55")
    write(world, "customers", partner, cast["phone_later_in_odoo"], phone="+4930666666")
    write(world, "customers", partner, cast["email_in_odoo"], email="typed.by.mistake@example.com")
    write(world, "customers", partner, cast["vat_on_both"], vat="DE129273398")
    write(world, "customers", partner, cast["blocked_in_odoo"], active=False)
    tags = [world.odoo_id("customer_groups", group) for group in cast["groups"]]
    own = world.session.call("res.partner.category", "create", [{"name": "Only in UniERP"}])[0]
    cast["own_tag"] = own
    write(world, "customers", partner, cast["group_in_odoo"], category_id=[(4, tags[1]), (4, own)])
    write(world, "customers", partner, cast["group_on_both"], category_id=[(4, tags[2]), (4, own)])


def test_the_days_sync_loses_nothing_and_the_next_writes_nothing(day: Day) -> None:
    assert day.summary.failed == 0
    waits = day.world.warehouse_rows("SELECT key FROM sync.pending WHERE entity = 'customers'")
    assert waits == [(str(day.cast["vat_on_both"]),)]
    assert day.world.unread() == {}
    again = day.world.sync()
    assert again.odoo_writes == 0
    assert {name: (c.created, c.updated) for name, c in again.entities.items() if c.created or c.updated} == {}
    assert again.differences == 0
    assert {kind: found for kind, found in day.world.duplicates().items() if found} == {}


def test_what_people_change_in_odoo_and_unierp_owns_reaches_the_shop(day: Day) -> None:
    assert day.shop("products", "name", "renamed_in_odoo") == "Renamed by a person"
    assert day.shop("products", "description", "described_in_odoo") == "Told anew"
    assert day.shop("products", "category_id", "moved_in_odoo") == day.cast["target_category"]
    assert day.shop("products", "active", "archived_in_odoo") is False
    assert day.shop("prices", "amount", "price_in_odoo") == Decimal("12.34")
    assert day.shop("variants", "sku", "sku_in_odoo") == "ODOO-SKU-1"
    assert day.shop("variants", "weight_kg", "weight_in_odoo") == Decimal("4.5")
    assert day.shop("categories", "name", "category") == "Renamed category"
    assert day.shop("customers", "phone", "phone_in_odoo") == "+4930555555"
    assert day.shop("customers", "active", "blocked_in_odoo") is False


def test_the_end_of_a_price_is_the_first_instant_it_no_longer_holds_in_the_shop(day: Day) -> None:
    assert f"{day.shop('prices', 'valid_from', 'price_dated_in_odoo'):%Y-%m-%d %H:%M:%S}" == "2026-01-01 00:00:00"
    assert f"{day.shop('prices', 'valid_to', 'price_dated_in_odoo'):%Y-%m-%d %H:%M:%S}" == "2026-12-31 23:00:00"


def test_what_changes_in_the_shop_reaches_odoo_whoever_owns_it(day: Day) -> None:
    assert day.odoo("products", "product.template", "name", "renamed_in_shop") == "The shop's new name"
    assert day.odoo("products", "product.template", "active", "archived_in_shop") is False
    assert day.odoo("prices", "product.pricelist.item", "fixed_price", "price_in_shop") == 55.55
    assert day.odoo("variants", "product.product", "barcode", "barcode_in_shop") is False
    assert day.odoo("customers", "res.partner", "phone", "phone_in_shop") == "+4930222222"
    assert day.odoo("addresses", "res.partner", "street", "address") == "New street 1"
    assert day.odoo("customers", "res.partner", "email", "new_customer") == "hedy@shop.example"
    gone = day.world.warehouse_rows(
        "SELECT * FROM sync.bindings WHERE entity = 'prices' AND key = %s", str(day.cast["price_deleted_in_shop"])
    )
    assert gone == []


def test_where_both_changed_the_owner_wins_and_the_conflict_is_recorded(day: Day) -> None:
    assert day.shop("products", "name", "renamed_on_both") == "Odoo calls it so"
    assert day.odoo("products", "product.template", "name", "renamed_on_both") == "Odoo calls it so"
    assert day.shop("prices", "amount", "price_on_both") == Decimal("77.77")
    rows = day.world.warehouse_rows(
        "SELECT entity, field, ours, theirs, strategy, outcome FROM sync.conflicts WHERE key = ANY(%s) ORDER BY entity",
        [str(day.cast["renamed_on_both"]), str(day.cast["price_on_both"])],
    )
    assert ("prices", "amount", "66.66", "77.77", "owner", "theirs") in rows
    assert ("products", "name", "Shop calls it so", "Odoo calls it so", "owner", "theirs") in rows


def test_changes_of_different_fields_of_one_record_both_arrive(day: Day) -> None:
    role = "renamed_here_described_there"
    assert day.odoo("products", "product.template", "name", role) == "Named here"
    assert day.shop("products", "description", role) == "Told there"


def test_the_same_change_on_both_sides_is_no_conflict(day: Day) -> None:
    found = day.world.warehouse_rows(
        "SELECT * FROM sync.conflicts WHERE entity = 'products' AND key = %s", str(day.cast["renamed_alike"])
    )
    assert found == []
    assert day.shop("products", "name", "renamed_alike") == "Both say this"


def test_the_later_change_wins_where_that_is_declared(day: Day) -> None:
    assert day.shop("customers", "phone", "phone_later_in_odoo") == "+4930666666"
    assert day.odoo("customers", "res.partner", "phone", "phone_later_in_shop") == "+4930444444"


def test_a_field_of_the_shop_that_is_edited_in_odoo_is_put_right(day: Day) -> None:
    assert (
        day.odoo("customers", "res.partner", "email", "email_in_odoo")
        == day.shop("customers", "email", "email_in_odoo").lower()
    )


def test_groups_are_united_and_tags_that_are_only_odoos_are_kept(day: Day) -> None:
    world, groups = day.world, day.cast["groups"]

    def members(role: str) -> set[int]:
        rows = world.shop("SELECT group_id FROM customer_group_members WHERE customer_id = %s", day.cast[role])
        return {group for (group,) in rows}

    def tags(role: str) -> set[int]:
        return set(day.odoo("customers", "res.partner", "category_id", role))

    assert groups[1] in members("group_in_odoo")
    assert members("group_on_both") == {groups[0], groups[2]}
    for role in ("group_in_odoo", "group_on_both"):
        ours = {world.odoo_id("customer_groups", group) for group in members(role)}
        assert tags(role) == ours | {day.cast["own_tag"]}


def test_a_manual_conflict_waits_for_a_person_and_then_is_written(day: Day) -> None:
    (number,) = open_conflicts(day.world.warehouse, "customers")["id"]
    assert day.shop("customers", "vat", "vat_on_both") == "DE136695976"
    assert day.odoo("customers", "res.partner", "vat", "vat_on_both") == "DE129273398"
    resolve(day.world.warehouse, number, "theirs", "tester")
    summary = day.world.sync()
    assert summary.entities["customers"].updated == 1
    assert day.shop("customers", "vat", "vat_on_both") == "DE129273398"
    assert day.world.sync().odoo_writes == 0
    assert open_conflicts(day.world.warehouse).is_empty()


def test_an_approved_plan_is_written_exactly_or_not_at_all(day: Day) -> None:
    world, price = day.world, day.cast["price_idle"]
    world.shop("UPDATE prices SET amount = amount + 1 WHERE id = %s", price)
    pipeline = Pipeline(world.context())
    assert pipeline.preview().height == 1
    plan_id = pipeline.context.run_id
    world.shop("UPDATE prices SET amount = amount + 1 WHERE id = %s", price)
    with pytest.raises(PlanChanged, match="was not approved"):
        Pipeline(world.context()).sync(plan_id)
    with pytest.raises(PlanChanged, match="no plan"):
        Pipeline(world.context()).sync("never made")
    pipeline = Pipeline(world.context())
    pipeline.preview()
    summary = Pipeline(world.context()).sync(pipeline.context.run_id)
    assert summary.entities["prices"].updated == 1
    assert world.sync().odoo_writes == 0


def test_the_ledger_has_the_whole_day_and_its_chain_holds(day: Day) -> None:
    systems = dict(
        day.world.warehouse_rows(
            "SELECT system, count(*) FROM sync.ledger WHERE action = 'update' AND run_id = %s GROUP BY 1",
            day.summary.run_id,
        )
    )
    assert systems["storefront"] >= 10
    assert systems["unierp"] >= 8
    before = day.world.warehouse_rows(
        "SELECT before, after FROM sync.ledger WHERE run_id = %s AND entity = 'prices' AND key = %s",
        day.summary.run_id,
        str(day.cast["price_in_odoo"]),
    )
    assert [after for _, after in before] == ["12.34"]
    assert ledger.verify(day.world.warehouse).holds
