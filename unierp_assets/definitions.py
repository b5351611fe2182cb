"""What Dagster loads: ``build_defs`` and nothing else.

Loading connects to nothing and imports nothing heavy; every address is looked up when a step first needs it.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from unierp_assets.assets import ALL, operations
from unierp_assets.assets.changes import sync_changes
from unierp_assets.assets.jobs import JOBS
from unierp_assets.logs import log_for_machines
from unierp_assets.resources import EngineResource, StorefrontResource, UniErpResource, WarehouseResource
from unierp_assets.resources.executors import executor
from unierp_assets.sensors import SCHEDULES, SENSORS


def build_defs(resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The code location. ``resource_overrides`` replaces resources by name: ``warehouse``, ``storefront``, ``unierp``
    (also inside the engine), or ``engine``."""
    systems = {
        "warehouse": WarehouseResource(),
        "storefront": StorefrontResource(),
        "unierp": UniErpResource(),
        **(resource_overrides or {}),
    }
    return dg.Definitions(
        assets=[item for item in ALL if not isinstance(item, dg.AssetChecksDefinition)],
        asset_checks=[item for item in ALL if isinstance(item, dg.AssetChecksDefinition)],
        jobs=[*JOBS, sync_changes, *operations.JOBS],
        sensors=SENSORS,
        schedules=[*SCHEDULES, *operations.SCHEDULES],
        resources={
            "engine": EngineResource(
                warehouse=systems["warehouse"], storefront=systems["storefront"], unierp=systems["unierp"]
            ),
            **systems,
        },
        executor=executor(),
    )


log_for_machines()
defs = build_defs()
