"""Orders taken back on real servers: goods returned, invoices credited, payments withdrawn; edited orders followed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from odoo_shop import PLACED, SHIPPED, Shop, euros, losing, open_shop

from unierp_assets.odoo import (
    Credit,
    Invoice,
    OdooMissingRecord,
    OdooSession,
    Outcome,
    Payment,
    Return,
    Shipment,
    StockRow,
    bindings,
    cancel_orders,
    confirm_orders,
    credit_invoices,
    deliver,
    failed,
    follow_quantities,
    invoice_orders,
    post_invoices,
    read,
    register_payments,
    return_deliveries,
    search_read,
    set_stock,
    withdraw_payments,
)

if TYPE_CHECKING:
    from tests.conftest import RunningOdoo

INVOICED = date(2024, 4, 2)
PAID = date(2024, 4, 5)
BACK = SHIPPED + timedelta(days=9)
CREDITED = date(2024, 4, 9)
TOTAL = Decimal("67.94")
NOWHERE = 99_999_999
STOCK = 50


@pytest.fixture(scope="module")
def server(odoo_server: "RunningOdoo") -> Iterator[OdooSession]:
    database = odoo_server.fresh_database()
    with OdooSession(database.url, database.db, database.login, database.password) as session:
        yield session
    odoo_server.drop_database(database.db)


@pytest.fixture
def shop(server: OdooSession, request: pytest.FixtureRequest) -> Shop:
    """A shop of its own for each test, with stock that nobody else moves."""
    number = server.call("res.partner", "search_count", [], context={"active_test": False})
    shop = open_shop(server, f"reversal{number}")
    rows = [StockRow(variant, shop.location, Decimal(STOCK)) for variant in shop.variants]
    assert not failed(set_stock(server, rows))
    return shop


def ids_of(outcomes: list[Outcome[Any]]) -> list[int]:
    assert not failed(outcomes), [str(outcome.error) for outcome in failed(outcomes)]
    return [outcome.id for outcome in outcomes if outcome.id is not None]


@dataclass(frozen=True)
class Sold:
    """Orders that went all the way, with their documents in the same order."""

    shop: Shop
    tag: str
    orders: list[int]
    pickings: list[int]
    invoices: list[int]
    payments: list[int]

    @property
    def returns(self) -> list[Return]:
        return [Return(f"{self.tag}-return{n}", id_, BACK) for n, id_ in enumerate(self.pickings)]

    @property
    def credits(self) -> list[Credit]:
        return [
            Credit(f"{self.tag}-credit{n}", id_, CREDITED, "taken back", TOTAL) for n, id_ in enumerate(self.invoices)
        ]

    def take_back(self) -> list[list[Outcome[Any]]]:
        """Every step for every order; the outcomes by step."""
        session, namespace = self.shop.session, self.shop.namespace
        return [
            return_deliveries(session, namespace, self.returns),
            credit_invoices(session, namespace, self.credits),
            cancel_orders(session, self.orders),
        ]


def sold(shop: Shop, tag: str, count: int = 1, *, paid: Decimal | None = TOTAL, pricelist: int | None = None) -> Sold:
    """Orders confirmed, delivered, invoiced, and paid as far as ``paid`` says."""
    session, namespace = shop.session, shop.namespace
    orders = shop.orders(count, tag, pricelist=pricelist)
    ids_of(confirm_orders(session, orders))
    pickings = ids_of(
        deliver(session, namespace, [Shipment(f"{tag}-s{n}", id_, SHIPPED) for n, id_ in enumerate(orders)])
    )
    drafts = [Invoice(f"{tag}-i{n}", id_, INVOICED) for n, id_ in enumerate(orders)]
    invoices = ids_of(post_invoices(session, ids_of(invoice_orders(session, namespace, drafts))))
    currency = "EUR" if pricelist else "USD"
    money = [Payment(f"{tag}-p{n}", id_, paid or TOTAL, currency, PAID, f"{tag}{n}") for n, id_ in enumerate(invoices)]
    payments = ids_of(register_payments(session, namespace, money)) if paid else []
    return Sold(shop, tag, orders, pickings, invoices, payments)


def goods(shop: Shop) -> dict[tuple[int, int, str], float]:
    """How much of what lies where. Two transactions at once leave the server with several entries of one place."""
    domain = [["product_id", "in", shop.variants], ["location_id.usage", "=", "internal"]]
    sums: dict[tuple[int, int, str], float] = {}
    for row in search_read(shop.session, "stock.quant", domain, ["product_id", "location_id", "lot_id", "quantity"]):
        key = (row["product_id"][0], row["location_id"][0], str(row["lot_id"]))
        sums[key] = sums.get(key, 0) + row["quantity"]
    return {key: quantity for key, quantity in sums.items() if quantity}


def reserved(shop: Shop) -> dict[int, float]:
    """How much of each product open transfers hold back."""
    features = shop.session.features
    held = "quantity" if features.has("stock.move", "picked") else "product_uom_qty"
    domain = [["product_id", "in", shop.variants], ["location_id", "=", shop.location]]
    domain += [["state", "not in", ["done", "cancel"]], [held, ">", 0]]
    sums: dict[int, float] = {}
    for row in search_read(shop.session, "stock.move.line", domain, ["product_id", held]):
        sums[row["product_id"][0]] = sums.get(row["product_id"][0], 0) + row[held]
    return sums


def balances(shop: Shop) -> dict[str, Decimal]:
    """The trial balance: accounts whose posted lines do not sum to zero."""
    sums: dict[str, Decimal] = {}
    fields = ["account_id", "balance"]
    for line in search_read(shop.session, "account.move.line", [["parent_state", "=", "posted"]], fields):
        name = line["account_id"][1]
        sums[name] = sums.get(name, Decimal(0)) + Decimal(repr(line["balance"]))
    assert sum(sums.values()) == 0
    return {name: balance for name, balance in sums.items() if balance}


def expenses(shop: Shop) -> Decimal:
    return sum((balance for name, balance in balances(shop).items() if "Expenses" in name), Decimal(0))


def owed(shop: Shop, sale: Sold) -> list[Decimal]:
    """What each order's customer owes us; negative is what we owe."""
    partners = [row["partner_id"][0] for row in read(shop.session, "sale.order", sale.orders, ["partner_id"]).values()]
    rows = read(shop.session, "res.partner", partners, ["credit"])
    return [Decimal(repr(rows[id_]["credit"])) for id_ in partners]


