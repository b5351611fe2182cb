"""Whether both sides agree: which records of UniERP are ours, what stands in them after the loads, what differs."""

from collections.abc import Iterator

import dagster as dg
import polars as pl
import sqlalchemy as sa

from unierp_assets.assets.describe import described, examples, of_table, table, table_facts
from unierp_assets.assets.factory import ALL_JUDGED, EXAMPLES, Made, all_judged, op_name, report, rows_check
from unierp_assets.assets.keys import BINDINGS, PLAN, READ_BACK, Layer, key
from unierp_assets.assets.steps import Step, in_plain_words, step
from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import KEY, System
from unierp_assets.resources import EngineResource
from unierp_assets.sync.compare.plan import CHANGES
from unierp_assets.sync.intake.pull import pull_bindings
from unierp_assets.sync.pipeline import Pipeline, new_run_id, read_written
from unierp_assets.sync.reports import reconciliation, reconciliation_differences
from unierp_assets.warehouse.tables import (
    BINDINGS as BINDINGS_TABLE,
)
from unierp_assets.warehouse.tables import (
    LEDGER,
    ORDER_RECONCILIATION,
    PENDING,
    PLAN_CHANGES,
    RECONCILIATION_SUMMARY,
    STOCK_RECONCILIATION,
)

GROUP = "reconciliation"
_CURSOR = "read_back"


# A group of its own: it comes before everything that this module is otherwise about.
_BINDINGS = of_table(BINDINGS, BINDINGS_TABLE.name, BINDINGS_TABLE, ["odoo", "postgres"])
_READ_BACK = described(
    READ_BACK,
    GROUP,
    "What stands in UniERP after everything was written, read once more.",
    ["odoo", "postgres"],
    deps=[key(Layer.UNIERP, name) for name in ENTITIES],
    columns=[dg.TableColumn(name, "integer", "Rows that differ from before.") for name in ENTITIES],
)


@dg.multi_asset(name=op_name(_BINDINGS), specs=[_BINDINGS])
def bindings(context: dg.AssetExecutionContext, engine: EngineResource) -> Iterator[Made]:
    """Learns which records carry external ids of ours."""
    with step(context, engine, exclusive=True) as work:
        changed = pull_bindings(work.engine)
        metadata = {"changed": changed, **table_facts(work.warehouse, BINDINGS_TABLE)}
    yield dg.MaterializeResult(metadata=metadata)


@dg.multi_asset(
    name=op_name(_READ_BACK),
    specs=[_READ_BACK],
    check_specs=[
        # Reports are made of judged rows only; what did not pass its gate is no obstacle.
        dg.AssetCheckSpec(ALL_JUDGED, asset=READ_BACK, blocking=True, description="Every staged row met its gate.")
    ],
)
def read_back(context: dg.AssetExecutionContext, engine: EngineResource) -> Iterator[Made]:
    """Nothing is read where nothing was written since the last time: the landing tables were read before the load."""
    with step(context, engine, exclusive=True) as work:
        with work.warehouse.transaction() as tx:
            seen = int(tx.cursor(_CURSOR) or 0)
            # What was written to the shop is no news of UniERP.
            written = tx.read(
                sa.select(LEDGER.c.entity, sa.func.max(LEDGER.c.id))
                .where(LEDGER.c.system == System.UNIERP, LEDGER.c.id > seen)
                .group_by(LEDGER.c.entity)
            )
            # What is held or refused may have been written in part.
            waiting = tx.read(sa.select(PENDING.c.entity).distinct())["entity"]
        changed = dict.fromkeys(ENTITIES, 0)
        if not written.is_empty():
            changed |= read_written(work.engine, {*written["entity"], *waiting})
            with work.warehouse.transaction() as tx:
                tx.set_cursor(_CURSOR, str(written["max"].max()))
        metadata = {"dagster/row_count": sum(changed.values()), **changed}
        judged = all_judged(work.warehouse)
    yield dg.MaterializeResult(metadata=metadata, check_results=[judged])


# The preview

