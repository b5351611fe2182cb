"""A shop in PostgreSQL is read exactly, verified completely, and written to in one column only."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import polars as pl
import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import make_url

from unierp_assets.odoo import OdooSession
from unierp_assets.storefront.contract import contract_tables, grants, key_column
from unierp_assets.storefront.source import (
    Extent,
    Storefront,
    StorefrontContractError,
    StorefrontLoginRefused,
    StorefrontUnavailable,
    pages,
)
from unierp_assets.storefront.sql import SqlStorefront
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.intake.extract import changed_tables, extents, extract
from unierp_assets.sync.memory.rewind import rewind
from unierp_assets.warehouse import Warehouse
from unierp_assets.warehouse.tables import LANDING_STOREFRONT

T0 = datetime(2026, 5, 1, 8, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
def reader(owner: psycopg.Connection, shop_url: str) -> Iterator[str]:
    """The URL of a session whose role has no rights yet; its name is the URL's last word."""
    role = f"reader_{secrets.token_hex(4)}"
    owner.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    yield f"{shop_url}{'&' if '?' in shop_url else '?'}options=-c%20role%3D{role}"
    owner.execute(sql.SQL("DROP OWNED BY {role}; DROP ROLE {role}").format(role=sql.Identifier(role)))


def grant(owner: psycopg.Connection, reader: str, what: str) -> None:
    owner.execute(f"GRANT {what} TO {reader.rpartition('%3D')[2]}")


def add_groups(owner: psycopg.Connection, rows: list[tuple[int, str | None, datetime]]) -> None:
    with owner.cursor() as cursor:
        cursor.executemany("INSERT INTO shop.customer_groups (id, name, updated_at) VALUES (%s, %s, %s)", rows)


def add_stock(owner: psycopg.Connection, *levels: tuple[int, int, str]) -> None:
    with owner.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO shop.stock_levels (id, variant_id, location_id, on_hand, available, updated_at)"
            " SELECT coalesce(max(id), 0) + 1, %s, %s, 10, %s, '2026-01-01Z' FROM shop.stock_levels",
            levels,
        )


def available(owner: psycopg.Connection) -> list[tuple]:
    return owner.execute("SELECT variant_id, location_id, available FROM shop.stock_levels ORDER BY 1, 2").fetchall()


def seen(shop: SqlStorefront, levels: dict[int, object]) -> pl.DataFrame:
    """The rows to write: what is available by key of the stock level, each as the shop has it now."""
    rows = shop.changed("stock_levels", None, None, 10_000).select("id", "updated_at")
    wanted = pl.DataFrame({"id": list(levels), "available": [Decimal(str(value)) for value in levels.values()]})
    return rows.join(wanted, on="id")


# -- the database keeps updated_at true -----------------------------------------------------------------------------


def test_a_row_gets_the_instant_of_its_change_unless_the_statement_gives_one(owner: psycopg.Connection) -> None:
    owner.execute("INSERT INTO shop.currencies (code, name) VALUES ('USD', 'US dollar')")
    owner.execute("INSERT INTO shop.currencies (code, updated_at) VALUES ('EUR', %s)", [T0])

    def instants() -> dict[str, datetime]:
        return dict(owner.execute("SELECT code, updated_at FROM shop.currencies").fetchall())

    first = instants()
    assert first["EUR"] == T0
    assert abs(datetime.now(UTC) - first["USD"]) < timedelta(minutes=1)
    owner.execute("UPDATE shop.currencies SET name = 'Dollar'")
    assert instants()["USD"] > first["USD"]
    assert instants()["EUR"] > T0
    owner.execute("UPDATE shop.currencies SET updated_at = %s", [T0])
    assert set(instants().values()) == {T0}


# -- reading --------------------------------------------------------------------------------------------------------


