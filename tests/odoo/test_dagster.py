"""The sync as Dagster runs it, on a real Odoo: it does what the command line does, and shows it.

The tests of this module share one world and tell one story in the order in which they stand.
"""

import re
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from world import World, make_world

from unierp_assets.assets import steps
from unierp_assets.assets.jobs import SYNC_ALL
from unierp_assets.assets.keys import BINDINGS, PLAN, Layer, key
from unierp_assets.definitions import build_defs
from unierp_assets.entities import ENTITIES
from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.resources import StorefrontResource, UniErpResource, WarehouseResource
from unierp_assets.sync.intake.extract import extract
from unierp_assets.sync.intake.stage import stage
from unierp_assets.sync.pipeline import LOCK, Pipeline
from unierp_assets.warehouse.tables import STAGING

if TYPE_CHECKING:
    from conftest import RunningOdoo

# The order of the steps is the same on every version; that each version is loaded rightly is told in test_sync.
pytestmark = pytest.mark.parametrize("odoo_server", ["19"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def world(odoo_server: "RunningOdoo", postgres: PostgresServer) -> Iterator[World]:
    with make_world(odoo_server, postgres, size=(10, 10, 10)) as made:
        yield made


def definitions(world: World, **unierp: Any) -> dg.Definitions:
    address = {"url": world.odoo.url, "db": world.odoo.db, "login": world.odoo.login, "password": world.odoo.password}
    return build_defs(
        {
            "warehouse": WarehouseResource(url=world.postgres.url(world.warehouse_name)),
            "storefront": StorefrontResource(url=world.postgres.url(world.shop_name)),
            "unierp": UniErpResource(**{**address, **unierp}),
        }
    )


@pytest.fixture(scope="module")
def first(world: World) -> dg.ExecuteInProcessResult:
    """The first run of everything, on a warehouse that does not even exist."""
    return definitions(world).resolve_job_def(SYNC_ALL).execute_in_process(raise_on_error=False)


def materialize(world: World, *assets: dg.AssetKey, **unierp: Any) -> dg.ExecuteInProcessResult:
    """Materialises some assets alone, as a person does in the UI."""
    job = definitions(world, **unierp).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(asset_selection=list(assets), raise_on_error=False)


def recorded(world: World, run: dg.ExecuteInProcessResult) -> tuple[str, dict[str, Any]]:
    """What ``sync.runs`` has of a run: its status and its summary."""
    return world.warehouse_rows("SELECT status, summary FROM sync.runs WHERE run_id = %s", run.run_id)[0]


def metadata_of(run: dg.ExecuteInProcessResult, asset: dg.AssetKey) -> dict[str, Any]:
    (made,) = [event.step_materialization_data.materialization for event in run.get_asset_materialization_events()
               if event.asset_key == asset]  # fmt: skip
    return {name: value.value for name, value in made.metadata.items()}


def failures(run: dg.ExecuteInProcessResult) -> dict[str, str]:
    """The reason of each step that failed."""
    found = {}
    for event in run.filter_events(lambda event: event.is_step_failure):
        data = event.step_failure_data.user_failure_data
        found[str(event.step_key)] = str(data.description if data else event.step_failure_data.error)
    return found


def test_a_run_of_everything_loads_what_the_gate_accepts(world: World, first: dg.ExecuteInProcessResult) -> None:
    assert failures(first) == {}
    status, summary = recorded(world, first)
    assert status == "succeeded"
    assert summary["reconciliation"] == {"differences": 0, "accuracy": 100.0}
    for name, counts in summary["entities"].items():
        rows = dict(world.warehouse_rows(f"SELECT _status, count(*) FROM staging.{name} GROUP BY 1"))
        assert counts["quarantined"] == rows.get("quarantined", 0), name
        if not ENTITIES[name].created_with:
            assert counts["created"] + counts["held"] == rows["accepted"], name
    assert set(summary["entities"]) == set(ENTITIES)
    assert world.unread() == {}


def test_the_command_line_then_finds_nothing_left_to_do(world: World, first: dg.ExecuteInProcessResult) -> None:
    summary = world.sync()
    assert summary.odoo_writes == 0
    assert [name for name, counts in summary.entities.items() if counts.created or counts.updated] == []
    _, by_dagster = recorded(world, first)
    for name, counts in summary.entities.items():
        theirs = by_dagster["entities"][name]
        assert (counts.held, counts.failed, counts.quarantined) == (
            theirs["held"],
            theirs["failed"],
            theirs["quarantined"],
        ), name


def test_a_second_run_writes_nothing(world: World, first: dg.ExecuteInProcessResult) -> None:
    again = definitions(world).resolve_job_def(SYNC_ALL).execute_in_process(raise_on_error=False)
    assert failures(again) == {}
    status, summary = recorded(world, again)
    assert status == "succeeded"
    assert summary["odoo_writes"] == 0
    assert summary["odoo_reads"] > 0
    assert not any(counts["created"] or counts["updated"] for counts in summary["entities"].values())
    assert sum(metadata_of(again, key(Layer.RECONCILIATION, "read_back"))[name] for name in ENTITIES) == 0


def test_every_rule_that_is_broken_is_a_check_with_count_and_examples(
    world: World, first: dg.ExecuteInProcessResult
) -> None:
    found = world.warehouse_rows(
        "SELECT entity, rule, outcome, count(*), array_agg(key) FROM quarantine.rows GROUP BY 1, 2, 3"
    )
    assert len(found) > 15
    broken = {(entity, rule): (outcome, count, keys) for entity, rule, outcome, count, keys in found}
    checks = {
        (check.asset_key.path[1], check.check_name): check
        for check in first.get_asset_check_evaluations()
        if check.asset_key.path[0] == "staging"
    }
    assert set(broken) <= set(checks)
    for name, check in checks.items():
        assert check.passed == (name not in broken), name
        if check.passed:
            assert "examples" not in check.metadata
            continue
        shown = [record.data["key"] for record in check.metadata["examples"].records]  # type: ignore[attr-defined]
        outcome, count, keys = broken[name]
        assert check.metadata["unexpected_count"].value == count
        assert check.severity.value == ("ERROR" if outcome == "quarantine" else "WARN")
        assert shown
        assert set(shown) <= set(keys)
        assert check.metadata["remedy"].value


def test_what_waits_is_a_warning_with_the_reason(world: World, first: dg.ExecuteInProcessResult) -> None:
    held = dict(world.warehouse_rows("SELECT key, reason FROM sync.pending WHERE entity = 'orders' AND state = 'held'"))
    assert held
    (check,) = [check for check in first.get_asset_check_evaluations()
                if check.asset_key == key(Layer.UNIERP, "orders") and check.check_name == "none_held"]  # fmt: skip
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert check.metadata["count"].value == len(held)
    for record in check.metadata["examples"].records:  # type: ignore[attr-defined]
        assert held[str(record.data["key"])] == record.data["reason"]


def test_both_sides_agree_entity_by_entity(first: dg.ExecuteInProcessResult) -> None:
    summary = [
        check
        for check in first.get_asset_check_evaluations()
        if check.asset_key == key(Layer.REPORTING, "reconciliation_summary")
    ]
    assert len(summary) == len(ENTITIES)
    assert [check.check_name for check in summary if not check.passed] == []


def test_a_materialisation_tells_how_many_rows_there_are(world: World, first: dg.ExecuteInProcessResult) -> None:
    rows = world.warehouse_rows("SELECT count(*), max(_staged_at) FROM staging.customers WHERE _status <> 'withdrawn'")
    told = metadata_of(first, key(Layer.STAGING, "customers"))
    assert told["dagster/row_count"] == rows[0][0]
    assert told["dagster/last_updated_timestamp"] >= rows[0][1].timestamp() - 1
    loaded = metadata_of(first, key(Layer.UNIERP, "orders"))
    bound = world.warehouse_rows("SELECT count(*) FROM sync.bindings WHERE entity = 'orders'")[0][0]
    assert loaded["dagster/row_count"] == bound
    assert loaded["created"] == recorded(world, first)[1]["entities"]["orders"]["created"]


def test_the_links_of_a_materialisation_lead_to_the_documents(world: World, first: dg.ExecuteInProcessResult) -> None:
    told = metadata_of(first, key(Layer.UNIERP, "invoices"))
    assert told["in_odoo"].startswith(f"{world.odoo.url}/web?db={world.odoo.db}#action=")
    documents = re.findall(r"\[(\w+)\]\(\S+#id=(\d+)&model=account\.move&view_type=form\)", told["documents"])
    assert documents
    for row_key, id_ in documents:
        assert world.odoo_id("invoices", row_key) == int(id_)
        assert world.session.call("account.move", "read", [int(id_)], ["state"])[0]["state"] == "posted"


def test_a_load_alone_passes_the_gate_first(world: World, first: dg.ExecuteInProcessResult) -> None:
    good, bad = (
        found
        for (found,) in world.warehouse_rows(
            "SELECT key FROM staging.customers WHERE _status = 'accepted' AND NOT is_company "
            "AND key NOT IN (SELECT into_key FROM sync.merges) ORDER BY length(key), key LIMIT 2"
        )
    )
    world.shop("UPDATE customers SET first_name = 'Wilhelmina', updated_at = now() WHERE id = %s", int(good))
    world.shop(
        "UPDATE customers SET first_name = 'Nobody', email = 'no address', updated_at = now() WHERE id = %s", int(bad)
    )
    context = world.context()
    extract(context, "customers")
    assert stage(context, ENTITIES["customers"]) == 2

    run = materialize(world, key(Layer.UNIERP, "customers"))
    assert failures(run) == {}
    assert [event.step_key for event in run.filter_events(lambda event: event.is_step_success)] == ["unierp__customers"]
    told = metadata_of(run, key(Layer.UNIERP, "customers"))
    assert (told["created"], told["updated"]) == (0, 1)
    names = {
        row_key: world.session.call("res.partner", "read", [world.odoo_id("customers", row_key)], ["name"])[0]["name"]
        for row_key in (good, bad)
    }
    assert names[good].startswith("Wilhelmina")
    assert not names[bad].startswith("Nobody")


def test_one_rule_can_be_asked_for_alone(world: World, first: dg.ExecuteInProcessResult) -> None:
    job = definitions(world).resolve_implicit_global_asset_job_def()
    wanted = dg.AssetCheckKey(key(Layer.STAGING, "customers"), "invalid_email")
    run = job.get_subset(asset_selection=set(), asset_check_selection={wanted}).execute_in_process(raise_on_error=False)
    assert failures(run) == {}
    (check,) = run.get_asset_check_evaluations()
    broken = world.warehouse_rows(
        "SELECT count(*) FROM quarantine.rows WHERE entity = 'customers' AND rule = 'invalid_email'"
    )
    assert check.check_name == "invalid_email"
    assert check.metadata["unexpected_count"].value == broken[0][0]


def test_the_job_of_a_domain_touches_its_own_entities_only(world: World, first: dg.ExecuteInProcessResult) -> None:
    run = definitions(world).resolve_job_def("sync_customers").execute_in_process(raise_on_error=False)
    assert failures(run) == {}
    _, summary = recorded(world, run)
    assert set(summary["entities"]) == {"customer_groups", "customers", "addresses"}
    assert summary["odoo_writes"] == 0


def test_a_plan_shows_what_would_be_written_and_can_be_approved(world: World, first: dg.ExecuteInProcessResult) -> None:
    ((price,),) = world.warehouse_rows(
        "SELECT min(s.key) FROM staging.prices s JOIN sync.bindings b ON b.entity = 'prices' AND b.key = s.key "
        "WHERE s._status = 'accepted'"
    )
    world.shop("UPDATE prices SET amount = amount + 1, updated_at = now() WHERE id = %s", int(price))
    run = definitions(world).resolve_job_def("plan").execute_in_process(raise_on_error=False)
    assert failures(run) == {}
    told = metadata_of(run, PLAN)
    assert told["dagster/row_count"] == 1
    (shown,) = told["examples"].records
    assert shown.data == {
        "entity": "prices", "key": price, "field": "amount", "action": "update", "target": "unierp"
    }  # fmt: skip
    assert world.preview().height == 1, "a plan writes nothing"
    summary = Pipeline(world.context()).sync(told["plan_id"])
    assert summary.entities["prices"].updated == 1
    assert definitions(world).resolve_job_def("plan").execute_in_process().success
    assert world.preview().is_empty()


def test_a_step_waits_for_a_sync_from_the_command_line(world: World, first: dg.ExecuteInProcessResult) -> None:
    free = threading.Event()

    def hold() -> None:
        with world.warehouse.lock(LOCK):
            held.set()
            free.wait(60)

    held = threading.Event()
    other = threading.Thread(target=hold)
    other.start()
    held.wait(60)
    threading.Timer(3, free.set).start()
    started = time.monotonic()
    run = materialize(world, BINDINGS)
    other.join()
    assert failures(run) == {}
    assert time.monotonic() - started >= 2.5


def test_a_sync_that_never_ends_is_named(
    world: World, first: dg.ExecuteInProcessResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "LOCK_SECONDS", 0.2)
    with world.warehouse.lock(LOCK):
        run = materialize(world, BINDINGS)
    assert "is already running on the warehouse" in failures(run)["sync__bindings"]


def test_a_wrong_password_fails_with_one_sentence_and_the_shop_is_read_all_the_same(
    world: World, first: dg.ExecuteInProcessResult
) -> None:
    tables = key(Layer.LANDING_STOREFRONT, "customers")
    run = materialize(world, tables, BINDINGS, key(Layer.LANDING_UNIERP, "customers"), password="wrong")
    assert not run.success
    (reason,) = failures(run).values()
    assert "refuses the login or password" in reason
    assert "Traceback" not in reason
    assert [event.step_key for event in run.filter_events(lambda event: event.is_step_success)] == [
        "landing_storefront__customers"
    ]
    assert recorded(world, run)[0] == "failed"


def test_personal_values_are_not_shown(world: World, first: dg.ExecuteInProcessResult) -> None:
    emails = {email for (email,) in world.warehouse_rows("SELECT email FROM staging.customers WHERE email IS NOT NULL")}
    assert emails
    shown = " ".join(
        str(record.data)
        for check in first.get_asset_check_evaluations()
        if "examples" in check.metadata
        for record in check.metadata["examples"].records  # type: ignore[attr-defined]
    )
    assert not [email for email in emails if email in shown]
    assert STAGING["customers"].c.email.info["personal"]
