"""What would be written, before it is: the three-way comparison over the warehouse's rows, with references resolved.

The comparison itself is in :mod:`unierp_assets.sync.compare.merge`; here its frames are read, references are followed,
and what has to wait is set aside with the reason.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY, Entity, Field, Kind, Role, System
from unierp_assets.sync.compare.conflicts import decisions
from unierp_assets.sync.compare.merge import CHANGED_AT, OURS, THEIRS, TO_STOREFRONT, TO_UNIERP, Merged, as_text, merge
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.isolation import each_apart
from unierp_assets.sync.memory.state import (
    FAILED,
    HELD,
    PARKED,
    REMOVED,
    UNDONE,
    WITHHELD,
    any_of,
    bound_ids,
    merged_into,
    pending,
)
from unierp_assets.warehouse.store import Transaction, Warehouse
from unierp_assets.warehouse.tables import (
    ACCEPTED,
    BASE,
    BINDINGS,
    LANDING_UNIERP,
    PENDING,
    STAGING,
    WITHDRAWN,
)

CHANGES = pl.Schema(
    {
        "entity": pl.String(),
        KEY: pl.String(),
        "field": pl.String(),
        "action": pl.String(),
        "target": pl.String(),
        "old": pl.String(),
        "new": pl.String(),
    }
)
"""One row per field that would be written; ``field`` is empty where the action is about the whole record."""

WAITING = pl.Schema({KEY: pl.String(), "state": pl.String(), "reason": pl.String()})


@dataclass(frozen=True, slots=True)
class Position:
    """How far a plan has read: the change numbers of staging and of UniERP's landing."""

    staging: int
    landing: int

    def to_text(self) -> str:
        return json.dumps({"staging": self.staging, "landing": self.landing})

    @classmethod
    def from_text(cls, text: str | None) -> "Position":
        return cls(**json.loads(text)) if text else cls(0, 0)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The keys that have to be compared, and the position to note once they are dealt with."""

    keys: list[str]
    position: Position


@dataclass
class Plan:
    """What would be done with the rows of some keys of an entity.

    ``waiting``: key, state and reason of what is set aside. ``ids`` maps each target entity to the
    database ids of the keys the rows refer to.
    """

    entity: Entity
    keys: list[str]
    merged: Merged
    waiting: pl.DataFrame
    ids: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def creates(self) -> pl.DataFrame:
        return self.merged.creates

    @property
    def updates(self) -> pl.DataFrame:
        return self.merged.updates

    @property
    def withdrawn(self) -> pl.DataFrame:
        return self.merged.withdrawn

    def only(self, keys: Collection[str]) -> "Plan":
        """The part of the plan that is about these keys; ``ids`` are shared with the whole."""
        chosen = pl.col(KEY).is_in(list(keys))
        merged = Merged(**{part.name: getattr(self.merged, part.name).filter(chosen) for part in fields(Merged)})
        return Plan(self.entity, list(keys), merged, self.waiting.filter(chosen), self.ids)

    def is_empty(self) -> bool:
        """Whether nothing would be written anywhere."""
        return self.creates.is_empty() and self.updates.is_empty() and self.withdrawn.is_empty()

    def changes(self, *, values_of_new: bool = True) -> pl.DataFrame:
        """Everything that would be written, as rows of :data:`CHANGES`; without ``values_of_new`` a record to be
        created is one row, whose values are in staging and, once it is written, in the ledger."""
        name = self.entity.name
        parts = [pl.DataFrame(schema=CHANGES)]
        if not values_of_new:
            parts.append(_rows(self.creates, name, None, "create", System.UNIERP, pl.lit(None), pl.lit(None)))
        for each in self.entity.fields if values_of_new else ():
            if each.role is Role.STAGED or each.role is Role.VERIFY:
                continue
            filled = self.creates.filter(pl.col(each.name).is_not_null())
            parts.append(
                _rows(filled, name, each, "create", System.UNIERP, pl.lit(None), as_text(each, pl.col(each.name)))
            )
        parts += (
            _rows(rows, name, each, "update", system, old, as_text(each, pl.col(each.name)))
            for each, system, rows, old in self.field_updates()
        )
        parts.append(
            _rows(self.withdrawn, name, None, self.entity.withdrawal.value, System.UNIERP, pl.lit(None), pl.lit(None))
        )
        return pl.concat(parts)

    def field_updates(self) -> Iterator[tuple[Field, System, pl.DataFrame, pl.Expr]]:
        """For each field and system it is written to: the rows, and the text of the value that system has now."""
        updates = self.updates.join(self.merged.former, on=KEY)
        for each in self.entity.synced:
            for flag, system, side in ((TO_UNIERP, System.UNIERP, THEIRS), (TO_STOREFRONT, System.STOREFRONT, OURS)):
                rows = updates.filter(pl.col(flag).list.contains(each.name))
                yield each, system, rows, as_text(each, pl.col(f"{each.name}{side}"))


def _rows(
    frame: pl.DataFrame,
    entity: str,
    field: Field | None,
    action: str,
    target: System,
    old: pl.Expr,
    new: pl.Expr,
) -> pl.DataFrame:
    return frame.select(
        entity=pl.lit(entity),
        key=pl.col(KEY),
        field=pl.lit(field.name if field else ""),
        action=pl.lit(action),
        target=pl.lit(target.value),
        old=old.cast(pl.String),
        new=new.cast(pl.String),
    )


def candidates(tx: Transaction, entity: Entity, cursor: str | None) -> Candidates:
    """The keys whose staged row or UniERP record changed since the position, and those that still wait or failed."""
    position = Position.from_text(cursor)
    staging, landing = STAGING[entity.name], LANDING_UNIERP[entity.name]
    tops = tx.read(
        sa.select(
            sa.select(sa.func.coalesce(sa.func.max(staging.c._seq), 0)).scalar_subquery().label("staging"),
            sa.select(sa.func.coalesce(sa.func.max(landing.c._seq), 0)).scalar_subquery().label("landing"),
        )
    )
    now = Position(*tops.row(0))
    undone = sa.select(PENDING.c.key).where(
        PENDING.c.entity == entity.name,
        PENDING.c.state.in_([UNDONE, REMOVED, WITHHELD]),
        ~sa.exists().where(staging.c.key == PENDING.c.key, staging.c._seq > PENDING.c.seen_seq),
    )
    changed = sa.union(
        sa.select(staging.c.key).where(staging.c._seq > position.staging),
        sa.select(landing.c.key).where(landing.c._seq > position.landing),
        sa.select(PENDING.c.key).where(PENDING.c.entity == entity.name, PENDING.c.state != PARKED),
    )
    return Candidates(sorted(tx.read(sa.except_(changed, undone))[KEY].to_list(), key=_natural), now)


def _natural(key: str) -> tuple[int, str]:
    """Numbers in the order of numbers, so that what was created first is loaded first."""
    return (len(key), key) if key.isdigit() else (1_000, key)


def slices(context: SyncContext, keys: list[str]) -> Iterator[list[str]]:
    """The keys in pieces that fit the memory."""
    for start in range(0, len(keys), context.slice_rows):
        yield keys[start : start + context.slice_rows]


def plan(tx: Transaction, entity: Entity, keys: list[str], planned: Mapping[str, set[str]] | None = None) -> Plan:
    """Compares the rows of these keys. ``planned`` are keys by entity that an earlier part of the same preview would
    create: references to them count as resolved."""
    ours, withdrawn = _ours(tx, entity, keys)
    theirs, base = _theirs(tx, entity, keys, ours)
    merged = merge(entity, ours, theirs, base, withdrawn, decisions(tx, entity, keys))
    return _resolved(tx, entity, keys, merged, planned)


def plan_apart(
    warehouse: Warehouse, entity: Entity, keys: list[str], planned: Mapping[str, set[str]] | None = None
) -> list[Plan]:
    """The plan of these keys: one, or, where the program stumbles over a record, one that sets it aside and those of
    the others."""

    def work(part: list[str]) -> Plan:
        with warehouse.transaction() as tx:
            return plan(tx, entity, part, planned)

    def at_fault(key: str, reason: str) -> Plan:
        return Plan(entity, [key], work([]).merged, pl.DataFrame([(key, FAILED, reason)], schema=WAITING, orient="row"))

    return each_apart(work, keys, entity.name, at_fault)


def _ours(tx: Transaction, entity: Entity, keys: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    staging = STAGING[entity.name]
    columns = [staging.c[name] for name in entity.schema()]
    rows = tx.read(
        sa.select(*columns, staging.c[CHANGED_AT], staging.c._status).where(
            any_of(staging.c.key, keys), staging.c._status.in_([ACCEPTED, WITHDRAWN])
        )
    )
    # In the order of the keys: what was created first is loaded first.
    rows = pl.DataFrame({KEY: keys}, schema={KEY: pl.String}).join(rows, on=KEY, maintain_order="left")
    ours = rows.filter(pl.col("_status") == ACCEPTED).drop("_status")
    for each in entity.references:
        if each.kind is not Kind.REFERENCE:
            continue
        survivors = merged_into(tx, str(each.target))
        if not survivors.is_empty():
            ours = ours.with_columns(pl.col(each.name).replace(survivors[KEY], survivors["into_key"]))
    return ours, rows.filter(pl.col("_status") == WITHDRAWN).select(KEY)


def _theirs(tx: Transaction, entity: Entity, keys: list[str], ours: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    landing, agreed = LANDING_UNIERP[entity.name], BASE[entity.name]
    base = tx.read(
        sa.select(agreed.c.key, *(agreed.c[each.name] for each in entity.synced)).where(any_of(agreed.c.key, keys))
    )
    compared = [landing.c[each.name] for each in entity.compared]
    theirs = tx.read(
        sa.select(landing.c.key, *compared, landing.c.write_date.label(CHANGED_AT)).where(
            any_of(landing.c.key, keys), ~landing.c._deleted
        )
    )
    # What this run wrote itself and has not read back yet is taken to be as it was written.
    bound = tx.read(sa.select(BINDINGS.c.key).where(BINDINGS.c.entity == entity.name, any_of(BINDINGS.c.key, keys)))
    unread = base.join(bound, on=KEY, how="semi").join(theirs, on=KEY, how="anti")
    verified = [each.name for each in entity.compared if each.role is Role.VERIFY]
    written = unread.join(ours.select(KEY, *verified, CHANGED_AT), on=KEY, how="left").select(theirs.columns)
    return pl.concat([theirs, written]), base


def _resolved(
    tx: Transaction, entity: Entity, keys: list[str], merged: Merged, planned: Mapping[str, set[str]] | None
) -> Plan:
    ids: dict[str, dict[str, int]] = {}
    waiting = pl.DataFrame(schema=WAITING)
    creates, updates = merged.creates, merged.updates
    for each in entity.references:
        target = str(each.target)
        to_create = _mentions(creates, each) if each.role is not Role.STAGED else None
        written = updates.filter(pl.col(TO_UNIERP).list.contains(each.name)) if each.role is Role.SYNC else None
        to_update = _mentions(written, each) if written is not None else None
        mentions = pl.concat([part for part in (to_create, to_update) if part is not None])
        wanted = set(mentions["target"].to_list())
        found = bound_ids(tx, target, wanted | _former(merged.former, each))
        ids.setdefault(target, {}).update(found)
        usable = set(found) | (planned or {}).get(target, set())
        # What is held holds what refers to it, but not its own parts: they may be what has to be mended.
        if target != entity.created_with:
            usable -= set(pending(tx, target, HELD)[KEY].to_list())
        if target == entity.name:
            usable |= set(creates[KEY].to_list())
        missing = mentions.filter(~pl.col("target").is_in(list(usable)), pl.lit(each.waits))
        waiting = pl.concat(
            [
                waiting,
                missing.select(
                    KEY,
                    state=pl.lit(HELD),
                    reason=pl.format(f"waits for {target} {{}}, which is not in UniERP yet", pl.col("target")),
                ),
            ]
        )
    waiting = waiting.unique(KEY, keep="first", maintain_order=True)
    disputes = merged.disputed
    if entity.created_with:
        # What a line comes to is known once its new values are there; until then it cannot be wrong.
        disputes = disputes.join(updates.filter(pl.col(TO_UNIERP).list.len() > 0), on=KEY, how="anti")
    disputed = (
        disputes.group_by(KEY, maintain_order=True)
        .agg(reason=pl.format("{} is {} in UniERP and {} in the shop", "field", "theirs", "ours").str.join("; "))
        .select(KEY, state=pl.lit(HELD), reason=pl.col("reason"))
    )
    open_ = merged.conflicts.filter(pl.col("outcome").is_null())
    undecided = (
        open_.group_by(KEY, maintain_order=True)
        .agg(fields=pl.col("field").str.join(", "))
        .select(
            KEY,
            state=pl.lit(HELD),
            reason=pl.format("both sides changed {}: decide with `unierp conflicts resolve`", pl.col("fields")),
        )
    )
    for more in (disputed, undecided):
        waiting = pl.concat([waiting, more.join(waiting, on=KEY, how="anti")])
    keep = Merged(
        creates=creates.join(waiting, on=KEY, how="anti"),
        updates=updates.join(waiting, on=KEY, how="anti"),
        former=merged.former.join(waiting, on=KEY, how="anti"),
        withdrawn=merged.withdrawn,
        agreed=merged.agreed,
        disputed=merged.disputed,
        conflicts=merged.conflicts,
    )
    return Plan(entity, keys, keep, waiting, ids)


def _former(frame: pl.DataFrame, field: Field) -> set[str]:
    """What UniERP has in a set: the keys that are taken away have to be known, too."""
    if field.kind is not Kind.REFERENCES or field.role is not Role.SYNC:
        return set()
    return set(frame[f"{field.name}{THEIRS}"].drop_nulls().str.split(",").explode().to_list())


def _mentions(frame: pl.DataFrame, field: Field) -> pl.DataFrame:
    """Which keys a reference column of some rows points to: columns ``key`` and ``target``."""
    pairs = frame.select(KEY, target=pl.col(field.name)).drop_nulls("target")
    if field.kind is Kind.REFERENCES:
        pairs = pairs.with_columns(pl.col("target").str.split(",")).explode("target")
    return pairs
