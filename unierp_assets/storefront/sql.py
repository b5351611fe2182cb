"""A shop that offers the contract as tables or views of a PostgreSQL database.

Belongs here: connecting, verifying the contract against the catalogue, reading by COPY into typed frames, and the
write-back. Does not belong here: what the rows mean to anybody.

Rows travel as COPY's text format and are parsed by polars: amounts go from PostgreSQL's exact text to exact decimals
and never through a float. Reading happens in read-only transactions, so that nothing but
:meth:`SqlStorefront.write`, ``link`` and ``unlink`` can change somebody's shop.
"""

import io
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, LiteralString, TypeVar

import polars as pl
import psycopg
from psycopg import conninfo, sql
from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, Numeric, Table

from unierp_assets.storefront.contract import (
    DEFAULT_SCHEMA,
    UPDATED_AT,
    contract_tables,
    is_written,
    key_column,
    type_name,
)
from unierp_assets.storefront.digest import block, key_digest, row_digest
from unierp_assets.storefront.source import (
    Digest,
    Extent,
    Guard,
    Key,
    StorefrontContractError,
    StorefrontLoginRefused,
    StorefrontUnavailable,
)

_CONTRACT_PAGE: Final = "docs/storefront-contract.md"
_WRITE_BATCH: Final = 2000
"""Rows per write-back transaction: short enough not to hold locks a busy shop waits for."""
_PROBLEMS_SHOWN: Final = 12

_Result = TypeVar("_Result")

# What COPY's text format escapes, unescaped in one pass from left to right.
_ESCAPED: Final = ["\\\\", "\\b", "\\f", "\\n", "\\r", "\\t", "\\v"]
_UNESCAPED: Final = ["\\", "\b", "\f", "\n", "\r", "\t", "\v"]

_TEXTS: Final = frozenset({"text", "varchar", "bpchar", "citext", "name", "uuid"})
_INTEGERS: Final = frozenset({"int2", "int4", "int8"})

_CATALOGUE: Final = """
SELECT c.relname,
       a.attname,
       coalesce(b.typname, t.typname),
       coalesce(b.typtype, t.typtype) = 'e',
       CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END,
       has_column_privilege(c.oid, a.attnum, 'SELECT'),
       has_column_privilege(c.oid, a.attnum, 'UPDATE'),
       pg_relation_is_updatable(c.oid, true) & 4 <> 0,
       ARRAY(SELECT p FROM unnest(ARRAY['INSERT', 'DELETE']) p
              WHERE has_table_privilege(c.oid, p)
                AND pg_relation_is_updatable(c.oid, true) & CASE p WHEN 'INSERT' THEN 8 ELSE 16 END <> 0)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd'
 WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname = ANY(%s)
"""


