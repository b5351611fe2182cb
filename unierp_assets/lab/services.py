"""The addresses a command works with: the user's own services where they are configured, else the lab's.

What belongs here: that choice, and starting what is missing. What does not: how a service runs.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from unierp_assets.lab.errors import LabError
from unierp_assets.lab.lab import DAGSTER, DEFAULT_VERSION, Lab, storefront_database, warehouse_database
from unierp_assets.lab.odoo import OdooServer, OdooVersion
from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.lab.progress import Reporter
from unierp_assets.lab.state import LabState

if TYPE_CHECKING:
    from pydantic import SecretStr

    from unierp_assets.settings import Settings


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Services:
    """Where everything is.

    ``dagster_url`` is None where the lab runs no PostgreSQL to keep Dagster's own records, ``broker_url`` where no work
    is shared among workers.
    """

    odoo_url: str
    odoo_db: str
    odoo_login: str
    odoo_password: "SecretStr"
    warehouse_url: "SecretStr"
    storefront_url: "SecretStr"
    dagster_url: "SecretStr | None"
    broker_url: "SecretStr | None" = None


def resolve_services(
    settings: "Settings",
    odoo_version: OdooVersion | None = None,
    *,
    start: bool = True,
    workers: bool = False,
    progress: Reporter | None = None,
) -> Services:
    """The services a command works with.

    Args:
        settings: A configured address is taken as it is, and that service is not started here.
        odoo_version: Which Odoo of the lab, where none is configured; the one last asked for unless told.
        start: Bring up what is missing; False only reads what runs.
        workers: Work is handed to workers, where there is a Redis for it or the lab runs anything at all.
        progress: Is told of every long step.

    Raises:
        LabError: A setting is missing, a service cannot be started, or (``start=False``) the lab is not up.
    """
    from pydantic import SecretStr

    own_odoo = settings.odoo_url is not None
    if own_odoo and (settings.odoo_db is None or settings.odoo_password is None):
        missing = "UNIERP_ODOO_DB" if settings.odoo_db is None else "UNIERP_ODOO_PASSWORD"
        raise LabError(f"UNIERP_ODOO_URL is set but {missing} is not; set it too, or unset both to use the lab.")

    server: PostgresServer | None = None
    odoo: OdooServer | None = None
    if not (own_odoo and settings.warehouse_url and settings.storefront_url):
        lab = Lab(settings.home)
        if start and own_odoo:
            lab.up_postgres(progress)
        elif start:
            lab.up(odoo_version, progress)
        state = lab.state()
        server = _running_postgres(state)
        if not own_odoo:
            odoo = _running_odoo(state, odoo_version or state.current or DEFAULT_VERSION)
    version = odoo.version if odoo else None

    def of_lab(database: str) -> SecretStr | None:
        return SecretStr(server.url(database)) if server else None

    password = SecretStr(odoo.password) if odoo else settings.odoo_password
    shared = settings.executor == "celery" or (workers and server is not None)
    return Services(
        odoo_url=_known(odoo.url if odoo else settings.odoo_url),
        odoo_db=_known(odoo.database if odoo else settings.odoo_db),
        odoo_login=odoo.login if odoo else settings.odoo_login,
        odoo_password=_known(password),
        warehouse_url=_known(settings.warehouse_url or of_lab(warehouse_database(version))),
        storefront_url=_known(settings.storefront_url or of_lab(storefront_database(version))),
        dagster_url=of_lab(DAGSTER),
        broker_url=resolve_broker(settings, start=start, progress=progress) if shared else settings.broker_url,
    )


def resolve_broker(settings: "Settings", *, start: bool = False, progress: Reporter | None = None) -> "SecretStr":
    """The Redis through which workers get their work.

    Raises:
        LabError: None is configured, and that of the lab does not run or cannot be started.
    """
    from pydantic import SecretStr

    if settings.broker_url:
        return settings.broker_url
    lab = Lab(settings.home)
    server = (lab.up_redis(progress) if start else lab.state()).redis
    if server is None or server.process is None or not server.process.is_alive():
        raise LabError(
            "Workers get work through a Redis, and none runs: set UNIERP_BROKER_URL. `unierp ui` starts the lab's."
        )
    return SecretStr(server.url)


def _known(value: _T | None) -> _T:
    """The value, which the choice above has seen to."""
    if value is None:
        raise AssertionError("a service without an address")
    return value


def _running_postgres(state: LabState) -> PostgresServer:
    server = state.postgres
    if server is None or server.process is None or not server.process.is_alive():
        raise LabError("The lab's PostgreSQL is not running; run `unierp lab up`.")
    return server


def _running_odoo(state: LabState, version: OdooVersion) -> OdooServer:
    server = state.odoo.get(version)
    if server is None or server.process is None or not server.process.is_alive():
        raise LabError(f"The lab's Odoo {version} is not running; run `unierp lab up --odoo {version}`.")
    return server
