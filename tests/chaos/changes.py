"""The shop of the chaos tests, and what happens on both sides before the sync that is disturbed.

Belongs here: rows, the same for every run. Does not belong here: what disturbs the sync that carries them over.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from psycopg import sql
from world import World

from unierp_assets.bench.shop import LOCATION, OPENED, TAX
from unierp_assets.odoo import StockRow, set_stock

PRICE = Decimal("12.50")
RATE = Decimal("1.2")
"""Amount with tax for one without: no amount has to be rounded."""


def furnish(world: World) -> None:
    """Adds to a plain shop what the changes need: a second currency, groups, an address book, orders that wait."""
    world.shop("INSERT INTO currencies (code, name, decimals, active) VALUES ('EUR', 'Euro', 2, true)")
    add_row(world, "exchange_rates", currency="EUR", valid_on="2025-01-01", rate=Decimal("0.9"))
    for variant in (1, 2):
        add_row(world, "prices", variant_id=variant, currency="EUR", amount=Decimal(9))
    for group in ("Trade", "Newsletter"):
        add_row(world, "customer_groups", name=group)
    add_row(world, "customer_group_members", customer_id=1, group_id=1)
    add_row(world, "customers", kind="registered", email="not an address", last_name="Refused", active=True)
    add_order(world, 1, [(1, 1)], status="pending")
    held = add_order(world, 2, [(2, 2)], status="pending")
    world.shop("UPDATE order_lines SET tax_amount = tax_amount + 0.01, total = total + 0.01 WHERE order_id = %s", held)
    world.shop("UPDATE orders SET tax_total = tax_total + 0.01, total = total + 0.01 WHERE id = %s", held)


def make_changes(world: World) -> None:
    """Changes every kind of thing on both sides, so that one sync has to write everywhere."""
    variant = add_product(world)
    customer = add_customer(world)
    add_order(world, customer, [(variant, 2), (1, 1)], status="completed", shipped=(2, 1), paid=Decimal(1))
    add_order(world, customer, [(3, 3)], status="confirmed", shipped=(1,), paid=Decimal("0.4"))
    change_shop(world)
    change_unierp(world)


def add_row(world: World, table: str, **values: Any) -> int:
    """Adds a row to a table of the shop under the next free id, which is returned."""
    ((id_,),) = world.shop(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")
    names = ["id", *values]
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join(sql.Placeholder() * len(names)),
    )
    world.shop(statement.as_string(), id_, *values.values())
    return int(id_)


def add_product(world: World) -> int:
    """A new product with one variant, a price and stock; returns the variant."""
    product = add_row(world, "products", name="Lamp", category_id=1, tax_code=TAX, active=True, created_at=OPENED)
    variant = add_row(
        world, "variants", product_id=product, sku=f"LAMP-{product}", weight_kg=Decimal("1.25"),
        cost_amount=Decimal(4), cost_currency="USD", position=1, active=True,
    )  # fmt: skip
    add_row(world, "prices", variant_id=variant, currency="USD", amount=PRICE)
    add_row(world, "stock_levels", variant_id=variant, location_id=LOCATION, on_hand=Decimal(40), available=Decimal(40))
    return variant


def add_customer(world: World) -> int:
    """A new customer with two addresses and a group."""
    customer = add_row(
        world, "customers", kind="registered", email="grace@chaos.example", first_name="Grace", last_name="Hopper",
        phone="+12125550123", language="en-US", created_at=OPENED, active=True,
    )  # fmt: skip
    for kind in ("billing", "shipping"):
        add_row(
            world, "addresses", customer_id=customer, kind=kind, name="Grace Hopper", street="1 Harbor Road",
            city="Boston", postcode="02110", region="MA", country="US",
        )  # fmt: skip
    add_row(world, "customer_group_members", customer_id=customer, group_id=1)
    return customer


def add_order(
    world: World,
    customer: int,
    items: list[tuple[int, int]],
    *,
    status: str,
    shipped: tuple[int, ...] = (),
    paid: Decimal = Decimal(0),
) -> int:
    """A new order of variants and quantities, of which so many units have left and such a share was paid."""
    nets = [quantity * PRICE for _, quantity in items]
    total = sum(nets) * RATE
    addresses = dict(world.shop("SELECT kind, id FROM addresses WHERE customer_id = %s", customer))
    ((count,),) = world.shop("SELECT count(*) FROM orders")
    order = add_row(
        world, "orders", number=f"CHAOS-{count}", customer_id=customer, channel="web", currency="USD",
        prices_include_tax=False, status=status, placed_at=OPENED, billing_address_id=addresses.get("billing"),
        shipping_address_id=addresses.get("shipping"), discount_total=Decimal(0), shipping_total=Decimal(0),
        tax_total=total - sum(nets), total=total,
    )  # fmt: skip
    lines = [
        add_row(
            world, "order_lines", order_id=order, position=position, kind="product", variant_id=variant, name="Lamp",
            quantity=quantity, unit_price=PRICE, discount_amount=Decimal(0), tax_code=TAX,
            tax_amount=net * RATE - net, total=net * RATE,
        )
        for position, ((variant, quantity), net) in enumerate(zip(items, nets, strict=True), 1)
    ]  # fmt: skip
    if shipped:
        shipment = add_row(
            world, "shipments", order_id=order, carrier="ups", tracking_number=f"1Z{order:08}",
            shipped_at=OPENED + timedelta(days=1),
        )  # fmt: skip
        for line, quantity in zip(lines, shipped, strict=True):
            add_row(world, "shipment_lines", shipment_id=shipment, order_line_id=line, quantity=quantity)
    if paid:
        add_row(
            world, "payments", order_id=order, method="card",
            status="captured" if paid == 1 else "partially_captured", currency="USD", authorised_amount=total,
            captured_amount=total * paid, captured_at=OPENED, reference=f"CHAOS-PAY-{order}",
        )  # fmt: skip
    return order


def change_shop(world: World) -> None:
    """A price raised, a price withdrawn, and an order confirmed that was pending."""
    world.shop("UPDATE prices SET amount = amount + 1.10 WHERE variant_id = 4 AND currency = 'USD'")
    world.shop("DELETE FROM prices WHERE variant_id = 2 AND currency = 'EUR'")
    world.shop(
        "UPDATE orders SET status = 'confirmed' WHERE id = (SELECT min(id) FROM orders WHERE status = 'pending')"
    )


def change_unierp(world: World) -> None:
    """A price, a product's name, a customer's phone and groups, and a stock level are changed in UniERP."""
    session = world.session
    ((price,),) = world.shop("SELECT id FROM prices WHERE variant_id = 1 AND currency = 'EUR'")
    session.call("product.pricelist.item", "write", [world.odoo_id("prices", price)], {"fixed_price": 77.77})
    session.call("product.template", "write", [world.odoo_id("products", 5)], {"name": "Renamed in UniERP"})
    tags = [[4, world.odoo_id("customer_groups", 2)], [3, world.odoo_id("customer_groups", 1)]]
    values = {"phone": "+12125550177", "category_id": tags}
    session.call("res.partner", "write", [world.odoo_id("customers", 1)], values)
    counted = StockRow(world.odoo_id("variants", 6), world.odoo_id("locations", LOCATION), Decimal(321))
    for outcome in set_stock(session, [counted]):
        assert outcome.ok, outcome.error
