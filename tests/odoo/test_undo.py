"""The first load of a shop, taken back whole. ``--undo-orders`` says how many orders it has, and with them twice as
many products and customers."""

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from world import fresh_world

from unierp_assets.bench.shop import make_shop
from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.storefront.sample import Sample
from unierp_assets.sync.memory import ledger
from unierp_assets.sync.undo import DELETED, REVERSED, Undo

if TYPE_CHECKING:
    from conftest import RunningOdoo

pytestmark = [pytest.mark.newest, pytest.mark.slow]


def test_a_first_load_is_taken_back_with_every_record_accounted_for(
    odoo_server: "RunningOdoo", postgres: PostgresServer, pytestconfig: pytest.Config
) -> None:
    orders = pytestconfig.getoption("--undo-orders")
    shop = Sample(0, make_shop(2 * orders, 2 * orders, orders).rows, ())
    with fresh_world(odoo_server, postgres, shop) as world:
        loaded = world.sync()
        assert (loaded.failed, loaded.differences) == (0, 0)
        assert loaded.entities["payments"].created == orders

        report = Undo(world.context(), loaded.run_id).run()

        print(report.group_by("entity", "outcome", maintain_order=True).len().rows())
        created = world.warehouse_rows(
            "SELECT entity, key FROM sync.ledger WHERE run_id = %s AND action = 'create'", loaded.run_id
        )
        told = report.filter(report["field"].is_null()).select("entity", "key").rows()
        assert Counter(told) == Counter(created)
        assert "failed" not in report["outcome"].to_list()
        outcomes = {
            entity: set(report.filter(report["entity"] == entity, report["field"].is_null())["outcome"])
            for entity in ("orders", "shipments", "invoices", "payments", "customers")
        }
        assert outcomes["orders"] == outcomes["shipments"] == outcomes["invoices"] == outcomes["payments"] == {REVERSED}
        assert outcomes["customers"] <= {DELETED, "archived"}

        open_documents = {
            "orders": "SELECT count(*) FROM sale_order WHERE state <> 'cancel'",
            "transfers": "SELECT count(*) FROM stock_picking WHERE state NOT IN ('done', 'cancel')",
            "entries": "SELECT count(*) FROM account_move WHERE state = 'draft'",
            "receivables": "SELECT count(*) FROM account_move WHERE state = 'posted' AND amount_residual <> 0",
        }
        still_open = {what: world.odoo_rows(question)[0][0] for what, question in open_documents.items()}
        assert still_open == dict.fromkeys(open_documents, 0)
        balances = world.odoo_rows(
            "SELECT account_id, sum(balance) FROM account_move_line WHERE parent_state = 'posted' "
            "GROUP BY 1 HAVING sum(balance) <> 0"
        )
        assert balances == [], "an account kept something of what was taken back"
        assert ledger.verify(world.warehouse).holds
        idle = world.sync()
        assert (idle.odoo_writes, idle.failed, idle.differences) == (0, 0, 0)

        Undo(world.context(), loaded.run_id).release()
        again = world.sync("products")
        assert (again.failed, again.entities["products"].updated) == (0, 2 * orders)
        tax = world.odoo_id("taxes", "VAT20")
        assert world.session.call("account.tax", "read", [tax], ["active"])[0]["active"] is True