def test_every_table_is_read_with_the_contracts_columns_even_when_it_is_empty(shop: SqlStorefront) -> None:
    for name in shop.tables():
        frame = shop.changed(name, None, None, 10)
        assert frame.is_empty()
        assert frame.columns == contract_tables()[name].columns.keys()
        assert shop.count(name) == 0
        assert shop.keys(name).dtype == frame.schema[key_column(contract_tables()[name]).name]


def test_values_arrive_typed_and_exact(owner: psycopg.Connection, shop: SqlStorefront) -> None:
    owner.execute(
        "INSERT INTO shop.prices VALUES (7, 12, 'GBP', 123456789012.3456, '2026-02-01 00:00:00.000001+01', NULL, %s),"
        " (8, NULL, '', -0.0001, '2999-12-31Z', '1900-01-01Z', %s)",
        [T0, T0],
    )
    owner.execute("INSERT INTO shop.exchange_rates VALUES (1, 'EUR', '2026-06-30', 0.92345678, %s)", [T0])
    owner.execute(
        "INSERT INTO shop.taxes VALUES ('NY', 'n', 'US', 8.875, false, %s), ('X', 'n', 'US', 1, true, %s)", [T0] * 2
    )
    assert shop.changed("prices", None, None, 10).rows() == [
        (7, 12, "GBP", Decimal("123456789012.3456"), datetime(2026, 1, 31, 23, 0, 0, 1, tzinfo=UTC), None, T0),
        (8, None, "", Decimal("-0.0001"), datetime(2999, 12, 31, tzinfo=UTC), datetime(1900, 1, 1, tzinfo=UTC), T0),
    ]
    assert shop.changed("exchange_rates", None, None, 1).row(0)[2:4] == (date(2026, 6, 30), Decimal("0.92345678"))
    assert shop.changed("taxes", None, None, 9)["included"].to_list() == [False, True]
    assert shop.changed("prices", None, None, 1).schema["amount"] == pl.Decimal(38, 4)


def test_any_text_arrives_as_it_is(owner: psycopg.Connection, shop: SqlStorefront) -> None:
    texts = [
        "",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\\",
        "\\N",
        "\\n",
        "\\\\N",
        'a"b',
        "'",
        "a\tb\nc\\d",
        "\x01\x0b\x0c\x08\x7f",
        "é€𝄞",
        "#",
        "null",
        None,
    ]
    add_groups(owner, [(number, text, T0) for number, text in enumerate(texts)])
    assert shop.changed("customer_groups", None, None, 100)["name"].to_list() == texts


def test_what_no_frame_can_hold_is_null(owner: psycopg.Connection, shop: SqlStorefront) -> None:
    owner.execute(
        "INSERT INTO shop.prices VALUES (1, 1, 'USD', 'NaN', 'infinity', '-infinity', %s),"
        " (2, 1, 'USD', 1, '20000-01-01Z', '0044-03-15 BC', %s)",
        [T0, T0],
    )
    owner.execute("INSERT INTO shop.exchange_rates VALUES (1, 'EUR', 'infinity', 1, %s)", [T0])
    frame = shop.changed("prices", None, None, 10)
    assert frame["amount"].to_list() == [None, 1]
    assert frame["valid_from"].null_count() == frame["valid_to"].null_count() == 2
    assert shop.changed("exchange_rates", None, None, 1)["valid_on"].to_list() == [None]


def test_keys_are_all_keys_also_an_empty_text(owner: psycopg.Connection, shop: SqlStorefront) -> None:
    owner.execute("INSERT INTO shop.currencies (code) VALUES ('USD'), (''), (E'a\\tb')")
    add_groups(owner, [(number, None, T0) for number in range(500)])
    assert set(shop.keys("currencies")) == {"USD", "", "a\tb"}
    assert sorted(shop.keys("customer_groups")) == list(range(500))
    assert shop.count("customer_groups") == 500


