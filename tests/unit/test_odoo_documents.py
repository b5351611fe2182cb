"""Document steps on the generations that cannot be started here (13 and 12), and the arithmetic of reconciliation.

The servers' answers are written down from the call sequences observed on real ones; what is checked is which calls are
made, with what, and which are left out because the states say that they were made before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odoo_fake import FakeOdoo, recorded_fields, running

from unierp_assets.odoo import (
    Credit,
    Invoice,
    OdooSession,
    OdooUnsupported,
    OdooValidationError,
    Payment,
    Return,
    Shipment,
    StockLevel,
    StockRow,
    cancel_orders,
    confirm_orders,
    credit_invoices,
    deliver,
    failed,
    invoice_orders,
    post_invoices,
    register_payments,
    return_deliveries,
    set_stock,
    stock_levels,
    withdraw_payments,
)
from unierp_assets.odoo.documents.matching import components, plan_matches
from unierp_assets.odoo.documents.quantities import spread
from unierp_assets.odoo.documents.returns import Goods, still_out

WHEN = datetime(2024, 3, 1, 12, tzinfo=UTC)
READS = ("fields_get", "search_read", "search", "read")


class Server(FakeOdoo):
    """A generation with records in memory: enough of ``search_read``, ``write``, ``create`` and external ids."""

    def __init__(self, version: int) -> None:
        super().__init__(fields=recorded_fields(version))
        self.records: dict[str, dict[int, dict[str, Any]]] = {}
        self.next_id = 1000
        for model in ("ir.model.data", *self.fields):
            self.on[model, "search_read"] = self._search_read(model)
            self.on[model, "search"] = self._search(model)
            self.on[model, "write"] = self._write(model)
            self.on[model, "create"] = self._create(model)
            self.on[model, "load"] = self._load(model)
        self.on["res.users", "read"] = lambda *_: [{"id": 2, "company_id": [1, "Us"]}]
        self.on["res.company", "read"] = lambda *_: [
            {"id": 1, "name": "Us", "currency_id": [1, "EUR"], "country_id": False}
        ]

    def add(self, table: str, id_: int, /, **values: Any) -> None:
        self.records.setdefault(table, {})[id_] = {"id": id_, **values}

    def get(self, model: str, id_: int, name: str) -> Any:
        return self.records[model][id_][name]

    def writes(self) -> list[str]:
        return [f"{model}.{method}" for model, method, _, _ in self.calls if method not in READS]

    def _matching(self, model: str, domain: list[Any]) -> list[dict[str, Any]]:
        def plain(value: Any) -> Any:
            return value[0] if isinstance(value, list) and len(value) == 2 and isinstance(value[1], str) else value

        def holds(row: dict[str, Any], name: str, sign: str, wanted: Any) -> bool:
            if "." in name or name not in row:
                return True
            value = plain(row[name])
            tests = {"=": value == wanted, "!=": value != wanted}
            if sign in ("in", "not in"):
                return (value in wanted) == (sign == "in")
            return value > wanted if sign == ">" else tests[sign]

        rows = self.records.get(model, {}).values()
        return [row for row in rows if all(holds(row, *leaf) for leaf in domain)]

    def _search_read(self, model: str) -> Any:
        def answer(domain: list[Any], fields: list[str], limit: int | None = None, order: str = "id") -> Any:
            return [{"id": r["id"], **{f: r.get(f, False) for f in fields}} for r in self._matching(model, domain)][
                :limit
            ]

        return answer

    def _search(self, model: str) -> Any:
        return lambda domain, limit=None, order="id": [row["id"] for row in self._matching(model, domain)][:limit]

    def _write(self, model: str) -> Any:
        def answer(ids: list[int], values: dict[str, Any]) -> bool:
            for id_ in ids:
                self.records[model][id_].update(values)
            return True

        return answer

    def _create(self, model: str) -> Any:
        def answer(many: list[dict[str, Any]]) -> list[int]:
            ids = []
            for values in many:
                self.next_id += 1
                self.add(model, self.next_id, **values)
                ids.append(self.next_id)
            return ids

        return answer

    def _load(self, model: str) -> Any:
        """Plain columns only; many2one cells become ids."""

        def answer(columns: list[str], rows: list[list[str]]) -> dict[str, Any]:
            ids = []
            for row in rows:
                cells = dict(zip(columns, row, strict=True))
                if ".id" in cells:
                    id_ = int(cells.pop(".id"))
                elif cells["id"]:
                    self.next_id += 1
                    id_ = self.next_id
                    module, name = cells.pop("id").split(".")
                    self.add(model, id_)
                    self.add("ir.model.data", id_, module=module, name=name, model=model, res_id=id_)
                else:
                    continue
                values = {
                    name.removesuffix("/.id"): int(v) if name.endswith("/.id") and v.isdigit() else v
                    for name, v in cells.items()
                }
                self.records[model][id_].update(values)
                ids.append(id_)
            return {"ids": ids, "messages": []}

        return answer


@contextmanager
def generation(version: int) -> Iterator[tuple[Server, OdooSession]]:
    server = Server(version)
    with running(server), server.session() as session:
        yield server, session


# orders


@pytest.mark.parametrize("version", [13, 12])
def test_a_confirmed_order_keeps_the_date_it_was_placed(version: int) -> None:
    with generation(version) as (server, session):
        for id_ in (1, 2):
            server.add("sale.order", id_, state="draft", date_order="2024-03-01 12:00:00")
        server.add("sale.order", 3, state="sale", date_order="2024-02-01 12:00:00")
        server.add("sale.order", 4, state="cancel", date_order="2024-02-01 12:00:00")

        def action_confirm(ids: list[int]) -> bool:
            for id_ in ids:
                now = {} if version == 12 else {"date_order": "2026-01-01 00:00:00"}
                server.records["sale.order"][id_].update(state="sale", **now)
            return True

        server.on["sale.order", "action_confirm"] = action_confirm
        outcomes = confirm_orders(session, [1, 2, 3, 4, 5], dates={1: WHEN, 3: WHEN})
        assert [outcome.ok for outcome in outcomes] == [True, True, True, False, False]
        assert [server.get("sale.order", id_, "date_order") for id_ in (1, 2, 3)] == ["2024-03-01 12:00:00"] * 3
        before = len(server.writes())
        again = confirm_orders(session, [1, 2, 3], dates={1: WHEN, 3: WHEN})
        assert not any(outcome.changed for outcome in again)
        assert len(server.writes()) == before


def test_an_order_that_stays_a_draft_is_reported() -> None:
    with generation(13) as (server, session):
        server.add("sale.order", 1, state="draft", date_order="2024-03-01 12:00:00")
        server.on["sale.order", "action_confirm"] = lambda ids: {"type": "ir.actions.act_window"}
        (outcome,) = confirm_orders(session, [1])
        assert "did not become confirmed" in str(outcome.error)


def test_an_order_with_goods_or_invoices_out_is_not_cancelled() -> None:
    with generation(12) as (server, session):
        for id_, state in ((1, "sale"), (2, "done"), (3, "sale"), (4, "cancel")):
            server.add("sale.order", id_, state=state, picking_ids=[id_], invoice_ids=[id_])
            server.add("stock.picking", id_, state="done" if id_ == 1 else "assigned", name=f"OUT{id_}")
            invoice = {"state": "open" if id_ == 3 else "draft", "display_name": f"INV{id_}", "amount_total": 9.0}
            server.add("account.invoice", id_, type="out_invoice", **invoice)
        server.add("sale.order.line", 1, order_id=[1, "SO"], qty_delivered_method="stock_move", qty_delivered=2.0)

        def act(state: str) -> Any:
            def answer(ids: list[int]) -> bool:
                for id_ in ids:
                    server.records["sale.order"][id_]["state"] = state
                return True

            return answer

        server.on["sale.order", "action_cancel"] = act("cancel")
        server.on["sale.order", "action_unlock"] = act("sale")
        outcomes = cancel_orders(session, [1, 2, 3, 4, 5])
        assert [outcome.ok for outcome in outcomes] == [False, True, False, True, False]
        assert [outcome.changed for outcome in outcomes] == [False, True, False, False, False]
        assert "OUT1 are done" in str(outcomes[0].error)
        assert "INV3 are done" in str(outcomes[2].error)
        assert server.writes() == ["sale.order.action_unlock", "sale.order.action_cancel"]


def test_an_order_that_came_back_and_was_credited_is_cancelled() -> None:
    with generation(13) as (server, session):
        for id_, credited in ((1, 9.0), (2, 8.5)):
            server.add("sale.order", id_, state="sale", picking_ids=[id_], invoice_ids=[id_, id_ + 10])
            server.add("stock.picking", id_, state="done", name=f"OUT{id_}")
            line = {"qty_delivered_method": "stock_move", "qty_delivered": 0.0}
            server.add("sale.order.line", id_, order_id=[id_, "SO"], **line)
            both = {"state": "posted"}
            server.add("account.move", id_, type="out_invoice", amount_total=9.0, display_name="INV", **both)
            server.add("account.move", id_ + 10, type="out_refund", amount_total=credited, display_name="RINV", **both)
        server.on["sale.order", "action_cancel"] = lambda ids: server.on["sale.order", "write"](
            ids, {"state": "cancel"}
        )
        fine, opposed = cancel_orders(session, [1, 2])
        assert (fine.ok, fine.changed) == (True, True)
        assert "INV, RINV are done" in str(opposed.error)


# deliveries


def _transfer(server: Server, id_: int, order: int, moves: dict[int, tuple[int, float, list[int]]]) -> None:
    server.add(
        "stock.picking",
        id_,
        state="assigned",
        sale_id=[order, "SO"],
        date_done=False,
        note=False,
        carrier_id=False,
        carrier_tracking_ref=False,
    )
    for move, (line, quantity, lines) in moves.items():
        server.add(
            "stock.move",
            move,
            picking_id=[id_, "OUT"],
            sale_line_id=[line, "L"],
            state="assigned",
            product_uom_qty=quantity,
            quantity_done=0.0,
            move_line_ids=lines,
        )


@pytest.mark.parametrize("version", [13, 12])
def test_a_shipment_is_booked_on_old_servers_by_action_done(version: int) -> None:
    with generation(version) as (server, session):
        server.add("sale.order", 7, state="sale")
        _transfer(server, 1, 7, {11: (71, 2.0, [111]), 12: (72, 5.0, [112, 113])})
        for line, move, reserved in ((112, 12, 3.0), (113, 12, 2.0)):
            server.add("stock.move.line", line, move_id=[move, "M"], product_uom_qty=reserved)
        server.fields["delivery.carrier"] = {"name": {"type": "char"}}
        server.on["delivery.carrier", "search_read"] = lambda *_, **__: [{"id": 5, "name": "Post"}]

        def action_done(ids: list[int]) -> bool:
            for id_ in ids:
                server.records["stock.picking"][id_].update(state="done", date_done="2026-01-01 00:00:00")
            return True

        server.on["stock.picking", "action_done"] = action_done
        parcel = Shipment("s1", 7, WHEN, {71: Decimal(2), 72: Decimal(4)}, "TRACK", "post")
        (outcome,) = deliver(session, "shop", [parcel])
        assert (outcome.ok, outcome.id, outcome.changed) == (True, 1, True)
        assert server.get("stock.move", 11, "quantity_done") == "2"
        assert [server.get("stock.move.line", id_, "qty_done") for id_ in (112, 113)] == ["3.0", "1.0"]
        transfer = server.records["stock.picking"][1]
        assert (transfer["date_done"], transfer["carrier_tracking_ref"], transfer["carrier_id"]) == (
            "2024-03-01 12:00:00",
            "TRACK",
            5,
        )
        before = len(server.writes())
        (again,) = deliver(session, "shop", [parcel])
        assert (again.id, again.changed, again.ok) == (1, False, True)
        assert len(server.writes()) == before


def test_a_transfer_that_does_not_become_done_is_reported_and_keeps_its_shipment() -> None:
    with generation(13) as (server, session):
        _transfer(server, 1, 7, {11: (71, 2.0, [111])})
        server.on["stock.picking", "action_done"] = lambda ids: True
        (outcome,) = deliver(session, "shop", [Shipment("s1", 7, WHEN)])
        assert outcome.id == 1
        assert "did not become done but assigned" in str(outcome.error)
        assert server.get("ir.model.data", server.next_id, "res_id") == 1


def test_a_shipment_goes_to_the_transfer_that_holds_its_lines() -> None:
    with generation(13) as (server, session):
        _transfer(server, 1, 7, {11: (71, 2.0, [111])})
        _transfer(server, 2, 7, {12: (72, 5.0, [112])})
        server.on["stock.picking", "action_done"] = lambda ids: [
            server.records["stock.picking"][id_].update(state="done") for id_ in ids
        ]
        outcomes = deliver(
            session,
            "shop",
            [Shipment("b", 7, WHEN, {72: Decimal(5)}), Shipment("a", 7, WHEN, {71: Decimal(2)})],
        )
        assert [(outcome.id, outcome.ok) for outcome in outcomes] == [(2, True), (1, True)]


def test_a_shipped_line_without_a_transfer_is_an_error_unless_it_is_a_service() -> None:
    with generation(13) as (server, session):
        for id_ in (1, 2):
            _transfer(server, id_, 6 + id_, {10 + id_: (70 + id_, 2.0, [id_])})
        server.add("sale.order.line", 81, product_id=[5, "Gift wrap"])
        server.add("sale.order.line", 82, product_id=[6, "Chair"])
        server.add("product.product", 5, type="service")
        server.add("product.product", 6, type="product")
        server.on["stock.picking", "action_done"] = lambda ids: [
            server.records["stock.picking"][id_].update(state="done") for id_ in ids
        ]
        service, goods = deliver(
            session,
            "shop",
            [
                Shipment("s1", 7, WHEN, {71: Decimal(2), 81: Decimal(1)}),
                Shipment("s2", 8, WHEN, {72: Decimal(2), 82: Decimal(1)}),
            ],
        )
        assert service.ok
        assert "lines without a move: 82" in str(goods.error)


# invoices and payments


def _order(server: Server, id_: int, state: str = "sale", **values: Any) -> None:
    server.add(
        "sale.order",
        id_,
        state=state,
        name=f"SO{id_}",
        amount_total=20.0,
        order_line=[id_ * 10],
        currency_id=[1, "EUR"],
        partner_invoice_id=[3, "Ada"],
        **{"invoice_ids": [], **values},
    )
    server.add(
        "sale.order.line",
        id_ * 10,
        product_id=[5, "P"],
        name="P",
        product_uom_qty=2.0,
        price_unit=10.0,
        discount=0.0,
        sequence=1,
        display_type=False,
        tax_id=[],
        product_uom=[1, "u"],
    )


def test_odoo_13_invoices_are_loaded_with_its_own_names() -> None:
    with generation(13) as (server, session):
        _order(server, 1)
        _order(server, 2, state="draft")
        _order(server, 3, invoice_ids=[31])
        _order(server, 4, invoice_ids=[41, 42])
        for id_ in (31, 41, 42):
            server.add("account.move", id_, state="posted", type="out_invoice", amount_total=20.0)
        loading = server.on["account.move", "load"]

        def load(columns: list[str], rows: list[list[str]]) -> dict[str, Any]:
            answer = loading(columns, rows)
            for id_ in answer["ids"]:
                server.records["account.move"][id_].update(state="draft", amount_total=20.0)
            return answer

        server.on["account.move", "load"] = load
        wanted = [Invoice(f"i{id_}", id_, date(2024, 3, 2), "R", due_date=date(2024, 4, 2)) for id_ in range(1, 6)]
        outcomes = invoice_orders(session, "shop", wanted)
        assert [outcome.ok for outcome in outcomes] == [True, False, True, False, False]
        assert outcomes[2].id == 31
        ((columns, (row,)),) = server.of("account.move", "load")
        made = dict(zip(columns, row, strict=True))
        assert (made["id"], made["type"], made["invoice_date_due"]) == ("shop.i1", "out_invoice", "2024-04-02")
        assert made["invoice_line_ids/sale_line_ids/.id"] == "10"
        assert made["invoice_line_ids/tax_ids/.id"] == ""
        before = len(server.writes())
        again = invoice_orders(session, "shop", wanted)
        assert [outcome.id for outcome in again] == [outcome.id for outcome in outcomes]
        assert len(server.writes()) == before


def test_odoo_12_invoices_are_made_by_the_orders() -> None:
    with generation(12) as (server, session):
        _order(server, 1)

        def make(ids: list[int], grouped: bool) -> list[int]:
            assert grouped
            for id_ in ids:
                server.add("account.invoice", 100 + id_, state="draft", type="out_invoice", amount_total=20.0)
                server.records["sale.order"][id_]["invoice_ids"] = [100 + id_]
            return ids

        server.on["sale.order", "action_invoice_create"] = make

        def open_(ids: list[int]) -> bool:
            for id_ in ids:
                server.records["account.invoice"][id_]["state"] = "open"
            return True

        server.on["account.invoice", "action_invoice_open"] = open_
        (outcome,) = invoice_orders(
            session, "shop", [Invoice("i1", 1, date(2024, 3, 2), "R", "PAYREF", date(2024, 4, 2))]
        )
        assert (outcome.ok, outcome.id) == (True, 101)
        made = server.records["account.invoice"][101]
        assert (made["date_invoice"], made["name"], made["reference"], made["date_due"]) == (
            "2024-03-02",
            "R",
            "PAYREF",
            "2024-04-02",
        )
        (posted,) = post_invoices(session, [101])
        assert (posted.ok, posted.changed) == (True, True)
        (again,) = post_invoices(session, [101])
        assert (again.ok, again.changed) == (True, False)


def test_odoo_12_orders_with_nothing_to_invoice_say_so() -> None:
    with generation(12) as (server, session):
        _order(server, 1)
        server.on["sale.order", "action_invoice_create"] = lambda *_: []
        (outcome,) = invoice_orders(session, "shop", [Invoice("i1", 1, date(2024, 3, 2))])
        assert "deliver the order first" in str(outcome.error)


def test_invoices_that_cannot_be_posted_are_told_apart() -> None:
    with generation(13) as (server, session):
        server.add("account.move", 1, state="cancel")
        server.add("account.move", 2, state="draft")
        server.on["account.move", "action_post"] = lambda ids: True
        cancelled, stuck, gone = post_invoices(session, [1, 2, 3])
        assert "not posted but cancel" in str(cancelled.error)
        assert "not posted but draft" in str(stuck.error)
        assert "does not exist" in str(gone.error)


@pytest.mark.parametrize(("version", "model"), [(13, "account.move"), (12, "account.invoice")])
def test_old_payments_are_reconciled_by_posting(version: int, model: str) -> None:
    with generation(version) as (server, session):
        state = "posted" if version == 13 else "open"
        server.add(model, 1, state=state, commercial_partner_id=[3, "Ada"])
        server.fields |= {name: {"name": {"type": "char"}} for name in ("res.currency", "account.journal")}
        server.on["res.currency", "search_read"] = lambda *_, **__: [{"id": 1, "name": "EUR"}]
        server.on["account.journal", "search"] = lambda *_, **__: [7]
        server.on["account.payment.method", "search"] = lambda *_, **__: [8]
        loading = server.on["account.payment", "load"]

        def load(columns: list[str], rows: list[list[str]]) -> dict[str, Any]:
            answer = loading(columns, rows)
            for id_ in answer["ids"]:
                server.records["account.payment"][id_]["state"] = "draft"
            return answer

        server.on["account.payment", "load"] = load

        def post(ids: list[int]) -> bool:
            for id_ in ids:
                server.records["account.payment"][id_]["state"] = "posted"
            return True

        server.on["account.payment", "post"] = post
        paid = Payment("p1", 1, Decimal("19.90"), "EUR", date(2024, 3, 3), "TX")
        (outcome,) = register_payments(session, "shop", [paid])
        assert (outcome.ok, outcome.changed) == (True, True)
        ((columns, (row,)),) = server.of("account.payment", "load")
        made = dict(zip(columns, row, strict=True))
        assert made["invoice_ids/.id"] == "1"
        assert made["payment_method_id/.id"] == "8"
        assert (made["amount"], made["communication"], made["payment_date"]) == ("19.90", "TX", "2024-03-03")
        before = len(server.writes())
        (again,) = register_payments(session, "shop", [paid])
        assert (again.id, again.changed) == (outcome.id, False)
        assert len(server.writes()) == before


def test_a_company_without_a_bank_journal_is_told_so() -> None:
    with generation(13) as (server, session):
        server.on["res.currency", "search_read"] = lambda *_, **__: []
        server.on["account.journal", "search"] = lambda *_, **__: []
        with pytest.raises(OdooValidationError, match="no bank journal"):
            register_payments(session, "shop", [Payment("p", 1, Decimal(1), "EUR", date(2024, 3, 3), "TX")])


def test_no_payments_are_no_calls() -> None:
    with generation(13) as (server, session):
        assert register_payments(session, "shop", []) == []
        assert server.calls == []


# stock


@pytest.mark.parametrize("version", [13, 12])
def test_a_count_on_old_servers_is_an_inventory_document(version: int) -> None:
    with generation(version) as (server, session):
        server.add("product.product", 5, uom_id=[2, "dozen"])
        server.add(
            "stock.quant",
            1,
            product_id=[5, "P"],
            location_id=[8, "A"],
            lot_id=False,
            quantity=3.0,
            reserved_quantity=0.0,
        )

        def validate(ids: list[int]) -> bool:
            (id_,) = ids
            for _, _, line in server.records["stock.inventory"][id_]["line_ids"]:
                there = [
                    quant
                    for quant in server.records["stock.quant"].values()
                    if quant["location_id"][0] == line["location_id"]
                ]
                if there:
                    there[0]["quantity"] = line["product_qty"]
                else:
                    server.add(
                        "stock.quant",
                        2,
                        product_id=[5, "P"],
                        location_id=[line["location_id"], "B"],
                        lot_id=False,
                        quantity=line["product_qty"],
                        reserved_quantity=0.0,
                    )
            return True

        server.on["stock.inventory", "action_start"] = lambda ids: True
        server.on["stock.inventory", "action_validate"] = validate
        rows = [StockRow(5, 8, Decimal(7)), StockRow(5, 9, Decimal("2.5"))]
        outcomes = set_stock(session, rows)
        assert [(outcome.key, outcome.ok, outcome.changed) for outcome in outcomes] == [
            ((5, 8, None), True, True),
            ((5, 9, None), True, True),
        ]
        documents = list(server.records["stock.inventory"].values())
        if version == 13:
            (document,) = documents
            assert document["location_ids"] == [[6, 0, [8, 9]]]
        else:
            assert [document["location_id"] for document in documents] == [8, 9]
            assert documents[0]["filter"] == "partial"
        assert documents[0]["line_ids"][0][2] == {
            "product_id": 5,
            "location_id": 8,
            "prod_lot_id": False,
            "product_uom_id": 2,
            "theoretical_qty": 3,
            "product_qty": 7,
        }
        before = len(server.writes())
        assert not any(outcome.changed for outcome in set_stock(session, rows))
        assert len(server.writes()) == before
        levels = list(stock_levels(session, [5], location_ids=[8, 9]))
        assert levels[0] == StockLevel(5, 8, Decimal(7), Decimal(0))


def test_stock_that_does_not_become_what_was_set_is_tried_again_alone_and_then_reported() -> None:
    with generation(13) as (server, session):
        for id_ in (5, 6, 7):
            server.add("product.product", id_, uom_id=[1, "u"])
            server.add("stock.quant", id_, product_id=[id_, "P"], location_id=[8, "A"], lot_id=False, quantity=3.0)

        def validate(ids: list[int]) -> bool:
            for _, _, line in server.records["stock.inventory"][ids[0]]["line_ids"]:
                if line["product_id"] != 6:  # a unit that is rounded
                    server.records["stock.quant"][line["product_id"]]["quantity"] = line["product_qty"]
            server.records["stock.inventory"][ids[0]]["state"] = "done"
            return True

        server.on["stock.inventory", "action_start"] = lambda ids: True
        server.on["stock.inventory", "action_validate"] = validate
        outcomes = set_stock(session, [StockRow(id_, 8, Decimal("7.5")) for id_ in (5, 6, 7)])
        assert [outcome.ok for outcome in outcomes] == [True, False, True]
        assert "the stock of product 6 is 3 after it was set to 7.5" in str(outcomes[1].error)
        assert "the rounding of its unit" in str(outcomes[1].error)
        assert len(server.of("stock.inventory", "action_validate")) == 1 + 5


def test_one_product_is_counted_once_per_place() -> None:
    with generation(13) as (_, session), pytest.raises(ValueError, match="comes twice"):
        set_stock(session, [StockRow(5, 8, Decimal(7)), StockRow(5, 8, Decimal(8))])


# reversals


@pytest.mark.parametrize("version", [13, 12])
def test_a_payment_is_withdrawn_on_old_servers_by_cancel(version: int) -> None:
    with generation(version) as (server, session):
        for id_, state in ((1, "posted"), (2, "draft"), (3, "cancelled"), (4, "posted")):
            server.add("account.payment", id_, state=state)

        def act(state: str, *, but: int = 0) -> Any:
            return lambda ids: server.on["account.payment", "write"](
                [id_ for id_ in ids if id_ != but], {"state": state}
            )

        server.on["account.payment", "action_draft"] = act("draft")
        server.on["account.payment", "cancel"] = act("cancelled", but=4)
        outcomes = withdraw_payments(session, [1, 2, 3, 4, 5], connections=1)
        assert [outcome.ok for outcome in outcomes] == [True, True, True, False, False]
        assert [outcome.changed for outcome in outcomes] == [True, True, False, False, False]
        assert "did not become cancelled but is draft" in str(outcomes[3].error)
        assert server.of("account.payment", "action_draft") == [[[1, 4]]]
        assert server.of("account.payment", "cancel") == [[[1, 2, 4]]]


def test_credit_notes_of_odoo_12_are_left_to_people() -> None:
    with generation(12) as (server, session), pytest.raises(OdooUnsupported, match="by hand"):
        credit_invoices(session, "shop", [Credit("c", 1, date(2024, 4, 9), "x", Decimal(9))])
    assert server.writes() == []


def test_what_is_undone_twice_in_one_call_is_a_mistake_of_the_caller() -> None:
    with generation(13) as (server, session):
        server.fields["stock.return.picking.line"] = {}
        with pytest.raises(ValueError, match="returned twice"):
            return_deliveries(session, "shop", [Return("a", 1, WHEN), Return("b", 1, WHEN)])
        twice = [Credit(key, 1, date(2024, 4, 9), "x", Decimal(9)) for key in ("a", "b")]
        with pytest.raises(ValueError, match="credited twice"):
            credit_invoices(session, "shop", twice)


def test_what_came_back_counts_where_it_came_back_to() -> None:
    shelf, floor = Goods(1, None, None, 1), Goods(2, None, None, 1)
    taken = {shelf: Decimal(2), floor: Decimal(3)}
    assert still_out(taken, []) == taken
    assert still_out(taken, [{floor: Decimal(3)}]) == {shelf: Decimal(2)}
    assert still_out(taken, [{floor: Decimal(2)}, {floor: Decimal(2)}]) == {shelf: Decimal(1)}
    elsewhere = Goods(3, None, None, 1)
    assert still_out(taken, [{elsewhere: Decimal(4)}]) == {floor: Decimal(1)}
    assert still_out(taken, [{shelf: Decimal(9)}]) == {}


def test_another_lot_does_not_count_as_come_back() -> None:
    first, second = Goods(1, 7, None, 1), Goods(1, 8, None, 1)
    assert still_out({first: Decimal(1)}, [{second: Decimal(1)}]) == {first: Decimal(1)}


tenths = st.integers(min_value=0, max_value=10**4).map(lambda value: Decimal(value) / 10)


@given(st.lists(tenths, max_size=5), tenths)
def test_open_moves_come_to_what_is_due_with_as_few_changes_as_can_be(quantities: list[Decimal], due: Decimal) -> None:
    moves = dict(enumerate(quantities))
    changes, lacking = spread(moves, due)
    after = {**moves, **changes}
    assert sum(after.values(), Decimal(0)) + lacking == due
    assert all(quantity >= 0 for quantity in after.values())
    assert all(moves[id_] != quantity for id_, quantity in changes.items())
    assert not lacking or not moves
    # only the last ones change, and all but the first of those are used up
    assert sorted(changes) == list(moves)[len(moves) - len(changes) :] or 0 in moves.values()
    assert [quantity for id_, quantity in sorted(changes.items())[1:] if quantity] == []


# reconciliation


def _line(id_: int, residual: str, own: str | None = None, account: int = 1) -> dict[str, Any]:
    """A receivable line in company currency (1), or in another one (2) if ``own`` is given."""
    return {
        "id": id_,
        "account_id": [account, "A"],
        "company_currency_id": [1, "USD"],
        "currency_id": [2, "EUR"] if own else [1, "USD"],
        "matched_credit_ids": [],
        "amount_residual": float(residual),
        "amount_residual_currency": float(own or residual),
    }


cents = st.integers(min_value=1, max_value=10**7).map(lambda value: Decimal(value) / 100)


@given(st.lists(cents, min_size=1, max_size=4), st.lists(cents, min_size=1, max_size=5))
def test_matches_settle_exactly_the_smaller_of_debt_and_money(debts: list[Decimal], moneys: list[Decimal]) -> None:
    invoice = [_line(id_, str(debt)) for id_, debt in enumerate(debts, 1)]
    payments = [[_line(id_, str(-money))] for id_, money in enumerate(moneys, 100)]
    matches = plan_matches(invoice, payments)
    assert matches is not None
    assert sum(match.amount for match in matches) == min(sum(debts), sum(moneys))
    assert all(match.amount > 0 for match in matches)
    for id_, debt in enumerate(debts, 1):
        assert sum(match.amount for match in matches if match.debit == id_) <= debt
    for id_, money in enumerate(moneys, 100):
        assert sum(match.amount for match in matches if match.credit == id_) <= money


def test_a_whole_payment_at_the_rate_of_the_invoice_settles_simply() -> None:
    (match,) = plan_matches([_line(1, "12.50", "10.00")], [[_line(2, "-12.50", "-10.00")]]) or []
    assert (match.amount, match.amount_currency) == (Decimal("12.5"), Decimal("10.0"))


@pytest.mark.parametrize(
    ("invoice", "payment"),
    [
        (_line(1, "12.50", "10.00"), _line(2, "-12.00", "-10.00")),  # another rate
        (_line(1, "12.50", "10.00"), _line(2, "-6.25", "-5.00")),  # a part, which must be rounded
        (_line(1, "12.50"), _line(2, "-12.50", "-10.00")),  # another currency
        (_line(1, "12.50"), _line(2, "-12.50", account=2)),  # another account
        (_line(1, "-12.50"), _line(2, "-12.50")),  # not a debt
    ],
)
def test_what_needs_odoos_own_reconciliation_is_left_to_it(invoice: dict[str, Any], payment: dict[str, Any]) -> None:
    assert plan_matches([invoice], [[payment]]) is None


def test_a_payment_in_several_lines_is_left_to_odoo() -> None:
    assert plan_matches([_line(1, "5")], [[_line(2, "-3"), _line(3, "-2")]]) is None


def test_lines_joined_by_partials_form_one_set() -> None:
    partials = {1: (10, 20), 2: (10, 21), 3: (11, 22), 4: (12, 21)}
    assert sorted(components(partials)) == [([1, 2, 4], [10, 12, 20, 21]), ([3], [11, 22])]


def test_orders_wanted_twice_are_worked_once() -> None:
    with generation(13) as (server, session):
        server.add("sale.order", 1, state="sale", date_order="2024-03-01 12:00:00")
        assert len(failed(confirm_orders(session, [1, 1]))) == 0
        assert len(confirm_orders(session, [1, 1])) == 1
