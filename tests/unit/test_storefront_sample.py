"""The sample shop is the same every time; its good rows hold by the contract, its faults are all listed.

The rules are judged here once more, by plain Python over all rows and without the generator's help.
"""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import phonenumbers
import pycountry
import pytest
from email_validator import EmailNotValidError, validate_email
from stdnum import ean
from stdnum.eu import vat as eu_vat
from stdnum.gb import vat as gb_vat

from unierp_assets.storefront.contract import UPDATED_AT, contract_tables, key_column
from unierp_assets.storefront.sample import REFERENCE, RULES, Fault, Outcome, Sample, make_sample

Record = dict[str, Any]
CENT = Decimal("0.01")
TABLES = contract_tables()

REFERENCES = {
    ("exchange_rates", "currency"): "currencies",
    ("categories", "parent_id"): "categories",
    ("attribute_values", "attribute_id"): "attributes",
    ("products", "category_id"): "categories",
    ("products", "tax_code"): "taxes",
    ("variants", "product_id"): "products",
    ("variants", "cost_currency"): "currencies",
    ("prices", "variant_id"): "variants",
    ("prices", "currency"): "currencies",
    ("stock_levels", "variant_id"): "variants",
    ("stock_levels", "location_id"): "locations",
    ("customer_group_members", "customer_id"): "customers",
    ("customer_group_members", "group_id"): "customer_groups",
    ("addresses", "customer_id"): "customers",
    ("orders", "customer_id"): "customers",
    ("orders", "currency"): "currencies",
    ("orders", "billing_address_id"): "addresses",
    ("orders", "shipping_address_id"): "addresses",
    ("order_lines", "order_id"): "orders",
    ("order_lines", "variant_id"): "variants",
    ("order_lines", "tax_code"): "taxes",
    ("order_status_history", "order_id"): "orders",
    ("payments", "order_id"): "orders",
    ("payments", "currency"): "currencies",
    ("shipments", "order_id"): "orders",
    ("shipment_lines", "shipment_id"): "shipments",
    ("shipment_lines", "order_line_id"): "order_lines",
}


class Shop:
    """The rows of a sample by table and key, with those that must be loaded apart."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.all = {name: {r[key_column(TABLES[name]).name]: r for r in sample.records(name)} for name in TABLES}
        rejected = {(f.table, f.key) for f in sample.faults if f.outcome is Outcome.REJECTED}
        self.accepted = {
            name: {key: row for key, row in rows.items() if (name, str(key)) not in rejected}
            for name, rows in self.all.items()
        }

    def children(self, table: str, column: str, *, accepted: bool = True) -> dict[Any, list[Record]]:
        grouped = defaultdict(list)
        for row in (self.accepted if accepted else self.all)[table].values():
            grouped[row[column]].append(row)
        return grouped


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(make_sample(products=120, customers=150, orders=400, seed=11))


def fingerprint(sample: Sample) -> str:
    return hashlib.sha256(repr((sample.rows, sample.faults)).encode()).hexdigest()


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def line_amounts(line: Record, rate: Decimal, included: bool) -> tuple[Decimal, Decimal]:
    """Tax and total of a line by the contract's words."""
    amount = rounded(line["quantity"] * line["unit_price"] - line["discount_amount"])
    if included:
        return amount - rounded(amount / (1 + rate / 100)), amount
    tax = rounded(amount * rate / 100)
    return tax, amount + tax


# -- the same every time --------------------------------------------------------------------------------------------


def test_the_same_arguments_give_the_same_rows_and_another_seed_gives_others() -> None:
    first = fingerprint(make_sample(20, 20, 20, seed=3))
    assert fingerprint(make_sample(20, 20, 20, seed=3)) == first
    assert fingerprint(make_sample(20, 20, 20, seed=4)) != first


