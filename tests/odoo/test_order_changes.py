"""Orders that change after the first sync, on either side: lines, cancellations, progress, and undoing it all.

The tests of this module share one world for each Odoo version and tell one story in the order in which they stand.
"""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from till import Till
from world import World

from unierp_assets.sync.memory import ledger
from unierp_assets.sync.pipeline import new_run_id
from unierp_assets.sync.undo import NothingToUndo, Undo

if TYPE_CHECKING:
    pass

# The documents behind it are proven on both versions in test_documents.py and test_reversals.py.
pytestmark = pytest.mark.newest


@pytest.fixture(scope="module")
def world(loaded_world: World) -> World:
    return loaded_world


@pytest.fixture(scope="module")
def till(world: World) -> Till:
    return Till(world)


def order_of(world: World, key: int, *fields: str) -> dict[str, Any]:
    (row,) = world.session.call("sale.order", "read", [world.odoo_id("orders", key)], list(fields))
    return dict(row)


def shop_order(world: World, key: int) -> tuple[Any, ...]:
    (row,) = world.shop(
        "SELECT status, delivery_status, tracking_numbers, invoiced_total, paid_total FROM orders WHERE id = %s", key
    )
    return row


def demand(world: World, key: int) -> list[Decimal]:
    """What is still to be delivered of an order, by line."""
    rows = world.odoo_rows(
        "SELECT sum(m.product_uom_qty) FROM stock_move m JOIN sale_order_line l ON l.id = m.sale_line_id "
        "WHERE l.order_id = %s AND m.state NOT IN ('done', 'cancel') GROUP BY l.id ORDER BY l.sequence, l.id",
        world.odoo_id("orders", key),
    )
    return [Decimal(quantity) for (quantity,) in rows if quantity]


def assert_settled(world: World) -> None:
    assert world.unread() == {}
    summary = world.sync()
    assert summary.odoo_writes == 0
    assert [name for name, c in summary.entities.items() if c.created or c.updated] == []
    assert summary.differences == 0


def test_lines_are_added_changed_and_taken_off_an_open_order(world: World, till: Till) -> None:
    order, quotation = till.place(2, 3, 4), till.place(1, 1, status="pending")
    world.sync()
    assert demand(world, order) == [2, 3, 4]

    till.add_line(order, 4, 5)
    world.shop("UPDATE order_lines SET quantity = 1, total = 10 WHERE id = %s", order * 10 + 1)
    world.shop("DELETE FROM order_lines WHERE id = %s", order * 10 + 2)
    till.total(order, 10 + 40 + 50)
    world.shop("DELETE FROM order_lines WHERE id = %s", quotation * 10 + 2)
    till.add_line(quotation, 3, 7)
    till.total(quotation, 10 + 70)
    summary = world.sync()
    assert world.warehouse_rows("SELECT entity, key, reason FROM sync.pending WHERE key LIKE %s", f"{order}%") == []
    assert summary.entities["order_lines"].created == 2
    assert order_of(world, order, "amount_total", "state") | {"id": 0} == {
        "id": 0, "amount_total": 100.0, "state": "sale",
    }  # fmt: skip
    assert demand(world, order) == [1, 4, 5]
    assert order_of(world, quotation, "amount_total", "state")["amount_total"] == 80.0
    assert_settled(world)


def test_an_order_confirmed_in_the_shop_with_a_new_line_is_confirmed_with_it(world: World, till: Till) -> None:
    order = till.place(1, status="pending")
    world.sync()
    till.add_line(order, 2, 2)
    till.total(order, 30)
    world.shop("UPDATE orders SET status = 'confirmed' WHERE id = %s", order)
    world.sync()
    assert order_of(world, order, "state", "amount_total")["amount_total"] == 30.0
    assert order_of(world, order, "state")["state"] == "sale"
    assert demand(world, order) == [1, 2]
    assert_settled(world)


def test_a_line_added_to_an_invoiced_order_is_held_with_the_reason(world: World, till: Till) -> None:
    order = till.place(2)
    till.pay(order)
    world.sync()
    line = till.add_line(order, 2, 1)
    till.total(order, 30)
    world.sync()
    ((state, reason),) = world.warehouse_rows(
        "SELECT state, reason FROM sync.pending WHERE entity = 'order_lines' AND key = %s", str(line)
    )
    assert state == "held"
    assert "is invoiced" in reason
    world.shop("DELETE FROM order_lines WHERE id = %s", line)
    till.total(order, 20)
    world.sync()
    assert_settled(world)


