"""One warehouse for the session, emptied after every test: making or copying one takes seconds, emptying does not.
And a shop with the contract's empty tables, as its owner and as the engine see it."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import create_engine, make_url

from unierp_assets.lab.postgres import PostgresServer, drop_database
from unierp_assets.storefront.contract import contract_metadata
from unierp_assets.storefront.sql import SqlStorefront
from unierp_assets.warehouse import Warehouse
from unierp_assets.warehouse.tables import metadata


@pytest.fixture(scope="session")
def upgraded_warehouse(postgres: PostgresServer) -> Iterator[Warehouse]:
    """A warehouse of the present shape."""
    name = f"warehouse_{secrets.token_hex(6)}"
    warehouse = Warehouse(postgres.url(name))
    warehouse.upgrade()
    yield warehouse
    warehouse.close()
    drop_database(postgres, name)


@pytest.fixture
def warehouse(upgraded_warehouse: Warehouse) -> Iterator[Warehouse]:
    """An empty warehouse of the present shape."""
    yield upgraded_warehouse
    with upgraded_warehouse.transaction() as tx:
        # The ledger refuses to be emptied, by a trigger: here it may not.
        tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for table in metadata.tables.values():
            tx.execute(sa.delete(table))


@pytest.fixture
def shop_url(database: str) -> str:
    """A database with the contract's empty tables."""
    engine = create_engine(make_url(database).set(drivername="postgresql+psycopg"))
    contract_metadata().create_all(engine)
    engine.dispose()
    return database


@pytest.fixture
def owner(shop_url: str) -> Iterator[psycopg.Connection]:
    """The shop's own connection."""
    with psycopg.connect(shop_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def shop(shop_url: str) -> Iterator[SqlStorefront]:
    """The shop as the engine sees it."""
    storefront = SqlStorefront(shop_url)
    yield storefront
    storefront.close()
