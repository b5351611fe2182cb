"""The ledger: every write, by whom, where, when, what it was before and after; each entry sealed by the one before.

Entries are only ever added (the database refuses anything else), and each carries a hash over itself and the hash of
the entry before: who alters, removes or slips in an entry breaks the chain, which :func:`verify` shows. What is
written belongs to the appliers.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY, Entity, Role, System
from unierp_assets.sync.compare.merge import as_text
from unierp_assets.sync.compare.plan import Plan
from unierp_assets.sync.memory.state import DIED, FAILED, any_of
from unierp_assets.warehouse.store import Transaction, Warehouse
from unierp_assets.warehouse.tables import LEDGER, PLAN_CHANGES, RUNS

HEAD = "ledger"
"""Name of the cursor that remembers number and hash of the last entry, so that a cut-off end is noticed."""
GENESIS = "0" * 64
SEALED = ("run_id", "actor", "system", "entity", KEY, "action", "field", "before", "after", "odoo_id", "at")
_READ_AT_ONCE = 50_000

ENTRY = {
    KEY: pl.String,
    "system": pl.String,
    "action": pl.String,
    "field": pl.String,
    "before": pl.String,
    "after": pl.String,
    "odoo_id": pl.Int64,
}
"""What an entry says about a write; :func:`append` adds whose, when and the seal."""


def created(entity: Entity, rows: pl.DataFrame, ids: dict[str, int]) -> pl.DataFrame:
    """One entry per new record, its values as one JSON object."""
    given = [field for field in entity.fields if field.role in (Role.SYNC, Role.INITIAL) and field.name in rows.columns]
    after = rows.select(pl.struct(as_text(field, pl.col(field.name)).alias(field.name) for field in given))
    return _entries(
        rows.with_columns(after=after.to_series().struct.json_encode()),
        System.UNIERP,
        "create",
        after=pl.col("after"),
        odoo_id=pl.col(KEY).replace_strict(ids, default=None, return_dtype=pl.Int64),
    )


def updated(plan: Plan, keys: list[str]) -> pl.DataFrame:
    """One entry per changed field."""
    entries = [pl.DataFrame(schema=ENTRY)]
    for field, system, rows, before in plan.field_updates():
        chosen = rows.filter(pl.col(KEY).is_in(keys))
        after = as_text(field, pl.col(field.name))
        entries.append(_entries(chosen, system, "update", field=pl.lit(field.name), before=before, after=after))
    return pl.concat(entries)


def given_up(field: str, rows: pl.DataFrame) -> pl.DataFrame:
    """One entry per record that lost a value for another's sake; ``rows``: key, ``odoo_id``, ``before``, ``after``."""
    columns = {name: pl.col(name) for name in ("before", "after", "odoo_id")}
    return _entries(rows, System.UNIERP, "update", field=pl.lit(field), **columns)


def withdrawn(plan: Plan, keys: list[str]) -> pl.DataFrame:
    """One entry per record that was archived or deleted."""
    rows = pl.DataFrame({KEY: keys}, schema={KEY: pl.String})
    return _entries(rows, System.UNIERP, plan.entity.withdrawal.value)


def _entries(rows: pl.DataFrame, system: System, action: str, **given: pl.Expr) -> pl.DataFrame:
    return rows.select(
        KEY,
        system=pl.lit(system.value),
        action=pl.lit(action),
        **{name: given.get(name, pl.lit(None)).cast(dtype) for name, dtype in list(ENTRY.items())[3:]},
    )


def append(tx: Transaction, entity: str, run_id: str, actor: str, entries: pl.DataFrame) -> None:
    """Adds entries (columns of :data:`ENTRY`) to the end of the chain. Others who want to wait until this transaction
    has ended."""
    if entries.is_empty():
        return
    tx.execute(sa.text(f"LOCK TABLE {LEDGER.fullname} IN SHARE ROW EXCLUSIVE MODE"))
    head = tx.cursor(HEAD)
    number, hash_ = (int(head.split(":")[0]), head.split(":")[1]) if head else (0, GENESIS)
    rows = entries.with_columns(
        run_id=pl.lit(run_id),
        actor=pl.lit(actor),
        entity=pl.lit(entity),
        at=pl.lit(datetime.now(UTC)).dt.cast_time_unit("us"),
    )
    hashes = []
    for row in rows.select(SEALED).iter_rows():
        hash_ = _seal(hash_, row)
        hashes.append(hash_)
    numbers = range(number + 1, number + 1 + rows.height)
    tx.insert(LEDGER, rows.with_columns(id=pl.Series(numbers, dtype=pl.Int64), hash=pl.Series(hashes)))
    tx.set_cursor(HEAD, f"{numbers[-1]}:{hash_}")


