"""The whole job on a real Odoo: a dirty shop is loaded to the cent, and nothing is ever lost or doubled.

The tests of this module share one world for each Odoo version and tell one story in the order in which they stand.
"""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import sqlalchemy as sa
from world import Loaded, World, make_world

from unierp_assets.entities import ENTITIES
from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.odoo import OdooLoginFailed, OdooSession, OdooUnavailable
from unierp_assets.sync import pipeline
from unierp_assets.sync.intake.preflight import WrongServer
from unierp_assets.sync.intake.removal import note_removed
from unierp_assets.sync.load import apply as apply_module
from unierp_assets.sync.memory.rewind import rewind
from unierp_assets.sync.memory.state import binding_rows
from unierp_assets.sync.pipeline import Pipeline, Summary
from unierp_assets.warehouse.errors import WarehouseLocked
from unierp_assets.warehouse.tables import BINDINGS

if TYPE_CHECKING:
    from conftest import RunningOdoo


@pytest.fixture(scope="module")
def world(loaded_world: World) -> World:
    return loaded_world


def assert_nothing_was_written(summary: Summary) -> None:
    assert summary.odoo_writes == 0
    assert [name for name, counts in summary.entities.items() if counts.created or counts.updated] == []
    assert summary.differences == 0


def test_the_first_sync_loads_every_accepted_row_and_reconciles_to_the_cent(world: World, loaded: Loaded) -> None:
    summary = loaded.summary
    assert world.warehouse_rows("SELECT entity, key, reason FROM sync.pending WHERE state = 'failed'") == []
    assert summary.differences == 0
    assert summary.accuracy == 100
    for name, counts in summary.entities.items():
        accepted = world.warehouse_rows(f"SELECT count(*) FROM staging.{name} WHERE _status = 'accepted'")[0][0]
        if name == "order_lines":
            continue  # they are created with their orders
        assert counts.created + counts.held == accepted, name
    assert {kind: found for kind, found in world.duplicates().items() if found} == {}
    assert world.unread() == {}


def test_the_first_goods_leave_before_the_last_order_is_confirmed(loaded: Loaded) -> None:
    confirmed = [place for place, step in enumerate(loaded.steps) if step == ("confirm", "orders")]
    assert min(confirmed) < loaded.steps.index(("create", "shipments")) < max(confirmed)


def test_every_planted_fault_is_found_by_name(world: World) -> None:
    faults = world.faults()
    assert len(faults) >= 24
    assert [(fault.rule, fault.planted, fault.found) for fault in faults if not fault.complete] == []


def test_orders_stand_in_odoo_as_the_shop_has_them(world: World) -> None:
    rows = world.shop(
        "SELECT o.id, o.number, o.total, o.tax_total, o.currency, o.placed_at, o.status FROM orders o "
        "WHERE NOT EXISTS (SELECT FROM sample_faults f WHERE f.table_name = 'orders' AND f.key = o.id::text)"
    )
    lines_of = dict(world.shop("SELECT order_id, count(*) FROM order_lines GROUP BY 1"))
    assert rows
    for id_, number, total, tax, currency, placed, status in rows:
        found = world.session.call(
            "sale.order", "read", [world.odoo_id("orders", id_)],
            ["client_order_ref", "amount_total", "amount_tax", "currency_id", "date_order", "state", "order_line"],
        )[0]  # fmt: skip
        assert found["client_order_ref"] == number
        assert (cents(found["amount_total"]), cents(found["amount_tax"])) == (total, tax)
        assert found["currency_id"][1] == currency
        assert found["date_order"] == placed.strftime("%Y-%m-%d %H:%M:%S")
        expected = {"pending": ("draft",), "cancelled": ("cancel",)}.get(status, ("sale", "done"))
        assert found["state"] in expected
        assert len(found["order_line"]) == lines_of[id_]


