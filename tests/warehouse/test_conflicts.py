"""Conflicts that wait for a person: noted once, decided once, closed when the sides settle them."""

import polars as pl
import pytest
import sqlalchemy as sa

from unierp_assets.entities.customers import CUSTOMERS
from unierp_assets.entities.spec import KEY
from unierp_assets.sync.compare.conflicts import CannotResolve, decisions, note, open_conflicts, resolve
from unierp_assets.sync.compare.merge import CONFLICTS as SCHEMA
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import CONFLICTS


def found(*rows: tuple[str, str, str, str | None], field: str = "vat", strategy: str = "manual") -> pl.DataFrame:
    """Conflicts as the merge finds them: (key, ours, theirs, outcome)."""
    data = [(key, field, "old", ours, theirs, strategy, outcome) for key, ours, theirs, outcome in rows]
    return pl.DataFrame(data, schema=SCHEMA, orient="row")


def noted(warehouse: Warehouse, frame: pl.DataFrame, *keys: str) -> None:
    with warehouse.transaction() as tx:
        note(tx, CUSTOMERS, "run", keys or frame[KEY].to_list(), frame)


def outcomes(warehouse: Warehouse) -> list[tuple[str, str | None]]:
    return warehouse.read(sa.select(CONFLICTS.c[KEY], CONFLICTS.c.outcome).order_by(CONFLICTS.c.id)).rows()


def test_a_conflict_that_waits_is_noted_once_and_its_decision_is_found(warehouse: Warehouse) -> None:
    noted(warehouse, found(("1", "A", "B", None)))
    noted(warehouse, found(("1", "A", "B", None)))
    (number,) = open_conflicts(warehouse)["id"]
    resolve(warehouse, number, "theirs", "ada@here")
    assert open_conflicts(warehouse).is_empty()
    with warehouse.transaction() as tx:
        assert decisions(tx, CUSTOMERS, ["1", "2"]).rows() == [("1", "vat", "A", "B", "theirs", None)]
    # The run that carries it out reports it again, with its outcome: that is no other conflict.
    noted(warehouse, found(("1", "A", "B", "theirs")))
    assert outcomes(warehouse) == [("1", "theirs")]


def test_a_conflict_whose_sides_changed_again_is_asked_anew(warehouse: Warehouse) -> None:
    noted(warehouse, found(("1", "A", "B", None)))
    noted(warehouse, found(("1", "A", "C", None)))
    assert outcomes(warehouse) == [("1", "obsolete"), ("1", None)]


def test_a_conflict_the_sides_settled_themselves_is_closed(warehouse: Warehouse) -> None:
    noted(warehouse, found(("1", "A", "B", None), ("2", "A", "B", None)))
    noted(warehouse, found(("2", "A", "B", None)), "1", "2")
    assert outcomes(warehouse) == [("1", "obsolete"), ("2", None)]


def test_what_a_strategy_decided_is_recorded_every_time(warehouse: Warehouse) -> None:
    for _ in range(2):
        noted(warehouse, found(("1", "A", "B", "ours"), field="phone", strategy="latest"))
    assert outcomes(warehouse) == [("1", "ours"), ("1", "ours")]


def test_a_value_for_both_sides_has_to_be_one_of_the_field(warehouse: Warehouse) -> None:
    noted(warehouse, found(("1", "A", "B", None)))
    noted(warehouse, found(("2", "true", "false", None), field="active"))
    text, flag = open_conflicts(warehouse)["id"]
    with pytest.raises(CannotResolve, match="'maybe' is no boolean"):
        resolve(warehouse, flag, "maybe", "ada@here")
    resolve(warehouse, flag, "true", "ada@here")
    resolve(warehouse, text, "C", "ada@here")
    with pytest.raises(CannotResolve, match="decided already"):
        resolve(warehouse, text, "ours", "ada@here")
    with pytest.raises(CannotResolve, match="no conflict 99"):
        resolve(warehouse, 99, "ours", "ada@here")
    with warehouse.transaction() as tx:
        assert decisions(tx, CUSTOMERS, ["1"]).select("take", "value").rows() == [("value", "C")]
