"""Orders that wait and money that is booked nowhere are found whatever stopped them, and told in sums."""

from decimal import Decimal
from typing import Any

import polars as pl

from unierp_assets.sync.reports import rebuild_reports
from unierp_assets.sync.unsettled import Unsettled, unsettled
from unierp_assets.warehouse import Warehouse
from unierp_assets.warehouse.store import Transaction
from unierp_assets.warehouse.tables import LANDING_UNIERP, PENDING, STAGING

D = Decimal


def shop(tx: Transaction, entity: str, status: str = "accepted", **values: Any) -> None:
    table = STAGING[entity]
    tx.upsert(table, pl.DataFrame([{**values, "_status": status}]))


def unierp(tx: Transaction, entity: str, **values: Any) -> None:
    tx.upsert(LANDING_UNIERP[entity], pl.DataFrame([values]))


def sale(tx: Transaction, key: str, total: str, status: str = "accepted", **more: Any) -> None:
    row = {"key": key, "number": f"S{key}", "currency": "USD", "total": D(total), "state": "confirmed"}
    shop(tx, "orders", status, **row | more)


def arrived(tx: Transaction, key: str, total: str) -> None:
    unierp(tx, "orders", key=key, total=D(total), state="confirmed", number=f"S{key}")


def captured(tx: Transaction, key: str, order: str, amount: str, *, currency: str = "USD") -> None:
    shop(tx, "payments", key=key, order=order, invoice=order, amount=D(amount), currency=currency, state="posted")


def found(warehouse: Warehouse) -> Unsettled:
    rebuild_reports(warehouse, "run-1")
    return unsettled(warehouse)


def test_nothing_waits_where_everything_arrived(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        sale(tx, "1", "10")
        arrived(tx, "1", "10")
    assert not found(warehouse)
    assert list(found(warehouse).sentences()) == []


def test_held_and_quarantined_orders_wait_and_are_summed_by_currency(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        sale(tx, "1", "10.50")
        tx.upsert(PENDING, pl.DataFrame([{"entity": "orders", "key": "1", "state": "held", "reason": "a cent"}]))
        sale(tx, "2", "1000", status="quarantined")
        sale(tx, "3", "7", currency="EUR")
    waits = found(warehouse)
    assert waits.orders["number"].to_list() == ["S1", "S2", "S3"]
    assert waits.orders["reason"][0] == "a cent"
    assert list(waits.sentences()) == ["Orders that wait: 3 (1,010.50 USD, 7.00 EUR)."]
    assert waits.to_dict() == {
        "orders": 3, "orders_total": {"USD": "1010.50", "EUR": "7.00"}, "money_not_booked": {}, "removals_withheld": [],
    }  # fmt: skip


def test_money_of_held_orders_and_of_orders_nobody_knows_is_told(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        sale(tx, "1", "100")
        tx.upsert(PENDING, pl.DataFrame([{"entity": "orders", "key": "1", "state": "held", "reason": "a cent"}]))
        captured(tx, "11", "1", "40")
        captured(tx, "12", "404", "5", currency="EUR")
    waits = found(warehouse)
    assert waits.money.select("key", "number", "currency", "amount").rows() == [
        ("1", "S1", "USD", D(40)),
        (None, None, "EUR", D(5)),
    ]
    assert next(waits.sentences()) == "Money that came in and is booked nowhere: 40.00 USD, 5.00 EUR."


def test_what_is_captured_beyond_what_is_booked_is_money_of_a_matched_order_too(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        sale(tx, "1", "100")
        arrived(tx, "1", "100")
        captured(tx, "11", "1", "100")
        unierp(tx, "payments", key="11", amount=D(40), state="posted")
    assert found(warehouse).to_dict()["money_not_booked"] == {"USD": "60.00"}


def test_a_cancelled_order_that_never_arrived_waits_only_for_its_money(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        sale(tx, "1", "100", state="cancelled", status="quarantined")
        sale(tx, "2", "50", state="cancelled", status="quarantined")
        captured(tx, "11", "2", "50")
    waits = found(warehouse)
    assert waits.orders["number"].to_list() == ["S2"]
    assert waits.to_dict()["money_not_booked"] == {"USD": "50.00"}
