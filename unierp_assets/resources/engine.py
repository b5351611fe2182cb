"""The engine of the sync as a resource: the three systems together, and how the engine is to work.

It hands out the :class:`~unierp_assets.sync.context.SyncContext` that every step of the engine takes.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from unierp_assets.resources.systems import StorefrontResource, UniErpResource, WarehouseResource
from unierp_assets.settings import get_settings

if TYPE_CHECKING:
    from unierp_assets.sync.context import SyncContext


class EngineResource(dg.ConfigurableResource["EngineResource"]):
    """What a step of the sync needs. Fields left empty come from the settings."""

    warehouse: WarehouseResource
    storefront: StorefrontResource
    unierp: UniErpResource
    namespace: str | None = Field(default=None, description="Module part of the external ids in UniERP.")
    overlap_seconds: int | None = Field(default=None, description="How far incremental reads go back.")
    slice_rows: int | None = Field(default=None, description="Rows worked on at a time.")
    batch: int | None = Field(default=None, description="Records per bulk call to UniERP.")

    def context(self, run_id: str, on_step: Callable[[str, str], None]) -> "SyncContext":
        """The engine's context for a step of a run; ``on_step`` is told (phase, subject) as work begins."""
        from unierp_assets.sync.context import SyncContext

        settings = get_settings()
        overlap = settings.overlap_seconds if self.overlap_seconds is None else self.overlap_seconds
        warehouse = self.warehouse.get()
        return SyncContext(
            warehouse,
            self.storefront.get(warehouse),
            self.unierp.get(warehouse),
            run_id,
            namespace=self.namespace or settings.odoo_namespace,
            overlap=timedelta(seconds=overlap),
            slice_rows=self.slice_rows or settings.slice_rows,
            batch=self.batch or settings.odoo_batch,
            on_step=on_step,
        )

    def once(self, run_id: str, name: str, work: Callable[[], object]) -> None:
        """Does what a run needs only once, however many of its steps ask for it; per process, and again where it
        failed."""
        done = _done_in(run_id)
        if name not in done:
            work()
            done.add(name)


@lru_cache(maxsize=8)
def _done_in(run_id: str) -> set[str]:
    """What this process did for a run. A worker makes its resources anew for each step, and serves several runs."""
    return set()
