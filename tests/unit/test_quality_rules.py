"""The strict reading of suites: what is wrong with a file is said, and never passes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unierp_assets.entities import ENTITIES
from unierp_assets.quality.rules import GATE_ORDER, Look, Outcome, Severity, SuiteError, suite, suite_rules

HEAD = "WITH batch AS (SELECT * FROM {batch}) SELECT batch.key FROM batch WHERE "


def expectation(**changes: Any) -> dict[str, Any]:
    """A good expectation of the attributes, changed in some places; ``meta`` is merged, None takes away."""
    good: dict[str, Any] = {
        "type": "expect_column_values_to_not_be_null",
        "kwargs": {"column": "name"},
        "severity": "critical",
        "description": "An attribute has a name.",
        "meta": {"rule": "empty_name", "outcome": "quarantine", "remedy": "Give it a name."},
    }
    good["meta"] |= changes.pop("meta", {})
    good |= changes
    good["meta"] = {name: value for name, value in good["meta"].items() if value is not None}
    return {name: value for name, value in good.items() if value is not None}


def query(text: str, **changes: Any) -> dict[str, Any]:
    return expectation(type="unexpected_rows_expectation", kwargs={"unexpected_rows_query": text}, **changes)


def written(folder: Path, *expectations: Any, **suite_changes: Any) -> Path:
    content = {"name": "attributes", "expectations": list(expectations), **suite_changes}
    (folder / "attributes.json").write_text(json.dumps(content))
    return folder


def test_a_good_suite_says_all_about_its_rules(tmp_path: Path) -> None:
    (rule,) = suite_rules("attributes", written(tmp_path, expectation()))
    assert (rule.entity, rule.name, rule.column) == ("attributes", "empty_name", "name")
    assert rule.expectation == "expect_column_values_to_not_be_null"
    assert (rule.severity, rule.outcome) == (Severity.CRITICAL, Outcome.QUARANTINE)
    assert (rule.description, rule.remedy) == ("An attribute has a name.", "Give it a name.")


def test_the_rules_of_a_file_keep_their_order(tmp_path: Path) -> None:
    second = expectation(meta={"rule": "a_second_one"})
    rules = suite_rules("attributes", written(tmp_path, expectation(), second))
    assert [rule.name for rule in rules] == ["empty_name", "a_second_one"]


def test_a_rule_about_several_columns_may_name_the_one_it_shows(tmp_path: Path) -> None:
    (rule,) = suite_rules("attributes", written(tmp_path, query(HEAD + "true", meta={"column": "name"})))
    assert rule.column == "name"
    (rule,) = suite(
        "attributes", written(Path(tmp_path.joinpath("b").mkdir() or tmp_path / "b"), query(HEAD + "true"))
    ).rules
    assert rule.column is None


def test_values_of_personal_columns_are_known_as_personal() -> None:
    personal = {rule.name: rule.personal for rule in suite_rules("customers")}
    assert personal["invalid_email"]
    assert not personal["unknown_customer_kind"]


def test_a_missing_suite_is_an_error_that_says_which_file_to_add(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"attributes has no suite: add attributes\.json"):
        suite("attributes", tmp_path)


def test_an_unknown_entity_is_an_error() -> None:
    with pytest.raises(SuiteError, match="no entity 'gadgets'"):
        suite("gadgets")


def test_a_file_that_is_no_json_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "attributes.json").write_text("{")
    with pytest.raises(SuiteError, match=r"attributes\.json is not valid JSON"):
        suite("attributes", tmp_path)


@pytest.mark.parametrize(
    ("faulty", "said"),
    [
        (expectation(meta={"remedy": ""}), "empty_name has no remedy"),
        (expectation(meta={"remedy": None}), "lacks remedy"),
        (expectation(meta={"rule": "Empty Name"}), "snake_case"),
        (expectation(meta={"outcome": "warn"}), "critical with the outcome warn"),
        (expectation(severity="warning"), "warning with the outcome quarantine"),
        (expectation(severity="fatal"), "'fatal'; it is one of critical, warning, info"),
        (expectation(meta={"outcome": "drop"}), "'drop'; it is one of quarantine, merge, warn"),
        (expectation(description="no sentence"), "no description that is a sentence"),
        (expectation(description=None), "lacks description"),
        (expectation(kwargs={"column": "nmae"}), "looks at 'nmae', which attributes does not have; it has key, name"),
        (expectation(kwargs={"column_A": "name", "column_B": "nmae"}), "looks at 'nmae'"),
        (expectation(kwargs={"column_list": ["nmae"]}), "looks at 'nmae'"),
        (expectation(meta={"column": "nmae"}), "looks at 'nmae'"),
        (expectation(kwargs={"column": "name", "mostly": 0.9}), "uses mostly, which lets rows at fault pass"),
        (expectation(kwargs={"column": "name", "row_condition": "true"}), "uses row_condition"),
        (expectation(kwargs=["name"]), "not an object"),
        (expectation(metta={}), "unknown metta"),
        (expectation(meta={"rulle": "x"}), "unknown rulle"),
        (expectation(severity="info", meta={"outcome": "merge"}), "merges, so it has to be"),
        (query("SELECT key FROM {batch}"), "does not begin with"),
        (query("SELECT key FROM staging.attributes"), "does not begin with"),
        (query(HEAD + "batch.key IN (SELECT key FROM {batch})"), r"a JOIN or a second \{batch\}"),
        (query(HEAD + "EXISTS (SELECT 1 FROM a JOIN b USING (c))"), "JOIN"),
        (query(HEAD + "EXISTS (SELECT 1 FROM staging.products)"), "reads products.*looks_at"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_with_its_file(tmp_path: Path, faulty: dict[str, Any], said: str) -> None:
    with pytest.raises(SuiteError, match=said) as error:
        suite("attributes", written(tmp_path, faulty))
    assert "attributes.json" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "attribute"}, "named 'attribute'; name it 'attributes'"),
        ({"expectations": []}, "has no expectation, so it would accept everything"),
        ({"expectations": {}}, "has no expectation"),
        ({"metadata": {}}, "unknown metadata"),
        ({"meta": {"looks": []}}, "unknown looks"),
        ({"meta": {"looks_at": [{"entity": "gadgets"}]}}, "names 'gadgets', which is no entity"),
        ({"meta": {"looks_at": [{"entity": "attributes", "column": "name"}]}}, "needs both"),
        ({"meta": {"looks_at": [{"entity": "attributes", "column": "nmae", "matches": "name"}]}}, "looks at 'nmae'"),
        ({"meta": {"looks_at": [{"entity": "attributes", "column": "name", "matches": "nmae"}]}}, "looks at 'nmae'"),
        ({"meta": {"looks_at": [{"entity": "products"}]}}, "products are gated after attributes"),
    ],
)
def test_what_is_wrong_with_a_suite_is_said_with_its_file(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SuiteError, match=said) as error:
        suite("attributes", written(tmp_path, expectation(), **changes))
    assert "attributes.json" in str(error.value)


def test_two_rules_of_a_suite_never_share_a_name(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="unique within a suite; rename one of empty_name"):
        suite("attributes", written(tmp_path, expectation(), expectation()))


def test_what_is_gated_later_may_be_looked_at_without_its_status(tmp_path: Path) -> None:
    look = {"entity": "products", "ignores_status": True}
    read = suite("attributes", written(tmp_path, expectation(), meta={"looks_at": [look]}))
    assert read.looks_at == (Look("products", ignores_status=True),)


def test_a_suite_that_changed_has_another_fingerprint(tmp_path: Path) -> None:
    for folder in ("one", "two", "three"):
        (tmp_path / folder).mkdir()
    first = suite("attributes", written(tmp_path / "one", expectation()))
    same = suite("attributes", written(tmp_path / "two", expectation()))
    other = suite("attributes", written(tmp_path / "three", expectation(description="It has one.")))
    assert first.fingerprint == same.fingerprint != other.fingerprint


def test_lines_are_gated_before_their_order_and_all_else_in_load_order() -> None:
    assert sorted(GATE_ORDER) == sorted(ENTITIES)
    assert GATE_ORDER.index("order_lines") == GATE_ORDER.index("orders") - 1
    without_lines = [name for name in GATE_ORDER if name != "order_lines"]
    assert without_lines == [name for name in ENTITIES if name != "order_lines"]


def test_reading_rules_imports_neither_great_expectations_nor_dagster() -> None:
    code = (
        "import sys; from unierp_assets.quality import GATE_ORDER, suite_rules; "
        "[suite_rules(name) for name in GATE_ORDER]; "
        "sys.exit(bool({'great_expectations', 'dagster', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