class SqlStorefront:
    """The storefront behind a PostgreSQL URL; see :class:`~unierp_assets.storefront.source.Storefront`.

    ``url`` is any PostgreSQL URL, with or without an SQLAlchemy driver name. One connection is opened when it is
    first needed and kept; methods may be called from several threads and take turns. The contract is verified once,
    before the first read. ``timeout`` is in seconds and holds for connecting and for each statement. ``guard`` may
    refuse transactions; it can be set later, too.
    """

    def __init__(
        self, url: str, schema: str = DEFAULT_SCHEMA, *, timeout: float = 300, guard: Guard | None = None
    ) -> None:
        self.guard = guard
        self._schema = schema
        self._timeout = timeout
        self._tables = contract_tables(schema)
        self._conninfo = _conninfo(url)
        self._lock = threading.RLock()
        self._connection: psycopg.Connection[Any] | None = None
        self._checked = False

    def __repr__(self) -> str:
        return f"SqlStorefront({self.server}, schema {self._schema!r})"

    @property
    def server(self) -> str:
        """The database as messages name it: ``host:port/database``."""
        place = self._conninfo
        database = place.get("dbname") or "its default database"
        return f"{place.get('host') or 'localhost'}:{place.get('port') or 5432}/{database}"

    def check(self, *, write_back: bool = True) -> None:
        """See :meth:`Storefront.check`."""
        problems = self._run(lambda connection: _problems(connection, self._schema, self._tables, write_back))
        if problems:
            shown = "; ".join(problems[:_PROBLEMS_SHOWN])
            more = f"; and {len(problems) - _PROBLEMS_SHOWN} more" if len(problems) > _PROBLEMS_SHOWN else ""
            raise StorefrontContractError(
                f"The shop at {self.server} does not offer the storefront contract: {shown}{more}. "
                f"Add what is missing, as tables or as views ({_CONTRACT_PAGE} describes them)."
            )
        self._checked = True

    def tables(self) -> tuple[str, ...]:
        """See :meth:`Storefront.tables`."""
        return tuple(self._tables)

    def count(self, table: str) -> int:
        """See :meth:`Storefront.count`."""
        statement = sql.SQL("SELECT count(*) FROM {}").format(self._identifier(table))

        def work(connection: psycopg.Connection[Any]) -> int:
            row = connection.execute(statement).fetchone()
            return int(row[0]) if row else 0

        return self._read(work)

    def extents(self, since: Mapping[str, datetime | None]) -> dict[str, Extent]:
        """See :meth:`Storefront.extents`."""
        parts, parameters = [], list[object]()
        for name, instant in since.items():
            if instant is not None and instant.tzinfo is None:
                raise ValueError("`since` needs time zones: cursors are instants.")
            table = self._table(name)
            parts.append(
                sql.SQL(
                    "SELECT {name}, count(*), count(*) FILTER (WHERE {recent}),"
                    # Some thousand instants exceed a bigint.
                    " coalesce(sum({stamp}) FILTER (WHERE {recent}), 0)::numeric FROM {table}"
                ).format(
                    name=sql.Literal(name),
                    recent=sql.SQL("{} >= coalesce(%s, '-infinity'::timestamptz)").format(sql.Identifier(UPDATED_AT)),
                    stamp=_expression(table.c[UPDATED_AT]),
                    table=self._identifier(name),
                )
            )
            parameters += [instant, instant]
        statement = sql.SQL(" UNION ALL ").join(parts)

        def work(connection: psycopg.Connection[Any]) -> dict[str, Extent]:
            rows = connection.execute(statement, parameters)
            return {name: Extent(count, recent, int(stamps)) for name, count, recent, stamps in rows}

        return self._read(work) if parts else {}

    def key_digests(self, tables: Iterable[str]) -> dict[str, Digest]:
        """See :meth:`Storefront.key_digests`."""
        parts = [
            sql.SQL("SELECT {name}, count(*), coalesce(sum({digest}), 0) FROM {table}").format(
                name=sql.Literal(name),
                digest=sql.SQL(key_digest(key_column(self._table(name)))),
                table=self._identifier(name),
            )
            for name in tables
        ]

        def work(connection: psycopg.Connection[Any]) -> dict[str, Digest]:
            rows = connection.execute(sql.SQL(" UNION ALL ").join(parts))
            return {name: Digest(count, int(digest)) for name, count, digest in rows}

        return self._read(work) if parts else {}

    def block_digests(self, table: str) -> dict[int, Digest]:
        """See :meth:`Storefront.block_digests`."""
        definition = self._table(table)
        statement = sql.SQL("SELECT {block}, count(*), sum({digest}) FROM {table} GROUP BY 1").format(
            block=sql.SQL(block(key_column(definition))),
            digest=sql.SQL(row_digest(list(definition.columns))),
            table=self._identifier(table),
        )

        def work(connection: psycopg.Connection[Any]) -> dict[int, Digest]:
            return {number: Digest(count, int(digest)) for number, count, digest in connection.execute(statement)}

        return self._read(work)

    def rows_of(self, table: str, keys: pl.Series) -> pl.DataFrame:
        """See :meth:`Storefront.rows_of`."""
        definition = self._table(table)
        key = key_column(definition)
        columns = list(definition.columns)
        statement = sql.SQL("COPY (SELECT {columns} FROM {table} WHERE {key} = ANY(%s::{type}[])) TO STDOUT").format(
            columns=sql.SQL(", ").join(map(_expression, columns)),
            table=self._identifier(table),
            key=sql.Identifier(key.name),
            type=sql.SQL(_array_type(key)),
        )
        raw = self._read(lambda connection: _copy_out(connection, statement, [keys.to_list()]))
        return self._dated(definition, _parse(columns, raw))

    def keys(self, table: str) -> pl.Series:
        """See :meth:`Storefront.keys`."""
        key = key_column(self._table(table))
        # The constant keeps a row of an empty text from being an empty line, which the parser would skip.
        statement = sql.SQL("COPY (SELECT {key}, 0 FROM {table}) TO STDOUT").format(
            key=_expression(key), table=self._identifier(table)
        )
        return self._read(lambda connection: _parse([key], _copy_out(connection, statement), padded=True))[key.name]

    def changed(self, table: str, since: datetime | None, after_key: Key | None, limit: int) -> pl.DataFrame:
        """See :meth:`Storefront.changed`."""
        definition = self._table(table)
        columns = list(definition.columns)
        if since is not None and since.tzinfo is None:
            raise ValueError("`since` needs a time zone: cursors are instants.")
        if after_key is not None and since is None:
            raise ValueError("`after_key` continues within an instant and needs `since`.")
        names = {"u": sql.Identifier(UPDATED_AT), "k": sql.Identifier(key_column(definition).name)}
        parameters: list[object] = []
        condition: sql.Composable = sql.SQL("")
        if after_key is not None:
            condition, parameters = sql.SQL("WHERE ({u}, {k}) > (%s, %s)").format(**names), [since, after_key]
        elif since is not None:
            condition, parameters = sql.SQL("WHERE {u} >= %s").format(**names), [since]
        statement = sql.SQL(
            "COPY (SELECT {columns} FROM {table} {condition} ORDER BY {u}, {k} LIMIT %s) TO STDOUT"
        ).format(
            columns=sql.SQL(", ").join(map(_expression, columns)),
            table=self._identifier(table),
            condition=condition,
            **names,
        )
        raw = self._read(lambda connection: _copy_out(connection, statement, [*parameters, limit]))
        return self._dated(definition, _parse(columns, raw))

    def _dated(self, table: Table, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows, of which each has to say when it changed."""
        if frame[UPDATED_AT].has_nulls():
            key = frame.filter(pl.col(UPDATED_AT).is_null())[key_column(table).name][0]
            raise StorefrontContractError(
                f"{self._schema}.{table.name} has a row without a finite {UPDATED_AT} (key {key}): it could never be "
                f"read again when it changes. Give every row the instant of its last change."
            )
        return frame

    def write(self, table: str, rows: pl.DataFrame) -> list[Key]:
        """See :meth:`Storefront.write`."""
        definition = self._table(table)
        key = key_column(definition).name
        columns = [name for name in rows.columns if name not in (key, UPDATED_AT)]
        refused = [name for name in columns if name not in definition.c or not is_written(definition.c[name])]
        if refused or not columns:
            raise ValueError(f"{table}.{', '.join(refused) or '(nothing)'} is not written back to the shop.")
        incoming = self._incoming(definition, [key, UPDATED_AT, *columns])
        names = {"t": self._identifier(table), "k": sql.Identifier(key), "u": sql.Identifier(UPDATED_AT)}
        ours = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in columns)
        theirs = sql.SQL(", ").join(sql.SQL("v.{}").format(sql.Identifier(name)) for name in columns)
        sets = sql.SQL(", ").join(sql.SQL("{0} = v.{0}").format(sql.Identifier(name)) for name in columns)
        update = sql.SQL(
            "UPDATE {t} AS t SET {sets} FROM {v} WHERE t.{k} = v.{k} AND t.{u} = v.{u}"
            " AND ({ours}) IS DISTINCT FROM ({theirs})"
        ).format(sets=sets, v=incoming, ours=ours, theirs=theirs, **names)
        look = sql.SQL(
            "SELECT t.{k} FROM {t} AS t JOIN {v} ON t.{k} = v.{k} WHERE ({ours}) IS NOT DISTINCT FROM ({theirs})"
        ).format(v=incoming, ours=ours, theirs=theirs, **names)
        written: list[Key] = []
        for batch in rows.select(key, UPDATED_AT, *columns).sort(key).iter_slices(_WRITE_BATCH):
            values = [column.to_list() for column in batch.get_columns()]

            def work(connection: psycopg.Connection[Any], values: list[list[Any]] = values) -> list[Key]:
                connection.execute(update, values)
                return [row[0] for row in connection.execute(look, values)]

            written += self._read(work, write=True)
        return written

    def link(self, table: str, rows: pl.DataFrame) -> int:
        """See :meth:`Storefront.link`."""
        definition = self._linked(table, rows)
        key = key_column(definition).name
        names = {
            "t": self._identifier(table),
            "k": sql.Identifier(key),
            "columns": sql.SQL(", ").join(map(sql.Identifier, rows.columns)),
            "v": self._incoming(definition, rows.columns),
            "same": self._same(rows.columns),
        }
        names["fresh"] = sql.SQL(
            "SELECT {columns} FROM {v} WHERE NOT EXISTS (SELECT FROM {t} AS t WHERE {same})"
        ).format(**names)
        by_shop = sql.SQL("INSERT INTO {t} ({columns}) {fresh}").format(**names)
        by_us = sql.SQL(
            "INSERT INTO {t} ({k}, {columns}) SELECT (SELECT coalesce(max({k}), 0) FROM {t}) + row_number() OVER (),"
            " {columns} FROM ({fresh}) AS fresh"
        ).format(**names)
        values = [column.to_list() for column in rows.get_columns()]

        def work(connection: psycopg.Connection[Any]) -> int:
            found = connection.execute(
                "SELECT column_default IS NOT NULL OR is_identity = 'YES' FROM information_schema.columns"
                " WHERE table_schema = %s AND table_name = %s AND column_name = %s",
                [self._schema, table, key],
            ).fetchone()
            return connection.execute(by_shop if found and found[0] else by_us, values).rowcount

        return self._read(work, write=True) if rows.height else 0

    def unlink(self, table: str, rows: pl.DataFrame) -> int:
        """See :meth:`Storefront.unlink`."""
        definition = self._linked(table, rows)
        statement = sql.SQL("DELETE FROM {t} AS t USING {v} WHERE {same}").format(
            t=self._identifier(table), v=self._incoming(definition, rows.columns), same=self._same(rows.columns)
        )
        values = [column.to_list() for column in rows.get_columns()]
        return (
            self._read(partial(_rows_changed, statement=statement, parameters=values), write=True) if rows.height else 0
        )

    def _linked(self, table: str, rows: pl.DataFrame) -> Table:
        definition = self._table(table)
        if not definition.info["writes"]:
            raise ValueError(f"rows of {table} are neither added nor deleted by a sync.")
        if any(column.has_nulls() for column in rows.get_columns()):
            raise ValueError(f"a row of {table} to be added or deleted lacks a value.")
        return definition

    @staticmethod
    def _incoming(definition: Table, columns: Sequence[str]) -> sql.Composed:
        """The parameters, one array a column, as rows named ``v``."""
        arrays = [sql.SQL("%s::{}[]").format(sql.SQL(_array_type(definition.c[name]))) for name in columns]
        return sql.SQL("unnest({}) AS v ({})").format(
            sql.SQL(", ").join(arrays), sql.SQL(", ").join(map(sql.Identifier, columns))
        )

    @staticmethod
    def _same(columns: Sequence[str]) -> sql.Composed:
        return sql.SQL(" AND ").join(sql.SQL("t.{0} = v.{0}").format(sql.Identifier(name)) for name in columns)

    def close(self) -> None:
        """See :meth:`Storefront.close`."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _table(self, name: str) -> Table:
        try:
            return self._tables[name]
        except KeyError:
            raise ValueError(f"{name} is not a table of the storefront contract.") from None

    def _identifier(self, table: str) -> sql.Identifier:
        return sql.Identifier(self._schema, self._table(table).name)

    def _read(self, work: Callable[[psycopg.Connection[Any]], _Result], *, write: bool = False) -> _Result:
        """Run ``work`` after the contract was verified; a table that went missing since is named."""
        if not self._checked:
            self.check(write_back=False)
        try:
            return self._run(work, write=write)
        except StorefrontContractError:
            # Says precisely what is missing, if it is the contract's; otherwise the server's own words stand.
            self.check(write_back=write)
            raise

    def _run(self, work: Callable[[psycopg.Connection[Any]], _Result], *, write: bool = False) -> _Result:
        """One transaction. All that is run here may be repeated, so a connection that went stale is renewed once."""
        with self._lock:
            guarded = partial(self._transaction, work, write)
            return self.guard.call(guarded) if self.guard else guarded()

    def _transaction(self, work: Callable[[psycopg.Connection[Any]], _Result], write: bool) -> _Result:
        reused = self._connection is not None
        try:
            try:
                return self._attempt(work, write)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                stale = reused and (self._connection is None or self._connection.broken or self._connection.closed)
                if not stale and not isinstance(
                    error, (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
                ):
                    raise
                return self._attempt(work, write)
        except psycopg.errors.QueryCanceled as error:
            raise StorefrontUnavailable(
                f"The shop's database at {self.server} did not answer a statement within {self._timeout:g} s. "
                f"Look for what blocks it, or allow more time."
            ) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            kind = StorefrontLoginRefused if _asked_for_a_password(error) else StorefrontUnavailable
            raise kind(
                f"The shop's database at {self.server} cannot be used: {self._reason(error)}. "
                f"Check that it runs and that the address, user and password (UNIERP_STOREFRONT_URL) are right."
            ) from error
        except psycopg.Error as error:
            raise StorefrontContractError(
                f"The shop's database at {self.server} refused a statement: {self._reason(error)}. "
                f"Compare its schema {self._schema!r} and its grants with {_CONTRACT_PAGE}."
            ) from error

    def _attempt(self, work: Callable[[psycopg.Connection[Any]], _Result], write: bool) -> _Result:
        connection = self._connection
        if connection is None or connection.closed:
            connection = self._connection = self._connect()
        connection.read_only = not write
        with connection.transaction():
            return work(connection)

    def _connect(self) -> psycopg.Connection[Any]:
        defaults = {"connect_timeout": min(30, max(2, round(self._timeout))), "application_name": "unierp-assets"}
        connection = psycopg.connect(**{**defaults, **self._conninfo}, client_encoding="utf8")
        milliseconds = str(round(self._timeout * 1000))
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [milliseconds])
        connection.commit()
        return connection

    def _reason(self, error: psycopg.Error) -> str:
        message = error.diag.message_primary or str(error)
        reason = " ".join(message.split()).rstrip(".") or type(error).__name__
        password = self._conninfo.get("password")
        return reason.replace(str(password), "***") if password else reason


def _asked_for_a_password(error: psycopg.Error) -> bool:
    """Whether connecting failed after the server had asked who we are: it is there. Its words are in any language."""
    connecting = error.pgconn
    return connecting is not None and bool(connecting.used_password or connecting.needs_password)


def _conninfo(url: str) -> dict[str, Any]:
    scheme, separator, rest = url.partition("://")
    plain = f"{scheme.partition('+')[0]}{separator}{rest}"
    try:
        return dict(conninfo.conninfo_to_dict(plain))
    except psycopg.Error:
        # The parser's own message repeats the address, password and all.
        raise StorefrontUnavailable(
            "The shop's address (UNIERP_STOREFRONT_URL) is not a PostgreSQL URL like "
            "postgresql://user:password@host:5432/database."
        ) from None


def _expression(column: Column[Any]) -> sql.Composable:
    """The select expression whose text form the parser understands, null where no frame can hold the value."""
    name = sql.Identifier(column.name)
    match column.type:
        case DateTime():
            template = (
                "CASE WHEN {c} >= '0001-01-01Z' AND {c} < '10000-01-01Z'"
                " THEN (extract(epoch FROM {c}) * 1000000)::bigint END"
            )
        case Date():
            template = "CASE WHEN {c} >= '0001-01-01' AND {c} < '10000-01-01' THEN {c} - '1970-01-01'::date END"
        case Boolean() | BigInteger() | Integer() | Numeric():
            template = "{c}"
        case _:
            template = "{c}::text"
    return sql.SQL(template).format(c=name)


def _array_type(column: Column[Any]) -> LiteralString:
    """The type a column's values are sent as."""
    match column.type:
        case DateTime():
            return "timestamptz"
        case Date():
            return "date"
        case Boolean():
            return "boolean"
        case Numeric():
            return "numeric"
        case BigInteger() | Integer():
            return "bigint"
        case _:
            return "text"


def _rows_changed(connection: psycopg.Connection[Any], statement: sql.Composed, parameters: Sequence[object]) -> int:
    return connection.execute(statement, parameters).rowcount


def _copy_out(connection: psycopg.Connection[Any], statement: sql.Composed, parameters: Sequence[object] = ()) -> bytes:
    with connection.cursor() as cursor, cursor.copy(statement, parameters) as copy:
        return b"".join(copy)


def _parse(columns: list[Column[Any]], raw: bytes, *, padded: bool = False) -> pl.DataFrame:
    """COPY's text format as a typed frame. A newline always ends a row there: those in values are escaped."""
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        column.name: pl.Int64 if isinstance(column.type, (BigInteger, Integer, DateTime, Date)) else pl.String
        for column in columns
    }
    frame = pl.read_csv(
        io.BytesIO(raw),
        has_header=False,
        separator="\t",
        quote_char=None,
        null_values=["\\N"],
        empty_string_is_null=False,
        schema={**schema, "": pl.Int64} if padded else schema,
    )
    return frame.select(_typed(column) for column in columns)


