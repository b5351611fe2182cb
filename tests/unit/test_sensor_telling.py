"""What people are told of by sensors, without Dagster and without services."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from unierp_assets.entities.spec import System
from unierp_assets.sensors.decisions import LONG_SILENCE, SILENCE, is_abandoned
from unierp_assets.sensors.telling import (
    LISTED,
    Stock,
    crossings,
    late,
    late_assets,
    low_stock,
    outage,
    stock_key,
    threshold,
)
from unierp_assets.sync.breaker import OPEN, Circuit

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
FIVE = Decimal(5)


def cups(available: int) -> Stock:
    return Stock("7", "CUP-1", "Kitchen", Decimal(available))


def crossed(before: list[str] | None, *stocks: Stock) -> tuple[list[str], list[str]]:
    alerts, over = crossings(before, low_stock(stocks, FIVE, {}), FIVE, {})
    return [alert.key for alert in alerts], over


def test_a_sale_that_crosses_the_threshold_is_told_and_a_second_one_below_it_is_not() -> None:
    assert crossed([], cups(5)) == ([], [])
    assert crossed([], cups(4)) == ([stock_key("7")], [])
    assert crossed(["7"], cups(3)) == ([], [])


def test_it_is_over_once_there_is_enough_and_told_anew_after_that() -> None:
    assert crossed(["7"], cups(5)) == ([], ["7"])
    assert crossed([], cups(0)) == ([stock_key("7")], [])


def test_what_was_low_before_anybody_looked_is_not_told() -> None:
    assert crossed(None, cups(0)) == ([], [])


def test_the_threshold_is_that_of_the_sku_else_of_the_category_else_the_default() -> None:
    assert threshold(cups(1), FIVE, {"CUP-1": Decimal(2), "Kitchen": Decimal(9)}) == 2
    assert threshold(cups(1), FIVE, {"Kitchen": Decimal(9)}) == 9
    assert threshold(cups(1), FIVE, {"Garden": Decimal(9)}) == 5
    assert low_stock([cups(0)], Decimal(0), {}) == {}


def test_the_alert_says_how_many_there_are_and_should_be() -> None:
    ((alert,), _) = crossings([], low_stock([cups(4)], FIVE, {}), FIVE, {})
    assert alert.title == "CUP-1 is low on stock"
    assert "4 units of CUP-1" in alert.body
    assert "below 5" in alert.body


def test_an_asset_is_late_once_nobody_looked_for_longer_than_its_window() -> None:
    windows = dict.fromkeys(("stock", "orders", "new"), timedelta(minutes=30))
    last = {"stock": NOW - timedelta(minutes=31), "orders": NOW - timedelta(minutes=29), "new": None}
    assert late(last, windows, NOW) == ["stock"]


def test_an_alert_of_late_data_lists_some_names_and_counts_the_others() -> None:
    alert = late_assets([f"asset{number}" for number in range(LISTED + 3)])
    assert alert.body.endswith("asset9 and 3 more.")


def test_an_outage_is_told_with_its_reason_and_the_next_try() -> None:
    circuit = Circuit("http://erp/db", OPEN, 5, NOW, "nothing listens there", NOW + timedelta(seconds=30))
    alert = outage(System.UNIERP, circuit)
    assert alert.title == "UniERP does not answer"
    assert "nothing listens there" in alert.body
    assert "12:00:30" in alert.body


def test_a_silent_run_is_dead_unless_somebody_holds_the_lock_of_the_sync() -> None:
    def dead(silence: timedelta, *, locked: bool = False, single_step: bool = True) -> bool:
        return is_abandoned(NOW - silence, locked, single_step=single_step, now=NOW)

    longer = timedelta(seconds=1)
    assert not dead(SILENCE)
    assert dead(SILENCE + longer)
    assert not dead(SILENCE + longer, locked=True)
    assert not dead(SILENCE + longer, single_step=False)
    assert dead(LONG_SILENCE + longer, single_step=False)
