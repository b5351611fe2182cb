"""How well the sync keeps up, read from the warehouse alone: what waits, when it was read, how long changes take.

Belongs here: numbers. Does not belong here: whether they are good (``doctor.py``) and how they look (``display.py``,
``assets/operations.py``).
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import KEY, Entity, System
from unierp_assets.sync.compare.merge import CHANGED_AT
from unierp_assets.sync.compare.plan import Position
from unierp_assets.sync.intake.news import unplanned
from unierp_assets.sync.memory.state import read_cursor
from unierp_assets.sync.pipeline import tables_of
from unierp_assets.warehouse.store import Transaction, Warehouse
from unierp_assets.warehouse.tables import (
    CURSORS,
    INSTANT,
    LANDING_STOREFRONT,
    LANDING_UNIERP,
    LEDGER,
    NEW,
    RUNS,
    SEQ,
    STAGING,
)

WINDOW = timedelta(days=1)
"""How far back throughput and delays are looked at."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far an entity is behind.

    ``shop_read_at`` and ``unierp_read_at`` are when everything it is made of was last read from each side; None where
    it never was. ``to_stage``, ``to_validate`` and ``to_load`` count rows that wait for a step; ``behind_since`` is
    since when the oldest of them does.
    """

    entity: str
    shop_read_at: datetime | None
    unierp_read_at: datetime | None
    to_stage: int
    to_validate: int
    to_load: int
    behind_since: datetime | None

    @property
    def waiting(self) -> int:
        return self.to_stage + self.to_validate + self.to_load

    def to_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return asdict(self)


def lags(warehouse: Warehouse) -> list[Lag]:
    """How far each entity is behind, in load order. Raises ``WarehouseError``."""
    with warehouse.transaction() as tx:
        rows = tx.read(sa.select(CURSORS.c.name, CURSORS.c.value)).iter_rows()
        cursors = {str(name): str(value) for name, value in rows}
        return [_lag(tx, entity, cursors) for entity in ENTITIES.values()]


def _lag(tx: Transaction, entity: Entity, cursors: dict[str, str]) -> Lag:
    shop = [_read_at(cursors, LANDING_STOREFRONT[table]) for table in tables_of((entity,))]
    staged = STAGING[entity.name]
    stage_cursor = int(cursors.get(f"stage:{entity.name}", 0))
    position = Position.from_text(cursors.get(f"plan:{entity.name}"))
    landings = [LANDING_STOREFRONT[source.table] for source in entity.inputs]
    to_stage = [_behind(tx, sa.select(table.c._extracted_at).where(table.c[SEQ] > stage_cursor)) for table in landings]
    to_validate = _behind(tx, sa.select(staged.c._staged_at).where(staged.c._status == NEW))
    # What a sync wrote to the shop, and read again, is what both sides agreed on: it waits for nothing.
    to_load = _behind(tx, unplanned(entity, position))
    return Lag(
        entity.name,
        None if None in shop else min(filter(None, shop)),
        _read_at(cursors, LANDING_UNIERP[entity.name]),
        sum(count for count, _ in to_stage),
        to_validate[0],
        to_load[0],
        min((since for _, since in [*to_stage, to_validate, to_load] if since), default=None),
    )


def _read_at(cursors: dict[str, str], table: sa.Table) -> datetime | None:
    value = cursors.get(read_cursor(table))
    return datetime.fromisoformat(value) if value else None


def _behind(tx: Transaction, waiting: sa.Select[Any]) -> tuple[int, datetime | None]:
    """How many wait, and since when, of a statement with the instants of those that do."""
    (touched,) = (rows := waiting.subquery()).c
    count, since = tx.read(
        sa.select(sa.func.count().label("rows"), sa.func.min(touched).label("since")).select_from(rows)
    ).row(0)
    return count, since


def throughput(warehouse: Warehouse, now: datetime | None = None) -> pl.DataFrame:
    """What was done in each hour of the last day: columns ``hour`` (UTC), ``system``, ``entries`` (of the ledger)."""
    since = _since(now)
    hour = _hour(LEDGER.c.at)
    statement = (
        sa.select(hour, LEDGER.c.system, sa.func.count().label("entries"))
        .where(LEDGER.c.at >= since)
        .group_by(hour, LEDGER.c.system)
        .order_by(hour, LEDGER.c.system)
    )
    return warehouse.read(statement)


def delays(warehouse: Warehouse, now: datetime | None = None) -> pl.DataFrame:
    """How long changes of the shop in the last day took to be written to UniERP: columns ``hour`` (UTC), ``changes``,
    and ``median`` and ``p95`` in whole seconds.

    Of a row that changed again since, only the last change is known; what was changed before the last day does not
    count, so that a first load is no delay.
    """
    since = _since(now)
    parts = [
        sa.select(sa.func.min(LEDGER.c.at).label("at"), staged.c[CHANGED_AT].label("changed"))
        .join(staged, sa.and_(LEDGER.c.entity == name, LEDGER.c[KEY] == staged.c[KEY]))
        .where(LEDGER.c.system == System.UNIERP, staged.c[CHANGED_AT] >= since, LEDGER.c.at >= staged.c[CHANGED_AT])
        .group_by(staged.c[KEY], staged.c[CHANGED_AT])
        for name, staged in STAGING.items()
    ]
    found = sa.union_all(*parts).subquery()
    hour = _hour(found.c.at)
    seconds = sa.extract("epoch", found.c.at - found.c.changed)

    def share(of: float) -> Any:
        return sa.cast(sa.func.ceil(sa.func.percentile_cont(of).within_group(seconds)), sa.BigInteger)

    return warehouse.read(
        sa.select(hour, sa.func.count().label("changes"), share(0.5).label("median"), share(0.95).label("p95"))
        .group_by(hour)
        .order_by(hour)
    )


def runs_of_the_day(warehouse: Warehouse, now: datetime | None = None) -> dict[str, int]:
    """How many runs of the last day ended how, by status."""
    statement = sa.select(RUNS.c.status, sa.func.count().label("runs")).where(RUNS.c.started_at >= _since(now))
    return dict(warehouse.read(statement.group_by(RUNS.c.status).order_by(RUNS.c.status)).iter_rows())


def behind(found: Iterable[Lag]) -> list[Lag]:
    """Those that have rows waiting, longest first."""
    return sorted(
        (lag for lag in found if lag.waiting), key=lambda lag: lag.behind_since or datetime.max.replace(tzinfo=UTC)
    )


def _hour(at: sa.ColumnElement[Any]) -> sa.Label[Any]:
    # Written out, not bound: PostgreSQL has to see that what is grouped by is what is selected.
    unit: sa.ColumnElement[str] = sa.literal_column("'hour'")
    zone: sa.ColumnElement[str] = sa.literal_column("'UTC'")
    return sa.func.date_trunc(unit, at, zone, type_=INSTANT).label("hour")


def _since(now: datetime | None) -> datetime:
    return (now or datetime.now(UTC)) - WINDOW
