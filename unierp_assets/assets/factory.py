"""The steps of the sync as assets: one function per kind of step, given the entity or table it is about.

Belongs here: the decorators and what a step reports. Does not belong here: which assets a domain has (a module each),
their texts (``describe.py``), their order (``keys.py``), and the work itself (``unierp_assets.sync``).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import dagster as dg
import polars as pl
import sqlalchemy as sa

from unierp_assets.assets.describe import columns_in_unierp, described, examples, of_table, table_facts
from unierp_assets.assets.keys import (
    BINDINGS,
    CHANGE_TAG,
    DOMAIN_OF_TABLE,
    READ_BACK,
    REPORTS_AFTER,
    Layer,
    gated_with,
    key,
    load_deps,
    looked_at,
    writes_storefront,
)
from unierp_assets.assets.steps import Step, in_one_process, step
from unierp_assets.entities import ENTITIES, entities_of
from unierp_assets.entities.spec import KEY, Entity, System
from unierp_assets.odoo.links import list_url, record_url
from unierp_assets.quality import GateReport, Severity, check_metadata, preload, suite_rules
from unierp_assets.resources import EngineResource
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.extract import extract
from unierp_assets.sync.intake.stage import stage
from unierp_assets.sync.load.apply import Applied
from unierp_assets.sync.memory.state import FAILED, HELD, PARKED, pending
from unierp_assets.sync.pipeline import gate as run_the_gate
from unierp_assets.sync.pipeline import load_entity, pull_entity, refresh_storefront, tables_of
from unierp_assets.sync.reports import rebuild_reports, reconciliation
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import (
    BINDINGS as BINDINGS_TABLE,
)
from unierp_assets.warehouse.tables import (
    CONFLICTS,
    LANDING_STOREFRONT,
    LANDING_UNIERP,
    LEDGER,
    NEW,
    STAGING,
    STATUS,
)

Made = dg.MaterializeResult[Any]

EXAMPLES = 5
"""How many rows a check or a materialisation shows."""
ALL_JUDGED = "all_judged"
UNIERP_POOL, STOREFRONT_POOL = "unierp", "storefront"
"""One pool per system that is written: how many runs may write to it at a time is said in Dagster's configuration."""


def domain_assets(domain: str) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """Everything of a domain: from the shop's tables to UniERP, and back where something flows back."""
    found: list[dg.AssetsDefinition | dg.AssetChecksDefinition] = [
        landing_storefront(table) for table, owner in DOMAIN_OF_TABLE.items() if owner == domain
    ]
    for entity in entities_of(domain):
        found += [staging(entity), gate(entity), landing_unierp(entity), unierp(entity)]
        if writes_storefront(entity):
            found.append(storefront(entity))
    return found


def op_name(spec: dg.AssetSpec) -> str:
    """The name of the step that makes an asset."""
    return spec.key.to_python_identifier()


def landing_storefront(table: str) -> dg.AssetsDefinition:
    """Reads what changed in a table of the shop."""
    landing = LANDING_STOREFRONT[table]

    spec = of_table(
        key(Layer.LANDING_STOREFRONT, table), DOMAIN_OF_TABLE[table], landing, ["storefront", "landing", "postgres"]
    )

    @dg.multi_asset(name=op_name(spec), specs=[spec])
    def compute(context: dg.AssetExecutionContext, engine: EngineResource) -> Iterator[Made]:
        with step(context, engine) as work:
            changed = extract(work.engine, table)
            if changed and in_one_process(context):
                # Takes seconds, which pass while the systems are waited for; the gate will need it.
                preload()
            metadata = {"changed": changed, **table_facts(work.warehouse, landing)}
        yield dg.MaterializeResult(metadata=metadata)

    return compute


def staging(entity: Entity) -> dg.AssetsDefinition:
    """Makes the canonical rows of what changed."""
    staged = STAGING[entity.name]

    spec = of_table(
        key(Layer.STAGING, entity.name),
        entity.domain,
        staged,
        ["staging", "polars", "postgres"],
        deps=[key(Layer.LANDING_STOREFRONT, table) for table in tables_of((entity,))],
    )

    @dg.multi_asset(name=op_name(spec), specs=[spec])
    def compute(context: dg.AssetExecutionContext, engine: EngineResource) -> Iterator[Made]:
        with step(context, engine) as work:
            changed = stage(work.engine, entity)
            work.counts[entity.name] = {"extracted": changed}
            metadata = {"changed": changed, **table_facts(work.warehouse, staged)}
        yield dg.MaterializeResult(metadata=metadata)

    return compute


