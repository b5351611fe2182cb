"""Where things stand, read from the warehouse alone: runs, circuit breakers, rows by status, what waits."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities import ENTITIES
from unierp_assets.sync.breaker import circuits
from unierp_assets.sync.compare.conflicts import open_conflicts
from unierp_assets.sync.health import Lag, lags
from unierp_assets.sync.memory.state import FAILED, HELD, PARKED
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import LANDING_UNIERP, PENDING, QUARANTINE, RUNS, STAGING, STATUSES


@dataclass(frozen=True, slots=True)
class Status:
    """``runs``: id, kind, start, seconds, status of the last ten. ``breakers``: system, address, state, since when
    it is open, reason, when it is tried again. ``entities``: name and counts. ``lags``: how far each entity is behind.
    ``conflicts`` and ``dead_letters`` count what waits for a person. Instants are UTC."""

    runs: list[tuple[Any, ...]]
    breakers: list[tuple[Any, ...]]
    entities: list[tuple[Any, ...]]
    lags: list[Lag]
    conflicts: int
    dead_letters: int

    def to_dict(self) -> dict[str, Any]:
        """The same for machines."""
        columns = (
            *("entity", "accepted", "new", "quarantined", "merged", "withdrawn"),
            *("in_unierp", "held", "failed", "parked"),
        )
        return {
            "runs": [
                dict(zip(("run_id", "kind", "started_at", "seconds", "status"), run, strict=True)) for run in self.runs
            ],
            "breakers": [
                dict(zip(("system", "address", "state", "since", "reason", "next_try"), row, strict=True))
                for row in self.breakers
            ],
            "entities": [dict(zip(columns, row, strict=True)) for row in self.entities],
            "lags": [lag.to_dict() for lag in self.lags],
            "conflicts": self.conflicts,
            "dead_letters": self.dead_letters,
        }


def status_of(warehouse: Warehouse) -> Status:
    """Reads the last runs, the state of every system's breaker, and that of every entity."""
    breakers = [
        (system.value, found.address, found.state, _second(found.opened_at), found.reason, _second(found.retry_at))
        for system, found in circuits(warehouse).items()
    ]
    with warehouse.transaction() as tx:
        seconds = sa.cast(sa.extract("epoch", RUNS.c.finished_at - RUNS.c.started_at), sa.Numeric(12, 1))
        runs = tx.read(
            sa.select(
                RUNS.c.run_id,
                RUNS.c.kind,
                sa.func.to_char(
                    sa.func.timezone("UTC", RUNS.c.started_at), "YYYY-MM-DD HH24:MI:SS", type_=sa.Text
                ).label("started"),
                seconds.label("seconds"),
                RUNS.c.status,
            )
            .order_by(RUNS.c.started_at.desc())
            .limit(10)
        )
        pending = {
            (entity, state): count
            for entity, state, count in tx.read(
                sa.select(PENDING.c.entity, PENDING.c.state, sa.func.count().label("count")).group_by(
                    PENDING.c.entity, PENDING.c.state
                )
            ).iter_rows()
        }
        rows = []
        for name in ENTITIES:
            staged, landing = STAGING[name], LANDING_UNIERP[name]
            counts = dict(
                tx.read(
                    sa.select(staged.c._status, sa.func.count().label("count")).group_by(staged.c._status)
                ).iter_rows()
            )
            present = tx.read(sa.select(sa.func.count().label("count")).where(~landing.c._deleted)).item()
            order = ("accepted", "new", "quarantined", "merged", "withdrawn")
            assert set(order) == set(STATUSES)
            rows.append(
                (
                    name,
                    *(counts.get(status, 0) for status in order),
                    present,
                    pending.get((name, HELD), 0),
                    pending.get((name, FAILED), 0),
                    pending.get((name, PARKED), 0),
                )
            )
    return Status(
        runs.rows(),
        breakers,
        rows,
        lags(warehouse),
        open_conflicts(warehouse).height,
        sum(count for (_, state), count in pending.items() if state == PARKED),
    )


def _second(instant: datetime | None) -> str | None:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if instant else None


def quarantined(warehouse: Warehouse, entity: str | None = None) -> pl.DataFrame:
    """What the gate found, in load order, then by rule and key. Raises ``KeyError`` for an unknown entity."""
    return _listed(warehouse, sa.select(QUARANTINE), QUARANTINE, entity, "rule")


def waiting(warehouse: Warehouse, entity: str | None = None) -> pl.DataFrame:
    """What passed the gate but waits or was refused: columns ``entity``, ``key``, ``state``, ``reason``, ``since``."""
    statement = sa.select(PENDING.c.entity, PENDING.c.key, PENDING.c.state, PENDING.c.reason, PENDING.c.since)
    return _listed(warehouse, statement, PENDING, entity, "state")


def _listed(warehouse: Warehouse, statement: Any, table: sa.Table, entity: str | None, by: str) -> pl.DataFrame:
    if entity is not None:
        if entity not in ENTITIES:
            raise KeyError(f"unknown entity {entity!r}; there are {', '.join(ENTITIES)}")
        statement = statement.where(table.c.entity == entity)
    positions = {name: number for number, name in enumerate(ENTITIES)}
    rows = warehouse.read(statement)
    order = pl.col("entity").replace_strict(positions, default=len(positions), return_dtype=pl.Int64)
    return rows.sort(order, by, pl.col("key").str.len_chars(), "key")