def test_the_instants_of_many_thousand_rows_come_to_the_same_in_the_shop_and_where_they_landed(
    owner: psycopg.Connection, shop: SqlStorefront, warehouse: Warehouse
) -> None:
    owner.execute(
        "INSERT INTO shop.customer_groups (id, name, updated_at)"
        " SELECT n, n::text, %s + n * interval '1 microsecond' FROM generate_series(0, 20000) AS n",
        [T0],
    )
    context = SyncContext(warehouse, shop, OdooSession("http://127.0.0.1:9", "db", "admin", "secret"), "run-1")
    extract(context, "customer_groups")
    theirs, ours = extents(context, {"customer_groups": None, "customers": None})
    stamps = 20_001 * ((T0 - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)) + 20_000 * 20_001 // 2
    assert theirs == ours == {"customer_groups": Extent(20_001, 20_001, stamps), "customers": Extent()}


def test_a_cursor_includes_its_instant_without_a_key_and_goes_on_after_it_with_one(
    owner: psycopg.Connection, shop: SqlStorefront
) -> None:
    later = T0 + timedelta(microseconds=1)
    add_groups(owner, [(1, "a", T0), (2, "b", T0), (3, "c", T0), (4, "d", later)])

    def ids(since: datetime | None, after_key: int | None, limit: int = 10) -> list[int]:
        return shop.changed("customer_groups", since, after_key, limit)["id"].to_list()

    assert ids(None, None) == ids(T0, None) == [1, 2, 3, 4]
    assert ids(T0, 2) == [3, 4]
    assert ids(T0, None, limit=2) == [1, 2]
    assert ids(later, None) == [4]
    assert ids(later, 4) == []


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_pages_give_every_row_once_in_order_however_many_changed_at_the_same_instant(
    owner: psycopg.Connection, shop: SqlStorefront, size: int
) -> None:
    rows = [(number, None, T0 + timedelta(microseconds=number % 3)) for number in range(21)]
    add_groups(owner, rows)
    owner.execute(
        "INSERT INTO shop.currencies (code, updated_at) SELECT chr(65 + n), %s FROM generate_series(0, 9) n", [T0]
    )
    read = [page["id"].to_list() for page in pages(shop, "customer_groups", None, size)]
    assert [key for page in read for key in page] == [row[0] for row in sorted(rows, key=lambda row: (row[2], row[0]))]
    assert all(0 < len(page) <= size for page in read)
    assert "".join(page["code"].str.join("").item() for page in pages(shop, "currencies", T0, size)) == "ABCDEFGHIJ"
    assert list(pages(shop, "customer_groups", T0 + timedelta(seconds=1), size)) == []


def test_mistakes_of_the_caller_are_refused(shop: SqlStorefront) -> None:
    with pytest.raises(ValueError, match="carts is not a table"):
        shop.count("carts")
    with pytest.raises(ValueError, match="time zone"):
        shop.changed("orders", T0.replace(tzinfo=None), None, 1)
    with pytest.raises(ValueError, match="needs `since`"):
        shop.changed("orders", None, 1, 1)
    with pytest.raises(ValueError, match="at least one row"):
        next(pages(shop, "orders", None, 0))


def test_a_row_without_an_instant_of_change_is_named(owner: psycopg.Connection, shop: SqlStorefront) -> None:
    owner.execute("INSERT INTO shop.locations (id, updated_at) VALUES (41, 'infinity')")
    with pytest.raises(StorefrontContractError, match=r"shop\.locations .* updated_at \(key 41\)"):
        shop.changed("locations", None, None, 10)


def test_reading_cannot_change_the_shop(owner: psycopg.Connection, shop: SqlStorefront) -> None:
    owner.execute(
        "CREATE FUNCTION shop.spy() RETURNS bigint LANGUAGE sql AS"
        " $$ INSERT INTO shop.locations (id) VALUES (1) RETURNING id $$"
    )
    owner.execute("ALTER TABLE shop.customer_groups RENAME TO groups")
    owner.execute("CREATE VIEW shop.customer_groups AS SELECT shop.spy() AS id, 'x' AS name, now() AS updated_at")
    with pytest.raises(StorefrontContractError, match="read-only transaction"):
        shop.keys("customer_groups")
    assert owner.execute("SELECT count(*) FROM shop.locations").fetchone() == (0,)