def test_what_people_do_with_an_order_in_odoo_is_told_to_the_shop(world: World, till: Till) -> None:
    order, cancelled = till.place(2, status="pending"), till.place(1)
    world.sync()
    ids = [world.odoo_id("orders", key) for key in (order, cancelled)]
    world.session.call("sale.order", "action_confirm", ids[:1])
    world.session.call("sale.order", "action_cancel", ids[1:], context={"disable_cancel_warning": True})
    world.sync()
    assert shop_order(world, order)[:2] == ("confirmed", None)
    assert shop_order(world, cancelled)[0] == "cancelled"
    till.ship(order)
    till.pay(order)
    world.sync()
    assert shop_order(world, order) == ("shipped", "full", f"TRACK{order}", Decimal(20), Decimal(20))
    ((numbers,),) = world.shop("SELECT invoice_numbers FROM orders WHERE id = %s", order)
    assert numbers
    assert_settled(world)


def test_an_order_cancelled_before_delivery_is_only_cancelled(world: World, till: Till) -> None:
    order = till.place(3)
    world.sync()
    world.shop("UPDATE orders SET status = 'cancelled' WHERE id = %s", order)
    world.sync()
    assert order_of(world, order, "state")["state"] == "cancel"
    assert demand(world, order) == []
    assert_settled(world)


def stock(world: World) -> dict[int, Decimal]:
    rows = world.odoo_rows(
        "SELECT q.product_id, sum(q.quantity) FROM stock_quant q JOIN stock_location l ON l.id = q.location_id "
        "WHERE l.usage = 'internal' GROUP BY 1"
    )
    return {product: quantity for product, quantity in rows if quantity}


def ledgers_balance(world: World) -> bool:
    """Each entry balances, and receivables of the till's orders are what was paid and not used."""
    return world.odoo_rows("SELECT move_id FROM account_move_line GROUP BY 1 HAVING sum(balance) <> 0") == []


def test_an_order_cancelled_after_delivery_is_returned_credited_and_cancelled(world: World, till: Till) -> None:
    before = stock(world)
    order = till.place(2, 1)
    till.ship(order)
    till.pay(order)
    world.sync()
    assert stock(world) != before
    world.shop("UPDATE orders SET status = 'cancelled' WHERE id = %s", order)
    world.sync()
    assert world.warehouse_rows("SELECT entity, reason FROM sync.pending WHERE key = %s", str(order)) == []
    assert order_of(world, order, "state")["state"] == "cancel"
    assert stock(world) == before
    notes = world.odoo_rows(
        "SELECT state, amount_total FROM account_move WHERE reversed_entry_id = %s", world.odoo_id("invoices", order)
    )
    assert notes == [("posted", Decimal(30))]
    assert ledgers_balance(world)
    status, delivered, _, invoiced, paid = shop_order(world, order)
    # What was paid is the customer's credit until it is paid back.
    assert (status, delivered, invoiced, paid) == ("cancelled", None, Decimal(0), Decimal(30))
    assert_settled(world)


