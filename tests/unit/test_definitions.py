"""What Dagster loads: complete, connected, in the right order, and loaded quickly without touching anything."""

import os
import re
import subprocess
import sys
import textwrap
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from pydantic import SecretStr

from unierp_assets.assets.jobs import SYNC_ALL, domain_keys
from unierp_assets.assets.keys import LOADED_AFTER, Layer, gated_with, key, loaded_before, looked_at
from unierp_assets.assets.operations import HEALTH
from unierp_assets.definitions import build_defs, defs
from unierp_assets.entities import DOMAINS, ENTITIES, entities_of
from unierp_assets.lab.services import Services
from unierp_assets.quality import GATE_ORDER, suite_rules
from unierp_assets.resources import StorefrontResource, UniErpResource, WarehouseResource
from unierp_assets.resources.instance import STORAGE_VARIABLE, prepare_dagster_home
from unierp_assets.settings import Settings
from unierp_assets.sync.pipeline import tables_of, with_requirements
from unierp_assets.warehouse.tables import metadata

SNAPSHOT = Path(__file__).parent / "data" / "asset_keys.txt"
GRAPH = defs.get_repository_def().asset_graph
KEYS = GRAPH.get_all_asset_keys()


def _node(of: dg.AssetKey) -> Any:
    return GRAPH.get(of)


def _ancestors(of: dg.AssetKey) -> set[dg.AssetKey]:
    found: set[dg.AssetKey] = set()
    unseen = [of]
    while unseen:
        for parent in _node(unseen.pop()).parent_keys - found:
            found.add(parent)
            unseen.append(parent)
    return found


# Complete


def test_the_assets_are_those_of_the_snapshot() -> None:
    """A key is an address others refer to: a change is made on purpose, here and in the snapshot."""
    assert sorted(found.to_user_string() for found in KEYS) == SNAPSHOT.read_text().splitlines()


def test_every_dependency_is_an_asset_of_ours() -> None:
    assert {found.to_user_string() for found in KEYS if not _node(found).is_materializable} == set()
    assert {parent for found in KEYS for parent in _node(found).parent_keys} <= KEYS


def test_every_check_has_its_asset_and_every_rule_of_a_suite_its_check() -> None:
    checks = GRAPH.asset_check_keys
    assert {check.asset_key for check in checks} <= KEYS
    for entity in ENTITIES:
        staged = key(Layer.STAGING, entity)
        assert {check.name for check in checks if check.asset_key == staged} == {
            rule.name for rule in suite_rules(entity)
        }
        assert {check.name for check in checks if check.asset_key == key(Layer.UNIERP, entity)} == {
            "none_failed",
            "none_held",
            "no_conflicts",
        }
    summary = key(Layer.REPORTING, "reconciliation_summary")
    assert len([check for check in checks if check.asset_key == summary]) == len(ENTITIES)


@pytest.mark.parametrize("found", sorted(KEYS), ids=lambda found: found.to_user_string())
def test_every_asset_tells_whose_it_is_and_what_it_is(found: dg.AssetKey) -> None:
    node = _node(found)
    assert node.owners
    assert node.group_name
    assert node.group_name != "default"
    assert re.fullmatch(r"[^\n]{10,}\.", node.description), node.description
    assert node.kinds
    assert node.tags["layer"] == found.path[0]
    columns = node.metadata["dagster/column_schema"].columns
    assert columns
    assert all(column.description and column.description != "None" for column in columns)


@pytest.mark.parametrize("layer", ["landing_storefront", "staging", "landing_unierp", "sync", "reporting"])
def test_an_asset_of_a_schema_is_a_table_of_it_with_its_columns(layer: str) -> None:
    found = [asset for asset in KEYS if asset.path[0] == layer]
    assert found
    for asset in found:
        table = metadata.tables[f"{layer}.{asset.path[1]}"]
        described = _node(asset).metadata
        assert described["dagster/table_name"] == table.fullname
        columns = described["dagster/column_schema"].columns
        assert [column.name for column in columns] == [column.name for column in table.columns]