def test_the_connector_is_a_storefront(shop: SqlStorefront) -> None:
    storefront: Storefront = shop
    assert storefront.tables() == tuple(contract_tables())


# -- the contract is verified ---------------------------------------------------------------------------------------


def test_a_shop_that_offers_the_contract_passes(shop: SqlStorefront) -> None:
    shop.check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DROP TABLE shop.prices", "table prices is missing"),
        ("ALTER TABLE shop.orders DROP total", r"column orders\.total \(numeric\(16,4\)\) is missing"),
        (
            "ALTER TABLE shop.prices ALTER amount TYPE float8",
            r"column prices\.amount is float8 instead of numeric\(16,4\)",
        ),
        ("ALTER TABLE shop.prices ALTER amount TYPE numeric", r"prices\.amount may hold more than 4 decimals; cast it"),
        ("ALTER TABLE shop.prices ALTER amount TYPE numeric(20,6)", r"prices\.amount may hold more than 4 decimals"),
        ("ALTER TABLE shop.orders ALTER placed_at TYPE timestamp", r"orders\.placed_at is timestamp .*AT TIME ZONE"),
        ("ALTER TABLE shop.orders ALTER id TYPE text", r"orders\.id is text instead of bigint"),
        ("ALTER TABLE shop.taxes ALTER included TYPE text", r"taxes\.included is text instead of boolean"),
        (
            "ALTER TABLE shop.exchange_rates ALTER valid_on TYPE text",
            r"exchange_rates\.valid_on is text instead of date",
        ),
        ("ALTER TABLE shop.orders ALTER number TYPE bigint USING 1", r"orders\.number is int8 instead of text"),
        ("ALTER SCHEMA shop RENAME TO store", r"no schema 'shop' \(UNIERP_STOREFRONT_SCHEMA"),
    ],
)
def test_what_is_missing_is_named_with_the_remedy(
    owner: psycopg.Connection, shop: SqlStorefront, change: str, message: str
) -> None:
    owner.execute(change)
    with pytest.raises(StorefrontContractError, match=message) as refused:
        shop.check()
    assert "docs/storefront-contract.md" in str(refused.value)
    with pytest.raises(StorefrontContractError, match=message):
        shop.changed("orders", None, None, 1)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE shop.orders ALTER status TYPE varchar(20)",
        "ALTER TABLE shop.orders ALTER id TYPE integer",
        "ALTER TABLE shop.prices ALTER amount TYPE numeric(10,2)",
        "ALTER TABLE shop.order_lines ALTER quantity TYPE integer",
        "CREATE TYPE shop.kind AS ENUM ('guest'); ALTER TABLE shop.customers ALTER kind TYPE shop.kind USING 'guest'",
        "CREATE DOMAIN shop.amount AS numeric(12,2); ALTER TABLE shop.orders ALTER total TYPE shop.amount",
        "ALTER TABLE shop.orders ADD internal_remark text",
        "CREATE TABLE shop.carts (id bigint)",
    ],
)
def test_types_that_hold_the_same_values_and_more_columns_and_tables_are_fine(
    owner: psycopg.Connection, shop: SqlStorefront, change: str
) -> None:
    owner.execute(change)
    shop.check()
    assert shop.changed("orders", None, None, 1).is_empty()


def test_all_that_is_missing_is_said_at_once(owner: psycopg.Connection, shop: SqlStorefront) -> None:
    owner.execute("DROP TABLE shop.prices, shop.taxes; ALTER TABLE shop.orders DROP total, DROP currency")
    with pytest.raises(StorefrontContractError) as refused:
        shop.check()
    for missing in ("table prices", "table taxes", "orders.total", "orders.currency"):
        assert missing in str(refused.value)
    owner.execute("DROP TABLE shop.orders, shop.variants, shop.products; ALTER TABLE shop.customers DROP email")
    owner.execute("DROP SCHEMA shop CASCADE; CREATE SCHEMA shop")
    with pytest.raises(StorefrontContractError, match="and 10 more"):
        shop.check()