def gate(entity: Entity) -> dg.AssetChecksDefinition:
    """Validates the staged rows: one check per rule of the suite.

    The checks never block: which rows may be loaded stands in the rows themselves, so that bad rows stop nobody and no
    order of runs gets round the gate. The load runs the same gate before it reads, which costs next to nothing where
    it has been run.
    """
    about = key(Layer.STAGING, entity.name)
    seen = [key(Layer.STAGING, name) for name in looked_at(entity)]
    specs = [
        dg.AssetCheckSpec(
            rule.name,
            asset=about,
            description=rule.description,
            additional_deps=seen,
            metadata={"expectation": rule.expectation, "outcome": str(rule.outcome), "remedy": rule.remedy},
        )
        for rule in suite_rules(entity.name)
    ]

    @dg.multi_asset_check(
        name=f"gate_{entity.name}",
        specs=specs,
        # The gate always runs as a whole; a person may still ask for the result of one rule.
        can_subset=True,
        op_tags={"dagster/kind/greatexpectations": ""},
    )
    def compute(context: dg.AssetCheckExecutionContext, engine: EngineResource) -> Iterator[dg.AssetCheckResult]:
        with step(context, engine) as work:
            report = pass_gates(work, engine, entity)
        wanted = {selected.name for selected in context.selected_asset_check_keys}
        yield from (result for result in gate_checks(entity, report) if result.check_name in wanted)

    return compute


def gate_checks(entity: Entity, report: GateReport) -> Iterator[dg.AssetCheckResult]:
    """The result of each rule of the entity's suite."""
    for name, result in check_metadata(report).items():
        metadata = dict(result["metadata"])
        metadata |= examples(metadata.pop("examples"), (KEY, "value"))
        critical = result["severity"] == Severity.CRITICAL
        yield dg.AssetCheckResult(
            asset_key=key(Layer.STAGING, entity.name),
            check_name=name,
            passed=result["passed"],
            severity=dg.AssetCheckSeverity.ERROR if critical else dg.AssetCheckSeverity.WARN,
            description=_said(result),
            metadata=metadata,
        )


def _said(result: dict[str, Any]) -> str:
    if result["passed"]:
        return str(result["description"])
    count = result["metadata"]["unexpected_count"]
    return f"{count} {'row does' if count == 1 else 'rows do'} not meet the rule: {result['description']}"


def pass_gates(work: Step, engine: EngineResource, entity: Entity) -> GateReport:
    """Runs the entity's gate, and before it those that decide first; returns the entity's report.

    The others only where this run has not: it staged everything a gate looks at before the first of them ran.
    """
    *first, own = gated_with(entity)
    for name in first:
        engine.once(work.engine.run_id, f"gate {name}", partial(run_the_gate, work.engine, ENTITIES[name]))
    report = run_the_gate(work.engine, ENTITIES[own])
    engine.once(work.engine.run_id, f"gate {own}", lambda: None)
    work.counts.setdefault(entity.name, {})["quarantined"] = report.quarantined
    return report


def landing_unierp(entity: Entity) -> dg.AssetsDefinition:
    """Reads what changed in UniERP."""
    landing = LANDING_UNIERP[entity.name]

    spec = of_table(
        key(Layer.LANDING_UNIERP, entity.name),
        entity.domain,
        landing,
        ["odoo", "landing", "postgres"],
        # Where a quantity is stocked UniERP does not say by an id of ours: the staged rows do.
        deps=[BINDINGS, *([key(Layer.STAGING, entity.name)] if entity.name == "stock_levels" else [])],
    )

    @dg.multi_asset(name=op_name(spec), specs=[spec])
    def compute(context: dg.AssetExecutionContext, engine: EngineResource) -> Iterator[Made]:
        with step(context, engine, exclusive=True) as work:
            changed = pull_entity(work.engine, entity)
            metadata = {"changed": changed, **table_facts(work.warehouse, landing)}
        yield dg.MaterializeResult(metadata=metadata)

    return compute


def unierp(entity: Entity) -> dg.AssetsDefinition:
    """Writes to UniERP what differs: plan, apply, agree."""
    spec = described(
        key(Layer.UNIERP, entity.name),
        entity.domain,
        f"{entity.description} As written to UniERP.",
        ["odoo", "load"],
        deps=load_deps(entity),
        columns=columns_in_unierp(entity),
        metadata={"model": entity.model},
    )
    return _load(entity, spec, UNIERP_POOL)