def test_a_run_is_undone_record_by_record_and_says_what_became_of_each(world: World, till: Till) -> None:
    before = stock(world)
    ((price, amount),) = world.shop(
        "SELECT id, amount FROM prices WHERE id::text = ANY(%s) AND amount > 5 ORDER BY id LIMIT 1",
        [key for (key,) in world.warehouse_rows("SELECT key FROM sync.bindings WHERE entity = 'prices'")],
    )
    world.shop("UPDATE prices SET amount = amount + 3 WHERE id = %s", price)
    ((customer,),) = world.shop("SELECT max(id) + 1 FROM customers")
    world.shop(
        "INSERT INTO customers (id, kind, email, first_name, last_name, created_at, active) "
        "VALUES (%s, 'registered', 'katherine@shop.example', 'Katherine', 'Johnson', now(), true)",
        customer,
    )
    whole, plain = till.place(2, 2), till.place(1)
    till.ship(whole)
    till.pay(whole)
    run = world.sync().run_id
    orders = [world.odoo_id("orders", order) for order in (whole, plain)]
    invoice, partner = world.odoo_id("invoices", whole), world.odoo_id("customers", customer)

    report = Undo(world.context(), run).run()
    outcomes = {(row["entity"], row["key"]): row["outcome"] for row in report.iter_rows(named=True) if not row["field"]}
    assert outcomes["payments", str(whole)] == "reversed"
    assert outcomes["invoices", str(whole)] == "reversed"
    assert outcomes["shipments", str(whole)] == "reversed"
    assert {outcomes["orders", str(order)] for order in (whole, plain)} == {"reversed"}
    assert outcomes["customers", str(customer)] == "deleted"
    fields = report.filter(report["entity"] == "prices").select("key", "field", "outcome").rows()
    assert (str(price), "amount", "restored") in fields
    assert "failed" not in report["outcome"].to_list()

    states = world.session.call("sale.order", "read", orders, ["state"])
    assert {row["state"] for row in states} == {"cancel"}
    assert world.session.call("res.partner", "search_count", [("id", "=", partner)]) == 0
    item = world.session.call("product.pricelist.item", "read", [world.odoo_id("prices", price)], ["fixed_price"])[0]
    assert Decimal(repr(item["fixed_price"])) == amount
    assert stock(world) == before
    assert ledgers_balance(world)
    open_ = world.odoo_rows(
        "SELECT sum(amount_residual) FROM account_move WHERE id = %s OR reversed_entry_id = %s", invoice, invoice
    )
    assert open_ == [(Decimal(0),)]
    assert ledger.verify(world.warehouse).holds

    # It stays undone, and doing it twice does nothing twice.
    assert_nothing_comes_back(world, customer)
    again = Undo(world.context(), run).run()
    assert set(again["outcome"]) <= {"restored", "deleted", "reversed", "kept"}
    assert_nothing_comes_back(world, customer)


def assert_nothing_comes_back(world: World, customer: int) -> None:
    summary = world.sync()
    assert summary.odoo_writes == 0
    assert summary.differences == 0
    assert world.session.call("res.partner", "search_count", [("email", "=", "katherine@shop.example")]) == 0
    assert customer


def test_what_was_undone_comes_again_when_its_row_changes_or_it_is_released(world: World) -> None:
    ((customer,),) = world.shop("SELECT id FROM customers WHERE email = 'katherine@shop.example'")
    world.shop("UPDATE customers SET last_name = 'Goble' WHERE id = %s", customer)
    assert world.sync().entities["customers"].created == 1
    run = world.warehouse_rows("SELECT DISTINCT run_id FROM sync.pending WHERE state = 'undone'")[0][0]
    price = world.warehouse_rows("SELECT key FROM sync.pending WHERE state = 'undone' AND entity = 'prices'")[0][0]
    # Cancelled orders stay as they are; the price is written once more.
    world.warehouse_rows("DELETE FROM sync.pending WHERE state = 'undone' AND entity <> 'prices'")
    assert Undo(world.context(), run).release() == 1
    assert world.sync("products").entities["prices"].updated == 1
    ((amount,),) = world.shop("SELECT amount FROM prices WHERE id = %s", int(price))
    item = world.session.call("product.pricelist.item", "read", [world.odoo_id("prices", price)], ["fixed_price"])[0]
    assert Decimal(repr(item["fixed_price"])) == amount


def test_a_value_somebody_changed_since_is_kept_and_said(world: World) -> None:
    ((price,),) = world.warehouse_rows("SELECT min(key) FROM sync.bindings WHERE entity = 'prices'")
    world.shop("UPDATE prices SET amount = 20 WHERE id = %s", int(price))
    run = world.sync("products").run_id
    world.session.call("product.pricelist.item", "write", [world.odoo_id("prices", price)], {"fixed_price": 21})
    report = Undo(world.context(), run).run()
    (row,) = report.filter(report["entity"] == "prices").rows(named=True)
    assert (row["outcome"], row["detail"]) == ("kept", "it was changed since, to 21.00")


def test_an_unknown_run_cannot_be_undone(world: World) -> None:
    with pytest.raises(NothingToUndo, match="no entry of a run"):
        Undo(world.context(), new_run_id()).run()
