"""Carrying out a plan: what is remembered when the server refuses, waits, or goes away in the middle.

UniERP is played by an applier that answers as it is told, because a refusal and an outage at an exact record cannot be
ordered from a real server; what a real one does is proven in ``tests/odoo``.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl
import pytest
import sqlalchemy as sa

from unierp_assets.entities.customers import CUSTOMERS
from unierp_assets.entities.spec import KEY
from unierp_assets.odoo import OdooSession, OdooUnavailable, OdooValidationError, Outcome
from unierp_assets.storefront.sql import SqlStorefront
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.load import apply as apply_module
from unierp_assets.sync.load.applier import Applier, Result, held
from unierp_assets.sync.memory.state import PARKED_AFTER, dead_letters, pending, replay
from unierp_assets.sync.pipeline import load_entity
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import ACCEPTED, BASE, BINDINGS, LEDGER, PENDING, STAGING

Answer = Callable[[str], Result]


@pytest.fixture
def context(warehouse: Warehouse) -> SyncContext:
    """Nothing in it connects: the plan reads the warehouse, and the applier is ours."""
    nowhere = "postgresql://nobody@127.0.0.1:9/none"
    return SyncContext(
        warehouse,
        SqlStorefront(nowhere),
        OdooSession("http://127.0.0.1:9", "none", "nobody", "x"),
        "run",
        slice_rows=100,
    )


def stage(warehouse: Warehouse, *keys: str, name: str = "Ada") -> None:
    rows = pl.DataFrame([{KEY: key, "name": f"{name} {key}"} for key in keys], schema=CUSTOMERS.schema())
    with warehouse.transaction() as tx:
        tx.upsert(STAGING["customers"], rows.with_columns(_status=pl.lit(ACCEPTED)))


def answering(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> list[str]:
    """Has customers created by ``answer``; the keys that were asked for."""
    asked: list[str] = []

    class Told(Applier):
        def create(self) -> list[Result]:
            asked.extend(self.plan.creates[KEY].to_list())
            return [answer(key) for key in self.plan.creates[KEY].to_list()]

    monkeypatch.setitem(apply_module.APPLIERS, "customers", Told)
    return asked


def count(warehouse: Warehouse, table: sa.Table) -> int:
    return int(warehouse.read(sa.select(sa.func.count().label("n")).select_from(table)).item())


def waiting(warehouse: Warehouse) -> dict[str, tuple[str, str]]:
    with warehouse.transaction() as tx:
        return {key: (state, reason) for key, state, reason, _ in pending(tx, "customers").iter_rows()}


def down(key: str) -> Result:
    return Result.of(key, Outcome(key, error=OdooUnavailable("UniERP does not answer")))


def refused(key: str) -> Result:
    return Result.of(key, Outcome(key, error=OdooValidationError("no such thing", record=key)))


def test_what_was_created_is_bound_remembered_and_written_down(
    context: SyncContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = context.warehouse
    stage(warehouse, "1", "2")
    answering(monkeypatch, lambda key: Result(key, 100 + int(key)))
    applied = load_entity(context, CUSTOMERS)
    assert (applied.created, applied.failed, applied.held) == (2, 0, 0)
    bound = warehouse.read(sa.select(BINDINGS.c.key, BINDINGS.c.odoo_id).order_by(BINDINGS.c.key))
    assert bound.rows() == [("1", 101), ("2", 102)]
    assert count(warehouse, BASE["customers"]) == 2
    ledger = warehouse.read(sa.select(LEDGER.c.action, LEDGER.c.system, LEDGER.c.odoo_id, LEDGER.c.after))
    assert [row[:3] for row in ledger.rows()] == [("create", "unierp", 101), ("create", "unierp", 102)]
    assert '"name":"Ada 1"' in ledger["after"][0]


def test_a_refused_record_is_noted_with_the_message_and_the_others_go_on(
    context: SyncContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(context.warehouse, "1", "2", "3")
    answering(monkeypatch, lambda key: refused(key) if key == "2" else Result(key, int(key)))
    applied = load_entity(context, CUSTOMERS)
    assert (applied.created, applied.failed) == (2, 1)
    state, reason = waiting(context.warehouse)["2"]
    assert state == "failed"
    assert "no such thing" in reason
    assert "correct the record" in reason


def test_a_record_that_failed_or_was_held_is_tried_again_until_it_succeeds(
    context: SyncContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(context.warehouse, "1", "2")
    answering(monkeypatch, lambda key: refused(key) if key == "1" else held(key, "waits"))
    load_entity(context, CUSTOMERS)
    assert {key: state for key, (state, _) in waiting(context.warehouse).items()} == {"1": "failed", "2": "held"}
    asked = answering(monkeypatch, lambda key: Result(key, int(key)))
    assert load_entity(context, CUSTOMERS).created == 2
    assert asked == ["1", "2"]
    assert waiting(context.warehouse) == {}


def test_an_outage_in_the_middle_keeps_what_was_done_and_forgets_nothing_else(
    context: SyncContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that waited only in the list of what is pending must still wait there after the outage."""
    stage(context.warehouse, "1")
    answering(monkeypatch, lambda key: held(key, "waits"))
    load_entity(context, CUSTOMERS)

    stage(context.warehouse, "2")
    answering(monkeypatch, lambda key: down(key) if key == "1" else Result(key, int(key)))
    with pytest.raises(OdooUnavailable):
        load_entity(context, CUSTOMERS)
    assert count(context.warehouse, BINDINGS) == 1
    assert waiting(context.warehouse) == {"1": ("held", "waits")}

    asked = answering(monkeypatch, lambda key: Result(key, int(key)))
    assert load_entity(context, CUSTOMERS).created == 1
    assert asked == ["1"]


