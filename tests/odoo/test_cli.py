"""The command ``unierp`` as a person or a script meets it: what it prints, how it fails, how it leaves."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from rich.console import Console
from world import World, make_world

from unierp_assets import display
from unierp_assets.cli import main
from unierp_assets.cli.common import WAITS
from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.settings import get_settings

if TYPE_CHECKING:
    from conftest import RunningOdoo

# What is printed does not depend on the version; what is done is proven on both in test_sync.py.
pytestmark = pytest.mark.parametrize("odoo_server", ["19"], indirect=True, ids=["odoo19"], scope="session")

COUNTS = {"extracted", "quarantined", "created", "updated", "unchanged", "held", "conflicts", "failed"}


@pytest.fixture(scope="module")
def world(odoo_server: "RunningOdoo", postgres: PostgresServer) -> Iterator[World]:
    with make_world(odoo_server, postgres, size=(6, 6, 8), seed=5) as made:
        yield made


def unierp(world: World, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command against the world's services; ``environment`` is laid over their settings.

    Its entry point is called here, without the seconds that a process of its own takes to start; it has one in
    test_outage.py and test_status_and_logs.py.
    """
    shown, told, code = io.StringIO(), io.StringIO(), 0
    with (
        patch.dict(os.environ, {**world.settings, **environment}),
        patch.object(sys, "argv", ["unierp", *arguments]),
        patch.object(display, "out", Console(width=200)),
        patch.object(display, "err", Console(stderr=True, width=200)),
        redirect_stdout(shown),
        redirect_stderr(told),
    ):
        get_settings.cache_clear()
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            get_settings.cache_clear()
    return subprocess.CompletedProcess(arguments, code, shown.getvalue(), told.getvalue())


def document(run: subprocess.CompletedProcess[str]) -> Any:
    """The one JSON document a command prints."""
    assert run.stdout.count("\n") == 1, run.stdout + run.stderr
    return json.loads(run.stdout)


def assert_told(run: subprocess.CompletedProcess[str], *parts: str) -> None:
    """The command failed with a sentence that has these parts, without a traceback and without the password."""
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    told = " ".join(run.stderr.split())
    for part in parts:
        assert part in told, told


def test_sync_prints_one_object_with_every_entity(world: World) -> None:
    run = unierp(world, "sync", "--json")
    found = document(run)
    assert run.returncode == WAITS, run.stderr
    assert set(found) == {"run_id", "seconds", "odoo_reads", "odoo_writes", "entities", "reconciliation", "waits"}
    assert all(set(counts) == COUNTS for counts in found["entities"].values())
    assert found["entities"]["orders"]["created"] > 0
    assert found["reconciliation"] == {"differences": 0, "accuracy": 100.0}
    assert found["waits"]["orders"] > 0
    assert set(found["waits"]["money_not_booked"]) <= {"USD", "EUR", "GBP"}


def test_a_second_sync_writes_nothing(world: World) -> None:
    found = document(unierp(world, "sync", "--json"))
    assert found["odoo_writes"] == 0
    assert {counts["created"] + counts["updated"] for counts in found["entities"].values()} == {0}


def test_plan_shows_the_one_field_that_changed(world: World) -> None:
    ((key, old, new),) = world.shop(
        "UPDATE prices p SET amount = amount + 2 FROM (SELECT id, amount AS old FROM prices WHERE currency = 'USD' "
        "AND amount > 0 AND valid_to IS NULL AND valid_from IS NULL "
        "AND variant_id IN (SELECT id FROM variants WHERE active) "
        "ORDER BY id LIMIT 1) o WHERE p.id = o.id RETURNING p.id, o.old, p.amount"
    )
    changes = document(unierp(world, "plan", "--json"))["changes"]
    assert changes == [
        {
            "entity": "prices",
            "key": str(key),
            "action": "update",
            "target": "unierp",
            "fields": {"amount": [f"{old:.2f}", f"{new:.2f}"]},
        }
    ]
    shown = unierp(world, "plan")
    assert f"amount: {old:.2f} → {new:.2f}" in shown.stdout
    assert document(unierp(world, "sync", "products", "--json"))["entities"]["prices"]["updated"] == 1


def test_tables_are_for_people(world: World) -> None:
    for arguments, expected, code in (
        (["sync"], "Reconciliation", WAITS),
        (["status"], "Last runs", 0),
        (["quarantine"], "duplicate_sku", 0),
        (["reconcile"], "accuracy", 0),
        (["doctor"], "the contract is met", 0),
        (["warehouse", "upgrade"], "up to date", 0),
    ):
        run = unierp(world, *arguments)
        assert run.returncode == code, run.stderr
        assert expected in run.stdout