def test_a_table_that_goes_missing_later_is_named_too(owner: psycopg.Connection, shop: SqlStorefront) -> None:
    shop.check()
    owner.execute("DROP TABLE shop.payments")
    with pytest.raises(StorefrontContractError, match="table payments is missing"):
        shop.changed("payments", None, None, 1)


def test_views_serve_as_well_as_tables(owner: psycopg.Connection, shop: SqlStorefront) -> None:
    owner.execute("ALTER TABLE shop.prices RENAME TO article_prices")
    owner.execute("INSERT INTO shop.article_prices VALUES (1, 2, 'eur', 9.99, NULL, NULL, %s)", [T0])
    owner.execute(
        "CREATE VIEW shop.prices AS SELECT id::integer AS id, variant_id, upper(currency) AS currency,"
        " (amount * 2)::numeric(10,2) AS amount, valid_from, valid_to, updated_at FROM shop.article_prices"
    )
    shop.check()
    assert shop.changed("prices", None, None, 5).rows() == [(1, 2, "EUR", Decimal("19.98"), None, None, T0)]


def test_missing_rights_are_told_apart_from_missing_tables(owner: psycopg.Connection, reader: str) -> None:
    shop = SqlStorefront(reader)
    with pytest.raises(StorefrontContractError, match="GRANT USAGE ON SCHEMA shop"):
        shop.check()
    grant(owner, reader, "USAGE ON SCHEMA shop")
    with pytest.raises(StorefrontContractError, match=r"column currencies\.code may not be read \(GRANT SELECT"):
        shop.check()
    grant(owner, reader, "SELECT ON ALL TABLES IN SCHEMA shop")
    shop.check(write_back=False)
    with pytest.raises(StorefrontContractError) as refused:
        shop.check()
    for missing in (
        "GRANT UPDATE (available) ON shop.stock_levels",
        "GRANT UPDATE (amount, valid_from, valid_to) ON shop.prices",
        "GRANT DELETE ON shop.prices",
        "GRANT INSERT, DELETE ON shop.customer_group_members",
    ):
        assert missing in str(refused.value)
    add_stock(owner, (1, 1, "5"))
    with pytest.raises(StorefrontContractError, match=r"GRANT UPDATE \(available\)"):
        shop.write("stock_levels", seen(shop, {1: 4}))
    for statement in grants("reader"):
        grant(owner, reader, statement.removeprefix("GRANT ").removesuffix(" TO reader;"))
    shop.check()
    assert shop.write("stock_levels", seen(shop, {1: 4})) == [1]
    shop.close()


def test_a_view_that_cannot_be_updated_is_refused_for_write_back_only(
    owner: psycopg.Connection, shop: SqlStorefront
) -> None:
    owner.execute("ALTER TABLE shop.stock_levels RENAME TO levels")
    owner.execute("CREATE VIEW shop.stock_levels AS SELECT DISTINCT * FROM shop.levels")
    shop.check(write_back=False)
    with pytest.raises(StorefrontContractError, match="INSTEAD OF UPDATE"):
        shop.check()


# -- write-back -----------------------------------------------------------------------------------------------------


def test_only_rows_that_differ_are_written_and_writing_again_changes_nothing(
    owner: psycopg.Connection, shop: SqlStorefront
) -> None:
    add_stock(owner, (1, 1, "5"), (1, 2, "6"), (2, 1, "7"))
    levels: dict[int, object] = {1: 5, 2: 9, 3: 0}
    assert shop.write("stock_levels", seen(shop, levels)) == [1, 2, 3]
    assert available(owner) == [(1, 1, 5), (1, 2, 9), (2, 1, 0)]
    before = owner.execute("SELECT id, on_hand, updated_at FROM shop.stock_levels ORDER BY id").fetchall()
    assert [on_hand for _, on_hand, _ in before] == [10, 10, 10]
    assert before[0][2] == datetime(2026, 1, 1, tzinfo=UTC)
    assert before[1][2] > before[0][2]
    assert shop.write("stock_levels", seen(shop, levels)) == [1, 2, 3]
    assert owner.execute("SELECT id, on_hand, updated_at FROM shop.stock_levels ORDER BY id").fetchall() == before


