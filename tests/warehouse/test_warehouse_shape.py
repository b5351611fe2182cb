"""The shape of the database: migrations make what the tables say, from nothing and by many at once."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from unierp_assets.lab.postgres import PostgresServer, drop_database
from unierp_assets.warehouse import Warehouse, WarehouseOutdated, WarehouseUnavailable, evolve
from unierp_assets.warehouse.tables import SCHEMAS, STAGING, metadata

MIGRATIONS = sorted(
    path.name.partition("_")[0] for path in (Path(evolve.__file__).parent / "migrations/versions").glob("[0-9]*.py")
)


def connect(warehouse: Warehouse) -> sa.Engine:
    return sa.create_engine(warehouse.url, poolclass=sa.NullPool)


def test_the_migrations_make_what_the_tables_say(upgraded_warehouse: Warehouse) -> None:
    """Fails after a change of the tables until ``python -m unierp_assets.warehouse.evolve "..."`` was run."""
    with connect(upgraded_warehouse).connect() as connection:
        assert evolve.drift(connection) == []


def test_a_forgotten_migration_and_a_lost_trigger_are_found(upgraded_warehouse: Warehouse) -> None:
    with connect(upgraded_warehouse).connect() as connection:
        connection.execute(sa.DDL("ALTER TABLE staging.taxes DROP COLUMN rate"))
        connection.execute(sa.DDL("COMMENT ON COLUMN staging.taxes.name IS 'something else'"))
        connection.execute(sa.DDL("DROP TRIGGER number_change ON staging.orders"))
        found = "\n".join(evolve.drift(connection))
        connection.rollback()
    assert "rate" in found
    assert "something else" in found
    assert "change trigger: ('staging', 'orders')" in found


def test_every_schema_and_column_is_explained_in_the_database(upgraded_warehouse: Warehouse) -> None:
    with connect(upgraded_warehouse).connect() as connection:
        explained = connection.execute(
            sa.text(
                "SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = ANY(:names)"
            ),
            {"names": list(SCHEMAS)},
        )
        assert dict(row.tuple() for row in explained) == SCHEMAS
        silent = connection.execute(
            sa.text(
                "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
                "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY(:names) AND c.relkind = 'r' "
                "AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'alembic_version' "
                "AND col_description(c.oid, a.attnum) IS NULL"
            ),
            {"names": list(SCHEMAS)},
        ).all()
        assert silent == []


def test_upgrading_creates_the_database_applies_all_and_then_nothing(postgres: PostgresServer) -> None:
    warehouse = Warehouse(postgres.url("wholly-new"))
    try:
        assert not warehouse.is_current()
        assert warehouse.upgrade() == MIGRATIONS
        assert warehouse.is_current()
        assert warehouse.upgrade() == []
        assert warehouse.read(STAGING["taxes"]).is_empty()
    finally:
        warehouse.close()
        drop_database(postgres, "wholly-new")


def test_a_database_that_was_brought_up_to_date_is_known_without_looking_through_its_migrations(
    upgraded_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgraded_warehouse.upgrade()
    monkeypatch.setitem(sys.modules, "unierp_assets.warehouse.evolve", None)
    assert upgraded_warehouse.is_current()
    assert upgraded_warehouse.upgrade() == []


def test_a_database_that_another_version_brought_up_to_date_is_looked_through(postgres: PostgresServer) -> None:
    warehouse = Warehouse(postgres.url("elder"))
    try:
        warehouse.upgrade()
        with warehouse.transaction() as tx:
            tx.set_cursor("shape", "another")
            tx.execute(sa.text("UPDATE sync.alembic_version SET version_num = '9999'"))
        assert not warehouse.is_current()
        with pytest.raises(WarehouseOutdated, match="newer version"):
            warehouse.upgrade()
    finally:
        warehouse.close()
        drop_database(postgres, "elder")


def test_many_who_upgrade_at_once_apply_every_migration_once(postgres: PostgresServer) -> None:
    warehouses = [Warehouse(postgres.url("contended")) for _ in range(4)]
    try:
        with ThreadPoolExecutor(4) as pool:
            applied = list(pool.map(Warehouse.upgrade, warehouses))
        assert sorted(applied) == [[], [], [], MIGRATIONS]
    finally:
        for warehouse in warehouses:
            warehouse.close()
        drop_database(postgres, "contended")


def test_an_empty_database_is_not_current(database: str) -> None:
    warehouse = Warehouse(database)
    try:
        assert not warehouse.is_current()
    finally:
        warehouse.close()


def test_a_warehouse_of_a_newer_program_is_left_alone(database: str) -> None:
    warehouse = Warehouse(database)
    try:
        with connect(warehouse).begin() as connection:
            connection.execute(sa.DDL("CREATE SCHEMA sync"))
            connection.execute(sa.DDL("CREATE TABLE sync.alembic_version (version_num varchar(32) PRIMARY KEY)"))
            connection.execute(sa.DDL("INSERT INTO sync.alembic_version VALUES ('9999')"))
        assert not warehouse.is_current()
        with pytest.raises(WarehouseOutdated, match=r"newer version.*9999.*Update the program"):
            warehouse.upgrade()
    finally:
        warehouse.close()


def test_a_migration_that_fails_leaves_nothing_behind(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic.operations import Operations

    from unierp_assets.warehouse import WarehouseWriteFailed

    def refuse(self: Operations, *_: object, **__: object) -> None:
        self.get_bind().execute(sa.text("SELECT 1 / 0"))

    warehouse = Warehouse(database)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Operations, "create_index", refuse, raising=False)
            with pytest.raises(WarehouseWriteFailed, match="division by zero"):
                warehouse.upgrade()
        with connect(warehouse).connect() as connection:
            assert not set(sa.inspect(connection).get_schema_names()) & set(SCHEMAS)
        assert warehouse.upgrade() == MIGRATIONS
    finally:
        warehouse.close()


def test_a_server_that_is_not_there_is_not_taken_for_a_missing_database() -> None:
    with pytest.raises(WarehouseUnavailable, match="cannot be reached"):
        Warehouse("postgresql://someone@127.0.0.1:9/warehouse").upgrade()


@pytest.fixture
def own_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the migrations, so that a new one is not written among them."""
    shutil.copytree(evolve.MIGRATIONS, tmp_path / "migrations")
    monkeypatch.setattr(evolve, "MIGRATIONS", tmp_path / "migrations")


