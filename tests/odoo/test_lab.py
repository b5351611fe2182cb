"""The lab's Odoo as people and programs meet it: its pages, its login, its templates."""

import html
import re
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING
from urllib import request

import psutil
import psycopg
import pytest

from unierp_assets.lab.cache import default_cache
from unierp_assets.lab.lab import Lab
from unierp_assets.lab.odoo import answers, post_json
from unierp_assets.lab.postgres import ensure_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import OdooDatabase, RunningOdoo

_ASSET = re.compile(r'(?:href|src|data-src)="(/web/(?:assets|content)/[^"]+)"')


def _browser() -> request.OpenerDirector:
    return request.build_opener(request.ProxyHandler({}), request.HTTPCookieProcessor(CookieJar()))


def _log_in(url: str, db: str, login: str, password: str) -> object:
    arguments = {"service": "common", "method": "login", "args": [db, login, password]}
    return post_json(f"{url}/jsonrpc", arguments, timeout=60).get("result")


def test_the_login_page_and_everything_it_links_to_load(odoo_server: "RunningOdoo") -> None:
    browser = _browser()
    with browser.open(f"{odoo_server.url}/web/login", timeout=60) as page:
        assert page.status == 200
        text = page.read().decode()
    assets = {html.unescape(found) for found in _ASSET.findall(text)}
    assert {Path(asset).suffix for asset in assets} >= {".css", ".js"}
    for asset in sorted(assets):
        with browser.open(odoo_server.url + asset, timeout=120) as answer:
            assert answer.status == 200, asset
            assert len(answer.read()) > 1000, asset


def test_the_back_office_opens_for_the_administrator(odoo_server: "RunningOdoo") -> None:
    browser = _browser()
    with browser.open(f"{odoo_server.url}/web/login", timeout=60) as page:
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.read().decode())
    assert token
    form = f"csrf_token={token[1]}&login={odoo_server.login}&password={odoo_server.password}"
    with browser.open(f"{odoo_server.url}/web/login", data=form.encode(), timeout=60) as page:
        text = page.read().decode()
    assert "/web/login" not in page.url
    for asset in sorted({html.unescape(found) for found in _ASSET.findall(text)}):
        with browser.open(odoo_server.url + asset, timeout=120) as answer:
            assert answer.status == 200, asset


def test_the_administrator_logs_in_with_the_generated_password_only(odoo_server: "RunningOdoo") -> None:
    assert _log_in(odoo_server.url, odoo_server.db, odoo_server.login, odoo_server.password) == 2
    assert _log_in(odoo_server.url, odoo_server.db, odoo_server.login, "admin") is False


def test_the_company_keeps_its_books_in_dollars_rounded_per_line(odoo_database: "OdooDatabase") -> None:
    with psycopg.connect(odoo_database.sql_url) as connection:
        company = connection.execute(
            "SELECT currency.name, company.tax_calculation_rounding_method FROM res_company company"
            " JOIN res_currency currency ON currency.id = company.currency_id"
        ).fetchall()
        journals = connection.execute("SELECT DISTINCT type FROM account_journal").fetchall()
        digits = connection.execute("SELECT digits FROM decimal_precision WHERE name = 'Discount'").fetchall()
        modules = connection.execute("SELECT name FROM ir_module_module WHERE state = 'installed'").fetchall()
    assert company == [("USD", "round_per_line")]
    assert {("sale",), ("purchase",), ("bank",)} <= set(journals)
    assert digits == [(6,)]
    assert {("sale_management",), ("stock_account",), ("purchase",), ("delivery",)} <= set(modules)


def test_a_fresh_database_is_apart_from_the_others(odoo_server: "RunningOdoo", odoo_database: "OdooDatabase") -> None:
    with psycopg.connect(odoo_database.sql_url, autocommit=True) as connection:
        connection.execute("UPDATE res_company SET email = 'only-here@example.com'")
        identity = connection.execute("SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'").fetchone()
    with psycopg.connect(odoo_server.sql_url) as connection:
        other = connection.execute("SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'").fetchone()
        emails = connection.execute("SELECT email FROM res_company").fetchall()
    assert identity != other
    assert ("only-here@example.com",) not in emails
    assert _log_in(odoo_database.url, odoo_database.db, odoo_database.login, odoo_database.password) == 2


@pytest.mark.newest
def test_an_outage_ends_at_the_same_address(odoo_server: "RunningOdoo") -> None:
    address = odoo_server.url
    odoo_server.stop()
    assert not answers(address)
    odoo_server.start()
    assert odoo_server.url == address
    assert answers(address, patience=10)


@pytest.fixture(scope="module")
def lab(odoo_server: "RunningOdoo", services_folder: Path) -> "Iterator[Lab]":
    """A lab of its own, whose creation was interrupted. It asks for the session's Odoo, which fills the cache."""
    made = Lab(services_folder / f"lab {odoo_server.version} é", default_cache())
    postgres_server = made.up_postgres().postgres
    assert postgres_server
    ensure_database(postgres_server, f"odoo_{odoo_server.version}_partial")
    yield made
    made.reset()
    assert not made.folder.exists()


@pytest.mark.newest
def test_up_twice_starts_nothing_new_and_down_stops_exactly_what_up_started(
    odoo_server: "RunningOdoo", lab: Lab
) -> None:
    first = lab.up(odoo_server.version)
    server = first.odoo[odoo_server.version]
    assert server.password != odoo_server.password
    assert _log_in(server.url, server.database, server.login, server.password) == 2
    assert all(row.running for row in lab.status())

    assert lab.up(odoo_server.version) == first

    assert lab.down() == [f"Odoo {odoo_server.version}", "PostgreSQL"]
    assert not answers(server.url)
    assert not any(row.running for row in lab.status())
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if str(lab.folder) in line]
    assert answers(odoo_server.url), "another lab's server was stopped"


@pytest.mark.newest
def test_a_half_dead_lab_is_healed_and_keeps_its_data(odoo_server: "RunningOdoo", lab: Lab) -> None:
    version = odoo_server.version
    first = lab.up(version)
    server = first.odoo[version]
    assert first.postgres
    assert first.postgres.process
    assert server.process
    with first.postgres.connect(server.database) as connection:
        connection.execute("UPDATE res_company SET email = 'kept@example.com'")
    # The main process of each is gone at once, as after the machine ran out of memory.
    psutil.Process(server.process.pid).kill()
    psutil.Process(first.postgres.process.pid).kill()

    second = lab.up(version)
    healed = second.odoo[version]
    assert _log_in(healed.url, healed.database, healed.login, server.password) == 2
    assert second.postgres
    with second.postgres.connect(healed.database) as connection:
        assert connection.execute("SELECT email FROM res_company").fetchone() == ("kept@example.com",)
    assert all(row.running for row in lab.status())