def test_a_row_the_shop_has_changed_since_it_was_read_is_left_alone(
    owner: psycopg.Connection, shop: SqlStorefront
) -> None:
    add_stock(owner, (1, 1, "5"), (2, 1, "7"))
    rows = seen(shop, {1: 4, 2: 6})
    owner.execute("UPDATE shop.stock_levels SET available = 1 WHERE id = 1")
    assert shop.write("stock_levels", rows) == [2]
    assert available(owner) == [(1, 1, 1), (2, 1, 6)]


def test_a_row_the_shop_does_not_have_is_left_out_and_null_is_written_and_replaced(
    owner: psycopg.Connection, shop: SqlStorefront
) -> None:
    owner.execute("INSERT INTO shop.prices (id, variant_id, currency, amount, valid_to) VALUES (1, 2, 'EUR', 3, now())")
    row = shop.changed("prices", None, None, 1).select("id", "updated_at")
    ended = row.with_columns(valid_from=pl.lit(T0), valid_to=pl.lit(None, pl.Datetime("us", "UTC")))
    assert shop.write("prices", pl.concat([ended, ended.with_columns(id=pl.lit(9, pl.Int64))])) == [1]
    assert owner.execute("SELECT valid_from, valid_to FROM shop.prices").fetchall() == [(T0, None)]


def test_more_rows_than_a_batch_are_all_written(owner: psycopg.Connection, shop: SqlStorefront) -> None:
    owner.execute(
        "INSERT INTO shop.stock_levels (id, variant_id, location_id, available)"
        " SELECT n, n, 1, 0 FROM generate_series(1, 5000) n"
    )
    assert len(shop.write("stock_levels", seen(shop, {number: number for number in range(1, 5001)}))) == 5000
    assert owner.execute("SELECT count(*) FROM shop.stock_levels WHERE available = id").fetchone() == (5000,)


def test_only_what_the_contract_lets_be_written_is_written(shop: SqlStorefront) -> None:
    row = pl.DataFrame({"id": [1], "updated_at": [T0], "on_hand": [Decimal(1)]})
    with pytest.raises(ValueError, match=r"stock_levels\.on_hand is not written"):
        shop.write("stock_levels", row)
    with pytest.raises(ValueError, match="neither added nor deleted"):
        shop.unlink("customers", pl.DataFrame({"id": [1]}))
    with pytest.raises(ValueError, match="lacks a value"):
        shop.link("customer_group_members", pl.DataFrame({"customer_id": [1], "group_id": [None]}))


@pytest.mark.parametrize("keys", ["of the shop's own", "none"])
def test_links_are_added_and_deleted_once(owner: psycopg.Connection, shop: SqlStorefront, keys: str) -> None:
    if keys == "of the shop's own":
        owner.execute("ALTER TABLE shop.customer_group_members ALTER id ADD GENERATED BY DEFAULT AS IDENTITY")
    links = pl.DataFrame({"customer_id": [1, 1, 2], "group_id": [7, 8, 7]})
    assert shop.link("customer_group_members", links) == 3
    assert shop.link("customer_group_members", links) == 0
    assert shop.unlink("customer_group_members", links[1:]) == 2
    assert shop.unlink("customer_group_members", links[1:]) == 0
    found = owner.execute("SELECT customer_id, group_id FROM shop.customer_group_members").fetchall()
    assert found == [(1, 7)]


# -- the shop is away -----------------------------------------------------------------------------------------------


def test_a_connection_that_was_cut_is_renewed(owner: psycopg.Connection, shop: SqlStorefront) -> None:
    assert shop.count("orders") == 0
    owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'unierp-assets'")
    assert shop.count("orders") == 0
    shop.close()
    assert shop.count("orders") == 0


