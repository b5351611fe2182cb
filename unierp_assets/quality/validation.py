"""Great Expectations at work: validates the rows of one table against a suite, on the database's side.

Belongs here: everything that knows Great Expectations - its import (seconds, so only when there is something to
validate, or ahead of it by :func:`preload`), its context, and the shapes of its results. Does not belong here: which
rows are validated and what becomes of them (``gate.py``).

Great Expectations counts; the rows at fault are then fetched by the queries it made. Its own lists of them are cut off
(at 20 rows for columns, at 200 for queries), and a row that is not on the list must not pass.
"""

import gc
import importlib.util
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa

from unierp_assets.entities.spec import KEY
from unierp_assets.quality.rules import QUERY_TYPE, RuleSpec, Suite, SuiteError

_DEFERRED: Final = ("scipy.stats",)
"""Modules that Great Expectations imports for expectations we do not use; a third of its import time."""
_RESULT_FORMAT: Final = {
    "result_format": "BASIC",
    "unexpected_index_column_names": [KEY],
    "return_unexpected_index_query": True,
    # The values are fetched with the keys, all of them; lists that are cut off only cost time.
    "partial_unexpected_count": 0,
}

_lock = threading.RLock()


class GateError(RuntimeError):
    """The gate could not tell good rows from bad ones, so it let none through. The message says why."""


@dataclass(frozen=True, slots=True)
class Unmet:
    """A rule that is not met: how many rows Great Expectations counted, and the query that returns them.

    ``query`` has a column ``key`` and, where the rule is a query, what else the suite selects.
    """

    rule: RuleSpec
    count: int
    query: str


def preload() -> threading.Thread:
    """Begins to import Great Expectations in the background; call it as soon as it is clear that rows changed.

    Returns the thread, which nobody has to wait for: who needs the import first waits for it.
    """
    thread = threading.Thread(target=_great_expectations, name="import great_expectations", daemon=True)
    thread.start()
    return thread


def validate(url: sa.URL, suite: Suite, schema: str, table: str) -> list[Unmet]:
    """The rules of the suite that rows of the table do not meet.

    Raises :class:`GateError` when an expectation could not be evaluated or was left out: then nothing is known of the
    rows. Raises :class:`SuiteError` for a suite Great Expectations does not take.
    """
    with _lock:
        checked = expectation_suite(suite)
        source = _source(url)
        try:
            batch = _batch_definition(source, schema, table).get_batch()
            results = batch.validate(checked, result_format=dict(_RESULT_FORMAT)).results
        except Exception as error:  # whatever it is: rows must not pass unseen
            raise GateError(f"{suite.path.name} could not be validated: {_line(error)}.") from error
        finally:
            # No idle connection is left behind: it would keep the database from being dropped or copied.
            source.get_engine().dispose()
            source.get_execution_engine().engine.dispose()
    by_name = {result.expectation_config.meta["rule"]: result for result in results}
    unmet = []
    for rule, configuration in zip(suite.rules, suite.expectations, strict=True):
        if rule.name not in by_name:
            raise GateError(f"{suite.path.name}: Great Expectations gave no result for the rule {rule.name}.")
        count = _unexpected_count(suite, rule, by_name[rule.name])
        if count:
            unmet.append(Unmet(rule, count, _query(suite, rule, configuration, by_name[rule.name], schema, table)))
    return unmet


@lru_cache
def expectation_suite(suite: Suite) -> Any:
    """The suite as Great Expectations has it, with every expectation of the file kept.

    Raises :class:`SuiteError` naming the file and the type where one is misspelt, has arguments it does not know, or
    cannot point to single rows. (By itself Great Expectations drops such an expectation with a line in the log.)
    """
    gx = _great_expectations()
    from great_expectations.expectations.core.unexpected_rows_expectation import UnexpectedRowsExpectation
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    by_row = (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation, UnexpectedRowsExpectation)
    kept = []
    for rule, configuration in zip(suite.rules, suite.expectations, strict=True):
        try:
            expectation = ExpectationConfiguration(**configuration).to_domain_obj()
        except Exception as error:
            raise SuiteError(
                f"{suite.path.name}: Great Expectations does not take the expectation {rule.expectation!r} of the rule "
                f"{rule.name}: {_line(error)}. Mend its type or kwargs."
            ) from error
        if not isinstance(expectation, by_row):
            raise SuiteError(
                f"{suite.path.name}: the expectation {rule.expectation!r} of the rule {rule.name} judges the table as "
                "a whole and cannot say which rows are at fault; use one that judges rows."
            )
        kept.append(expectation)
    made = gx.ExpectationSuite(name=suite.entity, expectations=kept)
    types = [expectation.configuration.type for expectation in made.expectations]
    if types != [rule.expectation for rule in suite.rules]:
        raise SuiteError(f"{suite.path.name}: Great Expectations kept {types} of the file's expectations only.")
    return made


