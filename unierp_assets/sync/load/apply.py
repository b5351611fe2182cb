"""Carries out a plan and has both sides agree: which applier serves which entity, and what is remembered afterwards."""

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY, Entity, Role, Withdrawal
from unierp_assets.odoo import OdooError
from unierp_assets.sync.compare.conflicts import note as note_conflicts
from unierp_assets.sync.compare.merge import TO_STOREFRONT
from unierp_assets.sync.compare.plan import WAITING, Plan
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.isolation import each_apart
from unierp_assets.sync.load.applier import DONE, Applier, Result
from unierp_assets.sync.load.catalogue import AttributeValues, PriceLists, Prices, Products
from unierp_assets.sync.load.customers import Addresses
from unierp_assets.sync.load.inventory import Locations, StockLevels
from unierp_assets.sync.load.invoices import Invoices
from unierp_assets.sync.load.order_lines import OrderLines
from unierp_assets.sync.load.orders import Orders
from unierp_assets.sync.load.payments import Payments
from unierp_assets.sync.load.shipments import Shipments
from unierp_assets.sync.load.variants import Variants
from unierp_assets.sync.load.writeback import write_back
from unierp_assets.sync.memory import ledger
from unierp_assets.sync.memory.state import FAILED, HELD, any_of, binding_rows, bound_ids, set_pending
from unierp_assets.warehouse.store import Transaction
from unierp_assets.warehouse.tables import BASE, BINDINGS, LANDING_UNIERP, LEDGER, STAGING, WITHDRAWN

_log = logging.getLogger(__name__)

APPLIERS: dict[str, type[Applier]] = {
    "price_lists": PriceLists,
    "addresses": Addresses,
    "attribute_values": AttributeValues,
    "products": Products,
    "variants": Variants,
    "prices": Prices,
    "locations": Locations,
    "stock_levels": StockLevels,
    "orders": Orders,
    "order_lines": OrderLines,
    "shipments": Shipments,
    "invoices": Invoices,
    "payments": Payments,
}
"""Entities that need more than the ordinary way of loading."""


@dataclass
class Applied:
    """What became of a plan, as counts; ``wrote_storefront`` tells whether the shop has to be read again. ``parts`` has
    what was done with parts of records that were there already, by entity."""

    created: int = 0
    updated: int = 0
    held: int = 0
    failed: int = 0
    conflicts: int = 0
    wrote_storefront: bool = False
    parts: dict[str, "Applied"] = dataclasses.field(default_factory=dict)
    interruption: OdooError | None = dataclasses.field(default=None, repr=False)

    def __add__(self, other: "Applied") -> "Applied":
        return Applied(
            self.created + other.created,
            self.updated + other.updated,
            self.held + other.held,
            self.failed + other.failed,
            self.conflicts + other.conflicts,
            self.wrote_storefront or other.wrote_storefront,
            self.parts | other.parts,
            self.interruption or other.interruption,
        )


def apply(context: SyncContext, plan: Plan) -> Applied:
    """Writes the plan, then remembers what was written, in one transaction of the warehouse.

    Should the process die in between, the next run finds the written records by their external ids, sees equal values
    and only remembers them. A record the server refuses is noted with the server's message; the others go on. Raises
    the :class:`OdooError` that interrupted it, after what was done has been remembered.
    """
    created: list[Result] = []
    updated: list[Result] = []
    withdrawn: list[Result] = []
    if plan.withdrawn.height:
        withdrawn = _carried_out(context, plan, plan.withdrawn, lambda applier: applier.withdraw())
    if plan.updates.height:
        context.on_step("update", plan.entity.name)
        updated = _carried_out(
            context, plan, plan.updates, lambda applier: write_back(context, applier.plan, applier.update())
        )
    if plan.creates.height:
        context.on_step("create", plan.entity.name)
        created = _carried_out(context, plan, plan.creates, lambda applier: applier.create())
    resumed = _carried_out(
        context, plan, plan.merged.agreed, lambda applier: applier.resume(applier.plan.merged.agreed[KEY].to_list())
    )
    context.on_step("agree", plan.entity.name)
    with context.warehouse.transaction() as tx:
        applied = _agree(context, tx, plan, created, updated, withdrawn, resumed)
    if applied.interruption:
        raise applied.interruption
    return applied


def _carried_out(
    context: SyncContext, plan: Plan, rows: pl.DataFrame, step: Callable[[Applier], list[Result]]
) -> list[Result]:
    """One step of the applier for these rows of the plan; a record that the program stumbles over is set aside."""
    keys = rows[KEY].to_list()
    kind = APPLIERS.get(plan.entity.name, Applier)

    def work(part: list[str]) -> list[Result]:
        return step(kind(context, plan if len(part) == len(keys) else plan.only(part)))

    def at_fault(key: str, reason: str) -> list[Result]:
        return [Result(key, state=FAILED, reason=reason)]

    return [result for part in each_apart(work, keys, plan.entity.name, at_fault) for result in part] if keys else []


def _done(results: list[Result]) -> list[str]:
    return [result.key for result in results if result.state == DONE]


