"""A small shop in a real Odoo, for the tests of the client library: products, customers, orders, and lost answers.

Here belongs what several of those tests need to begin with. What they prove stays with them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from unierp_assets.odoo import OdooAnswerLost, OdooSession, failed, load, search_read
from unierp_assets.odoo.transport import Transport

PLACED = datetime(2024, 3, 1, 12, 30, tzinfo=UTC)
SHIPPED = datetime(2024, 3, 4, 8, 15, tzinfo=UTC)


@dataclass(frozen=True)
class Shop:
    """What a test orders from: variants and customers by database id, in a namespace of its own."""

    session: OdooSession
    namespace: str
    variants: list[int]
    customers: list[int]
    location: int

    def orders(self, count: int, tag: str, *, lines: int = 3, pricelist: int | None = None) -> list[int]:
        """Draft orders ``namespace.tag0`` ...: line n has quantity n + 1 at 9.99 + n, without tax."""
        session = self.session
        tax = session.features.field("sale.order.line", "tax")
        columns = ["id", "partner_id/.id", "client_order_ref", "date_order"]
        columns += ["pricelist_id/.id"] if pricelist else []
        columns += [f"order_line/{name}" for name in ("product_id/.id", "product_uom_qty", "price_unit", f"{tax}/.id")]
        rows: list[Sequence[Any]] = []
        keys: list[int] = []
        for number in range(count):
            head: list[Any] = [
                f"{self.namespace}.{tag}{number}",
                self.customers[number % len(self.customers)],
                f"{tag}{number}",
                PLACED,
            ]
            head += [pricelist] if pricelist else []
            for line in range(lines):
                variant = self.variants[(number + line) % len(self.variants)]
                rows.append([*head, variant, line + 1, Decimal("9.99") + line, None])
                keys.append(number)
        outcomes = load(session, "sale.order", columns, rows, keys=keys, batch=20)
        assert not failed(outcomes), failed(outcomes)
        return [outcome.id for outcome in outcomes if outcome.id is not None]

    def lines(self, order: int) -> list[int]:
        """The ids of an order's lines, in order."""
        rows = search_read(self.session, "sale.order.line", [["order_id", "=", order]], ["id"])
        return [row["id"] for row in rows]

    def one(self, model: str, id_: int, *fields: str) -> dict[str, Any]:
        (row,) = self.session.call(model, "read", [id_], list(fields))
        return dict(row)


def open_shop(session: OdooSession, namespace: str, size: int = 6) -> Shop:
    """Makes ``size`` storable products without tax, and as many customers."""
    storable = session.features.values("storable")
    columns = ["id", "name", "list_price", *storable, "taxes_id/.id"]
    rows = [[f"{namespace}.t{n}", f"Product {n}", Decimal(10), *storable.values(), None] for n in range(size)]
    products = load(session, "product.template", columns, rows)
    people = load(
        session,
        "res.partner",
        ["id", "name", "email"],
        [[f"{namespace}.c{n}", f"Customer {n}", f"customer{n}@example.com"] for n in range(size)],
    )
    assert not failed([*products, *people])
    found = search_read(
        session, "product.product", [["product_tmpl_id", "in", [p.id for p in products]]], ["product_tmpl_id"]
    )
    (warehouse,) = session.call("stock.warehouse", "search_read", [], ["lot_stock_id"], limit=1)
    return Shop(
        session,
        namespace,
        [row["id"] for row in found],
        [person.id for person in people if person.id is not None],
        warehouse["lot_stock_id"][0],
    )


def euros(session: OdooSession) -> int:
    """A price list in EUR, with rates of three days; its id. The company's currency is USD."""
    (eur,) = session.call("res.currency", "search", [["name", "=", "EUR"]], context={"active_test": False})
    session.call("res.currency", "write", [eur], {"active": True})
    for day, rate in (("2024-01-01", 0.9), ("2024-04-02", 0.8), ("2024-04-20", 0.95)):
        if not session.call("res.currency.rate", "search", [["currency_id", "=", eur], ["name", "=", day]]):
            session.call("res.currency.rate", "create", [{"currency_id": eur, "name": day, "rate": rate}])
    lists = session.call("product.pricelist", "search", [["name", "=", "Euro"]])
    return int(
        lists[0] if lists else session.call("product.pricelist", "create", [{"name": "Euro", "currency_id": eur}])[0]
    )


@contextmanager
def losing(monkeypatch: pytest.MonkeyPatch, *methods: str) -> Iterator[list[str]]:
    """The first answer of each ``model.method`` is lost after the server has done it; yields those lost so far."""
    lost: list[str] = []
    rpc = Transport.rpc

    def cut(self: Transport, service: str, name: str, args: list[Any], **kwargs: Any) -> Any:
        answer = rpc(self, service, name, args, **kwargs)
        method = f"{args[3]}.{args[4]}" if service == "object" else ""
        if method in methods and method not in lost:
            lost.append(method)
            raise OdooAnswerLost("the connection broke", server=self.server, model=args[3])
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Transport, "rpc", cut)
        yield lost
