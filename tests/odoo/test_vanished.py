"""More rows than a limit that vanish at once are an outage, on either side, until somebody confirms their number.

The tests of this module share one world and tell one story in the order in which they stand.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from small_shop import SmallShop, small_shop

from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.sync.memory.rewind import rewind
from unierp_assets.sync.unsettled import unsettled

if TYPE_CHECKING:
    from conftest import RunningOdoo

CUSTOMERS, PRODUCTS = 44, 44


@pytest.fixture(scope="module")
def shop(odoo_server: "RunningOdoo", postgres: PostgresServer) -> Iterator[SmallShop]:
    with small_shop(odoo_server, postgres) as made:
        for _ in range(CUSTOMERS):
            made.customer()
        for number in range(PRODUCTS):
            made.variant(made.product(f"Thing {number}"), f"THING-{number}")
        summary = made.world.sync()
        assert (summary.differences, summary.failed) == (0, 0)
        yield made


def told(shop: SmallShop) -> list[str]:
    return list(unsettled(shop.world.warehouse).sentences())


def active(shop: SmallShop, entity: str) -> int:
    """How many records of an entity are active in UniERP."""
    table = {"customers": "res_partner", "products": "product_template"}[entity]
    ids = [id_ for (id_,) in shop.world.warehouse_rows("SELECT odoo_id FROM sync.bindings WHERE entity = %s", entity)]
    return int(shop.world.odoo_rows(f"SELECT count(*) FROM {table} WHERE active AND id = ANY(%s)", ids)[0][0])


def test_customers_that_are_gone_for_a_moment_stay_on_both_sides(shop: SmallShop) -> None:
    world = shop.world
    world.shop("CREATE TABLE away AS SELECT * FROM customers WHERE id > 1001")
    world.shop("DELETE FROM customers WHERE id > 1001")
    try:
        assert world.sync().odoo_writes == 0
        assert active(shop, "customers") == CUSTOMERS
        (sentence,) = told(shop)
        assert sentence.startswith("43 of 44 customers are gone from the shop at once: nothing was withdrawn")
        plan = world.unierp("plan", "--json")
        assert json.loads(plan.stdout)["removals_withheld"] == [
            {"system": "storefront", "subject": "customers", "rows": 43, "known": 44}
        ]
        assert json.loads(plan.stdout)["changes"] == []
        synced = world.unierp("sync")
        assert synced.returncode == 3
        assert sentence in synced.stdout
        assert sentence in world.unierp("status").stdout
        rewind(world.warehouse, "night")
        world.sync()
    finally:
        world.shop("INSERT INTO customers SELECT * FROM away")
        world.shop("DROP TABLE away")
    for _ in range(2):
        summary = world.sync()
        assert (summary.odoo_writes, summary.differences) == (0, 0)
    rewind(world.warehouse, "another night")
    assert world.sync().differences == 0
    assert active(shop, "customers") == CUSTOMERS
    assert world.shop("SELECT count(*) FROM customers WHERE active") == [(CUSTOMERS,)]
    assert told(shop) == []


def test_what_was_confirmed_is_withdrawn_and_another_number_is_not(shop: SmallShop) -> None:
    world = shop.world
    world.shop("DELETE FROM customers WHERE id BETWEEN 1010 AND 1030")
    assert world.unierp("sync", "--confirm-removals", "customers=20").returncode == 3
    assert active(shop, "customers") == CUSTOMERS
    confirmed = world.unierp("sync", "--confirm-removals", "customers=21")
    assert confirmed.returncode == 0, confirmed.stdout + confirmed.stderr
    assert active(shop, "customers") == CUSTOMERS - 21
    assert told(shop) == []
    refused = world.unierp("sync", "--confirm-removals", "clients=21")
    assert refused.returncode == 2


def test_products_deleted_in_unierp_by_the_dozen_stay_in_the_shop_until_that_is_confirmed(shop: SmallShop) -> None:
    """Fewer than half of them, for a server that lost most of what it had is filled again."""
    world = shop.world
    keys = [key for (key,) in world.shop("SELECT id FROM products ORDER BY id LIMIT 21")]
    world.session.call("product.template", "unlink", [world.odoo_id("products", key) for key in keys])
    for _ in range(2):
        summary = world.sync()
        assert summary.entities["products"].created == summary.entities["variants"].created == 0
    rewind(world.warehouse, "a third night")
    world.sync()
    assert world.shop("SELECT count(*) FROM products WHERE active") == [(PRODUCTS,)]
    assert world.shop("SELECT count(*) FROM variants WHERE active") == [(PRODUCTS,)]
    (sentence,) = told(shop)
    assert sentence.startswith("21 of 44 products are gone from UniERP at once: nothing was withdrawn")
    world.unierp("sync", "--confirm-removals", "products=20")
    assert world.shop("SELECT count(*) FROM products WHERE active") == [(PRODUCTS,)]
    confirmed = world.unierp("sync", "--confirm-removals", "products=21")
    assert confirmed.returncode == 0, confirmed.stdout + confirmed.stderr
    assert world.shop("SELECT count(*) FROM products WHERE active") == [(PRODUCTS - 21,)]
    assert told(shop) == []
    assert world.sync().odoo_writes == 0
