"""Frames in and out of PostgreSQL: what goes in comes out."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from unierp_assets.entities import ENTITIES
from unierp_assets.warehouse import Warehouse
from unierp_assets.warehouse.tables import CONFLICTS, RUNS, STAGING

VARIANTS = ENTITIES["variants"].schema()

# What PostgreSQL cannot store as text: NUL and lone surrogates.
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
money = st.decimals(min_value=-(10**15), max_value=10**15, places=2, allow_nan=False, allow_infinity=False)
instants = st.datetimes(timezones=st.just(UTC))
rows = st.lists(
    st.tuples(
        st.none() | text, st.none() | money, st.none() | st.booleans(), st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | instants, st.none() | st.dates(),
    ),
    max_size=20,
)  # fmt: skip
EVERY_KIND = sa.Table(
    "every_kind",
    sa.MetaData(),
    sa.Column("place", sa.BigInteger, primary_key=True),
    sa.Column("words", sa.Text),
    sa.Column("amount", sa.Numeric(18, 2)),
    sa.Column("flag", sa.Boolean),
    sa.Column("number", sa.BigInteger),
    sa.Column("at", sa.DateTime(timezone=True)),
    sa.Column("day", sa.Date),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
SCHEMA = pl.Schema(
    {
        "place": pl.Int64(), "words": pl.String(), "amount": pl.Decimal(18, 2), "flag": pl.Boolean(),
        "number": pl.Int64(), "at": pl.Datetime("us", "UTC"), "day": pl.Date(),
    }
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=rows)
def test_what_goes_in_comes_out(warehouse: Warehouse, content: list[tuple[object, ...]]) -> None:
    frame = pl.DataFrame([(place, *row) for place, row in enumerate(content)], schema=SCHEMA, orient="row")
    with warehouse.transaction() as tx:
        tx.execute(sa.schema.CreateTable(EVERY_KIND))
        tx.insert(EVERY_KIND, frame)
        assert_frame_equal(tx.read(sa.select(EVERY_KIND).order_by(EVERY_KIND.c.place)), frame)
        assert tx.upsert(EVERY_KIND, frame) == 0


@pytest.mark.parametrize("value", ["", " ", '"', "\\.", "\\N", "NULL", "a\nb", "a\r\nb", "a,b", "'; --", "ü€😀", "%s"])
def test_awkward_text_keeps_its_form(warehouse: Warehouse, value: str) -> None:
    groups = STAGING["customer_groups"]
    with warehouse.transaction() as tx:
        tx.upsert(groups, pl.DataFrame({"key": ["1", "2"], "name": [value, None]}))
        assert tx.read(sa.select(groups.c.name).order_by(groups.c.key))["name"].to_list() == [value, None]
        assert tx.read(sa.select(groups.c.key).where(groups.c.name == value))["key"].to_list() == ["1"]


def test_a_text_table_of_one_column_survives_an_end_mark(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        keys = pl.DataFrame({"key": ["\\.", "after"]})
        tx.upsert(STAGING["customer_groups"], keys.with_columns(name=pl.lit("x")))
        assert tx.read_matching(STAGING["customer_groups"], keys).height == 2
        assert tx.delete(STAGING["customer_groups"], keys) == 2


def test_years_beyond_four_digits_survive(warehouse: Warehouse) -> None:
    prices = STAGING["prices"]
    far = pl.DataFrame({"key": ["1"], "valid_to": ["2024-05-01"]}).with_columns(
        pl.col("valid_to").str.to_datetime(time_unit="us", time_zone="UTC").dt.offset_by("20000y")
    )
    with warehouse.transaction() as tx:
        tx.upsert(prices, far)
        assert tx.read(sa.select(prices.c.valid_to))["valid_to"].dt.year().to_list() == [22024]


def test_instants_of_another_zone_are_the_same_instants(warehouse: Warehouse) -> None:
    prices = STAGING["prices"]
    local = pl.DataFrame({"key": ["1"], "valid_from": [datetime(2024, 7, 1, 12, tzinfo=UTC)]}).with_columns(
        pl.col("valid_from").dt.convert_time_zone("Europe/Berlin")
    )
    with warehouse.transaction() as tx:
        tx.upsert(prices, local)
        assert tx.read(sa.select(prices.c.valid_from)).item() == datetime(2024, 7, 1, 12, tzinfo=UTC)


def test_an_empty_result_keeps_the_types(warehouse: Warehouse) -> None:
    staged = STAGING["variants"]
    empty = warehouse.read(sa.select(*(staged.c[name] for name in VARIANTS)))
    assert empty.height == 0
    assert empty.schema == VARIANTS


def test_sums_and_bound_parameters_keep_money_exact(warehouse: Warehouse) -> None:
    lines = STAGING["order_lines"]
    with warehouse.transaction() as tx:
        amounts = pl.Series(["0.10", "0.20", "999999999999999.99"]).cast(pl.Decimal(18, 2))
        tx.upsert(lines, pl.DataFrame({"key": ["1", "2", "3"], "order": ["a", "a", "b"], "total": amounts}))
        sums = tx.read(
            sa.select(lines.c.order, sa.func.sum(lines.c.total).label("total"))
            .where(lines.c.order.in_(["a", "b", "x%y"]), lines.c.total > sa.bindparam("least"))
            .group_by(lines.c.order)
            .order_by(lines.c.order),
            {"least": Decimal("0.01")},
        )
    assert sums.rows() == [("a", Decimal("0.30")), ("b", Decimal("999999999999999.99"))]


def test_a_union_and_a_text_statement_with_declared_columns_can_be_read(warehouse: Warehouse) -> None:
    both = sa.union_all(sa.select(sa.literal(1).label("n")), sa.select(sa.literal(2).label("n")))
    assert warehouse.read(both)["n"].sort().to_list() == [1, 2]
    said = sa.text("SELECT CAST(:day AS date) AS day, '5%' AS share").columns(day=sa.Date, share=sa.Text)
    assert warehouse.read(said, day=date(2024, 2, 29)).rows() == [(date(2024, 2, 29), "5%")]


def test_json_comes_as_its_text(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        tx.execute(sa.insert(RUNS).values(run_id="r", kind="sync", status="succeeded", summary={"rows": 1}))
        assert tx.read(sa.select(RUNS.c.summary)).item() == '{"rows": 1}'
        tx.upsert(RUNS, pl.DataFrame({"run_id": ["r"], "kind": ["plan"], "status": ["x"], "summary": ['{"rows": 2}']}))
        assert tx.read(sa.select(RUNS.c.summary)).item() == '{"rows": 2}'


def test_instants_without_a_zone_are_refused_by_name(warehouse: Warehouse) -> None:
    naive = pl.DataFrame({"key": ["1"], "valid_from": ["2024-07-01"]}).with_columns(
        pl.col("valid_from").str.to_datetime()
    )
    with warehouse.transaction() as tx, pytest.raises(TypeError, match="'valid_from' has no time zone"):
        tx.upsert(STAGING["prices"], naive)


def test_floats_are_refused_by_name(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx, pytest.raises(TypeError, match="'total' is a float"):
        tx.upsert(STAGING["orders"], pl.DataFrame({"key": ["1"], "total": [0.1]}))


def test_generated_numbers_are_left_to_the_database(warehouse: Warehouse) -> None:
    entries = pl.DataFrame(
        {
            "run_id": ["r"] * 2,
            "entity": ["taxes"] * 2,
            "key": ["1", "2"],
            "field": ["name"] * 2,
            "strategy": ["owner"] * 2,
        }
    )
    with warehouse.transaction() as tx:
        assert tx.insert(CONFLICTS, entries) == 2
        assert tx.insert(CONFLICTS, entries.clear()) == 0
        ids = tx.read(sa.select(CONFLICTS.c.id).order_by(CONFLICTS.c.id))["id"].to_list()
    assert len(set(ids)) == 2
