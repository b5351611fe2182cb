"""The gate at work: what is validated when, and what becomes of it."""

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal as D
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pycountry
import pytest
import sqlalchemy as sa
from gate_rows import GOOD, changed, finding, found, gate_all, merges, stage, stage_accepted, status, withdraw

from unierp_assets.entities import ENTITIES
from unierp_assets.quality import GATE_ORDER, GateError, gate, gate_report, run_gate
from unierp_assets.quality.validation import Unmet
from unierp_assets.storefront.sample import Outcome, make_sample, write_sample
from unierp_assets.storefront.sql import SqlStorefront
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.extract import extract
from unierp_assets.sync.intake.stage import stage as stage_from_landing
from unierp_assets.warehouse import Warehouse, WarehouseLocked
from unierp_assets.warehouse.tables import BINDINGS, CURSORS, MERGES, QUARANTINE, STAGING


def tables_left(warehouse: Warehouse) -> list[str]:
    rows = sa.text("SELECT relname FROM pg_class WHERE relname LIKE '\\_batch%' AND relkind = 'r'")
    return warehouse.read(rows.columns(sa.column("relname", sa.Text)))["relname"].to_list()


@pytest.fixture
def shop(warehouse: Warehouse) -> Iterator[Warehouse]:
    """A warehouse with the good shop, all of it accepted."""
    stage_accepted(warehouse, GOOD)
    yield warehouse
    assert tables_left(warehouse) == []


@pytest.fixture
def own_suite(tmp_path: Path) -> Any:
    """Writes a suite of the attributes with queries of its own; returns the folder."""

    def write(*queries: str, outcome: str = "quarantine") -> Path:
        severity = "critical" if outcome == "quarantine" else "info"
        items = [
            {
                "type": "unexpected_rows_expectation",
                "kwargs": {"unexpected_rows_query": f"WITH batch AS (SELECT * FROM {{batch}}) SELECT batch.key{query}"},
                "severity": severity,
                "description": "It is as it should be.",
                "meta": {"rule": f"rule_{number}", "outcome": outcome, "remedy": "Mend it.", "column": "name"},
            }
            for number, query in enumerate(queries, 1)
        ]
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "attributes.json").write_text(json.dumps({"name": "attributes", "expectations": items}))
        return folder

    return write


# What is told


def test_a_finding_says_what_where_why_and_since_when(shop: Warehouse) -> None:
    stage(shop, changed("customers", "1", email="ada.example.com", email_is_valid=False))
    run_gate(shop, "customers", "second")
    assert status(shop, "customers", "1") == "quarantined"
    row = finding(shop, "customers", "1", "invalid_email")
    assert row["first_seen_at"] <= row["last_seen_at"]
    assert {name: row[name] for name in row if not name.endswith("_at")} == {
        "entity": "customers",
        "key": "1",
        "rule": "invalid_email",
        "expectation": "expect_column_values_to_be_in_set",
        "column": "email",
        "value": "ada.example.com",
        "message": "An e-mail address is well formed.",
        "remedy": "Ask the customer for the right address and correct it in the shop.",
        "severity": "critical",
        "outcome": "quarantine",
        "run_id": "second",
    }


@pytest.mark.parametrize(
    ("entity", "key", "values", "rule", "shown"),
    [
        ("prices", "1", {"amount": D("-12.50")}, "negative_price", "-12.50"),
        ("products", "1", {"name": None}, "empty_name", None),
        ("orders", "1", {"total": D("233.96")}, "totals_do_not_add_up", "233.96"),
        ("invoices", "1", {"invoice_date": date(1999, 1, 1)}, "impossible_date", "1999-01-01"),
    ],
)
def test_the_offending_value_is_told_as_text(
    shop: Warehouse, entity: str, key: str, values: dict[str, Any], rule: str, shown: str | None
) -> None:
    stage(shop, changed(entity, key, **values))
    run_gate(shop, entity, "second")
    assert finding(shop, entity, key, rule)["value"] == shown


def test_an_order_tells_which_of_its_lines_are_at_fault(shop: Warehouse) -> None:
    stage(shop, changed("order_lines", "2", quantity=D(0)))
    gate_all(shop)
    assert finding(shop, "orders", "1", "line_not_accepted")["value"] == "line 2"


