"""The reporting tables: what is equal, what is missing, what was sold."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from unierp_assets.entities import ENTITIES
from unierp_assets.sync.reports import rebuild_reports, reconciliation, reconciliation_differences
from unierp_assets.warehouse import Transaction, Warehouse
from unierp_assets.warehouse.tables import (
    BASE,
    LANDING_UNIERP,
    MERGES,
    ORDER_RECONCILIATION,
    PENDING,
    QUARANTINE,
    RECONCILIATION_SUMMARY,
    SALES_DAILY,
    STAGING,
    STOCK_RECONCILIATION,
)

Row = Mapping[str, Any]
D = Decimal

ORDER: Row = {
    "key": "1", "number": "S-1", "channel": "web", "customer": "7", "currency": "EUR", "price_list": "EUR",
    "state": "confirmed", "status": "confirmed", "ordered_at": datetime(2024, 5, 1, 23, 30, tzinfo=UTC),
    "discount_total": D("2.00"), "shipping_total": D("5.95"), "tax_total": D("19.00"), "total": D("119.00"),
}  # fmt: skip
INVOICE: Row = {"key": "1", "order": "1", "tax_total": D("19.00"), "total": D("119.00"), "state": "posted"}
PAYMENT: Row = {"key": "9", "order": "1", "invoice": "1", "amount": D("119.00"), "currency": "EUR", "state": "posted"}


def frame(entity: str, rows: Sequence[Row]) -> pl.DataFrame:
    """Rows of an entity, typed by its declaration; only the columns the rows have."""
    types = {**ENTITIES[entity].schema(), **{field.name: field.dtype for field in ENTITIES[entity].readback}}
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame(
        [[row.get(name) for name in names] for row in rows],
        schema={name: types.get(name, pl.String()) for name in names},
        orient="row",
    )


def shop(tx: Transaction, entity: str, *rows: Row, status: str = "accepted") -> None:
    tx.upsert(STAGING[entity], frame(entity, rows).with_columns(_status=pl.lit(status)))


def unierp(tx: Transaction, entity: str, *rows: Row) -> None:
    given = frame(entity, rows)
    known = {"key", *(field.name for field in ENTITIES[entity].compared + ENTITIES[entity].readback)}
    tx.upsert(LANDING_UNIERP[entity], given.select(name for name in given.columns if name in known))


def both(tx: Transaction, entity: str, *rows: Row) -> None:
    shop(tx, entity, *rows)
    unierp(tx, entity, *rows)


def deleted_in_unierp(tx: Transaction, entity: str, key: str) -> None:
    gone = pl.DataFrame({"key": [key], "_deleted": [True]})
    tx.update_rows(LANDING_UNIERP[entity], gone, ["_deleted"])


def pending(tx: Transaction, entity: str, key: str, reason: str, state: str = "held") -> None:
    tx.upsert(PENDING, pl.DataFrame({"entity": [entity], "key": [key], "state": [state], "reason": [reason]}))


def quarantined(tx: Transaction, entity: str, key: str, message: str) -> None:
    tx.upsert(
        QUARANTINE,
        pl.DataFrame({"entity": [entity], "key": [key], "message": [message]}).with_columns(
            rule=pl.lit("rule"), expectation=pl.lit("e"), severity=pl.lit("critical"), outcome=pl.lit("quarantine")
        ),
    )


def merged(tx: Transaction, entity: str, key: str, into: str) -> None:
    tx.upsert(MERGES, pl.DataFrame({"entity": [entity], "key": [key], "into_key": [into], "rule": ["same e-mail"]}))


def summary(warehouse: Warehouse, entity: str) -> dict[str, Any]:
    """The entity's row of the summary, without what is zero and what only describes."""
    rebuild_reports(warehouse, "run-1")
    (row,) = reconciliation(warehouse).by_entity.filter(entity=entity).to_dicts()
    return {name: value for name, value in row.items() if value and name not in ("entity", "position", "domain")}


