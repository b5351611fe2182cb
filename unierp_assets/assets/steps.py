"""What every step of a run has around it: the engine's context, the lock, the run's record, errors in plain words.

Belongs here: the frame of a step. Does not belong here: what the step does (``factory.py``) and how (``sync``).
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from unierp_assets.assets.keys import FULL_TAG, Layer
from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import Entity
from unierp_assets.lab.errors import LabError
from unierp_assets.logs import bound
from unierp_assets.odoo import OdooError, OdooUnavailable
from unierp_assets.quality import GateError, SuiteError
from unierp_assets.resources import EngineResource
from unierp_assets.storefront.source import StorefrontError, StorefrontUnavailable
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.preflight import WrongServer, preflight
from unierp_assets.sync.memory.rewind import rewind
from unierp_assets.sync.memory.state import DIFFERS, FAILED, RUNNING, SUCCEEDED
from unierp_assets.sync.pipeline import LOCK, EntityCounts
from unierp_assets.warehouse.errors import WarehouseError, WarehouseLocked, WarehouseUnavailable
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import RUNS

LOCK_SECONDS = 3600
"""How long a step waits for a sync that was started elsewhere. A first load of a large shop takes its time."""

_IN_PLAIN_WORDS = (OdooError, StorefrontError, WarehouseError, LabError, SuiteError, GateError, WrongServer)
_WORTH_ANOTHER_TRY = (OdooUnavailable, StorefrontUnavailable, WarehouseUnavailable, WarehouseLocked)

_SUMMED = ("extracted", "created", "updated", "conflicts")
"""What happens to a record again is counted again; the other counts tell how many there are."""

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext


@dataclass
class Step:
    """A step in progress. ``counts`` by entity and name, and ``facts``, go into the record of the run."""

    engine: SyncContext
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def warehouse(self) -> Warehouse:
        """The staging warehouse."""
        return self.engine.warehouse


@contextmanager
def step(context: Context, engine: EngineResource, *, exclusive: bool = False) -> Iterator[Step]:
    """A step of the engine within a Dagster run, whose id is the engine's.

    ``exclusive`` steps read or write UniERP and what the engine remembers of it. They hold the lock that a sync started
    from the command line holds for its whole length, so the two never work on UniERP at a time. Dagster's runs take it
    step by step: between the steps the warehouse is consistent, and a run that died holds nothing. Before the first of
    them in a process, the systems are checked for what the run's entities need.

    Raises ``dagster.Failure`` with the sentence of the system that failed.
    """
    with in_plain_words():
        warehouse = engine.warehouse.get()
        work = Step(engine.context(context.run.run_id, lambda phase, subject: context.log.info(f"{phase} {subject}")))
        engine.once(context.run.run_id, "record", lambda: _note(work, RUNNING))
        if FULL_TAG in context.run.tags:
            engine.once(context.run.run_id, "rewind", lambda: rewind(warehouse, context.run.run_id))
        with (
            bound(run_id=context.run.run_id),
            _locked(context, warehouse) if exclusive else nullcontext(),
            _recorded(work),
        ):
            if exclusive:
                engine.once(context.run.run_id, "preflight", lambda: preflight(work.engine, entities_of_run(context)))
            yield work


def entities_of_run(context: Context) -> tuple[Entity, ...]:
    """The entities that a run exchanges with UniERP, in load order; all where it names none."""
    selected = context.job_def.asset_layer.executable_asset_keys
    names = {found.path[1] for found in selected if found.path[0] in (Layer.UNIERP, Layer.LANDING_UNIERP)}
    return tuple(entity for entity in ENTITIES.values() if entity.name in names or not names)


def in_one_process(context: Context) -> bool:
    """Whether all steps of the run are taken by this process."""
    return bool(context.job_def.executor_def.name == dg.in_process_executor.name)


@contextmanager
def in_plain_words() -> Iterator[None]:
    """Shows what a system says on purpose as the reason of the failure."""
    try:
        yield
    except _IN_PLAIN_WORDS as error:
        unavailable = isinstance(error, _WORTH_ANOTHER_TRY)
        raise dg.Failure(str(error), metadata={"unavailable": unavailable}, allow_retries=unavailable) from error


@contextmanager
def _locked(context: Context, warehouse: Warehouse) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(warehouse.lock(LOCK))
        except WarehouseLocked as busy:
            context.log.info(f"{busy} This step waits, {LOCK_SECONDS} seconds at most.")
            stack.enter_context(warehouse.lock(LOCK, wait_seconds=LOCK_SECONDS))
        yield


@contextmanager
def _recorded(work: Step) -> Iterator[None]:
    """Notes in ``sync.runs`` what the step did, as a sync from the command line does at its end.

    A run may consist of any steps, so after each of them its row tells how it stands by then.
    """
    counters, started = work.engine.session.counters, time.perf_counter()
    before = counters.snapshot()
    status = FAILED
    try:
        yield
        status = SUCCEEDED
    finally:
        now = counters.snapshot()
        _note(
            work,
            status,
            seconds=time.perf_counter() - started,
            reads=int(now["reads"] - before["reads"]),
            writes=int(now["writes"] - before["writes"]),
        )


def _note(work: Step, status: str, seconds: float = 0, reads: int = 0, writes: int = 0) -> None:
    run_id = work.engine.run_id
    with work.warehouse.transaction() as tx:
        row = insert(RUNS).values(run_id=run_id, kind="sync", status=status)
        tx.execute(row.on_conflict_do_nothing())
        # Steps of one run may end at the same time on several machines: each adds to what the others noted.
        known = tx.read(sa.select(RUNS.c.summary).where(RUNS.c.run_id == run_id).with_for_update()).item()
        summary = _added(json.loads(known) if known else {"run_id": run_id}, work, seconds, reads, writes)
        if status == SUCCEEDED and any(counts["failed"] for counts in summary["entities"].values()):
            status = FAILED
        elif status == SUCCEEDED and summary.get("reconciliation", {}).get("differences"):
            status = DIFFERS
        finished = None if status == RUNNING else datetime.now(UTC)
        tx.execute(
            sa.update(RUNS).where(RUNS.c.run_id == run_id).values(status=status, finished_at=finished, summary=summary)
        )


def _added(summary: dict[str, Any], work: Step, seconds: float, reads: int, writes: int) -> dict[str, Any]:
    """The summary of a run with one more step in it, in the form of :class:`~unierp_assets.sync.pipeline.Summary`."""
    entities = {name: dict(counts) for name, counts in summary.get("entities", {}).items()}
    for name, counts in work.counts.items():
        so_far = {**asdict(EntityCounts()), **entities.get(name, {})}
        entities[name] = so_far | {
            what: so_far[what] + count if what in _SUMMED else count for what, count in counts.items()
        }
    return {
        **summary,
        **work.facts,
        "seconds": round(summary.get("seconds", 0) + seconds, 3),
        "odoo_reads": summary.get("odoo_reads", 0) + reads,
        "odoo_writes": summary.get("odoo_writes", 0) + writes,
        "entities": entities,
    }
