"""How orders, shipments, invoices and payments are made and advanced in UniERP.

Every document is looked at before it is acted on (see :mod:`unierp_assets.odoo.documents`), so that a step whose answer
was lost is not taken twice. A document whose amounts differ from the shop's by a cent is held, never posted.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities.orders import ORDER_LINES
from unierp_assets.entities.spec import KEY
from unierp_assets.odoo import (
    Invoice,
    OdooError,
    OdooSession,
    Outcome,
    Payment,
    Shipment,
    cancel_orders,
    confirm_orders,
    deliver,
    follow_quantities,
    invoice_orders,
    load,
    post_invoices,
    read,
    register_payments,
    search_read,
    unlink,
    values,
    write_changed,
)
from unierp_assets.sync.applier import DONE, Applier, Result, held, raise_first
from unierp_assets.sync.codec import Codec, external_name
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.merge import TO_UNIERP
from unierp_assets.sync.reversal import take_back
from unierp_assets.sync.state import FAILED, any_of, bound_ids
from unierp_assets.warehouse.tables import ACCEPTED, STAGING

DOCUMENT_BATCH = 50
"""Orders and their documents per call: Odoo needs a fifth less time for each than by 20, and by 100 little less than
by 50. What is refused is found by halves."""


class Sales(Applier):
    """What orders and their lines share: the service that stands for shipping."""

    @cached_property
    def shipping(self) -> int:
        """The service that stands for shipping on orders and invoices; made at its first use."""
        known = self.ids_of(["shipping"], "services")
        if not known:
            name = f"{self.context.namespace}.{external_name('services', 'shipping')}"
            (outcome,) = load(  # type: ignore[var-annotated]
                self.session,
                "product.product",
                ["id", "name", "default_code", "type", "invoice_policy", "taxes_id/.id"],
                [[name, "Shipping", "SHIPPING", "service", "order", None]],
            )
            if outcome.error:
                raise outcome.error
            known = {"shipping": outcome.id or 0}
        return known["shipping"]


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


def bound_of(context: SyncContext, entity: str, keys: Collection[str]) -> dict[str, int]:
    """Database ids by key."""
    with context.warehouse.transaction() as tx:
        return bound_ids(tx, entity, keys)


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


class Shipments(Applier):
    """Deliveries of what the shop says has left, each once, with carrier and tracking number."""

    def create(self) -> list[Result]:
        return self._deliver(self.plan.creates, self.plan.ids["orders"])

    def update(self) -> list[Result]:
        """Writes changed dates and tracking numbers. What has not left yet, or may have been left half-way by an
        interrupted run, is delivered: a transfer becomes done by moving goods, never by writing its state."""
        rows = self.plan.updates
        lagging = rows.filter(pl.col(TO_UNIERP).list.contains("state"))[KEY].to_list()
        unfinished = self.unremembered(rows[KEY].to_list()) | set(lagging)
        return self._again(unfinished) + self.write(rows.filter(~pl.col(KEY).is_in(list(unfinished))))

    def resume(self, keys: list[str]) -> list[Result]:
        return self._again(self.unremembered(keys))

    def _again(self, keys: set[str]) -> list[Result]:
        """The same call finds where it stopped."""
        rows, orders, waiting = self.staged(keys, "order", "orders")
        return waiting + self._deliver(rows, orders)

    def _deliver(self, rows: pl.DataFrame, orders: Mapping[str, int]) -> list[Result]:
        if rows.is_empty():
            return []
        contents = {row[KEY]: _contents(row["contents"]) for row in rows.iter_rows(named=True)}
        lines = self.ids_of({line for content in contents.values() for line in content}, ORDER_LINES.name)
        results: list[Result] = []
        shipments: list[Shipment] = []
        keys: dict[str, str] = {}
        for row in rows.sort("shipped_at").iter_rows(named=True):
            key = row[KEY]
            unknown = sorted(line for line in contents[key] if line not in lines)
            if unknown or not contents[key]:
                reason = f"waits for order lines {', '.join(unknown)}" if unknown else "it has no contents"
                results.append(held(key, reason))
                continue
            name = external_name(self.entity.name, key)
            keys[name] = key
            shipments.append(
                Shipment(
                    key=name,
                    order_id=orders[row["order"]],
                    shipped_at=row["shipped_at"],
                    quantities={lines[line]: quantity for line, quantity in contents[key].items()},
                    tracking_number=row["tracking_number"],
                    carrier=row["carrier"],
                )
            )
        outcomes = deliver(self.session, self.context.namespace, shipments)
        return results + [Result.of(keys[outcome.key], outcome) for outcome in outcomes]


def _contents(text: str | None) -> dict[str, Decimal]:
    pairs = (part.split(":") for part in text.split(",")) if text else ()
    return {line: Decimal(quantity) for line, quantity in pairs}


class Invoices(Applier):
    """Customer invoices of orders, posted once their totals agree."""

    def create(self) -> list[Result]:
        rows = self.plan.creates
        if rows.is_empty():
            return []
        self._book_taxes()
        keys = {external_name(self.entity.name, row[KEY]): row[KEY] for row in rows.iter_rows(named=True)}
        drafts = invoice_orders(
            self.session,
            self.context.namespace,
            [
                Invoice(
                    key=external_name(self.entity.name, row[KEY]),
                    order_id=self.plan.ids["orders"][row["order"]],
                    invoice_date=row["invoice_date"],
                    reference=row["reference"],
                    payment_reference=row["reference"],
                    total=row["total"],
                )
                for row in rows.iter_rows(named=True)
            ],
        )
        made = {outcome.id: keys[outcome.key] for outcome in drafts if outcome.ok and outcome.id}
        results = [_not_made(keys[outcome.key], outcome) for outcome in drafts if not outcome.ok]
        return results + self._post(made)

    def update(self) -> list[Result]:
        """Posts drafts that an interrupted run left behind; those whose totals differ were held by the plan."""
        ids = {id_: key for key, id_ in self.ids_of(self.plan.updates[KEY].to_list()).items()}
        return self._post(ids)

    def _post(self, ids: Mapping[int, str]) -> list[Result]:
        self.context.on_step("post", self.entity.name)
        return [Result.of(ids[outcome.key], outcome) for outcome in post_invoices(self.session, list(ids))]

    def _book_taxes(self) -> None:
        """Lets our taxes post to the account that the company's own sales taxes use; a tax without one would add to
        the revenue."""
        features = self.session.features
        model = "account.tax.repartition.line"
        sides = [name for name in ("tax_id", "invoice_tax_id", "refund_tax_id") if features.has(model, name)]
        with self.context.warehouse.transaction() as tx:
            staged = STAGING["taxes"]
            ours = set(bound_ids(tx, "taxes", tx.read(sa.select(staged.c.key))[KEY].to_list()).values())
        lines = list(search_read(self.session, model, [("repartition_type", "=", "tax")], [*sides, "account_id"]))
        tax_of = {line["id"]: next((values.ref(line[side]) for side in sides if line[side]), None) for line in lines}
        accounts = [
            values.ref(line["account_id"]) for line in lines if line["account_id"] and tax_of[line["id"]] not in ours
        ]
        unbooked = [line["id"] for line in lines if not line["account_id"] and tax_of[line["id"]] in ours]
        if not accounts or not unbooked:
            return
        account = max(set(accounts), key=accounts.count)
        raise_first(write_changed(self.session, model, {id_: {"account_id": account} for id_ in unbooked}))


def _not_made(key: str, outcome: Any) -> Result:
    # A draft whose total differs exists, but is not for posting: somebody has to look at it.
    error: OdooError = outcome.error
    return held(key, str(error), outcome.id) if outcome.id else Result.of(key, outcome)


class Payments(Applier):
    """Payments registered against the invoices of their orders."""

    def create(self) -> list[Result]:
        return self._register(self.plan.creates, self.plan.ids.get("invoices", {}))

    def update(self) -> list[Result]:
        """Posts and reconciles what an interrupted run left unfinished: the same call finds where it stopped."""
        return self._again(self.plan.updates[KEY].to_list())

    def resume(self, keys: list[str]) -> list[Result]:
        """A payment that is posted may not be reconciled yet."""
        return self._again(self.unremembered(keys))

    def _again(self, keys: Collection[str]) -> list[Result]:
        rows, invoices, waiting = self.staged(keys, "invoice", "invoices")
        return waiting + self._register(rows, invoices)

    def _register(self, rows: pl.DataFrame, invoices: Mapping[str, int]) -> list[Result]:
        keys = {external_name(self.entity.name, key): key for key in rows[KEY].to_list()}
        outcomes = register_payments(
            self.session,
            self.context.namespace,
            [
                Payment(
                    key=external_name(self.entity.name, row[KEY]),
                    invoice_id=invoices[row["invoice"]],
                    amount=row["amount"],
                    currency=row["currency"],
                    date=row["paid_on"],
                    reference=row["reference"] or f"{self.context.namespace} {row[KEY]}",
                )
                for row in rows.sort("paid_on").iter_rows(named=True)
            ],
        )
        return [Result.of(keys[outcome.key], outcome) for outcome in outcomes]
