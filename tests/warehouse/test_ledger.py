"""The ledger: only ever added to, sealed entry by entry, and complete also after a run that died."""

from datetime import UTC, datetime

import polars as pl
import pytest
import sqlalchemy as sa

from unierp_assets.entities.customers import CUSTOMERS
from unierp_assets.entities.spec import KEY
from unierp_assets.sync.memory import ledger
from unierp_assets.sync.memory.state import begin_run, bury_the_dead
from unierp_assets.warehouse.errors import WarehouseError
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import LEDGER, PLAN_CHANGES


def entries(*keys: str) -> pl.DataFrame:
    rows = [(key, "unierp", "update", "phone", None, f"+4930{key}", 7) for key in keys]
    return pl.DataFrame(rows, schema=ledger.ENTRY, orient="row")


def write(warehouse: Warehouse, *keys: str, run_id: str = "run") -> None:
    with warehouse.transaction() as tx:
        ledger.append(tx, "customers", run_id, "ada@here", entries(*keys))


def tamper(warehouse: Warehouse, statement: str) -> None:
    """What somebody with all rights over the database could do."""
    with warehouse.transaction() as tx:
        tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
        assert tx.execute(sa.text(statement)) == 1


def test_an_empty_chain_holds(warehouse: Warehouse) -> None:
    assert ledger.verify(warehouse) == ledger.Verdict(0)


def test_entries_are_numbered_without_gaps_and_the_chain_holds(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_READ_AT_ONCE", 2)
    write(warehouse, "1", "2", "3")
    write(warehouse, "4")
    rows = warehouse.read(sa.select(LEDGER.c.id, LEDGER.c.actor, LEDGER.c.hash).order_by(LEDGER.c.id))
    assert rows["id"].to_list() == [1, 2, 3, 4]
    assert set(rows["actor"]) == {"ada@here"}
    assert rows["hash"].n_unique() == 4
    assert ledger.verify(warehouse) == ledger.Verdict(4)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE sync.ledger SET after = 'x'", "DELETE FROM sync.ledger WHERE id = 2", "TRUNCATE sync.ledger"],
)
def test_the_database_refuses_to_change_or_delete_an_entry(warehouse: Warehouse, statement: str) -> None:
    write(warehouse, "1", "2")
    with pytest.raises(WarehouseError, match="only ever added to"), warehouse.transaction() as tx:
        tx.execute(sa.text(statement))
    assert ledger.verify(warehouse).entries == 2


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE sync.ledger SET after = '+491' WHERE id = 2", 2),
        ("UPDATE sync.ledger SET actor = 'eve' WHERE id = 1", 1),
        ("UPDATE sync.ledger SET at = at + interval '1 second' WHERE id = 3", 3),
        ("UPDATE sync.ledger SET hash = repeat('0', 64) WHERE id = 3", 3),
        ("DELETE FROM sync.ledger WHERE id = 1", 1),
        ("DELETE FROM sync.ledger WHERE id = 2", 2),
        ("DELETE FROM sync.ledger WHERE id = 3", 3),
        (
            "INSERT INTO sync.ledger (id, run_id, actor, system, entity, key, action, at, hash) "
            "VALUES (4, 'run', 'eve', 'unierp', 'customers', '9', 'create', now(), repeat('a', 64))",
            4,
        ),
    ],
)
def test_what_somebody_alters_by_hand_is_found_where_it_is(
    warehouse: Warehouse, statement: str, broken_at: int
) -> None:
    write(warehouse, "1", "2", "3")
    tamper(warehouse, statement)
    verdict = ledger.verify(warehouse)
    assert not verdict.holds
    assert verdict.broken_at == broken_at


def test_what_a_dead_run_wrote_is_entered_in_its_name_and_what_it_did_not_write_is_not(warehouse: Warehouse) -> None:
    begin_run(warehouse, "dead", "sync")
    meant = [
        ("1", "", "create", None, None),
        ("2", "phone", "update", "+491", "+492"),
        ("3", "phone", "update", "+491", "+493"),
    ]
    rows = pl.DataFrame(meant, schema=[KEY, "field", "action", "old", "new"], orient="row")
    with warehouse.transaction() as tx:
        tx.insert(
            PLAN_CHANGES,
            rows.with_columns(run_id=pl.lit("dead"), entity=pl.lit("customers"), target=pl.lit("unierp")),
        )
    bury_the_dead(warehouse, "next")
    agreed = pl.DataFrame(
        # The third was not written: it stands in UniERP as somebody else left it.
        [{KEY: "1", "name": "Ada"}, {KEY: "2", "phone": "+492"}, {KEY: "3", "phone": "+499"}],
        schema={name: dtype for name, dtype in CUSTOMERS.schema().items() if name == KEY or name in synced()},
    )
    with warehouse.transaction() as tx:
        found = list(ledger.recovered(tx, CUSTOMERS, agreed))
        for run_id, owed in found:
            ledger.append(tx, "customers", run_id, "ada@here", owed)
    assert [run_id for run_id, _ in found] == ["dead"]
    assert found[0][1].select(KEY, "action", "field", "before").rows() == [
        ("1", "create", None, None),
        ("2", "update", "phone", "+491"),
    ]
    with warehouse.transaction() as tx:
        assert [part.height for _, part in ledger.recovered(tx, CUSTOMERS, agreed)] == [0]
    assert ledger.verify(warehouse) == ledger.Verdict(2)


def synced() -> set[str]:
    return {field.name for field in CUSTOMERS.synced}


def test_instants_are_sealed_as_they_are_read_back(warehouse: Warehouse) -> None:
    write(warehouse, "1")
    at = warehouse.read(sa.select(LEDGER.c.at)).item()
    assert at.tzinfo is not None
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert ledger.verify(warehouse).holds
