"""What watches the outside world and asks for runs: sensors and schedules.

Belongs here: when to run what. What a sensor decides is a plain function, so that it can be tested without Dagster.
Does not belong here: the work itself (``assets``), and what happens inside the asset graph, which automation
conditions say on the assets.
"""

import dagster as dg

from unierp_assets.sensors import changes, freshness, health, stock
from unierp_assets.sensors.schedules import SCHEDULES
from unierp_assets.sensors.switches import SENSORS_AT_FIRST

__all__ = ["SCHEDULES", "SENSORS"]

REPORTS_SECONDS = 30
"""The least time between two looks at whether reports are to follow: they are made for many changes together."""

SENSORS: list[dg.SensorDefinition] = [
    changes.storefront_changes,
    changes.unierp_changes,
    freshness.freshness,
    health.service_health,
    health.failed_runs,
    health.recovered_runs,
    stock.low_stock_sensor,
    dg.AutomationConditionSensorDefinition(
        "reports_follow",
        target=dg.AssetSelection.groups("reconciliation", "reporting", "operations"),
        default_status=SENSORS_AT_FIRST,
        minimum_interval_seconds=REPORTS_SECONDS,
        description="Makes reports anew after loads, for many changes together.",
    ),
]
"""Every sensor."""