def _typed(column: Column[Any]) -> pl.Expr:
    value = pl.col(column.name)
    match column.type:
        case DateTime():
            return value.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        case Date():
            return value.cast(pl.Int32).cast(pl.Date)
        case Boolean():
            return value == "t"
        case Numeric() as numeric:
            # Not strict: NaN has no decimal and becomes null, which the gate then names.
            return value.cast(pl.Decimal(38, numeric.scale or 0), strict=False)
        case BigInteger() | Integer():
            return value
        case _:
            return value.str.replace_many(_ESCAPED, _UNESCAPED)


def _problems(
    connection: psycopg.Connection[Any], schema: str, tables: dict[str, Table], write_back: bool
) -> list[str]:
    """What is missing or unfit, each as half a sentence that names it and, where it is not plain, the remedy."""
    row = connection.execute("SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %s", [schema])
    usable = row.fetchone()
    if usable is None:
        return [f"there is no schema {schema!r} (UNIERP_STOREFRONT_SCHEMA says which one to read)"]
    if not usable[0]:
        return [f"schema {schema!r} may not be used (GRANT USAGE ON SCHEMA {schema} to this user)"]
    found: dict[str, dict[str, tuple[Any, ...]]] = {}
    for name, column, *facts in connection.execute(_CATALOGUE, [schema, list(tables)]):
        found.setdefault(name, {})[column] = tuple(facts)
    problems = []
    for name, table in tables.items():
        if name not in found:
            problems.append(f"table {name} is missing")
            continue
        for column in table.columns:
            facts_of_column = found[name].get(column.name)
            if facts_of_column is None:
                problems.append(f"column {name}.{column.name} ({type_name(column)}) is missing")
                continue
            problem = _column_problem(column, *facts_of_column[:4])
            if problem:
                problems.append(f"column {name}.{column.name} {problem}")
    if write_back:
        problems += _write_problems(schema, tables, found)
    return problems


