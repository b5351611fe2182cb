"""The circuit breakers' memory in the warehouse: what one process finds out, all know; what is well, costs nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from unierp_assets.entities.spec import System
from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.odoo import OdooCircuitOpen, OdooUnavailable
from unierp_assets.resources import StorefrontResource, UniErpResource
from unierp_assets.settings import get_settings
from unierp_assets.storefront.source import (
    StorefrontCircuitOpen,
    StorefrontContractError,
    StorefrontLoginRefused,
    StorefrontUnavailable,
)
from unierp_assets.storefront.sql import SqlStorefront
from unierp_assets.sync.breaker import Breaker, Circuit, circuits, storefront_breaker, unierp_breaker
from unierp_assets.sync.status import status_of
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import BREAKERS

SERVER, SHOP = "http://erp/main", "shop.example.com:5432/shop"


@pytest.fixture
def other(warehouse: Warehouse) -> Iterator[Warehouse]:
    """The same warehouse as another process has it."""
    with closing(Warehouse(warehouse.url.render_as_string(hide_password=False))) as opened:
        yield opened


def down() -> str:
    raise OdooUnavailable("UniERP cannot be reached: nothing listens there", server=SERVER)


def well() -> str:
    return "well"


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(OdooUnavailable) as failed:
            breaker.call(down)
        assert not isinstance(failed.value, OdooCircuitOpen)


def rows(warehouse: Warehouse) -> list[dict[str, Any]]:
    return warehouse.read(sa.select(BREAKERS)).to_dicts()


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The server each transaction of any warehouse was with, so far."""
    begun: list[str] = []
    begin: Callable[[Warehouse], Any] = Warehouse.transaction

    def counted(self: Warehouse) -> Any:
        begun.append(self.where)
        return begin(self)

    monkeypatch.setattr(Warehouse, "transaction", counted)
    return begun


def test_a_system_that_is_well_is_read_once_and_never_written(warehouse: Warehouse, transactions: list[str]) -> None:
    breaker = unierp_breaker(SERVER, warehouse)
    for _ in range(50):
        assert breaker.call(well) == "well"
    assert len(transactions) == 1
    assert rows(warehouse) == []


def test_after_an_outage_the_first_success_is_written_and_no_other(warehouse: Warehouse) -> None:
    breaker = unierp_breaker(SERVER, warehouse)
    fail(breaker, 2)
    (row,) = rows(warehouse)
    assert (row["state"], row["failures"], row["opened_at"]) == ("closed", 2, None)
    assert row["reason"] == "UniERP cannot be reached: nothing listens there"
    breaker.call(well)
    (healed,) = rows(warehouse)
    assert (healed["state"], healed["failures"], healed["reason"]) == ("closed", 0, None)
    breaker.call(well)
    unierp_breaker(SERVER, warehouse).call(well)
    assert rows(warehouse) == [healed]


def test_failures_of_all_processes_count_together_and_open_it_for_all(warehouse: Warehouse, other: Warehouse) -> None:
    for number in range(5):  # a run ends with its first failed call
        fail(unierp_breaker(SERVER, warehouse if number % 2 else other), 1)
    for at in (warehouse, other):
        with pytest.raises(OdooCircuitOpen, match="after 5 calls in a row failed"):
            unierp_breaker(SERVER, at).call(well)
    (row,) = rows(warehouse)
    assert (row["system"], row["state"], row["failures"]) == ("unierp", "open", 5)
    assert abs((row["opened_at"] - datetime.now(UTC)).total_seconds()) < 60
    assert (row["retry_at"] - row["opened_at"]).total_seconds() == pytest.approx(30, abs=0.1)


def test_a_process_that_thought_all_was_well_learns_otherwise_from_its_first_failure(
    warehouse: Warehouse, other: Warehouse
) -> None:
    working = unierp_breaker(SERVER, other)
    working.call(well)
    fail(unierp_breaker(SERVER, warehouse, failures=3), 3)
    fail(working, 1)
    with pytest.raises(OdooCircuitOpen):
        working.call(well)


def test_one_process_tries_while_the_other_is_refused_and_its_success_closes_it_for_both(
    warehouse: Warehouse, other: Warehouse
) -> None:
    ours, theirs = (unierp_breaker(SERVER, at, failures=2, seconds=1) for at in (warehouse, other))
    fail(ours, 2)
    with pytest.raises(OdooCircuitOpen, match="is tried again at"):
        theirs.call(well)
    time.sleep(1.05)

    def trial() -> str:
        assert circuits(warehouse)[System.UNIERP].state == "half_open"
        with pytest.raises(OdooCircuitOpen, match="is just being tried by another call"):
            theirs.call(well)
        return "well"

    assert ours.call(trial) == "well"
    assert theirs.call(well) == "well"
    assert circuits(warehouse) == {System.STOREFRONT: Circuit(), System.UNIERP: Circuit(SERVER)}


