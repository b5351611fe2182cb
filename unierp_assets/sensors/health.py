"""Sensors that tell people of systems that do not answer and of runs that fail, once, and when it is over.

Belongs here: when it is looked. Does not belong here: when it is worth an alert, and its words (``telling.py``).
"""

from datetime import UTC, datetime

import dagster as dg

from unierp_assets.alerts import clear_alert, open_alerts, raise_alert, tell_waiting
from unierp_assets.assets.changes import SYNC_CHANGES
from unierp_assets.resources import EngineResource
from unierp_assets.sensors.changes import STARTED, runs_under_way
from unierp_assets.sensors.decisions import is_abandoned
from unierp_assets.sensors.switches import SENSORS_AT_FIRST
from unierp_assets.sensors.telling import (
    NAMES,
    WAREHOUSE_OUTAGE,
    failed_run,
    outage,
    outage_key,
    run_key,
    warehouse_outage,
)
from unierp_assets.sync.breaker import CLOSED, circuits
from unierp_assets.sync.pipeline import LOCK
from unierp_assets.warehouse.errors import WarehouseError, WarehouseUnavailable
from unierp_assets.warehouse.store import Warehouse

SECONDS = 8
"""The least time between two looks at the systems."""
FAILED_LOOKS = 2
"""How many looks in a row have to fail before the warehouse counts as down: one may have met a restart."""


@dg.sensor(
    minimum_interval_seconds=SECONDS,
    default_status=SENSORS_AT_FIRST,
    description="Tells once that the shop, UniERP or the warehouse does not answer, and once that it does again.",
)
def service_health(context: dg.SensorEvaluationContext, engine: EngineResource) -> dg.SkipReason:
    """Asks for no run. Its cursor is how many looks at the warehouse have failed in a row."""
    try:
        warehouse = engine.watch().warehouse
        known = circuits(warehouse)
        opened = {alert.key for alert in open_alerts(warehouse)}
    except WarehouseError as error:
        failed = int(context.cursor or 0) + 1
        context.update_cursor(str(failed))
        if failed >= FAILED_LOOKS:
            raise_alert(None, warehouse_outage(str(error)))
        return dg.SkipReason(str(error))
    context.update_cursor("0")
    bury(context.instance, warehouse)
    if WAREHOUSE_OUTAGE in opened:
        clear_alert(warehouse, WAREHOUSE_OUTAGE, "The warehouse can be used again.")
    down = []
    for system, circuit in known.items():
        if circuit.state != CLOSED:
            down.append(f"{NAMES[system]} {circuit}.")
            raise_alert(warehouse, outage(system, circuit))
        elif outage_key(system) in opened:
            clear_alert(
                warehouse, outage_key(system), f"{NAMES[system]} answers again; what has waited is carried over."
            )
    tell_waiting(warehouse)
    return dg.SkipReason(" ".join(down) or "All systems answer.")


def bury(instance: dg.DagsterInstance, warehouse: Warehouse) -> None:
    """Ends runs that died without a word: Dagster would hold them for running, and no sensor would ask for another."""
    locked = warehouse.is_locked(LOCK)
    now = datetime.now(UTC)
    for run_id in runs_under_way(instance, STARTED):
        run = instance.get_run_by_id(run_id)
        last = instance.get_records_for_run(run_id, limit=1, ascending=False).records
        if run is None or not last:
            continue
        heard = datetime.fromtimestamp(last[0].timestamp, UTC)
        if is_abandoned(heard, locked, single_step=run.job_name == SYNC_CHANGES, now=now):
            instance.report_run_failed(run, "The run's process has ended without a word; its work is taken up anew.")


@dg.run_failure_sensor(
    default_status=SENSORS_AT_FIRST,
    minimum_interval_seconds=SECONDS,
    description="Tells that a run failed, once until a run of the same job goes well.",
)
def failed_runs(context: dg.RunFailureSensorContext, engine: EngineResource) -> dg.SkipReason | None:
    """A run for changes that only met a system that does not answer is no alert of its own: it is asked for again, and
    of the system people are told anyway."""
    run = context.dagster_run
    failures = [event.step_failure_data for event in context.get_step_failure_events()]
    said = [data.user_failure_data for data in failures if data.user_failure_data]
    outages = [told for told in said if told.metadata.get("unavailable") == dg.MetadataValue.bool(True)]
    if run.job_name == SYNC_CHANGES and failures and len(outages) == len(failures):
        return dg.SkipReason("A system did not answer.")
    reason = next((told.description for told in said if told.description), context.failure_event.message)
    try:
        warehouse = engine.watch().warehouse
    except WarehouseUnavailable:
        warehouse = None
    raise_alert(warehouse, failed_run(run.job_name, run.run_id, reason or "It ended without a reason."))
    return None


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=SENSORS_AT_FIRST,
    minimum_interval_seconds=SECONDS,
    description="Tells that runs of a job go well again, where people were told that one failed.",
)
def recovered_runs(context: dg.RunStatusSensorContext, engine: EngineResource) -> dg.SkipReason | None:
    """Asks for no run."""
    job = context.dagster_run.job_name
    try:
        warehouse = engine.watch().warehouse
        if run_key(job) in {alert.key for alert in open_alerts(warehouse)}:
            clear_alert(warehouse, run_key(job), f"Runs of {job} go well again.")
    except WarehouseError as error:
        return dg.SkipReason(str(error))
    return None
