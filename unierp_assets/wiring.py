"""Makes the three systems out of the settings: the one place where addresses become objects.

The command line and Dagster's resources both come through here. Nothing connects before it is used.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from unierp_assets.settings import Settings, get_settings

if TYPE_CHECKING:
    from unierp_assets.lab.odoo import OdooVersion
    from unierp_assets.lab.progress import Reporter
    from unierp_assets.lab.services import Services
    from unierp_assets.odoo import OdooSession
    from unierp_assets.storefront.sql import SqlStorefront
    from unierp_assets.sync.context import SyncContext
    from unierp_assets.warehouse.store import Warehouse


@dataclass
class Systems:
    """The warehouse, the storefront and UniERP, and the settings they were made from."""

    settings: Settings
    services: "Services"
    warehouse: "Warehouse"
    storefront: "SqlStorefront"
    session: "OdooSession"

    def context(self, run_id: str, on_step: Callable[[str, str], None] | None = None) -> "SyncContext":
        """What the steps of a run work with."""
        from unierp_assets.sync.context import SyncContext

        context = SyncContext(
            self.warehouse,
            self.storefront,
            self.session,
            run_id,
            namespace=self.settings.odoo_namespace,
            overlap=timedelta(seconds=self.settings.overlap_seconds),
            slice_rows=self.settings.slice_rows,
            batch=self.settings.odoo_batch,
            time_zone=self.settings.time_zone,
            removal_rows=self.settings.removal_rows,
            removal_percent=self.settings.removal_percent,
        )
        if on_step:
            context.on_step = on_step
        return context

    def close(self) -> None:
        """Give up all connections."""
        self.session.close()
        self.storefront.close()
        self.warehouse.close()


def open_warehouse(settings: Settings, services: "Services") -> "Warehouse":
    """The staging warehouse."""
    from unierp_assets.warehouse.store import Warehouse

    return Warehouse(services.warehouse_url.get_secret_value())


def open_storefront(settings: Settings, services: "Services") -> "SqlStorefront":
    """The shop's database."""
    from unierp_assets.storefront.sql import SqlStorefront

    return SqlStorefront(services.storefront_url.get_secret_value(), schema=settings.storefront_schema)


def open_session(settings: Settings, services: "Services") -> "OdooSession":
    """A session with UniERP; it logs in at the first call."""
    from unierp_assets.odoo import OdooSession

    return OdooSession(
        services.odoo_url,
        services.odoo_db,
        services.odoo_login,
        services.odoo_password.get_secret_value(),
        timeout=settings.odoo_timeout,
        connections=settings.odoo_connections,
        calls_per_second=settings.odoo_calls_per_second,
    )


def guard_storefront(storefront: "SqlStorefront", settings: Settings, warehouse: "Warehouse | None") -> None:
    """Puts a circuit breaker before the shop's database, remembered in the warehouse if there is one."""
    from unierp_assets.sync.breaker import storefront_breaker

    storefront.guard = storefront_breaker(
        storefront.server, warehouse, failures=settings.breaker_failures, seconds=settings.breaker_seconds
    )


def guard_session(session: "OdooSession", settings: Settings, warehouse: "Warehouse | None") -> None:
    """Puts a circuit breaker before UniERP, remembered in the warehouse if there is one, as is the session's user."""
    from unierp_assets.sync.breaker import unierp_breaker
    from unierp_assets.sync.memory.users import RememberedUser

    if warehouse is not None:
        session.users = RememberedUser(warehouse, session.server, session.login)

    session.guard = unierp_breaker(
        session.server, warehouse, failures=settings.breaker_failures, seconds=settings.breaker_seconds
    )


@contextmanager
def open_systems(
    odoo: "OdooVersion | None" = None,
    *,
    start: bool = False,
    guarded: bool = True,
    progress: "Reporter | None" = None,
    settings: Settings | None = None,
) -> Iterator[Systems]:
    """The systems the settings name, or the lab's. ``start`` brings up what is missing of the lab; without ``guarded``
    no circuit breaker stands before them.

    Raises :class:`~unierp_assets.lab.errors.LabError` where a service is neither configured nor running.
    """
    from unierp_assets.lab.services import resolve_services

    settings = settings or get_settings()
    services = resolve_services(settings, odoo, start=start, progress=progress)
    systems = Systems(
        settings,
        services,
        open_warehouse(settings, services),
        open_storefront(settings, services),
        open_session(settings, services),
    )
    if guarded:
        guard_storefront(systems.storefront, settings, systems.warehouse)
        guard_session(systems.session, settings, systems.warehouse)
    try:
        yield systems
    finally:
        systems.close()