def invoice_state(shop: Shop, invoice: int) -> tuple[str, Decimal]:
    paid = shop.session.features.field("account.move", "paid")
    row = shop.one("account.move", invoice, paid, "amount_residual")
    return row[paid], Decimal(repr(row["amount_residual"]))


def line_quantities(shop: Shop, order: int) -> set[tuple[float, float]]:
    rows = read(shop.session, "sale.order.line", shop.lines(order), ["qty_delivered", "qty_invoiced"])
    return {(row["qty_delivered"], row["qty_invoiced"]) for row in rows.values()}


def assert_cancelled(shop: Shop, orders: list[int]) -> None:
    rows = read(shop.session, "sale.order", orders, ["state", "picking_ids", "invoice_ids"])
    assert {row["state"] for row in rows.values()} == {"cancel"}
    transfers = read(shop.session, "stock.picking", [id_ for r in rows.values() for id_ in r["picking_ids"]], ["state"])
    assert {row["state"] for row in transfers.values()} <= {"done", "cancel"}
    for order in orders:
        assert line_quantities(shop, order) == {(0.0, 0.0)}


def changed(steps: list[list[Outcome[Any]]]) -> list[bool]:
    for step in steps:
        assert not failed(step), [str(outcome.error) for outcome in failed(step)]
    return [outcome.changed for step in steps for outcome in step]


