"""The sensors that see changes in the shop and in UniERP and ask for a run that takes them in.

Belongs here: what is read for a decision, and the decision in Dagster's terms. Does not belong here: the decision
itself (``decisions.py``) and the comparison of both sides (``unierp_assets.sync.intake.news``).

A row in quarantine whose source is mended needs no sensor of its own: to mend it is a change in the shop, and the run
it asks for stages and validates the row anew.
"""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import dagster as dg

from unierp_assets.assets.changes import SYNC_CHANGES, run_config, sync_changes
from unierp_assets.assets.jobs import JOBS, SYNC_ALL
from unierp_assets.assets.keys import CHANGE_TAG
from unierp_assets.odoo import OdooError, last_binding_id
from unierp_assets.resources import EngineResource
from unierp_assets.sensors.decisions import Past, Skip, decide
from unierp_assets.sensors.switches import SENSORS_AT_FIRST
from unierp_assets.sensors.telling import NAMES
from unierp_assets.storefront.source import StorefrontError
from unierp_assets.sync.breaker import OPEN, circuits, well_since
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.news import Change, backlog, storefront_news, unierp_news, unsettled
from unierp_assets.warehouse.errors import WarehouseError

SECONDS = 1
"""The least time between two ticks. The daemon comes by every five seconds, and passes over a sensor that it asked less
than this ago."""
WATCH_SECONDS = 22
"""How long a tick goes on looking. Dagster's own work for a tick costs some fifty times what a look costs, and between
two ticks up to five seconds pass unseen. It ends before the daemon comes by for the fifth time, and long before Dagster
gives a sensor up."""
PAUSE_SECONDS = 2
"""Between two looks of a tick."""
REMEMBERED = 20
"""How many of these runs are looked at for a decision: more than can fail before the longest pause is reached."""

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
STARTED = [dg.DagsterRunStatus.STARTED]
_EVERYTHING = [job for job in JOBS if job.name == SYNC_ALL]
_JOBS = {SYNC_CHANGES, *(job.name for job in JOBS)}

Look = Callable[[SyncContext], tuple[Sequence[Change], Sequence[Change]]]
"""Changes of the shop's tables, and of entities."""


def watched(context: dg.SensorEvaluationContext, engine: EngineResource, look: Look) -> dg.RunRequest | dg.SkipReason:
    """The run that is asked for as soon as a look finds something, or why none was. Whatever cannot be read is a reason
    to skip, at once, so that it is seen."""
    end = time.monotonic() + WATCH_SECONDS
    try:
        while True:
            answer = asked(context, engine, look)
            # A process that is to end waits for its threads.
            over = time.monotonic() > end or not threading.main_thread().is_alive()
            if over or isinstance(answer, dg.RunRequest):
                return answer
            time.sleep(PAUSE_SECONDS)
    except (WarehouseError, StorefrontError, OdooError) as error:
        return dg.SkipReason(f"It could not be seen whether something changed: {error}")


def asked(context: dg.SensorEvaluationContext, engine: EngineResource, look: Look) -> dg.RunRequest | dg.SkipReason:
    """The run that one look asks for, or why there is none.

    Raises :class:`~unierp_assets.warehouse.errors.WarehouseError`,
    :class:`~unierp_assets.storefront.source.StorefrontError` and :class:`~unierp_assets.odoo.OdooError`.
    """
    under_way = runs_under_way(context.instance)
    if under_way:
        return dg.SkipReason(f"Run {under_way[0]} is under way; what it does not take in is seen afterwards.")
    watch = engine.watch()
    now = datetime.now(UTC)
    for system, circuit in circuits(watch.warehouse).items():
        if circuit.state == OPEN and circuit.retry_at and now < circuit.retry_at:
            return dg.SkipReason(f"{NAMES[system]} {circuit}.")
    tables, entities = look(watch)
    if not tables and not entities:
        return dg.SkipReason("Nothing has changed.")
    past, last = _past(context)
    decision = decide(tables, entities, unsettled(watch.warehouse), past, well_since(watch.warehouse), now, last)
    if isinstance(decision, Skip):
        return dg.SkipReason(decision.reason)
    # A run would only find out what one call tells.
    last_binding_id(watch.session, watch.namespace)
    # Whether it is tried again is decided here, by what has not arrived: Dagster's own retries would come on top.
    tags = {CHANGE_TAG: decision.change, "dagster/max_retries": "0"}
    if not decision.entities:
        return dg.RunRequest(decision.key, job_name=SYNC_ALL, tags=tags)
    return dg.RunRequest(
        decision.key,
        job_name=SYNC_CHANGES,
        run_config=run_config(decision.tables, decision.entities),
        tags=tags,
    )


def runs_under_way(instance: dg.DagsterInstance, statuses: Sequence[dg.DagsterRunStatus] = UNDER_WAY) -> list[str]:
    """The runs of a sync that are queued or running, or have one of these statuses."""
    running = instance.get_runs(dg.RunsFilter(statuses=statuses), limit=REMEMBERED)
    return [run.run_id for run in running if run.job_name in _JOBS]


def _past(context: dg.SensorEvaluationContext) -> tuple[list[Past], str]:
    """The runs that sensors asked for and that have ended, newest first, and the id of the last run of any kind."""
    ended = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    )
    records = context.instance.get_run_records(ended, limit=REMEMBERED)
    past = [
        Past(
            record.dagster_run.tags[CHANGE_TAG],
            record.dagster_run.status is dg.DagsterRunStatus.FAILURE,
            record.update_timestamp,
        )
        for record in records
        if CHANGE_TAG in record.dagster_run.tags
    ]
    return past, records[0].dagster_run.run_id if records else ""


@dg.sensor(
    jobs=[sync_changes, *_EVERYTHING],
    minimum_interval_seconds=SECONDS,
    default_status=SENSORS_AT_FIRST,
    description="Changes in the shop, mended rows of the quarantine among them, and what an interrupted run left.",
)
def storefront_changes(context: dg.SensorEvaluationContext, engine: EngineResource) -> dg.RunRequest | dg.SkipReason:
    """Asks for a run where the shop has what the warehouse has not."""
    return watched(context, engine, lambda watch: (storefront_news(watch), backlog(watch.warehouse)))


@dg.sensor(
    jobs=[sync_changes, *_EVERYTHING],
    minimum_interval_seconds=SECONDS,
    default_status=SENSORS_AT_FIRST,
    description="Changes in UniERP, by people or by itself.",
)
def unierp_changes(context: dg.SensorEvaluationContext, engine: EngineResource) -> dg.RunRequest | dg.SkipReason:
    """Asks for a run where UniERP has what the warehouse has not."""
    return watched(context, engine, lambda watch: ((), unierp_news(watch)))
