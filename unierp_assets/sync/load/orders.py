"""How orders are made with their lines, and confirmed or cancelled once their totals agree."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.money import AMOUNT, shown
from unierp_assets.entities.orders import DOCUMENT_STATES, ORDER_LINES
from unierp_assets.entities.spec import KEY
from unierp_assets.odoo import (
    Outcome,
    bindings,
    cancel_orders,
    confirm_orders,
    load,
    read,
    values,
)
from unierp_assets.sync.compare.merge import TO_UNIERP
from unierp_assets.sync.load.applier import Result, held
from unierp_assets.sync.load.codec import Codec, external_name
from unierp_assets.sync.load.reversal import take_back
from unierp_assets.sync.load.sales import DOCUMENT_BATCH, Sales
from unierp_assets.sync.memory.state import FAILED, any_of, bound_ids
from unierp_assets.warehouse.tables import ACCEPTED, STAGING


class Orders(Sales):
    """Sales orders with their lines, confirmed or cancelled as the shop says, once their totals agree."""

    def create(self) -> list[Result]:
        rows = self.plan.creates
        if rows.is_empty():
            return []
        results, loaded = self._draft(rows)
        return results + self._advance(rows.filter(pl.col(KEY).is_in(list(loaded))), loaded)

    def update(self) -> list[Result]:
        rows = self.plan.updates
        written = self.write(rows, leave_out=["state"])
        broken = {result.key for result in written if result.state == FAILED}
        ids = {result.key: result.odoo_id for result in written if result.odoo_id and result.key not in broken}
        moving = rows.filter(pl.col(KEY).is_in(list(ids)) & pl.col(TO_UNIERP).list.contains("state"))
        advanced = self._advance(self._with_totals(moving), ids)
        moved = {result.key for result in advanced}
        return [result for result in written if result.key not in moved] + advanced

    def _with_totals(self, rows: pl.DataFrame) -> pl.DataFrame:
        staged = STAGING[self.entity.name]
        with self.context.warehouse.transaction() as tx:
            totals = tx.read(
                sa.select(staged.c.key, staged.c.total, staged.c.tax_total).where(
                    any_of(staged.c.key, rows[KEY].to_list())
                )
            )
        return rows.join(totals, on=KEY)

    def _draft(self, rows: pl.DataFrame) -> tuple[list[Result], dict[str, int]]:
        """Creates quotations with all their lines in one transaction each batch."""
        lines, ids = self._lines(rows[KEY].to_list())
        head_fields = [field for field in self.loaded_fields if field.name != "state"]
        line_codec = Codec(ORDER_LINES, self.session, self.context.lookups)
        line_fields = [field for field in ORDER_LINES.synced if field.name not in ("order", "variant")]
        has_flag = self.session.features.has("sale.order.line", "is_delivery")
        columns = [
            "id",
            *(self.codec.column(field) for field in head_fields),
            "order_line/id",
            "order_line/product_id/.id",
            *(f"order_line/{line_codec.column(field)}" for field in line_fields),
            *(["order_line/is_delivery"] if has_flag else []),
        ]
        results: list[Result] = []
        cells: list[list[Any]] = []
        keys: list[str] = []
        for row in rows.iter_rows(named=True):
            key = row[KEY]
            own = lines.get(key, [])
            if not own:
                results.append(held(key, "none of its lines passed the gate"))
                continue
            unknown = [
                f"{target} {line[name]}"
                for name, target in (("variant", "variants"), ("tax", "taxes"))
                for line in own
                if line[name] and line[name] not in ids[target]
            ]
            if unknown:
                results.append(held(key, f"waits for {', '.join(sorted(set(unknown)))}, not in UniERP yet"))
                continue
            head = [self.external_id(key), *(self._head_cell(field.name, row) for field in head_fields)]
            for number, line in enumerate(own):
                product = ids["variants"][line["variant"]] if line["variant"] else self.shipping
                cells.append(
                    [
                        *(head if number == 0 else [None] * len(head)),
                        f"{self.context.namespace}.{external_name(ORDER_LINES.name, line[KEY])}",
                        product,
                        *(line_codec.cell(field, line[field.name], ids) for field in line_fields),
                        *([line["kind"] == "shipping"] if has_flag else []),
                    ]
                )
                keys.append(key)
        loaded: dict[str, int] = {}
        outcomes: list[Outcome[str]] = load(
            self.session, self.entity.model, columns, cells, keys=keys, batch=DOCUMENT_BATCH
        )
        for outcome in outcomes:
            if outcome.ok and outcome.id:
                loaded[outcome.key] = outcome.id
            else:
                results.append(Result.of(outcome.key, outcome))
        return results, loaded

    def _head_cell(self, name: str, row: Mapping[str, Any]) -> Any:
        field = self.entity[name]
        if row[name] is None and field.target == "addresses":
            return self.plan.ids["customers"][row["customer"]]
        return self.codec.cell(field, row[name], self.plan.ids)

    def _lines(self, orders: list[str]) -> tuple[dict[str, list[dict[str, Any]]], dict[str, dict[str, int]]]:
        staged = STAGING[ORDER_LINES.name]
        with self.context.warehouse.transaction() as tx:
            rows = tx.read(
                sa.select(staged)
                .where(any_of(staged.c.order, orders), staged.c._status == ACCEPTED)
                .order_by(staged.c.order, staged.c.position)
            )
            ids = {
                "variants": bound_ids(tx, "variants", rows["variant"].drop_nulls().unique().to_list()),
                "taxes": bound_ids(tx, "taxes", rows["tax"].drop_nulls().unique().to_list()),
            }
        lines: dict[str, list[dict[str, Any]]] = {}
        for row in rows.iter_rows(named=True):
            lines.setdefault(row["order"], []).append(row)
        return lines, ids

    def _advance(self, rows: pl.DataFrame, ids: Mapping[str, int]) -> list[Result]:
        """Cancels what the shop cancelled; compares the totals UniERP computed with the shop's and confirms what
        agrees, or is off by no more than may be adjusted."""
        computed = read(self.session, self.entity.model, ids.values(), ["amount_total", "amount_tax", "state"])
        reasons = self._disagreements(rows, ids, computed)
        results: list[Result] = []
        confirm: dict[int, str] = {}
        cancel: dict[int, str] = {}
        dates = {}
        for row in rows.iter_rows(named=True):
            key, id_ = row[KEY], ids[row[KEY]]
            if row["state"] == "cancelled":
                cancel[id_] = key
            elif key in reasons:
                results.append(held(key, reasons[key], id_))
            elif row["state"] == "confirmed":
                confirm[id_] = key
                dates[id_] = row["ordered_at"]
            elif id_ in computed and computed[id_]["state"] not in QUOTATION:
                # Nothing that was confirmed becomes a quotation again by itself: goods and invoices may be out.
                state = DOCUMENT_STATES.get(computed[id_]["state"], computed[id_]["state"])
                reason = (
                    f"it is {state} in UniERP and {row['state']} in the shop: cancel it in the shop, or set it back"
                )
                results.append(held(key, reason, id_))
            else:
                results.append(Result(key, id_))
        self.context.on_step("confirm", self.entity.name)
        refused = take_back(self.context, cancel, "the order was cancelled") if cancel else {}
        outcomes = confirm_orders(self.session, list(confirm), dates=dates)
        outcomes += cancel_orders(self.session, [id_ for id_ in cancel if id_ not in refused])
        outcomes += [Outcome(id_, id_, error, changed=False) for id_, error in refused.items()]
        by_id = confirm | cancel
        return results + [
            Result(
                by_id[outcome.key], outcome.key, *(() if outcome.ok else (FAILED, str(outcome.error), outcome.error))
            )
            for outcome in outcomes
        ]

    def _disagreements(
        self, rows: pl.DataFrame, ids: Mapping[str, int], computed: Mapping[int, Mapping[str, Any]]
    ) -> dict[str, str]:
        """Why orders may not be confirmed, by key: UniERP's amounts are further off from the shop's than the order, or
        a line of it, may be adjusted."""
        limits = self.context.limits
        found: dict[str, str] = {}
        off: list[str] = []
        for row in rows.filter(pl.col("state") != "cancelled").iter_rows(named=True):
            record = computed.get(ids[row[KEY]])
            if record is None:
                continue
            amounts = [
                ("tax_total", record["amount_tax"], row["tax_total"]),
                ("total", record["amount_total"], row["total"]),
            ]
            if reason := disagreement(amounts, limits.order):
                found[row[KEY]] = reason
            elif disagreement(amounts, Decimal(0)):
                off.append(row[KEY])
        return found | self._disagreements_of_lines(off)

    def _disagreements_of_lines(self, orders: list[str]) -> dict[str, str]:
        lines, _ = self._lines(orders) if orders else ({}, {})
        names = {external_name(ORDER_LINES.name, line[KEY]): line for own in lines.values() for line in own}
        there = bindings(self.session, self.context.namespace, model=ORDER_LINES.model, names=list(names))
        computed = read(self.session, ORDER_LINES.model, there.values(), ["price_tax", "price_total"])
        found: dict[str, str] = {}
        for name, id_ in there.items():
            line, record = names[name], computed.get(id_)
            if record is None:
                continue
            amounts = [
                ("tax_amount", record["price_tax"], line["tax_amount"]),
                ("total", record["price_total"], line["total"]),
            ]
            if reason := disagreement(amounts, self.context.limits.line):
                found.setdefault(line["order"], f"line {line['position']}: {reason}")
        return found


QUOTATION = ("draft", "sent")


def disagreement(amounts: Iterable[tuple[str, Any, Decimal]], limit: Decimal) -> str | None:
    """What is further off than the limit: of name, UniERP's amount and the shop's; None where nothing is."""
    parts = [
        f"{name} is {shown(found)} in UniERP and {shown(ours)} in the shop"
        for name, theirs, ours in amounts
        if abs((found := values.decimal(theirs, AMOUNT)) - ours) > limit
    ]
    return "; ".join(parts) or None
