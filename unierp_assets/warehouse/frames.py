"""Frames in and out of PostgreSQL, exactly: numerics stay decimals, instants stay UTC, empty text is not null.

Belongs here: the polars type of a column, the text of a frame that COPY reads, the few rows that travel as parameters,
and the frame made of what COPY writes. Does not belong here: which table or statement is meant (``store.py``).
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import types
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

ReturnsRows = sa.Select[Any] | sa.CompoundSelect[Any] | sa.TextualSelect
"""A statement whose columns are known."""

_CHUNK = 1 << 18
_INSTANT = "%Y-%m-%dT%H:%M:%S%.6fZ"
_EXPORT = "unierp_export"
"""Execution option of a statement whose rows go as CSV to the buffer that it names."""


def polars_type(name: str, type_: TypeEngine[Any]) -> pl.DataType:
    """The polars type of a column. JSON comes as its text.

    Raises ``TypeError`` for types that are not exact (floats, numerics without a scale) or unknown: cast them in the
    statement.
    """
    match type_:
        case types.Boolean():
            return pl.Boolean()
        case types.Integer():  # BigInteger among them
            return pl.Int64()
        case types.Float():
            raise TypeError(f"column {name!r} is a float, which is not exact: cast it to Numeric(18, scale)")
        case types.Numeric(scale=int(scale)):
            return pl.Decimal(max(type_.precision or 38, 18), scale)
        case types.DateTime(timezone=True):
            return pl.Datetime("us", "UTC")
        case types.Date():
            return pl.Date()
        case types.String() | JSONB():  # Text among them
            return pl.String()
    raise TypeError(f"column {name!r} has the type {type_!r}, which has no exact form in a frame: cast it")


def copy_in(cursor: psycopg.Cursor[Any], table: sql.Composable, frame: pl.DataFrame) -> None:
    """Appends the rows of the frame to the columns of the table that have the names of the frame's.

    Raises ``TypeError`` for a float, which is no exact amount, and for an instant without a time zone.
    """
    columns = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(table, columns)
    written = frame.select(_written(name, dtype) for name, dtype in frame.schema.items())
    buffer = io.BytesIO()
    # Everything but numbers is quoted: only so is an empty text told from null, and a text like \. from an end mark.
    written.write_csv(buffer, include_header=False, quote_style="non_numeric")
    with cursor.copy(statement) as copy, buffer.getbuffer() as content:
        for start in range(0, len(content), _CHUNK):
            copy.write(content[start : start + _CHUNK])


def _written(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column in a form PostgreSQL reads."""
    column = pl.col(name)
    if dtype.is_float():
        raise TypeError(f"column {name!r} is a float, which is not exact: give it as Decimal")
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            raise TypeError(f"column {name!r} has no time zone: say which instants are meant")
        column = column.dt.convert_time_zone("UTC").dt.strftime(_INSTANT)
    # polars puts a plus before years of five digits, PostgreSQL reads them without.
    return column.cast(pl.String).str.strip_prefix("+") if dtype.is_temporal() else column


def few_rows(names: Sequence[str], columns: Sequence[sa.ColumnElement[Any]]) -> sa.Subquery:
    """The rows of a small frame with these columns within a statement, in the types of ``columns``: an array for each,
    as the parameters of :func:`arrays`.

    One statement does what by COPY takes four and a temporary table. It reads the same for any number of rows, so that
    it is compiled once.
    """
    parameters = (sa.bindparam(_parameter(place), [], sa.ARRAY(sa.Text)) for place in range(len(names)))
    given = sa.func.unnest(*parameters).table_valued(*names, name="given").render_derived()
    typed = zip(names, columns, strict=True)
    return sa.select(*(sa.cast(given.c[name], column.type).label(name) for name, column in typed)).subquery("incoming")


def arrays(frame: pl.DataFrame) -> dict[str, list[str | None]]:
    """The parameters of :func:`few_rows`. Raises ``TypeError`` like :func:`copy_in`."""
    written = frame.select(_written(name, dtype).cast(pl.String) for name, dtype in frame.schema.items())
    return {_parameter(place): column.to_list() for place, column in enumerate(written.get_columns())}


def _parameter(place: int) -> str:
    return f"given_{place}"


def copy_out(connection: sa.Connection, statement: ReturnsRows) -> pl.DataFrame:
    """The rows of a statement as a frame typed by its columns (:func:`polars_type`), also when there are none.

    The connection's engine is one of :func:`exporting`.
    """
    rows = statement.subquery()
    schema = pl.Schema({name: polars_type(name, column.type) for name, column in rows.columns.items()})
    exported = sa.select(*(_exported(column, schema[name]) for name, column in rows.columns.items()))
    buffer = io.BytesIO()
    connection.execute(exported, execution_options={_EXPORT: buffer})
    if not buffer.tell():
        return pl.DataFrame(schema=schema)
    buffer.seek(0)
    carriers: dict[type[pl.DataType], pl.DataType] = {pl.Datetime: pl.Int64(), pl.Boolean: pl.String()}
    frame = pl.read_csv(
        buffer,
        has_header=False,
        schema={name: carriers.get(type(dtype), dtype) for name, dtype in schema.items()},
    )
    return frame.with_columns(
        pl.col(name) == "t" if dtype == pl.Boolean() else pl.col(name).cast(dtype)
        for name, dtype in schema.items()
        if type(dtype) in carriers
    )


def _exported(column: sa.ColumnElement[Any], dtype: pl.DataType) -> sa.ColumnElement[Any]:
    """A column in a form that CSV keeps."""
    if isinstance(dtype, pl.Datetime):
        # Microseconds since the epoch: exact, and free of the session's time zone and date style.
        return sa.cast(sa.func.extract("epoch", column) * 1_000_000, sa.BigInteger)
    # It is text already; the driver would ask for the type of a numeric, which COPY does not tell.
    return sa.type_coerce(column, sa.Text) if isinstance(dtype, pl.Decimal) else column


def exporting(engine: sa.Engine) -> sa.Engine:
    """The engine, with statements of :func:`copy_out` sent as COPY.

    They go through SQLAlchemy's ordinary execution, and so through its cache of compiled statements: to compile one
    takes longer than to run it.
    """
    sa.event.listen(engine, "do_execute", _export)
    return engine


def _export(cursor: psycopg.Cursor[Any], statement: str, parameters: Mapping[str, Any], context: Any) -> bool:
    buffer = context.execution_options.get(_EXPORT)
    if buffer is None:
        return False
    # COPY takes no parameters of its own: psycopg binds them on this side.
    with cursor.copy(f"COPY ({statement}) TO STDOUT (FORMAT csv)".encode(), parameters) as copy:
        for block in copy:
            buffer.write(block)
    return True