def storefront(entity: Entity) -> dg.AssetsDefinition:
    """Writes back to the shop what UniERP knows better, once everything was written and read back."""
    back = [field for field in entity.synced if System.STOREFRONT in field.flows_to]
    spec = described(
        key(Layer.STOREFRONT, entity.name),
        entity.domain,
        f"{entity.description} As written back to the shop: {', '.join(field.name for field in back)}.",
        ["storefront", "load"],
        deps=[READ_BACK, key(Layer.UNIERP, entity.name)],
        columns=[dg.TableColumn(field.name, field.kind.value, field.comment) for field in back],
    )
    return _load(entity, spec, STOREFRONT_POOL)


def _load(entity: Entity, spec: dg.AssetSpec, pool: str) -> dg.AssetsDefinition:
    about = spec.key

    # No retries: the engine repeats what may be repeated, and looks before it acts again.
    @dg.multi_asset(
        name=op_name(spec),
        specs=[spec],
        pool=pool,
        check_specs=[
            dg.AssetCheckSpec("none_failed", asset=about, description="The server refused no record."),
            dg.AssetCheckSpec("none_held", asset=about, description="No record waits for something or somebody."),
            dg.AssetCheckSpec(
                "no_conflicts", asset=about, description="Nothing was changed on both sides, or waits for a decision."
            ),
        ],
    )
    def compute(context: dg.AssetExecutionContext, engine: EngineResource) -> Iterator[Made]:
        with step(context, engine, exclusive=True) as work:
            report = pass_gates(work, engine, entity)
            applied = load_entity(work.engine, entity)
            if applied.wrote_storefront:
                refresh_storefront(work.engine, entity)
            counts = _counts(applied, report)
            work.counts[entity.name] |= counts
            metadata = {**counts, "quarantined": report.quarantined, **written(work.engine, entity)}
            results = list(load_checks(work.engine, entity, about))
        yield dg.MaterializeResult(metadata=metadata, check_results=results)

    return compute


def _counts(applied: Applied, report: GateReport) -> dict[str, int]:
    busy = applied.created + applied.updated + applied.held + applied.failed
    return {
        "created": applied.created,
        "updated": applied.updated,
        "unchanged": max(report.accepted - busy, 0),
        "held": applied.held,
        "conflicts": applied.conflicts,
        "failed": applied.failed,
    }


def written(engine: SyncContext, entity: Entity) -> dict[str, Any]:
    """How many records there are, and where to look at them."""
    session = engine.session
    bound = BINDINGS_TABLE.c.entity == entity.name
    mine = sa.and_(LEDGER.c.entity == entity.name, LEDGER.c.run_id == engine.run_id)
    with engine.warehouse.transaction() as tx:
        rows, last = tx.read(sa.select(sa.func.count(), sa.func.max(BINDINGS_TABLE.c.bound_at)).where(bound)).row(0)
        records = tx.read(
            sa.select(LEDGER.c.key, LEDGER.c.odoo_id)
            .where(mine, LEDGER.c.odoo_id.is_not(None))
            .distinct()
            .order_by(LEDGER.c.odoo_id)
            .limit(EXAMPLES)
        )
    facts: dict[str, Any] = {"dagster/row_count": rows}
    if last is not None:
        facts["dagster/last_updated_timestamp"] = dg.MetadataValue.timestamp(last)
    page = list_url(session.url, session.db, entity.model)
    if page:
        facts["in_odoo"] = dg.MetadataValue.url(page)
    if not records.is_empty():
        links = [
            f"- [{row_key}]({record_url(session.url, session.db, entity.model, odoo_id)})"
            for row_key, odoo_id in records.iter_rows()
        ]
        facts["documents"] = dg.MetadataValue.md("\n".join(links))
    return facts


