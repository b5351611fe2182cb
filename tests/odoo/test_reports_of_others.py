"""What users of other connectors reported in public, as small inputs: one shop, a sync, a day of changes, a second one.

Each test names the thread. What belongs here: inputs of such reports, both sides looked at. What does not: cases that
have a module of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from small_shop import PLACED, SmallShop, small_shop

from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.sync.pipeline import Summary

if TYPE_CHECKING:
    from conftest import RunningOdoo

D = Decimal


@dataclass
class Reported:
    """The shop after its day, what each sync did, and the rows by the part they play."""

    shop: SmallShop
    first: Summary
    cast: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    second: Summary | None = None
    third: Summary | None = None

    def order(self, role: str) -> dict[str, Any]:
        """The columns of an order in the shop."""
        return self.shop.row("orders", self.cast[role])

    def sale(self, role: str) -> tuple[Any, ...]:
        """State, total and tax of the order in UniERP."""
        id_ = self.shop.world.odoo_id("orders", self.cast[role])
        ((state, total, tax),) = self.shop.world.odoo_rows(
            "SELECT state, amount_total, amount_tax FROM sale_order WHERE id = %s", id_
        )
        return state, D(str(total)), D(str(tax))

    def invoice(self, role: str) -> tuple[Decimal, Decimal, Decimal]:
        """Total, tax and what is left to pay of the order's posted invoices."""
        number = self.order(role)["number"]
        ((total, tax, left),) = self.shop.world.odoo_rows(
            "SELECT sum(amount_total), sum(amount_tax), sum(amount_residual) FROM account_move "
            "WHERE move_type = 'out_invoice' AND state = 'posted' AND invoice_origin IN "
            "(SELECT name FROM sale_order WHERE client_order_ref = %s)",
            number,
        )
        return D(str(total)), D(str(tax)), D(str(left))

    def variant(self, role: str) -> dict[str, Any]:
        """The variant's record in UniERP: id, SKU, barcode, whether it is active."""
        id_ = self.shop.world.odoo_id("variants", self.cast[role])
        ((sku, barcode, active),) = self.shop.world.odoo_rows(
            "SELECT default_code, barcode, active FROM product_product WHERE id = %s", id_
        )
        return {"id": id_, "sku": sku, "barcode": barcode, "active": active}


def place(shop: SmallShop, customer: int, *lines: dict[str, Any], paid: bool = True, **values: Any) -> int:
    """An order of these lines, shipped in full and paid in full unless told; its totals are the sums of the lines."""
    address = shop.address(customer)
    total = sum((line["total"] for line in lines), D(0))
    tax = sum((line.get("tax_amount", D(0)) for line in lines), D(0))
    order = shop.order(
        customer,
        billing_address_id=address,
        shipping_address_id=address,
        total=total,
        tax_total=tax,
        **{"status": "shipped"} | values,
    )
    goods = [(shop.line(order, **line), line.get("quantity", 1)) for line in lines]
    if values.get("status", "shipped") == "shipped":
        shop.shipment(order, *goods)
    if paid:
        shop.payment(order, total)
    return order


@pytest.fixture(scope="module")
def reported(odoo_server: "RunningOdoo", postgres: PostgresServer) -> Iterator[Reported]:
    with small_shop(odoo_server, postgres) as shop:
        yield from _a_day(shop)


