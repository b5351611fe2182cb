"""The life of sale orders on real servers: confirmed, delivered, invoiced, posted, paid; and stock."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from odoo_shop import PLACED, SHIPPED, Shop, euros, losing, open_shop

from unierp_assets.odoo import (
    Invoice,
    OdooMissingRecord,
    OdooSession,
    OdooValidationError,
    Outcome,
    Payment,
    Shipment,
    StockLevel,
    StockRow,
    bindings,
    cancel_orders,
    confirm_orders,
    deliver,
    failed,
    invoice_orders,
    post_invoices,
    read,
    register_payments,
    search_read,
    set_stock,
    stock_levels,
)
from unierp_assets.odoo.transport import Transport

if TYPE_CHECKING:
    from tests.conftest import RunningOdoo

INVOICED = date(2024, 4, 2)
PAID = date(2024, 4, 5)
TOTAL = Decimal("67.94")
NOWHERE = 99_999_999


@pytest.fixture(scope="module")
def shop(odoo_server: "RunningOdoo") -> Iterator[Shop]:
    database = odoo_server.fresh_database()
    with OdooSession(database.url, database.db, database.login, database.password) as session:
        yield open_shop(session, "shop")
    odoo_server.drop_database(database.db)


class Killed(BaseException):
    """Ends a caller as SIGKILL would: it does nothing more."""


@contextmanager
def killing(monkeypatch: pytest.MonkeyPatch, *methods: str) -> Iterator[threading.Event]:
    """Ends the first caller of a ``model.method``, who never hears the answer; tells when the server is at work on
    it."""
    rpc, sent = Transport.rpc, threading.Event()

    def watched(self: Transport, service: str, name: str, args: list[Any], **kwargs: Any) -> Any:
        if service != "object" or f"{args[3]}.{args[4]}" not in methods or sent.is_set():
            return rpc(self, service, name, args, **kwargs)
        threading.Timer(0.1, sent.set).start()
        rpc(self, service, name, args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Transport, "rpc", watched)
        yield sent


def ids_of(outcomes: list[Outcome[Any]]) -> list[int]:
    assert not failed(outcomes), failed(outcomes)
    return [outcome.id for outcome in outcomes if outcome.id is not None]


def invoices_for(orders: list[int], tag: str) -> list[Invoice]:
    return [Invoice(f"{tag}-inv{n}", id_, INVOICED, f"{tag}{n}", f"PAYREF{n}") for n, id_ in enumerate(orders)]


def posted(shop: Shop, tag: str, count: int = 1, pricelist: int | None = None) -> list[int]:
    """Posted invoices of new orders."""
    orders = shop.orders(count, tag, pricelist=pricelist)
    ids_of(confirm_orders(shop.session, orders))
    return ids_of(
        post_invoices(shop.session, ids_of(invoice_orders(shop.session, shop.namespace, invoices_for(orders, tag))))
    )


def receivable(shop: Shop, moves: list[int]) -> list[dict[str, Any]]:
    kind = ["account_id.account_type", "=", "asset_receivable"]
    if not shop.session.features.has("account.account", "account_type"):
        kind = ["account_id.user_type_id.type", "=", "receivable"]
    fields = ["balance", "amount_residual", "amount_residual_currency", "full_reconcile_id", "move_id"]
    return list(search_read(shop.session, "account.move.line", [["move_id", "in", moves], kind], fields))


def invoice_state(shop: Shop, invoice: int) -> tuple[str, Decimal]:
    paid = shop.session.features.field("account.move", "paid")
    row = shop.one("account.move", invoice, paid, "amount_residual")
    return row[paid], Decimal(repr(row["amount_residual"]))


def whole_lives(shop: Shop, orders: list[int], tag: str) -> list[list[Outcome[Any]]]:
    """Every step for every order; the outcomes by step."""
    session, namespace = shop.session, shop.namespace
    confirmed = confirm_orders(session, orders, dates=dict.fromkeys(orders, PLACED))
    parcels = [Shipment(f"{tag}-ship{n}", id_, SHIPPED, None, f"TRACK{n}", "Pigeon") for n, id_ in enumerate(orders)]
    delivered = deliver(session, namespace, parcels)
    invoiced = invoice_orders(session, namespace, invoices_for(orders, tag))
    invoices = [outcome.id or 0 for outcome in invoiced]
    done = post_invoices(session, invoices)
    money = [Payment(f"{tag}-pay{n}", id_, TOTAL, "USD", PAID, f"{tag}-TX{n}") for n, id_ in enumerate(invoices)]
    return [confirmed, delivered, invoiced, done, register_payments(session, namespace, money)]


def assert_whole(shop: Shop, orders: list[int], tag: str) -> None:
    """Each order is confirmed, delivered, invoiced and paid exactly once, with its own dates."""
    session = shop.session
    rows = read(session, "sale.order", orders, ["state", "date_order", "invoice_ids", "picking_ids", "invoice_status"])
    assert {row["state"] for row in rows.values()} == {"sale"}
    assert {row["date_order"] for row in rows.values()} == {"2024-03-01 12:30:00"}
    assert {row["invoice_status"] for row in rows.values()} == {"invoiced"}
    assert {len(row["invoice_ids"]) for row in rows.values()} == {1}
    assert {len(row["picking_ids"]) for row in rows.values()} == {1}
    transfers = read(
        session,
        "stock.picking",
        [id_ for row in rows.values() for id_ in row["picking_ids"]],
        ["state", "date_done", "carrier_tracking_ref", "note"],
    )
    assert {row["state"] for row in transfers.values()} == {"done"}
    assert {row["date_done"] for row in transfers.values()} == {"2024-03-04 08:15:00"}
    assert len({row["carrier_tracking_ref"] for row in transfers.values()}) == len(orders)
    assert all("Pigeon" in row["note"] for row in transfers.values())
    invoices = [id_ for row in rows.values() for id_ in row["invoice_ids"]]
    assert {invoice_state(shop, id_) for id_ in invoices} == {("paid", Decimal("0.0"))}
    reference = session.features.field("account.payment", "reference")
    assert session.call("account.payment", "search_count", [[reference, "like", f"{tag}-TX"]]) == len(orders)
    lines = receivable(shop, invoices)
    assert all(line["full_reconcile_id"] for line in lines)


def test_whole_orders_are_worked_once_however_often_it_is_said(shop: Shop) -> None:
    orders = shop.orders(7, "whole")
    for step in whole_lives(shop, orders, "whole"):
        assert not failed(step), failed(step)
        assert all(outcome.changed for outcome in step)
    assert_whole(shop, orders, "whole")
    writes = shop.session.counters.writes
    again = whole_lives(shop, orders, "whole")
    assert shop.session.counters.writes == writes
    assert not any(outcome.changed for step in again for outcome in step)
    assert not any(outcome.error for step in again for outcome in step)


@pytest.mark.newest
def test_lost_answers_at_every_step_do_nothing_twice(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        "sale.order.action_confirm",
        "ir.model.data.create",
        "stock.picking.button_validate",
        "stock.picking.load",
        "account.move.load",
        "account.move.action_post",
        "account.payment.load",
        "account.payment.action_post",
        "account.partial.reconcile.load",
        "account.full.reconcile.create",
    ]
    orders = shop.orders(4, "lost")
    with losing(monkeypatch, *steps) as lost:
        for step in whole_lives(shop, orders, "lost"):
            assert not failed(step), failed(step)
            assert all(outcome.changed for outcome in step)
    assert sorted(lost) == sorted(steps)
    assert_whole(shop, orders, "lost")


@pytest.mark.newest
def test_one_bad_document_does_not_stop_the_others(shop: Shop) -> None:
    orders = [*shop.orders(5, "good"), NOWHERE]
    for step in whole_lives(shop, orders, "good"):
        (bad,) = failed(step)
        assert bad is step[-1]
        assert isinstance(bad.error, OdooMissingRecord)
    assert_whole(shop, orders[:-1], "good")


def test_an_order_the_server_refuses_to_confirm_stands_alone(shop: Shop) -> None:
    orders = shop.orders(6, "refused")
    shop.session.call("sale.order", "action_cancel", orders[2:3], context={"disable_cancel_warning": True})
    outcomes = confirm_orders(shop.session, orders)
    (bad,) = failed(outcomes)
    assert (bad.key, type(bad.error)) == (orders[2], OdooValidationError)
    assert "cancelled" in str(bad.error)


def test_an_order_sent_in_parcels_has_one_transfer_for_each(shop: Shop) -> None:
    (order,) = shop.orders(1, "parcels")
    confirm_orders(shop.session, [order])
    first, second, third = shop.lines(order)
    parcels = [
        Shipment("parcel-a", order, SHIPPED, {first: Decimal(1), second: Decimal(1)}, "A1", "Fast & Sure"),
        Shipment("parcel-b", order, SHIPPED + timedelta(days=1), {second: Decimal(1)}, "B1"),
    ]
    ids_of(deliver(shop.session, shop.namespace, parcels))
    rows = read(shop.session, "sale.order.line", [first, second, third], ["qty_delivered"])
    assert [rows[id_]["qty_delivered"] for id_ in (first, second, third)] == [1, 2, 0]
    transfers = list(
        search_read(shop.session, "stock.picking", [["sale_id", "=", order]], ["state", "carrier_tracking_ref", "note"])
    )
    assert [row["carrier_tracking_ref"] for row in transfers if row["state"] == "done"] == ["A1", "B1"]
    assert [row["state"] for row in transfers].count("done") == 2
    assert len(transfers) == 3  # what is left waits as a backorder
    writes = shop.session.counters.writes
    assert not any(outcome.changed for outcome in deliver(shop.session, shop.namespace, parcels))
    assert shop.session.counters.writes == writes
    last = Shipment("parcel-c", order, SHIPPED + timedelta(days=2))
    more = Shipment("parcel-d", order, SHIPPED + timedelta(days=3))
    done, none = deliver(shop.session, shop.namespace, [last, more])
    assert done.ok
    assert "nothing left to deliver" in str(none.error)
    rows = read(shop.session, "sale.order.line", [third], ["qty_delivered"])
    assert rows[third]["qty_delivered"] == 3


def test_a_parcel_of_an_unconfirmed_order_waits(shop: Shop) -> None:
    (order,) = shop.orders(1, "early")
    (parcel,) = deliver(shop.session, shop.namespace, [Shipment("early", order, SHIPPED)])
    assert "not confirmed" in str(parcel.error)
    (invoice,) = invoice_orders(shop.session, shop.namespace, [Invoice("early-inv", order, INVOICED)])
    assert "not confirmed" in str(invoice.error)


def test_goods_that_have_left_are_booked_though_stock_is_short(shop: Shop) -> None:
    shop = open_shop(shop.session, "short", 1)
    (variant,) = shop.variants
    assert not failed(set_stock(shop.session, [StockRow(variant, shop.location, Decimal(1))]))
    (order,) = shop.orders(1, "short", lines=1)
    shop.session.call("sale.order.line", "write", shop.lines(order), {"product_uom_qty": 5})
    confirm_orders(shop.session, [order])
    ids_of(deliver(shop.session, shop.namespace, [Shipment("short", order, SHIPPED)]))
    (level,) = stock_levels(shop.session, [variant])
    assert level == StockLevel(variant, shop.location, Decimal(-4), Decimal(0))


def test_an_invoice_that_does_not_come_to_the_shops_total_stays_a_draft(shop: Shop) -> None:
    orders = shop.orders(2, "cents")
    confirm_orders(shop.session, orders)
    right, wrong = invoice_orders(
        shop.session,
        shop.namespace,
        [
            Invoice("cents-a", orders[0], INVOICED, total=TOTAL),
            Invoice("cents-b", orders[1], INVOICED, total=TOTAL + Decimal("0.01")),
        ],
    )
    assert right.ok
    assert isinstance(wrong.error, OdooValidationError)
    assert "67.94 instead of 67.95" in str(wrong.error)
    assert shop.one("account.move", wrong.id or 0, "state")["state"] == "draft"


def test_an_invoice_made_by_hand_is_taken_and_a_second_one_refused(shop: Shop) -> None:
    orders = shop.orders(2, "hand")
    confirm_orders(shop.session, orders)
    made = ids_of(invoice_orders(shop.session, "by_hand", invoices_for(orders, "hand")))
    taken = invoice_orders(shop.session, shop.namespace, invoices_for(orders, "hand"))
    assert [outcome.id for outcome in taken] == made
    shop.session.call("account.move", "copy", made[0])
    shop.session.call("ir.model.data", "unlink", _entries(shop, "hand-inv0"))
    copies = shop.one("sale.order", orders[0], "invoice_ids")["invoice_ids"]
    (again,) = invoice_orders(shop.session, shop.namespace, invoices_for(orders[:1], "hand"))
    assert again.ok == (len(copies) == 1)  # a copy may or may not stay with its order
    assert bindings(shop.session, shop.namespace, names=["hand-inv1"]) == {"hand-inv1": made[1]}


def _entries(shop: Shop, name: str) -> list[int]:
    domain = [["module", "=", shop.namespace], ["name", "=", name]]
    return list(shop.session.call("ir.model.data", "search", domain))


def test_orders_are_cancelled_with_their_transfers_unless_goods_are_out(shop: Shop) -> None:
    orders = shop.orders(3, "cancel")
    confirm_orders(shop.session, orders)
    deliver(shop.session, shop.namespace, [Shipment("cancel-s", orders[1], SHIPPED)])
    ids_of(
        post_invoices(
            shop.session,
            ids_of(invoice_orders(shop.session, shop.namespace, [Invoice("cancel-i", orders[2], INVOICED)])),
        )
    )
    first, second, third, missing = cancel_orders(shop.session, [*orders, NOWHERE])
    assert first.ok
    assert "WH/OUT" in str(second.error)
    assert "INV/" in str(third.error)
    assert isinstance(missing.error, OdooMissingRecord)
    row = shop.one("sale.order", orders[0], "state", "picking_ids")
    assert row["state"] == "cancel"
    assert shop.one("stock.picking", row["picking_ids"][0], "state")["state"] == "cancel"
    (again,) = cancel_orders(shop.session, orders[:1])
    assert (again.ok, again.changed) == (True, False)


def test_part_payments_leave_the_rest_open(shop: Shop) -> None:
    invoice, other = posted(shop, "part", 2)
    first = Payment("part-1", invoice, Decimal("20.00"), "USD", PAID, "PART")
    rest = Payment("part-2", invoice, Decimal("47.94"), "USD", PAID, "PART")
    ids_of(register_payments(shop.session, shop.namespace, [first]))
    assert invoice_state(shop, invoice) == ("partial", Decimal("47.94"))
    ids_of(register_payments(shop.session, shop.namespace, [first, rest]))
    assert invoice_state(shop, invoice) == ("paid", Decimal("0.0"))
    more = Payment("part-3", other, Decimal("70.00"), "USD", PAID, "MORE")
    (paid,) = ids_of(register_payments(shop.session, shop.namespace, [more]))
    assert invoice_state(shop, other) == ("paid", Decimal("0.0"))
    entry = shop.one("account.payment", paid, "move_id")["move_id"][0]
    (credit,) = receivable(shop, [entry])
    assert Decimal(repr(credit["amount_residual"])) == Decimal("-2.06")
    writes = shop.session.counters.writes
    assert not any(outcome.changed for outcome in register_payments(shop.session, shop.namespace, [first, rest, more]))
    assert shop.session.counters.writes == writes


def test_payments_in_another_currency_are_booked_at_the_rate_of_their_day(shop: Shop) -> None:
    shop = open_shop(shop.session, "euro", 2)
    first, second = posted(shop, "euro", 2, pricelist=euros(shop.session))
    money = [
        Payment("euro-1", first, TOTAL, "EUR", INVOICED, "E1"),  # at the invoice's rate, 0.8
        Payment("euro-2", second, Decimal("20.00"), "EUR", INVOICED, "E2"),
        Payment("euro-3", second, Decimal("47.94"), "EUR", date(2024, 4, 25), "E3"),  # at 0.95
    ]
    payments = ids_of(register_payments(shop.session, shop.namespace, money))
    assert [invoice_state(shop, id_) for id_ in (first, second)] == [("paid", Decimal("0.0"))] * 2
    entries = [row["move_id"][0] for row in read(shop.session, "account.payment", payments, ["move_id"]).values()]
    lines = receivable(shop, [first, second, *entries])
    assert [Decimal(repr(line["amount_residual"])) for line in lines] == [Decimal(0)] * 5
    assert all(line["full_reconcile_id"] for line in lines)
    balances = sorted(Decimal(repr(line["balance"])) for line in lines)
    assert balances == [Decimal(text) for text in ("-84.93", "-50.46", "-25.0", "84.93", "84.93")]
    # the loss by the rate is in the books: everything on the customer's account sums to nothing
    partners = {shop.one("account.move", id_, "partner_id")["partner_id"][0] for id_ in (first, second)}
    owed = read(shop.session, "res.partner", partners, ["credit"])
    assert [row["credit"] for row in owed.values()] == [pytest.approx(0), pytest.approx(0)]


def test_a_payment_entered_by_hand_is_taken_and_not_made_again(shop: Shop) -> None:
    (invoice,) = posted(shop, "manual")
    (made,) = ids_of(
        register_payments(shop.session, "by_hand", [Payment("manual", invoice, TOTAL, "USD", PAID, "MANUAL")])
    )
    wanted = Payment("manual-pay", invoice, TOTAL, "USD", PAID, "MANUAL")
    assert ids_of(register_payments(shop.session, shop.namespace, [wanted])) == [made]
    reference = shop.session.features.field("account.payment", "reference")
    assert shop.session.call("account.payment", "search_count", [[reference, "=", "MANUAL"]]) == 1


def test_payments_that_cannot_be_booked_say_why(shop: Shop) -> None:
    orders = shop.orders(1, "unpayable")
    confirm_orders(shop.session, orders)
    (draft,) = ids_of(invoice_orders(shop.session, shop.namespace, invoices_for(orders, "unpayable")))
    (good,) = posted(shop, "payable")
    money = [
        Payment("bad-draft", draft, TOTAL, "USD", PAID, "X1"),
        Payment("bad-currency", good, TOTAL, "XXQ", PAID, "X2"),
        Payment("bad-amount", good, Decimal("-1.00"), "USD", PAID, "X3"),
        Payment("bad-invoice", NOWHERE, TOTAL, "USD", PAID, "X4"),
        Payment("fine", good, TOTAL, "USD", PAID, "X5"),
    ]
    outcomes = register_payments(shop.session, shop.namespace, money)
    assert [outcome.ok for outcome in outcomes] == [False, False, False, False, True]
    assert "not posted" in str(outcomes[0].error)
    assert "no currency XXQ" in str(outcomes[1].error)
    assert invoice_state(shop, good) == ("paid", Decimal("0.0"))


def test_an_invoice_is_not_settled_again_while_the_server_still_settles_it(
    shop: Shop, odoo_server: "RunningOdoo", monkeypatch: pytest.MonkeyPatch
) -> None:
    invoices = posted(shop, "late", 40)
    money = [Payment(f"late-pay{n}", id_, TOTAL, "USD", PAID, f"LATE{n}") for n, id_ in enumerate(invoices)]
    with (
        ThreadPoolExecutor(1) as beside,
        OdooSession(shop.session.url, shop.session.db, odoo_server.login, odoo_server.password) as other,
        killing(monkeypatch, "account.partial.reconcile.load") as begun,
    ):
        killed = beside.submit(register_payments, other, shop.namespace, money, connections=1)
        assert begun.wait(60)
        outcomes = register_payments(shop.session, shop.namespace, money, connections=1)
        assert isinstance(killed.exception(), Killed)
    assert not failed(outcomes)
    assert {invoice_state(shop, id_) for id_ in invoices} == {("paid", Decimal("0.0"))}
    moves = {row["move_id"][0] for row in read(shop.session, "account.payment", ids_of(outcomes), ["move_id"]).values()}
    lines = receivable(shop, [*invoices, *moves])
    assert len(lines) == 2 * len(invoices)
    assert not [line for line in lines if line["amount_residual"]]


def test_stock_is_set_to_what_was_counted_and_only_where_it_differs(shop: Shop) -> None:
    since = datetime.now(UTC) - timedelta(seconds=1)
    variants = shop.variants[1:5]
    rows = [StockRow(id_, shop.location, Decimal(10 + n)) for n, id_ in enumerate(variants)]
    assert all(outcome.ok for outcome in set_stock(shop.session, rows, batch=2))
    rows[0] = StockRow(variants[0], shop.location, Decimal("3.5"))
    rows[1] = StockRow(variants[1], shop.location, Decimal(0))
    outcomes = set_stock(shop.session, rows)
    assert [outcome.changed for outcome in outcomes] == [True, True, False, False]
    levels = {level.product_id: level.quantity for level in stock_levels(shop.session, variants)}
    assert {id_: levels.get(id_, Decimal(0)) for id_ in variants} == dict(
        zip(variants, [Decimal("3.5"), Decimal(0), Decimal(12), Decimal(13)], strict=True)
    )
    writes = shop.session.counters.writes
    assert not any(outcome.changed for outcome in set_stock(shop.session, rows))
    assert shop.session.counters.writes == writes
    touched = {level.product_id for level in stock_levels(shop.session, changed_since=since)}
    assert {variants[0], variants[2], variants[3]} <= touched
    everything = {level.product_id for level in stock_levels(shop.session)}
    assert touched <= everything
    assert list(stock_levels(shop.session, changed_since=datetime.now(UTC) + timedelta(days=1))) == []


@pytest.mark.newest
def test_a_count_whose_answer_was_lost_is_not_added_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    variant = shop.variants[5]
    quants = shop.session.features.way("set_stock") == "quants"
    step = "stock.inventory.adjustment.name.action_apply" if quants else "stock.inventory.action_validate"
    with losing(monkeypatch, step) as lost:
        (outcome,) = set_stock(shop.session, [StockRow(variant, shop.location, Decimal(6))])
    assert lost
    assert outcome.ok
    assert next(stock_levels(shop.session, [variant])).quantity == 6


def test_a_count_is_not_added_to_one_that_the_server_still_completes(
    shop: Shop, odoo_server: "RunningOdoo", monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a sync is killed and the next one is quicker than the server, which goes on with what it was sent."""
    shop = open_shop(shop.session, "twice", 60)
    rows = [StockRow(id_, shop.location, Decimal(5)) for id_ in shop.variants]
    with (
        ThreadPoolExecutor(1) as beside,
        OdooSession(shop.session.url, shop.session.db, odoo_server.login, odoo_server.password) as other,
        killing(
            monkeypatch, "stock.inventory.adjustment.name.action_apply", "stock.inventory.action_validate"
        ) as begun,
    ):
        killed = beside.submit(set_stock, other, rows, connections=1)
        assert begun.wait(60)
        outcomes = set_stock(shop.session, rows, connections=1)
        assert isinstance(killed.exception(), Killed)
    assert not failed(outcomes)
    assert {level.quantity for level in stock_levels(shop.session, shop.variants)} == {Decimal(5)}
    if shop.session.features.way("set_stock") != "quants":
        assert not list(search_read(shop.session, "stock.inventory", [["state", "!=", "done"]], ["id"]))


def test_reserved_stock_is_told_apart(shop: Shop) -> None:
    shop = open_shop(shop.session, "reserve", 1)
    (variant,) = shop.variants
    set_stock(shop.session, [StockRow(variant, shop.location, Decimal(50))])
    confirm_orders(shop.session, shop.orders(2, "reserve", lines=1))
    assert list(stock_levels(shop.session, [variant])) == [StockLevel(variant, shop.location, Decimal(50), Decimal(2))]
