"""Writes a sample into a database: the contract's tables by COPY, and the list of what is wrong in it.

Belongs here: SQL for the sample. Does not belong here: what the rows are.
"""

from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import URL, Boolean, Column, Connection, Engine, MetaData, Table, Text, create_engine, inspect, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateSchema, DropSchema

from unierp_assets.storefront.contract import DEFAULT_SCHEMA, contract_metadata, contract_tables
from unierp_assets.storefront.sample.model import Sample

FAULTS_TABLE: Final = "sample_faults"
_PROGRESS_ROWS: Final = 20_000

Progress = Callable[[str, int, int], None]
"""Called with the table being written, the rows written so far and all rows of the sample."""


class SampleError(Exception):
    """The sample was not written; the message says why and what to do. Nothing was changed."""


def write_sample(
    target: Engine | URL | str,
    sample: Sample,
    schema: str = DEFAULT_SCHEMA,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> None:
    """Create the contract's tables in ``schema`` and fill them, all in one transaction.

    The faults go to ``sample_faults`` beside them, which is not part of the contract. A schema that exists already is
    left alone, unless it holds an older sample and ``replace`` is given: nothing but a sample is ever replaced.

    Raises :class:`SampleError`.
    """
    try:
        address = target.url if isinstance(target, Engine) else make_url(target)
        engine = create_engine(address.set(drivername="postgresql+psycopg"))
    except (SQLAlchemyError, ValueError):
        # The parser's own message repeats parts of the address.
        raise SampleError(
            "The sample's address is not a PostgreSQL URL like postgresql://user:password@host:5432/database."
        ) from None
    where = engine.url.set(password=None).render_as_string()
    try:
        with engine.begin() as connection:
            _make_room(connection, schema, replace)
            contract_metadata(schema).create_all(connection)
            faults = _faults_table(schema)
            faults.create(connection)
            raw = connection.connection.driver_connection
            if not isinstance(raw, psycopg.Connection):
                raise TypeError("The sample is written through psycopg.")
            _fill(raw, sample, schema, progress)
            _copy(raw, faults, [(f.rule, f.table, f.key, f.consequence, str(f.outcome)) for f in sample.faults])
    except (SQLAlchemyError, psycopg.Error) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise SampleError(f"The sample could not be written to {where}: {reason}") from error
    finally:
        engine.dispose()


def _make_room(connection: Connection, schema: str, replace: bool) -> None:
    found = inspect(connection)
    if schema not in found.get_schema_names():
        connection.execute(CreateSchema(schema))
        return
    taken = set(found.get_table_names(schema)) | set(found.get_view_names(schema))
    if not taken:
        return
    if FAULTS_TABLE not in taken:
        raise SampleError(f"Schema {schema} holds a shop that is not a sample: choose another schema or database.")
    if not replace:
        raise SampleError(f"Schema {schema} already holds a sample: ask to replace it, or choose another schema.")
    connection.execute(DropSchema(schema, cascade=True))
    connection.execute(CreateSchema(schema))


def _faults_table(schema: str) -> Table:
    return Table(
        FAULTS_TABLE,
        MetaData(schema=schema),
        Column("rule", Text, primary_key=True, comment="Name of the rule the row breaks."),
        Column("table_name", Text, primary_key=True, comment="Table of the row."),
        Column("key", Text, primary_key=True, comment="Key of the row, as text."),
        Column("consequence", Boolean, nullable=False, comment="Whether another row's fault is the cause."),
        Column("outcome", Text, nullable=False, comment="`rejected`, `merged` or `held`."),
        comment="What is wrong in this sample on purpose. Not part of the contract.",
    )


def _fill(connection: psycopg.Connection[Any], sample: Sample, schema: str, progress: Progress | None) -> None:
    total = sum(map(len, sample.rows.values()))
    written = 0
    for name, table in contract_tables(schema).items():
        trigger = sql.SQL("ALTER TABLE {} {} TRIGGER touch_updated_at")
        identifier = sql.Identifier(schema, name)
        # The rows bring their updated_at; without the trigger they are written in a third of the time.
        connection.execute(trigger.format(identifier, sql.SQL("DISABLE")))
        rows = sample.rows[name]
        for start in range(0, len(rows), _PROGRESS_ROWS):
            part = rows[start : start + _PROGRESS_ROWS]
            _copy(connection, table, part)
            written += len(part)
            if progress:
                progress(name, written, total)
        connection.execute(trigger.format(identifier, sql.SQL("ENABLE")))
        connection.execute(sql.SQL("ANALYZE {}").format(identifier))


def _copy(connection: psycopg.Connection[Any], table: Table, rows: list[tuple[Any, ...]]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(str(table.schema), table.name),
        sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns),
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
