"""How one entity's plan is carried out in UniERP, as most entities need it.

Entities that need more have an applier of their own in :mod:`catalogue`, :mod:`customers`, :mod:`inventory` or
:mod:`documents`; which one serves whom is said in :mod:`apply`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY, Field, Role, Withdrawal
from unierp_assets.odoo import (
    OdooError,
    OdooLoginFailed,
    OdooUnavailable,
    Outcome,
    archive,
    load,
    unlink,
    write_changed,
)
from unierp_assets.odoo.catalogue import CONCEPTS
from unierp_assets.sync.compare.merge import THEIRS, TO_UNIERP
from unierp_assets.sync.compare.plan import Plan
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.load.codec import Codec, UnknownCode, external_name
from unierp_assets.sync.memory.state import FAILED, HELD, any_of, bound_ids
from unierp_assets.warehouse.tables import BASE, STAGING

DONE = "done"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one record: ``state`` is done, held or failed; ``error`` is set where a call failed; ``changed``
    tells whether anything had to be written."""

    key: str
    odoo_id: int | None = None
    state: str = DONE
    reason: str | None = None
    error: OdooError | None = None
    changed: bool = True

    @property
    def interrupted(self) -> bool:
        """Whether the server went away, which says nothing about the record."""
        return isinstance(self.error, OdooUnavailable | OdooLoginFailed)

    @classmethod
    def of(cls, key: str, outcome: Outcome[Any]) -> "Result":
        if outcome.error is None:
            return cls(key, outcome.id, changed=outcome.changed)
        return cls(key, outcome.id, FAILED, str(outcome.error), outcome.error)


