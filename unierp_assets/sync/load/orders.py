"""How orders are made with their lines, and confirmed or cancelled once their totals agree."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.orders import ORDER_LINES
from unierp_assets.entities.spec import KEY
from unierp_assets.odoo import (
    Outcome,
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
        """Compares the totals UniERP computed with the shop's, then confirms or cancels what agrees."""
        computed = read(self.session, self.entity.model, ids.values(), ["amount_total", "amount_tax"])
        results: list[Result] = []
        confirm: dict[int, str] = {}
        cancel: dict[int, str] = {}
        dates = {}
        for row in rows.iter_rows(named=True):
            key, id_ = row[KEY], ids[row[KEY]]
            reason = disagreement(computed[id_], row["total"], row["tax_total"]) if id_ in computed else None
            if reason:
                results.append(held(key, reason, id_))
            elif row["state"] == "confirmed":
                confirm[id_] = key
                dates[id_] = row["ordered_at"]
            elif row["state"] == "cancelled":
                cancel[id_] = key
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


def disagreement(record: Mapping[str, Any], total: Decimal, tax: Decimal) -> str | None:
    """Why a document of UniERP may not go on: its amounts differ from the shop's. None where they are equal."""
    found = values.decimal(record["amount_tax"], 2), values.decimal(record["amount_total"], 2)
    parts = [
        f"{name} is {theirs} in UniERP and {ours} in the shop"
        for name, theirs, ours in (("tax_total", found[0], tax), ("total", found[1], total))
        if theirs != ours
    ]
    return "; ".join(parts) or None