@lru_cache
def _great_expectations() -> Any:
    with _lock:
        # Versions that have analytics read this while they are imported: nothing is sent to anybody.
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        for name in _DEFERRED:
            _defer(name)
        # What is made during an import stays: to look for garbage in it takes a fifth of the import's time.
        gc.disable()
        try:
            import great_expectations
        finally:
            gc.enable()
        gc.freeze()
        return great_expectations


def _defer(name: str) -> None:
    """Lets a module of a package be imported at its first use instead of at its mention."""
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    loader = spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    package, _, submodule = name.rpartition(".")
    # `from package import submodule` would otherwise look into the module's spec, and that is a use.
    setattr(sys.modules[package], submodule, module)


@lru_cache
def _context() -> Any:
    context = _great_expectations().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context


@lru_cache
def _source(url: sa.URL) -> Any:
    address = url.render_as_string(hide_password=False).replace("$", "%24")  # it would substitute variables
    try:
        return _context().data_sources.add_sql(
            f"warehouse_{len(_context().data_sources.all())}",
            connection_string=address,
            kwargs={"pool_size": 1, "connect_args": {"application_name": "unierp gate"}},
        )
    except Exception as error:
        raise GateError(f"The gate cannot reach the warehouse: {_line(error)}.") from error


def _batch_definition(source: Any, schema: str, table: str) -> Any:
    known = {asset.name: asset for asset in source.assets}
    asset = known.get(table) or source.add_table_asset(table, table_name=table, schema_name=schema)
    return asset.batch_definitions[0] if asset.batch_definitions else asset.add_batch_definition_whole_table("all")


def _unexpected_count(suite: Suite, rule: RuleSpec, result: Any) -> int:
    raised = _raised(result.exception_info)
    if raised:
        raise GateError(
            f"{suite.path.name}: the expectation {rule.expectation} of the rule {rule.name} could not be evaluated: "
            f"{raised}. No row of {suite.entity} was accepted; mend the suite or what it looks at."
        )
    count = result.result.get("observed_value" if rule.expectation == QUERY_TYPE else "unexpected_count")
    if not isinstance(count, int) or bool(result.success) != (count == 0):
        raise GateError(
            f"{suite.path.name}: the result of the rule {rule.name} contradicts itself (success {result.success}, "
            f"count {count}). No row of {suite.entity} was accepted."
        )
    return count


def _raised(info: Mapping[str, Any] | None) -> str | None:
    """The message of an exception. It is given flat, or keyed by the metric that raised it."""
    if not info:
        return None
    shapes = [info] if "raised_exception" in info else list(info.values())
    for shape in shapes:
        if not isinstance(shape, Mapping) or shape.get("raised_exception", True):
            return _line(shape.get("exception_message") if isinstance(shape, Mapping) else shape)
    return None


def _query(suite: Suite, rule: RuleSpec, configuration: Mapping[str, Any], result: Any, schema: str, table: str) -> str:
    if rule.expectation == QUERY_TYPE:
        rows = sa.select(sa.text("*")).select_from(sa.table(table, schema=schema))
        return str(configuration["kwargs"]["unexpected_rows_query"]).format(batch=f"({rows}) AS subselect")
    query = result.result.get("unexpected_index_query")
    if not query:
        raise GateError(f"{suite.path.name}: Great Expectations does not say which rows fail the rule {rule.name}.")
    # It is a finished statement: a colon in it is a colon, not a parameter.
    return str(query).rstrip("; \n").replace(":", r"\:")


def _line(error: object) -> str:
    """A message in one line, without the statement and the values SQLAlchemy adds to it."""
    return " ".join(str(error).split("[SQL:")[0].split()).rstrip(".")
