"""The sync from end to end, in the order of its steps, and the summary of a run.

The command line calls it as a whole; Dagster's assets call the same steps one by one.
"""

import threading
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities import ENTITIES, entities_of
from unierp_assets.entities.spec import KEY, Entity, System
from unierp_assets.quality import GATE_ORDER, GateReport, due_gates, preload, run_gate
from unierp_assets.storefront.contract import contract_tables
from unierp_assets.sync.compare.plan import CHANGES, Plan, Position, candidates, plan_apart, slices
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.extract import changed_tables, extract
from unierp_assets.sync.intake.preflight import preflight
from unierp_assets.sync.intake.pull import pull, pull_bindings, pull_progress, pull_stock
from unierp_assets.sync.intake.removal import end_removed, endings, remember_ended
from unierp_assets.sync.intake.stage import due_stages, stage
from unierp_assets.sync.load.ahead import ahead
from unierp_assets.sync.load.apply import Applied, apply
from unierp_assets.sync.load.sales import DOCUMENT_BATCH
from unierp_assets.sync.memory.state import (
    DIFFERS,
    FAILED,
    HELD,
    SUCCEEDED,
    UNDONE,
    WITHHELD,
    any_of,
    begin_run,
    bound_ids,
    bury_the_dead,
    end_run,
    note_read,
)
from unierp_assets.sync.reports import rebuild_reports, reconciliation
from unierp_assets.sync.unsettled import Unsettled, unsettled
from unierp_assets.warehouse.tables import ACCEPTED, LANDING_UNIERP, PENDING, PLAN_CHANGES, QUARANTINED, RUNS, STAGING

LOCK = "sync"
LOADED_TOGETHER = {"orders": "shipments"}
"""What is loaded in rounds with an entity. To find the transfer of an order it confirms, Odoo looks through all open
ones: were all orders confirmed before the first of them leaves, each would cost more than the one before."""
PREVIEW = "plan"
"""Kind of the runs that only show what would be written."""


@dataclass
class EntityCounts:
    """What a run did with one entity, in records."""

    extracted: int = 0
    quarantined: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    held: int = 0
    conflicts: int = 0
    failed: int = 0


@dataclass
class Summary:
    """What a run did. ``accuracy`` is the share of matched rows in percent; ``unsettled`` are the orders that wait and
    the money that is booked nowhere, whichever run they are from."""

    run_id: str
    seconds: float = 0
    odoo_reads: int = 0
    odoo_writes: int = 0
    entities: dict[str, EntityCounts] = field(default_factory=dict)
    differences: int = 0
    accuracy: Decimal = Decimal(100)
    unsettled: Unsettled | None = None

    @property
    def failed(self) -> int:
        """Records the server refused."""
        return sum(counts.failed for counts in self.entities.values())

    def to_dict(self) -> dict[str, Any]:
        """The summary as it is printed for machines."""
        return {
            "run_id": self.run_id,
            "seconds": round(self.seconds, 3),
            "odoo_reads": self.odoo_reads,
            "odoo_writes": self.odoo_writes,
            "entities": {name: asdict(counts) for name, counts in self.entities.items()},
            "reconciliation": {"differences": self.differences, "accuracy": float(self.accuracy)},
            "waits": self.unsettled.to_dict() if self.unsettled else {},
        }


def new_run_id() -> str:
    """A fresh id for a run that Dagster did not name."""
    return str(uuid.uuid4())


# Steps


def tables_of(entities: tuple[Entity, ...]) -> list[str]:
    """The storefront's tables that these entities are made of, each once."""
    found: dict[str, None] = {}
    for entity in entities:
        for source in entity.inputs:
            found[source.table] = None
            if source.via:
                found[source.via[0]] = None
    return list(found)


def gate(context: SyncContext, entity: Entity) -> GateReport:
    """Runs the entity's gate; returns its report."""
    context.on_step("validate", entity.name)
    return run_gate(context.warehouse, entity.name, context.run_id)


def pass_gates(context: SyncContext, names: Iterable[str]) -> None:
    """Runs those of these gates that have something to look at, in the order in which they decide."""
    wanted = set(names)
    waiting = [name for name in GATE_ORDER if name in wanted]
    due = due_gates(context.warehouse, waiting)
    while waiting:
        name = waiting.pop(0)
        if name in due:
            gate(context, ENTITIES[name])
            # What it decided is looked at by others.
            due = due_gates(context.warehouse, waiting) if waiting else set()