class Applier:
    """Creates through ``load`` with external ids, updates changed fields only, archives or deletes what is gone."""

    family: str | None = None
    """The field whose records are created in one call where they have the same value in it."""

    writing: Mapping[str, Any] | None = None
    """The context of what is written to records that are there."""

    def __init__(self, context: SyncContext, plan: Plan) -> None:
        self.context = context
        self.plan = plan
        self.entity = plan.entity
        self.session = context.session
        self.codec = Codec(plan.entity, context.session, context.lookups)

    # What is written

    @property
    def loaded_fields(self) -> list[Field]:
        """The fields given on creation."""
        return [field for field in self.entity.fields if field.odoo and field.role in (Role.SYNC, Role.INITIAL)]

    def constants(self) -> dict[str, Any]:
        """Column and value of what every new record gets."""
        found: dict[str, Any] = {}
        for name, value in (self.entity.constants or {}).items():
            found.update(self.session.features.values(name) if name in CONCEPTS else {name: value})
        return found

    def external_id(self, key: str) -> str:
        """The full external id of a key."""
        return f"{self.context.namespace}.{external_name(self.entity.name, key)}"

    # Steps

    def create(self) -> list[Result]:
        """Creates the plan's new records; level by level where records of the entity refer to each other."""
        own = next((field for field in self.entity.references if field.target == self.entity.name), None)
        rows = self.plan.creates
        if own is None:
            return self.load(rows) if rows.height else []
        results: list[Result] = []
        bound = self.plan.ids.setdefault(self.entity.name, {})
        while rows.height:
            ready = rows.filter(pl.col(own.name).is_null() | pl.col(own.name).is_in(list(bound)))
            if ready.is_empty():
                reason = f"its {own.name} could not be created, or refers back to it"
                return [*results, *(held(key, reason) for key in rows[KEY].to_list())]
            level = self.load(ready)
            bound.update({result.key: result.odoo_id for result in level if result.odoo_id})
            results += level
            rows = rows.join(ready, on=KEY, how="anti")
        return results

    def load(self, rows: pl.DataFrame) -> list[Result]:
        """Creates or updates whole rows by their external ids."""
        fields, constants = self.loaded_fields, self.constants()
        columns = ["id", *(self.codec.column(field) for field in fields), *constants]
        tail = list(constants.values())
        cells, keys = [], []
        results: list[Result] = []
        for row in rows.iter_rows(named=True):
            try:
                values = [self.codec.cell(field, row[field.name], self.plan.ids) for field in fields]
            except UnknownCode as error:
                results.append(Result(row[KEY], state=FAILED, reason=str(error)))
                continue
            cells.append([self.external_id(row[KEY]), *values, *tail])
            keys.append(row[KEY])
        families = dict(rows.select(KEY, self.family).iter_rows()) if self.family else None
        outcomes = load(
            self.session,
            self.entity.model,
            columns,
            cells,
            keys=keys,
            batch=self.context.batch,
            families=families,
        )
        return results + [Result.of(outcome.key, outcome) for outcome in outcomes]

    def update(self) -> list[Result]:
        """Writes the changed fields of the plan's updates."""
        return self.write(self.plan.updates)

    def write(self, updates: pl.DataFrame, leave_out: Sequence[str] = ()) -> list[Result]:
        """Writes the fields that flow to UniERP, but those left out."""
        former = {row[KEY]: row for row in self.plan.merged.former.iter_rows(named=True)}
        ids = self.ids_of(updates[KEY].to_list())
        changes: dict[int, dict[str, Any]] = {}
        refused: dict[str, str] = {}
        for row in updates.iter_rows(named=True):
            try:
                values = {
                    self.codec.name(field): self.codec.value(
                        field, row[field.name], former[row[KEY]][f"{field.name}{THEIRS}"], self.plan.ids
                    )
                    for field in self.entity.synced
                    if field.name in row[TO_UNIERP] and field.name not in leave_out
                }
            except UnknownCode as error:
                refused[row[KEY]] = str(error)
                continue
            if values and row[KEY] in ids:
                changes[ids[row[KEY]]] = values
        written = {
            outcome.key: outcome
            for outcome in write_changed(
                self.session, self.entity.model, changes, batch=self.context.batch, context=self.writing
            )
        }
        return [self._written(key, ids.get(key), written, refused.get(key)) for key in updates[KEY].to_list()]

    @staticmethod
    def _written(key: str, id_: int | None, written: Mapping[int, Outcome[int]], refusal: str | None) -> Result:
        if refusal:
            return Result(key, id_, FAILED, refusal)
        outcome = written.get(id_) if id_ else None
        return Result.of(key, outcome) if outcome else Result(key, id_)

    def resume(self, keys: list[str]) -> list[Result]:
        """Finishes records that stand in UniERP as they should, as far as is compared, but are unknown to the base: the
        run that made them may have died half-way. For what is made in one call there is nothing to do."""
        return []

    def withdraw(self) -> list[Result]:
        """Archives or deletes the records the storefront no longer has."""
        keys = self.plan.withdrawn[KEY].to_list()
        ids = self.ids_of(keys)
        act = unlink if self.entity.withdrawal is Withdrawal.DELETE else archive
        outcomes = {
            outcome.key: outcome for outcome in act(self.session, self.entity.model, [*dict.fromkeys(ids.values())])
        }
        return [Result.of(key, outcomes[ids[key]]) for key in keys if key in ids]

    # Helpers

    def unremembered(self, keys: Collection[str]) -> set[str]:
        """Those of the keys that no run has remembered as agreed."""
        base = BASE[self.entity.name]
        with self.context.warehouse.transaction() as tx:
            known = tx.read(sa.select(base.c.key).where(any_of(base.c.key, keys)))
        return set(keys) - set(known[KEY].to_list())

    def staged(
        self, keys: Collection[str], reference: str, target: str
    ) -> tuple[pl.DataFrame, dict[str, int], list[Result]]:
        """The staged rows of keys, the database ids of what they refer to, and those that wait for it to be there."""
        rows = STAGING[self.entity.name]
        with self.context.warehouse.transaction() as tx:
            found = tx.read(sa.select(rows).where(any_of(rows.c.key, keys)))
            ids = bound_ids(tx, target, found[reference].drop_nulls().unique().to_list())
        there = pl.col(reference).is_in(list(ids))
        lost = found.filter(~there.fill_null(False)).select(KEY, reference)
        waiting = [held(key, f"waits for {target} {other}, which is not in UniERP") for key, other in lost.iter_rows()]
        return found.filter(there), ids, waiting

    def ids_of(self, keys: Iterable[str], entity: str | None = None) -> dict[str, int]:
        """Database ids of keys of this entity, or of another."""
        with self.context.warehouse.transaction() as tx:
            return bound_ids(tx, entity or self.entity.name, list(keys))


def held(key: str, reason: str, odoo_id: int | None = None) -> Result:
    """A record that waits for something or somebody."""
    return Result(key, odoo_id, HELD, reason)
