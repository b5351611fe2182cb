"""Which services a command works with: the user's own before the lab's."""

from pathlib import Path

import pytest

from unierp_assets.lab.errors import LabError
from unierp_assets.lab.lab import Lab
from unierp_assets.lab.odoo import OdooServer
from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.lab.processes import ProcessRef
from unierp_assets.lab.services import resolve_services
from unierp_assets.lab.state import LabState, save_state
from unierp_assets.settings import Settings

OWN_ODOO = {"odoo_url": "https://erp.example.com", "odoo_db": "live", "odoo_login": "sync", "odoo_password": "key"}
OWN_SQL = {"warehouse_url": "postgresql://w@db/w", "storefront_url": "postgresql://s@db/s"}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str | None]:
    """The versions of Odoo with which ``up`` was called; a call pretends that this process is the servers."""
    calls: list[str | None] = []

    def up(lab: Lab, odoo: str | None, progress: object) -> None:
        calls.append(odoo)
        myself = ProcessRef.of(1)
        running = {odoo: OdooServer(odoo, f"odoo_{odoo}", 8101, 8102, "secret", process=myself)} if odoo else {}  # type: ignore[arg-type]
        save_state(lab.folder / "state.json", LabState(PostgresServer(5999, "pw", myself), running))  # type: ignore[arg-type]

    monkeypatch.setattr(Lab, "up", up)
    return calls


def _settings(home: Path, **values: str) -> Settings:
    return Settings(home=home, **values)  # type: ignore[arg-type]


def test_with_all_addresses_configured_nothing_is_started(started: list[str | None], tmp_path: Path) -> None:
    found = resolve_services(_settings(tmp_path, **OWN_ODOO, **OWN_SQL))
    assert (found.odoo_url, found.odoo_db, found.odoo_login) == ("https://erp.example.com", "live", "sync")
    assert found.odoo_password.get_secret_value() == "key"
    assert found.warehouse_url.get_secret_value() == "postgresql://w@db/w"
    assert found.storefront_url.get_secret_value() == "postgresql://s@db/s"
    assert found.dagster_url is None
    assert started == []
    assert list(tmp_path.iterdir()) == []


def test_with_nothing_configured_the_lab_serves_everything(started: list[str | None], tmp_path: Path) -> None:
    found = resolve_services(_settings(tmp_path), "14")
    assert started == ["14"]
    assert (found.odoo_url, found.odoo_db, found.odoo_login) == ("http://127.0.0.1:8101", "odoo_14", "admin")
    assert found.odoo_password.get_secret_value() == "secret"
    assert found.warehouse_url.get_secret_value() == "postgresql://unierp:pw@127.0.0.1:5999/warehouse"
    assert found.storefront_url.get_secret_value() == "postgresql://unierp:pw@127.0.0.1:5999/shop"
    assert found.dagster_url is not None
    assert found.dagster_url.get_secret_value() == "postgresql://unierp:pw@127.0.0.1:5999/dagster"


def test_with_an_own_odoo_only_postgresql_is_started(started: list[str | None], tmp_path: Path) -> None:
    found = resolve_services(_settings(tmp_path, **OWN_ODOO, storefront_url=OWN_SQL["storefront_url"]))
    assert started == [None]
    assert found.odoo_url == "https://erp.example.com"
    assert found.storefront_url.get_secret_value() == "postgresql://s@db/s"
    assert found.warehouse_url.get_secret_value().endswith("/warehouse")


@pytest.mark.parametrize("missing", ["odoo_db", "odoo_password"])
def test_an_own_odoo_without_database_or_password_is_refused(
    started: list[str | None], tmp_path: Path, missing: str
) -> None:
    given = {name: value for name, value in OWN_ODOO.items() if name != missing}
    with pytest.raises(LabError, match=f"UNIERP_{missing.upper()}"):
        resolve_services(_settings(tmp_path, **given))
    assert started == []


def test_reading_a_lab_that_is_down_says_how_to_bring_it_up(started: list[str | None], tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"PostgreSQL is not running; run `unierp lab up`\."):
        resolve_services(_settings(tmp_path), start=False)
    resolve_services(_settings(tmp_path), "19")
    with pytest.raises(LabError, match=r"Odoo 14 is not running; run `unierp lab up --odoo 14`\."):
        resolve_services(_settings(tmp_path), "14", start=False)
    assert resolve_services(_settings(tmp_path), "19", start=False).odoo_db == "odoo_19"
    assert started == ["19"]