def pull_entity(context: SyncContext, entity: Entity) -> int:
    """Reads what changed in UniERP; returns how many landing rows differ from before."""
    now = datetime.now(UTC)
    changed = pull_stock(context, entity) if entity.name == "stock_levels" else pull(context, entity)
    if entity.name == "orders":
        changed += pull_progress(context, entity)
    with context.warehouse.transaction() as tx:
        note_read(tx, [LANDING_UNIERP[entity.name]], now)
    return changed


def read_written(context: SyncContext, written: Iterable[str]) -> dict[str, int]:
    """Reads the entities that were written, and those that change in UniERP along with them: an order touches its
    customer. Returns how many landing rows differ from before, by entity."""
    written = set(written)
    touched = written.union(*(ENTITIES[name].touches for name in written))
    pull_bindings(context)
    return {entity.name: pull_entity(context, entity) for entity in ENTITIES.values() if entity.name in touched}


def load_entity(context: SyncContext, entity: Entity) -> Applied:
    """Plans and applies what changed of an entity, slice by slice; what it did as counts.

    Parts of records that are there already (lines of orders) are changed before the records go on."""
    prepared = _prepared(context, entity)
    with _changed(context, entity) as keys:
        return prepared + _load_keys(context, entity, keys)


def load_together(context: SyncContext, entity: Entity, then: Entity) -> tuple[Applied, Applied]:
    """Loads what changed of both in rounds: a batch for each connection, then what of ``then`` refers to these records,
    and in the end the rest of it; what was done with each, as counts."""
    done, after = _prepared(context, entity), Applied()
    size = DOCUMENT_BATCH * context.session.connections
    with _changed(context, entity) as keys, _changed(context, then) as followers:
        waiting = _by_reference(context, then, entity, followers)
        for start in range(0, len(keys), size):
            part = keys[start : start + size]
            done += _load_keys(context, entity, part)
            ready = [follower for key in part for follower in waiting.pop(key, ())]
            if ready:
                # The parts of the records just made (lines of orders), which these may name, have external ids by now.
                pull_bindings(context)
                after += _load_keys(context, then, ready)
        after += _load_keys(context, then, [follower for rest in waiting.values() for follower in rest])
    return done, after


def _prepared(context: SyncContext, entity: Entity) -> Applied:
    """Ends what was deleted, and changes parts of records that are there already."""
    ended = end_removed(context, entity)
    if ended:
        refresh_storefront(context, entity)
        remember_ended(context, entity, ended)
    parts = {
        part.name: edit_parts(context, entity, part) for part in ENTITIES.values() if part.created_with == entity.name
    }
    return Applied(updated=len(ended), parts=parts)


@contextmanager
def _changed(context: SyncContext, entity: Entity) -> Iterator[list[str]]:
    """The keys that have to be compared; when they were dealt with, the entity's cursor moves."""
    cursor_name = f"plan:{entity.name}"
    with context.warehouse.transaction() as tx:
        cursor = tx.cursor(cursor_name)
        found = candidates(tx, entity, cursor)
    if entity.created_with and found.keys:
        # What was created together with its parents is read back before it is compared.
        pull_bindings(context)
        pull_entity(context, entity)
        with context.warehouse.transaction() as tx:
            found = candidates(tx, entity, cursor)
    yield found.keys
    if found.position != Position.from_text(cursor):
        with context.warehouse.transaction() as tx:
            tx.set_cursor(cursor_name, found.position.to_text())


def _by_reference(context: SyncContext, entity: Entity, target: Entity, keys: list[str]) -> dict[str, list[str]]:
    """The keys of an entity by the key of the record of ``target`` that they refer to."""
    (link,) = (field.name for field in entity.references if field.target == target.name)
    staged = STAGING[entity.name]
    with context.warehouse.transaction() as tx:
        rows = tx.read(sa.select(staged.c.key, staged.c[link]).where(any_of(staged.c.key, keys)))
    found: dict[str, list[str]] = {}
    for key, referred in rows.iter_rows():
        found.setdefault(referred, []).append(key)
    return found


def _load_keys(context: SyncContext, entity: Entity, found: list[str]) -> Applied:
    context.on_step("plan", entity.name)
    faults = context.faults.get(entity.name, set())
    total = Applied(failed=len(faults.intersection(found)))
    steps = _plans(context, entity, [key for key in found if key not in faults])
    # A slice of records that refer to others of their kind can be planned only when those are there.
    alone = any(field.target == entity.name for field in entity.references)
    for step in steps if alone else ahead(steps):
        total += apply(context, step)
        context.on_step("plan", entity.name)
    return total


