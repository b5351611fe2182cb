"""One resource per system: the warehouse, the storefront and UniERP.

Every field is optional and takes a value, or ``EnvVar("NAME")`` where a deployment keeps it in the environment. What is
left empty comes from the settings (``UNIERP_...``), else from the running lab.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, PrivateAttr

from unierp_assets.settings import get_settings

if TYPE_CHECKING:
    from unierp_assets.lab.services import Services
    from unierp_assets.odoo import OdooSession
    from unierp_assets.storefront.sql import SqlStorefront
    from unierp_assets.warehouse.store import Warehouse


class SystemResource(dg.ConfigurableResource[Any]):
    """A system that is opened when a step first asks for it and closed when the run ends."""

    _opened: Any = PrivateAttr(default=None)

    def open(self) -> Any:
        """Makes the object; called once per run and process."""
        raise NotImplementedError

    def _get(self) -> Any:
        if self._opened is None:
            self._opened = self.open()
        return self._opened

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()


class WarehouseResource(SystemResource):
    """The staging warehouse."""

    url: str | None = Field(default=None, description="PostgreSQL URL; else the settings', else the lab's.")

    def open(self) -> "Warehouse":
        from unierp_assets.warehouse.store import Warehouse
        from unierp_assets.wiring import open_warehouse

        warehouse = Warehouse(self.url) if self.url else open_warehouse(get_settings(), running_services())
        # Once per run: a warehouse that is behind, or new, is brought up to date before the first step touches it.
        warehouse.upgrade()
        return warehouse

    def get(self) -> "Warehouse":
        """The warehouse in its present shape. Raises ``WarehouseError`` or ``LabError`` with the remedy."""
        warehouse: Warehouse = self._get()
        return warehouse


class StorefrontResource(SystemResource):
    """The shop's database."""

    url: str | None = Field(default=None, description="PostgreSQL URL; else the settings', else the lab's.")
    schema_name: str | None = Field(default=None, description="Schema of its tables; else the settings'.")

    def open(self) -> "SqlStorefront":
        from unierp_assets.storefront.sql import SqlStorefront

        url = self.url or running_services().storefront_url.get_secret_value()
        return SqlStorefront(url, schema=self.schema_name or get_settings().storefront_schema)

    def get(self, warehouse: "Warehouse | None" = None) -> "SqlStorefront":
        """The connector; connects at its first use. Raises ``LabError`` with the remedy.

        Its circuit breaker is remembered in the warehouse that the first caller gives, else in this process.
        """
        from unierp_assets.wiring import guard_storefront

        storefront: SqlStorefront = self._get()
        if storefront.guard is None:
            guard_storefront(storefront, get_settings(), warehouse)
        return storefront


class UniErpResource(SystemResource):
    """UniERP. Give ``url``, ``db`` and ``password`` together, or none of them."""

    url: str | None = Field(default=None, description="Address of Odoo; else the settings', else the lab's.")
    db: str | None = Field(default=None, description="Database of Odoo.")
    login: str = Field(default="admin", description="Login of the integration user.")
    password: str | None = Field(default=None, description="Password or API key of that user.")
    timeout: float | None = Field(default=None, description="Seconds before a call is given up; else the settings'.")
    connections: int | None = Field(default=None, description="Parallel connections; else the settings'.")
    calls_per_second: float | None = Field(default=None, description="Calls in a second; else the settings'.")

    def open(self) -> "OdooSession":
        from unierp_assets.odoo import OdooSession
        from unierp_assets.wiring import open_session

        settings = get_settings()
        if not self.url:
            return open_session(settings, running_services())
        if not self.db or not self.password:
            raise dg.Failure(
                f"UniERP's resource has an address but no {'password' if self.db else 'database'}; give both.",
                allow_retries=False,
            )
        return OdooSession(
            self.url,
            self.db,
            self.login,
            self.password,
            timeout=self.timeout or settings.odoo_timeout,
            connections=self.connections or settings.odoo_connections,
            calls_per_second=self.calls_per_second or settings.odoo_calls_per_second,
        )

    def get(self, warehouse: "Warehouse | None" = None) -> "OdooSession":
        """The session; it logs in at its first call. Raises ``LabError`` with the remedy.

        Its circuit breaker is remembered in the warehouse that the first caller gives, else in this process.
        """
        from unierp_assets.wiring import guard_session

        session: OdooSession = self._get()
        if session.guard is None:
            guard_session(session, get_settings(), warehouse)
        return session


def running_services() -> "Services":
    """The addresses of the settings, else of the running lab; starts nothing.

    Raises :class:`~unierp_assets.lab.errors.LabError` where a service is neither configured nor running.
    """
    from unierp_assets.lab.services import resolve_services

    return resolve_services(get_settings(), start=False)
