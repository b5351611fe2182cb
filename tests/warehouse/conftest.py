"""One warehouse for the session, emptied after every test: making or copying one takes seconds, emptying does not."""

import secrets
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from unierp_assets.lab.postgres import PostgresServer, drop_database
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
