"""The job that carries single changes over, asked for by sensors while somebody waits for them.

It is one step, where a sync of everything has one for each asset: what the engine does is the same, but a hundred steps
take ten seconds even if none of them has anything to do. It tells the assets it touched that they are up to date, and
the results of their checks.

Belongs here: that step and what it tells. Does not belong here: which changes there are (``unierp_assets.sensors``).
"""

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from unierp_assets.assets.describe import table_facts
from unierp_assets.assets.factory import UNIERP_POOL, all_judged, gate_checks, load_checks, written
from unierp_assets.assets.keys import BINDINGS, READ_BACK, Layer, gated_with, key, writes_storefront
from unierp_assets.assets.steps import LOCK_SECONDS, in_plain_words
from unierp_assets.entities import ENTITIES
from unierp_assets.quality import gate_report
from unierp_assets.resources import EngineResource
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.pipeline import Pipeline
from unierp_assets.warehouse.tables import BINDINGS as BINDINGS_TABLE
from unierp_assets.warehouse.tables import LANDING_STOREFRONT, LANDING_UNIERP, STAGING

SYNC_CHANGES = "sync_changes"
_STEP = "carry_over"

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation


class Changes(dg.Config):
    """What changed."""

    tables: list[str] = Field(description="Tables of the shop that are read.")
    entities: list[str] = Field(description="Entities that are compared and written.")


def run_config(tables: tuple[str, ...], entities: tuple[str, ...]) -> dg.RunConfig:
    """The configuration of a run that carries over these changes."""
    return dg.RunConfig(ops={_STEP: Changes(tables=list(tables), entities=list(entities))})


@dg.op(
    name=_STEP, pool=UNIERP_POOL, description="Reads, validates, compares and writes what changed, and reads it back."
)
def carry_over(context: dg.OpExecutionContext, config: Changes, engine: EngineResource) -> None:
    """Raises ``dagster.Failure`` with the sentence of the system that failed."""
    with in_plain_words():
        clock = _Clock()
        work = engine.context(context.run_id, clock)
        gates = {name for entity in config.entities for name in gated_with(ENTITIES[entity])}
        pipeline = Pipeline.of_changes(work, config.tables, config.entities, gates)
        summary = pipeline.carry_over(LOCK_SECONDS)
        clock("tell", "the assets")
        for event in _told(work, pipeline):
            context.log_event(event)  # type: ignore[arg-type]  # it takes the results of checks, too
        clock("end", "")
    context.log.info(str(summary.to_dict()["entities"]))
    context.log.info(f"Seconds: {clock}")


class _Clock:
    """How long each phase took, as one line. A line for each as it begins would be a hundred, and each of them would
    cost the run as much as a small phase."""

    def __init__(self) -> None:
        self._phase, self._since = "begin", time.monotonic()
        self._seconds: dict[str, float] = {}

    def __call__(self, phase: str, _subject: str) -> None:
        now = time.monotonic()
        self._seconds[self._phase] = self._seconds.get(self._phase, 0) + now - self._since
        self._phase, self._since = phase, now

    def __str__(self) -> str:
        return ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in self._seconds.items())


def _told(work: SyncContext, pipeline: Pipeline) -> Iterator[Event]:
    """What the assets that were touched are told."""
    for table, changed in pipeline.changed.items():
        yield _made(
            Layer.LANDING_STOREFRONT, table, changed=changed, **table_facts(work.warehouse, LANDING_STOREFRONT[table])
        )
    yield dg.AssetMaterialization(BINDINGS, metadata=table_facts(work.warehouse, BINDINGS_TABLE))
    for entity in pipeline.entities:
        counts = pipeline.summary.entities[entity.name]
        staged = table_facts(work.warehouse, STAGING[entity.name])
        yield _made(Layer.STAGING, entity.name, changed=counts.extracted, **staged)
        for result in gate_checks(entity, gate_report(work.warehouse, entity.name)):
            yield _evaluated(result)
        yield _made(Layer.LANDING_UNIERP, entity.name, **table_facts(work.warehouse, LANDING_UNIERP[entity.name]))
        loads = [Layer.UNIERP, *([Layer.STOREFRONT] if writes_storefront(entity) else [])]
        for layer in loads:
            about = key(layer, entity.name)
            done = {name: getattr(counts, name) for name in ("created", "updated", "held", "conflicts", "failed")}
            yield _made(layer, entity.name, **done, quarantined=counts.quarantined, **written(work, entity))
            for result in load_checks(work, entity, about):
                yield _evaluated(result)
    yield dg.AssetMaterialization(READ_BACK)
    yield _evaluated(all_judged(work.warehouse))


def _made(layer: Layer, name: str, **metadata: Any) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(key(layer, name), metadata=metadata)


def _evaluated(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    assert result.asset_key is not None
    assert result.check_name is not None
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
    )


@dg.job(
    name=SYNC_CHANGES,
    description="What just changed, on either side; sensors ask for it.",
    executor_def=dg.in_process_executor,
)
def sync_changes() -> None:
    """One step."""
    carry_over()
