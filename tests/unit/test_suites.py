"""The suites of ``expectations/`` as they are: complete, taken whole by Great Expectations, and true to their words."""

import re
from pathlib import Path
from typing import Any

import pytest

from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import Kind
from unierp_assets.quality.rules import GATE_ORDER, QUERY_TYPE, SUITES, Outcome, suite, suite_rules
from unierp_assets.quality.validation import expectation_suite
from unierp_assets.storefront.sample import RULES
from unierp_assets.storefront.sample import Outcome as Planted

NOT_FOR_THE_GATE = {
    # What only comes out when the document is computed in UniERP.
    "tax_differs_by_a_cent",
    # Lines are gated before their order; the order's own status keeps them from being loaded.
    "order_not_accepted",
}


def query_of(entity: str, rule: str) -> str:
    read = suite(entity)
    (found,) = [item for spec, item in zip(read.rules, read.expectations, strict=True) if spec.name == rule]
    return str(found["kwargs"]["unexpected_rows_query"])


def test_every_entity_has_a_suite_and_no_file_is_without_an_entity() -> None:
    assert {path.stem for path in SUITES.glob("*.json")} == set(ENTITIES)
    for name in ENTITIES:
        assert suite(name).rules


@pytest.mark.parametrize("name", GATE_ORDER)
def test_great_expectations_keeps_every_expectation(name: str) -> None:
    kept = expectation_suite(suite(name))
    assert [item.meta["rule"] for item in kept.expectations] == [rule.name for rule in suite_rules(name)]
    assert [str(item.severity.value) for item in kept.expectations] == [str(r.severity) for r in suite_rules(name)]


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if rule.name not in NOT_FOR_THE_GATE])
def test_every_fault_of_the_sample_has_a_rule_of_its_name(rule: Any) -> None:
    (found,) = [spec for spec in suite_rules(rule.table) if spec.name == rule.name]
    assert found.outcome == {Planted.REJECTED: Outcome.QUARANTINE, Planted.MERGED: Outcome.MERGE}[rule.outcome]


def test_what_the_engine_holds_is_not_refused_by_the_gate() -> None:
    names = {rule.name for name in ENTITIES for rule in suite_rules(name)}
    assert not NOT_FOR_THE_GATE & names


@pytest.mark.parametrize("name", GATE_ORDER)
def test_a_row_is_validated_again_when_what_it_refers_to_changes(name: str) -> None:
    seen = {(look.entity, look.matches) for look in suite(name).looks_at}
    for field in ENTITIES[name].references:
        assert (field.target, field.name) in seen or (field.target, None) in seen


@pytest.mark.parametrize("name", GATE_ORDER)
def test_a_row_that_refers_to_nothing_accepted_is_quarantined(name: str) -> None:
    """Every single reference has a critical rule on its column, but for lines, which come before their order."""
    guarded = {rule.column for rule in suite_rules(name) if rule.outcome is Outcome.QUARANTINE}
    # Both addresses of an order are guarded by one rule, and its price list by that of its currency.
    guarded |= {"shipping_address", "price_list"} if name == "orders" else set()
    guarded |= {"price_list"} if name == "prices" else set()
    for field in ENTITIES[name].references:
        if field.kind is Kind.REFERENCE:
            assert field.name in guarded


def test_a_guest_is_merged_only_into_somebody_who_passes() -> None:
    """The other critical rules of customers, which the query that chooses the survivor repeats."""
    critical = {rule.name for rule in suite_rules("customers") if rule.outcome is Outcome.QUARANTINE}
    assert critical == {"empty_name", "unknown_customer_kind", "invalid_email", "invalid_vat"}
    query = query_of("customers", "duplicate_guest")
    for condition in ("o.name IS NOT NULL", "o.kind IN ('registered', 'guest')", "o.vat_is_valid IS FALSE"):
        assert condition in query
    # The same address is as valid for the one as for the other.
    assert "batch.email_is_valid" in query
    assert "batch.email = better.email" in query or "better.email = batch.email" in query


@pytest.mark.parametrize("name", GATE_ORDER)
def test_no_rule_asks_for_the_status_of_what_is_gated_later(name: str) -> None:
    later = {look.entity for look in suite(name).looks_at if look.ignores_status}
    for rule, item in zip(suite(name).rules, suite(name).expectations, strict=True):
        if rule.expectation != QUERY_TYPE:
            continue
        for entity in later:
            query = item["kwargs"]["unexpected_rows_query"]
            for mention in re.finditer(rf"staging\.{entity} (\w+)", query):
                asked = re.search(rf"\b{mention[1]}\._status (.+?'\w+')", query[mention.end() :])
                assert asked is None or asked[1] == "<> 'withdrawn'", rule.name


def test_texts_are_for_people() -> None:
    for name in ENTITIES:
        for rule in suite_rules(name):
            assert rule.remedy.endswith("."), rule.name
            assert "  " not in rule.description + rule.remedy


def test_the_suites_lie_beside_the_package() -> None:
    assert Path(__file__).parents[2] / "expectations" == SUITES