def test_a_report_tells_how_the_entity_stands_and_what_was_looked_at(shop: Warehouse) -> None:
    stage(shop, changed("prices", "2", amount=D(-1)))
    stage(shop, changed("prices", "3", amount=D(-2)))
    report = run_gate(shop, "prices", "second")
    assert (report.entity, report.accepted, report.quarantined, report.merged) == ("prices", 3, 2, 0)
    # The other price of the list and variant looks at them.
    assert report.validated == 4
    (result,) = report.unmet
    assert (result.rule, result.unexpected_count) == ("negative_price", 2)
    assert [(example.key, example.value) for example in result.examples] == [("2", "-1.00"), ("3", "-2.00")]
    again = run_gate(shop, "prices", "third")
    assert (again.validated, again.quarantined, again.unmet) == (0, 2, report.unmet)
    assert gate_report(shop, "prices").unmet == report.unmet


def test_a_warning_is_told_and_stops_nothing(shop: Warehouse) -> None:
    stage(shop, changed("orders", "2", number=None))
    report = run_gate(shop, "orders", "second")
    assert status(shop, "orders", "2") == "accepted"
    assert (report.accepted, report.quarantined, report.warned) == (2, 0, 1)
    assert finding(shop, "orders", "2", "missing_number")["outcome"] == "warn"


def test_a_row_that_is_stopped_is_not_counted_as_warned(shop: Warehouse) -> None:
    stage(shop, changed("orders", "2", number=None, ordered_at=None))
    report = run_gate(shop, "orders", "second")
    assert (report.accepted, report.quarantined, report.warned) == (1, 1, 0)


# All of them


def test_no_row_slips_through_however_many_are_at_fault(warehouse: Warehouse) -> None:
    """Great Expectations lists at most 20 rows for columns and 200 for queries."""
    count = 5_000
    rows = [
        {"key": str(number), "name": None if number % 2 else f"B\x07{number}", "category": "99", "tax": "?"}
        for number in range(1, count + 1)
    ]
    stage(warehouse, {"products": [*rows, {"key": "0", "name": "Good"}]})
    report = run_gate(warehouse, "products", "run")
    assert {result.rule: result.unexpected_count for result in report.unmet} == {
        "empty_name": count // 2,
        "control_characters": count // 2,
        "product_of_missing_category": count,
        "unknown_tax": count,
    }
    assert (report.validated, report.accepted, report.quarantined) == (count + 1, 1, count)
    assert status(warehouse, "products", "0") == "accepted"
    assert warehouse.read(sa.select(sa.func.count().label("n")).select_from(QUARANTINE)).item() == 3 * count


# When it is looked at again