def test_a_statement_that_takes_too_long_is_given_up(owner: psycopg.Connection, shop_url: str) -> None:
    shop = SqlStorefront(shop_url, timeout=0.5)
    shop.check()
    with owner.transaction():
        owner.execute("LOCK TABLE shop.orders")
        with pytest.raises(StorefrontUnavailable, match=r"did not answer a statement within 0\.5 s"):
            shop.count("orders")
    assert shop.count("orders") == 0
    shop.close()


@pytest.mark.parametrize("wrong", [{"database": "no_such_shop"}, {"password": "s3cret-word"}], ids=["name", "password"])
def test_a_refused_login_is_told_as_such_without_the_password(shop_url: str, wrong: dict[str, str]) -> None:
    url = make_url(shop_url).set(**wrong)
    with pytest.raises(StorefrontLoginRefused, match=rf"{url.database}.*UNIERP_STOREFRONT_URL") as refused:
        SqlStorefront(url.render_as_string(hide_password=False)).check()
    assert str(url.password) not in str(refused.value)


def test_an_address_where_nothing_listens_is_named_without_the_password(tmp_path: Path) -> None:
    for url in (
        "postgresql+psycopg://shop:s3cret-word@127.0.0.1:1/shop",
        f"postgresql://shop:s3cret-word@/shop?host={tmp_path}",
    ):
        shop = SqlStorefront(url)
        with pytest.raises(StorefrontUnavailable, match=r"/shop cannot be used: .*Check that it runs") as refused:
            shop.count("orders")
        assert "s3cret-word" not in f"{refused.value} {shop!r}"


@pytest.mark.parametrize(
    "url", ["mysql://shop:s3cret-word@db/shop", "s3cret-word", "postgresql://shop:s3cret-word%zz@db/x"]
)
def test_what_is_no_postgresql_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StorefrontUnavailable, match="not a PostgreSQL URL") as refused:
        SqlStorefront(url).check()
    assert "s3cret-word" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


class Unreliable:
    """A shop that is gone after some pages."""

    def __init__(self, shop: SqlStorefront, pages: int) -> None:
        self._shop = shop
        self._pages = pages

    def changed(self, *arguments: Any) -> pl.DataFrame:
        self._turn()
        return self._shop.changed(*arguments)

    def rows_of(self, *arguments: Any) -> pl.DataFrame:
        self._turn()
        return self._shop.rows_of(*arguments)

    def _turn(self) -> None:
        if not self._pages:
            raise StorefrontUnavailable("gone")
        self._pages -= 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shop, name)


def test_a_second_reading_of_everything_that_breaks_off_is_finished_by_the_next_run(
    owner: psycopg.Connection, shop: SqlStorefront, warehouse: Warehouse
) -> None:
    owner.execute(
        "INSERT INTO shop.customer_groups (id, name, updated_at) SELECT n, n::text, %s + n * interval '1 hour' "
        "FROM generate_series(1, 100) AS n",
        [T0 - timedelta(days=30)],
    )
    context = SyncContext(warehouse, shop, OdooSession("http://127.0.0.1:9", "db", "a", "b"), "run", slice_rows=10)
    extract(context, "customer_groups")
    assert changed_tables(context, ["customer_groups"]) == []
    landing = LANDING_STOREFRONT["customer_groups"]
    with warehouse.transaction() as tx:
        tx.execute(sa.update(landing).values(name="what only a reading of everything mends"))
    rewind(warehouse, "night")
    broken = replace(context, storefront=cast("Storefront", Unreliable(shop, pages=3)))
    with pytest.raises(StorefrontUnavailable):
        extract(broken, "customer_groups")
    assert changed_tables(context, ["customer_groups"]) == ["customer_groups"]
    extract(context, "customer_groups")
    assert set(warehouse.read(landing)["name"]) == {str(number) for number in range(1, 101)}
    assert changed_tables(context, ["customer_groups"]) == []