def _a_day(shop: SmallShop) -> Iterator[Reported]:
    cast: dict[str, Any] = {}
    location = shop.location()
    thing = shop.variant(shop.product(), "THING", barcode="4006381333931")
    shop.stock(thing, location, 1000)
    ex85, ex15, ex17, in20 = shop.tax("8.5"), shop.tax(15), shop.tax(17), shop.tax(20, included=True)
    ada = shop.customer()

    def line(price: str, tax: str, total: str, code: str | None, **more: Any) -> dict[str, Any]:
        amounts = {"unit_price": D(price), "tax_amount": D(tax), "total": D(total), "tax_code": code}
        return {"variant": thing} | amounts | more

    cast["four lines"] = place(
        shop,
        ada,
        line("598.89", "50.91", "649.80", ex85),
        line("329.84", "28.04", "357.88", ex85),
        line("-59.89", "-5.09", "-64.98", ex85, variant=None),
        line("-32.98", "-2.81", "-35.79", ex85, variant=None),
    )
    cast["two rates"] = place(
        shop,
        ada,
        line("30.75", "43.82", "335.95", ex15, quantity=10, discount_amount=D("15.37")),
        line("70", "11.31", "77.81", ex17, discount_amount=D("3.5")),
    )
    cast["many digits"] = place(shop, ada, line("50.4", "8.57", "58.97", ex17), line("47.208", "8.02", "55.23", ex17))
    cast["included"] = place(shop, ada, line("69.99", "11.67", "69.99", in20), prices_include_tax=True)
    cast["five per cent"] = place(shop, ada, line("1662.50", "124.69", "955.94", ex15, discount_amount=D("831.25")))

    # A shirt that is always black, with stock in all sizes, and then gets colours.
    cast["small"], cast["large"] = shop.attribute("Size", "S", "L")
    shirt = cast["shirt"] = shop.product("Shirt")
    cast["shirt S"] = shop.variant(shirt, "SHIRT-S", cast["small"], barcode="9780201379624")
    cast["shirt L"] = shop.variant(shirt, "SHIRT-L", cast["large"], position=2)
    for name, on_hand in (("shirt S", 10), ("shirt L", 5)):
        cast[f"stock {name}"] = shop.stock(cast[name], location, on_hand)
    cast["shirt sold"] = place(
        shop, ada, line("20", "0", "20", None, variant=cast["shirt S"]), paid=False, status="confirmed"
    )

    # Two articles of one name.
    cast["twin a"] = shop.variant(shop.product("Same name"), "TWIN-A")
    cast["twin b"] = shop.variant(shop.product("Same name"), "TWIN-B")

    # Somebody moves after the invoice.
    mover = cast["mover"] = shop.customer()
    cast["moved"] = place(shop, mover, line("10", "0", "10", None))
    # An article that is deleted before the order is read.
    gone = shop.variant(shop.product("Gone"), "GONE")
    cast["deleted article"] = place(shop, ada, line("12", "0", "12", None, variant=gone, name="Gone, blue"))
    shop.remove("variants", gone)

    # Ordered and waiting: what is sold must not be on sale again.
    waits = cast["waits"] = shop.variant(shop.product("Scarce"), "SCARCE")
    cast["scarce"] = shop.stock(waits, location, 30)
    cast["reserved"] = place(
        shop, ada, line("1", "0", "29", None, variant=waits, quantity=29), paid=False, status="confirmed"
    )
    shop.change("stock_levels", cast["scarce"], available=1)

    found = Reported(shop, shop.world.sync(), cast)
    found.before = {
        "variants": {role: found.variant(role) for role in ("shirt S", "shirt L")},
        "address": printed(found, "moved"),
    }

    black, white = shop.attribute("Colour", "Black", "White")
    for role, size in (("shirt S", "small"), ("shirt L", "large")):
        shop.add("variant_values", variant_id=cast[role], attribute_value_id=black)
        cast[f"{role} white"] = shop.variant(shirt, f"SHIRT-{size[0].upper()}-W", cast[size], white, position=3)
    street = {"street": "99 New Road", "city": "Shelbyville"}
    shop.change("addresses", found.order("moved")["billing_address_id"], **street)
    # A later order of an earlier day, as an import of old orders brings it.
    cast["old order"] = place(
        shop, ada, line("5", "0", "5", None), placed_at=PLACED - timedelta(days=900), updated_at=PLACED
    )
    found.second = shop.world.sync()
    found.third = shop.world.sync()
    yield found


def printed(found: Reported, role: str) -> list[Any]:
    """Street and town of the persons on the posted invoices of an order."""
    return found.shop.world.odoo_rows(
        "SELECT p.street, p.city FROM account_move m JOIN res_partner p ON p.id = m.partner_id "
        "WHERE m.move_type = 'out_invoice' AND m.state = 'posted' AND m.invoice_origin IN "
        "(SELECT name FROM sale_order WHERE client_order_ref = %s)",
        found.order(role)["number"],
    )


