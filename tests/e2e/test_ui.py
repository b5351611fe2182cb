"""Dagster's pages on the lab, as a person sees them: real web server, daemon and code server, a real browser.

It needs PostgreSQL and Chromium, and no Odoo: what is clicked here reads the shop.
"""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from pydantic import SecretStr

from unierp_assets.assets.changes import SYNC_CHANGES
from unierp_assets.entities import DOMAINS
from unierp_assets.lab import postgres as lab_postgres
from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.lab.processes import HOST, free_port, naming, wait_until
from unierp_assets.lab.redis import RedisServer
from unierp_assets.lab.services import Services
from unierp_assets.resources.instance import DagsterProcesses, dagster_home, prepare_dagster_home
from unierp_assets.sensors import SCHEDULES, SENSORS
from unierp_assets.settings import Settings
from unierp_assets.storefront.sample import make_sample, write_sample
from unierp_assets.sync.pipeline import LOCK
from unierp_assets.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dagster_graphql import DagsterGraphQLClient
    from playwright.sync_api import Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PATIENCE = 120_000
"""Milliseconds that a page or a run may take on a busy machine."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def services(postgres: PostgresServer, redis: RedisServer) -> Iterator[Services]:
    """A sample shop, an empty warehouse, a database for Dagster's records, and a Redis through which runs get to the
    process that waits for them; nobody answers for UniERP."""
    names = ("ui_warehouse", "ui_shop", "ui_dagster")
    warehouse, shop, dagster = (lab_postgres.ensure_database(postgres, name) for name in names)
    write_sample(shop, make_sample(5, 5, 5, 7))
    yield Services(
        odoo_url=f"http://127.0.0.1:{free_port()}",
        odoo_db="none",
        odoo_login="admin",
        odoo_password=SecretStr("none"),
        warehouse_url=SecretStr(warehouse),
        storefront_url=SecretStr(shop),
        dagster_url=SecretStr(dagster),
        broker_url=SecretStr(redis.url),
    )
    for name in names:
        lab_postgres.drop_database(postgres, name)


@pytest.fixture(scope="module")
def dagster(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterProcesses]:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    environment = prepare_dagster_home(settings, services)
    running = DagsterProcesses(dagster_home(settings), environment, free_port())
    try:
        assert running.wait_until_ready(), running.log.read_text()
        yield running
    finally:
        running.close()


@pytest.fixture
def page(dagster: DagsterProcesses, tmp_path: Path) -> Iterator["Page"]:
    """A browser's page. What it showed last is kept beside the test's other files."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    # Only root needs to do without the sandbox; what is shown is our own.
    arguments = ["--no-proxy-server", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=arguments) as browser,
    ):
        shown = browser.new_page(viewport={"width": 1600, "height": 1000}, base_url=dagster.url)
        shown.set_default_timeout(PATIENCE)
        yield shown
        shown.screenshot(path=tmp_path / "last.png")


def test_the_lineage_shows_every_domain(page: "Page") -> None:
    page.goto("/asset-groups")
    for group in (*DOMAINS, "reconciliation", "reporting"):
        page.get_by_text(group, exact=True).first.wait_for()


def test_the_page_of_an_asset_tells_owner_columns_and_checks(page: "Page") -> None:
    page.goto("/assets/staging/customers")
    for text in ("customer-service", "staging.customers", "E-mail address, in small letters.", "sync_customers"):
        page.get_by_text(text, exact=True).first.wait_for()
    page.goto("/assets/staging/customers?view=checks")
    page.get_by_text("invalid_email", exact=True).first.wait_for()


def test_the_page_of_an_asset_tells_how_fresh_it_has_to_be(page: "Page") -> None:
    page.goto("/assets/unierp/orders")
    for text in ("Freshness policy", "Latest check results"):
        page.get_by_text(text, exact=True).first.wait_for()


def test_every_sensor_and_schedule_is_switched_on(page: "Page") -> None:
    page.goto("/automation")
    names = [each.name for each in (*SENSORS, *SCHEDULES)]
    for name in names:
        page.get_by_text(name, exact=True).first.wait_for()
    switches = page.locator('[class*="formatSwitch"] input')
    # They are grey until the page has asked for each.
    assert wait_until(
        lambda: all(switch.is_checked() for switch in switches.all()) and switches.count() >= len(names),
        PATIENCE / 1000,
        pause=1,
    )


def test_what_is_materialised_from_the_page_ends_green(page: "Page", services: Services) -> None:
    page.goto("/assets/landing_storefront/categories")
    page.get_by_text("Never materialized").first.wait_for()
    page.locator("button", has_text="Materialize").first.click()
    wait_until(lambda: last_run(services) in ("SUCCESS", "FAILURE"), PATIENCE / 1000, pause=1)
    assert last_run(services) == "SUCCESS"
    # Opened when there is something to see: the page of an asset without events does not look for them again.
    page.goto("/assets/landing_storefront/categories?view=events")
    page.get_by_text("Materialized in run").first.wait_for()
    page.get_by_text("dagster/row_count").first.wait_for()
    with psycopg.connect(services.warehouse_url.get_secret_value()) as connection:
        rows = connection.execute("SELECT count(*) FROM landing_storefront.categories").fetchone()
    assert rows is not None
    assert rows[0] > 0
    page.get_by_text(str(rows[0]), exact=True).first.wait_for()


