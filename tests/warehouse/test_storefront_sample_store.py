"""A sample is written whole or not at all, and never over anything but a sample."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine, make_url

from unierp_assets.storefront.contract import contract_metadata
from unierp_assets.storefront.sample import Sample, SampleError, make_sample, write_sample
from unierp_assets.storefront.source import pages
from unierp_assets.storefront.sql import SqlStorefront


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_sample(30, 40, 60)


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        yield opened


def test_what_was_made_is_what_the_connector_reads(database: str, sample: Sample) -> None:
    write_sample(database, sample)
    shop = SqlStorefront(database)
    shop.check()
    for table in shop.tables():
        rows = [row for page in pages(shop, table, None, 100) for row in page.rows()]
        assert sorted(rows, key=lambda row: row[0]) == sorted(sample.rows[table], key=lambda row: row[0])
    shop.close()


def test_the_faults_lie_beside_the_tables(database: str, connection: psycopg.Connection, sample: Sample) -> None:
    write_sample(database, sample)
    stored = connection.execute("SELECT rule, table_name, key, consequence, outcome FROM shop.sample_faults").fetchall()
    assert set(stored) == {(f.rule, f.table, f.key, f.consequence, f.outcome.value) for f in sample.faults}
    assert len(stored) == len(sample.faults)


def test_the_tables_are_commented_and_keep_updated_at_true(
    database: str, connection: psycopg.Connection, sample: Sample
) -> None:
    write_sample(database, sample)
    assert connection.execute("SELECT obj_description('shop.prices'::regclass)").fetchone() != (None,)
    (before,) = connection.execute("SELECT updated_at FROM shop.prices WHERE id = 1").fetchone()
    (after,) = connection.execute("UPDATE shop.prices SET amount = 1 WHERE id = 1 RETURNING updated_at").fetchone()
    assert after > before


def test_a_sample_is_replaced_only_when_asked(database: str, connection: psycopg.Connection, sample: Sample) -> None:
    write_sample(database, sample)
    with pytest.raises(SampleError, match="already holds a sample"):
        write_sample(database, sample)
    connection.execute("DELETE FROM shop.orders")
    write_sample(database, sample, replace=True)
    assert connection.execute("SELECT count(*) FROM shop.orders").fetchone() == (len(sample.rows["orders"]),)


def test_a_real_shop_is_never_replaced(database: str, connection: psycopg.Connection, sample: Sample) -> None:
    contract_metadata().create_all(create_engine(make_url(database).set(drivername="postgresql+psycopg")))
    for replace in (False, True):
        with pytest.raises(SampleError, match="a shop that is not a sample"):
            write_sample(database, sample, replace=replace)
    assert connection.execute("SELECT count(*) FROM shop.orders").fetchone() == (0,)


def test_a_sample_that_cannot_be_written_leaves_nothing_behind(
    database: str, connection: psycopg.Connection, sample: Sample
) -> None:
    rows = {**sample.rows, "payments": [*sample.rows["payments"], sample.rows["payments"][0]]}
    with pytest.raises(SampleError, match="could not be written") as refused:
        write_sample(database, Sample(sample.seed, rows, sample.faults))
    assert (make_url(database).password or "no password") not in str(refused.value)
    assert connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'shop'").fetchone() == (0,)


def test_an_unreachable_database_is_named(sample: Sample) -> None:
    with pytest.raises(SampleError, match=r"127\.0\.0\.1:1/shop") as refused:
        write_sample("postgresql://shop:s3cret-word@127.0.0.1:1/shop", sample)
    assert "s3cret-word" not in str(refused.value)


@pytest.mark.parametrize("url", ["s3cret-word", "postgresql://shop:s3cret-word@db:54x2/shop"])
def test_what_is_no_postgresql_address_is_refused_without_repeating_it(sample: Sample, url: str) -> None:
    with pytest.raises(SampleError, match="not a PostgreSQL URL") as refused:
        write_sample(url, sample)
    assert "s3cret-word" not in str(refused.value)


def test_progress_ends_at_all_rows_and_an_engine_and_a_schema_may_be_given(
    database: str, connection: psycopg.Connection, sample: Sample
) -> None:
    seen: list[tuple[str, int, int]] = []
    write_sample(create_engine(make_url(database)), sample, 'Web "Shop"', progress=lambda *step: seen.append(step))
    total = sum(map(len, sample.rows.values()))
    assert seen[-1][1:] == (total, total)
    assert [step[1] for step in seen] == sorted(step[1] for step in seen)
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier('Web "Shop"', "order_lines"))
    assert connection.execute(statement).fetchone() == (len(sample.rows["order_lines"]),)