def test_another_process_with_another_hash_seed_and_time_zone_makes_the_same_rows() -> None:
    code = (
        "import hashlib; from unierp_assets.storefront.sample import make_sample; s = make_sample(20, 20, 20, seed=3);"
        "print(hashlib.sha256(repr((s.rows, s.faults)).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "TZ": "Pacific/Auckland"}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == fingerprint(make_sample(20, 20, 20, seed=3))


def test_more_orders_leave_the_catalogue_and_the_customers_as_they_are() -> None:
    few, many = make_sample(20, 20, 5), make_sample(20, 20, 50)
    for table, size in (("products", 20), ("customers", 20)):
        assert few.rows[table][:size] == many.rows[table][:size]


def test_it_ends_at_the_reference_instant_and_every_row_changed_in_the_ninety_days_before(shop: Shop) -> None:
    for rows in shop.all.values():
        for row in rows.values():
            assert REFERENCE - timedelta(days=90) <= row[UPDATED_AT] <= REFERENCE


def test_a_shop_without_products_or_customers_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one product and one customer"):
        make_sample(products=0)
    with pytest.raises(ValueError, match="fewer than no"):
        make_sample(orders=-1)


# -- counts ---------------------------------------------------------------------------------------------------------


def test_every_kind_of_fault_is_there_three_times_and_more_often_in_a_large_shop(shop: Shop) -> None:
    kinds = [name for name, rule in RULES.items() if not rule.consequence]
    assert len(kinds) >= 18
    assert shop.sample.counts().faults == dict.fromkeys(kinds, 3)
    assert make_sample(10, 10, 2000).counts().faults == dict.fromkeys(kinds, 5)


def test_good_rows_and_faults_add_up_to_all_rows(shop: Shop) -> None:
    counts = shop.sample.counts()
    merged, held = shop.sample.outcome(Outcome.MERGED), shop.sample.outcome(Outcome.HELD)
    for table in TABLES:
        assert counts.rows[table] == len(shop.all[table])
        assert counts.good[table] == len(shop.accepted[table]) - merged[table] - held[table]


def test_as_many_good_rows_as_asked_for_are_there_besides_those_the_faults_need(shop: Shop) -> None:
    good = shop.sample.counts().good
    assert good["products"] >= 120
    assert good["customers"] >= 150
    # Of each kind of fault there are 3; two kinds bring a good order.
    assert good["orders"] == 400 + 3 + 3


def test_the_manifest_lists_no_row_twice_and_only_rows_that_exist(shop: Shop) -> None:
    faults = shop.sample.faults
    assert len({(fault.rule, fault.table, fault.key) for fault in faults}) == len(faults)
    for fault in faults:
        assert fault.key in map(str, shop.all[fault.table])
        assert fault.table == RULES[fault.rule].table


def test_a_row_breaks_one_rule_only(shop: Shop) -> None:
    assert max(Counter((fault.table, fault.key) for fault in shop.sample.faults).values()) == 1


# -- faults, found again by judging all rows ------------------------------------------------------------------------


def _invalid_email(value: str) -> bool:
    try:
        validate_email(value.strip(), check_deliverability=False)
    except EmailNotValidError:
        return True
    return False


def _rows_where(table: str, condition: Callable[[Record], bool]) -> Callable[[Shop], Iterator[Any]]:
    return lambda shop: (key for key, row in shop.all[table].items() if condition(row))


def _missing(table: str, column: str) -> Callable[[Shop], Iterator[Any]]:
    def find(shop: Shop) -> Iterator[Any]:
        known = shop.all[REFERENCES[table, column]]
        return (key for key, row in shop.all[table].items() if row[column] is not None and row[column] not in known)

    return find


def _second_of(table: str, value: Callable[[Record], object]) -> Callable[[Shop], Iterator[Any]]:
    def find(shop: Shop) -> Iterator[Any]:
        seen = set()
        for key, row in sorted(shop.all[table].items()):
            if value(row) in seen:
                yield key
            seen.add(value(row))

    return find


def _totals_do_not_add_up(shop: Shop) -> Iterator[Any]:
    lines = shop.children("order_lines", "order_id", accepted=False)
    for key, order in shop.all["orders"].items():
        sums = {
            "total": sum(line["total"] for line in lines[key]),
            "tax_total": sum(line["tax_amount"] for line in lines[key]),
            "discount_total": sum(line["discount_amount"] for line in lines[key]),
            "shipping_total": sum(line["total"] for line in lines[key] if line["kind"] == "shipping"),
        }
        if any(order[column] != amount for column, amount in sums.items()):
            yield key


def _tax_differs(shop: Shop) -> Iterator[Any]:
    for line in shop.all["order_lines"].values():
        tax = shop.all["taxes"].get(line["tax_code"])
        order = shop.all["orders"][line["order_id"]]
        if line["tax_code"] is not None and tax is None:
            continue
        amounts = line_amounts(line, tax["rate"] if tax else Decimal(0), order["prices_include_tax"])
        if amounts != (line["tax_amount"], line["total"]):
            assert not order["prices_include_tax"], "with included tax the total would not move"
            assert line["total"] - amounts[1] == CENT
            yield order["id"]


def _payment_above_total(shop: Shop) -> Iterator[Any]:
    for key, payment in shop.all["payments"].items():
        if payment["captured_amount"] > shop.all["orders"][payment["order_id"]]["total"]:
            yield key


def _variants_of_rejected_products(shop: Shop) -> Iterator[Any]:
    return (k for k, row in shop.all["variants"].items() if row["product_id"] not in shop.accepted["products"])


def _orders_with_rejected_lines(shop: Shop) -> Iterator[Any]:
    bad = {line["order_id"] for rule in LINE_RULES for line in _rejected(shop, rule)}
    return (key for key in shop.all["orders"] if key in bad)


def _rejected(shop: Shop, rule: str) -> Iterator[Record]:
    return (shop.all[RULES[rule].table][int(key)] for key in shop.sample.keys(rule))


def _lines_of_rejected_orders(shop: Shop) -> Iterator[Any]:
    own = {key for rule in LINE_RULES for key in shop.sample.keys(rule)}
    for key, line in shop.all["order_lines"].items():
        if line["order_id"] not in shop.accepted["orders"] and str(key) not in own:
            yield key


LINE_RULES = ("line_of_missing_variant", "unknown_tax", "quantity_not_positive")

JUDGES: dict[str, Callable[[Shop], Iterator[Any]]] = {
    "duplicate_sku": _second_of("variants", lambda row: row["sku"]),
    "invalid_barcode": _rows_where("variants", lambda row: row["barcode"] and not ean.is_valid(row["barcode"])),
    "negative_price": _rows_where("prices", lambda row: row["amount"] < 0),
    "unknown_currency": _missing("prices", "currency"),
    "price_of_missing_variant": _missing("prices", "variant_id"),
    "empty_name": _rows_where("products", lambda row: not (row["name"] or "").strip()),
    "orphan_category": _missing("categories", "parent_id"),
    "product_of_missing_category": _missing("products", "category_id"),
    "control_characters": _rows_where("products", lambda row: re.search(r"[\x00-\x1f\x7f]", row["name"] or "")),
    "negative_stock": _rows_where("stock_levels", lambda row: row["on_hand"] < 0),
    "invalid_email": _rows_where("customers", lambda row: _invalid_email(row["email"])),
    "unknown_country": _rows_where("addresses", lambda row: not pycountry.countries.get(alpha_2=row["country"])),
    "address_of_missing_customer": _missing("addresses", "customer_id"),
    "duplicate_guest": _second_of("customers", lambda row: row["email"].strip().casefold()),
    "invalid_vat": _rows_where(
        "customers",
        lambda row: row["vat"] and not (gb_vat if row["vat"].startswith("GB") else eu_vat).is_valid(row["vat"]),
    ),
    "order_of_missing_customer": _missing("orders", "customer_id"),
    "line_of_missing_variant": _missing("order_lines", "variant_id"),
    "totals_do_not_add_up": _totals_do_not_add_up,
    "impossible_date": _rows_where(
        "orders", lambda row: not datetime(2015, 1, 1, tzinfo=UTC) < row["placed_at"] <= REFERENCE
    ),
    "payment_above_total": _payment_above_total,
    "unknown_tax": _missing("order_lines", "tax_code"),
    "shipment_of_missing_order": _missing("shipments", "order_id"),
    "quantity_not_positive": _rows_where("order_lines", lambda row: row["quantity"] <= 0),
    "tax_differs_by_a_cent": _tax_differs,
    "product_not_accepted": _variants_of_rejected_products,
    "line_not_accepted": _orders_with_rejected_lines,
    "order_not_accepted": _lines_of_rejected_orders,
}


def test_every_rule_is_judged() -> None:
    assert set(JUDGES) == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_exactly_the_listed_rows_break_the_rule(shop: Shop, rule: str) -> None:
    found = {Fault(rule, RULES[rule].table, str(key)) for key in JUDGES[rule](shop)}
    assert found == {fault for fault in shop.sample.faults if fault.rule == rule}


# -- good rows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "column"), REFERENCES)
def test_what_an_accepted_row_points_to_is_accepted_too(shop: Shop, table: str, column: str) -> None:
    pointers = {row[column] for row in shop.accepted[table].values()} - {None}
    assert pointers
    assert pointers <= shop.accepted[REFERENCES[table, column]].keys()


def test_lines_and_totals_of_accepted_orders_follow_the_contracts_arithmetic(shop: Shop) -> None:
    held = set(shop.sample.keys("tax_differs_by_a_cent"))
    for order_id, lines in shop.children("order_lines", "order_id").items():
        order = shop.accepted["orders"][order_id]
        if str(order_id) in held:
            continue
        for line in lines:
            tax = shop.all["taxes"][line["tax_code"]] if line["tax_code"] else None
            assert tax is None or tax["included"] == order["prices_include_tax"]
            expected = line_amounts(line, tax["rate"] if tax else Decimal(0), order["prices_include_tax"])
            assert (line["tax_amount"], line["total"]) == expected
        assert order["total"] == sum(line["total"] for line in lines) > 0


def test_both_ways_of_quoting_tax_all_currencies_and_all_statuses_occur(shop: Shop) -> None:
    orders = shop.accepted["orders"].values()
    assert {order["prices_include_tax"] for order in orders} == {True, False}
    assert {order["currency"] for order in orders} == {"USD", "GBP", "EUR"}
    assert {order["status"] for order in orders} == {"pending", "confirmed", "shipped", "completed", "cancelled"}
    assert {line["tax_code"] for line in shop.accepted["order_lines"].values()} == {None, *shop.all["taxes"]}
    assert {address["country"] for address in shop.accepted["addresses"].values()} == {"US", "GB", "DE", "FR"}


def test_every_discount_is_a_percentage_of_two_decimals(shop: Shop) -> None:
    discounted = [line for line in shop.accepted["order_lines"].values() if line["discount_amount"]]
    assert discounted
    for line in discounted:
        base = line["quantity"] * line["unit_price"]
        percent = rounded(100 * line["discount_amount"] / base)
        assert rounded(base * (1 - percent / 100)) == base - line["discount_amount"]


def test_coupons_of_a_percentage_and_of_an_amount_were_used(shop: Shop) -> None:
    used = {order["coupon_code"]: order for order in shop.accepted["orders"].values()}
    assert used["TENOFF"]["discount_total"] == 10
    assert used.keys() > {None, "SPRING10"}


def test_no_accepted_line_was_rounded_from_exactly_half_a_cent(shop: Shop) -> None:
    for line in shop.accepted["order_lines"].values():
        rate = shop.all["taxes"][line["tax_code"]]["rate"] if line["tax_code"] else Decimal(0)
        included = shop.all["orders"][line["order_id"]]["prices_include_tax"]
        amount = line["quantity"] * line["unit_price"] - line["discount_amount"]
        exact = amount / (1 + rate / 100) if included else amount * rate / 100
        assert abs(exact % CENT - CENT / 2) > Decimal("1e-12")


def test_a_product_without_attributes_has_one_variant_and_the_variants_of_others_differ(shop: Shop) -> None:
    attribute_of = {key: row["attribute_id"] for key, row in shop.all["attribute_values"].items()}
    values = defaultdict(set)
    for row in shop.all["variant_values"].values():
        values[row["variant_id"]].add(row["attribute_value_id"])
    sizes = set()
    for variants in shop.children("variants", "product_id", accepted=False).values():
        configurations = [frozenset(values[variant["id"]]) for variant in variants]
        sizes.add(len(variants))
        assert len(set(configurations)) == len(configurations)
        assert len({frozenset(attribute_of[v] for v in configuration) for configuration in configurations}) == 1
        for configuration in configurations:
            assert len({attribute_of[value] for value in configuration}) == len(configuration)
    assert sizes == set(range(1, 9))


def test_a_variant_has_one_undated_price_per_currency_and_dated_ones_beside_it(shop: Shop) -> None:
    undated = Counter(
        (row["variant_id"], row["currency"]) for row in shop.accepted["prices"].values() if row["valid_from"] is None
    )
    assert set(undated.values()) == {1}
    dated = [row for row in shop.accepted["prices"].values() if row["valid_from"]]
    assert dated
    for row in dated:
        assert row["valid_from"] < row["valid_to"]
        assert undated[row["variant_id"], row["currency"]]


def test_orders_were_sold_at_the_price_that_held(shop: Shop) -> None:
    prices = shop.children("prices", "variant_id")
    for line in shop.accepted["order_lines"].values():
        if line["kind"] == "shipping":
            continue
        order = shop.all["orders"][line["order_id"]]
        offers = [price for price in prices[line["variant_id"]] if price["currency"] == order["currency"]]
        dated = [p for p in offers if p["valid_from"] and p["valid_from"] <= order["placed_at"] < p["valid_to"]]
        undated = [p for p in offers if not p["valid_from"]]
        assert line["unit_price"] == (dated or undated)[0]["amount"]


def test_products_off_sale_take_their_variants_with_them_and_are_sold_out(shop: Shop) -> None:
    closed = {key for key, row in shop.accepted["products"].items() if not row["active"]}
    assert closed
    for variant in shop.accepted["variants"].values():
        assert variant["active"] == (variant["product_id"] not in closed)
    for level in shop.accepted["stock_levels"].values():
        if not shop.accepted["variants"][level["variant_id"]]["active"]:
            assert level["on_hand"] == 0


def test_stock_at_each_location_covers_all_that_was_ordered_and_is_available(shop: Shop) -> None:
    ordered = Counter[int]()
    for line in shop.accepted["order_lines"].values():
        if line["variant_id"]:
            ordered[line["variant_id"]] += line["quantity"]
    levels = shop.children("stock_levels", "variant_id")
    for variant_id, units in ordered.items():
        assert [level["location_id"] for level in levels[variant_id]] == [1, 2]
        assert all(level["on_hand"] > units for level in levels[variant_id])
    assert all(level["available"] == level["on_hand"] for level in shop.accepted["stock_levels"].values())


def test_e_mail_addresses_telephone_numbers_and_groups_of_customers_are_in_order(shop: Shop) -> None:
    people = shop.accepted["customers"].values()
    for row in [*people, *shop.accepted["addresses"].values()]:
        assert row["phone"] is None or phonenumbers.is_valid_number(phonenumbers.parse(row["phone"]))
    assert {row["kind"] for row in people} == {"registered", "guest"}
    assert [row for row in people if row["company"] and row["vat"]]
    members = shop.accepted["customer_group_members"].values()
    assert len({(row["customer_id"], row["group_id"]) for row in members}) == len(members)


def test_addresses_of_the_united_states_have_a_state_that_exists(shop: Shop) -> None:
    for row in shop.accepted["addresses"].values():
        if row["country"] == "US":
            assert pycountry.subdivisions.get(code=f"US-{row['region']}")
        else:
            assert row["region"] is None


def test_an_order_goes_to_addresses_of_its_customer(shop: Shop) -> None:
    for order in shop.accepted["orders"].values():
        for column in ("billing_address_id", "shipping_address_id"):
            assert shop.accepted["addresses"][order[column]]["customer_id"] == order["customer_id"]


def test_guests_typed_twice_have_an_order_of_their_own(shop: Shop) -> None:
    orders = shop.children("orders", "customer_id")
    for key in shop.sample.keys("duplicate_guest"):
        assert shop.all["customers"][int(key)]["kind"] == "guest"
        assert [order["status"] for order in orders[int(key)]] == ["completed"]


def test_exactly_what_was_ordered_left_with_shipped_orders_and_less_with_confirmed_ones(shop: Shop) -> None:
    lines = shop.children("order_lines", "order_id")
    shipped = Counter[int]()
    for row in shop.accepted["shipment_lines"].values():
        shipped[row["order_line_id"]] += row["quantity"]
    partly = 0
    for key, order in shop.accepted["orders"].items():
        ordered = {line["id"]: line["quantity"] for line in lines[key] if line["kind"] == "product"}
        left = {line: shipped[line] for line in ordered if shipped[line]}
        if order["status"] in ("shipped", "completed"):
            assert left == ordered
        elif order["status"] == "confirmed":
            assert sum(left.values()) < sum(ordered.values())
            partly += bool(left)
        else:
            assert left == {}
    assert partly


def test_payments_fit_their_orders(shop: Shop) -> None:
    paid = Counter[int]()
    for payment in shop.accepted["payments"].values():
        order = shop.accepted["orders"][payment["order_id"]]
        assert payment["currency"] == order["currency"]
        assert (payment["captured_amount"] > 0) == (payment["captured_at"] is not None)
        assert payment["captured_amount"] <= payment["authorised_amount"] or payment["status"] == "failed"
        if payment["captured_at"]:
            assert payment["captured_at"] >= order["placed_at"]
            assert order["status"] not in ("pending", "cancelled")
        paid[order["id"]] += payment["captured_amount"]
    statuses = {payment["status"] for payment in shop.accepted["payments"].values()}
    assert statuses == {"authorised", "captured", "partially_captured", "failed"}
    for key, order in shop.accepted["orders"].items():
        assert paid[key] <= order["total"]
        if order["status"] in ("shipped", "completed"):
            assert paid[key] == order["total"]


def test_the_history_of_an_order_ends_with_its_status(shop: Shop) -> None:
    history = shop.children("order_status_history", "order_id")
    for key, order in shop.accepted["orders"].items():
        if str(key) not in shop.sample.keys("tax_differs_by_a_cent"):
            steps = sorted(history[key], key=lambda step: (step["at"], step["id"]))
            assert steps[-1]["status"] == order["status"]
            assert steps[0]["at"] == order["placed_at"]


def test_there_is_an_exchange_rate_for_every_day_of_every_order(shop: Shop) -> None:
    rates = {(row["currency"], row["valid_on"]) for row in shop.all["exchange_rates"].values()}
    for order in shop.accepted["orders"].values():
        assert order["currency"] == "USD" or (order["currency"], order["placed_at"].date()) in rates
    assert len(rates) == len(shop.all["exchange_rates"])


def test_numbers_and_references_are_unique(shop: Shop) -> None:
    for table, column in (
        ("orders", "number"),
        ("payments", "reference"),
        ("shipments", "tracking_number"),
        ("variants", "barcode"),
        ("taxes", "name"),
    ):
        values = [row[column] for row in shop.accepted[table].values() if row[column] is not None]
        assert len(set(values)) == len(values)


def test_a_sample_without_faults_has_the_good_rows_and_none_besides() -> None:
    clean, dirty = make_sample(20, 30, 40, faulty=False), make_sample(20, 30, 40)
    assert clean.faults == ()
    assert len(clean.rows["products"]) == 20
    assert len(clean.rows["orders"]) == 40
    wrong = {(fault.table, fault.key) for fault in dirty.faults}
    for table in ("customers", "addresses", "prices", "orders", "order_lines", "payments"):
        known = {row[0] for row in dirty.rows[table] if (table, str(row[0])) not in wrong}
        assert {row[0] for row in clean.rows[table]} <= known, table
