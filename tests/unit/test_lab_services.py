"""Which services a command works with: the user's own before the lab's."""

from pathlib import Path

import pytest

from unierp_assets.lab.errors import LabError
from unierp_assets.lab.lab import Lab
from unierp_assets.lab.odoo import OdooServer, OdooVersion
from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.lab.processes import ProcessRef
from unierp_assets.lab.services import resolve_services
from unierp_assets.lab.state import save_state
from unierp_assets.settings import Settings

OWN_ODOO = {"odoo_url": "https://erp.example.com", "odoo_db": "live", "odoo_login": "sync", "odoo_password": "key"}
OWN_SQL = {"warehouse_url": "postgresql://w@db/w", "storefront_url": "postgresql://s@db/s"}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was brought up of the lab. In place of the servers stands a process that runs on every machine."""
    calls: list[str] = []

    def pretend(lab: Lab, name: str, version: OdooVersion | None) -> None:
        calls.append(name)
        running = ProcessRef.of(1)
        state = lab.state()
        state.postgres = PostgresServer(5999, "pw", running)
        if version:
            state.odoo[version] = OdooServer(version, f"odoo_{version}", 8101, 8102, "secret", process=running)
            state.current = version
        save_state(lab.folder / "state.json", state)

    def up(lab: Lab, odoo: OdooVersion | None, progress: object) -> None:
        version = odoo or lab.state().current or "19"
        pretend(lab, f"odoo {version}", version)

    monkeypatch.setattr(Lab, "up", up)
    monkeypatch.setattr(Lab, "up_postgres", lambda lab, progress: pretend(lab, "postgres", None))
    return calls


def _settings(home: Path, **values: str) -> Settings:
    return Settings(home=home, **values)  # type: ignore[arg-type]


def test_with_all_addresses_configured_nothing_is_started(started: list[str], tmp_path: Path) -> None:
    found = resolve_services(_settings(tmp_path, **OWN_ODOO, **OWN_SQL))
    assert (found.odoo_url, found.odoo_db, found.odoo_login) == ("https://erp.example.com", "live", "sync")
    assert found.odoo_password.get_secret_value() == "key"
    assert found.warehouse_url.get_secret_value() == "postgresql://w@db/w"
    assert found.storefront_url.get_secret_value() == "postgresql://s@db/s"
    assert found.dagster_url is None
    assert started == []
    assert list(tmp_path.iterdir()) == []


def test_with_nothing_configured_the_lab_serves_everything(started: list[str], tmp_path: Path) -> None:
    found = resolve_services(_settings(tmp_path))
    assert started == ["odoo 19"]
    assert (found.odoo_url, found.odoo_db, found.odoo_login) == ("http://127.0.0.1:8101", "odoo_19", "admin")
    assert found.odoo_password.get_secret_value() == "secret"
    assert found.warehouse_url.get_secret_value() == "postgresql://unierp:pw@127.0.0.1:5999/warehouse"
    assert found.storefront_url.get_secret_value() == "postgresql://unierp:pw@127.0.0.1:5999/shop"
    assert found.dagster_url is not None
    assert found.dagster_url.get_secret_value() == "postgresql://unierp:pw@127.0.0.1:5999/dagster"


def test_with_an_own_odoo_only_postgresql_is_started(started: list[str], tmp_path: Path) -> None:
    found = resolve_services(_settings(tmp_path, **OWN_ODOO, storefront_url=OWN_SQL["storefront_url"]))
    assert started == ["postgres"]
    assert found.odoo_url == "https://erp.example.com"
    assert found.storefront_url.get_secret_value() == "postgresql://s@db/s"
    assert found.warehouse_url.get_secret_value().endswith("/warehouse")


@pytest.mark.parametrize("missing", ["odoo_db", "odoo_password"])
def test_an_own_odoo_without_database_or_password_is_refused(started: list[str], tmp_path: Path, missing: str) -> None:
    given = {name: value for name, value in OWN_ODOO.items() if name != missing}
    with pytest.raises(LabError, match=f"UNIERP_{missing.upper()}"):
        resolve_services(_settings(tmp_path, **given))
    assert started == []


def test_each_version_has_a_shop_and_a_warehouse_of_its_own(started: list[str], tmp_path: Path) -> None:
    older, newer = (resolve_services(_settings(tmp_path), version) for version in ("14", "19"))
    assert older.warehouse_url.get_secret_value().endswith("/warehouse_14")
    assert older.storefront_url.get_secret_value().endswith("/shop_14")
    assert newer.warehouse_url.get_secret_value().endswith("/warehouse")
    assert newer.storefront_url.get_secret_value().endswith("/shop")
    assert started == ["odoo 14", "odoo 19"]


def test_unless_told_the_version_last_asked_for_is_meant(started: list[str], tmp_path: Path) -> None:
    resolve_services(_settings(tmp_path), "14")
    assert resolve_services(_settings(tmp_path)).odoo_db == "odoo_14"
    assert resolve_services(_settings(tmp_path), start=False).odoo_db == "odoo_14"
    assert started == ["odoo 14", "odoo 14"]


def test_reading_a_lab_that_is_down_says_how_to_bring_it_up(started: list[str], tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"PostgreSQL is not running; run `unierp lab up`\."):
        resolve_services(_settings(tmp_path), start=False)
    resolve_services(_settings(tmp_path), "19")
    with pytest.raises(LabError, match=r"Odoo 14 is not running; run `unierp lab up --odoo 14`\."):
        resolve_services(_settings(tmp_path), "14", start=False)
    assert resolve_services(_settings(tmp_path), "19", start=False).odoo_db == "odoo_19"
    assert started == ["odoo 19"]
