"""The shop made by hand is one that a sync takes as it is."""

from decimal import Decimal
from typing import TYPE_CHECKING

from small_shop import small_shop

from unierp_assets.lab.postgres import PostgresServer

if TYPE_CHECKING:
    from conftest import RunningOdoo


def test_an_order_of_a_shop_made_by_hand_arrives_is_delivered_invoiced_and_paid(
    odoo_server: "RunningOdoo", postgres: PostgresServer
) -> None:
    with small_shop(odoo_server, postgres) as shop:
        variant, location = shop.variant(shop.product(), "THING"), shop.location()
        shop.stock(variant, location, 20)
        customer = shop.customer()
        address = shop.address(customer)
        order = shop.order(customer, billing_address_id=address, shipping_address_id=address, total=10)
        shop.shipment(order, (shop.line(order, variant), 1))
        shop.change("orders", order, status="shipped")
        shop.payment(order, 10)
        summary = shop.world.sync()
        assert shop.world.warehouse_rows("SELECT entity, key, reason FROM sync.pending") == []
        assert (summary.differences, summary.failed) == (0, 0)
        assert shop.world.warehouse_rows("SELECT entity, key, reason FROM sync.pending") == []
        row = shop.row("orders", order)
        assert (row["invoiced_total"], row["paid_total"]) == (Decimal(10), Decimal(10))
        assert shop.world.sync().odoo_writes == 0
        assert shop.world.unierp("sync").returncode == 0