def _seal(before: str, row: tuple[Any, ...]) -> str:
    said = [value.isoformat() if isinstance(value, datetime) else value for value in row]
    return hashlib.sha256(json.dumps([before, *said], ensure_ascii=False).encode()).hexdigest()


def recovered(tx: Transaction, entity: Entity, agreed: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """What a run wrote that died before it could say so: its id and the entries it owes.

    ``agreed``: rows (key and synced fields) that were found equal on both sides but are new to the base. A run says
    what it is going to write before it does; what stands there now as a dead run meant it was written by that run, by
    the last of them where several died over the same write.
    """
    if agreed.is_empty():
        return
    meant = tx.read(
        sa.select(PLAN_CHANGES, RUNS.c.started_at)
        .join(RUNS, RUNS.c.run_id == PLAN_CHANGES.c.run_id)
        .where(
            RUNS.c.status.in_([DIED, FAILED]),
            RUNS.c.kind != "plan",
            PLAN_CHANGES.c.entity == entity.name,
            any_of(PLAN_CHANGES.c[KEY], agreed[KEY].to_list()),
            ~sa.exists().where(
                LEDGER.c.run_id == PLAN_CHANGES.c.run_id,
                LEDGER.c.entity == PLAN_CHANGES.c.entity,
                LEDGER.c[KEY] == PLAN_CHANGES.c[KEY],
                sa.func.coalesce(LEDGER.c.field, "") == PLAN_CHANGES.c.field,
            ),
        )
    )
    last = meant.sort("started_at").unique([KEY, "field"], keep="last", maintain_order=True)
    for (run_id,), changes in last.group_by("run_id", maintain_order=True):
        rows = agreed.join(changes.filter(pl.col("action") == "create"), on=KEY, how="semi")
        parts = [created(entity, rows, {})]
        for field in entity.synced:
            done = changes.filter(pl.col("action") == "update", pl.col("field") == field.name).join(agreed, on=KEY)
            done = done.filter(as_text(field, pl.col(field.name)).eq_missing(pl.col("new")))
            for target in done["target"].unique().to_list():
                parts.append(
                    _entries(
                        done.filter(pl.col("target") == target),
                        System(target),
                        "update",
                        field=pl.lit(field.name),
                        before=pl.col("old"),
                        after=pl.col("new"),
                    )
                )
        yield str(run_id), pl.concat(parts)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of looking at the chain: how many entries, and the first that does not fit (None where all do)."""

    entries: int
    broken_at: int | None = None
    problem: str | None = None

    @property
    def holds(self) -> bool:
        return self.problem is None


def verify(warehouse: Warehouse) -> Verdict:
    """Walks the whole chain and computes each seal anew."""
    before, number = GENESIS, 0
    columns = [LEDGER.c.id, LEDGER.c.hash, *(LEDGER.c[name] for name in SEALED)]
    with warehouse.transaction() as tx:
        head = tx.cursor(HEAD)
        while True:
            rows = tx.read(
                sa.select(*columns).where(LEDGER.c.id > number).order_by(LEDGER.c.id).limit(_READ_AT_ONCE)
            ).sort("id")
            for id_, hash_, *said in rows.iter_rows():
                if id_ != number + 1:
                    return Verdict(number, number + 1, f"entry {number + 1} is missing")
                if _seal(before, tuple(said)) != hash_:
                    return Verdict(number, id_, f"entry {id_} was altered, or one before it was")
                before, number = hash_, id_
            if rows.height < _READ_AT_ONCE:
                break
    last = f"{number}:{before}" if number else None
    if head != last:
        return Verdict(number, number + 1, f"the last entries are missing: the chain ended at {head and head[:24]}")
    return Verdict(number)
