"""The lab's PostgreSQL server and its databases."""

import secrets
import stat
from pathlib import Path

import psutil
import psycopg
import pytest

from unierp_assets.lab import postgres as lab_postgres
from unierp_assets.lab.errors import LabError
from unierp_assets.lab.postgres import Cluster, PostgresServer


def test_a_server_takes_its_password_only(postgres: PostgresServer) -> None:
    assert postgres.accepts()
    assert not PostgresServer(postgres.port, "another").accepts()


def test_a_new_database_is_empty_unicode_and_in_utc(database: str) -> None:
    with psycopg.connect(database) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert tables == (0,)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
        # The order of text is that of Python and polars, on every machine.
        rows = connection.execute("SELECT word FROM unnest(ARRAY['a', 'É', 'B', 'z']) AS word ORDER BY word").fetchall()
        assert [word for (word,) in rows] == sorted(["a", "É", "B", "z"])
        assert connection.execute("SELECT upper('é')").fetchone() == ("É",)


def test_a_database_can_be_made_twice_cloned_renamed_dumped_restored_and_dropped(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    first, copy, back = (f"test_{name}_{secrets.token_hex(4)}" for name in ("first", "copy", "back"))
    url = lab_postgres.ensure_database(postgres, first)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    assert lab_postgres.ensure_database(postgres, first) == url

    lab_postgres.clone_database(postgres, first, f"{copy}_before")
    lab_postgres.rename_database(postgres, f"{copy}_before", copy)
    lab_postgres.dump_database(postgres, first, tmp_path / "dump")
    lab_postgres.ensure_database(postgres, back)
    lab_postgres.restore_database(postgres, tmp_path / "dump", back)
    for name in (first, copy, back):
        with postgres.connect(name) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)

    with postgres.connect(copy):  # a session that stays open does not keep the database
        lab_postgres.drop_database(postgres, copy)
    for name in (first, copy, back):
        lab_postgres.drop_database(postgres, name)
        assert not lab_postgres.database_exists(postgres, name)


def test_a_server_keeps_data_password_and_port_over_a_restart(services_folder: Path) -> None:
    cluster = Cluster(services_folder / "a folder with spaces, ü and 'quotes'")
    first = cluster.start()
    try:
        lab_postgres.ensure_database(first, "kept")
        assert cluster.start(first) == first, "a running server was started again"
        assert stat.S_IMODE(cluster.data.stat().st_mode) == 0o700
        with first.connect() as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",), "the user's data would not be safe"

        assert cluster.stop()
        assert not cluster.stop()
        assert not first.accepts()

        second = cluster.start(first)
        assert second.url("kept") == first.url("kept")
        assert lab_postgres.database_exists(second, "kept")
    finally:
        cluster.stop()


def test_a_server_that_died_starts_again_even_when_its_pid_belongs_to_somebody_else(services_folder: Path) -> None:
    cluster = Cluster(services_folder / "died", durable=False)
    first = cluster.start()
    try:
        assert first.process
        pid_file = cluster.data / "postmaster.pid"
        recorded = pid_file.read_text()
        psutil.Process(first.process.pid).kill()
        second = cluster.start(first)
        assert second.process
        assert second.process != first.process

        cluster.stop()
        # As after a restart of the machine: the file is still there, and its pid is that of an innocent process.
        stranger = psutil.Process().ppid()
        pid_file.write_text(recorded.replace(str(first.process.pid), str(stranger), 1))
        assert not cluster.is_running()
        assert cluster.start(first).accepts()
        assert psutil.pid_exists(stranger)
    finally:
        cluster.stop()


def test_a_port_taken_meanwhile_is_replaced(postgres: PostgresServer, services_folder: Path) -> None:
    cluster = Cluster(services_folder / "port", durable=False)
    first = cluster.start()
    cluster.stop()
    try:
        moved = cluster.start(PostgresServer(postgres.port, first.password))
        assert moved.port != postgres.port
        assert moved.accepts()
    finally:
        cluster.stop()


def test_data_whose_password_is_lost_is_not_guessed_at(services_folder: Path) -> None:
    cluster = Cluster(services_folder / "lost", durable=False)
    cluster.start()
    cluster.stop()
    with pytest.raises(LabError, match="unierp lab reset"):
        cluster.start()
