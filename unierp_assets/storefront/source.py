"""What the engine needs of a shop system, as one small protocol, and the errors every connector raises.

Belongs here: the protocol, its errors, and what works on any connector alike. Does not belong here: how a particular
shop system is read (``sql.py`` reads PostgreSQL).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

import polars as pl

from unierp_assets.storefront.contract import UPDATED_AT, contract_tables, key_column

Key = int | str
"""A row's key as the shop has it: a number, or text for currencies and taxes."""

Result = TypeVar("Result")


class StorefrontError(Exception):
    """Base of everything a storefront connector raises on purpose."""


class StorefrontUnavailable(StorefrontError):
    """The shop could not be reached or did not answer in time. Trying again later may help."""


class StorefrontCircuitOpen(StorefrontUnavailable):
    """The shop was not asked: it failed too often, and is left alone until the time the message names."""


class StorefrontLoginRefused(StorefrontError):
    """The shop's server answers, but does not let us in: user, password or database are not what it knows."""


class StorefrontContractError(StorefrontError):
    """The shop answers, but does not offer what the contract says. Somebody has to change the shop or its grants."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a table has, in three numbers that differ when the rows do: ``rows``, how many of them are ``recent``, and
    the sum of the recent rows' ``updated_at`` in microseconds since 1970 (rows without a finite one count as 0)."""

    rows: int = 0
    recent: int = 0
    stamps: int = 0


@dataclass(frozen=True, slots=True)
class Digest:
    """What tells one set of rows from another: how many they are, and the sum of their hashes (``digest.py``)."""

    rows: int = 0
    digest: int = 0


class Guard(Protocol):
    """Stands before every transaction: runs it and sees how it ended, or refuses to with a StorefrontError."""

    def call(self, work: Callable[[], Result], /) -> Result:
        """What ``work`` returns or raises."""


class Storefront(Protocol):
    """A shop that fulfils the storefront contract (``contract.py``).

    Every method raises :class:`StorefrontUnavailable`, :class:`StorefrontLoginRefused` or
    :class:`StorefrontContractError`, whose messages are one sentence or two that name the server, table or column and
    the remedy, without secrets.
    """

    def check(self, *, write_back: bool = True) -> None:
        """Verify that everything the contract asks for is there and readable, and say all that is missing at once.

        With ``write_back`` also that what flows back to the shop may be written.
        """

    def tables(self) -> tuple[str, ...]:
        """The contract's table names, ordered so that what a row points to comes in an earlier table."""

    def count(self, table: str) -> int:
        """How many rows a table has now."""

    def extents(self, since: Mapping[str, datetime | None]) -> dict[str, Extent]:
        """The extent of each table named in ``since``, where rows of its instant or later are recent (all, for None).

        One question for all tables, because it is asked every few seconds.
        """

    def key_digests(self, tables: Iterable[str]) -> dict[str, Digest]:
        """What tells the keys of each of these tables from others, whatever else their rows hold; one question."""

    def block_digests(self, table: str) -> dict[int, Digest]:
        """What tells the rows of each block of keys (``digest.py``) from others, by everything they hold."""

    def rows_of(self, table: str, keys: pl.Series) -> pl.DataFrame:
        """The rows of these keys, in no particular order and with the columns of :meth:`changed`."""

    def keys(self, table: str) -> pl.Series:
        """All keys of a table, in no particular order: ``Int64``, or ``String`` for currencies and taxes.

        What was known and is not among them was deleted.
        """

    def changed(self, table: str, since: datetime | None, after_key: Key | None, limit: int) -> pl.DataFrame:
        """At most ``limit`` rows in the order of (``updated_at``, key), from a cursor on.

        ``since=None`` starts at the beginning. ``after_key=None`` includes rows of exactly ``since``; otherwise the
        rows after (``since``, ``after_key``) are given. Fewer rows than ``limit`` mean that there are no more now.

        The columns are the contract's, in its order: keys ``Int64`` or ``String`` as the shop has them, amounts,
        quantities and rates ``Decimal`` (exact), instants ``Datetime("us", "UTC")``, days ``Date``. A value no frame
        can hold (``NaN``, an infinite instant or one outside the years 1 to 9999) is null. Rows whose transaction
        commits late may appear behind a cursor that has moved on: the caller starts a little earlier each time. An
        ``updated_at`` in the future is given as it is: the caller must not move its cursor beyond the present.
        """

    def write(self, table: str, rows: pl.DataFrame) -> list[Key]:
        """Set columns of rows, and return the keys of the rows that have the values now.

        ``rows`` has the table's key, ``updated_at`` as it was read, and any of the columns the contract marks as
        written. A row that changed since is left alone, so that no change of the shop is lost; one that is equal
        already is not touched, so that writing twice is the same as writing once.
        """

    def link(self, table: str, rows: pl.DataFrame) -> int:
        """Add rows with these values where there are none, with keys of the shop's own; returns how many."""

    def unlink(self, table: str, rows: pl.DataFrame) -> int:
        """Delete the rows that have these values in the columns of ``rows``; returns how many."""

    def close(self) -> None:
        """Give up connections. The object can be used again afterwards."""


def pages(shop: Storefront, table: str, since: datetime | None, size: int) -> Iterator[pl.DataFrame]:
    """All rows of ``table`` changed at or after ``since``, in frames of at most ``size`` rows that are never empty."""
    if size < 1:
        raise ValueError("A page has at least one row.")
    key_name = key_column(contract_tables()[table]).name
    after_key: Key | None = None
    while True:
        page = shop.changed(table, since, after_key, size)
        if not page.is_empty():
            yield page
        if page.height < size:
            return
        since, after_key = page[UPDATED_AT][-1], page[key_name][-1]
