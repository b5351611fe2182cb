"""What the change sensors decide, without Dagster and without services."""

from datetime import UTC, datetime, timedelta

from unierp_assets.sensors.decisions import (
    EVERYTHING_FROM,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Ask,
    Past,
    Skip,
    affected,
    decide,
    pause,
    signature,
)
from unierp_assets.sync.intake.news import Change

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
PRICE = Change("prices", 1, "7 at 2026-05-04 11:59:58")
ORDER = Change("orders", 1, "101 rows after 100")


def ended(change: str, seconds_ago: float, *, failed: bool = False) -> Past:
    return Past(change, failed, NOW - timedelta(seconds=seconds_ago))


def decided(past: list[Past], *, well_since: datetime | None = None) -> Ask | Skip:
    return decide([], [PRICE], (), past, well_since, NOW)


OF_PRICE = signature([], [PRICE])


def test_a_change_asks_for_a_run_of_what_it_touches() -> None:
    assert decided([]) == Ask(f"{OF_PRICE}-1-first", OF_PRICE, (), ("prices",))


def test_the_same_change_has_the_same_key_whatever_order_it_is_told_in() -> None:
    other = Change("products", 1, "3 at 2026-05-04 11:59:59")
    assert signature([ORDER], [PRICE, other]) == signature([ORDER], [other, PRICE])
    assert signature([], [PRICE]) != signature([], [Change("prices", 1, "7 at 2026-05-04 12:00:01")])


def test_a_table_of_the_shop_and_an_entity_of_the_same_name_are_two_changes() -> None:
    assert signature([PRICE], []) != signature([], [PRICE])


def test_what_a_run_did_not_settle_is_tried_again_after_a_pause_under_another_key() -> None:
    early = decided([ended(OF_PRICE, FIRST_PAUSE.total_seconds() - 1)])
    assert isinstance(early, Skip)
    assert "a run did not settle them" in early.reason
    assert decided([ended(OF_PRICE, FIRST_PAUSE.total_seconds() + 1)]) == Ask(
        f"{OF_PRICE}-2-first", OF_PRICE, (), ("prices",)
    )


def test_while_runs_keep_failing_any_change_waits_longer_each_time() -> None:
    failures = [ended(str(number), 15 + number, failed=True) for number in range(3)]
    late = decided(failures)
    assert isinstance(late, Skip)
    assert "the last run failed" in late.reason
    assert isinstance(decided(failures[:1]), Ask)


def test_the_same_change_is_asked_for_again_however_many_other_runs_there_were_since() -> None:
    """A count of external ids goes up and down and is the same again: that is another change."""
    first = decide([], [PRICE], (), [], None, NOW, "5b0c1f3e-1")
    later = decide([], [PRICE], (), [ended(str(number), 60 + number) for number in range(20)], None, NOW, "77aa00ff-2")
    assert isinstance(first, Ask)
    assert isinstance(later, Ask)
    assert first.key != later.key
    assert first.change == later.change
    assert decide([], [PRICE], (), [], None, NOW, "5b0c1f3e-1") == first


def test_a_run_that_went_well_ends_the_row_of_failures() -> None:
    past = [ended("a", 1), *(ended("b", 5, failed=True) for _ in range(5))]
    assert isinstance(decided(past), Ask)


def test_failures_from_before_the_systems_came_back_do_not_count() -> None:
    past = [ended(OF_PRICE, 20 + number, failed=True) for number in range(6)]
    assert isinstance(decided(past), Skip)
    back = decided(past, well_since=NOW - timedelta(seconds=10))
    assert isinstance(back, Ask)
    assert back.key == f"{OF_PRICE}-7-first"


def test_pauses_double_up_to_a_limit() -> None:
    assert [pause(number) / FIRST_PAUSE for number in (1, 2, 3)] == [1, 2, 4]
    assert pause(1000) == LONGEST_PAUSE


def test_a_great_many_rows_are_one_run_of_everything() -> None:
    big = Change("products", EVERYTHING_FROM, "all")
    found = decide([big], [PRICE], (), [], None, NOW)
    assert isinstance(found, Ask)
    assert (found.tables, found.entities) == ((), ())


def test_an_order_takes_along_its_lines_its_invoice_and_the_stock_it_reserves() -> None:
    assert affected(["orders"], [], ()) == ("stock_levels", "orders", "order_lines", "invoices")


def test_a_price_concerns_nothing_else() -> None:
    assert affected([], ["prices"], ()) == ("prices",)


def test_what_is_delivered_in_unierp_is_told_to_the_shop_with_the_stock_that_left() -> None:
    assert affected([], ["shipments"], ()) == ("stock_levels", "orders", "order_lines", "shipments")


def test_a_mended_row_takes_along_what_waits_for_it_and_nothing_that_does_not() -> None:
    assert affected([], ["customers"], {"addresses", "prices"}) == ("customers", "addresses")
    # Orders refer to addresses: what waits for what waits comes along too.
    assert affected([], ["customers"], {"addresses", "orders"}) == (
        "stock_levels", "customers", "addresses", "orders", "order_lines",
    )  # fmt: skip
    assert affected([], ["customers"], ()) == ("customers",)