def _agree(
    context: SyncContext,
    tx: Transaction,
    plan: Plan,
    created: list[Result],
    updated: list[Result],
    withdrawn: list[Result],
    resumed: list[Result],
) -> Applied:
    entity, run_id = plan.entity, context.run_id
    unfinished = [result.key for result in resumed if result.state != DONE]
    agreed = plan.merged.agreed.filter(~pl.col(KEY).is_in(unfinished))
    made, changed, gone = _done(created), _done(updated), _done(withdrawn)
    ids = {result.key: result.odoo_id for result in created if result.odoo_id}
    tx.upsert(BINDINGS, binding_rows(entity.name, entity.model, ids, run_id))
    synced = [field.name for field in entity.synced]
    rows = pl.concat(
        [
            plan.creates.filter(pl.col(KEY).is_in(made)).select(KEY, *synced),
            plan.updates.filter(pl.col(KEY).is_in(changed)).select(KEY, *synced),
            agreed.select(KEY, *synced),
        ]
    )
    now = pl.lit(datetime.now(UTC)).dt.cast_time_unit("us")
    tx.upsert(BASE[entity.name], rows.with_columns(_run_id=pl.lit(run_id), _agreed_at=now))
    if entity.withdrawal is Withdrawal.DELETE and gone:
        _forget(tx, plan, gone)
    if entity.withdrawal is Withdrawal.ARCHIVE and "active" in synced:
        _remember_archived(tx, plan, gone)
    new = plan.creates.filter(pl.col(KEY).is_in(made)).select(KEY, *_given(entity))
    brought = _brought_along(context, tx, plan)
    ids |= bound_ids(tx, entity.name, brought[KEY].to_list())
    created_rows = pl.concat([new, brought], how="diagonal")
    for owing, entries in ledger.recovered(tx, entity, agreed):
        ledger.append(tx, entity.name, owing, context.actor, entries)
    entries = pl.concat(
        [ledger.created(entity, created_rows, ids), ledger.updated(plan, changed), ledger.withdrawn(plan, gone)]
    )
    ledger.append(tx, entity.name, run_id, context.actor, entries)
    note_conflicts(tx, entity, run_id, plan.keys, plan.merged.conflicts)
    results = [*created, *updated, *withdrawn, *resumed]
    interrupted = {result.key: result.error for result in results if result.interrupted}
    waiting = pl.concat(
        [
            plan.waiting,
            pl.DataFrame(
                [
                    (result.key, result.state, result.reason)
                    for result in results
                    if result.state != DONE and not result.interrupted
                ],
                schema=WAITING,
                orient="row",
            ),
        ]
    )
    for result in results:
        if result.state == FAILED and not result.interrupted:
            # What the server said may name a person: it stands in `sync.pending` alone.
            _log.warning("UniERP refused a record", extra={"entity": entity.name, "key": result.key})
    # What was interrupted stays as pending as it was: it may be remembered nowhere else.
    settled = set(plan.keys) - set(waiting[KEY].to_list()) - set(interrupted)
    set_pending(tx, entity.name, run_id, sorted(settled), waiting)
    return Applied(
        created=created_rows.height,
        updated=len(changed) + len(gone) + sum(result.changed for result in resumed if result.state == DONE),
        held=waiting.filter(pl.col("state") == HELD).height,
        failed=waiting.filter(pl.col("state") == FAILED).height,
        conflicts=plan.merged.conflicts.height,
        wrote_storefront=bool(plan.updates.filter(pl.col(TO_STOREFRONT).list.len() > 0).height),
        interruption=next(iter(interrupted.values()), None),
    )


def _forget(tx: Transaction, plan: Plan, keys: list[str]) -> None:
    rows = pl.DataFrame({KEY: keys})
    tx.delete(BINDINGS, rows.with_columns(entity=pl.lit(plan.entity.name)))
    tx.delete(BASE[plan.entity.name], rows)
    tx.update_rows(LANDING_UNIERP[plan.entity.name], rows.with_columns(_deleted=pl.lit(True)), ["_deleted"])


def _remember_archived(tx: Transaction, plan: Plan, gone: list[str]) -> None:
    """Notes that both sides agreed on the end of what the shop has no more, also where a run died that ended it: a row
    that comes back under its key is then a change of the shop's, and no record that somebody switched off in UniERP."""
    base, staged = BASE[plan.entity.name], STAGING[plan.entity.name]
    refused = set(plan.withdrawn[KEY].to_list()) - set(gone)
    ended = tx.read(
        sa.select(base.c.key)
        .join(staged, staged.c.key == base.c.key)
        .where(any_of(base.c.key, plan.keys), staged.c._status == WITHDRAWN, base.c.active)
    ).filter(~pl.col(KEY).is_in(list(refused)))
    tx.update_rows(base, ended.with_columns(active=pl.lit(False)), ["active"])


def _given(entity: Entity) -> list[str]:
    """The fields a record is given on creation."""
    return [field.name for field in entity.fields if field.role in (Role.SYNC, Role.INITIAL)]


def _brought_along(context: SyncContext, tx: Transaction, plan: Plan) -> pl.DataFrame:
    """The rows whose records came into being in this run together with another entity's, as lines do with an order."""
    parent = plan.entity.created_with
    rows = plan.merged.agreed
    if parent is None or rows.is_empty():
        return rows.clear()
    made = tx.read(
        sa.select(LEDGER.c.key).where(
            LEDGER.c.run_id == context.run_id, LEDGER.c.entity == parent, LEDGER.c.action == "create"
        )
    )
    (link,) = (field.name for field in plan.entity.references if field.target == parent)
    return rows.filter(pl.col(link).is_in(made[KEY].to_list()))
