"""What those who run the sync look at: the log for machines, lags, the page on health, a warehouse that was restored.

The tests of this module share one world and tell one story in the order in which they stand.
"""

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from world import World, make_world, open_world

from unierp_assets.assets.operations import HEALTH
from unierp_assets.cli.common import WAITS
from unierp_assets.definitions import build_defs
from unierp_assets.entities import ENTITIES
from unierp_assets.lab.postgres import PostgresServer, binaries, drop_database
from unierp_assets.resources import WarehouseResource
from unierp_assets.settings import get_settings
from unierp_assets.sync.health import behind, delays, lags, throughput
from unierp_assets.sync.intake.extract import extract
from unierp_assets.sync.pipeline import tables_of

if TYPE_CHECKING:
    from conftest import RunningOdoo

# What is looked at here is in the warehouse, which is the same on every version.
pytestmark = pytest.mark.parametrize("odoo_server", ["19"], indirect=True, ids=["odoo19"], scope="module")

WRONG = "hunter2-is-not-the-password"
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def world(odoo_server: "RunningOdoo", postgres: PostgresServer) -> Iterator[World]:
    with make_world(odoo_server, postgres, size=(6, 6, 8), seed=11) as made:
        yield made


def logged(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def of_people(world: World) -> set[str]:
    """What the shop knows of people: every name, e-mail address, telephone number and street."""
    rows = world.shop("SELECT email, phone, last_name FROM customers") + world.shop(
        "SELECT street, phone, city FROM addresses"
    )
    return {text for row in rows for value in row if value and len(text := str(value).strip()) > 3}


def test_a_run_with_a_wrong_password_is_logged_without_it(world: World, tmp_path: Path) -> None:
    log = tmp_path / "unierp.jsonl"
    run = world.unierp("sync", UNIERP_ODOO_PASSWORD=WRONG, UNIERP_LOG_FILE=str(log))
    assert run.returncode == 1
    lines = logged(log)
    (failed,) = [line for line in lines if line["level"] == "error"]
    assert "login" in failed["message"] or "password" in failed["message"].lower()
    assert failed["exception"]
    assert len({line["run_id"] for line in lines}) == 1
    assert WRONG not in log.read_text()


def test_a_run_over_the_rows_of_people_leaves_none_of_them_in_the_log(world: World, tmp_path: Path) -> None:
    log = tmp_path / "unierp.jsonl"
    run = world.unierp("sync", UNIERP_LOG_FILE=str(log))
    assert run.returncode == WAITS, run.stderr
    lines = logged(log)
    assert {"customers", "orders"} <= {line.get("entity") for line in lines}
    assert all(line["at"] and line["level"] and line["run_id"] for line in lines)
    people = of_people(world)
    assert len(people) > 10
    assert {text for text in people if text in log.read_text()} == set()


def test_a_record_that_is_refused_is_logged_by_its_key_alone(world: World, tmp_path: Path) -> None:
    log = tmp_path / "unierp.jsonl"
    world.odoo_rows("ALTER TABLE res_partner ADD CONSTRAINT nobody_moves CHECK (name NOT LIKE 'Refused %')")
    ((key,),) = world.shop(
        "UPDATE customers SET first_name = 'Refused', updated_at = now() WHERE id = (SELECT key::int FROM (SELECT "
        "min(id) AS key FROM customers WHERE email IS NOT NULL) one) RETURNING id"
    )
    run = world.unierp("sync", "customers", UNIERP_LOG_FILE=str(log))
    world.odoo_rows("ALTER TABLE res_partner DROP CONSTRAINT nobody_moves")
    assert run.returncode == 1, run.stdout
    (refused,) = [line for line in logged(log) if line["level"] == "warning"]
    assert (refused["entity"], refused["key"], refused["message"]) == ("customers", str(key), "UniERP refused a record")
    assert refused["run_id"]
    assert "Refused " not in log.read_text()
    world.unierp("sync")


def test_dagsters_runs_are_logged_with_run_step_and_entity(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "unierp.jsonl"
    monkeypatch.setenv("UNIERP_LOG_FILE", str(log))
    get_settings.cache_clear()
    handlers = {"machines": {"class": "unierp_assets.logs.JsonHandler", "level": "DEBUG"}}
    with dg.DagsterInstance.local_temp(
        overrides={"python_logs": {"dagster_handler_config": {"handlers": handlers}}}
    ) as dagster:
        run = materialize(world, HEALTH, dagster)
    get_settings.cache_clear()
    assert run.success
    assert {line["run_id"] for line in logged(log)} == {run.run_id}
    steps = {(line.get("event"), line.get("step_key"), line.get("entity")) for line in logged(log)}
    assert ("STEP_SUCCESS", "operations__health", "health") in steps


def materialize(world: World, asset: dg.AssetKey, instance: dg.DagsterInstance | None = None) -> Any:
    defs = build_defs({"warehouse": WarehouseResource(url=world.postgres.url(world.warehouse_name))})
    job = defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(asset_selection=[asset], instance=instance)


def test_what_waits_is_counted_by_step_and_gone_after_a_sync(world: World) -> None:
    assert behind(lags(world.warehouse)) == []
    assert all(lag.shop_read_at and lag.unierp_read_at for lag in lags(world.warehouse))
    before = {lag.entity: lag for lag in lags(world.warehouse)}
    world.shop("UPDATE customers SET first_name = 'Waiting', updated_at = now() WHERE id < 4")
    for table in tables_of((ENTITIES["customers"],)):
        extract(world.context(), table)
    found = {lag.entity: lag for lag in behind(lags(world.warehouse))}
    assert found["customers"].to_stage == 3
    assert found["customers"].behind_since is not None
    after = {lag.entity: lag for lag in lags(world.warehouse)}
    assert after["customers"].shop_read_at > before["customers"].shop_read_at  # type: ignore[operator]
    assert after["customers"].unierp_read_at == before["customers"].unierp_read_at
    status = json.loads(world.unierp("status", "--json").stdout)
    assert {lag["entity"]: lag["to_stage"] for lag in status["lags"]}["customers"] == 3
    assert "How far behind" in world.unierp("status", COLUMNS="200").stdout
    world.sync()
    assert behind(lags(world.warehouse)) == []


def test_what_a_sync_wrote_to_the_shop_waits_for_nothing(world: World) -> None:
    ((price,),) = world.warehouse_rows("SELECT min(key) FROM sync.bindings WHERE entity = 'prices'")
    world.session.call("product.pricelist.item", "write", [world.odoo_id("prices", price)], {"fixed_price": 321})
    world.sync()
    assert world.shop("SELECT amount FROM prices WHERE id = %s", price) == [(Decimal(321),)]
    assert behind(lags(world.warehouse)) == []


def test_delays_and_throughput_tell_what_was_written_lately(world: World) -> None:
    written = throughput(world.warehouse)
    (entries,) = world.warehouse_rows("SELECT count(*) FROM sync.ledger")[0]
    assert written["entries"].sum() == entries
    waited = delays(world.warehouse)
    assert waited["changes"].sum() >= 3
    assert (waited["median"] <= waited["p95"]).all()


def test_the_page_on_health_has_every_entity_and_a_picture(world: World) -> None:
    run = materialize(world, HEALTH)
    (made,) = run.get_asset_materialization_events()
    metadata = made.step_materialization_data.materialization.metadata
    page = metadata["health"].value
    assert {name for name in ENTITIES if f"| {name} |" not in page} == set()
    (picture,) = re.findall(r"!\[the last day\]\(data:image/png;base64,([^)]+)\)", page)
    assert base64.b64decode(picture).startswith(PNG)
    assert metadata["waiting_rows"].value == 0


def test_doctor_tells_lags_freshness_and_what_waits(world: World) -> None:
    found = {each["what"]: each for each in json.loads(world.unierp("doctor", "--json").stdout)["findings"]}
    assert (found["freshness"]["state"], found["lags"]["state"]) == ("ok", "ok")
    assert found["quarantine"]["state"] == "advice"
    assert "UNIERP_ALERT_URLS" in found["addresses of alerts"]["remedy"]
    told = json.loads(world.unierp("doctor", "--json", UNIERP_ALERT_URLS="nonsense://x").stdout)["findings"]
    assert {each["what"]: each["state"] for each in told}["addresses of alerts"] == "bad"


def test_a_warehouse_restored_from_a_dump_goes_on_where_it_was(world: World, tmp_path: Path) -> None:
    world.sync()
    password = {**os.environ, "PGPASSWORD": world.postgres.password}
    server = ["--host", "127.0.0.1", "--port", str(world.postgres.port), "--username", "unierp"]
    dump, restored = tmp_path / "warehouse.dump", f"{world.warehouse_name}_restored"

    def run(program: str, *arguments: str) -> None:
        subprocess.run([str(binaries() / program), *server, *arguments], env=password, check=True, timeout=120)

    run("pg_dump", "--format=custom", f"--file={dump}", world.warehouse_name)
    run("createdb", "--template=template0", restored)
    try:
        run("pg_restore", f"--dbname={restored}", "--exit-on-error", str(dump))
        with open_world(world.odoo, world.postgres, world.shop_name, restored) as again:
            summary = again.sync()
            assert (summary.odoo_writes, summary.differences) == (0, 0)
            assert json.loads(again.unierp("audit", "verify", "--json").stdout)
    finally:
        drop_database(world.postgres, restored)