def _plans(context: SyncContext, entity: Entity, found: list[str]) -> Iterator[Plan]:
    """The plan of each slice of the keys, and the record of it."""
    for keys in slices(context, found):
        for step in plan_apart(context.warehouse, entity, keys):
            changes = step.changes(values_of_new=False).with_columns(run_id=pl.lit(context.run_id))
            with context.warehouse.transaction() as tx:
                tx.upsert(PLAN_CHANGES, changes)
            yield step


def edit_parts(context: SyncContext, parent: Entity, part: Entity) -> Applied:
    """Carries out what changed in the parts of records that UniERP has already, and reads both back.

    The cursor of the parts stays: parts of new records are created with these and dealt with afterwards, and what is
    done here is then found to be equal."""
    (link,) = (field.name for field in part.references if field.target == parent.name)
    staged = STAGING[part.name]
    with context.warehouse.transaction() as tx:
        keys = candidates(tx, part, tx.cursor(f"plan:{part.name}")).keys
        of_parent = dict(tx.read(sa.select(staged.c.key, staged.c[link]).where(any_of(staged.c.key, keys))).iter_rows())
        there = bound_ids(tx, parent.name, set(filter(None, of_parent.values())))
    known = [key for key in keys if of_parent.get(key) in there]
    done = _load_keys(context, part, known)
    if done.created or done.updated:
        pull_bindings(context)
        pull_entity(context, part)
        pull_entity(context, parent)
    return done


def refresh_storefront(context: SyncContext, entity: Entity) -> None:
    """Reads back what was written to the storefront: it is known then, and counts as validated wherever it is used."""
    touched = set(tables_of((entity,)))
    for table in touched:
        extract(context, table)
    users = [each for each in ENTITIES.values() if touched & set(tables_of((each,)))]
    for each in due_stages(context, users):
        stage(context, each)
    pass_gates(context, [each.name for each in users])


# The whole


class PlanChanged(Exception):
    """The approved plan is not what would be written now, or does not exist; nothing was written."""


def _change(row: Mapping[str, Any]) -> str:
    what = f"{row['action']} {row['entity']} {row['key']} in {row['target']}"
    return f"{what}, {row['field']}" if row["field"] else what


