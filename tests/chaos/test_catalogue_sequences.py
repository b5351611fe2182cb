"""Whatever a merchant does to the catalogue, in whatever order: what was not touched is as it was, on both sides."""

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

import pytest
from merchant import CODES, VALUES, Merchant
from small_shop import SmallShop, small_shop

from unierp_assets.lab.postgres import PostgresServer

if TYPE_CHECKING:
    from conftest import RunningOdoo

CHANGES = 8


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sequence" in metafunc.fixturenames:
        metafunc.parametrize("sequence", range(metafunc.config.getoption("--chaos-sequences")))


Market = tuple[SmallShop, int, int, dict[int, list[int]]]


@pytest.fixture(scope="module")
def market(odoo_server: "RunningOdoo", postgres: PostgresServer) -> Iterator[Market]:
    """A shop of three attributes, its location and its customer; each sequence has products of its own in it."""
    with small_shop(odoo_server, postgres) as shop:
        attributes = {}
        for name in ("Size", "Colour", "Grade"):
            values = shop.attribute(name, *(f"{name} {number}" for number in range(1, 5)))
            attributes[int(shop.row("attribute_values", values[0])["attribute_id"])] = values
        customer = shop.customer()
        shop.address(customer)
        yield shop, shop.location(), customer, attributes


def test_a_sequence_of_changes_leaves_alone_what_it_does_not_touch(
    market: Market, chaos_seed: int, sequence: int
) -> None:
    shop, location, customer, attributes = market
    merchant = Merchant(shop, Random(f"{chaos_seed} {sequence}"), location, customer, attributes)
    merchant.open_shop()
    first = shop.world.sync()
    assert (first.failed, first.differences) == (0, 0)
    before = merchant.state()
    for _ in range(CHANGES):
        merchant.change()
    print(f"--chaos-seed {chaos_seed}, sequence {sequence}", *merchant.told, sep="\n")

    summary = shop.world.sync()

    assert shop.world.warehouse_rows("SELECT entity, key, state, reason FROM sync.pending") == []
    assert shop.world.warehouse_rows("SELECT entity, key, rule FROM quarantine.rows WHERE outcome <> 'warn'") == []
    after = merchant.state()
    untouched = {
        (key, what): value
        for (key, what), value in before.items()
        if what not in merchant.touched.get(key, set()) and (key, what) in after
    }
    assert {place: after[place] for place in untouched} == untouched
    deleted = {key for key, _ in before} - {key for key, _ in after}
    assert deleted <= set(merchant.touched)
    for variant in merchant.variants:
        sku, barcode, sku_in_shop, barcode_in_shop = after[variant.key, CODES]
        active, active_in_shop = after[variant.key, "active"]
        assert sku == sku_in_shop
        assert barcode == barcode_in_shop or not active
        assert barcode_in_shop == variant.barcode
        assert active == (active_in_shop and all(p.active for p in merchant.products if variant in p.variants))
        assert len(after[variant.key, VALUES]) == len(variant.values)
    assert summary.differences == 0
    again = shop.world.sync()
    assert (again.odoo_writes, again.differences) == (0, 0)