def test_a_run_that_is_cancelled_ends_and_is_not_started_again(dagster: DagsterProcesses, services: Services) -> None:
    with closing(Warehouse(services.warehouse_url.get_secret_value())) as warehouse, warehouse.lock(LOCK):
        run = waiting_run(dagster, services)
        client(dagster).terminate_run(run)
        assert wait_until(lambda: status(services, run) == "CANCELED", 60), status(services, run)
    again = "SELECT count(*) FROM run_tags WHERE run_id = %s AND key = 'dagster/will_retry' AND value = 'true'"
    assert asked(services, again, run) == 0


def test_a_run_whose_worker_is_gone_is_ended(dagster: DagsterProcesses, services: Services) -> None:
    """The worker does not come back, so this is the last that is asked of it."""
    with closing(Warehouse(services.warehouse_url.get_secret_value())) as warehouse, warehouse.lock(LOCK):
        run = waiting_run(dagster, services)
        for process in dagster.descendants():
            if "unierp_assets.cli" in process.cmdline():
                process.kill()
        assert wait_until(lambda: status(services, run) == "FAILURE", 120, pause=1), status(services, run)


def waiting_run(dagster: DagsterProcesses, services: Services) -> str:
    """A run that waits for the lock of the sync."""
    nothing = {"ops": {"carry_over": {"config": {"tables": [], "entities": []}}}}
    run = client(dagster).submit_job_execution(SYNC_CHANGES, run_config=nothing)
    begun = "SELECT count(*) FROM event_logs WHERE run_id = %s AND dagster_event_type = 'STEP_START'"
    assert wait_until(lambda: asked(services, begun, run) == 1, 120), status(services, run)
    return run


def client(dagster: DagsterProcesses) -> "DagsterGraphQLClient":
    from dagster_graphql import DagsterGraphQLClient

    return DagsterGraphQLClient(HOST, port_number=int(dagster.url.rpartition(":")[2]))


def status(services: Services, run: str) -> str:
    """The status of a run in Dagster's records."""
    return str(asked(services, "SELECT status FROM runs WHERE run_id = %s", run))


def asked(services: Services, question: str, *values: str) -> object:
    """What a question to Dagster's records has as its answer; None where there is no row."""
    assert services.dagster_url is not None
    with psycopg.connect(services.dagster_url.get_secret_value()) as connection:
        row = connection.execute(question.encode(), values).fetchone()
    return row[0] if row else None


def last_run(services: Services) -> str | None:
    """The status of the newest run in Dagster's records."""
    found = asked(services, "SELECT status FROM runs ORDER BY id DESC LIMIT 1")
    return None if found is None else str(found)


def test_the_records_are_kept_in_postgresql_and_no_secret_in_a_file(
    dagster: DagsterProcesses, services: Services, redis: RedisServer
) -> None:
    assert services.dagster_url is not None
    with psycopg.connect(services.dagster_url.get_secret_value()) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE tablename IN ('runs', 'event_logs')"
        ).fetchone()
    assert tables == (2,)
    password = services.warehouse_url.get_secret_value().split(":")[2].split("@")[0]
    texts = [path.read_text(errors="ignore") for path in dagster.log.parent.rglob("*") if path.is_file()]
    assert not [text for text in texts if password in text or redis.password in text]


def test_ctrl_c_and_sigterm_end_every_process(services: Services, tmp_path: Path) -> None:
    """Also where the shell lets SIGINT be ignored, as it does for what it starts in the background."""
    program = textwrap.dedent("""
        import pickle, signal, sys
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        from pathlib import Path
        from unierp_assets.resources.instance import run_ui
        from unierp_assets.settings import Settings
        services = pickle.load(sys.stdin.buffer)
        sys.exit(run_ui(Settings(home=Path(sys.argv[1])), services, int(sys.argv[2])))
    """)
    port = free_port()
    started = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), str(port)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert started.stdin
    started.stdin.write(pickle.dumps(services))
    started.stdin.close()
    assert started.stderr
    said: list[str] = []
    for line in started.stderr:
        said.append(line.decode())
        if "Log:" in said[-1]:
            break
    assert f"http://127.0.0.1:{port}" in "".join(said)
    workspace = ["--workspace", str(tmp_path / "dagster" / "workspace.yaml")]
    assert naming(workspace)
    started.send_signal(signal.SIGTERM)
    assert started.wait(120) == 0
    assert wait_until(lambda: not naming(workspace), 30)
