"""Python values to Odoo's and back."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unierp_assets.odoo import values

money = st.decimals(min_value=-(10**9), max_value=10**9, places=4, allow_nan=False, allow_infinity=False)


@given(money)
def test_an_amount_survives_the_way_to_odoo_and_back(amount: Decimal) -> None:
    assert values.decimal(values.encode(amount), 4) == amount
    assert Decimal(values.cell(amount)) == amount


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_survives_to_the_second(instant: datetime) -> None:
    assert values.instant(values.encode(instant)) == instant.replace(microsecond=0)


def test_an_instant_is_told_in_utc_whatever_its_zone() -> None:
    noon_in_delhi = datetime(2024, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert values.encode(noon_in_delhi) == "2024-03-01 06:30:00"


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        values.encode(datetime.fromisoformat("2024-03-01"))


def test_containers_are_encoded_within() -> None:
    assert values.encode([("id", "in", {3}), {"d": date(2024, 3, 1), "n": None}]) == [
        ["id", "in", [3]],
        {"d": "2024-03-01", "n": False},
    ]


def test_what_has_no_form_in_odoo_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form"):
        values.encode(object())


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "1"),
        (False, "0"),
        (0, "0"),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E+3"), "1000"),
        (0.00001, "0.00001"),
        ([3, 5], "3,5"),
        ([], ""),
        ("text", "text"),
        (date(2024, 3, 1), "2024-03-01"),
        (datetime(2024, 3, 1, 9, tzinfo=UTC), "2024-03-01 09:00:00"),
    ],
)
def test_a_cell_says_exactly_the_value(value: object, cell: str) -> None:
    assert values.cell(value) == cell


def test_what_odoo_calls_false_is_none() -> None:
    assert values.instant(False) is None
    assert values.day(False) is None
    assert values.ref(False) is None
    assert values.text(False) is None
    assert values.text("") is None
    assert values.decimal(False, 2) == Decimal("0.00")


def test_what_odoo_tells_is_read() -> None:
    assert values.day("2024-03-01 09:00:00") == date(2024, 3, 1)
    assert values.ref([7, "Seven"]) == 7
    assert values.ref(7) == 7
    assert values.ref([]) is None
    assert values.text("x") == "x"
    assert values.decimal(0.125, 2) == Decimal("0.13")


@given(st.lists(st.integers()), st.integers(min_value=1, max_value=7))
def test_chunks_lose_nothing_and_are_no_larger_than_asked(items: list[int], size: int) -> None:
    parts = values.chunks(items, size)
    assert [item for part in parts for item in part] == items
    assert all(0 < len(part) <= size for part in parts)


def test_a_chunk_of_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        values.chunks([1], 0)