def _write_problems(schema: str, tables: dict[str, Table], found: dict[str, dict[str, tuple[Any, ...]]]) -> list[str]:
    """What may not be written of what flows back, one sentence a table, with the grant that is missing."""
    problems = []
    for name, table in tables.items():
        facts = [
            (column, *found[name][column.name][4:6])
            for column in table.columns
            if is_written(column) and column.name in found.get(name, {})
        ]
        if any(not updatable for _, _, updatable in facts):
            problems.append(f"{name} cannot be updated (a view needs an INSTEAD OF UPDATE trigger)")
        else:
            denied = ", ".join(column.name for column, may_update, _ in facts if not may_update)
            if denied:
                problems.append(f"{name} may not be written (GRANT UPDATE ({denied}) ON {schema}.{name})")
        if table.info["writes"] and name in found:
            allowed = next(iter(found[name].values()))[6]
            lacking = ", ".join(right for right in table.info["writes"] if right not in allowed)
            if lacking:
                problems.append(f"rows of {name} may not be added or deleted (GRANT {lacking} ON {schema}.{name})")
    return problems


def _column_problem(column: Column[Any], type_: str, is_enum: bool, modifier: int, readable: bool) -> str | None:
    if not readable:
        return "may not be read (GRANT SELECT to this user)"
    match column.type:
        case DateTime():
            allowed, remedy = {"timestamptz"}, "say in which time zone it is, with AT TIME ZONE"
        case Date():
            allowed, remedy = {"date"}, "cast it to date"
        case Boolean():
            allowed, remedy = {"bool"}, "cast it to boolean"
        case Numeric() as numeric:
            allowed, remedy = {"numeric", *_INTEGERS}, f"cast it to {type_name(column)}, amounts have to be exact"
            # PostgreSQL keeps the scale in 11 signed bits of the modifier, which is -1 where nothing was declared.
            if type_ == "numeric" and (modifier < 0 or (((modifier - 4) & 0x7FF) ^ 1024) - 1024 > (numeric.scale or 0)):
                return f"may hold more than {numeric.scale} decimals; cast it to {type_name(column)}"
        case BigInteger() | Integer():
            allowed, remedy = set(_INTEGERS), f"cast it to {type_name(column)}"
        case _:
            if is_enum:
                return None
            allowed, remedy = set(_TEXTS), "cast it to text"
    return None if type_ in allowed else f"is {type_} instead of {type_name(column)} ({remedy})"