def test_nothing_new_asks_for_nothing(context: SyncContext, monkeypatch: pytest.MonkeyPatch) -> None:
    stage(context.warehouse, "1")
    asked = answering(monkeypatch, lambda key: Result(key, int(key)))
    load_entity(context, CUSTOMERS)
    load_entity(context, CUSTOMERS)
    assert asked == ["1"]
    assert count(context.warehouse, LEDGER) == 1


def test_since_when_something_waits_is_kept_while_the_reason_stays(
    context: SyncContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(context.warehouse, "1")
    answering(monkeypatch, lambda key: held(key, "waits"))
    load_entity(context, CUSTOMERS)
    (first,) = context.warehouse.read(sa.select(PENDING.c.since))["since"]
    load_entity(context, CUSTOMERS)
    (second,) = context.warehouse.read(sa.select(PENDING.c.since))["since"]
    assert first == second < datetime.now(UTC)


def test_large_sets_are_worked_in_slices(context: SyncContext, monkeypatch: pytest.MonkeyPatch) -> None:
    stage(context.warehouse, *map(str, range(1, 251)))
    sizes: list[int] = []

    class Counting(Applier):
        def create(self) -> list[Result]:
            sizes.append(self.plan.creates.height)
            return [Result(key, int(key)) for key in self.plan.creates[KEY].to_list()]

    monkeypatch.setitem(apply_module.APPLIERS, "customers", Counting)
    assert load_entity(context, CUSTOMERS).created == 250
    assert sizes == [100, 100, 50]


def test_a_record_refused_too_often_is_parked_until_it_changes_or_is_replayed(
    context: SyncContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(context.warehouse, "1", "2")
    asked = answering(monkeypatch, refused)
    for _ in range(PARKED_AFTER + 2):
        load_entity(context, CUSTOMERS)
    assert asked.count("1") == PARKED_AFTER
    letters = dead_letters(context.warehouse, "customers")
    assert letters.select(KEY, "state", "attempts").rows() == [("1", "parked", 3), ("2", "parked", 3)]
    assert all("no such thing" in reason for reason in letters["reason"])

    assert replay(context.warehouse, "customers", "1") == 1
    load_entity(context, CUSTOMERS)
    assert (asked.count("1"), asked.count("2")) == (PARKED_AFTER + 1, PARKED_AFTER)

    stage(context.warehouse, "2", name="Grace")
    answering(monkeypatch, lambda key: Result(key, int(key)))
    assert load_entity(context, CUSTOMERS).created == 2
    assert dead_letters(context.warehouse).is_empty()
    assert replay(context.warehouse) == 0
