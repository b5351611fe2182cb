"""What the gate reports, as values and for Dagster's checks."""

import json

from unierp_assets.quality import Example, GateReport, RuleResult, check_metadata, suite_rules


def report(**found: tuple[int, tuple[Example, ...]]) -> GateReport:
    rules = tuple(RuleResult(spec, *found.get(spec.name, (0, ()))) for spec in suite_rules("customers"))
    return GateReport("customers", validated=9, accepted=5, quarantined=2, merged=1, warned=0, rules=rules)


def test_a_rule_that_every_row_meets_has_passed() -> None:
    checks = check_metadata(report())
    assert list(checks) == [rule.name for rule in suite_rules("customers")]
    assert all(check["passed"] for check in checks.values())
    assert report().unmet == ()


def test_a_rule_that_is_not_met_comes_with_its_rows() -> None:
    found = report(unknown_customer_kind=(7, (Example("4", "robot"), Example("5", None))))
    (result,) = found.unmet
    assert (result.rule, result.column, str(result.severity), str(result.outcome)) == (
        "unknown_customer_kind", "kind", "critical", "quarantine",
    )  # fmt: skip
    assert check_metadata(found)["unknown_customer_kind"] == {
        "passed": False,
        "severity": "critical",
        "description": "A customer is registered or a guest.",
        "metadata": {
            "unexpected_count": 7,
            "expectation": "unexpected_rows_expectation",
            "column": "kind",
            "outcome": "quarantine",
            "remedy": "Correct the kind of the customer in the shop.",
            "examples": [{"key": "4", "value": "robot"}, {"key": "5", "value": None}],
        },
    }


def test_personal_values_do_not_leave_the_warehouse() -> None:
    found = report(invalid_email=(1, (Example("4", "no.address"),)))
    check = check_metadata(found)["invalid_email"]
    assert check["metadata"]["examples"] == [{"key": "4", "value": "(personal)"}]
    assert "no.address" not in json.dumps(check)


def test_the_values_for_dagster_are_plain() -> None:
    checks = check_metadata(report(invalid_vat=(1, (Example("4", "GB0"),))))
    assert json.loads(json.dumps(checks)) == checks
