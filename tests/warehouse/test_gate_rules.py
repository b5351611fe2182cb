"""Every rule of every suite: it finds the rows it is meant for, and no others."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import sqlalchemy as sa
from gate_rows import GOOD, NOON, Row, found, gate_all, stage, status

from unierp_assets.quality import GATE_ORDER, suite_rules
from unierp_assets.warehouse import Warehouse
from unierp_assets.warehouse.tables import STAGING

TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=20)
LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)


def like(entity: str, of: str, key: str, **values: Any) -> Row:
    """A row like a good one, with another key and other values."""
    (row,) = [row for row in GOOD[entity] if row["key"] == of]
    return {**row, "key": key, **values}


def product(key: str, **values: Any) -> Row:
    return like("products", "2", key, **values)


def variant(key: str, product: str, **values: Any) -> Row:
    return {"key": key, "product": product, "sku": f"SKU-{key}", "active": True, **values}


def price(key: str, **values: Any) -> Row:
    """An undated price of a variant that has no other price in the currency."""
    return {"key": key, "variant": "10", "price_list": "USD", "currency": "USD", "amount": D(1), **values}


def level(key: str, **values: Any) -> Row:
    return {"key": key, "variant": "11", "location": "1", "on_hand": D(1), "available": D(1), **values}


def person(key: str, **values: Any) -> Row:
    return {
        "key": key, "name": f"Person {key}", "kind": "registered", "email": f"p{key}@example.com",
        "email_is_valid": True, "active": True, **values,
    }  # fmt: skip


def line(key: str, order: str, **values: Any) -> Row:
    """A line of 100 + 19 in an order whose prices do not include tax."""
    return {
        "key": key, "order": order, "position": 1, "kind": "product", "variant": "11", "name": "Charger",
        "quantity": D(1), "unit_price": D(100), "discount_amount": D(0), "tax": "DE-EXCL", "tax_amount": D(19),
        "total": D(119), **values,
    }  # fmt: skip


def order(key: str, **values: Any) -> Row:
    """An order of one such line."""
    return {
        "key": key, "number": f"S-{key}", "customer": "1", "currency": "EUR", "price_list": "EUR",
        "prices_include_tax": False, "status": "confirmed", "state": "confirmed", "ordered_at": NOON,
        "discount_total": D(0), "shipping_total": D(0), "tax_total": D(19), "total": D(119), **values,
    }  # fmt: skip


def shipment(key: str, order: str, contents: str | None, **values: Any) -> Row:
    return {
        "key": key, "order": order, "contents": contents, "tracking_number": f"T{key}", "shipped_at": NOON,
        "state": "done", **values,
    }  # fmt: skip


def invoice(key: str, **values: Any) -> Row:
    return {
        "key": key, "order": key, "invoice_date": date(2026, 3, 1), "currency": "EUR", "tax_total": D(19),
        "total": D(119), "state": "posted", **values,
    }  # fmt: skip


def payment(key: str, order: str, amount: D | None, **values: Any) -> Row:
    return {
        "key": key, "order": order, "invoice": order, "amount": amount, "currency": "EUR",
        "paid_on": date(2026, 3, 1), "reference": f"P-{key}", "state": "posted", **values,
    }  # fmt: skip


FAULTS: dict[str, list[tuple[Row, set[str]]]] = {
    "taxes": [
        (like("taxes", "DE-EXCL", "T1", name=None), {"empty_name"}),
        (like("taxes", "DE-EXCL", "T2", name="b", rate=None), {"missing_rate"}),
        (like("taxes", "DE-EXCL", "T3", name="c", rate=D(-1)), {"impossible_rate"}),
        (like("taxes", "DE-EXCL", "T4", name="d", rate=D(101)), {"impossible_rate"}),
        (like("taxes", "DE-EXCL", "T5", name="e", included=None), {"inclusion_not_said"}),
        (like("taxes", "DE-EXCL", "T6", name="f", country="Germany"), {"malformed_country"}),
        (like("taxes", "DE-EXCL", "T7-EXCL"), {"duplicate_name"}),
        (like("taxes", "DE-EXCL", "T8", country="AT"), set()),
    ],
    "price_lists": [({"key": "US$", "name": "Storefront US$", "currency": "US$"}, {"unknown_currency"})],
    "categories": [
        ({"key": "21", "name": None}, {"empty_name"}),
        ({"key": "22", "name": "Below nobody", "parent": "99"}, {"orphan_category"}),
        ({"key": "23", "name": "Below an orphan", "parent": "22"}, {"orphan_category"}),
        ({"key": "24", "name": "Below the nameless", "parent": "21"}, {"orphan_category"}),
        ({"key": "25", "name": "Hen", "parent": "26"}, {"orphan_category"}),
        ({"key": "26", "name": "Egg", "parent": "25"}, {"orphan_category"}),
        ({"key": "27", "name": "Deep", "parent": "2"}, set()),
    ],
    "attributes": [
        ({"key": "21", "name": None}, {"empty_name"}),
        ({"key": "22", "name": "Colour"}, {"duplicate_name"}),
    ],
    "attribute_values": [
        ({"key": "21", "attribute": "1", "name": None}, {"empty_name"}),
        ({"key": "22", "attribute": "21", "name": "Red"}, {"value_of_missing_attribute"}),
        ({"key": "23", "attribute": None, "name": "Red"}, {"value_of_missing_attribute"}),
        ({"key": "24", "attribute": "1", "name": "Black"}, {"duplicate_name"}),
        ({"key": "25", "attribute": "2", "name": "Black"}, set()),
    ],
    "products": [
        (product("21", name=None), {"empty_name"}),
        (product("22", name="Bell\x07"), {"control_characters"}),
        (product("23", category="99"), {"product_of_missing_category"}),
        (product("24", category="22"), {"product_of_missing_category"}),
        (product("25", tax="DE-???"), {"unknown_tax"}),
        (product("26", attribute_values="1,21"), {"unknown_attribute_value"}),
        (product("27", name="Größe – 日本"), set()),
    ],
    "variants": [
        (variant("21", "99"), {"product_not_accepted"}),
        (variant("22", "21"), {"product_not_accepted"}),
        (variant("23", "26", attribute_values="1", sku=None), {"missing_sku"}),
        (variant("24", "26", attribute_values="2", sku="N-B"), {"duplicate_sku"}),
        (variant("25", "26", attribute_values="3", barcode="4006381333932", barcode_is_valid=False),
         {"invalid_barcode"}),
        (variant("26", "26", attribute_values="1,3", barcode="4006381333931", barcode_is_valid=True),
         {"duplicate_barcode"}),
        (variant("27", "26", attribute_values="22"), {"unknown_attribute_value"}),
        (variant("28", "26", attribute_values="1,2"), {"attribute_twice"}),
        (variant("29", "1", attribute_values="1,3"), {"duplicate_configuration"}),
        (variant("30", "2"), {"duplicate_configuration"}),
        (variant("31", "26", attribute_values="2,3", weight=D("-0.1")), {"negative_weight"}),
        (variant("32", "27", cost=D(-1), cost_currency="USD"), {"negative_cost"}),
        (variant("33", "26", attribute_values="25", cost=D(1), cost_currency="JPY"), {"unknown_currency"}),
        # The lower number is right, although as a text it sorts behind.
        (variant("101", "25", sku="N-B"), {"product_not_accepted", "duplicate_sku"}),
    ],
    "prices": [
        (price("21", variant="99"), {"price_of_missing_variant"}),
        (price("22", variant="21"), {"price_of_missing_variant"}),
        (price("23", price_list="ZZZ", currency="ZZZ"), {"unknown_currency"}),
        (price("24", valid_from=NOON, amount=None), {"missing_price"}),
        (price("25", variant="11", price_list="EUR", currency="EUR", amount=D("-0.01")), {"negative_price"}),
        (price("26", variant="11", price_list="EUR", currency="EUR", valid_from=LATER, valid_to=NOON),
         {"validity_reversed"}),
        (price("27", variant="9"), {"duplicate_price"}),
        (price("28", variant="9", valid_from=NOON, valid_to=LATER), set()),
        (price("29", variant="9", valid_from=TOMORROW), {"overlapping_validity"}),
    ],
    "locations": [
        ({"key": "21", "name": None, "code": "X"}, {"empty_name"}),
        ({"key": "22", "name": "Leicester again", "code": "LEI"}, {"duplicate_code"}),
    ],
    "stock_levels": [
        (level("21", variant="99"), {"stock_of_missing_variant"}),
        (level("22", location="99"), {"stock_of_missing_location"}),
        (level("23", variant="23", on_hand=None), {"missing_quantity"}),
        (level("24", variant="33", on_hand=D(-1)), {"negative_stock"}),
        (level("25", variant="9"), {"duplicate_stock_level"}),
    ],
    "customer_groups": [
        ({"key": "21", "name": None}, {"empty_name"}),
        ({"key": "22", "name": "VIP"}, {"duplicate_name"}),
    ],
    "customers": [
        (person("21", name=None), {"empty_name"}),
        (person("22", kind="robot"), {"unknown_customer_kind"}),
        (person("23", kind=None), {"unknown_customer_kind"}),
        (person("24", email="p24.example.com", email_is_valid=False), {"invalid_email"}),
        (person("25", email=None, email_is_valid=None), {"missing_email"}),
        (person("26", vat="DE123456789", vat_is_valid=False), {"invalid_vat"}),
        (person("27", vat="CHE123456789", vat_is_valid=False), {"unchecked_vat"}),
        (person("28", kind="guest", email="ada@example.com"), {"duplicate_guest"}),
        (person("29", email="ada@example.com"), {"shared_email"}),
        (person("30", groups="1,99"), {"customer_of_missing_group"}),
        (person("31", name="Bell\x07"), {"control_characters"}),
        (person("32", kind="guest", email="p26@example.com"), set()),
        (person("33", kind="guest", email="p26@example.com"), {"duplicate_guest"}),
    ],
    "addresses": [
        (like("addresses", "1", "21", customer="99"), {"address_of_missing_customer"}),
        (like("addresses", "1", "22", customer="26"), {"address_of_missing_customer"}),
        (like("addresses", "1", "23", country="XX", country_is_known=False), {"unknown_country"}),
        (like("addresses", "1", "24", kind="holiday"), {"unknown_address_kind"}),
        (like("addresses", "1", "25", kind=None), {"unknown_address_kind"}),
        (like("addresses", "1", "26", country=None, country_is_known=None), {"missing_country"}),
        (like("addresses", "1", "27", street=None, city=None), {"empty_address"}),
        (like("addresses", "1", "28", customer="28"), set()),
    ],
    "currency_rates": [
        ({"key": "21", "currency": "EURO", "day": NOON.date(), "rate": D(1)}, {"unknown_currency"}),
        ({"key": "22", "currency": None, "day": NOON.date(), "rate": D(1)}, {"unknown_currency"}),
        ({"key": "23", "currency": "GBP", "day": None, "rate": D(1)}, {"missing_date"}),
        ({"key": "24", "currency": "GBP", "day": NOON.date(), "rate": D(0)}, {"rate_not_positive"}),
        ({"key": "25", "currency": "EUR", "day": NOON.date(), "rate": D(1)}, {"duplicate_rate"}),
    ],
    "order_lines": [
        (line("21", "99"), {"line_of_missing_order"}),
        (line("22", "122", kind="gift", variant=None), {"unknown_line_kind"}),
        (line("23", "123", variant="99"), {"line_of_missing_variant"}),
        (line("24", "124", variant=None), {"line_of_missing_variant"}),
        (line("25", "125", variant="21"), {"line_of_missing_variant"}),
        (line("26", "126", quantity=D(0), total=D(0), tax_amount=D(0)), {"quantity_not_positive"}),
        (line("27", "127", quantity=None), {"quantity_not_positive"}),
        (line("28", "128", unit_price=None), {"missing_amount"}),
        (line("29", "129", discount_amount=D(101), total=D("-1.19"), tax_amount=D("-0.19")), {"impossible_discount"}),
        (line("30", "130", discount_amount=D(-5), total=D("124.95"), tax_amount=D("19.95")), {"impossible_discount"}),
        (line("31", "131", tax="DE-???"), {"unknown_tax"}),
        (line("32", "132", tax="DE-INCL"), {"tax_inclusion_differs"}),
        (line("33", "133", total=D("119.05")), {"line_does_not_add_up"}),
        (line("34", "134", name=None), {"empty_name"}),
        (line("35", "135", total=D("119.02")), set()),
        # A hundred units of which the price was rounded to the cent: 100 x 0.0149 = 1.49.
        (line("36", "136", quantity=D(100), unit_price=D("0.01"), tax=None, tax_amount=D(0), total=D("1.49")), set()),
        # No cents in Japan.
        (line("37", "137", unit_price=D("100.40"), tax=None, tax_amount=D(0), total=D(100)), set()),
        *((line(str(key), str(key)), set()) for key in range(141, 156) if key != 149),
        (line("901", "160"), set()),
    ],
    "orders": [
        (order("122"), {"line_not_accepted"}),
        (order("123"), {"line_not_accepted"}),
        (order("124"), {"line_not_accepted"}),
        (order("125"), {"line_not_accepted"}),
        (order("126", tax_total=D(0), total=D(0)), {"line_not_accepted"}),
        (order("127"), {"line_not_accepted"}),
        (order("128"), {"line_not_accepted"}),
        (order("129", discount_total=D(101), tax_total=D("-0.19"), total=D("-1.19")),
         {"line_not_accepted", "negative_total"}),
        (order("130", discount_total=D(-5), tax_total=D("19.95"), total=D("124.95")), {"line_not_accepted"}),
        (order("131"), {"line_not_accepted"}),
        (order("132"), {"line_not_accepted"}),
        (order("133", total=D("119.05")), {"line_not_accepted"}),
        (order("134"), set()),
        (order("135", total=D("119.02")), set()),
        (order("136", tax_total=D(0), total=D("1.49")), set()),
        (order("137", currency="JPY", price_list="JPY", tax_total=D(0), total=D(100)), {"unknown_currency"}),
        (order("141", customer="99"), {"order_of_missing_customer"}),
        (order("142", customer=None), {"order_of_missing_customer"}),
        (order("143", customer="26"), {"order_of_missing_customer"}),
        (order("144", invoice_address="99"), {"order_of_missing_address"}),
        (order("145", shipping_address="22"), {"order_of_missing_address", "address_of_other_customer"}),
        (order("146", status="lost", state=None), {"unknown_status"}),
        (order("147", ordered_at=None), {"missing_date"}),
        (order("148", ordered_at=datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)), {"impossible_date"}),
        (order("149"), {"totals_do_not_add_up"}),
        (order("150", ordered_at=LATER), {"impossible_date"}),
        (order("151", total=None), {"missing_amount"}),
        (order("152", tax_total=D("18.99")), {"totals_do_not_add_up"}),
        (order("153", discount_total=D(1)), {"discounts_do_not_add_up"}),
        (order("154", shipping_total=D(1)), {"shipping_does_not_add_up"}),
        (order("155", number=None, ordered_at=TOMORROW), {"missing_number"}),
        # A duplicate that was merged is somebody, too.
        (order("160", number="S-1", customer="28"), {"duplicate_number"}),
    ],
    "shipments": [
        (shipment("21", "99", None), {"shipment_of_missing_order"}),
        (shipment("22", "122", "22:1"), {"shipment_of_missing_order"}),
        (shipment("23", "2", "3:1"), {"shipment_of_unconfirmed_order"}),
        (shipment("24", "134", None), {"empty_shipment"}),
        (shipment("25", "134", "1:1"), {"shipment_of_foreign_line"}),
        (shipment("26", "1", "1:0.5", shipped_at=LATER.replace(year=2026, month=3, day=2)), {"shipment_above_order"}),
        (shipment("27", "1", "2:1", shipped_at=NOON.replace(day=3)), set()),
        (shipment("28", "134", "34:1", shipped_at=None), {"missing_date"}),
        (shipment("29", "135", "35:1", shipped_at=LATER), {"impossible_date"}),
        (shipment("30", "136", "36:99.5", tracking_number=None), {"missing_tracking_number"}),
    ],
    "invoices": [
        (invoice("122"), {"invoice_of_missing_order"}),
        (invoice("134", invoice_date=None), {"missing_date"}),
        (invoice("135", invoice_date=LATER.date()), {"impossible_date"}),
        (invoice("153"), set()),
        (invoice("154"), set()),
        (invoice("155"), set()),
    ],
    "payments": [
        (payment("21", "99", D(1)), {"payment_of_missing_order"}),
        (payment("22", "136", D(1)), {"payment_without_invoice"}),
        (payment("23", "153", None), {"amount_not_positive"}),
        (payment("24", "153", D(0)), {"amount_not_positive"}),
        (payment("25", "153", D(1), currency="USD"), {"payment_currency_differs"}),
        (payment("26", "1", D("0.01"), paid_on=date(2026, 3, 3)), {"payment_above_total"}),
        (payment("27", "154", D("119.01")), {"payment_above_total"}),
        (payment("28", "155", D(1), paid_on=None), {"missing_date"}),
        (payment("29", "155", D(1), paid_on=date(1999, 1, 1)), {"impossible_date"}),
        (payment("30", "155", D(1), reference="P-1"), {"duplicate_reference"}),
    ],
}  # fmt: skip


def test_every_rule_has_a_row_that_breaks_it() -> None:
    broken = {(entity, rule) for entity, rows in FAULTS.items() for _, rules in rows for rule in rules}
    assert broken == {(name, rule.name) for name in GATE_ORDER for rule in suite_rules(name)}


def test_each_rule_finds_its_rows_and_no_others(warehouse: Warehouse) -> None:
    rows = {name: [*GOOD[name], *(row for row, _ in FAULTS[name])] for name in GATE_ORDER}
    stage(warehouse, rows)
    gate_all(warehouse)
    expected = {(entity, row["key"]): rules for entity, faults in FAULTS.items() for row, rules in faults if rules}
    assert found(warehouse) == expected
    outcomes = {(name, rule.name): str(rule.outcome) for name in GATE_ORDER for rule in suite_rules(name)}
    for entity, entity_rows in rows.items():
        statuses = dict(warehouse.read(sa.select(STAGING[entity].c.key, STAGING[entity].c._status)).rows())
        for row in entity_rows:
            becomes = {outcomes[entity, rule] for rule in expected.get((entity, row["key"]), set())}
            wanted = "quarantined" if "quarantine" in becomes else "merged" if "merge" in becomes else "accepted"
            assert statuses[row["key"]] == wanted, (entity, row["key"])


def test_a_good_shop_passes_whole_and_without_a_warning(warehouse: Warehouse) -> None:
    stage(warehouse, GOOD)
    reports = gate_all(warehouse)
    assert found(warehouse) == {}
    for name, report in reports.items():
        assert (report.validated, report.accepted) == (len(GOOD[name]), len(GOOD[name]))
        assert (report.quarantined, report.merged, report.warned, report.unmet) == (0, 0, 0, ())


def test_every_control_character_is_one(warehouse: Warehouse) -> None:
    codes = range(1, 32)
    stage(warehouse, {"products": [product(str(code), name=f"a{chr(code)}b", tax=None) for code in codes]})
    gate_all(warehouse)
    assert found(warehouse) == {("products", str(code)): {"control_characters"} for code in codes}


def test_without_lines_nothing_is_accepted_for_an_order(warehouse: Warehouse) -> None:
    stage(warehouse, GOOD | {"order_lines": GOOD["order_lines"][:2]})
    gate_all(warehouse)
    assert found(warehouse) == {("orders", "2"): {"totals_do_not_add_up"}}
    assert status(warehouse, "orders", "1") == "accepted"
