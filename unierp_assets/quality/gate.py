"""The gate: decides for every staged row of an entity whether it may be loaded.

Belongs here: which rows have to be validated, and what becomes of them - status, quarantine, merges - in one
transaction. Does not belong here: what the rules are (``expectations/``, ``rules.py``), how they are evaluated
(``validation.py``), and what is loaded (``sync``).

A row is validated when it is new or its content changed, and again when a row changed that its rules look at (the
suite's ``looks_at`` says which): so an accepted row is stopped when what it refers to goes, and a quarantined one
leaves by itself once its source, or what it refers to, is mended. When the suite itself changed, all rows are. Where
nothing changed since the last time, nothing is done and Great Expectations is not even imported.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY
from unierp_assets.quality.report import EXAMPLES, Example, GateReport, RuleResult
from unierp_assets.quality.rules import SUITES, Look, Outcome, RuleSpec, Suite, is_set, suite
from unierp_assets.quality.validation import GateError, Unmet, validate
from unierp_assets.warehouse.errors import WarehouseError
from unierp_assets.warehouse.store import Transaction, Warehouse
from unierp_assets.warehouse.tables import (
    ACCEPTED,
    MERGED,
    MERGES,
    NEW,
    QUARANTINE,
    QUARANTINED,
    STAGING,
    WITHDRAWN,
)

_CURSOR: Final = "gate:"
_VERDICT: Final = "_verdict"
_ANALYZE_FROM: Final = 1000
"""Rows from which it pays to gather statistics of a batch, so that joins with it are planned well."""
_LOCK_SECONDS: Final = 600


def run_gate(warehouse: Warehouse, entity_name: str, run_id: str, folder: Path = SUITES) -> GateReport:
    """Validates the rows of an entity that need it, and writes what becomes of them.

    Entities are gated in the order of ``GATE_ORDER``. Afterwards ``staging.<entity>._status`` is ``accepted``,
    ``quarantined`` or ``merged`` for every row that is not withdrawn; ``quarantine.rows`` has what is not met and
    ``sync.merges`` what was merged.

    Raises :class:`SuiteError` for a missing or faulty suite and :class:`GateError` when a rule could not be evaluated;
    then no status was changed and the next run validates the same rows again. Raises ``WarehouseError`` where the
    warehouse does not answer.
    """
    rules = suite(entity_name, folder)
    name = _CURSOR + entity_name
    with warehouse.transaction() as tx:
        changed = _top(tx, rules) > _position(tx, rules, name)
    validated = 0
    if changed:
        # Two gates of one entity would work on the same batch.
        with warehouse.lock(name, wait_seconds=_LOCK_SECONDS):
            validated = _validate_changed(warehouse, rules, name, run_id)
    return gate_report(warehouse, entity_name, validated, folder)


def due_gates(warehouse: Warehouse, entity_names: Iterable[str], folder: Path = SUITES) -> set[str]:
    """Those of these entities whose gates have rows to look at, or another suite than last: one look for all of them.

    A gate that decides may make others due.
    """
    suites = [suite(name, folder) for name in entity_names]
    read = {name: STAGING[name] for rules in suites for name in _read_by(rules)}
    with warehouse.transaction() as tx:
        positions = tx.cursors(_CURSOR)
        tops = tx.tops(read.values())
    return {
        rules.entity
        for rules in suites
        if max(tops[read[name].fullname] for name in _read_by(rules))
        > _validated_up_to(positions.get(_CURSOR + rules.entity), rules)
    }


def gate_report(warehouse: Warehouse, entity_name: str, validated: int = 0, folder: Path = SUITES) -> GateReport:
    """How an entity stands now, without validating anything. ``validated`` is handed on."""
    rules = suite(entity_name, folder)
    staged = STAGING[entity_name]
    of_entity = QUARANTINE.c.entity == entity_name
    ranked = (
        sa.select(
            QUARANTINE.c.rule,
            QUARANTINE.c.key,
            QUARANTINE.c.value,
            sa.func.row_number(type_=sa.BigInteger)
            .over(partition_by=QUARANTINE.c.rule, order_by=(sa.func.char_length(QUARANTINE.c.key), QUARANTINE.c.key))
            .label("place"),
            sa.func.count().over(partition_by=QUARANTINE.c.rule).label("rows"),
        )
        .where(of_entity)
        .subquery()
    )
    with warehouse.transaction() as tx:
        by_status = tx.read(sa.select(staged.c._status, sa.func.count().label("rows")).group_by(staged.c._status))
        shown = tx.read(sa.select(ranked).where(ranked.c.place <= EXAMPLES).order_by(ranked.c.rule, ranked.c.place))
        # Without findings, which is the rule, one question less.
        warned = 0 if shown.is_empty() else tx.read(_warned(entity_name)).item()
    statuses: dict[str, int] = dict(by_status.iter_rows())
    counts: dict[str, int] = dict(shown.select("rule", "rows").iter_rows())
    examples: dict[str, list[Example]] = {}
    for rule, key, value in shown.select("rule", KEY, "value").iter_rows():
        examples.setdefault(rule, []).append(Example(key, value))
    return GateReport(
        entity=entity_name,
        validated=validated,
        accepted=statuses.get(ACCEPTED, 0),
        quarantined=statuses.get(QUARANTINED, 0),
        merged=statuses.get(MERGED, 0),
        warned=warned,
        rules=tuple(
            RuleResult(spec, counts.get(spec.name, 0), tuple(examples.get(spec.name, ()))) for spec in rules.rules
        ),
    )


def _warned(entity: str) -> sa.Select[Any]:
    return (
        sa.select(sa.func.count(QUARANTINE.c.key.distinct()).label("rows"))
        .join(STAGING[entity], STAGING[entity].c.key == QUARANTINE.c.key)
        .where(
            QUARANTINE.c.entity == entity,
            QUARANTINE.c.outcome == str(Outcome.WARN),
            STAGING[entity].c._status == ACCEPTED,
        )
    )


def _validate_changed(warehouse: Warehouse, rules: Suite, cursor: str, run_id: str) -> int:
    batch = _batch_table(rules.entity)
    with warehouse.transaction() as tx:
        top = _top(tx, rules)
        _refresh_statistics(tx, rules)
        rows = _fill(tx, rules, batch, _position(tx, rules, cursor))
    with _dropped_on_failure(warehouse, batch):
        found = _find(warehouse, rules, batch) if rows else []
        with warehouse.transaction() as tx:
            # What others staged meanwhile is left to the next run, and with it our own changes, harmlessly.
            undisturbed = _top(tx, rules) == top
            _decide(tx, rules.entity, batch, found, run_id)
            _report_findings(tx, rules.entity, batch, found, run_id)
            _keep_merges(tx, rules.entity, batch, found, run_id)
            tx.set_cursor(cursor, f"{_top(tx, rules) if undisturbed else top}:{rules.fingerprint}")
            tx.execute(sa.schema.DropTable(batch))
    return rows


Found = tuple[RuleSpec, pl.DataFrame]
"""A rule and the rows that do not meet it: columns ``key``, ``value``, ``into_key``."""


# Which rows


def _position(tx: Transaction, rules: Suite, cursor: str) -> int:
    return _validated_up_to(tx.cursor(cursor), rules)


def _validated_up_to(position: str | None, rules: Suite) -> int:
    """The change number up to which rows were validated by this very suite; 0 where it was another."""
    seq, _, fingerprint = (position or "0:").partition(":")
    return int(seq) if fingerprint == rules.fingerprint else 0


def _top(tx: Transaction, rules: Suite) -> int:
    """The latest change number of the entity and of everything its rules look at."""
    return max(tx.tops(STAGING[entity] for entity in _read_by(rules)).values())


def _read_by(rules: Suite) -> list[str]:
    return sorted({rules.entity, *(look.entity for look in rules.looks_at)})


def _refresh_statistics(tx: Transaction, rules: Suite) -> None:
    """Statistics of the tables that have doubled since they were last gathered.

    The server gathers them by itself, but up to minutes later; until then it takes a table that was just filled for
    an empty one, and a join over it for hours.
    """
    outgrown = sa.text(
        "SELECT relname FROM pg_class WHERE relnamespace = 'staging'::regnamespace AND relname = ANY(:names) "
        "AND pg_relation_size(oid) > greatest(2 * relpages::bigint, 8) * current_setting('block_size')::int"
    ).bindparams(sa.bindparam("names", _read_by(rules), type_=sa.ARRAY(sa.Text)))
    for name in tx.read(outgrown.columns(sa.column("relname", sa.Text)))["relname"]:
        tx.execute(sa.text(f"ANALYZE {STAGING[name].fullname}"))


def _batch_table(entity: str) -> sa.Table:
    """The rows to validate, as a table every connection sees (Great Expectations has connections of its own)."""
    staged = STAGING[entity]
    columns = [sa.Column(column.name, column.type, primary_key=column.primary_key) for column in staged.columns]
    return sa.Table(
        f"_batch_{entity}",
        sa.MetaData(),
        *columns,
        sa.Column(_VERDICT, sa.Text, comment="What becomes of the row; null for accepted."),
        schema=staged.schema,
        prefixes=["UNLOGGED"],
    )


def _fill(tx: Transaction, rules: Suite, batch: sa.Table, cursor: int) -> int:
    staged = STAGING[rules.entity]
    keys = sa.union(*_concerned(rules, cursor)).subquery()
    tx.execute(sa.schema.DropTable(batch, if_exists=True))
    tx.execute(sa.schema.CreateTable(batch))
    rows = tx.execute(
        sa.insert(batch).from_select(
            [column.name for column in staged.columns],
            sa.select(staged).where(staged.c.key == keys.c.key, staged.c._status != WITHDRAWN),
        )
    )
    if rows >= _ANALYZE_FROM:
        tx.execute(sa.text(f"ANALYZE {batch.fullname}"))
    return rows


def _concerned(rules: Suite, cursor: int) -> Iterator[sa.Select[Any]]:
    """Statements that return the keys of the rows that have to be validated."""
    staged = STAGING[rules.entity]
    yield sa.select(staged.c.key).where((staged.c._status == NEW) | (staged.c._seq > cursor))
    if not rules.looks_at:
        return
    seen = [(look, STAGING[look.entity].alias(f"seen_{place}")) for place, look in enumerate(rules.looks_at)]
    # A row that does not meet a rule may have been at odds with what another row was before: it is tried again
    # whenever anything it looks at changed.
    changes = [sa.exists().select_from(other).where(_changed(look, other, cursor)) for look, other in seen]
    yield sa.select(staged.c.key).where(staged.c._status.in_((QUARANTINED, MERGED)), sa.or_(*changes))
    for (look, other), change in zip(seen, changes, strict=True):
        accepted = sa.select(staged.c.key).where(staged.c._status == ACCEPTED)
        if look.column is None or look.matches is None:
            yield accepted.where(change)
            continue
        ours: sa.ColumnElement[str] = staged.c[look.matches]
        rows: sa.FromClause = staged
        if is_set(rules.entity, look.matches):
            members = sa.func.unnest(sa.func.string_to_array(ours, ",")).table_valued("member")
            members = members.render_derived(name="members")
            ours = members.c.member
            rows = rows.join(members, sa.true())
        yield accepted.select_from(rows.join(other, ours == other.c[look.column])).where(_changed(look, other, cursor))


def _changed(look: Look, other: sa.FromClause, cursor: int) -> sa.ColumnElement[bool]:
    if look.ignores_status:
        # Its own gate comes later and gives it a status, which numbers the change: what it has now, was not staged
        # since.
        return sa.and_(other.c._seq > cursor, other.c._status.in_((NEW, WITHDRAWN)))
    return sa.and_(other.c._seq > cursor)


@contextmanager
def _dropped_on_failure(warehouse: Warehouse, batch: sa.Table) -> Iterator[None]:
    """The batch holds personal data: it does not outlive the gate."""
    try:
        yield
    except BaseException:
        # Where the warehouse is gone, the next run drops it; what went wrong first is what is told.
        with suppress(WarehouseError), warehouse.transaction() as tx:
            tx.execute(sa.schema.DropTable(batch, if_exists=True))
        raise


# What is wrong with them


def _find(warehouse: Warehouse, rules: Suite, batch: sa.Table) -> list[Found]:
    unmet = validate(warehouse.url, rules, str(batch.schema), batch.name)
    if not unmet:
        return []
    with warehouse.transaction() as tx:
        return [(rule.rule, _rows_of(tx, rules, batch, rule)) for rule in unmet]


def _rows_of(tx: Transaction, rules: Suite, batch: sa.Table, unmet: Unmet) -> pl.DataFrame:
    """The rows that do not meet a rule: columns ``key``, ``value`` (text), ``into_key``; as many as were counted.

    The value is what the query calls ``value``, else that of the rule's column.
    """
    rule = unmet.rule
    failing = sa.text(unmet.query).columns(sa.column(KEY, sa.Text)).subquery("failing")
    row = sa.func.to_jsonb(sa.literal_column("failing"))
    shown = sa.cast(batch.c[rule.column], sa.Text) if rule.column else sa.null()
    value = sa.case((sa.func.jsonb_exists(row, "value"), row.op("->>")("value")), else_=shown)
    rows = tx.read(
        sa.select(
            failing.c.key,
            sa.cast(value, sa.Text).label("value"),
            sa.cast(row.op("->>")("into_key"), sa.Text).label("into_key"),
            batch.c.key.is_not(None).label("known"),
        ).select_from(failing.outerjoin(batch, batch.c.key == failing.c.key))
    )
    if rows.height != unmet.count:
        raise GateError(
            f"{rules.path.name}: the rule {rule.name} was not met by {unmet.count} rows and then by {rows.height}: "
            "what it looks at was changed meanwhile. Nothing was accepted; run again."
        )
    if not rows["known"].all():
        raise GateError(
            f"{rules.path.name}: the query of the rule {rule.name} returns rows that were not to be validated; let it "
            "return keys of `batch` only."
        )
    if rule.outcome is Outcome.MERGE and (rows["into_key"].is_null() | (rows["into_key"] == rows[KEY])).any():
        raise GateError(
            f"{rules.path.name}: the rule {rule.name} merges, but its query does not say into which other row; let it "
            "return `into_key`."
        )
    return rows.drop("known").unique(KEY, keep="first", maintain_order=True)


# What becomes of them


def _keys(found: Iterable[Found], outcome: Outcome) -> pl.DataFrame:
    """The rows with findings of this outcome: columns ``key``, ``value``, ``into_key``, ``rule``; each once."""
    parts = [rows.with_columns(rule=pl.lit(rule.name)) for rule, rows in found if rule.outcome is outcome]
    empty = pl.DataFrame(schema={KEY: pl.String, "value": pl.String, "into_key": pl.String, "rule": pl.String})
    return pl.concat([empty, *parts]).unique(KEY, keep="first", maintain_order=True)


def _merged(found: Iterable[Found]) -> pl.DataFrame:
    """The rows that are merged: what is in quarantine stands for itself."""
    found = list(found)
    return _keys(found, Outcome.MERGE).join(_keys(found, Outcome.QUARANTINE), on=KEY, how="anti")


def _decide(tx: Transaction, entity: str, batch: sa.Table, found: list[Found], run_id: str) -> None:
    verdicts = pl.concat(
        [
            _keys(found, Outcome.QUARANTINE).select(KEY, pl.lit(QUARANTINED).alias(_VERDICT)),
            _merged(found).select(KEY, pl.lit(MERGED).alias(_VERDICT)),
        ]
    )
    tx.update_rows(batch, verdicts, [_VERDICT])
    staged = STAGING[entity]
    verdict = sa.func.coalesce(batch.c[_VERDICT], ACCEPTED)
    tx.execute(
        sa.update(staged)
        .values(_status=verdict, _run_id=run_id)
        # A row that was staged anew meanwhile is not the row that was validated.
        .where(staged.c.key == batch.c.key, staged.c._seq == batch.c._seq, staged.c._status != verdict)
    )


def _report_findings(tx: Transaction, entity: str, batch: sa.Table, found: list[Found], run_id: str) -> None:
    now = datetime.now(UTC)
    findings = pl.concat([_NO_FINDING, *(_findings(rule, rows) for rule, rows in found)])
    known = tx.read(
        sa.select(QUARANTINE.c.entity, QUARANTINE.c.key, QUARANTINE.c.rule).where(
            QUARANTINE.c.entity == entity, sa.exists().where(batch.c.key == QUARANTINE.c.key)
        )
    )
    tx.delete(QUARANTINE, known.join(findings, on=["entity", KEY, "rule"], how="anti"))
    tx.execute(sa.delete(QUARANTINE).where(QUARANTINE.c.entity == entity, _is_gone(QUARANTINE, entity)))
    # Without `first_seen_at`, which keeps the value it has.
    tx.upsert(
        QUARANTINE,
        findings.with_columns(run_id=pl.lit(run_id), last_seen_at=pl.lit(now).dt.cast_time_unit("us")),
    )


_NO_FINDING: Final = pl.DataFrame(
    schema=dict.fromkeys(
        ("entity", KEY, "rule", "expectation", "column", "value", "message", "remedy", "severity", "outcome"),
        pl.String,
    )
)


def _findings(rule: RuleSpec, rows: pl.DataFrame) -> pl.DataFrame:
    said = {
        "entity": rule.entity,
        "rule": rule.name,
        "expectation": rule.expectation,
        "column": rule.column,
        "message": rule.description,
        "remedy": rule.remedy,
        "severity": str(rule.severity),
        "outcome": str(rule.outcome),
    }
    told = {name: pl.lit(value, dtype=pl.String) for name, value in said.items()}
    return rows.select(KEY, "value", **told).select(_NO_FINDING.columns)


def _keep_merges(tx: Transaction, entity: str, batch: sa.Table, found: list[Found], run_id: str) -> None:
    merged = _merged(found).select(pl.lit(entity).alias("entity"), KEY, "into_key", "rule")
    known = tx.read(
        sa.select(MERGES.c.entity, MERGES.c.key, MERGES.c.into_key, MERGES.c.rule).where(
            MERGES.c.entity == entity, sa.exists().where(batch.c.key == MERGES.c.key)
        )
    )
    tx.delete(MERGES, known.join(merged, on=["entity", KEY], how="anti").select("entity", KEY))
    tx.execute(sa.delete(MERGES).where(MERGES.c.entity == entity, _is_gone(MERGES, entity)))
    fresh = merged.join(known, on=merged.columns, how="anti")
    now = pl.lit(datetime.now(UTC)).dt.cast_time_unit("us")
    tx.upsert(MERGES, fresh.with_columns(run_id=pl.lit(run_id), merged_at=now))


def _is_gone(table: sa.Table, entity: str) -> sa.ColumnElement[bool]:
    """Whether the staged row that a row of this table is about is no longer in the shop."""
    staged = STAGING[entity]
    return ~sa.exists().where(staged.c.key == table.c.key, staged.c._status != WITHDRAWN)