def test_the_trial_of_a_process_that_died_is_given_up_after_the_same_time(
    warehouse: Warehouse, other: Warehouse
) -> None:
    ours, theirs = (unierp_breaker(SERVER, at, failures=1, seconds=0.5) for at in (warehouse, other))
    fail(ours, 1)
    time.sleep(0.55)

    def dies() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ours.call(dies)
    with pytest.raises(OdooCircuitOpen):
        theirs.call(well)
    time.sleep(0.55)
    assert theirs.call(well) == "well"
    assert ours.call(well) == "well"


def test_it_stays_open_for_as_long_as_the_one_who_opened_it_said(warehouse: Warehouse, other: Warehouse) -> None:
    fail(unierp_breaker(SERVER, warehouse, failures=1, seconds=60), 1)
    with pytest.raises(OdooCircuitOpen):
        unierp_breaker(SERVER, other, failures=1, seconds=0.001).call(well)


def test_the_systems_do_not_share_a_breaker(warehouse: Warehouse) -> None:
    fail(unierp_breaker(SERVER, warehouse, failures=1), 1)
    assert storefront_breaker(SHOP, warehouse).call(well) == "well"


def test_who_corrects_the_address_does_not_wait(warehouse: Warehouse, other: Warehouse) -> None:
    fail(unierp_breaker(SERVER, warehouse, failures=1), 1)
    moved = unierp_breaker("http://erp.example.com/main", other, failures=2)
    assert moved.call(well) == "well"
    with pytest.raises(OdooCircuitOpen):
        unierp_breaker(SERVER, warehouse).call(well)
    fail(moved, 2)
    with pytest.raises(OdooCircuitOpen, match=r"after 2 calls .*erp\.example\.com"):
        moved.call(well)


def test_without_the_table_it_works_for_this_process(database: str) -> None:
    with closing(Warehouse(database)) as empty:
        breaker = unierp_breaker(SERVER, empty, failures=2)
        fail(breaker, 2)
        with pytest.raises(OdooCircuitOpen):
            breaker.call(well)
        assert unierp_breaker(SERVER, empty).call(well) == "well"


def test_the_status_shows_every_system(warehouse: Warehouse) -> None:
    fail(unierp_breaker(SERVER, warehouse, failures=1), 1)
    shop, unierp = status_of(warehouse).to_dict()["breakers"]
    nothing = {"since": None, "reason": None, "next_try": None}
    assert shop == {"system": "storefront", "address": None, "state": "closed", **nothing}
    (row,) = rows(warehouse)
    assert unierp == {
        "system": "unierp",
        "address": SERVER,
        "state": "open",
        "since": f"{row['opened_at']:%Y-%m-%d %H:%M:%S}",
        "reason": row["reason"],
        "next_try": f"{row['retry_at']:%Y-%m-%d %H:%M:%S}",
    }


def test_dagsters_resources_remember_in_the_warehouse_of_their_engine(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIERP_BREAKER_FAILURES", "1")
    get_settings.cache_clear()
    try:
        session = UniErpResource(url="http://127.0.0.1:9", db="main", password="x").get(warehouse)
        shop = StorefrontResource(url="postgresql://127.0.0.1:1/shop").get(warehouse)
    finally:
        get_settings.cache_clear()
    with pytest.raises(OdooUnavailable):
        session.login_now()
    with pytest.raises(StorefrontUnavailable):
        shop.check()
    assert {row["system"]: row["state"] for row in rows(warehouse)} == {"unierp": "open", "storefront": "open"}


# The shop's database behind its breaker


def test_a_shop_that_is_away_is_left_alone_and_remembered(warehouse: Warehouse) -> None:
    shop = SqlStorefront("postgresql://shop:s3cret-word@127.0.0.1:1/shop", guard=storefront_breaker(SHOP, warehouse))
    for _ in range(5):
        with pytest.raises(StorefrontUnavailable, match="cannot be used"):
            shop.count("orders")
    with pytest.raises(
        StorefrontCircuitOpen, match=r"after 5 calls in a row failed \(The shop's database at"
    ) as refused:
        shop.count("orders")
    assert "s3cret-word" not in f"{refused.value}{rows(warehouse)}"


def test_a_shop_that_answers_with_a_refusal_is_asked_again(
    warehouse: Warehouse, database: str, postgres: PostgresServer
) -> None:
    wrong = sa.make_url(database).set(password="wrong").render_as_string(hide_password=False)
    for url, refusal in ((wrong, StorefrontLoginRefused), (database, StorefrontContractError)):
        shop = SqlStorefront(url, guard=storefront_breaker(SHOP, warehouse, failures=2))
        for _ in range(4):
            with pytest.raises(refusal):
                shop.check()
        shop.close()
    assert rows(warehouse) == []
