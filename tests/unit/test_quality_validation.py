"""Great Expectations under control: nothing dropped, nothing sent, no failure taken for a pass."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unierp_assets.quality import validation
from unierp_assets.quality.rules import SuiteError, suite
from unierp_assets.quality.validation import GateError, expectation_suite


def written(folder: Path, type_: str, kwargs: dict[str, Any]) -> Path:
    item = {
        "type": type_,
        "kwargs": kwargs,
        "severity": "critical",
        "description": "It is as it should be.",
        "meta": {"rule": "some_rule", "outcome": "quarantine", "remedy": "Mend it."},
    }
    (folder / "attributes.json").write_text(json.dumps({"name": "attributes", "expectations": [item]}))
    return folder


@pytest.mark.parametrize(
    ("type_", "kwargs", "said"),
    [
        ("expect_column_values_to_not_be_nul", {"column": "name"}, "'expect_column_values_to_not_be_nul'.*not found"),
        ("expect_column_values_to_not_be_null", {"column": "name", "colour": "red"}, "colour"),
        ("expect_column_values_to_be_between", {"column": "name"}, "min_value and max_value"),
        ("expect_column_to_exist", {"column": "name"}, "judges the table as a whole"),
        ("expect_table_row_count_to_be_between", {"min_value": 1}, "judges the table as a whole"),
    ],
)
def test_an_expectation_that_would_be_dropped_is_an_error(
    tmp_path: Path, type_: str, kwargs: dict[str, Any], said: str
) -> None:
    with pytest.raises(SuiteError, match=said) as error:
        expectation_suite(suite("attributes", written(tmp_path, type_, kwargs)))
    assert "attributes.json" in str(error.value)
    assert type_ in str(error.value)


def result(count: Any, *, success: bool | None = None, info: Any = None) -> Any:
    return SimpleNamespace(
        success=count == 0 if success is None else success, result={"unexpected_count": count}, exception_info=info
    )


FLAT = {"raised_exception": True, "exception_message": "division by zero", "exception_traceback": "..."}
CALM = {"raised_exception": False, "exception_message": None, "exception_traceback": None}


@pytest.mark.parametrize("info", [FLAT, {"metric (a, b)": FLAT}, {"one": CALM, "two": FLAT}])
def test_a_rule_that_could_not_be_evaluated_is_an_error_in_either_shape(info: Any) -> None:
    attributes = suite("attributes")
    with pytest.raises(GateError, match=r"attributes\.json: .* of the rule empty_name .*: division by zero\. No row"):
        validation._unexpected_count(attributes, attributes.rules[0], result(0, success=False, info=info))


def test_an_exception_of_a_shape_nobody_knows_is_an_error() -> None:
    attributes = suite("attributes")
    with pytest.raises(GateError, match="could not be evaluated"):
        validation._unexpected_count(attributes, attributes.rules[0], result(0, info={"metric": "failed"}))


@pytest.mark.parametrize("contradiction", [result(3, success=True), result(0, success=False), result(None)])
def test_a_result_that_contradicts_itself_is_an_error(contradiction: Any) -> None:
    attributes = suite("attributes")
    with pytest.raises(GateError, match="contradicts itself"):
        validation._unexpected_count(attributes, attributes.rules[0], contradiction)


@pytest.mark.parametrize("info", [None, {}, CALM, {"one": CALM, "two": CALM}])
def test_a_calm_result_counts(info: Any) -> None:
    attributes = suite("attributes")
    assert validation._unexpected_count(attributes, attributes.rules[0], result(3, info=info)) == 3


def test_messages_carry_no_statement_and_no_values() -> None:
    said = validation._line("column x does not exist\nLINE 1\n[SQL: SELECT x]\n[parameters: {'email': 'a@b.c'}]")
    assert said == "column x does not exist LINE 1"


def test_the_import_is_light_and_touches_neither_network_nor_home(tmp_path: Path) -> None:
    code = """
import socket, sys
used = []
def refused(*args, **kwargs):
    used.append(args)
    raise OSError("no network here")
socket.socket.connect = socket.getaddrinfo = refused
from unierp_assets.quality import preload, validation
from unierp_assets.quality.rules import suite
preload().join()
assert "great_expectations" in sys.modules
validation.expectation_suite(suite("orders"))
validation._context()
assert used == [], used
# What was deferred was not needed, and is whole once it is.
assert "scipy.stats._stats_py" not in sys.modules
from scipy import stats
assert stats.entropy([0.5, 0.5]) > 0.69
"""
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.rglob("*expectations*")] == []
