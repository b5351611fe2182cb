"""What has changed and was not taken in: found by comparing both sides with the warehouse, and only once.

The tests of this module share one world and tell one story in the order in which they stand.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from till import Till
from world import World

from unierp_assets.entities import ENTITIES
from unierp_assets.odoo import StockRow, set_stock
from unierp_assets.sync.intake.extract import changed_tables, extract
from unierp_assets.sync.intake.news import backlog, storefront_news, unierp_news, unsettled
from unierp_assets.sync.intake.stage import stage
from unierp_assets.sync.memory.rewind import rewind
from unierp_assets.sync.pipeline import Pipeline, pull_entity

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.parametrize("odoo_server", ["19"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def world(loaded_world: World) -> World:
    return loaded_world


def in_shop(world: World) -> list[str]:
    return [change.subject for change in storefront_news(world.context())]


def in_unierp(world: World) -> list[str]:
    return [change.subject for change in unierp_news(world.context())]


def left(world: World) -> list[str]:
    return [change.subject for change in backlog(world.warehouse)]


def carry_over(world: World, *entities: str, tables: tuple[str, ...] = ()) -> None:
    Pipeline.of_changes(world.context(), tables, entities, entities).carry_over(10)


def bound(world: World, entity: str) -> str:
    """The key of a row that is in UniERP and equal there."""
    rows = world.warehouse_rows(
        f"SELECT b.key FROM sync.bindings b JOIN staging.{entity} s ON s.key = b.key AND s._status = 'accepted' "
        "WHERE b.entity = %s AND b.key NOT IN (SELECT key FROM sync.pending WHERE entity = b.entity) "
        "ORDER BY length(b.key), b.key",
        entity,
    )
    return str(rows[0][0])


def test_what_a_sync_wrote_is_no_news(world: World) -> None:
    assert (in_shop(world), in_unierp(world), left(world)) == ([], [], [])


def test_a_changed_a_new_and_a_deleted_row_of_the_shop_are_news_until_they_are_read(world: World) -> None:
    world.shop(
        "UPDATE customers SET phone = '+4930123456', updated_at = now() WHERE id = %s", bound(world, "customers")
    )
    world.shop("INSERT INTO customer_groups (id, name) VALUES (900, 'Regulars')")
    assert in_shop(world) == ["customer_groups", "customers"]
    first = storefront_news(world.context())
    assert storefront_news(world.context()) == first
    world.sync()
    assert in_shop(world) == []
    world.shop("DELETE FROM customer_groups WHERE id = 900")
    assert in_shop(world) == ["customer_groups"]
    world.sync()
    assert (in_shop(world), left(world)) == ([], [])


def test_a_row_that_was_committed_late_is_news_though_its_instant_is_past(world: World) -> None:
    ((newest,),) = world.warehouse_rows("SELECT value::timestamptz FROM sync.cursors WHERE name = 'extract:customers'")
    world.shop(
        "UPDATE customers SET phone = '+4930654321', updated_at = %s WHERE id = %s",
        newest - timedelta(seconds=30), bound(world, "customers"),
    )  # fmt: skip
    assert in_shop(world) == ["customers"]
    world.sync()
    assert in_shop(world) == []


def test_a_table_is_read_while_its_newest_rows_are_young_and_then_only_when_they_differ(world: World) -> None:
    customer, settled = bound(world, "customers"), world.context()
    settled.overlap = timedelta(0)

    def touch() -> None:
        world.shop(
            "UPDATE customers SET phone = '+4930' || (random() * 1e6)::int, updated_at = now() WHERE id = %s", customer
        )

    touch()
    world.sync()
    assert changed_tables(world.context(), ["customers"]) == ["customers"]
    assert changed_tables(settled, ["customers"]) == []
    touch()
    assert changed_tables(settled, ["taxes", "customers"]) == ["customers"]
    world.sync()
    rewind(world.warehouse, "all again")
    assert changed_tables(settled, ["taxes", "customers"]) == ["taxes", "customers"]
    world.sync()


def test_a_record_that_a_person_changed_in_unierp_is_news_and_one_that_is_not_ours_is_none(world: World) -> None:
    world.session.call("res.partner", "create", [{"name": "Not of the shop"}])
    assert in_unierp(world) == []
    price = bound(world, "prices")
    world.session.call("product.pricelist.item", "write", [world.odoo_id("prices", price)], {"fixed_price": 321})
    assert in_unierp(world) == ["prices"]
    carry_over(world, "prices")
    assert world.shop("SELECT amount FROM prices WHERE id = %s", price) == [(Decimal(321),)]
    assert (in_shop(world), in_unierp(world), left(world)) == ([], [], [])


def test_a_name_that_somebody_else_gave_in_our_namespace_hides_no_record_that_is_gone(world: World) -> None:
    world.shop("INSERT INTO customer_groups (id, name) VALUES (901, 'Passing')")
    world.sync()
    values = {"module": world.context().namespace, "name": "by-hand", "model": "res.partner", "res_id": 1}
    world.session.call("ir.model.data", "create", [values])
    assert in_unierp(world) == []
    world.session.call("res.partner.category", "unlink", [world.odoo_id("customer_groups", "901")])
    assert set(in_unierp(world)) == set(ENTITIES)
    world.sync()
    assert (in_shop(world), in_unierp(world), left(world)) == ([], [], [])


def test_stock_that_moved_is_news_of_its_variant(world: World) -> None:
    key = bound(world, "stock_levels")
    ((variant, location),) = world.warehouse_rows(
        "SELECT variant, location FROM staging.stock_levels WHERE key = %s", key
    )
    place = world.odoo_id("variants", variant), world.odoo_id("locations", location)
    (done,) = set_stock(world.session, [StockRow(*place, quantity=Decimal(777))])
    assert done.ok
    # The location was written, too: it says when it was counted last.
    assert in_unierp(world) == ["locations", "stock_levels"]
    carry_over(world, "locations", "stock_levels")
    assert (in_shop(world), in_unierp(world), left(world)) == ([], [], [])


def test_an_order_is_carried_over_whole_and_leaves_no_news_of_its_customer(world: World) -> None:
    order = Till(world).sell(1, 2)
    tables = tuple(in_shop(world))
    assert set(tables) == {"orders", "order_lines", "payments", "shipments", "shipment_lines"}
    entities = ("stock_levels", "orders", "order_lines", "shipments", "invoices", "payments")
    carry_over(world, *entities, tables=tables)
    assert world.shop("SELECT delivery_status, paid_total FROM orders WHERE id = %s", order) == [("full", Decimal(30))]
    assert (in_shop(world), in_unierp(world), left(world)) == ([], [], [])


def test_a_document_of_an_order_that_a_person_made_is_news_of_the_order(world: World) -> None:
    ((invoice,),) = world.odoo_rows(
        "SELECT max(id) FROM account_move WHERE move_type = 'out_invoice' AND state = 'posted'"
    )
    world.session.call("account.move", "write", [invoice], {"narration": "Seen"})
    assert "orders" in in_unierp(world)
    world.sync()
    assert in_unierp(world) == []


def test_a_record_that_was_deleted_in_unierp_is_news_of_everything(world: World) -> None:
    world.session.call("product.pricelist.item", "unlink", [world.odoo_id("prices", bound(world, "prices"))])
    assert in_unierp(world) == list(ENTITIES)
    world.sync()
    assert (in_unierp(world), left(world)) == ([], [])


@pytest.mark.parametrize("steps", [1, 2, 3], ids=["read", "staged", "judged"])
def test_what_a_run_that_died_has_left_is_found_whatever_it_had_done(world: World, steps: int) -> None:
    customer = bound(world, "customers")
    world.shop("UPDATE customers SET phone = %s, updated_at = now() WHERE id = %s", f"+493011111{steps}", customer)
    context = world.context()
    done: list[Callable[[], object]] = [
        lambda: extract(context, "customers"),
        lambda: stage(context, ENTITIES["customers"]),
        lambda: world.preview(),
    ]
    for step in done[:steps]:
        step()
    assert in_shop(world) == []
    assert left(world) == ["customers"]
    carry_over(world, "customers")
    assert left(world) == []


def test_what_was_read_from_unierp_and_not_compared_is_left_over(world: World) -> None:
    price = bound(world, "prices")
    world.session.call("product.pricelist.item", "write", [world.odoo_id("prices", price)], {"fixed_price": 654})
    pull_entity(world.context(), ENTITIES["prices"])
    assert in_unierp(world) == []
    assert left(world) == ["prices"]
    carry_over(world, "prices")
    assert left(world) == []
    assert world.shop("SELECT amount FROM prices WHERE id = %s", price) == [(Decimal(654),)]


def test_entities_with_rows_that_wait_or_were_refused_are_unsettled(world: World) -> None:
    waiting = world.warehouse_rows("SELECT DISTINCT entity FROM sync.pending WHERE state IN ('held', 'failed')")
    refused = world.warehouse_rows("SELECT DISTINCT entity FROM quarantine.rows WHERE outcome = 'quarantine'")
    assert unsettled(world.warehouse) == {name for (name,) in [*waiting, *refused]} != set()


def test_after_rewinding_a_sync_compares_everything_and_finds_what_no_cursor_tells(world: World) -> None:
    price, customer = bound(world, "prices"), bound(world, "customers")
    was = world.shop("SELECT phone FROM customers WHERE id = %s", customer)
    # Changes that no cursor can tell: their instants are long past.
    world.odoo_rows("UPDATE product_pricelist_item SET fixed_price = 99 WHERE id = %s", world.odoo_id("prices", price))
    world.shop("UPDATE customers SET phone = '+4930999999', updated_at = '2020-01-01' WHERE id = %s", customer)
    world.sync()
    context = world.context()
    assert rewind(world.warehouse, context.run_id)
    assert not rewind(world.warehouse, context.run_id)
    Pipeline(context).sync()
    assert world.shop("SELECT amount FROM prices WHERE id = %s", price) == [(Decimal(99),)]
    phone = world.session.call("res.partner", "read", [world.odoo_id("customers", customer)], ["phone"])[0]["phone"]
    assert phone.replace(" ", "") == "+4930999999"
    assert was != [(phone,)]
    assert world.sync().odoo_writes == 0
    assert world.warehouse_rows("SELECT name FROM sync.cursors WHERE value LIKE '1970-%'") == []
