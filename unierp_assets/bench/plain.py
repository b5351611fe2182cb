"""The baseline: the script most integrations begin with, one record and one call at a time.

Everything goes over odoorpc, as its documentation shows: create, confirm, deliver, invoice, post, pay. It asks Odoo to
leave tracking messages out, as ours does, and looks nothing up that it could know.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from unierp_assets.bench.stand import Place

STEPS = ("create", "confirm", "deliver", "invoice", "post", "pay")


@dataclass(frozen=True, slots=True)
class PlainOrder:
    """An order by Odoo's own ids; lines are product, quantity and unit price."""

    number: str
    partner_id: int
    lines: Sequence[tuple[int, Decimal, Decimal]]
    tracking_number: str


@dataclass
class PlainRun:
    """Seconds per step, summed over the orders."""

    orders: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def __add__(self, other: "PlainRun") -> "PlainRun":
        seconds = {step: self.seconds[step] + other.seconds[step] for step in STEPS}
        return PlainRun(self.orders + other.orders, seconds)


class PlainScript:
    """A script that has logged in."""

    def __init__(self, place: Place) -> None:
        import odoorpc

        address = urlsplit(place.odoo_url)
        self._odoo = odoorpc.ODOO(address.hostname, port=address.port, timeout=600)
        self._odoo.login(place.odoo_db, place.login, place.password)
        self._moves_have_done = "quantity_done" in self._call("stock.move", "fields_get", ["quantity_done"], ["type"])

    def ids(self, names: Sequence[str]) -> dict[str, int]:
        """Ids of records by the names of their external ids."""
        rows = self._call("ir.model.data", "search_read", [("name", "in", list(names))], ["name", "res_id"])
        return {row["name"]: row["res_id"] for row in rows}

    def run(self, orders: Sequence[PlainOrder]) -> PlainRun:
        """Makes the orders, each from creation to payment before the next one begins."""
        done = PlainRun(len(orders))

        @contextmanager
        def timed(step: str) -> Iterator[None]:
            begun = time.perf_counter()
            yield
            done.seconds[step] += time.perf_counter() - begun

        for order in orders:
            with timed("create"):
                id_ = self._create(order)
            with timed("confirm"):
                self._call("sale.order", "action_confirm", [id_])
            with timed("deliver"):
                self._deliver(id_, order.tracking_number)
            with timed("invoice"):
                invoices = self._invoice(id_)
            with timed("post"):
                self._call("account.move", "action_post", invoices)
            with timed("pay"):
                self._pay(invoices)
        return done

    def create_each(self, model: str, values: Sequence[Mapping[str, Any]]) -> float:
        """Makes records, a call for each; the seconds it took."""
        begun = time.perf_counter()
        for each in values:
            self._call(model, "create", [each])
        return time.perf_counter() - begun

    def unpaid(self, orders: Sequence[PlainOrder]) -> list[str]:
        """Numbers of the orders that have no paid invoice."""
        rows = self._call(
            "sale.order", "search_read", [("client_order_ref", "in", [o.number for o in orders])],
            ["client_order_ref", "invoice_ids"],
        )  # fmt: skip
        invoices = self._call(
            "account.move", "read", [id_ for row in rows for id_ in row["invoice_ids"]], ["payment_state"]
        )
        paid = {invoice["id"] for invoice in invoices if invoice["payment_state"] in ("paid", "in_payment")}
        done = {row["client_order_ref"] for row in rows if paid.intersection(row["invoice_ids"])}
        return [order.number for order in orders if order.number not in done]

    def _call(self, model: str, method: str, *args: Any, **context: Any) -> Any:
        return self._odoo.execute_kw(model, method, args, {"context": {"tracking_disable": True, **context}})

    def _create(self, order: PlainOrder) -> int:
        lines = [
            (0, 0, {"product_id": product, "product_uom_qty": float(quantity), "price_unit": float(price)})
            for product, quantity, price in order.lines
        ]
        values: Mapping[str, Any] = {
            "partner_id": order.partner_id,
            "client_order_ref": order.number,
            "order_line": lines,
        }
        made = self._call("sale.order", "create", [values])
        return int(made[0])

    def _deliver(self, order: int, tracking_number: str) -> None:
        (row,) = self._call("sale.order", "read", [order], ["picking_ids"])
        for picking in row["picking_ids"]:
            if self._moves_have_done:
                moves = self._call("stock.move", "search_read", [("picking_id", "=", picking)], ["product_uom_qty"])
                for move in moves:
                    self._call("stock.move", "write", [move["id"]], {"quantity_done": move["product_uom_qty"]})
            self._call("stock.picking", "button_validate", [picking], skip_sms=True, skip_backorder=True)
            self._call("stock.picking", "write", [picking], {"carrier_tracking_ref": tracking_number})

    def _invoice(self, order: int) -> list[int]:
        active = {"active_model": "sale.order", "active_ids": [order], "active_id": order}
        wizard = self._call("sale.advance.payment.inv", "create", [{"advance_payment_method": "delivered"}], **active)
        self._call("sale.advance.payment.inv", "create_invoices", wizard, **active)
        (row,) = self._call("sale.order", "read", [order], ["invoice_ids"])
        return list(row["invoice_ids"])

    def _pay(self, invoices: list[int]) -> None:
        active = {"active_model": "account.move", "active_ids": invoices, "dont_redirect_to_payments": True}
        wizard = self._call("account.payment.register", "create", [{}], **active)
        self._call("account.payment.register", "action_create_payments", wizard, **active)