def test_personal_data_is_tagged_at_the_column_and_at_the_asset() -> None:
    staged = _node(key(Layer.STAGING, "customers"))
    tagged = {column.name for column in staged.metadata["dagster/column_schema"].columns if column.tags}
    assert tagged == {field.name for field in ENTITIES["customers"].fields if field.personal}
    assert staged.tags["personal_data"] == "true"
    assert "personal_data" not in _node(key(Layer.STAGING, "taxes")).tags


# In the right order


def test_what_an_entity_follows_is_loaded_before_it() -> None:
    order = list(ENTITIES)
    for entity in ENTITIES.values():
        assert all(order.index(name) < order.index(entity.name) for name in loaded_before(entity))
    assert set(LOADED_AFTER) <= set(ENTITIES)


def test_the_gates_that_decide_first_run_first() -> None:
    for entity in ENTITIES.values():
        names = gated_with(entity)
        assert names[-1] == entity.name
        assert list(names) == [name for name in GATE_ORDER if name in names]


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=list(ENTITIES))
def test_a_load_follows_everything_it_reads_and_whose_gate_it_asks(entity: Any) -> None:
    before = _ancestors(key(Layer.UNIERP, entity.name))
    assert {key(Layer.LANDING_STOREFRONT, table) for table in tables_of((entity,))} <= before
    assert {key(Layer.STAGING, name) for name in (entity.name, *looked_at(entity))} <= before
    assert key(Layer.LANDING_UNIERP, entity.name) in before
    assert key(Layer.SYNC, "bindings") in before
    assert {
        key(Layer.UNIERP, str(field.target)) for field in entity.references if field.target != entity.name
    } <= before


def test_it_is_read_back_after_every_load_then_written_back_then_reported() -> None:
    read_back = key(Layer.RECONCILIATION, "read_back")
    assert {key(Layer.UNIERP, name) for name in ENTITIES} <= _ancestors(read_back)
    assert read_back in _ancestors(key(Layer.STOREFRONT, "stock_levels"))
    for found in KEYS:
        if found.path[0] == "reporting":
            assert key(Layer.STOREFRONT, "stock_levels") in _ancestors(found)


def test_the_order_of_the_assets_has_no_circle() -> None:
    assert len(list(TopologicalSorter({found: _node(found).parent_keys for found in KEYS}).static_order())) == len(KEYS)


def test_only_what_writes_to_a_system_is_in_its_pool() -> None:
    pools = {found: _node(found).pools for found in KEYS}
    for found, names in pools.items():
        assert names == ({found.path[0]} if found.path[0] in ("unierp", "storefront") else set()), found


# Jobs


def test_there_is_a_job_for_everything_and_one_for_each_domain() -> None:
    jobs = {job.name: job for job in defs.get_repository_def().get_all_jobs()}
    assert {SYNC_ALL, *(f"sync_{domain}" for domain in DOMAINS)} <= set(jobs)
    everything = jobs[SYNC_ALL].asset_layer
    assert everything.executable_asset_keys == KEYS - {HEALTH}
    assert jobs[SYNC_ALL].executor_def.name == "in_process"


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_job_of_a_domain_has_what_its_entities_refer_to_with_all_checks(domain: str) -> None:
    job = defs.resolve_job_def(f"sync_{domain}")
    selected = job.asset_layer.executable_asset_keys
    assert selected == set(domain_keys(domain))
    entities = with_requirements(entities_of(domain))
    assert {found.path[1] for found in selected if found.path[0] == "unierp"} == {entity.name for entity in entities}
    checked = {check.asset_key.path[1] for check in job.asset_layer.asset_graph.asset_check_keys}
    assert {entity.name for entity in entities} <= checked


# Resources and loading


