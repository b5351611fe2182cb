"""The warehouse as the engine sees it: transactions over frames, locks, and its own shape brought up to date.

Belongs here: connections, transactions, upserts that touch only what differs, cursors, advisory locks. Does not belong
here: what is in the tables (``tables.py``), how bytes travel (``frames.py``), how migrations work (``evolve.py``).
"""

import hashlib
import os
import socket
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Final

import polars as pl
import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects.postgresql import insert

from unierp_assets.warehouse.errors import WarehouseError, WarehouseLocked, WarehouseUnavailable, translated
from unierp_assets.warehouse.frames import ReturnsRows, arrays, copy_in, copy_out, exporting, few_rows
from unierp_assets.warehouse.tables import BOOKKEEPING, CURSORS, DELETED, NEW, SEQ, STATUS, TOUCHED_AT, WITHDRAWN

_LOCK_CLASS: Final = 0x756E6965
"""First half of our advisory locks' numbers, so that they meet nobody else's."""
_CONNECT_SECONDS: Final = 10
_FEW: Final = 500
"""Up to how many rows of a frame travel as parameters of the statement that uses them."""
_MAINTENANCE_DATABASE: Final = "postgres"
_SHAPE: Final = "shape"
"""Name of the cursor that remembers which migrations the database was brought up to date with."""
_SET_CURSORS: Final = sa.text(
    f"INSERT INTO {CURSORS.fullname} (name, value)"  # noqa: S608  # a name of ours
    " SELECT * FROM unnest(CAST(:names AS text[]), CAST(:positions AS text[]))"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = now()"
)

Rows = ReturnsRows | sa.Table