@pytest.mark.parametrize(
    ("role", "total", "tax"),
    [
        ("four lines", "906.91", "71.05"),  # odoo/odoo#23125: 71.06 in the ERP, 71.05 in the shop
        ("two rates", "413.76", "55.13"),  # odoo/odoo#177192: another total as soon as taxes are rounded globally
        ("many digits", "114.20", "16.59"),  # odoo/odoo#104742: 16.60 on the invoice, 16.59 on the order
        ("included", "69.99", "11.67"),  # odoo/odoo#240456: 58.33 on the line, 58.32 on the order
        ("five per cent", "955.94", "124.69"),  # odoo/odoo#236876: half a cent that floats round down
    ],
)
def test_order_invoice_and_payment_are_the_shops_to_the_cent(
    reported: Reported, role: str, total: str, tax: str
) -> None:
    assert reported.invoice(role) == (D(total), D(tax), 0)
    row = reported.order(role)
    assert (row["invoiced_total"], row["paid_total"]) == (D(total), D(total))


def test_colours_for_a_shirt_that_was_always_black_leave_sizes_stock_and_codes_alone(reported: Reported) -> None:
    """odoo/odoo#18682, frappe/erpnext_shopify#146, statamic-rad-pack/shopify#45"""
    for role in ("shirt S", "shirt L"):
        assert reported.variant(role) == reported.before["variants"][role]
    assert {reported.variant(f"{role} white")["sku"] for role in ("shirt S", "shirt L")} == {"SHIRT-S-W", "SHIRT-L-W"}
    assert reported.shop.row("variants", reported.cast["shirt S"])["sku"] == "SHIRT-S"
    assert reported.shop.row("stock_levels", reported.cast["stock shirt L"])["on_hand"] == 5
    assert reported.shop.row("stock_levels", reported.cast["stock shirt S"])["available"] == 9


def test_articles_of_one_name_are_two(reported: Reported) -> None:
    """frappe/erpnext#7920: matched by name instead of SKU"""
    assert reported.variant("twin a")["sku"] == "TWIN-A"
    assert reported.variant("twin b")["sku"] == "TWIN-B"


def test_a_posted_invoice_prints_the_address_it_was_made_for(reported: Reported) -> None:
    """PrestaShop/PrestaShop#13539: an edited address rewrites old invoices"""
    assert reported.before["address"] == [("1 Main Street", "Springfield")]
    assert printed(reported, "moved") == reported.before["address"]


def test_an_order_with_a_deleted_article_arrives(reported: Reported) -> None:
    """mailchimp/mc-magento2#1330, taxjar/taxjar-woocommerce-plugin#128"""
    assert reported.invoice("deleted article")[0] == 12
    names = reported.shop.world.odoo_rows(
        "SELECT name FROM sale_order_line WHERE order_id = %s",
        reported.shop.world.odoo_id("orders", reported.cast["deleted article"]),
    )
    assert any("Gone, blue" in name for (name,) in names)


def test_what_is_sold_and_not_delivered_is_not_on_sale_again(reported: Reported) -> None:
    """libracore/WooCommerceConnector#41, Starktail/woocommerce_fusion#170"""
    row = reported.shop.row("stock_levels", reported.cast["scarce"])
    assert (row["on_hand"], row["available"]) == (30, 1)


def test_an_old_order_that_is_imported_late_arrives_with_its_day(reported: Reported) -> None:
    """OCA/connector-magento#120, #135: all jobs done, nothing imported"""
    id_ = reported.shop.world.odoo_id("orders", reported.cast["old order"])
    ((day,),) = reported.shop.world.odoo_rows("SELECT date_order::date FROM sale_order WHERE id = %s", id_)
    assert day == (PLACED - timedelta(days=900)).date()


def test_nothing_differs_and_a_further_sync_writes_nothing(reported: Reported) -> None:
    assert reported.second is not None
    assert reported.third is not None
    assert (reported.first.differences, reported.first.failed) == (0, 0)
    assert (reported.second.differences, reported.second.failed) == (0, 0)
    assert reported.third.odoo_writes == 0
    assert reported.shop.world.warehouse_rows("SELECT entity, key, reason FROM sync.pending") == []
