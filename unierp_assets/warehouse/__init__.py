"""The staging warehouse: a PostgreSQL database with a schema for each step a row goes through.

``tables.py`` says what is in it, ``store.py`` hands out transactions, ``frames.py`` moves frames in and out by COPY,
``migrations/`` brings a database to the present shape. What the rows mean and what is done with them belongs to
``entities`` and ``sync``.
"""

from unierp_assets.warehouse.errors import (
    WarehouseError,
    WarehouseFull,
    WarehouseLocked,
    WarehouseOutdated,
    WarehouseUnavailable,
    WarehouseWriteFailed,
)
from unierp_assets.warehouse.store import Transaction, Warehouse

__all__ = [
    "Transaction",
    "Warehouse",
    "WarehouseError",
    "WarehouseFull",
    "WarehouseLocked",
    "WarehouseOutdated",
    "WarehouseUnavailable",
    "WarehouseWriteFailed",
]