def test_paid_orders_are_taken_back_whole_and_only_once(shop: Shop) -> None:
    stock, books = goods(shop), balances(shop)
    sale = sold(shop, "whole", 20)
    assert goods(shop) != stock
    steps = sale.take_back()
    assert all(changed(steps))
    assert_cancelled(shop, sale.orders)
    assert goods(shop) == stock
    returns = read(shop.session, "stock.picking", ids_of(steps[0]), ["state", "date_done"])
    assert {(row["state"], row["date_done"]) for row in returns.values()} == {("done", "2024-03-13 08:15:00")}
    credits = read(
        shop.session, "account.move", ids_of(steps[1]), ["state", "date", "invoice_date", "ref", "reversed_entry_id"]
    )
    # two connections made them: which came first is chance
    assert sorted(row["reversed_entry_id"][0] for row in credits.values()) == sorted(sale.invoices)
    assert {(row["state"], row["date"], row["invoice_date"], row["ref"]) for row in credits.values()} == {
        ("posted", "2024-04-09", "2024-04-09", "taken back")
    }
    assert bindings(shop.session, shop.namespace, names=["whole-return3", "whole-credit3"]) == {
        "whole-return3": steps[0][3].id,
        "whole-credit3": steps[1][3].id,
    }
    # what was paid stays the customers' money: twenty orders of six customers
    assert set(owed(shop, sale)) == {-4 * TOTAL, -3 * TOTAL}
    after = balances(shop)
    assert len({name for name in after if after[name] != books.get(name, 0)}) == 2  # customers and bank
    writes = shop.session.counters.writes
    assert not any(changed(sale.take_back()))
    assert shop.session.counters.writes == writes

    withdrawn = withdraw_payments(shop.session, sale.payments)
    assert all(changed([withdrawn]))
    # the invoices are open again, and so are their credit notes: another look settles them
    assert {invoice_state(shop, id_) for id_ in sale.invoices} == {("not_paid", TOTAL)}
    assert all(changed([credit_invoices(shop.session, shop.namespace, sale.credits)]))
    assert {invoice_state(shop, id_) for id_ in sale.invoices} == {("reversed", Decimal("0.0"))}
    assert balances(shop) == books
    assert set(owed(shop, sale)) == {Decimal(0)}
    writes = shop.session.counters.writes
    assert not any(changed([withdraw_payments(shop.session, sale.payments), *sale.take_back()]))
    assert shop.session.counters.writes == writes


