"""The suites of ``expectations/`` as data: which rules guard an entity, and what each rule says and asks for.

Belongs here: reading and strictly checking the JSON files, and the order in which entities are gated. Does not belong
here: Great Expectations, which takes seconds to import (``validation.py``), and the warehouse (``gate.py``): Dagster's
checks are declared from this module while definitions load.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import KEY, Entity, Kind

SUITES: Final = Path(__file__).resolve().parents[2] / "expectations"
"""The folder of the suites: one file per entity, ``<entity>.json``."""

QUERY_TYPE: Final = "unexpected_rows_expectation"
"""The expectation whose rule is a query; the query returns the rows at fault."""
QUERY_HEAD: Final = "WITH batch AS (SELECT * FROM {batch}) SELECT batch.key"
"""How every such query begins."""


def _gate_order() -> tuple[str, ...]:
    """Load order, but lines before their order: an order is not accepted while a line of it is not."""
    names = [name for name in ENTITIES if name != "order_lines"]
    names.insert(names.index("orders"), "order_lines")
    return tuple(names)


GATE_ORDER: Final = _gate_order()
"""Every entity, in the order of gating: what a rule looks at has been gated before."""


class SuiteError(ValueError):
    """A suite is missing or faulty. The message names the file and what to mend in it."""


class Outcome(StrEnum):
    """What becomes of a row that does not meet a rule.

    ``QUARANTINE``: not loaded until it is mended. ``MERGE``: loaded as part of another row, of which it is a
    duplicate. ``WARN``: loaded, and reported.
    """

    QUARANTINE = "quarantine"
    MERGE = "merge"
    WARN = "warn"


class Severity(StrEnum):
    """How bad it is, in the words of Great Expectations. What is critical is not loaded; nothing else is."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """One rule of a suite. ``column`` is where its fault shows; None where that is the row as a whole.

    ``description`` says in a sentence what is expected not to be (or to be), ``remedy`` what a person can do.
    """

    entity: str
    name: str
    expectation: str
    column: str | None
    severity: Severity
    outcome: Outcome
    description: str
    remedy: str

    @property
    def personal(self) -> bool:
        """Whether the values it finds are personal data."""
        return self.column not in (None, KEY) and ENTITIES[self.entity][str(self.column)].personal


@dataclass(frozen=True, slots=True)
class Look:
    """Rows of another entity (or the same) that rules of a suite look at.

    A change of a row of ``entity`` concerns the rows whose column ``matches`` has the value of its ``column``; all
    rows where neither is given. With ``ignores_status`` only its content counts, not whether it is accepted.
    """

    entity: str
    column: str | None = None
    matches: str | None = None
    ignores_status: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Suite:
    """A checked suite. ``expectations`` are the configurations as the file has them, in the order of ``rules``.

    ``fingerprint`` changes with the file.
    """

    entity: str
    path: Path
    fingerprint: str
    rules: tuple[RuleSpec, ...]
    looks_at: tuple[Look, ...]
    expectations: tuple[Mapping[str, Any], ...]


_Choice = TypeVar("_Choice", bound=StrEnum)

_SUITE_KEYS = {"name", "meta", "expectations"}
_SUITE_META = {"looks_at"}
_LOOK_KEYS = {"entity", "column", "matches", "ignores_status"}
_EXPECTATION_KEYS = {"type", "kwargs", "severity", "description", "meta"}
_RULE_META = {"rule", "remedy", "outcome", "column"}
_REQUIRED_META = {"rule", "remedy", "outcome"}
_COLUMN_KWARGS = ("column", "column_A", "column_B")
_FORBIDDEN_KWARGS = ("mostly", "row_condition", "condition_parser")
"""Would let single rows pass unseen."""


@lru_cache
def suite(entity: str, folder: Path = SUITES) -> Suite:
    """The suite of an entity, read and checked once per process; costs about a millisecond.

    Raises :class:`SuiteError` when it is missing, empty or faulty in any way, naming the file and the remedy.
    """
    path = folder / f"{entity}.json"
    if entity not in ENTITIES:
        raise SuiteError(
            f"There is no entity {entity!r}; {path.name} should be named after one of {', '.join(ENTITIES)}."
        )
    try:
        source = path.read_bytes()
        content = json.loads(source)
    except FileNotFoundError:
        raise SuiteError(
            f"The entity {entity} has no suite: add {path.name} to {folder.name}/. Nothing of it is loaded without."
        ) from None
    except ValueError as error:
        raise SuiteError(f"{path.name} is not valid JSON: {error}.") from None
    return _checked(ENTITIES[entity], path, hashlib.sha256(source).hexdigest()[:16], content)


def suite_rules(entity: str, folder: Path = SUITES) -> list[RuleSpec]:
    """The rules of an entity in the order of its file. Raises :class:`SuiteError` like :func:`suite`."""
    return list(suite(entity, folder).rules)


def _checked(entity: Entity, path: Path, fingerprint: str, content: Any) -> Suite:
    _only(path, "the suite", content, _SUITE_KEYS, required={"name", "expectations"})
    if content["name"] != entity.name:
        raise SuiteError(f"{path.name}: the suite is named {content['name']!r}; name it {entity.name!r}.")
    expectations = content["expectations"]
    if not isinstance(expectations, list) or not expectations:
        raise SuiteError(f"{path.name} has no expectation, so it would accept everything; add at least one.")
    meta = content.get("meta", {})
    _only(path, "the suite's meta", meta, _SUITE_META)
    rules = tuple(_rule(entity, path, number, item) for number, item in enumerate(expectations, start=1))
    names = [rule.name for rule in rules]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise SuiteError(f"{path.name}: rule names are unique within a suite; rename one of {', '.join(doubles)}.")
    looks = tuple(_look(entity, path, item) for item in meta.get("looks_at", []))
    _check_reads(path, rules, expectations, {look.entity for look in looks})
    return Suite(entity.name, path, fingerprint, rules, looks, tuple(expectations))


def _rule(entity: Entity, path: Path, number: int, item: Any) -> RuleSpec:
    where = f"expectation {number}"
    _only(path, where, item, _EXPECTATION_KEYS, required=_EXPECTATION_KEYS)
    meta, kwargs, type_ = item["meta"], item["kwargs"], item["type"]
    _only(path, f"the meta of {where}", meta, _RULE_META, required=_REQUIRED_META)
    name = meta["rule"]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", str(name)):
        raise SuiteError(f"{path.name}: the rule {name!r} of {where} is not a name in snake_case; rename it.")
    where = f"the rule {name}"
    outcome = _one_of(path, where, "outcome", Outcome, meta["outcome"])
    severity = _one_of(path, where, "severity", Severity, item["severity"])
    if (severity is Severity.CRITICAL) != (outcome is Outcome.QUARANTINE):
        raise SuiteError(
            f"{path.name}: {where} is {severity} with the outcome {outcome}; what is critical is quarantined, and "
            "nothing else is: change one of the two."
        )
    remedy = meta["remedy"]
    if not remedy:
        raise SuiteError(f"{path.name}: {where} has no remedy; say in its meta what a person can do.")
    description = item["description"]
    if not description or not str(description).endswith("."):
        raise SuiteError(f"{path.name}: {where} has no description that is a sentence; write one.")
    _check_kwargs(entity, path, where, type_, kwargs, outcome)
    column = meta.get("column", kwargs.get("column"))
    _check_columns(entity, path, where, [column] if column else [])
    return RuleSpec(entity.name, name, type_, column, severity, outcome, description, remedy)


def _check_kwargs(entity: Entity, path: Path, where: str, type_: str, kwargs: Any, outcome: Outcome) -> None:
    if not isinstance(kwargs, dict):
        raise SuiteError(f"{path.name}: the kwargs of {where} are not an object.")
    forbidden = [name for name in _FORBIDDEN_KWARGS if name in kwargs]
    if forbidden:
        raise SuiteError(
            f"{path.name}: {where} uses {', '.join(forbidden)}, which lets rows at fault pass; leave it out."
        )
    named = [kwargs[name] for name in _COLUMN_KWARGS if name in kwargs]
    _check_columns(entity, path, where, [*named, *kwargs.get("column_list", [])])
    if type_ != QUERY_TYPE:
        if outcome is Outcome.MERGE:
            raise SuiteError(f"{path.name}: {where} merges, so it has to be a {QUERY_TYPE} that returns `into_key`.")
        return
    query = str(kwargs.get("unexpected_rows_query", ""))
    if not query.startswith(QUERY_HEAD):
        raise SuiteError(f"{path.name}: the query of {where} does not begin with `{QUERY_HEAD}`; let it.")
    if query.count("{batch}") > 1 or re.search(r"\bjoin\b", query, re.IGNORECASE):
        raise SuiteError(
            f"{path.name}: the query of {where} has a JOIN or a second {{batch}}, for which Great Expectations renders "
            "{batch} in another way; list the tables with commas, or use EXISTS, and refer to `batch`."
        )


def _check_reads(path: Path, rules: Iterable[RuleSpec], expectations: Iterable[Any], seen: Set[str]) -> None:
    for rule, item in zip(rules, expectations, strict=True):
        query = str(item["kwargs"].get("unexpected_rows_query", ""))
        unseen = sorted(set(re.findall(r"\bstaging\.(\w+)", query)) - seen)
        if unseen:
            raise SuiteError(
                f"{path.name}: the query of the rule {rule.name} reads {', '.join(unseen)}, so a change there may "
                "change what it finds; name it in `looks_at`, or rows are not validated again."
            )


def _check_columns(entity: Entity, path: Path, where: str, columns: Iterable[str]) -> None:
    known = entity.schema()
    unknown = [column for column in columns if column not in known]
    if unknown:
        raise SuiteError(
            f"{path.name}: {where} looks at {', '.join(map(repr, unknown))}, which {entity.name} does not have; it has "
            f"{', '.join(known)}."
        )


def _look(entity: Entity, path: Path, item: Any) -> Look:
    where = "an entry of looks_at"
    _only(path, where, item, _LOOK_KEYS, required={"entity"})
    if item["entity"] not in ENTITIES:
        raise SuiteError(f"{path.name}: looks_at names {item['entity']!r}, which is no entity.")
    if ("column" in item) != ("matches" in item):
        raise SuiteError(
            f"{path.name}: looks_at {item['entity']} needs both `column` (there) and `matches` (here), or neither."
        )
    if "column" in item:
        _check_columns(ENTITIES[item["entity"]], path, f"looks_at {item['entity']}", [item["column"]])
        _check_columns(entity, path, f"looks_at {item['entity']}", [item["matches"]])
    look = Look(**item)
    gated_later = GATE_ORDER.index(look.entity) > GATE_ORDER.index(entity.name)
    if gated_later and not look.ignores_status:
        raise SuiteError(
            f"{path.name}: {look.entity} are gated after {entity.name}, so whether they are accepted is not known yet; "
            "say `ignores_status` and let the rules look at their content only."
        )
    return look


def is_set(entity: str, column: str) -> bool:
    """Whether a column holds the keys of several rows, joined by commas."""
    return column != KEY and ENTITIES[entity][column].kind is Kind.REFERENCES


def _one_of(path: Path, where: str, what: str, choices: type[_Choice], value: Any) -> _Choice:
    try:
        return choices(value)
    except ValueError:
        raise SuiteError(
            f"{path.name}: the {what} of {where} is {value!r}; it is one of {', '.join(choices)}."
        ) from None


def _only(path: Path, where: str, item: Any, known: Set[str], required: Set[str] = frozenset()) -> None:
    if not isinstance(item, dict):
        raise SuiteError(f"{path.name}: {where} is not an object.")
    unknown, missing = sorted(item.keys() - known), sorted(required - item.keys())
    if unknown:
        raise SuiteError(
            f"{path.name}: {where} has the unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}."
        )
    if missing:
        raise SuiteError(f"{path.name}: {where} lacks {', '.join(missing)}.")