def test_an_override_reaches_the_engine() -> None:
    overrides = {
        "warehouse": WarehouseResource(url="postgresql://somewhere/warehouse"),
        "storefront": StorefrontResource(url="postgresql://somewhere/shop"),
        "unierp": UniErpResource(url="http://somewhere", db="books", password="secret"),
    }
    resources = build_defs(overrides).resources
    assert resources is not None
    assert resources["warehouse"] is overrides["warehouse"]
    engine: Any = resources["engine"]
    assert engine.warehouse.url == "postgresql://somewhere/warehouse"
    assert engine.storefront.get()._schema == "shop"
    assert engine.unierp.get().server == "http://somewhere/books"


def test_an_address_of_unierp_without_the_rest_is_refused_with_the_remedy() -> None:
    with pytest.raises(dg.Failure, match="no password; give both"):
        UniErpResource(url="http://somewhere", db="books").get()


def test_loading_connects_nowhere_and_imports_nothing_that_takes_seconds() -> None:
    """In a fresh interpreter, as a code server loads it."""
    program = textwrap.dedent("""
        import socket, sys

        def refused(*args, **kwargs):
            raise AssertionError(f"loading connects to {args[1:]}")

        socket.socket.connect = refused
        socket.socket.connect_ex = refused
        import unierp_assets.definitions

        assert "great_expectations" not in sys.modules
        assert "pandas" not in sys.modules
    """)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UNIERP_", "COV_"))}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


# The instance of the lab


def _services(dagster_url: str | None) -> Services:
    return Services(
        odoo_url="http://127.0.0.1:8069",
        odoo_db="odoo_19",
        odoo_login="admin",
        odoo_password=SecretStr("hidden-odoo"),
        warehouse_url=SecretStr("postgresql://me:hidden-wh@127.0.0.1:5432/warehouse"),
        storefront_url=SecretStr("postgresql://me:hidden-shop@127.0.0.1:5432/shop"),
        dagster_url=SecretStr(dagster_url) if dagster_url else None,
    )


def test_dagster_keeps_its_records_in_postgresql_with_the_secret_in_the_environment_only(tmp_path: Path) -> None:
    environment = prepare_dagster_home(
        Settings(home=tmp_path), _services("postgresql://me:hidden-dagster@127.0.0.1:5432/dagster")
    )
    files = {path.name: path.read_text() for path in (tmp_path / "dagster").iterdir()}
    instance = yaml.safe_load(files["dagster.yaml"])
    assert instance["storage"] == {"postgres": {"postgres_url": {"env": STORAGE_VARIABLE}}}
    # Whatever SQLAlchemy takes for its default driver: Dagster's storage speaks this one.
    assert environment[STORAGE_VARIABLE] == "postgresql+psycopg2://me:hidden-dagster@127.0.0.1:5432/dagster"
    assert "hidden" not in "".join(files.values())
    assert instance["telemetry"] == {"enabled": False}
    assert instance["concurrency"]["pools"] == {"granularity": "run", "default_limit": 1}
    assert {"dagster.yaml", "workspace.yaml"} == set(files)


def test_dagster_keeps_its_records_in_files_where_there_is_no_postgresql(tmp_path: Path) -> None:
    environment = prepare_dagster_home(Settings(home=tmp_path), _services(None))
    assert "storage" not in yaml.safe_load((tmp_path / "dagster" / "dagster.yaml").read_text())
    assert STORAGE_VARIABLE not in environment
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        assert instance.event_log_storage is not None
        assert instance.run_monitoring_enabled


def test_the_processes_of_dagster_get_the_addresses_the_caller_resolved(tmp_path: Path) -> None:
    environment = prepare_dagster_home(Settings(home=tmp_path), _services(None))
    known = {f"UNIERP_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in environment if name.startswith("UNIERP_")} <= known
    assert environment["UNIERP_ODOO_PASSWORD"] == "hidden-odoo"
    assert Path(environment["UNIERP_HOME"]).is_absolute()
