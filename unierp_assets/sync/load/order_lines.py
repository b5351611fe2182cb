"""How the lines of orders that UniERP has already are added, changed and taken off."""

from collections.abc import Iterable

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY
from unierp_assets.odoo import (
    OdooSession,
    follow_quantities,
    load,
    read,
    unlink,
    write_changed,
)
from unierp_assets.sync.load.applier import DONE, Result, held
from unierp_assets.sync.load.sales import Sales, bound_of
from unierp_assets.sync.memory.state import any_of
from unierp_assets.warehouse.tables import STAGING


class OrderLines(Sales):
    """Lines of orders that UniERP has already: added, changed, or taken off by a quantity of zero.

    An order that is invoiced, or cancelled, is not changed any more: its lines are held with the reason.
    """

    def create(self) -> list[Result]:
        open_, results = self._open(self.plan.creates)
        fields = [field for field in self.loaded_fields if field.name != "variant"]
        has_flag = self.session.features.has(self.entity.model, "is_delivery")
        with self.context.warehouse.transaction() as tx:
            staged = STAGING[self.entity.name]
            kinds = tx.read(sa.select(staged.c.key, staged.c.kind).where(any_of(staged.c.key, open_[KEY].to_list())))
        shipping = set(kinds.filter(kind="shipping")[KEY].to_list())
        columns = [
            "id",
            "product_id/.id",
            *(self.codec.column(field) for field in fields),
            *(["is_delivery"] if has_flag else []),
        ]
        cells = [
            [
                self.external_id(row[KEY]),
                self.plan.ids["variants"][row["variant"]] if row["variant"] else self.shipping,
                *(self.codec.cell(field, row[field.name], self.plan.ids) for field in fields),
                *([row[KEY] in shipping] if has_flag else []),
            ]
            for row in open_.iter_rows(named=True)
        ]
        outcomes = load(
            self.session, self.entity.model, columns, cells, keys=open_[KEY].to_list(), batch=self.context.batch
        )
        return results + [Result.of(outcome.key, outcome) for outcome in outcomes]

    def update(self) -> list[Result]:
        open_, results = self._open(self.plan.updates)
        return results + self._followed(open_, self.write(open_))

    def withdraw(self) -> list[Result]:
        """Lines of quotations are deleted; on an order that is confirmed their quantity becomes zero."""
        open_, results = self._open(self.plan.withdrawn)
        ids = self.ids_of(open_[KEY].to_list())
        drafts = {
            line["id"]
            for line in read(self.session, self.entity.model, ids.values(), ["state"]).values()
            if line["state"] in ("draft", "sent")
        }
        quantity = self.codec.name(self.entity["quantity"])
        emptied = {id_: {quantity: 0} for id_ in ids.values() if id_ not in drafts}
        outcomes = {
            outcome.key: outcome
            for outcome in (
                *unlink(self.session, self.entity.model, sorted(drafts)),
                *write_changed(self.session, self.entity.model, emptied),
            )
        }
        gone = [Result.of(key, outcomes[id_]) for key, id_ in ids.items()]
        return results + self._followed(open_, gone)

    def _followed(self, rows: pl.DataFrame, results: list[Result]) -> list[Result]:
        """Lets the open deliveries of the orders follow the new quantities; what fails there fails its lines."""
        orders = self._orders_of(rows[KEY].to_list())
        by_order = bound_of(self.context, "orders", set(orders.values()))
        errors = {
            outcome.key: outcome for outcome in follow_quantities(self.session, [*by_order.values()]) if not outcome.ok
        }
        return [
            Result.of(result.key, errors[id_])
            if result.state == DONE and (id_ := by_order.get(orders.get(result.key, ""), 0)) in errors
            else result
            for result in results
        ]

    def _orders_of(self, lines: list[str]) -> dict[str, str]:
        """Key of the order by key of the line."""
        staged = STAGING[self.entity.name]
        with self.context.warehouse.transaction() as tx:
            return dict(tx.read(sa.select(staged.c.key, staged.c.order).where(any_of(staged.c.key, lines))).iter_rows())

    def _open(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Result]]:
        """The rows whose order may still be changed, and why the others wait."""
        orders = self._orders_of(rows[KEY].to_list())
        ids = bound_of(self.context, "orders", set(orders.values()))
        reasons = settled_orders(self.session, ids.values())
        waiting = {key: reasons[ids[order]] for key, order in orders.items() if ids.get(order) in reasons}
        return rows.filter(~pl.col(KEY).is_in(list(waiting))), [held(key, reason) for key, reason in waiting.items()]


def settled_orders(session: OdooSession, ids: Iterable[int]) -> dict[int, str]:
    """The orders among these that are not to be changed any more, and why."""
    orders = read(session, "sale.order", ids, ["state", "name", "invoice_ids"])
    model = session.features.model("invoice")
    invoices = read(
        session, model, {id_ for row in orders.values() for id_ in row["invoice_ids"]}, ["state", "display_name"]
    )
    reasons = {}
    for id_, row in orders.items():
        posted = [
            str(invoices[each]["display_name"])
            for each in row["invoice_ids"]
            if each in invoices and invoices[each]["state"] not in ("draft", "cancel")
        ]
        if row["state"] == "cancel":
            reasons[id_] = f"the order {row['name']} is cancelled in UniERP: change another order, or make a new one"
        elif posted:
            reasons[id_] = (
                f"the order {row['name']} is invoiced ({', '.join(posted)}): credit the invoice in UniERP, or take the "
                "change back in the shop"
            )
    return reasons