@pytest.mark.newest
def test_lost_answers_at_every_step_undo_nothing_twice(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    features = shop.session.features
    steps = [
        "stock.return.picking.create",
        f"stock.return.picking.{features.way('return')}",
        "ir.model.data.create",
        "stock.move.write" if features.has("stock.move", "picked") else "stock.move.line.create",
        "stock.picking.button_validate",
        "stock.picking.load",
        "account.move.load",
        "account.move.action_post",
        "account.partial.reconcile.load",
        "account.full.reconcile.create",
        "sale.order.action_cancel",
    ]
    stock, books = goods(shop), balances(shop)
    sale = sold(shop, "lost", 4)
    with losing(monkeypatch, *steps) as lost:
        assert all(changed(sale.take_back()))
        ids_of(withdraw_payments(shop.session, sale.payments))
        assert all(changed([credit_invoices(shop.session, shop.namespace, sale.credits)]))
    assert sorted(lost) == sorted(steps)
    assert_cancelled(shop, sale.orders)
    assert goods(shop) == stock
    assert balances(shop) == books
    assert {invoice_state(shop, id_) for id_ in sale.invoices} == {("reversed", Decimal("0.0"))}
    origins = [
        row["id"] for row in search_read(shop.session, "stock.move", [["picking_id", "in", sale.pickings]], ["id"])
    ]
    returning = [["origin_returned_move_id", "in", origins]]
    assert shop.session.call("stock.move", "search_count", returning) == len(origins)
    notes = [["reversed_entry_id", "in", sale.invoices]]
    assert shop.session.call("account.move", "search_count", notes) == 4


@pytest.mark.newest
def test_one_bad_document_does_not_stop_the_others(shop: Shop) -> None:
    sale = sold(shop, "good", 2)
    good = (sale.returns, sale.credits)
    returns = return_deliveries(shop.session, shop.namespace, [*good[0], Return("no-return", NOWHERE, BACK)])
    credits = credit_invoices(
        shop.session, shop.namespace, [*good[1], Credit("no-credit", NOWHERE, CREDITED, "x", TOTAL)]
    )
    payments = withdraw_payments(shop.session, [*sale.payments, NOWHERE])
    followed = follow_quantities(shop.session, [*shop.orders(1, "draft"), NOWHERE])
    for step in (returns, credits, payments, followed):
        (bad,) = failed(step)
        assert bad is step[-1]
        assert isinstance(bad.error, OdooMissingRecord)


# goods


def test_a_part_that_was_delivered_comes_back_and_the_rest_is_not_sent(shop: Shop) -> None:
    stock = goods(shop)
    (order,) = shop.orders(1, "part")
    confirm_orders(shop.session, [order])
    first, second, _ = shop.lines(order)
    parcel = Shipment("part", order, SHIPPED, {first: Decimal(1), second: Decimal(1)})
    (picking,) = ids_of(deliver(shop.session, shop.namespace, [parcel]))
    assert "WH/OUT" in str(cancel_orders(shop.session, [order])[0].error)
    ids_of(return_deliveries(shop.session, shop.namespace, [Return("part-back", picking, BACK)]))
    ids_of(cancel_orders(shop.session, [order]))
    assert_cancelled(shop, [order])
    assert goods(shop) == stock
    assert reserved(shop) == {}


def test_a_transfer_that_has_not_left_is_cancelled_instead(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    stock = goods(shop)
    orders = shop.orders(2, "waiting")
    confirm_orders(shop.session, orders)
    assert sum(reserved(shop).values()) == 12
    pickings = [shop.one("sale.order", id_, "picking_ids")["picking_ids"][0] for id_ in orders]
    returns = [Return(f"waiting{n}", id_, BACK) for n, id_ in enumerate(pickings)]
    with losing(monkeypatch, "stock.picking.action_cancel") as lost:
        outcomes = return_deliveries(shop.session, shop.namespace, returns)
    assert lost
    assert all(changed([outcomes]))
    assert ids_of(outcomes) == pickings  # no return, the transfers themselves
    assert {shop.one("stock.picking", id_, "state")["state"] for id_ in pickings} == {"cancel"}
    assert goods(shop) == stock
    assert reserved(shop) == {}
    writes = shop.session.counters.writes
    assert not any(changed([return_deliveries(shop.session, shop.namespace, returns)]))
    assert shop.session.counters.writes == writes


def returned_by_hand(shop: Shop, picking: int, quantity: int, *, done: bool) -> int:
    """A person returns some of the first move of a transfer."""
    session = shop.session
    move = session.call(
        "stock.move", "search_read", [["picking_id", "=", picking]], ["product_id"], order="id", limit=1
    )[0]
    line = {"product_id": move["product_id"][0], "move_id": move["id"], "quantity": quantity, "to_refund": True}
    wizard: dict[str, Any] = {"picking_id": picking, "product_return_moves": [[0, 0, line]]}
    if session.features.has("stock.return.picking", "location_id"):
        wizard["location_id"] = shop.location
    (made,) = session.call("stock.return.picking", "create", [wizard])
    id_ = int(session.call("stock.return.picking", session.features.way("return"), [made])["res_id"])
    if done:
        (row,) = session.call("stock.move", "search", [["picking_id", "=", id_]])
        session.call("stock.move", "write", [row], {session.features.field("stock.move", "done"): quantity})
        session.call("stock.picking", "button_validate", [id_], context={"skip_backorder": True, "skip_sms": True})
    return id_


def test_what_a_person_has_returned_is_not_returned_again(shop: Shop) -> None:
    stock = goods(shop)
    orders = shop.orders(3, "person")
    confirm_orders(shop.session, orders)
    shipments = [
        Shipment(f"person-s{n}", id_, SHIPPED, {shop.lines(id_)[2]: Decimal(3)}) for n, id_ in enumerate(orders)
    ]
    some, everything, waits = ids_of(deliver(shop.session, shop.namespace, shipments))
    returned_by_hand(shop, some, 1, done=True)
    all_of_it = returned_by_hand(shop, everything, 3, done=True)
    open_one = returned_by_hand(shop, waits, 2, done=False)
    returns = [Return(f"person-r{n}", id_, BACK) for n, id_ in enumerate((some, everything, waits))]
    first, second, third = return_deliveries(shop.session, shop.namespace, returns)
    assert (first.ok, first.changed) == (True, True)
    assert (second.ok, second.changed, second.id) == (True, False, all_of_it)
    assert "does not ask for all" in str(third.error)
    shop.session.call("stock.picking", "action_cancel", [open_one])
    ids_of(return_deliveries(shop.session, shop.namespace, returns[2:]))
    ids_of(cancel_orders(shop.session, orders))
    assert goods(shop) == stock
    with pytest.raises(ValueError, match="returned twice"):
        return_deliveries(shop.session, shop.namespace, [returns[0], Return("other", some, BACK)])


@pytest.mark.newest
def test_a_return_that_was_made_but_not_yet_marked_is_gone_on_with(shop: Shop) -> None:
    stock = goods(shop)
    (order,) = shop.orders(1, "unmarked")
    confirm_orders(shop.session, [order])
    parcel = Shipment("unmarked-s", order, SHIPPED, {shop.lines(order)[2]: Decimal(3)})
    (picking,) = ids_of(deliver(shop.session, shop.namespace, [parcel]))
    made = returned_by_hand(shop, picking, 3, done=False)
    (outcome,) = return_deliveries(shop.session, shop.namespace, [Return("unmarked-r", picking, BACK)])
    assert (outcome.ok, outcome.changed, outcome.id) == (True, True, made)
    cancel_orders(shop.session, [order])
    assert goods(shop) == stock


def test_lots_come_back_to_the_shelves_they_left(shop: Shop) -> None:
    session = shop.session
    serial, lot, plain = shop.variants[:3]
    assert not failed(set_stock(session, [StockRow(id_, shop.location, Decimal(0)) for id_ in (serial, lot, plain)]))
    for variant, tracking in ((serial, "serial"), (lot, "lot")):
        product = shop.one("product.product", variant, "product_tmpl_id")
        session.call("product.template", "write", [product["product_tmpl_id"][0]], {"tracking": tracking})
    (shelf,) = session.call(
        "stock.location", "create", [{"name": "Shelf", "location_id": shop.location, "usage": "internal"}]
    )
    company = {"company_id": session.company()["id"]}
    kinds = [("A", serial), ("B", lot), ("C", lot)]
    lots = session.call(
        session.features.model("lot"),
        "create",
        [{"name": f"{shop.namespace}{name}", "product_id": variant, **company} for name, variant in kinds],
    )
    some = [
        StockRow(serial, shelf, Decimal(1), lots[0]),
        StockRow(lot, shelf, Decimal(1), lots[1]),
        StockRow(lot, shop.location, Decimal(1), lots[2]),
        StockRow(plain, shelf, Decimal(1)),
        StockRow(plain, shop.location, Decimal(2)),
    ]
    assert not failed(set_stock(session, some))
    stock = goods(shop)
    sale = sold(shop, "lots")
    assert not {serial, lot, plain} & {key[0] for key in goods(shop)}
    changed(sale.take_back())
    assert goods(shop) == stock


def test_stock_is_worth_as_much_as_before(shop: Shop) -> None:
    """Perpetual valuation: what deliveries, or invoices, have posted goes back too."""
    values = {"name": "Perpetual", "property_valuation": "real_time", "property_cost_method": "standard"}
    category = shop.session.call("product.category", "create", [values])[0]
    shop.session.call("product.product", "write", shop.variants, {"categ_id": category})
    for variant in shop.variants:
        shop.session.call("product.product", "write", [variant], {"standard_price": 5})
    books, before = balances(shop), expenses(shop)
    sale = sold(shop, "worth", paid=None)
    assert expenses(shop) - before == 30
    changed(sale.take_back())
    assert balances(shop) == books


# invoices and payments


def test_a_draft_invoice_is_cancelled_instead(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = shop.orders(1, "drafts")
    confirm_orders(shop.session, orders)
    (draft,) = ids_of(invoice_orders(shop.session, shop.namespace, [Invoice("drafts-i", orders[0], INVOICED)]))
    credit = [Credit("drafts-c", draft, CREDITED, "changed mind", TOTAL)]
    with losing(monkeypatch, "account.move.button_cancel") as lost:
        (outcome,) = credit_invoices(shop.session, shop.namespace, credit)
    assert lost
    assert (outcome.ok, outcome.changed, outcome.id) == (True, True, draft)
    assert shop.one("account.move", draft, "state")["state"] == "cancel"
    writes = shop.session.counters.writes
    assert not any(changed([credit_invoices(shop.session, shop.namespace, credit)]))
    assert shop.session.counters.writes == writes
    ids_of(cancel_orders(shop.session, orders))
    assert_cancelled(shop, orders)


def test_a_credit_note_settles_what_is_still_open_and_leaves_the_rest_to_the_customer(shop: Shop) -> None:
    sale = sold(shop, "partly", paid=Decimal("20.00"))
    assert invoice_state(shop, sale.invoices[0]) == ("partial", Decimal("47.94"))
    (note,) = ids_of(credit_invoices(shop.session, shop.namespace, sale.credits))
    assert invoice_state(shop, sale.invoices[0])[1] == 0
    assert invoice_state(shop, note)[1] == Decimal("20.0")
    assert owed(shop, sale) == [Decimal("-20.0")]
    (payment,) = withdraw_payments(shop.session, sale.payments)
    assert payment.ok
    ids_of(credit_invoices(shop.session, shop.namespace, sale.credits))
    assert [invoice_state(shop, id_)[1] for id_ in (sale.invoices[0], note)] == [0, 0]
    assert owed(shop, sale) == [Decimal(0)]


def test_a_credit_note_that_comes_to_something_else_stays_a_draft(shop: Shop) -> None:
    sale = sold(shop, "cent", 2)
    wrong = Credit("cent-0", sale.invoices[0], CREDITED, "x", Decimal("67.95"))
    good = Credit("cent-1", sale.invoices[1], CREDITED, "x", TOTAL)
    bad, fine = credit_invoices(shop.session, shop.namespace, [wrong, good])
    assert fine.ok
    assert "comes to 67.94 instead of 67.95" in str(bad.error)
    assert bad.id is not None
    assert shop.one("account.move", bad.id, "state")["state"] == "draft"
    right = Credit("cent-0", sale.invoices[0], CREDITED, "x", TOTAL)
    assert ids_of(credit_invoices(shop.session, shop.namespace, [right])) == [bad.id]
    assert shop.one("account.move", bad.id, "state")["state"] == "posted"


def test_what_a_person_has_credited_is_not_credited_again(shop: Shop) -> None:
    sale = sold(shop, "hand", 3)
    by_hand = [Credit(f"hand{n}", id_, CREDITED, "by hand", TOTAL) for n, id_ in enumerate(sale.invoices)]
    made = ids_of(credit_invoices(shop.session, "person", by_hand[:2]))
    part = shop.session.call("account.move", "copy", made[1])
    part = part[0] if isinstance(part, list) else part
    shop.session.call("account.move", "write", [part], {"reversed_entry_id": sale.invoices[2]})
    line = shop.one("account.move", part, "invoice_line_ids")["invoice_line_ids"][0]
    shop.session.call("account.move", "write", [part], {"invoice_line_ids": [[1, line, {"quantity": 7}]]})
    first, second, third = credit_invoices(shop.session, shop.namespace, sale.credits)
    assert [first.id, second.id] == made
    assert (first.changed, second.changed) == (False, False)
    assert "has credit notes of" in str(third.error)
    with pytest.raises(ValueError, match="credited twice"):
        credit_invoices(shop.session, shop.namespace, [*sale.credits, by_hand[0]])
    (refund,) = credit_invoices(shop.session, shop.namespace, [Credit("hand-x", made[0], CREDITED, "x", TOTAL)])
    assert "no customer invoice" in str(refund.error)


def test_taxes_are_credited_as_they_were_charged(shop: Shop) -> None:
    tax = {"name": f"20% {shop.namespace}", "amount": 20, "amount_type": "percent", "type_tax_use": "sale"}
    (twenty,) = shop.session.call("account.tax", "create", [tax])
    books = balances(shop)
    orders = shop.orders(1, "taxed")
    field = shop.session.features.field("sale.order.line", "tax")
    shop.session.call("sale.order.line", "write", shop.lines(orders[0]), {field: [[6, 0, [twenty]]]})
    confirm_orders(shop.session, orders)
    drafts = invoice_orders(shop.session, shop.namespace, [Invoice("taxed-i", orders[0], INVOICED)])
    (invoice,) = ids_of(post_invoices(shop.session, ids_of(drafts)))
    total = Decimal(repr(shop.one("account.move", invoice, "amount_total")["amount_total"]))
    assert total > TOTAL
    ids_of(credit_invoices(shop.session, shop.namespace, [Credit("taxed-c", invoice, CREDITED, "x", total)]))
    assert balances(shop) == books
    assert invoice_state(shop, invoice) == ("reversed", Decimal("0.0"))


def test_another_currency_is_credited_in_itself(shop: Shop) -> None:
    sale = sold(shop, "euro", paid=None, pricelist=euros(shop.session))
    late = Credit("euro-c", sale.invoices[0], date(2024, 4, 25), "x", TOTAL)  # at another rate than the invoice
    (note,) = ids_of(credit_invoices(shop.session, shop.namespace, [late]))
    assert shop.one("account.move", note, "currency_id")["currency_id"][1] == "EUR"
    assert [invoice_state(shop, id_)[1] for id_ in (sale.invoices[0], note)] == [0, 0]
    assert owed(shop, sale) == [Decimal(0)]
    balances(shop)


def test_a_withdrawn_payment_opens_what_it_had_paid(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sale = sold(shop, "withdrawn", 3)
    steps = [f"account.payment.{name}" for name in shop.session.features.choose("withdraw")]
    with losing(monkeypatch, *steps) as lost:
        outcomes = withdraw_payments(shop.session, [*sale.payments, sale.payments[0]])
    assert lost == steps
    assert all(changed([outcomes]))
    assert ids_of(outcomes) == sale.payments
    assert {invoice_state(shop, id_) for id_ in sale.invoices} == {("not_paid", TOTAL)}
    rows = read(shop.session, "account.payment", sale.payments, ["state", "move_id"])
    assert {row["state"].replace("canceled", "cancel") for row in rows.values()} == {"cancel"}
    entries = read(shop.session, "account.move", [row["move_id"][0] for row in rows.values()], ["state", "name"])
    assert {row["state"] for row in entries.values()} == {"cancel"}  # there, with their numbers
    writes = shop.session.counters.writes
    assert not any(changed([withdraw_payments(shop.session, sale.payments)]))
    assert shop.session.counters.writes == writes


def test_a_payment_that_was_reset_by_hand_is_cancelled_all_the_same(shop: Shop) -> None:
    sale = sold(shop, "reset")
    shop.session.call("account.payment", "action_draft", sale.payments)
    (outcome,) = withdraw_payments(shop.session, sale.payments)
    assert (outcome.ok, outcome.changed) == (True, True)


# orders


def test_an_order_is_not_cancelled_while_something_of_it_is_out(shop: Shop) -> None:
    sale = sold(shop, "out", 3)
    ids_of(return_deliveries(shop.session, shop.namespace, sale.returns[:2]))
    ids_of(credit_invoices(shop.session, shop.namespace, sale.credits[1:]))
    invoiced, fine, delivered = cancel_orders(shop.session, sale.orders)
    assert "INV/" in str(invoiced.error)
    assert "WH/" not in str(invoiced.error)
    assert fine.ok
    assert "WH/OUT" in str(delivered.error)
    assert "INV/" not in str(delivered.error)
    states = [row["state"] for row in read(shop.session, "sale.order", sale.orders, ["state"]).values()]
    assert states == ["sale", "cancel", "sale"]


def test_a_locked_order_is_taken_back_too(shop: Shop) -> None:
    sale = sold(shop, "locked", 2)
    lock = "action_lock" if shop.session.features.has("sale.order", "locked") else "action_done"
    shop.session.call("sale.order", lock, sale.orders)
    assert all(changed(sale.take_back()))
    assert_cancelled(shop, sale.orders)


# edited orders


def demands(shop: Shop, order: int) -> dict[int, list[float]]:
    """Open quantities to the customer by order line, and that there are no receipts."""
    domain = [["sale_line_id.order_id", "=", order], ["state", "not in", ["done", "cancel"]]]
    fields = ["sale_line_id", "product_uom_qty", "location_dest_id", "location_id"]
    found: dict[int, list[float]] = {}
    for move in search_read(shop.session, "stock.move", domain, fields):
        assert move["location_id"][0] == shop.location
        if move["product_uom_qty"]:
            found.setdefault(move["sale_line_id"][0], []).append(move["product_uom_qty"])
    return {line: sorted(quantities) for line, quantities in found.items()}


def edit(shop: Shop, lines: list[int], quantity: int) -> None:
    shop.session.call("sale.order.line", "write", lines, {"product_uom_qty": quantity})


def followed(shop: Shop, orders: list[int]) -> list[bool]:
    """Whether there was something to do for each order; a second time there is nothing."""
    result = changed([follow_quantities(shop.session, orders)])
    writes = shop.session.counters.writes
    assert not any(changed([follow_quantities(shop.session, orders)]))
    assert shop.session.counters.writes == writes
    return result


def test_open_transfers_follow_the_lines_of_an_edited_order(shop: Shop) -> None:
    (order,) = shop.orders(1, "edited")
    confirm_orders(shop.session, [order], dates={order: PLACED})
    first, second, third = shop.lines(order)
    tax = shop.session.features.field("sale.order.line", "tax")
    added = {"order_id": order, "product_id": shop.variants[4], "product_uom_qty": 2, tax: [[6, 0, []]]}
    (fourth,) = shop.session.call("sale.order.line", "create", [added])
    edit(shop, [third], 5)
    assert followed(shop, [order]) == [False]  # the server has done it
    assert demands(shop, order) == {first: [1], second: [2], third: [2, 3], fourth: [2]}
    edit(shop, [third], 2)
    edit(shop, [second], 0)
    assert followed(shop, [order]) == [True]
    assert demands(shop, order) == {first: [1], third: [2], fourth: [2]}
    assert reserved(shop) == dict(zip([shop.variants[n] for n in (0, 2, 4)], [1, 2, 2], strict=True))

    ids_of(deliver(shop.session, shop.namespace, [Shipment("edited", order, SHIPPED, {third: Decimal(1)})]))
    edit(shop, [third], 1)
    edit(shop, [second], 4)
    followed(shop, [order])
    assert demands(shop, order) == {first: [1], second: [4], fourth: [2]}
    edit(shop, [first, second, fourth], 0)
    assert followed(shop, [order]) == [True]
    assert demands(shop, order) == {}
    rows = search_read(shop.session, "stock.picking", [["sale_id", "=", order]], ["state"])
    assert sorted({row["state"] for row in rows}) == ["cancel", "done"]  # nothing waits
    edit(shop, [first], 1)
    followed(shop, [order])
    ids_of(deliver(shop.session, shop.namespace, [Shipment("edited-2", order, SHIPPED)]))
    delivered = read(shop.session, "sale.order.line", [first, second, third, fourth], ["qty_delivered"])
    assert [row["qty_delivered"] for row in delivered.values()] == [1, 0, 1, 0]


@pytest.mark.newest
def test_twenty_edited_orders_are_followed_though_answers_are_lost(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = shop.orders(20, "many")
    confirm_orders(shop.session, orders)
    for n, order in enumerate(orders):
        lines = shop.lines(order)
        edit(shop, lines if n % 2 else lines[1:], 0 if n % 2 else 1)
    steps = ["stock.picking.action_cancel", "stock.move.write", "stock.picking.action_assign"]
    with losing(monkeypatch, *steps) as lost:
        assert all(changed([follow_quantities(shop.session, orders)]))
    assert sorted(lost) == sorted(steps)
    assert not any(followed(shop, orders))
    for n, order in enumerate(orders):
        assert [*demands(shop, order).values()] == ([] if n % 2 else [[1], [1], [1]])
    assert sum(reserved(shop).values()) == 30  # three pieces for each second order


@pytest.mark.newest
def test_a_quantity_in_dozens_is_followed_in_pieces(shop: Shop) -> None:
    (dozen,) = shop.session.call(
        "ir.model.data", "search_read", [["module", "=", "uom"], ["name", "=", "product_uom_dozen"]], ["res_id"]
    )
    orders = shop.orders(1, "dozen", lines=1)
    uom = shop.session.features.field("sale.order.line", "uom")
    (line,) = shop.lines(orders[0])
    shop.session.call("sale.order.line", "write", [line], {uom: dozen["res_id"], "product_uom_qty": 3})
    confirm_orders(shop.session, orders)
    assert demands(shop, orders[0]) == {line: [36]}
    edit(shop, [line], 2)
    followed(shop, orders)
    assert demands(shop, orders[0]) == {line: [24]}


@pytest.mark.newest
def test_what_nobody_is_going_to_deliver_is_left_to_a_person(shop: Shop) -> None:
    cancelled, returned = orders = shop.orders(2, "lacking")
    confirm_orders(shop.session, orders)
    shop.session.call("stock.picking", "action_cancel", shop.one("sale.order", cancelled, "picking_ids")["picking_ids"])
    (picking,) = ids_of(deliver(shop.session, shop.namespace, [Shipment("lacking", returned, SHIPPED)]))
    waits = returned_by_hand(shop, picking, 1, done=False)
    first, second = follow_quantities(shop.session, orders)
    assert "neither delivered nor in an open transfer" in str(first.error)
    assert (second.ok, second.changed) == (True, False)
    assert shop.one("stock.picking", waits, "state")["state"] == "assigned"  # a person's return is none of ours
