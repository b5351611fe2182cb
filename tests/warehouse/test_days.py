"""Of which day an order, invoice or payment is, says the business's time zone."""

from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from unierp_assets.entities import ENTITIES
from unierp_assets.odoo import OdooSession
from unierp_assets.storefront.sql import SqlStorefront
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.extract import extract
from unierp_assets.sync.intake.stage import stage
from unierp_assets.sync.reports import rebuild_reports
from unierp_assets.warehouse import Warehouse
from unierp_assets.warehouse.tables import LANDING_STOREFRONT, SALES_DAILY, STAGING

HALF_PAST_MIDNIGHT_IN_BERLIN = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("UTC", date(2026, 7, 1)),
        ("Europe/Berlin", date(2026, 7, 2)),
        ("America/Los_Angeles", date(2026, 7, 1)),
        ("Pacific/Auckland", date(2026, 7, 2)),
    ],
)
def test_an_order_of_half_past_midnight_is_of_that_day(
    zone: str, day: date, warehouse: Warehouse, shop: SqlStorefront, owner: psycopg.Connection
) -> None:
    at = HALF_PAST_MIDNIGHT_IN_BERLIN
    owner.execute(
        "INSERT INTO shop.orders (id, number, status, currency, placed_at, total, tax_total, updated_at)"
        " VALUES (1, 'S1', 'confirmed', 'USD', %s, 10, 0, %s)",
        [at, at],
    )
    owner.execute(
        "INSERT INTO shop.payments (id, order_id, status, currency, captured_amount, captured_at, updated_at)"
        " VALUES (1, 1, 'captured', 'USD', 10, %s, %s)",
        [at, at],
    )
    context = SyncContext(warehouse, shop, OdooSession("http://127.0.0.1:9", "db", "a", "b"), "run", time_zone=zone)
    for table in ("orders", "payments", "shipments"):
        assert table in LANDING_STOREFRONT
        extract(context, table)
    for name in ("orders", "invoices", "payments"):
        stage(context, ENTITIES[name])
    assert value(warehouse, STAGING["invoices"].c.invoice_date) == day
    assert value(warehouse, STAGING["payments"].c.paid_on) == day
    assert value(warehouse, STAGING["orders"].c.ordered_at) == at
    assert value(warehouse, STAGING["orders"].c._changed_at) == at
    with warehouse.transaction() as tx:
        tx.execute(sa.update(STAGING["orders"]).values(_status="accepted"))
    rebuild_reports(warehouse, "run", zone)
    assert value(warehouse, SALES_DAILY.c.day) == day


def value(warehouse: Warehouse, column: sa.Column[Any]) -> Any:
    return warehouse.read(sa.select(column)).item()