_SHOWN = 100
"""How many changes of a plan are shown."""
_PLAN = described(
    PLAN,
    GROUP,
    "Everything a sync would write now, in both directions; nothing is written.",
    ["odoo", "postgres"],
    deps=[],
    columns=[
        dg.TableColumn(column.name, "text", str(column.comment))
        for column in PLAN_CHANGES.columns
        if column.name in CHANGES
    ],
    on_demand=True,
)


@dg.multi_asset(name=op_name(_PLAN), specs=[_PLAN])
def plan(context: dg.AssetExecutionContext, engine: EngineResource) -> Iterator[Made]:
    """Reads and validates both sides as a sync does. `unierp sync --approve` writes exactly what a plan showed."""
    with in_plain_words():
        plan_id = new_run_id()
        pipeline = Pipeline(engine.context(plan_id, lambda phase, subject: context.log.info(f"{phase} {subject}")))
        changes = pipeline.preview()
    counts = changes.group_by("entity", "action", "target", maintain_order=True).agg(
        records=pl.col(KEY).n_unique(), fields=(pl.col("field") != "").sum()
    )
    yield dg.MaterializeResult(
        metadata={
            "plan_id": plan_id,
            "dagster/row_count": changes.height,
            "to_approve": dg.MetadataValue.md(f"`unierp sync --approve {plan_id}`"),
            # The values may be personal data: they stand in the warehouse.
            **examples(changes.head(_SHOWN).to_dicts(), ("entity", KEY, "field", "action", "target")),
            **table("counts", counts.to_dicts(), counts.columns),
        }
    )


# Reports

SUMMARY = key(Layer.REPORTING, RECONCILIATION_SUMMARY.name)
ORDERS = key(Layer.REPORTING, ORDER_RECONCILIATION.name)
STOCK = key(Layer.REPORTING, STOCK_RECONCILIATION.name)
_NO_DIFFERENCE = "no_difference"


def _agreement(name: str) -> str:
    return f"{name}_agree"


def _agreements(work: Step) -> Iterator[dg.AssetCheckResult]:
    """One check per entity: what is neither held nor quarantined is equal on both sides."""
    for row in reconciliation(work.warehouse).by_entity.iter_rows(named=True):
        differences = row["missing"] + row["surplus"] + row["differing"]
        found = reconciliation_differences(work.warehouse, row["entity"], EXAMPLES).to_dicts() if differences else []
        yield dg.AssetCheckResult(
            asset_key=SUMMARY,
            check_name=_agreement(row["entity"]),
            passed=not differences,
            metadata={
                **{name: row[name] for name in ("matched", "missing", "surplus", "differing", "held", "quarantined")},
                "accuracy_percent": float(row["accuracy_percent"]),
                # The values themselves may be personal data.
                **examples(found, ("key", "field", "reason")),
            },
        )


def _orders_agree(work: Step) -> Iterator[dg.AssetCheckResult]:
    table = ORDER_RECONCILIATION
    yield rows_check(
        ORDERS, _NO_DIFFERENCE, work, table, table.c.state.in_(["differs", "missing"]), show=["key", "number", "reason"]
    )


def _stock_agrees(work: Step) -> Iterator[dg.AssetCheckResult]:
    table = STOCK_RECONCILIATION
    yield rows_check(
        STOCK, _NO_DIFFERENCE, work, table, table.c.difference != 0, show=["sku", "location_name", "difference"]
    )


ASSETS = [
    bindings,
    plan,
    read_back,
    report(
        GROUP,
        ORDER_RECONCILIATION,
        check_specs=[
            dg.AssetCheckSpec(
                _NO_DIFFERENCE, asset=ORDERS, description="Every order that is not held agrees with UniERP to the cent."
            )
        ],
        checks=_orders_agree,
    ),
    report(
        GROUP,
        STOCK_RECONCILIATION,
        check_specs=[
            dg.AssetCheckSpec(_NO_DIFFERENCE, asset=STOCK, description="The shop offers what UniERP may sell.")
        ],
        checks=_stock_agrees,
    ),
    report(
        GROUP,
        RECONCILIATION_SUMMARY,
        check_specs=[
            dg.AssetCheckSpec(
                _agreement(entity.name),
                asset=SUMMARY,
                description=f"{entity.description} What passed the gate is equal on both sides.",
            )
            for entity in ENTITIES.values()
        ],
        checks=_agreements,
    ),
]