def cents(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(Decimal("0.01"))


def test_deliveries_carry_tracking_number_and_shipped_quantities(world: World) -> None:
    rows = world.shop(
        "SELECT s.id, s.tracking_number, s.shipped_at, sum(l.quantity) FROM shipments s "
        "JOIN shipment_lines l ON l.shipment_id = s.id JOIN orders o ON o.id = s.order_id GROUP BY 1, 2, 3"
    )
    assert rows
    for id_, tracking, shipped, quantity in rows:
        picking = world.session.call(
            "stock.picking", "read", [world.odoo_id("shipments", id_)], ["state", "carrier_tracking_ref", "date_done"]
        )[0]
        assert picking["state"] == "done"
        assert picking["carrier_tracking_ref"] == tracking
        assert picking["date_done"] == shipped.strftime("%Y-%m-%d %H:%M:%S")
        done = world.odoo_rows(
            "SELECT sum(product_uom_qty) FROM stock_move WHERE picking_id = %s AND state = 'done'",
            world.odoo_id("shipments", id_),
        )[0][0]
        assert Decimal(done) == quantity


def test_invoices_are_posted_and_paid_as_far_as_money_was_captured(world: World) -> None:
    rows = world.warehouse_rows(
        "SELECT i.key, i.total, coalesce(sum(p.amount), 0) FROM staging.invoices i "
        "LEFT JOIN staging.payments p ON p.invoice = i.key AND p._status = 'accepted' "
        "WHERE i._status = 'accepted' "
        "AND i.key NOT IN (SELECT key FROM sync.pending WHERE entity = 'invoices') GROUP BY 1, 2"
    )
    assert rows
    paid = world.session.features.field("account.move", "paid")
    for key, total, captured in rows:
        move = world.session.call(
            "account.move", "read", [world.odoo_id("invoices", key)], ["state", "amount_total", "amount_residual", paid]
        )[0]
        assert move["state"] == "posted"
        assert cents(move["amount_total"]) == total
        assert cents(move["amount_residual"]) == total - captured
        expected = ("paid", "in_payment") if captured == total else ("partial",) if captured else ("not_paid",)
        assert move[paid] in expected


def test_the_books_balance_and_taxes_are_not_revenue(world: World) -> None:
    unbalanced = world.odoo_rows("SELECT move_id FROM account_move_line GROUP BY 1 HAVING sum(balance) <> 0")
    assert unbalanced == []
    taxed = world.odoo_rows(
        "SELECT count(*) FROM account_move_line t JOIN account_move_line b ON b.move_id = t.move_id "
        "AND b.account_id = t.account_id WHERE t.tax_line_id IS NOT NULL AND b.tax_line_id IS NULL "
        "AND b.display_type IS DISTINCT FROM 'payment_term' AND b.tax_base_amount IS NOT NULL AND b.id <> t.id"
    )
    assert taxed == [(0,)]


def test_what_is_available_in_odoo_is_what_the_shop_shows(world: World) -> None:
    differing = world.warehouse_rows("SELECT count(*) FROM reporting.stock_reconciliation WHERE difference <> 0")
    assert differing == [(0,)]
    reserved = world.shop("SELECT count(*) FROM stock_levels WHERE available <> on_hand")
    assert reserved[0][0] > 0


def test_a_second_sync_writes_nothing(world: World) -> None:
    assert_nothing_was_written(world.sync())


def test_what_was_read_again_is_left_behind_although_nothing_newer_was_written(world: World) -> None:
    cursors = world.warehouse_rows(
        "SELECT value FROM sync.cursors WHERE name ~ '^pull:.*' AND name !~ '(documents|bound)$'"
    )
    assert len(cursors) == len(ENTITIES) + 1
    assert min(datetime.fromisoformat(value) for (value,) in cursors) >= world.session.clock()
    behind = world.warehouse_rows(
        "SELECT entity FROM sync.bindings JOIN sync.cursors ON name = 'pull:' || entity || ':bound' "
        "GROUP BY entity, value HAVING max(bound_at) >= value::timestamptz"
    )
    assert behind == []


@pytest.mark.newest
def test_what_odoo_names_by_itself_stands_for_nothing_of_ours(world: World) -> None:
    """Odoo 14 names the journal entry of a payment that is loaded, in our namespace and after the payment's name."""
    payments = "SELECT key, odoo_id FROM sync.bindings WHERE entity = 'payments' ORDER BY key"
    read = "SELECT key, odoo_id FROM landing_unierp.payments WHERE NOT _deleted ORDER BY key"
    before = world.warehouse_rows(payments)
    assert world.warehouse_rows(read) == before
    names = [
        {"module": "unierp", "name": f"payments__0{key}_account_move", "model": "account.move", "res_id": id_}
        for key, id_ in before
    ]
    world.session.call("ir.model.data", "create", names)
    assert_nothing_was_written(world.sync())
    assert world.warehouse_rows(payments) == before

    # An earlier version took them for payments; reading everything again mends that.
    with world.warehouse.transaction() as tx:
        tx.execute(sa.delete(BINDINGS).where(BINDINGS.c.entity == ""))
        mistaken = {f"0{key}_account_move": id_ for key, id_ in before}
        tx.upsert(BINDINGS, binding_rows("payments", "account.payment", mistaken, "earlier"))
    context = world.context()
    rewind(world.warehouse, context.run_id)
    Pipeline(context).sync()
    assert world.warehouse_rows(payments) == before
    assert world.warehouse_rows(read) == before
    assert world.unread() == {}
    assert_nothing_was_written(world.sync())


@pytest.mark.newest
def test_one_price_changed_in_the_shop_is_one_change_of_one_field(world: World) -> None:
    ((price, product),) = world.shop(
        "SELECT min(p.id), v.product_id FROM prices p JOIN variants v ON v.id = p.variant_id "
        "JOIN products t ON t.id = v.product_id WHERE p.currency = 'USD' AND p.amount > 0 "
        "AND p.valid_from IS NULL AND p.valid_to IS NULL AND v.active AND t.active "
        "AND v.product_id IN (SELECT product_id FROM variants GROUP BY 1 HAVING count(*) = 1) "
        "AND t.id::text NOT IN (SELECT key FROM sample_faults WHERE table_name = 'products') "
        "AND v.id::text NOT IN (SELECT key FROM sample_faults WHERE table_name = 'variants') "
        "GROUP BY 2 ORDER BY 2 LIMIT 1"
    )
    ((old,),) = world.shop("SELECT amount FROM prices WHERE id = %s", price)
    new = old + Decimal("1.11")
    world.shop("UPDATE prices SET amount = %s WHERE id = %s", new, price)

    changes = world.preview()
    assert changes.rows() == [("prices", str(price), "amount", "update", "unierp", f"{old:.2f}", f"{new:.2f}")]

    summary = world.sync()
    assert {n: (c.created, c.updated) for n, c in summary.entities.items() if c.created or c.updated} == {
        "prices": (0, 1)
    }
    item = world.session.call("product.pricelist.item", "read", [world.odoo_id("prices", price)], ["fixed_price"])[0]
    shown = world.session.call("product.template", "read", [world.odoo_id("products", product)], ["list_price"])[0]
    assert cents(item["fixed_price"]) == new
    assert cents(shown["list_price"]) == new
    assert_nothing_was_written(world.sync())


@pytest.mark.newest
def test_a_row_that_is_mended_leaves_quarantine_by_itself(world: World) -> None:
    ((key,),) = world.shop("SELECT key::bigint FROM sample_faults WHERE rule = 'invalid_email' LIMIT 1")
    world.shop("UPDATE customers SET email = 'mended@shop.example' WHERE id = %s", key)
    summary = world.sync()
    assert summary.entities["customers"].created == 1
    partner = world.session.call("res.partner", "read", [world.odoo_id("customers", key)], ["email"])[0]
    assert partner["email"] == "mended@shop.example"
    gone = world.warehouse_rows("SELECT * FROM quarantine.rows WHERE entity = 'customers' AND key = %s", str(key))
    assert gone == []


@pytest.mark.newest
def test_an_order_that_differs_by_a_cent_is_held_with_the_reason_until_it_is_mended(world: World) -> None:
    ((key,),) = world.shop("SELECT key::bigint FROM sample_faults WHERE rule = 'tax_differs_by_a_cent' LIMIT 1")
    ((state, reason),) = world.warehouse_rows(
        "SELECT state, reason FROM reporting.order_reconciliation WHERE key = %s", str(key)
    )
    assert state == "held"
    assert "in UniERP" in reason
    order = world.session.call("sale.order", "read", [world.odoo_id("orders", key)], ["state", "invoice_ids"])[0]
    assert (order["state"], order["invoice_ids"]) == ("draft", [])

    ((line,),) = world.shop(
        "SELECT id FROM order_lines WHERE order_id = %s AND total <> quantity * unit_price - discount_amount + "
        "round((quantity * unit_price - discount_amount) * (SELECT rate FROM taxes WHERE code = tax_code) / 100, 2)",
        key,
    )
    world.shop("UPDATE order_lines SET tax_amount = tax_amount - 0.01, total = total - 0.01 WHERE id = %s", line)
    world.shop("UPDATE orders SET tax_total = tax_total - 0.01, total = total - 0.01 WHERE id = %s", key)
    world.sync()
    ((state, reason),) = world.warehouse_rows(
        "SELECT state, reason FROM reporting.order_reconciliation WHERE key = %s", str(key)
    )
    assert (state, reason) == ("matched", None)


@pytest.mark.newest
def test_what_the_shop_no_longer_has_is_archived_or_deleted(world: World) -> None:
    ((price,),) = world.shop("SELECT min(id) FROM prices WHERE currency = 'GBP' AND amount > 0")
    item = world.odoo_id("prices", price)
    ((customer,),) = world.shop(
        "SELECT min(c.id) FROM customers c WHERE c.active "
        "AND NOT EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id) "
        "AND NOT EXISTS (SELECT FROM addresses a WHERE a.customer_id = c.id) "
        "AND NOT EXISTS (SELECT FROM sample_faults f WHERE f.table_name = 'customers' AND f.key = c.id::text)"
    )
    if customer is None:
        ((customer,),) = world.shop("SELECT id FROM customers WHERE email = 'mended@shop.example'")
    partner = world.odoo_id("customers", customer)
    world.shop("DELETE FROM prices WHERE id = %s", price)
    world.shop("DELETE FROM customers WHERE id = %s", customer)
    world.sync()
    assert world.session.call("product.pricelist.item", "search_count", [("id", "=", item)]) == 0
    archived = world.session.call("res.partner", "read", [partner], ["active"])[0]
    assert archived["active"] is False
    assert_nothing_was_written(world.sync())


@pytest.mark.newest
def test_what_the_shop_owns_and_somebody_deleted_in_odoo_comes_back(world: World) -> None:
    ((address,),) = world.warehouse_rows(
        "SELECT min(key) FROM sync.bindings WHERE entity = 'addresses' AND key NOT IN "
        "(SELECT unnest(ARRAY[invoice_address, shipping_address]) FROM staging.orders EXCEPT SELECT NULL)"
    )
    world.session.call("res.partner", "unlink", [world.odoo_id("addresses", address)])
    summary = world.sync()
    assert summary.entities["addresses"].created == 1
    assert world.session.call("res.partner", "search_count", [("id", "=", world.odoo_id("addresses", address))]) == 1
    assert_nothing_was_written(world.sync())


@pytest.mark.newest
def test_a_price_deleted_in_odoo_ends_in_the_shop_until_the_shop_reopens_it(world: World) -> None:
    ((price,),) = world.shop("SELECT min(id) FROM prices WHERE currency = 'EUR' AND amount > 0 AND valid_to IS NULL")
    world.session.call("product.pricelist.item", "unlink", [world.odoo_id("prices", price)])
    planned = world.preview()
    assert [tuple(row) for row in planned.select("entity", "key", "field", "action", "target", "old").iter_rows()] == [
        ("prices", str(price), "valid_to", "update", "storefront", None)
    ]
    summary = world.sync()
    assert (summary.entities["prices"].created, summary.entities["prices"].updated) == (0, 1)
    ((over,),) = world.shop("SELECT valid_to <= now() FROM prices WHERE id = %s", price)
    assert over
    written = world.warehouse_rows(
        "SELECT system, action, field FROM sync.ledger WHERE run_id = %s AND entity = 'prices'", summary.run_id
    )
    assert written == [("storefront", "update", "valid_to")]
    assert_nothing_was_written(world.sync())
    world.shop("UPDATE prices SET valid_to = NULL, updated_at = now() WHERE id = %s", price)
    assert world.sync().entities["prices"].created == 1
    assert_nothing_was_written(world.sync())


@pytest.mark.newest
def test_a_product_deleted_in_odoo_is_switched_off_in_the_shop(world: World) -> None:
    ((product,),) = world.shop("SELECT max(id) + 1 FROM products")
    ((category, tax),) = world.shop("SELECT category_id, tax_code FROM products WHERE active ORDER BY id LIMIT 1")
    world.shop(
        "INSERT INTO products (id, name, category_id, tax_code, active, created_at, updated_at) "
        "VALUES (%s, 'Nobody bought it', %s, %s, true, now(), now())",
        *(product, category, tax),
    )
    world.shop(
        "INSERT INTO variants (id, product_id, sku, position, active, updated_at) "
        "VALUES ((SELECT max(id) + 1 FROM variants), %s, 'NOBODY-1', 1, true, now())",
        product,
    )
    assert world.sync().entities["variants"].created == 1
    world.session.call("product.template", "unlink", [world.odoo_id("products", product)])
    summary = world.sync()
    assert summary.failed == 0
    assert summary.entities["products"].created == summary.entities["variants"].created == 0
    assert world.shop("SELECT active FROM products WHERE id = %s", product) == [(False,)]
    assert_nothing_was_written(world.sync())
    world.shop("DELETE FROM variants WHERE product_id = %s", product)
    world.shop("DELETE FROM products WHERE id = %s", product)
    assert_nothing_was_written(world.sync())


@pytest.mark.newest
def test_a_server_that_lost_all_products_is_filled_again(world: World) -> None:
    """Nobody decided that: the shop keeps selling, and the records are made anew."""
    with world.warehouse.transaction() as tx:
        keys = [key for (key,) in world.warehouse_rows("SELECT key FROM sync.bindings WHERE entity = 'products'")]
        note_removed(tx, ENTITIES["products"], "a run", keys, len(keys), many=False)
    assert world.warehouse_rows("SELECT key FROM sync.pending WHERE state = 'removed'") == []


@pytest.mark.newest
def test_a_lost_warehouse_is_built_anew_without_writing_anything(world: World) -> None:
    world.lose_the_warehouse()
    summary = world.sync()
    assert_nothing_was_written(summary)
    assert {kind: found for kind, found in world.duplicates().items() if found} == {}


class Killed(BaseException):
    """Stands for the process dying at that very moment: nothing may catch it."""


@pytest.mark.newest
@pytest.mark.parametrize("when", ["before the remote writes", "after the remote writes"])
def test_a_run_killed_around_its_writes_is_healed_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    ((last,),) = world.shop("SELECT max(id) FROM customers")
    world.shop(
        "INSERT INTO customers (id, kind, email, first_name, last_name, created_at, active, updated_at) "
        "VALUES (%s, 'registered', %s, 'Grace', 'Hopper', now(), true, now())",
        last + 1,
        f"grace{last}@shop.example",
    )

    def dies(*_: Any) -> None:
        raise Killed

    if when == "after the remote writes":
        monkeypatch.setattr(apply_module, "_agree", dies)
    else:
        monkeypatch.setattr(pipeline, "apply", dies)
    with pytest.raises(Killed):
        world.sync()
    monkeypatch.undo()
    summary = world.sync()
    assert summary.differences == 0
    assert summary.failed == 0
    found = world.session.call("res.partner", "search_count", [("email", "=", f"grace{last}@shop.example")])
    assert found == 1
    assert_nothing_was_written(world.sync())


@pytest.mark.newest
def test_two_syncs_at_the_same_time_do_not_meet(world: World) -> None:
    with world.warehouse.lock(pipeline.LOCK), pytest.raises(WarehouseLocked, match="already running"):
        world.sync()


@pytest.mark.newest
def test_a_warehouse_of_another_database_is_refused(world: World, odoo_server: "RunningOdoo") -> None:
    other = odoo_server.fresh_database()
    session = OdooSession(other.url, other.db, other.login, other.password)
    context = world.context()
    context.session = session
    with pytest.raises(WrongServer, match="UNIERP_WAREHOUSE_URL"):
        Pipeline(context).sync()
    session.close()
    odoo_server.drop_database(other.db)


@pytest.mark.newest
def test_a_wrong_password_is_told_and_nothing_is_lost(world: World) -> None:
    context = world.context()
    context.session = OdooSession(world.odoo.url, world.odoo.db, world.odoo.login, "wrong")
    with pytest.raises(OdooLoginFailed, match="UNIERP_ODOO_PASSWORD"):
        Pipeline(context).sync()
    assert_nothing_was_written(world.sync())


@pytest.mark.newest
def test_an_outage_of_odoo_is_told_and_the_next_run_completes(world: World, odoo_server: "RunningOdoo") -> None:
    ((price, amount),) = world.shop(
        "UPDATE prices SET amount = amount + 1 WHERE id = (SELECT max(p.id) FROM prices p "
        "JOIN variants v ON v.id = p.variant_id WHERE p.currency = 'EUR' AND p.amount > 0 "
        "AND p.id::text NOT IN (SELECT key FROM sample_faults WHERE table_name = 'prices')) "
        "RETURNING id, amount"
    )
    odoo_server.stop()
    try:
        with pytest.raises(OdooUnavailable, match="run again"):
            world.sync()
    finally:
        odoo_server.start()
    summary = world.sync()
    assert summary.entities["prices"].updated == 1
    item = world.session.call("product.pricelist.item", "read", [world.odoo_id("prices", price)], ["fixed_price"])[0]
    assert cents(item["fixed_price"]) == amount
    assert_nothing_was_written(world.sync())


@pytest.mark.newest
def test_the_plan_of_an_empty_odoo_lists_all_and_writes_nothing(
    odoo_server: "RunningOdoo", postgres: PostgresServer
) -> None:
    with make_world(odoo_server, postgres, size=(4, 4, 4), seed=11) as fresh:
        fresh.warehouse.upgrade()
        run = Pipeline(fresh.context())
        changes = run.preview()
        assert run.summary.odoo_writes == 0
        assert set(changes["action"]) == {"create"}
        assert {"products", "orders", "payments"} <= set(changes["entity"])
        old = changes.filter(pl.col("old").is_not_null())
        assert old.is_empty()
