"""The state of the sync itself: a page on its health, and the end of what Dagster remembers too long."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from unierp_assets.alerts import Remembered, open_alerts
from unierp_assets.assets.describe import described
from unierp_assets.assets.factory import Made, op_name
from unierp_assets.assets.keys import Layer, key
from unierp_assets.assets.plots import day_of_work
from unierp_assets.assets.reconciliation import SUMMARY
from unierp_assets.assets.steps import in_plain_words
from unierp_assets.resources import WarehouseResource
from unierp_assets.settings import get_settings
from unierp_assets.sync.breaker import circuits
from unierp_assets.sync.compare.conflicts import open_conflicts
from unierp_assets.sync.health import Lag, behind, delays, lags, runs_of_the_day, throughput
from unierp_assets.sync.memory.state import dead_letters
from unierp_assets.sync.status import quarantined
from unierp_assets.sync.unsettled import unsettled
from unierp_assets.warehouse.store import Warehouse

GROUP = "operations"
HEALTH = key(Layer.OPERATIONS, "health")
PURGE = "purge_event_log"
PURGED_AT_A_TIME = 5_000
"""Runs that one purge removes at most; the next one goes on."""

_COUNTED = {
    "orders_waiting": "Orders that are not as they should be, and were not cancelled.",
    "orders_with_money_not_booked": "Orders of which money came in that is not booked in UniERP.",
    "waiting_rows": "Rows that were read and wait for a step of the sync.",
    "quarantined_findings": "Rules that rows in quarantine do not meet.",
    "open_conflicts": "Fields both sides changed, that wait for a person.",
    "dead_letters": "Records that UniERP refused too often.",
    "open_alerts": "Alerts that are not over.",
}
_HEALTH = described(
    HEALTH,
    GROUP,
    "How well the sync keeps up: what waits and since when, what people have to decide, and the last day as a picture.",
    ["postgres"],
    deps=[SUMMARY],
    columns=[dg.TableColumn(name, "integer", meaning) for name, meaning in _COUNTED.items()],
    # Together with the reports: never where nothing was synchronised since.
    automation=dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested()),
)


@dg.multi_asset(
    name=op_name(_HEALTH),
    specs=[_HEALTH],
)
def health(warehouse: WarehouseResource) -> Iterator[Made]:
    """The page stands in the metadata, as Markdown."""
    with in_plain_words():
        opened = warehouse.get()
        found = lags(opened)
        counts = _counts(opened, found)
        page = health_page(opened, found, counts)
    yield dg.MaterializeResult(metadata={"health": dg.MetadataValue.md(page), **counts})


def _counts(warehouse: Warehouse, found: Iterable[Lag]) -> dict[str, int]:
    waits = unsettled(warehouse)
    counts = (
        waits.orders.height,
        waits.money.height,
        sum(lag.waiting for lag in found),
        quarantined(warehouse).height,
        open_conflicts(warehouse).height,
        dead_letters(warehouse).height,
        len(open_alerts(warehouse)),
    )
    return dict(zip(_COUNTED, counts, strict=True))


def health_page(warehouse: Warehouse, found: list[Lag], counts: dict[str, int], now: datetime | None = None) -> str:
    """The state of everything as Markdown, with a picture of the last day. Keys and names only: no personal data."""
    now = now or datetime.now(UTC)
    runs = runs_of_the_day(warehouse, now)
    sections = [
        f"### Health at {now:%Y-%m-%d %H:%M} UTC",
        *(f"**{sentence}**" for sentence in unsettled(warehouse).sentences()),
        _table(["what", "count"], [[name.replace("_", " "), str(count)] for name, count in counts.items()]),
        f"Runs of the last day: {', '.join(f'{count} {status}' for status, count in runs.items()) or 'none'}.",
        f"![the last day]({day_of_work(throughput(warehouse, now), delays(warehouse, now), now)})",
        "#### Systems",
        _table(
            ["system", "state", "since"],
            [
                [system.value, circuit.state, _told(circuit.opened_at)]
                for system, circuit in circuits(warehouse).items()
            ],
        ),
        "#### Open alerts",
        _alerts(open_alerts(warehouse)),
        "#### Entities",
        _table(
            ["entity", "shop read", "UniERP read", "to stage", "to validate", "to load", "behind since"],
            [
                [
                    *(lag.entity, _told(lag.shop_read_at), _told(lag.unierp_read_at)),
                    *(f"{count:,}" for count in (lag.to_stage, lag.to_validate, lag.to_load)),
                    _told(lag.behind_since),
                ]
                for lag in [*behind(found), *(lag for lag in found if not lag.waiting)]
            ],
        ),
    ]
    return "\n\n".join(sections)


def _alerts(found: list[Remembered]) -> str:
    if not found:
        return "None."
    return _table(
        ["severity", "what", "since"], [[alert.severity.value, alert.title, _told(alert.raised_at)] for alert in found]
    )


def _table(columns: list[str], rows: Iterable[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', ' ') for cell in line)} |" for line in lines)


def _told(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else ""


# Dagster's own records


def purge(instance: dg.DagsterInstance, before: datetime) -> int:
    """Removes runs that were begun before an instant and have ended, with their events and what they printed; returns
    how many.

    A run that holds the last materialisation of an asset stays, so that no asset looks as if it had never been made.
    """
    ended = instance.get_run_records(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
            created_before=before,
        ),
        limit=PURGED_AT_A_TIME,
        ascending=True,
    )
    latest = instance.get_latest_materialization_events(instance.all_asset_keys()).values()
    kept = {event.run_id for event in latest if event is not None}
    gone = [record.dagster_run.run_id for record in ended if record.dagster_run.run_id not in kept]
    for run_id in gone:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
    return len(gone)


@dg.op
def purge_ended_runs(context: dg.OpExecutionContext) -> None:
    """Removes runs of more days ago than the settings keep."""
    days = get_settings().event_log_days
    gone = purge(context.instance, datetime.now(UTC) - timedelta(days=days))
    context.log.info(f"purged {gone} runs of more than {days} days ago")


@dg.job(
    name=PURGE,
    description="Removes Dagster's records of runs that ended long ago.",
    executor_def=dg.in_process_executor,
)
def purge_event_log() -> None:
    """One step, wherever the others are taken."""
    purge_ended_runs()


ASSETS = [health]
JOBS = [purge_event_log]
SCHEDULES = [
    dg.ScheduleDefinition(
        name=f"{PURGE}_nightly",
        job=purge_event_log,
        cron_schedule="40 2 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
]
