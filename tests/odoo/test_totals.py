"""What the customer paid is a fact: orders, invoices and payments come to the shop's amounts, whatever UniERP computes.

One shop of orders that connectors stumble over, with either way in which a company may round its taxes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from small_shop import SmallShop, small_shop

from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.sync.pipeline import Summary
from unierp_assets.sync.reports import reconciliation_differences

if TYPE_CHECKING:
    from conftest import RunningOdoo

D = Decimal


@dataclass(frozen=True)
class Case:
    """An order: its lines as (quantity, unit price, discount, rate, tax, total), and whether prices include the tax."""

    lines: tuple[tuple[str, str, str, str | None, str, str], ...]
    included: bool = False
    currency: str = "USD"
    held: bool = False


CASES = {
    "24.99 with 20 % in it": Case((("1", "24.99", "0", "20", "4.16", "24.99"),), included=True),
    "36.00 with 26 % in it": Case((("1", "36.00", "0", "26", "7.43", "36.00"),), included=True),
    "three at 9.99 with 19 % in it": Case((("3", "9.99", "0", "19", "4.78", "29.97"),), included=True),
    "half a cent of tax": Case((("1", "0.50", "0", "25", "0.13", "0.63"),)),
    "a net price for a round total": Case((("1", "1960.19", "0", "8", "156.81", "2117.00"),)),
    "ten at 10.285": Case((("10", "10.285", "0", "8", "8.23", "111.08"),)),
    "three at an eighth": Case((("3", "0.125", "0", "7.25", "0.03", "0.41"),)),
    "a dozen for 200": Case((("12", "16.6667", "0", None, "0", "200.00"),)),
    "a thousand at 0.0125": Case((("1000", "0.0125", "0", None, "0", "12.50"),)),
    "an eighth of one": Case((("0.125", "80", "0", None, "0", "10.00"),)),
    "a quantity of three digits": Case((("1.005", "10", "0", None, "0", "10.05"),)),
    "a discount that is no percentage": Case((("1", "5000000.00", "1234567.89", None, "0", "3765432.11"),)),
    "70,000 off 84,000": Case((("1", "84000.00", "70000.00", "20", "2800.00", "16800.00"),)),
    "four lines, taxed once": Case(
        (
            ("1", "598.89", "0", "8.5", "50.91", "649.80"),
            ("1", "329.84", "0", "8.5", "28.04", "357.88"),
            ("1", "59.89", "0", "8.5", "5.08", "64.97"),
        )
    ),
    "three digits of a currency": Case((("1", "1.255", "0", None, "0", "1.255"),), currency="KWD"),
    "no digits of a currency": Case((("3", "333", "0", "10", "100", "1099"),), currency="JPY"),
    "five off": Case((("1", "100.00", "0", "20", "25.00", "125.00"),), held=True),
}


@dataclass
class Till:
    """The shop after its syncs, and the keys of its orders by case."""

    shop: SmallShop
    orders: dict[str, int]
    summaries: list[Summary] = field(default_factory=list)

    def documents(self, case: str) -> dict[str, Any]:
        """What UniERP has of the order: state, and of posted invoices total, tax and what is open."""
        world = self.shop.world
        ((state,),) = world.odoo_rows(
            "SELECT state FROM sale_order WHERE id = %s", world.odoo_id("orders", self.orders[case])
        )
        found = world.odoo_rows(
            "SELECT amount_total, amount_tax, amount_residual FROM account_move WHERE move_type = 'out_invoice' AND "
            "state = 'posted' AND ref = %s",
            self.shop.row("orders", self.orders[case])["number"],
        )
        return {"state": state, "invoices": [tuple(D(str(amount)) for amount in row) for row in found]}


@pytest.fixture(scope="module", params=["round_per_line", "round_globally"])
def till(request: pytest.FixtureRequest, odoo_server: "RunningOdoo", postgres: PostgresServer) -> Iterator[Till]:
    with small_shop(odoo_server, postgres) as shop:
        session = shop.world.session
        session.call(
            "res.company", "write", [session.company()["id"]], {"tax_calculation_rounding_method": request.param}
        )
        yield _sold(shop)


def _sold(shop: SmallShop) -> Till:
    for code, digits in (("KWD", 3), ("JPY", 0)):
        shop.currency(code, digits)
        shop.add("exchange_rates", currency=code, valid_on="2020-01-01", rate=2)
    location, orders, taxes = shop.location(), dict[str, int](), dict[tuple[str, bool], str]()
    thing = shop.variant(shop.product(), "THING")
    shop.stock(thing, location, 100_000)
    customer = shop.customer()
    address = shop.address(customer)
    for name, case in CASES.items():
        total = sum((D(line[5]) for line in case.lines), D(0))
        order = orders[name] = shop.order(
            customer,
            number=name,
            currency=case.currency,
            prices_include_tax=case.included,
            billing_address_id=address,
            shipping_address_id=address,
            total=total,
            tax_total=sum((D(line[4]) for line in case.lines), D(0)),
            discount_total=sum((D(line[2]) for line in case.lines), D(0)),
            status="shipped",
        )
        sent = []
        for quantity, price, discount, rate, tax, charged in case.lines:
            if rate and (rate, case.included) not in taxes:
                taxes[rate, case.included] = shop.tax(rate, included=case.included)
            line = shop.line(
                order,
                thing,
                quantity=D(quantity),
                unit_price=D(price),
                discount_amount=D(discount),
                tax_code=taxes.get((rate, case.included)) if rate else None,
                tax_amount=D(tax),
                total=D(charged),
            )
            sent.append((line, D(quantity)))
        shop.shipment(order, *sent)
        shop.payment(order, total)
    found = Till(shop, orders)
    for _ in range(3):
        found.summaries.append(shop.world.sync())
    return found


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.held])
def test_order_invoice_and_payment_are_the_shops_to_the_last_digit(till: Till, name: str) -> None:
    case = CASES[name]
    total, tax = sum(D(line[5]) for line in case.lines), sum(D(line[4]) for line in case.lines)
    assert till.documents(name) == {"state": "sale", "invoices": [(total, tax, 0)]}
    row = till.shop.row("orders", till.orders[name])
    assert (row["invoiced_total"], row["paid_total"]) == (total, total)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.held])
def test_what_is_further_off_than_may_be_adjusted_is_held_and_its_money_is_told(till: Till, name: str) -> None:
    assert till.documents(name)["state"] == "draft"
    waits = till.summaries[-1].unsettled
    assert waits is not None
    assert waits.orders.select("number", "reason").rows() == [(name, waits.orders["reason"][0])]
    assert waits.money.select("number", "amount").rows() == [(name, D(125))]


def test_every_adjustment_is_listed_with_its_amount(till: Till) -> None:
    rows = till.shop.world.warehouse_rows(
        "SELECT number, shop_total, unierp_total, adjusted, adjustments FROM reporting.order_reconciliation "
        "WHERE adjusted IS NOT NULL"
    )
    assert rows
    for number, _, _, adjusted, told in rows:
        assert 0 < adjusted <= 1, (number, adjusted, told)
        assert " to " in told


def test_nothing_else_differs_and_the_third_sync_writes_nothing(till: Till) -> None:
    assert reconciliation_differences(till.shop.world.warehouse).rows() == []
    assert [(each.differences, each.failed) for each in till.summaries] == [(0, 0)] * 3
    assert till.summaries[-1].odoo_writes == 0
    held = till.shop.world.warehouse_rows("SELECT DISTINCT entity FROM sync.pending ORDER BY 1")
    assert {entity for (entity,) in held} <= {"orders", "order_lines", "shipments", "invoices", "payments"}
