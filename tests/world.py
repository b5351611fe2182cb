"""A small dirty shop, a warehouse and a real Odoo, for the tests of the sync: what several of them begin with.

A first sync takes most of a minute; a copy of a world that is loaded takes two seconds. So a test that is not about the
first sync begins with a copy of an :class:`Origin`.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import psycopg
import pytest
from psycopg import sql

from unierp_assets.demo import FaultCount, count_faults, planted_faults
from unierp_assets.entities import ENTITIES
from unierp_assets.lab.postgres import PostgresServer, clone_database, drop_database, ensure_database
from unierp_assets.odoo import OdooSession
from unierp_assets.storefront.sample import Sample, make_sample, write_sample
from unierp_assets.storefront.sql import SqlStorefront
from unierp_assets.sync import pipeline
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.pipeline import Pipeline, Summary, new_run_id
from unierp_assets.warehouse.store import Warehouse

if TYPE_CHECKING:
    from conftest import OdooDatabase, RunningOdoo


@dataclass
class World:
    """The three systems and shortcuts to look into them. The warehouse may have a server of its own."""

    odoo: "OdooDatabase"
    postgres: PostgresServer
    shop_name: str
    warehouse_name: str
    warehouse: Warehouse
    storefront: SqlStorefront
    session: OdooSession
    warehouse_server: PostgresServer

    def context(self) -> SyncContext:
        return SyncContext(self.warehouse, self.storefront, self.session, new_run_id())

    def sync(self, domain: str | None = None) -> Summary:
        self.warehouse.upgrade()
        return Pipeline(self.context(), domain).sync()

    def preview(self) -> pl.DataFrame:
        return Pipeline(self.context()).preview()

    def shop(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Runs a statement in the shop's schema; the rows it returns, if any."""
        return _run(self.postgres.url(self.shop_name), statement, values, "shop")

    def warehouse_rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return _run(self.warehouse_url, statement, values, "public")

    def odoo_rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Runs a statement in Odoo's own database, past its API."""
        return _run(self.postgres.url(self.odoo.db), statement, values, "public")

    @property
    def warehouse_url(self) -> str:
        return self.warehouse_server.url(self.warehouse_name)

    def odoo_id(self, entity: str, key: object) -> int:
        """The record in Odoo that is bound to a key."""
        found = self.warehouse_rows(
            "SELECT odoo_id FROM sync.bindings WHERE entity = %s AND key = %s", entity, str(key)
        )
        return int(found[0][0])

    def faults(self) -> list[FaultCount]:
        return count_faults(self.warehouse, planted_faults(self.postgres.url(self.shop_name), "shop"))

    def unierp(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs the command on this world, in a process of its own; ``environment`` is laid over its settings."""
        return subprocess.run(
            [sys.executable, "-m", "unierp_assets.cli", *arguments],
            env={**os.environ, **self.settings, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    @property
    def settings(self) -> dict[str, str]:
        """The variables that name this world's systems."""
        return {
            "UNIERP_ODOO_URL": self.odoo.url,
            "UNIERP_ODOO_DB": self.odoo.db,
            "UNIERP_ODOO_LOGIN": self.odoo.login,
            "UNIERP_ODOO_PASSWORD": self.odoo.password,
            "UNIERP_WAREHOUSE_URL": self.warehouse_url,
            "UNIERP_STOREFRONT_URL": self.postgres.url(self.shop_name),
        }

    def lose_the_warehouse(self) -> None:
        """Drops the warehouse's database, as if its disk had died."""
        self.warehouse.close()
        drop_database(self.warehouse_server, self.warehouse_name)

    def unread(self) -> dict[str, list[str]]:
        """Keys of the records that the warehouse never read or that were written in Odoo after it did, by entity.

        Stock is left out: it has no record of its own there."""
        found: dict[str, list[str]] = {}
        for entity in ENTITIES.values():
            if entity.name == "stock_levels":
                continue
            table = sql.Identifier(entity.model.replace(".", "_"))
            written = dict(self.odoo_rows(f"SELECT id, date_trunc('second', write_date) FROM {table.as_string()}"))
            read = self.warehouse_rows(
                f"SELECT b.key, b.odoo_id, l.write_date AT TIME ZONE 'UTC' FROM sync.bindings b "
                f"LEFT JOIN landing_unierp.{entity.name} l USING (key) WHERE b.entity = '{entity.name}'"
            )
            if keys := [key for key, id_, stamp in read if stamp is None or written.get(id_) != stamp]:
                found[entity.name] = keys
        return found

    def duplicates(self) -> dict[str, list[tuple[Any, ...]]]:
        """What exists twice in Odoo though it must not: by kind, empty lists where all is well."""
        questions = {
            "external ids": "SELECT module, name FROM ir_model_data WHERE module = 'unierp' "
            "GROUP BY 1, 2 HAVING count(*) > 1",
            "orders": "SELECT client_order_ref FROM sale_order WHERE client_order_ref IS NOT NULL "
            "GROUP BY 1 HAVING count(*) > 1",
            "customers": "SELECT lower(email) FROM res_partner WHERE parent_id IS NULL AND email IS NOT NULL "
            "AND id IN (SELECT res_id FROM ir_model_data WHERE module = 'unierp' AND model = 'res.partner') "
            "GROUP BY 1 HAVING count(*) > 1",
            "invoices": "SELECT ref FROM account_move WHERE move_type = 'out_invoice' AND state <> 'cancel' "
            "AND ref IS NOT NULL GROUP BY 1 HAVING count(*) > 1",
        }
        return {kind: self.odoo_rows(question) for kind, question in questions.items()}


def _run(url: str, statement: str, values: tuple[Any, ...], path: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(path)))
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def open_world(
    database: "OdooDatabase",
    postgres: PostgresServer,
    shop: str,
    warehouse: str,
    warehouse_server: PostgresServer | None = None,
) -> Iterator[World]:
    """A world of databases that exist; its connections are given up afterwards."""
    server = warehouse_server or postgres
    world = World(
        database,
        postgres,
        shop,
        warehouse,
        Warehouse(server.url(warehouse)),
        SqlStorefront(postgres.url(shop)),
        OdooSession(database.url, database.db, database.login, database.password),
        server,
    )
    try:
        yield world
    finally:
        world.session.close()
        world.storefront.close()
        world.warehouse.close()


