"""What the documents of a shop do in the books, as a bookkeeper reads them: the posted entries, account by account."""

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from small_shop import SmallShop, small_shop

from unierp_assets.lab.postgres import PostgresServer

if TYPE_CHECKING:
    from conftest import RunningOdoo

D = Decimal


@pytest.fixture(scope="module")
def shop(odoo_server: "RunningOdoo", postgres: PostgresServer) -> Iterator[SmallShop]:
    with small_shop(odoo_server, postgres) as made:
        thing = made.variant(made.product(), "THING")
        made.stock(thing, made.location(), 20)
        customer = made.customer()
        address = made.address(customer)
        tax = made.tax(20)
        order = made.order(
            customer,
            billing_address_id=address,
            shipping_address_id=address,
            total=12,
            tax_total=2,
            status="shipped",
        )
        made.shipment(order, (made.line(order, thing, tax_code=tax, tax_amount=2, total=12), 1))
        made.payment(order, 12)
        made.world.sync()
        yield made


def repartition(shop: SmallShop) -> dict[str, set[int]]:
    """The accounts of the company's own taxes, by use; ``ours`` are those of the shop's."""
    session = shop.world.session
    ours = session.call(
        "ir.model.data", "search_read", [["module", "=", "unierp"], ["model", "=", "account.tax"]], ["res_id"]
    )
    bound = {row["res_id"] for row in ours}
    taxes = session.call("account.tax", "search_read", [], ["type_tax_use"], context={"active_test": False})
    use = {row["id"]: "ours" if row["id"] in bound else row["type_tax_use"] for row in taxes}
    sides = [
        name
        for name in ("tax_id", "invoice_tax_id", "refund_tax_id")
        if session.features.has("account.tax.repartition.line", name)
    ]
    found: dict[str, set[int]] = {"ours": set(), "sale": set(), "purchase": set()}
    for line in session.call(
        "account.tax.repartition.line", "search_read", [["repartition_type", "=", "tax"]], [*sides, "account_id"]
    ):
        tax: Any = next(line[side][0] for side in sides if line[side])
        if line["account_id"] and use.get(tax) in found:
            found[use[tax]].add(line["account_id"][0])
    return found


def tax_accounts(shop: SmallShop) -> list[tuple[int, Decimal]]:
    """Account and balance of the tax lines of posted customer invoices."""
    rows = shop.world.odoo_rows(
        "SELECT l.account_id, l.balance FROM account_move_line l JOIN account_move m ON m.id = l.move_id "
        "WHERE m.move_type = 'out_invoice' AND m.state = 'posted' AND l.tax_line_id IS NOT NULL ORDER BY l.id"
    )
    return [(account, D(str(balance)).quantize(D("0.01"))) for account, balance in rows]


def test_sales_taxes_stand_on_the_account_of_the_companys_own_sales_taxes(shop: SmallShop) -> None:
    accounts = repartition(shop)
    assert accounts["sale"]
    assert accounts["ours"] <= accounts["sale"]
    ((account, balance),) = tax_accounts(shop)
    assert account in accounts["sale"]
    assert balance == D("-2.00")


def test_a_tax_that_a_former_release_booked_as_a_purchase_tax_is_put_right(shop: SmallShop) -> None:
    wrong = repartition(shop)["purchase"] - repartition(shop)["sale"]
    if not wrong:
        pytest.fail("the lab's company books purchase and sales taxes on one account: the test proves nothing")
    tax = shop.world.odoo_id("taxes", "US-20-ex")
    older = shop.world.session.features.has("account.tax.repartition.line", "invoice_tax_id")
    column = "invoice_tax_id" if older else "tax_id"
    shop.world.odoo_rows(
        f"UPDATE account_tax_repartition_line SET account_id = %s WHERE repartition_type = 'tax' AND {column} = %s "
        "RETURNING id",
        min(wrong),
        tax,
    )
    # A server that keeps what it has read in memory is told by its own API.
    customer = shop.customer()
    order = shop.order(customer, total=12, tax_total=2)
    shop.line(order, 1001, tax_code="US-20-ex", tax_amount=2, total=12)
    shop.payment(order, 12)
    shop.world.sync()
    assert repartition(shop)["ours"] <= repartition(shop)["sale"]
    assert tax_accounts(shop)[-1][0] in repartition(shop)["sale"]