class Transaction:
    """One transaction of the warehouse: everything in it is kept, or nothing.

    Rows go in and out as frames. Amounts are ``Decimal``, instants UTC with microseconds, JSON is text. Every method
    raises a :class:`~unierp_assets.warehouse.errors.WarehouseError` that says what to do where the server refuses,
    ``ValueError`` where a frame has a column the table has not or the same key twice, and ``TypeError`` for floats.
    """

    def __init__(self, connection: sa.Connection, where: str) -> None:
        self._connection = connection
        self._where = where
        self._numbers = count(1)

    def read(self, statement: Rows, params: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """The rows of a table or statement, typed by its columns; an empty result keeps the types."""
        chosen: Any = sa.select(statement) if isinstance(statement, sa.Table) else statement
        if params:
            chosen = chosen.params(**params)
        with translated(self._where):
            return copy_out(self._connection, chosen)

    def read_matching(self, statement: Rows, keys: pl.DataFrame) -> pl.DataFrame:
        """The rows of a table or statement whose columns named as those of ``keys`` have the values of a row of it.

        For any number of keys: they travel by COPY, not as parameters.
        """
        chosen = sa.select(statement) if isinstance(statement, sa.Table) else statement
        rows = chosen.subquery()
        _known(keys, rows.columns.keys(), "the statement")
        with self._incoming(keys, [rows.columns[name] for name in keys.columns]) as incoming:
            match = sa.and_(*(incoming.c[name] == rows.c[name] for name in keys.columns))
            return self.read(sa.select(rows).where(sa.exists().where(match)))

    def upsert(self, table: sa.Table, frame: pl.DataFrame, *, keep_status: bool = False) -> int:
        """Inserts the rows whose key is new and updates those that differ; returns how many that were.

        The columns of the frame are written, others keep their value (or get their default). The warehouse's own
        bookkeeping columns alone make no difference. A row counts as there again unless the frame says otherwise:
        ``_deleted`` is false. A staged row whose content changed, or that had been withdrawn, gets the ``_status`` of
        the frame (``new`` where it has none); with ``keep_status`` it keeps the one it has.
        """
        keys = [column.name for column in table.primary_key]
        frame = _writable(table, frame)
        if DELETED in table.c and DELETED not in frame.columns:
            frame = frame.with_columns(pl.lit(False).alias(DELETED))
        if STATUS in table.c and STATUS not in frame.columns:
            frame = frame.with_columns(pl.lit(NEW).alias(STATUS))
        if frame.is_empty():
            return 0
        doubles = frame.filter(frame.select(keys).is_duplicated()).select(keys).head(1)
        if not doubles.is_empty():
            raise ValueError(f"{table.fullname} is given the same key twice: {doubles.row(0)}")
        if frame.height <= _FEW:
            compiled = _upsert_of_few(table, tuple(frame.columns), keep_status, self._connection.dialect)
            with translated(self._where):
                parameters = compiled.params | arrays(frame)
                done = self._connection.exec_driver_sql(str(compiled), parameters, {"preserve_rowcount": True})
                return max(done.rowcount, 0)
        with self._incoming(frame, [table.c[name] for name in frame.columns]) as incoming:
            return self.execute(_upsert(table, incoming, frame.columns, keep_status))

    def insert(self, table: sa.Table, frame: pl.DataFrame) -> int:
        """Appends the rows of the frame; returns how many."""
        frame = _writable(table, frame)
        if frame.is_empty():
            return 0
        with translated(self._where), self._cursor() as cursor:
            copy_in(cursor, sql.Identifier(*(part for part in (table.schema, table.name) if part)), frame)
        return frame.height

    def update_rows(self, table: sa.Table, frame: pl.DataFrame, columns: Sequence[str]) -> int:
        """Sets these columns of the rows the frame has by primary key, where they differ; returns how many did.

        Bookkeeping columns other than ``_status`` are set along, but make no difference unless only such are given.
        """
        keys = [column.name for column in table.primary_key]
        frame = _writable(table, frame.select(*keys, *columns))
        if frame.is_empty():
            return 0
        compared = [name for name in columns if name == STATUS or name not in BOOKKEEPING] or list(columns)
        with self._incoming(frame, [table.c[name] for name in frame.columns]) as incoming:
            return self.execute(
                sa.update(table)
                .values({name: incoming.c[name] for name in columns})
                .where(_same(table, incoming, keys), _differ(table, incoming, compared))
            )

    def delete(self, table: sa.Table, keys: pl.DataFrame) -> int:
        """Deletes the rows that agree with a row of ``keys`` in the columns it has; returns how many."""
        _known(keys, table.c.keys(), table.fullname)
        if keys.is_empty():
            return 0
        with self._incoming(keys, [table.c[name] for name in keys.columns]) as incoming:
            return self.execute(sa.delete(table).where(sa.exists().where(_same(table, incoming, keys.columns))))

    def execute(self, statement: sa.Executable, params: Mapping[str, Any] | None = None) -> int:
        """Runs a statement; returns how many rows it touched."""
        with translated(self._where):
            # SQLAlchemy keeps the count of an INSERT only when asked.
            options = {"preserve_rowcount": True}
            return max(self._connection.execute(statement, params, execution_options=options).rowcount, 0)

    def cursor(self, name: str) -> str | None:
        """The position remembered under a name; None where there is none."""
        with translated(self._where):
            return self._connection.scalar(sa.select(CURSORS.c.value).where(CURSORS.c.name == name))

    def cursors(self, *prefixes: str) -> dict[str, str]:
        """The positions remembered under names that begin with one of these."""
        chosen = sa.or_(*(CURSORS.c.name.startswith(prefix, autoescape=True) for prefix in prefixes))
        rows = self.read(sa.select(CURSORS.c.name, CURSORS.c.value).where(chosen, CURSORS.c.value.is_not(None)))
        return dict(rows.iter_rows())

    def tops(self, tables: Iterable[sa.Table]) -> dict[str, int]:
        """The newest change number of each of these tables, by its full name; 0 where it is empty. Only where that has
        moved the rows need to be looked at."""
        wanted = tuple(tables)
        return dict(self.read(_newest(*wanted)).iter_rows()) if wanted else {}

    def set_cursor(self, name: str, value: str | None) -> None:
        """Remembers a position under a name, in this transaction."""
        self.set_cursors({name: value})

    def set_cursors(self, values: Mapping[str, str | None]) -> None:
        """Remembers positions under their names, many at once."""
        self.execute(_SET_CURSORS, {"names": [*values], "positions": [*values.values()]})

    def _cursor(self) -> psycopg.Cursor[Any]:
        raw: psycopg.Connection[Any] | None = self._connection.connection.driver_connection
        assert raw is not None
        return raw.cursor()

    @contextmanager
    def _incoming(self, frame: pl.DataFrame, columns: Sequence[sa.ColumnElement[Any]]) -> Iterator[sa.FromClause]:
        """The frame with the types of these columns: within the statement; a large one as a temporary table."""
        if frame.height <= _FEW:
            yield few_rows(frame.columns, columns).params(**arrays(frame))
            return
        name = f"incoming_{next(self._numbers)}"
        incoming = sa.Table(
            name,
            sa.MetaData(),
            *(sa.Column(title, column.type) for title, column in zip(frame.columns, columns, strict=True)),
            prefixes=["TEMPORARY"],
            postgresql_on_commit="DROP",
        )
        self.execute(sa.schema.CreateTable(incoming))
        with translated(self._where), self._cursor() as cursor:
            copy_in(cursor, sql.Identifier(name), frame)
        yield incoming
        self.execute(sa.schema.DropTable(incoming))


class Warehouse:
    """A PostgreSQL database with the tables of ``tables.py``. Connects when first used; safe to share by threads."""

    def __init__(self, url: str) -> None:
        """``url``: ``postgresql://user:password@host:port/database``; a socket folder is given as ``?host=FOLDER``."""
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError:
            parsed = None
        if parsed is None or parsed.get_backend_name() != "postgresql" or not parsed.database:
            raise WarehouseUnavailable(
                "The address of the warehouse is not that of a PostgreSQL database; UNIERP_WAREHOUSE_URL should read "
                "like postgresql://user:password@host:5432/warehouse."
            )
        self._url = parsed.set(drivername="postgresql+psycopg")
        self.where: Final = _without_secrets(parsed)
        self._engine = exporting(
            sa.create_engine(
                self._url,
                pool_size=4,
                max_overflow=4,
                pool_pre_ping=True,
                # All the statements of a sync.
                query_cache_size=2_000,
                # Statements and their parameters stay out of messages: they may hold personal data.
                hide_parameters=True,
                connect_args={"connect_timeout": _CONNECT_SECONDS, "application_name": "unierp"},
            )
        )

    @property
    def url(self) -> sa.URL:
        """The address with its password, for libraries that connect by themselves. Not for messages: see ``where``."""
        return self._url

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction: committed at the end of the block, undone when an exception leaves it."""
        with translated(self.where):
            connection = self._engine.connect()
        # Only our own calls are translated, not what the block does with other databases.
        with connection:
            with translated(self.where):
                transaction = connection.begin()
            try:
                yield Transaction(connection, self.where)
                with translated(self.where):
                    transaction.commit()
            except BaseException:
                # Where the connection is lost the server undoes it, and what was raised says more than this failure.
                with suppress(sa.exc.DBAPIError):
                    transaction.rollback()
                raise

    def read(self, statement: Rows, **params: Any) -> pl.DataFrame:
        """The rows of a table or statement, in a transaction of its own."""
        with self.transaction() as transaction:
            return transaction.read(statement, params)

    def upgrade(self) -> list[str]:
        """Brings the database to the present shape, creating it if need be; returns the migrations that were applied.

        Safe to call by several processes at a time: the second waits and finds nothing to do.
        """
        if self._is_remembered():
            return []
        from unierp_assets.warehouse import evolve

        self._create_missing_database()
        with self.lock("upgrade", wait_seconds=300):
            with translated(self.where), self._engine.connect() as connection:
                applied = evolve.upgrade(connection, self.where)
            with self.transaction() as transaction:
                transaction.set_cursor(_SHAPE, _migrations())
        return applied

    def is_current(self) -> bool:
        """Whether the database is there and has the present shape."""
        if self._is_remembered():
            return True
        from unierp_assets.warehouse import evolve

        if self._database_is_missing():
            return False
        with translated(self.where), self._engine.connect() as connection:
            return evolve.is_current(connection)

    @contextmanager
    def lock(self, name: str, *, wait_seconds: float = 0) -> Iterator[None]:
        """Holds the lock of this name, which only one session of the database can; a dead process holds none.

        Raises :class:`WarehouseLocked`, naming the holder, when it is not free within ``wait_seconds``.
        """
        number = _number(name)
        holder = f"unierp {name}, process {os.getpid()} on {socket.gethostname()}"
        name_of_session = holder.encode()[:63].decode(errors="ignore")
        with translated(self.where):
            connection = self._connect(self._url.database, application_name=name_of_session)
        try:
            with translated(self.where):
                if not self._acquire(connection, number, wait_seconds):
                    raise WarehouseLocked(
                        f"`{name}` is already running on the warehouse {self.where}: {_holder(connection, number)}. "
                        "Wait until it has finished, or end that process."
                    )
            yield
        finally:
            # Ending the session frees the lock, also when the connection was lost meanwhile; but a server that is busy
            # ends it some time after it was closed, and the next run may ask sooner.
            try:
                with suppress(psycopg.Error):
                    connection.execute("SELECT pg_advisory_unlock_all()")
            finally:
                connection.close()

    def is_locked(self, name: str) -> bool:
        """Whether any session holds the lock of this name."""
        statement = (
            sa.text(
                "SELECT count(*) AS holders FROM pg_locks WHERE locktype = 'advisory' AND granted"
                " AND classid = :class AND objid = :number"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            .bindparams(**{"class": _LOCK_CLASS, "number": _number(name)})
            .columns(holders=sa.BigInteger)
        )
        return bool(self.read(statement).item())

    def close(self) -> None:
        """Gives back the connections. The warehouse can be used again; it then connects anew."""
        self._engine.dispose()

    @staticmethod
    def _acquire(connection: psycopg.Connection[Any], number: int, wait_seconds: float) -> bool:
        if wait_seconds <= 0:
            row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (_LOCK_CLASS, number)).fetchone()
            return bool(row and row[0])
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{int(wait_seconds * 1000)}ms",))
        try:
            connection.execute("SELECT pg_advisory_lock(%s, %s)", (_LOCK_CLASS, number))
        except psycopg.errors.LockNotAvailable:
            return False
        return True

    def _connect(self, database: str | None, **options: Any) -> psycopg.Connection[Any]:
        """A session of its own, outside the pool, that commits each statement."""
        _, arguments = self._engine.dialect.create_connect_args(self._url.set(database=database))
        connect: Callable[..., psycopg.Connection[Any]] = psycopg.connect
        return connect(**arguments, connect_timeout=_CONNECT_SECONDS, autocommit=True, **options)

    def _is_remembered(self) -> bool:
        """Whether it was these migrations that brought the database up to date last. Alembic, which knows better, takes
        longer to load than a sync without news."""
        try:
            with self.transaction() as transaction:
                return transaction.cursor(_SHAPE) == _migrations()
        except WarehouseError:
            return False

    def _database_is_missing(self) -> bool:
        """Whether the server is there but not the database. Raises WarehouseUnavailable when that cannot be told."""
        try:
            with translated(self.where):
                self._connect(self._url.database).close()
        except WarehouseUnavailable:
            # The reason reaches us as a sentence in the server's language: rather look than parse it.
            there = self._is_listed()
            if there is None:
                raise
            if not there:
                return True
            # Another process made it meanwhile; if that is not it, this tells the reason.
            with translated(self.where):
                self._connect(self._url.database).close()
        return False

    def _is_listed(self) -> bool | None:
        """Whether the server has the database; None where that cannot be told."""
        try:
            with self._connect(_MAINTENANCE_DATABASE) as server:
                found = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (self._url.database,))
                return found.fetchone() is not None
        except psycopg.Error:
            return None

    def _create_missing_database(self) -> None:
        if not self._database_is_missing():
            return
        create = sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0")
        with translated(self.where), self._connect(_MAINTENANCE_DATABASE) as server:
            try:
                server.execute(create.format(sql.Identifier(str(self._url.database))))
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                return  # another process was faster


def _without_secrets(url: sa.URL) -> str:
    """The server as messages name it."""
    host = url.host or url.query.get("host") or "localhost"
    host = host if isinstance(host, str) else ",".join(host)
    return f"{host}:{url.port}/{url.database}" if url.port else f"{host}/{url.database}"


def _number(name: str) -> int:
    """The second half of a lock's number."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


def _holder(connection: psycopg.Connection[Any], number: int) -> str:
    row = connection.execute(
        """
        SELECT application_name, to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
        FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND granted AND classid = %s::bigint::oid AND objid = %s::bigint::oid
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """,
        (_LOCK_CLASS, number),
    ).fetchone()
    return f"held by {row[0]} since {row[1]} UTC" if row else "its holder has ended just now"


@cache
def _migrations() -> str:
    """What tells one set of migrations from another: a digest of their names."""
    names = sorted(path.name for path in (Path(__file__).parent / "migrations" / "versions").glob("*.py"))
    return hashlib.sha256(" ".join(names).encode()).hexdigest()


def _known(frame: pl.DataFrame, columns: Sequence[str], of: str) -> None:
    unknown = [name for name in frame.columns if name not in columns]
    if unknown:
        raise ValueError(f"{of} has no column {', '.join(unknown)}")


@cache
def _newest(*tables: sa.Table) -> sa.CompoundSelect[Any]:
    return sa.union_all(
        *(
            sa.select(
                sa.literal(table.fullname, sa.Text).label("name"),
                sa.func.coalesce(sa.func.max(table.c[SEQ]), 0, type_=sa.BigInteger).label("newest"),
            )
            for table in tables
        )
    )


def _writable(table: sa.Table, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame without the change number, which only the database gives."""
    _known(frame, table.c.keys(), table.fullname)
    return frame.drop(SEQ, strict=False)


def _upsert(table: sa.Table, incoming: sa.FromClause, columns: Sequence[str], keep_status: bool) -> sa.Insert:
    """The statement of :meth:`Transaction.upsert`."""
    keys = [column.name for column in table.primary_key]
    content = [name for name in columns if name not in keys and name not in BOOKKEEPING]
    written = [name for name in columns if name not in keys and not (keep_status and name == STATUS)]
    differs = _differ(table, incoming, content)
    if STATUS in written:
        differs |= (table.c[STATUS] == WITHDRAWN) & (incoming.c[STATUS] != WITHDRAWN)
    # What does not differ is left out before the insert: ON CONFLICT would lock, and so rewrite, every row.
    changed = (
        sa.select(*incoming.c)
        .select_from(incoming.outerjoin(table, _same(table, incoming, keys)))
        .where(table.c[keys[0]].is_(None) | differs)
    )
    statement = insert(table).from_select(columns, changed, include_defaults=False)
    updates: dict[str, Any] = {name: statement.excluded[name] for name in written}
    updates |= {name: sa.func.now() for name in TOUCHED_AT if name in table.c and name not in columns}
    if updates:
        return statement.on_conflict_do_update(index_elements=keys, set_=updates)
    return statement.on_conflict_do_nothing(index_elements=keys)


@lru_cache(maxsize=500)
def _upsert_of_few(table: sa.Table, columns: tuple[str, ...], keep_status: bool, dialect: sa.Dialect) -> sa.Compiled:
    """The same, compiled for rows that travel as parameters: SQLAlchemy keeps no statement that has ON CONFLICT."""
    incoming = few_rows(columns, [table.c[name] for name in columns])
    return _upsert(table, incoming, columns, keep_status).compile(dialect=dialect)


def _same(table: sa.Table, incoming: sa.FromClause, keys: Sequence[str]) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == incoming.c[name] for name in keys))


def _differ(table: sa.Table, incoming: sa.FromClause, columns: Sequence[str]) -> sa.ColumnElement[bool]:
    if not columns:
        return sa.false()
    return sa.tuple_(*(table.c[name] for name in columns)).is_distinct_from(
        sa.tuple_(*(incoming.c[name] for name in columns))
    )