def differences(warehouse: Warehouse, entity: str) -> list[tuple[Any, ...]]:
    return reconciliation_differences(warehouse, entity).drop("entity").rows()


def order(warehouse: Warehouse, key: str = "1") -> dict[str, Any]:
    rebuild_reports(warehouse, "run-1")
    statement = sa.select(ORDER_RECONCILIATION).where(ORDER_RECONCILIATION.c.key == key)
    (row,) = warehouse.read(statement).to_dicts()
    return row


GROUP: Row = {"key": "1", "name": "Trade"}
CUSTOMER: Row = {"name": "Ada", "is_company": False, "email": "ada@example.com", "active": True}


class TestSummary:
    def test_equal_rows_match(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            both(tx, "customer_groups", GROUP, {"key": "2", "name": "Staff"})
        assert summary(warehouse, "customer_groups") == {
            "shop_count": 2, "unierp_count": 2, "matched": 2, "accuracy_percent": D("100.0000"),
        }  # fmt: skip
        assert reconciliation(warehouse).differences == 0
        assert reconciliation(warehouse).accuracy == D("100.0000")

    def test_what_unierp_adds_where_the_shop_never_had_anything_is_no_difference(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            both(tx, "customers", CUSTOMER | {"key": "1"}, CUSTOMER | {"key": "2"})
            unierp(tx, "customers", CUSTOMER | {"key": "1", "email": "ada@example.com"})
            shop(tx, "customers", CUSTOMER | {"key": "1", "email": None}, CUSTOMER | {"key": "2", "email": None})
            tx.upsert(BASE["customers"], pl.DataFrame([{"key": "2", "email": "ada@example.com"}]))
        assert [row[0] for row in differences(warehouse, "customers")] == ["2"]

    def test_one_differing_field_makes_a_differing_row_and_is_named(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            both(tx, "customer_groups", GROUP, {"key": "2", "name": "Staff"}, {"key": "3", "name": "Friends"})
            unierp(tx, "customer_groups", {"key": "2", "name": "Crew"})
        assert summary(warehouse, "customer_groups") == {
            "shop_count": 3, "unierp_count": 3, "matched": 2, "differing": 1, "accuracy_percent": D("66.6666"),
        }  # fmt: skip
        assert reconciliation(warehouse).differences == 1
        assert reconciliation(warehouse).accuracy == D("66.6666")
        assert reconciliation(warehouse, ["taxes"]).differences == 0
        assert differences(warehouse, "customer_groups") == [
            ("2", "name", "Staff", "Crew", "the two never agreed on it")
        ]

    @pytest.mark.parametrize(
        ("agreed", "reason"),
        [("Staff", "it was changed in UniERP"), ("Crew", "it was changed in the shop"), ("X", "both changed it")],
    )
    def test_a_difference_tells_which_side_moved(self, warehouse: Warehouse, agreed: str, reason: str) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "customer_groups", {"key": "2", "name": "Staff"})
            unierp(tx, "customer_groups", {"key": "2", "name": "Crew"})
            tx.upsert(BASE["customer_groups"], pl.DataFrame({"key": ["2"], "name": [agreed]}))
        assert differences(warehouse, "customer_groups") == [("2", "name", "Staff", "Crew", reason)]

    def test_what_unierp_has_not_or_no_longer_has_is_missing(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "customer_groups", GROUP)
            both(tx, "customer_groups", {"key": "2", "name": "Staff"})
            deleted_in_unierp(tx, "customer_groups", "2")
            pending(tx, "customer_groups", "2", "the server said no", state="failed")
        assert summary(warehouse, "customer_groups") == {"shop_count": 2, "missing": 2}
        assert differences(warehouse, "customer_groups") == [
            ("1", "", None, None, "it is not in UniERP"),
            ("2", "", None, None, "the server said no"),
        ]

    def test_held_and_quarantined_rows_are_counted_apart_and_are_no_differences(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            both(tx, "customer_groups", GROUP)
            shop(tx, "customer_groups", {"key": "2", "name": "Staff"})
            pending(tx, "customer_groups", "2", "waits")
            shop(tx, "customer_groups", {"key": "3", "name": None}, status="quarantined")
            unierp(tx, "customer_groups", {"key": "3", "name": "Friends"})
        assert summary(warehouse, "customer_groups") == {
            "shop_count": 2, "unierp_count": 2, "matched": 1, "held": 1, "quarantined": 1,
            "accuracy_percent": D("100.0000"),
        }  # fmt: skip
        assert reconciliation(warehouse).differences == 0
        assert differences(warehouse, "customer_groups") == []

    @pytest.mark.parametrize("status", ["new", "withdrawn"])
    def test_rows_that_have_not_passed_the_gate_or_are_gone_are_not_compared(
        self, warehouse: Warehouse, status: str
    ) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "customer_groups", GROUP, status=status)
        assert summary(warehouse, "customer_groups") == {"accuracy_percent": D("100.0000")}

    def test_what_should_have_gone_with_its_row_is_surplus(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            price = {"variant": "1", "price_list": "EUR", "amount": D("1.00")}
            shop(tx, "prices", {"key": "1", **price}, status="withdrawn")
            unierp(tx, "prices", {"key": "1", **price}, {"key": "2", **price})
        assert summary(warehouse, "prices") == {"unierp_count": 2, "surplus": 2}
        assert [row[0] for row in differences(warehouse, "prices")] == ["1", "2"]

    def test_what_was_archived_or_is_kept_is_not_surplus(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            customer = {"name": "Ada", "is_company": False}
            shop(tx, "customers", {"key": "1", **customer}, {"key": "2", **customer}, status="withdrawn")
            unierp(tx, "customers", {"key": "1", **customer, "active": False}, {"key": "2", **customer, "active": True})
            shop(tx, "customer_groups", GROUP, status="withdrawn")
            unierp(tx, "customer_groups", GROUP)
        assert summary(warehouse, "customers")["surplus"] == 1
        assert "surplus" not in summary(warehouse, "customer_groups")
        assert [row[0] for row in differences(warehouse, "customers")] == ["2"]

    def test_numbers_and_booleans_odoo_cannot_leave_empty_are_zero_and_false(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "variants", {"key": "1", "sku": "A", "weight": None, "active": None})
            unierp(tx, "variants", {"key": "1", "sku": "A", "weight": D("0.00"), "active": False})
        assert summary(warehouse, "variants")["matched"] == 1

    def test_a_cent_is_a_difference(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "variants", {"key": "1", "sku": "A", "cost": D("9999999999.99")})
            unierp(tx, "variants", {"key": "1", "sku": "A", "cost": D("9999999999.98")})
        assert differences(warehouse, "variants") == [
            ("1", "cost", "9999999999.99", "9999999999.98", "the two never agreed on it")
        ]

    def test_what_unierp_computes_is_compared_too(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            both(tx, "orders", ORDER)
            unierp(tx, "orders", {"key": "1", "total": D("118.99")})
        assert differences(warehouse, "orders") == [("1", "total", "119.00", "118.99", "UniERP computes another value")]

    def test_instants_are_shown_in_utc(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            both(tx, "orders", ORDER)
            unierp(tx, "orders", {"key": "1", "ordered_at": datetime(2024, 5, 2, tzinfo=UTC)})
        assert [row[1:4] for row in differences(warehouse, "orders")] == [
            ("ordered_at", "2024-05-01T23:30:00Z", "2024-05-02T00:00:00Z")
        ]

    def test_differences_come_in_the_order_of_loading_and_no_more_than_asked(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "customer_groups", *({"key": str(key), "name": "x"} for key in (10, 9, 1)))
            shop(tx, "taxes", {"key": "DE19", "name": "19 %"})
        found = reconciliation_differences(warehouse, limit=3)
        assert found.select("entity", "key").rows() == [
            ("taxes", "DE19"), ("customer_groups", "1"), ("customer_groups", "9"),
        ]  # fmt: skip
        assert reconciliation_differences(warehouse, "orders").is_empty()

    def test_one_difference_in_a_million_does_not_round_to_perfect(self, warehouse: Warehouse) -> None:
        many = pl.DataFrame({"key": pl.int_range(30_000, eager=True).cast(pl.String)}).with_columns(name=pl.lit("x"))
        with warehouse.transaction() as tx:
            tx.upsert(STAGING["customer_groups"], many.with_columns(_status=pl.lit("accepted")))
            tx.upsert(LANDING_UNIERP["customer_groups"], many.tail(-1))
        assert summary(warehouse, "customer_groups")["accuracy_percent"] == D("99.9966")

    def test_nothing_was_compared_before_the_first_rebuild(self, warehouse: Warehouse) -> None:
        assert reconciliation(warehouse).accuracy == 0
        assert reconciliation(warehouse).by_entity.is_empty()


class TestMergedDuplicates:
    def test_they_match_with_the_row_that_stands_for_them(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            both(tx, "customers", {"key": "1", **CUSTOMER})
            shop(tx, "customers", {"key": "2", **CUSTOMER}, {"key": "3", **CUSTOMER}, status="merged")
            merged(tx, "customers", "2", "1")
            merged(tx, "customers", "3", "2")
        assert summary(warehouse, "customers") == {
            "shop_count": 3, "unierp_count": 1, "matched": 3, "accuracy_percent": D("100.0000"),
        }  # fmt: skip

    def test_a_difference_is_counted_once_and_what_waits_waits_with_them(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "customers", {"key": "1", **CUSTOMER}, {"key": "3", **CUSTOMER})
            shop(tx, "customers", {"key": "2", **CUSTOMER}, {"key": "4", **CUSTOMER}, status="merged")
            merged(tx, "customers", "2", "1")
            merged(tx, "customers", "4", "3")
            pending(tx, "customers", "3", "waits")
        found = summary(warehouse, "customers")
        assert {name: found[name] for name in ("shop_count", "matched", "missing", "held")} == {
            "shop_count": 4, "matched": 1, "missing": 1, "held": 2,
        }  # fmt: skip

    @pytest.mark.parametrize("into", ["9", None])
    def test_merged_into_nothing_they_are_missing(self, warehouse: Warehouse, into: str | None) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "customers", {"key": "2", **CUSTOMER}, status="merged")
            if into:
                merged(tx, "customers", "2", into)
        assert summary(warehouse, "customers") == {"shop_count": 1, "missing": 1}
        assert differences(warehouse, "customers") == [("2", "", None, None, "the row it was merged into is not there")]

    def test_rows_merged_in_a_circle_do_not_hang(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "customers", {"key": "1", **CUSTOMER}, {"key": "2", **CUSTOMER}, status="merged")
            merged(tx, "customers", "1", "2")
            merged(tx, "customers", "2", "1")
        assert summary(warehouse, "customers")["missing"] == 2

    @pytest.mark.parametrize("read_as", ["1", "2"])
    def test_a_reference_to_a_duplicate_is_one_to_the_row_that_stands_for_it(
        self, warehouse: Warehouse, read_as: str
    ) -> None:
        with warehouse.transaction() as tx:
            both(tx, "orders", {**ORDER, "customer": "3"})
            unierp(tx, "orders", {"key": "1", "customer": read_as})
            merged(tx, "customers", "3", "2")
            merged(tx, "customers", "2", "1")
            merged(tx, "addresses", "3", "4")
        assert differences(warehouse, "orders") == []
        with warehouse.transaction() as tx:
            unierp(tx, "orders", {"key": "1", "customer": "5"})
        assert [row[1:4] for row in differences(warehouse, "orders")] == [("customer", "3", "5")]

    def test_sets_are_equal_once_duplicates_are_replaced(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            both(tx, "customers", {"key": "1", **CUSTOMER, "groups": "1,2,3"})
            unierp(tx, "customers", {"key": "1", "groups": "1,3"})
        assert [row[1:4] for row in differences(warehouse, "customers")] == [("groups", "1,2,3", "1,3")]
        with warehouse.transaction() as tx:
            merged(tx, "customer_groups", "2", "1")
        assert differences(warehouse, "customers") == []


def complete(tx: Transaction) -> None:
    """An order that went all the way on both sides."""
    both(tx, "orders", ORDER)
    both(tx, "order_lines", {"key": "11", "order": "1", "position": 1, "quantity": D(1), "total": D("119.00")})
    shop(tx, "invoices", INVOICE)
    unierp(tx, "invoices", {**INVOICE, "residual": D("0.00")})
    both(tx, "payments", PAYMENT)


class TestOrders:
    def test_an_order_that_agrees_everywhere_matches(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
        assert order(warehouse) == {
            "key": "1", "number": "S-1", "currency": "EUR", "shop_total": D("119.00"), "unierp_total": D("119.00"),
            "invoiced": D("119.00"), "paid_shop": D("119.00"), "paid_unierp": D("119.00"), "difference": D("0.00"),
            "shop_state": "confirmed", "unierp_state": "confirmed", "state": "matched", "reason": None,
        }  # fmt: skip

    def test_an_order_nobody_loaded_yet_is_pending(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "orders", ORDER)
        row = order(warehouse)
        assert (row["state"], row["reason"]) == ("pending", "is not in UniERP")
        assert (row["unierp_total"], row["difference"], row["unierp_state"]) == (None, None, None)
        assert (row["invoiced"], row["paid_unierp"]) == (D("0.00"), D("0.00"))

    def test_an_order_that_vanished_from_unierp_is_missing(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            both(tx, "orders", ORDER)
            deleted_in_unierp(tx, "orders", "1")
        row = order(warehouse)
        assert (row["state"], row["unierp_total"], row["difference"]) == ("missing", None, None)

    def test_a_total_off_by_a_cent_is_held_with_the_reason_of_the_engine(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
            unierp(tx, "orders", {"key": "1", "total": D("119.01")})
            pending(tx, "orders", "1", "total is 119.01 in UniERP and 119.00 in the shop")
        row = order(warehouse)
        assert (row["state"], row["difference"]) == ("held", D("-0.01"))
        assert row["reason"] == "total is 119.01 in UniERP and 119.00 in the shop"

    def test_a_total_off_by_a_cent_that_nobody_holds_differs(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
            unierp(tx, "orders", {"key": "1", "total": D("119.01")})
        row = order(warehouse)
        assert row["state"] == "differs"
        assert row["reason"] == "total is 119.01 in UniERP and 119.00 in the shop; differs in total"

    def test_what_waits_with_the_order_is_not_told_again_for_its_documents(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "orders", ORDER)
            shop(tx, "invoices", INVOICE)
            pending(tx, "orders", "1", "waits for customers 7")
            pending(tx, "invoices", "1", "waits for orders 1")
        assert order(warehouse)["reason"] == "waits for customers 7"

    def test_a_document_that_is_held_holds_its_order(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
            pending(tx, "payments", "9", "the journal is locked")
            pending(tx, "order_lines", "11", "looks odd")
        row = order(warehouse)
        assert (row["state"], row["reason"]) == ("held", "line 11 looks odd; payment 9 the journal is locked")

    def test_an_order_that_failed_the_gate_is_quarantined_with_the_reason(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "orders", ORDER, status="quarantined")
            quarantined(tx, "orders", "1", "total is not the sum of the lines")
        row = order(warehouse)
        assert (row["state"], row["reason"]) == ("quarantined", "total is not the sum of the lines")

    def test_an_order_with_a_part_that_failed_the_gate_is_quarantined(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
            shop(tx, "payments", {**PAYMENT, "key": "10", "amount": D("500.00")}, status="quarantined")
            quarantined(tx, "payments", "10", "is above the total")
        row = order(warehouse)
        assert (row["state"], row["reason"]) == ("quarantined", "payment 10 is above the total")
        assert (row["paid_shop"], row["paid_unierp"]) == (D("619.00"), D("119.00"))

    def test_a_mended_row_is_no_longer_told(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
            quarantined(tx, "payments", "9", "was wrong once")
        assert order(warehouse)["state"] == "matched"

    def test_an_invoice_that_is_not_posted_is_told(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
            unierp(tx, "invoices", {"key": "1", "state": "draft"})
        row = order(warehouse)
        assert (row["state"], row["invoiced"]) == ("differs", D("0.00"))
        assert row["reason"] == "invoiced are 0 and due 119.00; invoice 1 differs in state"

    def test_a_payment_that_is_not_in_unierp_is_told(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
            unierp(tx, "invoices", {"key": "1", "residual": D("119.00")})
            deleted_in_unierp(tx, "payments", "9")
        row = order(warehouse)
        assert (row["state"], row["paid_shop"], row["paid_unierp"]) == ("differs", D("119.00"), D("0.00"))
        assert row["reason"] == "paid are 0 in UniERP and 119.00 in the shop; payment 9 is not in UniERP"

    def test_a_payment_that_does_not_pay_its_invoice_is_told(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
            unierp(tx, "invoices", {"key": "1", "residual": D("119.00")})
        assert order(warehouse)["reason"] == "its invoices have 119.00 open where 0.00 should be"

    def test_a_cancelled_order_that_is_confirmed_in_unierp_differs(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            both(tx, "orders", ORDER)
            shop(tx, "orders", {"key": "1", "state": "cancelled"})
        row = order(warehouse)
        assert (row["state"], row["shop_state"], row["unierp_state"]) == ("differs", "cancelled", "confirmed")

    def test_what_the_server_refused_is_told(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
            unierp(tx, "orders", {"key": "1", "state": "pending"})
            pending(tx, "orders", "1", "the period is closed", state="failed")
        row = order(warehouse)
        assert row["state"] == "differs"
        assert "the period is closed" in row["reason"]

    def test_the_payments_of_an_order_add_up(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
            both(
                tx,
                "payments",
                {**PAYMENT, "amount": D("100.00")},
                {**PAYMENT, "key": "10", "amount": D("19.00")},
            )
        row = order(warehouse)
        assert (row["paid_shop"], row["paid_unierp"], row["state"]) == (D("119.00"), D("119.00"), "matched")

    @pytest.mark.parametrize("status", ["new", "withdrawn"])
    def test_orders_that_were_not_validated_or_are_gone_have_no_row(self, warehouse: Warehouse, status: str) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "orders", ORDER, status=status)
        rebuild_reports(warehouse, "run-1")
        assert warehouse.read(ORDER_RECONCILIATION).is_empty()


class TestSales:
    def rates(self, tx: Transaction, *rates: tuple[str, date, str], status: str = "accepted") -> None:
        rows = [
            {"key": f"{currency}{day}", "currency": currency, "day": day, "rate": D(rate)}
            for currency, day, rate in rates
        ]
        shop(tx, "currency_rates", *rows, status=status)

    def sales(self, warehouse: Warehouse) -> list[dict[str, Any]]:
        rebuild_reports(warehouse, "run-1")
        columns = SALES_DAILY.c
        return warehouse.read(
            sa.select(SALES_DAILY).order_by(columns.day, columns.channel, columns.currency)
        ).to_dicts()

    def test_a_day_is_one_of_utc_and_amounts_are_in_both_currencies(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "orders", ORDER)
            self.rates(tx, ("EUR", date(2024, 4, 30), "0.93"))
        assert self.sales(warehouse) == [
            {
                "day": date(2024, 5, 1), "channel": "web", "currency": "EUR", "orders": 1,
                "gross": D("119.00"), "discount": D("2.00"), "tax": D("19.00"), "net": D("100.00"),
                "shipping": D("5.95"), "company_currency": "USD",
                "gross_company": D("127.96"), "discount_company": D("2.15"), "tax_company": D("20.43"),
                "net_company": D("107.53"), "shipping_company": D("6.40"),
            }
        ]  # fmt: skip

    def test_the_latest_rate_on_or_before_the_day_holds(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "orders", {**ORDER, "total": D("100.00")})
            self.rates(
                tx,
                ("EUR", date(2024, 1, 1), "4"),
                ("EUR", date(2024, 5, 1), "2"),
                ("EUR", date(2024, 5, 2), "1"),
                ("GBP", date(2024, 5, 1), "8"),
            )
            self.rates(tx, ("EUR", date(2024, 4, 30), "16"), status="quarantined")
        assert self.sales(warehouse)[0]["gross_company"] == D("50.00")

    def test_each_order_is_rounded_before_the_sum(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            cents = {**ORDER, "total": D("0.01"), "tax_total": D(0), "discount_total": D(0), "shipping_total": D(0)}
            shop(tx, "orders", *({**cents, "key": str(key)} for key in range(3)))
            self.rates(tx, ("EUR", date(2024, 1, 1), "2"))
        (row,) = self.sales(warehouse)
        assert (row["orders"], row["gross"], row["gross_company"]) == (3, D("0.03"), D("0.03"))

    def test_without_a_rate_for_every_order_there_is_no_sum_rather_than_a_wrong_one(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "orders", ORDER, {**ORDER, "key": "2", "currency": "USD"})
            self.rates(tx, ("EUR", date(2024, 5, 2), "0.93"))
        euros, dollars = self.sales(warehouse)
        assert (euros["gross"], euros["gross_company"], euros["net_company"]) == (D("119.00"), None, None)
        assert (dollars["gross"], dollars["gross_company"], dollars["net_company"]) == (
            D("119.00"), D("119.00"), D("100.00"),
        )  # fmt: skip

    def test_days_channels_and_currencies_are_apart(self, warehouse: Warehouse) -> None:
        later = datetime(2024, 5, 2, 0, 0, tzinfo=UTC)
        with warehouse.transaction() as tx:
            shop(
                tx,
                "orders",
                ORDER,
                {**ORDER, "key": "2"},
                {**ORDER, "key": "3", "channel": None},
                {**ORDER, "key": "4", "currency": "GBP"},
                {**ORDER, "key": "5", "ordered_at": later},
            )
        assert [(row["day"].day, row["channel"], row["currency"], row["orders"]) for row in self.sales(warehouse)] == [
            (1, "unknown", "EUR", 1), (1, "web", "EUR", 2), (1, "web", "GBP", 1), (2, "web", "EUR", 1),
        ]  # fmt: skip

    def test_only_confirmed_orders_that_passed_the_gate_are_sales(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "orders", {**ORDER, "state": "pending"}, {**ORDER, "key": "2", "state": "cancelled"})
            shop(tx, "orders", {**ORDER, "key": "3"}, status="quarantined")
            shop(tx, "orders", {**ORDER, "key": "4"}, status="withdrawn")
        assert self.sales(warehouse) == []


class TestStock:
    def test_each_variant_and_location_shows_both_sides(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "variants", {"key": "5", "sku": "PH-1"})
            shop(tx, "locations", {"key": "2", "name": "Berlin"})
            level = {"variant": "5", "available": D("3.00")}
            shop(tx, "stock_levels", {"key": "1", "location": "2", **level}, {"key": "2", "location": "3", **level})
            unierp(tx, "stock_levels", {"key": "1", "available": D("1.50")})
        rebuild_reports(warehouse, "run-1")
        rows = warehouse.read(sa.select(STOCK_RECONCILIATION).order_by(STOCK_RECONCILIATION.c.location)).rows()
        assert rows == [
            ("5", "2", "PH-1", "Berlin", D("3.00"), D("1.50"), D("1.50")),
            ("5", "3", "PH-1", None, D("3.00"), None, None),
        ]


class TestRebuilding:
    def test_nothing_is_rebuilt_while_nothing_changes(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
        first = rebuild_reports(warehouse, "run-1")
        assert first == {
            "sales_daily": 1, "stock_reconciliation": 0, "order_reconciliation": 1,
            "reconciliation_summary": len(ENTITIES),
        }  # fmt: skip
        assert rebuild_reports(warehouse, "run-2") == {}

    def test_a_change_rebuilds_what_it_concerns(self, warehouse: Warehouse) -> None:
        rebuild_reports(warehouse, "run-1")
        with warehouse.transaction() as tx:
            shop(tx, "stock_levels", {"key": "1", "variant": "1", "location": "1", "available": D(1)})
        rebuilt = set(rebuild_reports(warehouse, "run-2"))
        assert rebuilt == {"stock_reconciliation", "reconciliation_summary"}
        assert reconciliation(warehouse, ["stock_levels"]).differences == 1

    def test_a_merge_is_seen_by_those_who_refer_to_the_duplicate(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "addresses", {"key": "1", "customer": "7"})
            unierp(tx, "addresses", {"key": "1", "customer": "8"})
        rebuild_reports(warehouse, "run-1")
        assert reconciliation(warehouse, ["addresses"]).differences == 1
        with warehouse.transaction() as tx:
            merged(tx, "customers", "7", "8")
        rebuild_reports(warehouse, "run-2")
        assert reconciliation(warehouse, ["addresses"]).differences == 0

    @pytest.mark.parametrize("what", ["pending", "settled", "quarantine", "merge"])
    def test_what_the_engine_notes_beside_the_rows_counts_as_a_change(self, warehouse: Warehouse, what: str) -> None:
        with warehouse.transaction() as tx:
            shop(tx, "orders", ORDER)
            pending(tx, "orders", "2", "waits")
        rebuild_reports(warehouse, "run-1")
        with warehouse.transaction() as tx:
            match what:
                case "pending":
                    pending(tx, "orders", "1", "waits")
                case "settled":
                    tx.delete(PENDING, pl.DataFrame({"key": ["2"]}))
                case "quarantine":
                    quarantined(tx, "orders", "1", "wrong")
                case "merge":
                    merged(tx, "customers", "7", "8")
        assert set(rebuild_reports(warehouse, "run-2")) == {"order_reconciliation", "reconciliation_summary"}

    def test_an_entity_that_is_no_more_leaves_the_summary(self, warehouse: Warehouse) -> None:
        rebuild_reports(warehouse, "run-1")
        summary = warehouse.read(RECONCILIATION_SUMMARY)
        former = summary.head(1).with_columns(entity=pl.lit("former"), missing=pl.lit(5, pl.Int64))
        with warehouse.transaction() as tx:
            tx.upsert(RECONCILIATION_SUMMARY, former)
            shop(tx, "stock_levels", {"key": "1", "variant": "1", "location": "1", "available": D(1)})
        rebuild_reports(warehouse, "run-2")
        assert reconciliation(warehouse).differences == 1

    def test_rows_that_are_gone_leave_the_reports(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            complete(tx)
        rebuild_reports(warehouse, "run-1")
        with warehouse.transaction() as tx:
            tx.update_rows(STAGING["orders"], pl.DataFrame({"key": ["1"], "_status": ["withdrawn"]}), ["_status"])
        assert rebuild_reports(warehouse, "run-2")["order_reconciliation"] == 0
        assert warehouse.read(SALES_DAILY).is_empty()