@pytest.mark.usefixtures("own_migrations")
def test_the_next_migration_is_written_with_its_triggers(postgres: PostgresServer) -> None:
    server = postgres.url("postgres")
    assert evolve.write_migration("nothing", server) is None
    table = sa.Table(
        "moons", metadata, sa.Column("key", sa.Text, primary_key=True, comment="Key."),
        sa.Column("_seq", sa.BigInteger, nullable=False, comment="Change number."), schema="staging", comment="Moons.",
    )  # fmt: skip
    try:
        written = evolve.write_migration("Add moons", server)
    finally:
        metadata.remove(table)
    assert written is not None
    assert written.name == f"{int(MIGRATIONS[-1]) + 1:04}_add_moons.py"
    text = written.read_text()
    assert "create_table('moons'" in text
    assert "CREATE TRIGGER number_change BEFORE INSERT OR UPDATE ON staging.moons" in text
    assert f"down_revision = '{MIGRATIONS[-1]}'" in text
    assert "CREATE SCHEMA" not in text


@pytest.mark.usefixtures("own_migrations")
def test_a_migration_that_adds_a_column_has_the_rows_that_are_there_read_anew(postgres: PostgresServer) -> None:
    grown = [metadata.tables[f"{schema}.categories"] for schema in ("landing_storefront", "staging", "landing_unierp")]
    columns = [sa.Column("depth", sa.Integer, comment="Depth.") for _ in grown]
    for table, column in zip(grown, columns, strict=True):
        table.append_column(column)
    try:
        written = evolve.write_migration("Add the depth of categories", postgres.url("postgres"))
    finally:
        for table, column in zip(grown, columns, strict=True):
            table._columns.remove(column)
    assert written is not None
    text = written.read_text()
    assert text.count("op.add_column('categories'") == 3
    for statement in (
        "DELETE FROM sync.cursors WHERE name IN ('extract:categories', 'read:landing_storefront.categories')",
        "DELETE FROM sync.cursors WHERE name = 'stage:categories'",
        "DELETE FROM landing_unierp.categories; DELETE FROM sync.cursors WHERE name = 'pull:categories:bound'",
    ):
        assert text.count(statement) == 1
        assert text.index(statement) > text.rindex("op.add_column(")