def test_where_nothing_changed_nothing_is_validated(shop: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("Great Expectations was asked")

    monkeypatch.setattr(gate, "validate", never)
    assert {name: report.validated for name, report in gate_all(shop).items()} == dict.fromkeys(GATE_ORDER, 0)


def test_after_a_run_that_changed_much_nothing_is_validated(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although orders got their status after their lines, which look at them, were validated."""
    stage(warehouse, GOOD)
    gate_all(warehouse)
    monkeypatch.delattr(gate, "validate")
    assert {name: report.validated for name, report in gate_all(warehouse).items()} == dict.fromkeys(GATE_ORDER, 0)
    before = warehouse.read(CURSORS)
    gate_all(warehouse)
    assert warehouse.read(CURSORS).equals(before)


def test_a_row_leaves_quarantine_by_itself_once_it_is_mended(shop: Warehouse) -> None:
    stage(shop, changed("products", "2", name=None, tax="?"))
    run_gate(shop, "products", "second")
    first = finding(shop, "products", "2", "empty_name")
    stage(shop, changed("products", "2", name=None))
    run_gate(shop, "products", "third")
    still = finding(shop, "products", "2", "empty_name")
    assert found(shop, "products") == {("products", "2"): {"empty_name"}}
    assert (still["first_seen_at"], still["run_id"]) == (first["first_seen_at"], "third")
    assert still["last_seen_at"] > first["last_seen_at"]
    stage(shop, changed("products", "2"))
    run_gate(shop, "products", "fourth")
    assert status(shop, "products", "2") == "accepted"
    assert found(shop) == {}


def test_what_refers_to_a_mended_row_leaves_with_it(shop: Warehouse) -> None:
    stage(shop, changed("products", "1", name=None))
    gate_all(shop, "second")
    assert found(shop) == {
        ("products", "1"): {"empty_name"},
        ("variants", "9"): {"product_not_accepted"},
        ("variants", "10"): {"product_not_accepted"},
        **{("prices", str(key)): {"price_of_missing_variant"} for key in (1, 2, 3, 4)},
        **{("stock_levels", str(key)): {"stock_of_missing_variant"} for key in (1, 2)},
        ("order_lines", "1"): {"line_of_missing_variant"},
        ("orders", "1"): {"line_not_accepted"},
        **{("shipments", str(key)): {"shipment_of_missing_order"} for key in (1, 2)},
        ("invoices", "1"): {"invoice_of_missing_order"},
        **{("payments", str(key)): {"payment_of_missing_order"} for key in (1, 2)},
    }
    assert status(shop, "prices", "5") == "accepted"
    assert status(shop, "orders", "2") == "accepted"
    stage(shop, changed("products", "1"))
    gate_all(shop, "third")
    assert found(shop) == {}
    assert {status(shop, name, row["key"]) for name, rows in GOOD.items() for row in rows} == {"accepted"}


def test_an_accepted_row_is_stopped_when_what_it_refers_to_goes(shop: Warehouse) -> None:
    withdraw(shop, "variants", "9")
    run_gate(shop, "variants", "second")
    run_gate(shop, "prices", "second")
    assert found(shop) == {("prices", key): {"price_of_missing_variant"} for key in ("1", "2", "3", "4")}


def test_a_set_of_references_is_looked_at_one_by_one(shop: Warehouse) -> None:
    withdraw(shop, "attribute_values", "2")
    report = run_gate(shop, "variants", "second")
    assert report.validated == 1
    assert found(shop) == {("variants", "10"): {"unknown_attribute_value"}}


def test_of_two_with_one_sku_the_later_key_is_at_fault_whichever_came_first(shop: Warehouse) -> None:
    stage(shop, changed("variants", "9", sku="N-W"))
    run_gate(shop, "variants", "second")
    assert found(shop) == {("variants", "10"): {"duplicate_sku"}}
    assert status(shop, "variants", "10") == "quarantined"
    # The earlier one is given another SKU: the later one had not changed, and is free.
    stage(shop, changed("variants", "9", sku="N-X"))
    run_gate(shop, "variants", "third")
    assert found(shop) == {}
    assert status(shop, "variants", "10") == "accepted"


def test_an_order_is_validated_again_when_a_line_of_it_changes(shop: Warehouse) -> None:
    stage(shop, changed("order_lines", "2", unit_price=D("4.95"), total=D("4.95"), tax_amount=D("0.79")))
    gate_all(shop)
    assert found(shop, "orders") == {("orders", "1"): {"totals_do_not_add_up", "shipping_does_not_add_up"}}
    stage(shop, changed("order_lines", "2"))
    gate_all(shop)
    assert found(shop) == {}


def test_an_order_is_validated_again_when_it_gets_or_loses_a_line(shop: Warehouse) -> None:
    stage(shop, {"order_lines": [{**GOOD["order_lines"][2], "key": "4", "position": 2}]})
    gate_all(shop)
    assert found(shop) == {("orders", "2"): {"totals_do_not_add_up"}}
    withdraw(shop, "order_lines", "4")
    gate_all(shop)
    assert found(shop) == {}


def test_a_category_tree_is_accepted_and_refused_to_the_leaves(shop: Warehouse) -> None:
    deep = [{"key": str(key), "name": f"Level {key}", "parent": str(key - 1)} for key in range(3, 7)]
    stage(shop, {"categories": deep})
    run_gate(shop, "categories", "second")
    assert found(shop) == {}
    withdraw(shop, "categories", "1")
    run_gate(shop, "categories", "third")
    assert set(found(shop)) == {("categories", str(key)) for key in range(2, 7)}
    stage(shop, changed("categories", "1"))
    run_gate(shop, "categories", "fourth")
    assert found(shop) == {}


def test_an_order_keeps_its_articles_though_the_shop_no_longer_has_them(shop: Warehouse) -> None:
    with shop.transaction() as tx:
        bound = {"entity": "variants", "key": "11", "model": "product.product", "odoo_id": 5}
        tx.execute(sa.insert(BINDINGS).values(**bound))
    withdraw(shop, "variants", "9", "11")
    withdraw(shop, "prices", *(row["key"] for row in GOOD["prices"]))
    withdraw(shop, "stock_levels", "1")
    gate_all(shop)
    # UniERP knows variant 11, but has never seen 9.
    assert found(shop, "order_lines") == {("order_lines", "1"): {"line_of_missing_variant"}}
    assert status(shop, "orders", "2") == "accepted"
    assert status(shop, "orders", "1") == "quarantined"


def test_an_order_keeps_its_customer_though_the_shop_no_longer_has_him(shop: Warehouse) -> None:
    with shop.transaction() as tx:
        tx.execute(sa.insert(BINDINGS).values(entity="customers", key="2", model="res.partner", odoo_id=2))
    withdraw(shop, "customers", "1", "2")
    gate_all(shop)
    # UniERP knows customer 2, whose address stays with him.
    assert found(shop, "addresses") == {("addresses", "1"): {"address_of_missing_customer"}}
    assert found(shop, "orders") == {("orders", "1"): {"order_of_missing_customer", "order_of_missing_address"}}


def test_an_order_keeps_its_currency_though_the_shop_sells_in_it_no_longer(shop: Warehouse) -> None:
    with shop.transaction() as tx:
        tx.execute(sa.insert(BINDINGS).values(entity="price_lists", key="EUR", model="product.pricelist", odoo_id=2))
    withdraw(shop, "price_lists", "EUR")
    run_gate(shop, "price_lists", "second")
    run_gate(shop, "prices", "second")
    run_gate(shop, "orders", "second")
    assert found(shop) == {("prices", key): {"unknown_currency"} for key in ("1", "2", "3")}


def test_what_the_shop_no_longer_has_is_no_longer_reported(shop: Warehouse) -> None:
    stage(shop, changed("products", "2", name=None))
    run_gate(shop, "products", "second")
    withdraw(shop, "products", "2")
    report = run_gate(shop, "products", "third")
    assert found(shop, "products") == {}
    assert (report.validated, report.quarantined) == (0, 0)
    assert status(shop, "products", "2") == "withdrawn"


def test_all_rows_are_validated_by_a_suite_that_changed(warehouse: Warehouse, own_suite: Any) -> None:
    stage(warehouse, {"attributes": GOOD["attributes"]})
    lenient = own_suite(" FROM batch WHERE false")
    assert run_gate(warehouse, "attributes", "first", lenient).accepted == 2
    strict = own_suite(" FROM batch WHERE batch.name = 'Colour'")
    report = run_gate(warehouse, "attributes", "second", strict)
    assert (report.validated, report.accepted, report.quarantined) == (2, 1, 1)
    assert run_gate(warehouse, "attributes", "third", strict).validated == 0
    assert run_gate(warehouse, "attributes", "fourth", lenient).quarantined == 0
    assert found(warehouse) == {}


# Merges


def test_guests_are_merged_into_the_registered_customer_whatever_the_keys(shop: Warehouse) -> None:
    guests = [
        {"key": key, "name": "A. Byron", "kind": "guest", "email": "ada@example.com", "email_is_valid": True}
        for key in ("0", "7")
    ]
    stage(shop, {"customers": guests})
    report = run_gate(shop, "customers", "second")
    assert merges(shop) == {"0": "1", "7": "1"}
    assert (report.accepted, report.merged) == (3, 2)
    assert status(shop, "customers", "7") == "merged"
    assert finding(shop, "customers", "7", "duplicate_guest")["outcome"] == "merge"


def test_among_guests_the_lowest_number_stays(shop: Warehouse) -> None:
    guests = [
        {"key": key, "name": "B.", "kind": "guest", "email": "bob@example.com", "email_is_valid": True}
        for key in ("10", "9")
    ]
    stage(shop, {"customers": guests})
    run_gate(shop, "customers", "second")
    assert merges(shop) == {"10": "2", "9": "2"}
    withdraw(shop, "customers", "2")
    run_gate(shop, "customers", "third")
    assert merges(shop) == {"10": "9"}
    assert status(shop, "customers", "9") == "accepted"


def test_a_merge_keeps_its_time_until_it_is_another(shop: Warehouse) -> None:
    guest = {"key": "9", "name": "B.", "kind": "guest", "email": "bob@example.com", "email_is_valid": True}
    stage(shop, {"customers": [guest]})
    run_gate(shop, "customers", "second")
    first = shop.read(MERGES).row(0, named=True)
    assert (first["into_key"], first["rule"], first["run_id"]) == ("2", "duplicate_guest", "second")
    stage(shop, {"customers": [guest | {"phone": "+44113496000"}]})
    run_gate(shop, "customers", "third")
    assert shop.read(MERGES).row(0, named=True) == first
    stage(shop, changed("customers", "1", email="bob@example.com"))
    run_gate(shop, "customers", "fourth")
    second = {row["key"]: row for row in shop.read(MERGES).rows(named=True)}
    assert {key: row["into_key"] for key, row in second.items()} == {"2": "1", "9": "1"}
    assert second["9"]["merged_at"] > first["merged_at"]


def test_a_guest_with_an_address_of_his_own_is_no_longer_merged(shop: Warehouse) -> None:
    guest = {"key": "9", "name": "B.", "kind": "guest", "email": "bob@example.com", "email_is_valid": True}
    stage(shop, {"customers": [guest]})
    run_gate(shop, "customers", "second")
    stage(shop, {"customers": [guest | {"email": "bobby@example.com"}]})
    run_gate(shop, "customers", "third")
    assert merges(shop) == {}
    assert status(shop, "customers", "9") == "accepted"


def test_a_duplicate_that_is_at_fault_itself_is_quarantined_not_merged(shop: Warehouse) -> None:
    guest = {
        "key": "9", "name": None, "kind": "guest", "email": "bob@example.com", "email_is_valid": True,
    }  # fmt: skip
    stage(shop, {"customers": [guest]})
    run_gate(shop, "customers", "second")
    assert found(shop) == {("customers", "9"): {"empty_name", "duplicate_guest"}}
    assert status(shop, "customers", "9") == "quarantined"
    assert merges(shop) == {}


# What must never happen


@pytest.mark.parametrize(
    ("queries", "outcome", "said"),
    [
        ((" FROM batch WHERE 1 / (length(batch.key) - length(batch.key)) = 1",), "quarantine", "division by zero"),
        ((" FROM batch WHERE batch.nmae = 'x'",), "quarantine", r"rule_1 could not be evaluated.*nmae does not exist"),
        ((" FROM batch WHERE false", " FROM batch WHERE batch.nmae = 'x'"), "warn", "rule_2 could not be evaluated"),
        ((" || 'x' AS key FROM batch",), "quarantine", "rule_1 returns rows that were not to be validated"),
        ((" FROM batch",), "merge", "does not say into which other row"),
        ((", batch.key AS into_key FROM batch",), "merge", "does not say into which other row"),
        ((" FROM batch LIMIT (SELECT 1 + nextval('sync.change_seq') % 100)",), "warn", "changed meanwhile"),
    ],
)
def test_a_rule_that_fails_accepts_nothing(
    warehouse: Warehouse, own_suite: Any, queries: tuple[str, ...], outcome: str, said: str
) -> None:
    stage(warehouse, {"attributes": [{"key": str(key), "name": f"N{key}"} for key in range(500)]})
    folder = own_suite(*queries, outcome=outcome)
    with pytest.raises(GateError, match=said) as error:
        run_gate(warehouse, "attributes", "run", folder)
    assert "attributes.json" in str(error.value)
    assert "[SQL" not in str(error.value)
    report = gate_report(warehouse, "attributes", folder=folder)
    assert (report.accepted, report.quarantined, report.merged) == (0, 0, 0)
    assert warehouse.read(CURSORS).is_empty()
    assert tables_left(warehouse) == []
    # Once the suite is mended, the same rows are validated.
    assert run_gate(warehouse, "attributes", "next").accepted == 500


def test_a_query_that_names_a_row_twice_finds_it_once(warehouse: Warehouse, own_suite: Any) -> None:
    stage(warehouse, {"attributes": GOOD["attributes"]})
    folder = own_suite(", 'seen' AS value FROM batch, generate_series(1, 3)")
    report = run_gate(warehouse, "attributes", "run", folder)
    assert [(result.unexpected_count, len(result.examples)) for result in report.unmet] == [(2, 2)]
    assert finding(warehouse, "attributes", "1", "rule_1")["value"] == "seen"


def test_a_regular_expression_may_have_colons_and_percent_signs(warehouse: Warehouse, tmp_path: Path) -> None:
    item = {
        "type": "expect_column_values_to_match_regex",
        "kwargs": {"column": "name", "regex": "^(?:a|:b)%d$"},
        "severity": "critical",
        "description": "It is as it should be.",
        "meta": {"rule": "pattern", "outcome": "quarantine", "remedy": "Mend it."},
    }
    (tmp_path / "attributes.json").write_text(json.dumps({"name": "attributes", "expectations": [item]}))
    stage(
        warehouse,
        {"attributes": [{"key": "1", "name": "a%d"}, {"key": "2", "name": ":b%d"}, {"key": "3", "name": "c"}]},
    )
    run_gate(warehouse, "attributes", "run", tmp_path)
    assert found(warehouse) == {("attributes", "3"): {"pattern"}}


def test_a_row_staged_anew_while_it_is_validated_is_not_accepted(
    shop: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = gate.validate

    def meanwhile(*arguments: Any) -> list[Unmet]:
        unmet = real(*arguments)
        stage(shop, changed("prices", "1", amount=D(-5)))
        return unmet

    stage(shop, changed("prices", "1", amount=D(5)))
    monkeypatch.setattr(gate, "validate", meanwhile)
    run_gate(shop, "prices", "second")
    assert status(shop, "prices", "1") == "new"
    monkeypatch.setattr(gate, "validate", real)
    run_gate(shop, "prices", "third")
    assert found(shop) == {("prices", "1"): {"negative_price"}}


def test_what_changes_around_a_row_while_it_is_validated_is_not_missed(
    shop: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = gate.validate

    def meanwhile(*arguments: Any) -> list[Unmet]:
        unmet = real(*arguments)
        withdraw(shop, "variants", "9")
        return unmet

    stage(shop, changed("prices", "1", amount=D(5)))
    monkeypatch.setattr(gate, "validate", meanwhile)
    run_gate(shop, "prices", "second")
    assert status(shop, "prices", "1") == "accepted"
    monkeypatch.setattr(gate, "validate", real)
    run_gate(shop, "prices", "third")
    assert status(shop, "prices", "1") == "quarantined"


def test_what_a_killed_gate_left_behind_does_not_disturb_the_next(shop: Warehouse) -> None:
    with shop.transaction() as tx:
        tx.execute(sa.text("CREATE TABLE staging._batch_products (key text)"))
    stage(shop, changed("products", "2", name="Another"))
    assert run_gate(shop, "products", "second").validated == 1


def test_two_gates_of_one_entity_do_not_run_at_once(shop: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_LOCK_SECONDS", 0)
    stage(shop, changed("products", "2", name="Another"))
    with shop.lock("gate:products"), pytest.raises(WarehouseLocked):
        run_gate(shop, "products", "second")
    assert run_gate(shop, "products", "third").validated == 1


def test_no_connection_is_left_open(shop: Warehouse) -> None:
    sessions = sa.text("SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'unierp gate'")
    assert shop.read(sessions.columns(sa.column("n", sa.BigInteger))).item() == 0


# The sample shop


def test_every_fault_of_the_sample_is_found_by_name_and_nothing_else(database: str, warehouse: Warehouse) -> None:
    sample = make_sample(40, 60, 80)
    write_sample(database, sample)
    storefront = SqlStorefront(database)
    context = SyncContext(warehouse, storefront, SimpleNamespace(), "run")  # type: ignore[arg-type]
    # UniERP knows every region there is.
    context.lookups = SimpleNamespace(ids=lambda *_: {each.code: 1 for each in pycountry.subdivisions})  # type: ignore[assignment]
    for table in storefront.tables():
        extract(context, table)
    for entity in ENTITIES.values():
        stage_from_landing(context, entity)
    storefront.close()
    reports = gate_all(warehouse)
    planted: dict[tuple[str, str], set[str]] = {}
    for fault in sample.faults:
        # What UniERP computes is not for the gate, and lines come before their order.
        if fault.outcome is not Outcome.HELD and fault.rule != "order_not_accepted":
            planted.setdefault((fault.table, fault.key), set()).add(fault.rule)
    assert found(warehouse) == planted
    assert len({rule for rules in planted.values() for rule in rules}) >= 24
    merged = {fault.key for fault in sample.faults if fault.outcome is Outcome.MERGED}
    for name, report in reports.items():
        at_fault = {key for table, key in planted if table == name} - (merged if name == "customers" else set())
        assert (report.quarantined, report.merged) == (len(at_fault), len(merged) if name == "customers" else 0)
    # Gating once more changes nothing, also when every row is looked at again.
    before = {name: warehouse.read(table) for name, table in STAGING.items()}
    with warehouse.transaction() as tx:
        tx.execute(sa.delete(CURSORS).where(CURSORS.c.name.like("gate:%")))
    gate_all(warehouse, "again")
    assert all(before[name].equals(warehouse.read(table)) for name, table in STAGING.items())
    assert found(warehouse) == planted