def load_checks(engine: SyncContext, entity: Entity, about: dg.AssetKey) -> Iterator[dg.AssetCheckResult]:
    """What the load of an entity could not do, as the results of its asset's checks."""
    with engine.warehouse.transaction() as tx:
        waiting = pending(tx, entity.name)
        conflicts = tx.read(
            sa.select(CONFLICTS.c.key, CONFLICTS.c.field, CONFLICTS.c.strategy).where(
                CONFLICTS.c.entity == entity.name,
                sa.or_(CONFLICTS.c.run_id == engine.run_id, CONFLICTS.c.outcome.is_(None)),
            )
        )
    # What the server says of a person's record may name the person.
    shown = (KEY,) if any(field.personal for field in entity.fields) else (KEY, "reason")
    for name, states, severity in (
        ("none_failed", (FAILED, PARKED), dg.AssetCheckSeverity.ERROR),
        ("none_held", (HELD,), dg.AssetCheckSeverity.WARN),
    ):
        rows = waiting.filter(pl.col("state").is_in(states))
        yield dg.AssetCheckResult(
            asset_key=about,
            check_name=name,
            passed=rows.is_empty(),
            severity=severity,
            metadata={"count": rows.height, **examples(rows.head(EXAMPLES).to_dicts(), shown)},
        )
    yield dg.AssetCheckResult(
        asset_key=about,
        check_name="no_conflicts",
        passed=conflicts.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "count": conflicts.height,
            **examples(conflicts.head(EXAMPLES).to_dicts(), (KEY, "field", "strategy")),
        },
    )


def all_judged(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Whether every staged row has passed or failed its gate: a gate that could not decide leaves rows without a
    verdict."""
    counts = [
        sa.select(sa.literal(name, sa.Text).label("entity"), sa.func.count().label("rows")).where(
            table.c[STATUS] == NEW
        )
        for name, table in STAGING.items()
    ]
    waiting = {name: rows for name, rows in warehouse.read(sa.union_all(*counts)).iter_rows() if rows}
    return dg.AssetCheckResult(
        asset_key=READ_BACK,
        check_name=ALL_JUDGED,
        passed=not waiting,
        metadata={"count": sum(waiting.values()), **waiting},
    )


# Reports

Checks = Callable[[Step], Iterator[dg.AssetCheckResult]]


FOLLOWS_CHANGES = (
    # Runs for single changes end without reports. That nothing changed is told by no run, and is followed by none.
    dg.AutomationCondition.any_deps_match(
        dg.AutomationCondition.newly_updated()
        & dg.AutomationCondition.any_new_update_has_run_tags(tag_keys={CHANGE_TAG})
    ).since_last_handled()
    & ~dg.AutomationCondition.in_progress()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
)
"""When reports are made by themselves: after loads, and never of data whose blocking checks failed."""


def report(
    group: str,
    table: sa.Table,
    made_of: Sequence[dg.AssetKey] = (),
    check_specs: Sequence[dg.AssetCheckSpec] = (),
    checks: Checks | None = None,
) -> dg.AssetsDefinition:
    """A table for analysts, made anew where something it is made of changed.

    ``made_of`` are assets it reads besides those that all reports follow. ``checks`` yields the results of
    ``check_specs``.
    """

    spec = of_table(
        key(Layer.REPORTING, table.name),
        group,
        table,
        ["report", "postgres"],
        deps=[*made_of, *REPORTS_AFTER],
        automation=FOLLOWS_CHANGES,
    )

    @dg.multi_asset(name=op_name(spec), specs=[spec], check_specs=check_specs)
    def compute(context: dg.AssetExecutionContext, engine: EngineResource) -> Iterator[Made]:
        with step(context, engine, exclusive=True) as work:
            rebuilt = rebuild_reports(work.warehouse, work.engine.run_id, work.engine.time_zone)
            agreed = reconciliation(work.warehouse)
            work.facts["reconciliation"] = {"differences": agreed.differences, "accuracy": float(agreed.accuracy)}
            metadata = {"rebuilt": table.name in rebuilt, **table_facts(work.warehouse, table)}
            results = list(checks(work)) if checks else []
        yield dg.MaterializeResult(metadata=metadata, check_results=results)

    return compute


def rows_check(
    about: dg.AssetKey, name: str, work: Step, table: sa.Table, at_fault: sa.ColumnElement[bool], show: Sequence[str]
) -> dg.AssetCheckResult:
    """A check that no row of a table is at fault, with the first rows that are."""
    rows = work.warehouse.read(sa.select(*(table.c[column] for column in show)).where(at_fault))
    return dg.AssetCheckResult(
        asset_key=about,
        check_name=name,
        passed=rows.is_empty(),
        metadata={"count": rows.height, **examples(rows.head(EXAMPLES).to_dicts(), show)},
    )