class Pipeline:
    """A sync of all domains, or of one together with what it needs."""

    def __init__(
        self, context: SyncContext, domain: str | None = None, entities: tuple[Entity, ...] | None = None
    ) -> None:
        self.context = context
        self.entities = with_requirements(entities_of(domain)) if entities is None else entities
        self.tables = tables_of(self.entities)
        self.summary = Summary(context.run_id, entities={entity.name: EntityCounts() for entity in self.entities})
        self.gates: Collection[str] = self.summary.entities
        self.changed: dict[str, int] = {}

    @classmethod
    def of_changes(
        cls, context: SyncContext, tables: Collection[str], entities: Collection[str], gates: Collection[str]
    ) -> "Pipeline":
        """A sync of what changed: these tables of the shop are read and these entities synced, and nothing else.

        ``gates`` are the entities whose gates have to see their new rows: these, and those that decide before them.
        """
        pipeline = cls(context, entities=tuple(entity for entity in ENTITIES.values() if entity.name in entities))
        pipeline.tables = [table for table in contract_tables() if table in tables]
        pipeline.gates = gates
        return pipeline

    @property
    def steps(self) -> int:
        """How many steps are announced, roughly: what a progress bar counts to."""
        return len(tables_of(self.entities)) + 5 * len(self.entities) + 3

    def sync(self, approved: str | None = None) -> Summary:
        """Extracts, stages, validates, compares, writes, and reads back.

        ``approved`` is the run id of a preview: exactly what it showed is written, or nothing, with
        :class:`PlanChanged`, when by now something else would be. What UniERP computes from it (stock) is left to the
        next sync. Raises the error of the system that failed; what was done until then is kept, and the next run goes
        on.
        """
        with self.context.warehouse.lock(LOCK), self.recorded("sync"):
            bury_the_dead(self.context.warehouse, self.context.run_id)
            before = self._approved(approved) if approved else None
            self.take_in()
            if approved and before is not None:
                self._insist_on(approved, before)
            if self._load_all():
                self._read_back()
                if not approved:
                    self._flow_back()
            self.context.on_step("reconcile", "everything")
            self._count()
            rebuild_reports(self.context.warehouse, self.context.run_id, self.context.time_zone)
            agreed = reconciliation(self.context.warehouse, self.summary.entities)
            self.summary.differences, self.summary.accuracy = agreed.differences, agreed.accuracy
            self.summary.unsettled = unsettled(self.context.warehouse)
        return self.summary

    def carry_over(self, wait_seconds: float) -> Summary:
        """Like :meth:`sync`, without the reports: for changes that somebody waits for. It waits for a sync that is
        under way."""
        with self.context.warehouse.lock(LOCK, wait_seconds=wait_seconds), self.recorded("sync"):
            bury_the_dead(self.context.warehouse, self.context.run_id)
            self.take_in()
            if self._load_all():
                self._read_back()
                self._flow_back()
            self._count()
        return self.summary

    def preview(self) -> pl.DataFrame:
        """Everything a sync would write now, as rows of :data:`~unierp_assets.sync.compare.plan.CHANGES`; writes
        nothing outside the warehouse."""
        parts = [pl.DataFrame(schema=CHANGES)]
        with self.context.warehouse.lock(LOCK), self.recorded(PREVIEW):
            self.take_in()
            for changes in self._changes():
                with self.context.warehouse.transaction() as tx:
                    tx.upsert(PLAN_CHANGES, changes.with_columns(run_id=pl.lit(self.context.run_id)))
                parts.append(changes)
        return pl.concat(parts)

    def _changes(self) -> Iterator[pl.DataFrame]:
        """Everything that would be written now, slice by slice."""
        planned: dict[str, set[str]] = {}
        for entity in self.entities:
            with self.context.warehouse.transaction() as tx:
                yield endings(tx, entity)
                found = candidates(tx, entity, tx.cursor(f"plan:{entity.name}"))
            for keys in slices(self.context, found.keys):
                for step in plan_apart(self.context.warehouse, entity, keys, planned):
                    planned.setdefault(entity.name, set()).update(step.creates[KEY].to_list())
                    yield step.changes()

    def _approved(self, approved: str) -> pl.DataFrame:
        """The changes of an approved plan."""
        with self.context.warehouse.transaction() as tx:
            kind = tx.read(sa.select(RUNS.c.kind).where(RUNS.c.run_id == approved))
            before = tx.read(
                sa.select(*(PLAN_CHANGES.c[name] for name in CHANGES)).where(PLAN_CHANGES.c.run_id == approved)
            )
        if kind.is_empty() or kind.item() != PREVIEW:
            raise PlanChanged(f"There is no plan {approved}; `unierp plan` makes one and tells its id.")
        return before

    def _insist_on(self, approved: str, before: pl.DataFrame) -> None:
        """Raises :class:`PlanChanged` unless exactly the approved plan would be carried out now."""
        now = pl.concat([pl.DataFrame(schema=CHANGES), *self._changes()])
        gone = before.join(now, on=list(CHANGES), how="anti", nulls_equal=True)
        new = now.join(before, on=list(CHANGES), how="anti", nulls_equal=True)
        if gone.height or new.height:
            told = [
                *(
                    f"{_change(row)} was approved and is no longer to be done"
                    for row in gone.head(5).iter_rows(named=True)
                ),
                *(f"{_change(row)} was not approved" for row in new.head(5).iter_rows(named=True)),
            ]
            raise PlanChanged(
                f"Nothing was written: the plan {approved} is not what would be written now ({'; '.join(told)}). It "
                "may have been carried out already. Look at a new `unierp plan`."
            )

    @contextmanager
    def recorded(self, kind: str) -> Iterator[None]:
        """Keeps the record of a run of this kind: when it began and ended, how, and what it came to."""
        context, started = self.context, time.perf_counter()
        before = context.session.counters.snapshot()
        begin_run(context.warehouse, context.run_id, kind)
        status = FAILED
        try:
            yield
            status = FAILED if self.summary.failed else DIFFERS if self.summary.differences else SUCCEEDED
        finally:
            now = context.session.counters.snapshot()
            self.summary.seconds = time.perf_counter() - started
            self.summary.odoo_reads = int(now["reads"] - before["reads"])
            self.summary.odoo_writes = int(now["writes"] - before["writes"])
            end_run(context.warehouse, context.run_id, status, self.summary.to_dict())

    def take_in(self) -> None:
        """Reads both sides and validates what is new, writing nothing outside the warehouse."""
        imported: threading.Thread | None = None
        with ThreadPoolExecutor(1) as beside:
            # UniERP answers while the shop is read.
            checked = beside.submit(preflight, self.context, self.entities)
            self.changed = dict.fromkeys(self.tables, 0)
            for table in changed_tables(self.context, self.tables):
                self.changed[table] = extract(self.context, table)
                if self.changed[table] and imported is None:
                    # Seconds that pass while the systems are waited for; without changes nothing will be validated.
                    imported = preload()
            checked.result()
        for entity in due_stages(self.context, self.entities):
            self.summary.entities[entity.name].extracted = stage(self.context, entity)
        pull_bindings(self.context)
        for entity in self.entities:
            pull_entity(self.context, entity)
        if imported:
            self.context.on_step("import", "Great Expectations")
            imported.join()
        pass_gates(self.context, self.gates)

    def _load_all(self) -> bool:
        """Loads every entity, in load order; those that go together, together. Returns whether UniERP took anything:
        what it only refused needs no second look, which would try it again."""
        before = self.context.session.counters.snapshot()["writes"]
        followers = {then: first for first, then in LOADED_TOGETHER.items() if first in self.summary.entities}
        for entity in self.entities:
            then = LOADED_TOGETHER.get(entity.name)
            if then in self.summary.entities:
                done, after = load_together(self.context, entity, ENTITIES[then])
                self._note(entity, done)
                self._note(ENTITIES[then], after)
            elif entity.name not in followers:
                self._note(entity, load_entity(self.context, entity))
        written = self.context.session.counters.snapshot()["writes"] > before
        return written and any(counts.created or counts.updated for counts in self.summary.entities.values())

    def _note(self, entity: Entity, applied: Applied) -> None:
        """Counts what was done, and reads the shop again where it was written."""
        counts = self.summary.entities[entity.name]
        counts.created += applied.created
        counts.updated += applied.updated
        counts.held = applied.held
        counts.failed = applied.failed
        counts.conflicts += applied.conflicts
        for name, edited in applied.parts.items():
            self.summary.entities[name].created += edited.created
            self.summary.entities[name].updated += edited.updated
        if applied.wrote_storefront:
            refresh_storefront(self.context, entity)

    def _read_back(self) -> None:
        """Reads what was written, also where a record was written in part and then held or refused."""
        busy = [
            name
            for name, counts in self.summary.entities.items()
            if counts.created or counts.updated or counts.held or counts.failed
        ]
        read_written(self.context, busy)

    def _flow_back(self) -> None:
        """Lets what UniERP computed from what was written (stock, the progress of orders) flow back to the shop."""
        for entity in self.entities:
            if any(System.STOREFRONT in field.flows_to for field in entity.synced):
                self._note(entity, load_entity(self.context, entity))

    def _count(self) -> None:
        staged = [
            sa.select(
                sa.literal(name).label("entity"), STAGING[name].c._status.label("status"), sa.func.count()
            ).group_by(STAGING[name].c._status)
            for name in self.summary.entities
        ]
        waiting = sa.select(PENDING.c.entity, PENDING.c.state, sa.func.count()).group_by(
            PENDING.c.entity, PENDING.c.state
        )
        found = self.context.warehouse.read(sa.union_all(*staged, waiting))
        rows = {(entity, status): count for entity, status, count in found.iter_rows()}
        for name, counts in self.summary.entities.items():
            counts.held = sum(rows.get((name, state), 0) for state in (HELD, UNDONE, WITHHELD))
            counts.quarantined = rows.get((name, QUARANTINED), 0)
            busy = counts.created + counts.updated + counts.held + counts.failed
            counts.unchanged = max(rows.get((name, ACCEPTED), 0) - busy, 0)


def with_requirements(entities: tuple[Entity, ...]) -> tuple[Entity, ...]:
    """The entities and everything they refer to, directly or not, in load order."""
    wanted = {entity.name for entity in entities}
    while True:
        more = {str(field.target) for name in wanted for field in ENTITIES[name].references}
        more |= {entity.name for entity in ENTITIES.values() if entity.created_with in wanted}
        if more <= wanted:
            return tuple(entity for entity in ENTITIES.values() if entity.name in wanted)
        wanted |= more
