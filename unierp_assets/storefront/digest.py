"""What tells two copies of a table apart without moving its rows: numbers that any PostgreSQL computes alike.

Belongs here: the SQL of these numbers, the same for the shop's table and for its copy in the warehouse. Does not belong
here: who asks for them (``sql.py``, ``sync/intake/keys.py``).

Used is what neither a server's version, encoding nor collation changes: SHA-256 of the values' exact text. The
keys, which are looked at in every run, have PostgreSQL's own hash where they are numbers, because it costs far less;
between servers of another byte order it differs, and then the keys are compared as a whole.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, Numeric

BLOCK_BITS: Final = 10
"""Rows whose numeric keys are equal without their last ten bits are compared together; those with keys of text, of
which there are few, all at once."""


def row_digest(columns: Sequence[Column[Any]]) -> str:
    """The expression of a number for the values of these columns in a row; a table's digest is their sum."""
    values = ", ".join(f"coalesce({_text(column)}, chr(30))" for column in columns)
    return (
        f"('x' || encode(substring(sha256(convert_to(concat_ws(chr(31), {values}), 'UTF8')) for 7), 'hex'))"
        "::bit(56)::bigint"
    )


def key_digest(key: Column[Any]) -> str:
    """The same for the key of a row alone."""
    return f'hashint8extended("{key.name}"::bigint, 0)' if is_numbered(key) else row_digest([key])


def block(key: Column[Any]) -> str:
    """The expression of the block that a row is in."""
    return f'"{key.name}"::bigint >> {BLOCK_BITS}' if is_numbered(key) else "0::bigint"


def is_numbered(key: Column[Any]) -> bool:
    """Whether keys are numbers."""
    return isinstance(key.type, (BigInteger, Integer))


def _text(column: Column[Any]) -> str:
    """The exact text of a value, null where no frame can hold it."""
    name = f'"{column.name}"'
    match column.type:
        case DateTime():
            return (
                f"CASE WHEN {name} >= '0001-01-01Z' AND {name} < '10000-01-01Z'"
                f" THEN (extract(epoch FROM {name}) * 1000000)::bigint::text END"
            )
        case Date():
            return (
                f"CASE WHEN {name} >= '0001-01-01' AND {name} < '10000-01-01'"
                f" THEN ({name} - '1970-01-01'::date)::text END"
            )
        case Boolean() | BigInteger() | Integer():
            return f"{name}::text"
        case Numeric() as numeric:
            # What is written as a number without digits behind the point is the same amount.
            return (
                f"CASE WHEN {name}::text NOT IN ('NaN', 'Infinity', '-Infinity')"
                f" THEN {name}::numeric(38, {numeric.scale or 0})::text END"
            )
        case _:
            return f"{name}::text"