@contextmanager
def make_world(
    odoo: "RunningOdoo",
    postgres: PostgresServer,
    *,
    size: tuple[int, int, int],
    seed: int = 7,
    warehouse_server: PostgresServer | None = None,
) -> Iterator[World]:
    """A fresh world with a sample shop of (products, customers, orders); its warehouse on a server of its own, if one
    is given."""
    with fresh_world(odoo, postgres, make_sample(*size, seed), warehouse_server) as world:
        yield world


@contextmanager
def fresh_world(
    odoo: "RunningOdoo", postgres: PostgresServer, sample: Sample, warehouse_server: PostgresServer | None = None
) -> Iterator[World]:
    """A world of databases of its own with these rows in the shop, dropped afterwards."""
    token = secrets.token_hex(4)
    shop, warehouse = f"shop_{token}", f"warehouse_{token}"
    write_sample(ensure_database(postgres, shop), sample)
    database = odoo.fresh_database()
    try:
        with open_world(database, postgres, shop, warehouse, warehouse_server) as world:
            yield world
    finally:
        drop_database(postgres, shop)
        drop_database(warehouse_server or postgres, warehouse)
        odoo.drop_database(database.db)


@dataclass(frozen=True)
class Origin:
    """A world that nobody is connected to, of which copies are made."""

    server: "RunningOdoo"
    postgres: PostgresServer
    odoo: "OdooDatabase"
    shop: str
    warehouse: str

    @classmethod
    def of(cls, server: "RunningOdoo", world: World) -> "Origin":
        """The world as it is; its connections are given up."""
        for part in (world.session, world.storefront, world.warehouse):
            part.close()
        return cls(server, world.postgres, world.odoo, world.shop_name, world.warehouse_name)

    @contextmanager
    def copy(self) -> Iterator[World]:
        """A world of its own that begins as every other copy does, dropped afterwards."""
        token = secrets.token_hex(4)
        shop, warehouse = f"shop_{token}", f"warehouse_{token}"
        database = self.server.copy_database(self.odoo)
        copied = [(self.shop, shop), (self.warehouse, warehouse)]
        try:
            for source, name in copied:
                clone_database(self.postgres, source, name)
            with open_world(database, self.postgres, shop, warehouse) as world:
                yield world
        finally:
            for _, name in copied:
                drop_database(self.postgres, name)
            self.server.drop_database(database.db)


@dataclass(frozen=True)
class Loaded:
    """A dirty shop of :data:`LOADED_SIZE` after its first sync, what that sync did, and its steps in their order."""

    origin: Origin
    summary: Summary
    steps: list[tuple[str, str]]


LOADED_SIZE = (25, 30, 25)


@contextmanager
def load_world(server: "RunningOdoo", postgres: PostgresServer) -> Iterator[Loaded]:
    """The first sync of a sample shop into a fresh Odoo. The batches of documents are small, so that even the few
    orders of this shop go in rounds."""
    with make_world(server, postgres, size=LOADED_SIZE) as world, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "DOCUMENT_BATCH", 5)
        context, steps = world.context(), list[tuple[str, str]]()
        context.on_step = lambda phase, subject: steps.append((phase, subject))
        world.warehouse.upgrade()
        summary = Pipeline(context).sync()
        patch.undo()
        yield Loaded(Origin.of(server, world), summary, steps)