def test_what_waits_is_told_first(world: World) -> None:
    for command in ("sync", "status", "reconcile"):
        first = unierp(world, command).stdout.splitlines()[0]
        assert first.startswith(("Orders that wait: ", "Money that came in and is booked nowhere: ")), first
    waits = document(unierp(world, "status", "--json"))["waits"]
    findings = {each["what"]: each for each in document(unierp(world, "doctor", "--json"))["findings"]}
    assert findings["orders and money"]["state"] == "advice"
    assert f"Orders that wait: {waits['orders']} (" in findings["orders and money"]["found"]
    assert "waiting are not in it" in unierp(world, "reconcile").stdout


def test_machines_get_json_everywhere(world: World) -> None:
    assert document(unierp(world, "status", "--json"))["runs"]
    quarantine = document(unierp(world, "quarantine", "customers", "--json"))
    assert {row["rule"] for row in quarantine["quarantine"]} >= {"invalid_email", "duplicate_guest"}
    assert all(row["remedy"] for row in quarantine["quarantine"])
    assert document(unierp(world, "reconcile", "--json"))["differences"] == 0
    assert {finding["state"] for finding in document(unierp(world, "doctor", "--json"))["findings"]} <= {"ok", "advice"}


def test_an_unknown_domain_or_entity_is_told(world: World) -> None:
    assert_told(unierp(world, "sync", "weather"), "unknown domain 'weather'", "products, inventory")
    assert_told(unierp(world, "quarantine", "weather"), "unknown entity 'weather'")


def test_a_wrong_password_is_told_without_repeating_it(world: World) -> None:
    run = unierp(world, "sync", UNIERP_ODOO_PASSWORD="hunter2-is-wrong")
    assert_told(run, "refuses the login", "UNIERP_ODOO_PASSWORD")
    assert "hunter2" not in run.stdout + run.stderr


def test_a_password_may_come_from_a_file(world: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(world.odoo.password + "\n")
    settings = {"UNIERP_ODOO_PASSWORD_FILE": str(secret)}
    environment = {name: value for name, value in os.environ.items() if name != "UNIERP_ODOO_PASSWORD"}
    run = subprocess.run(
        [sys.executable, "-m", "unierp_assets.cli", "doctor", "--json"],
        env={
            **environment,
            **settings,
            "UNIERP_ODOO_URL": world.odoo.url,
            "UNIERP_ODOO_DB": world.odoo.db,
            "UNIERP_WAREHOUSE_URL": world.postgres.url(world.warehouse_name),
            "UNIERP_STOREFRONT_URL": world.postgres.url(world.shop_name),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_servers_that_are_down_are_told(world: World) -> None:
    nobody = "postgresql://u:topsecret@127.0.0.1:9/none"
    assert_told(unierp(world, "sync", UNIERP_ODOO_URL="http://127.0.0.1:9"), "http://127.0.0.1:9", "run again")
    for name in ("UNIERP_WAREHOUSE_URL", "UNIERP_STOREFRONT_URL"):
        run = unierp(world, "sync", **{name: nobody})
        assert_told(run, "127.0.0.1:9")
        assert "topsecret" not in run.stdout + run.stderr


def test_a_column_or_table_missing_in_the_shop_is_named_and_the_next_run_completes(world: World) -> None:
    world.shop("ALTER TABLE shipments RENAME COLUMN tracking_number TO tracking")
    assert_told(unierp(world, "sync"), "shipments", "tracking_number")
    world.shop("ALTER TABLE shipments RENAME COLUMN tracking TO tracking_number")
    world.shop("ALTER TABLE payments RENAME TO transactions")
    assert_told(unierp(world, "sync"), "payments")
    world.shop("ALTER TABLE transactions RENAME TO payments")
    assert unierp(world, "sync").returncode == WAITS


def test_a_warehouse_that_cannot_write_is_told_and_the_next_run_completes(world: World) -> None:
    """The disk is full from the moment the engine wants to remember what it wrote to Odoo."""
    world.warehouse_rows(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; "
        "CREATE TRIGGER full_disk BEFORE INSERT ON sync.ledger FOR EACH ROW EXECUTE FUNCTION full_disk()"
    )
    world.shop(
        "UPDATE customers SET first_name = 'Joan', company = NULL WHERE id = (SELECT min(id) FROM customers "
        "WHERE active AND id::text NOT IN (SELECT key FROM sample_faults WHERE table_name = 'customers'))"
    )
    assert_told(unierp(world, "sync"), "space")
    world.warehouse_rows("DROP TRIGGER full_disk ON sync.ledger; DROP FUNCTION full_disk")
    found = document(unierp(world, "sync", "--json"))
    assert found["reconciliation"]["differences"] == 0
    assert document(unierp(world, "sync", "--json"))["odoo_writes"] == 0


def test_an_app_missing_in_odoo_is_named(world: World) -> None:
    """What a server without the delivery app answers: the field of the tracking number is not there."""
    (module,) = world.session.call("ir.module.module", "search", [("name", "=", "delivery")])
    world.session.call("ir.module.module", "button_immediate_uninstall", [module])
    assert_told(unierp(world, "sync"), "carrier_tracking_ref", "install the app 'delivery'")
