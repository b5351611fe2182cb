"""The sensor that keeps assets fresh while nothing changes, and tells when data is late.

An asset is fresh when its data was looked at, not when it changed. While sensors see that both sides have what the
warehouse has, the assets are told so, without a run. Once that is no longer seen (a system is down, the sensors are
off, a run does not come to its end), they grow old and a person is told.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from unierp_assets.alerts import clear_alert, raise_alert
from unierp_assets.assets import ALL
from unierp_assets.assets.describe import WINDOWS
from unierp_assets.assets.keys import Layer
from unierp_assets.odoo import OdooError
from unierp_assets.resources import EngineResource
from unierp_assets.sensors.changes import runs_under_way
from unierp_assets.sensors.switches import SENSORS_AT_FIRST
from unierp_assets.sensors.telling import LATE, late, late_assets
from unierp_assets.storefront.source import StorefrontError
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.news import backlog, storefront_news, unierp_news
from unierp_assets.sync.reports import reports_are_current
from unierp_assets.warehouse.errors import WarehouseError, WarehouseUnavailable
from unierp_assets.warehouse.store import Warehouse

SECONDS = 58
"""The least time between two looks at how old everything is."""
ASKED_WITHIN = 3
"""An asset is looked at again after this part of the time within which it has to be."""


def windows() -> dict[dg.AssetKey, timedelta]:
    """How old each asset may become."""
    return {
        spec.key: WINDOWS[spec.group_name or ""]
        for item in ALL
        if isinstance(item, dg.AssetsDefinition)
        for spec in item.specs
        if spec.freshness_policy
    }


@dg.sensor(
    minimum_interval_seconds=SECONDS,
    default_status=SENSORS_AT_FIRST,
    description="Keeps assets fresh while both sides have what the warehouse has; tells when data is late.",
)
def freshness(context: dg.SensorEvaluationContext, engine: EngineResource) -> dg.SensorResult:
    """Asks for no run."""
    allowed = windows()
    records = {
        record.asset_entry.asset_key: record.asset_entry for record in context.instance.get_asset_records(list(allowed))
    }
    seen = {
        asset: datetime.fromtimestamp(entry.last_materialization.timestamp, UTC)
        for asset, entry in records.items()
        if entry.last_materialization
    }
    now = datetime.now(UTC)
    due = {asset for asset, at in seen.items() if now - at > allowed[asset] / ASKED_WITHIN}
    warehouse: Warehouse | None = None
    try:
        watch = engine.watch()
        warehouse = watch.warehouse
        current, why = _current(context, watch, due) if due else (set(), "Nothing is due.")
    except WarehouseUnavailable as error:
        warehouse, current, why = None, set(), str(error)
    except (WarehouseError, StorefrontError, OdooError) as error:
        current, why = set(), str(error)
    names = late(
        {"/".join(asset.path): now if asset in current else at for asset, at in seen.items()},
        {"/".join(asset.path): window for asset, window in allowed.items()},
        now,
    )
    if names:
        raise_alert(warehouse, late_assets(names))
    else:
        clear_alert(warehouse, LATE, "All data is as fresh as it has to be.")
    if current:
        told = [_looked_at(asset, records[asset].last_materialization) for asset in sorted(current, key=str)]
        return dg.SensorResult(asset_events=told)
    return dg.SensorResult(skip_reason=f"{len(names)} assets are late. {why}" if names else why)


def _current(
    context: dg.SensorEvaluationContext, watch: SyncContext, due: set[dg.AssetKey]
) -> tuple[set[dg.AssetKey], str]:
    """Which of these assets were looked at just now and are as they should be, and why not more."""
    if runs_under_way(context.instance) or storefront_news(watch) or unierp_news(watch) or backlog(watch.warehouse):
        return set(), "Changes are on their way."
    if reports_are_current(watch.warehouse):
        return due, ""
    return {asset for asset in due if asset.path[0] != Layer.REPORTING}, "The reports are not made of what is there."


def _looked_at(asset: dg.AssetKey, last: dg.EventLogEntry | None) -> dg.AssetMaterialization:
    """That nothing has changed: what was told of the asset last still holds."""
    known = last.asset_materialization.metadata if last and last.asset_materialization else {}
    return dg.AssetMaterialization(asset, metadata={**known, "changed": 0})
