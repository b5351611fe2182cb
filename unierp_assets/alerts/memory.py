"""Where alerts are remembered: the table ``sync.alerts``, or a small file while the warehouse is away.

Both offer the same: a look at all rows, and a change of them that nobody disturbs. Does not belong here: what the rows
become (``rules.py``).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import polars as pl
import sqlalchemy as sa

from unierp_assets.alerts.rules import Remembered, Severity, changes
from unierp_assets.lab.cache import locked
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import ALERTS

FILE_NAME = "alerts.json"

Rows = dict[str, Remembered]
"""By key."""


class Memory(Protocol):
    """What is known of alerts."""

    def rows(self) -> Rows:
        """All rows, as they stand."""
        ...

    def changing(self) -> AbstractContextManager[Rows]:
        """All rows, for this caller alone; what the block makes of them is kept unless it raises."""
        ...


class TableMemory:
    """The table of the warehouse. Raises :class:`~unierp_assets.warehouse.errors.WarehouseError`."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def rows(self) -> Rows:
        return _by_key(self._warehouse.read(ALERTS))

    @contextmanager
    def changing(self) -> Iterator[Rows]:
        with self._warehouse.transaction() as tx:
            # Against other writers alone, and never for as long as a message takes.
            tx.execute(sa.text(f"LOCK TABLE {ALERTS.fullname} IN SHARE ROW EXCLUSIVE MODE"))
            before = _by_key(tx.read(ALERTS))
            after = dict(before)
            yield after
            changed, gone = changes(before, after)
            tx.delete(ALERTS, pl.DataFrame({"key": gone}, schema={"key": pl.String}))
            tx.upsert(ALERTS, pl.DataFrame([asdict(row) for row in changed], schema=_SCHEMA))


class FileMemory:
    """A file that is there only while something is remembered in it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME

    def exists(self) -> bool:
        """Whether anything is remembered."""
        return self._file.exists()

    def rows(self) -> Rows:
        from pydantic import TypeAdapter

        try:
            return TypeAdapter(Rows).validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return {}

    @contextmanager
    def changing(self) -> Iterator[Rows]:
        from pydantic import TypeAdapter

        with locked(self._file.with_suffix(".lock")):
            rows = self.rows()
            yield rows
            if not rows:
                self._file.unlink(missing_ok=True)
                return
            partial = self._file.with_suffix(".partial")
            partial.write_bytes(TypeAdapter(Rows).dump_json(rows, indent=2))
            partial.replace(self._file)


_INSTANTS = ("raised_at", "told_at", "retry_at")
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    name: pl.Datetime("us", "UTC") if name in _INSTANTS else pl.Boolean if name in ("waiting", "held") else pl.String
    for name in Remembered.__slots__
}


def _by_key(frame: pl.DataFrame) -> Rows:
    return {
        row["key"]: Remembered(**{**row, "severity": Severity(row["severity"])})
        for row in frame.select(*Remembered.__slots__).iter_rows(named=True)
    }
