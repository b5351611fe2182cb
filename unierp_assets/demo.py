"""The demonstration: a dirty sample shop into a real Odoo, and the proof that every planted fault was found.

What belongs here: the comparison of planted and found faults. The sync itself is :mod:`unierp_assets.sync.pipeline`.
"""

from dataclasses import dataclass

import polars as pl
import sqlalchemy as sa

from unierp_assets.storefront.sample import FAULTS_TABLE, RULES, Outcome
from unierp_assets.sync.memory.state import HELD
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import PENDING, QUARANTINE


@dataclass(frozen=True, slots=True)
class FaultCount:
    """One kind of fault: how many rows were planted with it, and how many of exactly those were found by its name."""

    rule: str
    description: str
    planted: int
    found: int

    @property
    def complete(self) -> bool:
        return self.planted == self.found


def planted_faults(storefront_url: str, schema: str) -> pl.DataFrame:
    """The sample's own list of faults: columns ``rule``, ``entity``, ``key``; empty where the shop is no sample."""
    engine = sa.create_engine(sa.make_url(storefront_url).set(drivername="postgresql+psycopg"))
    empty = pl.DataFrame(schema={"rule": pl.String, "entity": pl.String, "key": pl.String})
    try:
        if not sa.inspect(engine).has_table(FAULTS_TABLE, schema=schema):
            return empty
        faults = sa.table(FAULTS_TABLE, *map(sa.column, ("rule", "table_name", "key")), schema=schema)
        with engine.connect() as connection:
            rows = connection.execute(sa.select(faults.c.rule, faults.c.table_name, faults.c.key)).all()
        return pl.DataFrame([tuple(row) for row in rows], schema=empty.schema, orient="row")
    finally:
        engine.dispose()


def count_faults(warehouse: Warehouse, planted: pl.DataFrame) -> list[FaultCount]:
    """Compares what was planted with what is quarantined, merged or held, row by row and by name."""
    with warehouse.transaction() as tx:
        refused = tx.read(sa.select(QUARANTINE.c.rule, QUARANTINE.c.entity, QUARANTINE.c.key))
        held = tx.read(sa.select(PENDING.c.entity, PENDING.c.key).where(PENDING.c.state == HELD))
    by_gate = planted.join(refused, on=["rule", "entity", "key"], how="semi")
    by_engine = planted.join(held, on=["entity", "key"], how="semi")
    counts = []
    for rule, rows in sorted(planted.partition_by("rule", as_dict=True).items()):
        known = RULES[str(rule[0])]
        found = by_engine if known.outcome is Outcome.HELD else by_gate
        if known.consequence:
            # The gate stops what refers to a faulty row where it can; the rest waits for that row in the engine.
            found = pl.concat([by_gate, by_engine]).unique()
        counts.append(FaultCount(known.name, known.description, rows.height, found.filter(rule=known.name).height))
    return counts
