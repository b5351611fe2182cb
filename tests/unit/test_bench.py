"""The bench's pure parts: its arithmetic, its shop, what it hands to the other side. Nothing is timed here."""

from decimal import Decimal
from typing import Any

import polars as pl
import psutil
import pytest

from unierp_assets.bench.plain import STEPS, PlainRun
from unierp_assets.bench.results import Measure, Part, Report, Scenario, Worker
from unierp_assets.bench.scenarios import QUICK, SCENARIOS, Sizes, customer_rows
from unierp_assets.bench.shop import STOCK, BenchShop, make_shop, order_lines
from unierp_assets.bench.tables import show
from unierp_assets.bench.worker import Stopwatch, peak_memory
from unierp_assets.entities.customers import stage_customers
from unierp_assets.storefront.contract import contract_tables


def records(shop: BenchShop, table: str) -> list[dict[str, Any]]:
    names = contract_tables()[table].c.keys()
    return [dict(zip(names, row, strict=True)) for row in shop.rows[table]]


def worker(**changes: Any) -> Worker:
    told = {
        "summary": {"seconds": 6.0, "odoo_writes": 3, "entities": {"a": {"failed": 1}, "b": {"failed": 2}}},
        "seconds": {"import": 1.5, "prepare": 0.5, "run": 6.0},
        "steps": [
            ["begin", "run", 0.25, 0.1],
            ["extract", "customers", 1.0, 0.5],
            ["extract", "addresses", 0.5, 0.25],
            ["create", "customers", 3.0, 0.0],
            ["create", "addresses", 1.25, 0.0],
        ],
        "calls": {"res.partner.search_read": [7, 0.5], "res.partner.load": [2, 4.0]},
        "peak_memory": 300 * 2**20,
    }
    return Worker(8.5, told | changes)


@pytest.mark.parametrize(
    ("ours", "theirs", "at_least", "met"),
    [(80.0, 100.0, 0.8, True), (79.0, 100.0, 0.8, False), (300.0, 100.0, 3.0, True), (1.0, 100.0, None, None)],
)
def test_a_comparison_reaches_its_target_by_the_ratio_of_ours_to_theirs(
    ours: float, theirs: float, at_least: float | None, met: bool | None
) -> None:
    measure = Measure("customers", "/s", ours, theirs, "a peer", at_least=at_least)
    assert measure.ratio == ours / theirs
    assert measure.met is met


def test_a_comparison_with_nothing_does_not_reach_its_target() -> None:
    assert Measure("customers", "/s", 10.0, 0.0, "a peer", at_least=0.8).met is False


@pytest.mark.parametrize(("ours", "met"), [(0, True), (1, False)])
def test_a_limit_may_be_touched_but_not_passed(ours: int, met: bool) -> None:
    assert Measure("writes", "", ours, at_most=0).met is met


def test_one_missed_target_fails_the_bench_and_a_figure_without_target_does_not() -> None:
    shown = Scenario("shown", "shown only", [Measure("seconds", "s", 1000.0)])
    missed = Scenario("missed", "missed", [Measure("writes", "", 1, at_most=0), Measure("seconds", "s", 1.0)])
    assert Report("19", {}, {}, [shown]).met
    assert not Report("19", {}, {}, [shown, missed]).met


def test_rates_of_small_sizes_are_shown_but_not_judged() -> None:
    assert Sizes().target(0.8) == 0.8
    assert QUICK.target(0.8) is None


def test_the_parts_of_a_run_add_up_to_the_whole_process() -> None:
    parts = worker().parts()
    assert sum(part.seconds for part in parts) == pytest.approx(8.5)
    assert parts[0] == Part("start and imports", pytest.approx(2.0))


def test_importing_a_library_counts_as_start_up() -> None:
    steps = [["extract", "customers", 1.0, 0.5], ["import", "Great Expectations", 2.0, 2.0]]
    assert worker().without_start == 6.0
    assert worker(steps=steps).without_start == 4.0


def test_reading_is_told_by_phase_and_making_by_entity() -> None:
    parts = {part.name: part for part in worker().parts()}
    assert parts["extract"] == Part("extract", 1.5, 0.75)
    assert parts["create customers"].seconds == 3.0
    assert parts["create addresses"].seconds == 1.25


def test_the_calls_that_took_longest_come_first() -> None:
    assert [(call.method, call.count) for call in worker().calls()] == [
        ("res.partner.load", 2),
        ("res.partner.search_read", 7),
    ]


def test_counts_of_a_run_are_summed_over_its_entities() -> None:
    assert worker().count("failed") == 3
    assert worker().peak_megabytes == 300


def test_a_report_says_for_machines_what_it_says_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    measure = Measure("orders", "/s", 4.25, 1.0, "one by one", at_least=3)
    report = Report("19", {"orders": 300}, {}, [Scenario("orders", "orders", [measure], worker().parts())])
    (told,) = report.to_dict()["scenarios"]
    assert told["measures"][0] == {
        "name": "orders", "unit": "/s", "ours": 4.25, "theirs": 1.0, "against": "one by one", "ratio": 4.25,
        "target": "ratio ≥ 3", "met": True,
    }  # fmt: skip
    assert sum(part["seconds"] for part in told["parts"]) == pytest.approx(8.5)
    show(report)
    printed = capsys.readouterr().out
    assert "4.25 /s" in printed
    assert "reached" in printed


def test_the_stopwatch_gives_the_time_until_the_next_step_to_the_step_before() -> None:
    stopwatch = Stopwatch()
    for phase in ("extract", "stage", "end"):
        stopwatch(phase, "customers")
    assert [(phase, subject) for phase, subject, *_ in stopwatch.steps] == [
        ("extract", "customers"),
        ("stage", "customers"),
    ]
    assert all(seconds >= 0 for *_, seconds, _ in stopwatch.steps)


def test_peak_memory_is_no_less_than_what_is_held_now() -> None:
    ballast = bytearray(b"x") * 64 * 2**20
    now = psutil.Process().memory_info().rss
    assert len(ballast) < now <= peak_memory()


def test_a_shop_of_the_same_size_is_the_same_shop() -> None:
    assert make_shop(20, 30, 5) == make_shop(20, 30, 5)


def test_more_orders_leave_the_rest_of_the_shop_as_it_is() -> None:
    small, large = make_shop(20, 30, 0), make_shop(20, 30, 5)
    order_tables = {"orders", "order_lines", "order_status_history", "payments", "shipments", "shipment_lines"}
    assert {name for name in small.rows if small.rows[name] != large.rows[name]} == order_tables


def test_orders_have_three_lines_of_different_products_and_add_up_to_the_cent() -> None:
    shop = make_shop(50, 30, 40)
    lines = pl.DataFrame(records(shop, "order_lines"), infer_schema_length=None)
    sums = lines.group_by("order_id").agg(
        pl.col("total").sum(), pl.col("tax_amount").sum(), pl.len(), pl.col("variant_id").n_unique().alias("products")
    )
    by_order = {row["order_id"]: row for row in sums.iter_rows(named=True)}
    for order in records(shop, "orders"):
        own = by_order[order["id"]]
        assert (own["len"], own["products"]) == (3, 3)
        assert (own["total"], own["tax_amount"]) == (order["total"], order["tax_total"])


def test_no_amount_of_the_shop_has_to_be_rounded() -> None:
    for order in range(1, 2000):
        for _, quantity, unit in order_lines(order, 5000):
            assert quantity * unit / 5 == (quantity * unit / 5).quantize(Decimal("0.01"))


def test_no_order_empties_the_stock() -> None:
    sold: dict[int, Decimal] = {}
    for order in range(1, 400):
        for product, quantity, _ in order_lines(order, 200):
            sold[product] = sold.get(product, Decimal(0)) + quantity
    assert max(sold.values()) < STOCK


def test_everything_an_order_points_to_is_there() -> None:
    shop = make_shop(20, 30, 40)
    customers = {row["id"] for row in records(shop, "customers")}
    variants = {row["id"] for row in records(shop, "variants")}
    lines = {row["id"] for row in records(shop, "order_lines")}
    assert {row["customer_id"] for row in records(shop, "orders")} <= customers
    assert {row["variant_id"] for row in records(shop, "order_lines")} <= variants
    assert {row["order_line_id"] for row in records(shop, "shipment_lines")} == lines


def test_a_column_the_contract_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="nickname"):
        BenchShop().add("customers", 1, nickname="x")


def test_the_peer_is_given_the_very_values_our_customers_have() -> None:
    shop = make_shop(0, 200)
    names = contract_tables()["customers"].c.keys()
    customers = pl.DataFrame(shop.rows["customers"], schema=names, orient="row", infer_schema_length=None)
    staged = stage_customers(
        {
            # A column without any value has no type of its own.
            "customers": customers.cast({pl.Null: pl.String}).with_columns(key=pl.col("id").cast(pl.String)),
            "customer_group_members": pl.DataFrame(schema={"key": pl.String, "group_id": pl.Int64}),
        }
    )
    columns, rows = customer_rows(200)
    given = pl.DataFrame(rows, schema=columns, orient="row")
    assert staged.select("name", "is_company", "email", "phone", "active").rows() == (
        given.select("name", "is_company", "email", "phone", "active").rows()
    )
    assert staged["email_is_valid"].all()
    assert given["id"].n_unique() == 200


def test_runs_of_the_plain_script_add_up() -> None:
    one = PlainRun(2, dict.fromkeys(STEPS, 1.0))
    assert (one + one) == PlainRun(4, dict.fromkeys(STEPS, 2.0))
    assert (one + one).total == 2.0 * len(STEPS)


def test_every_scenario_says_what_it_measures() -> None:
    assert all(measured.__doc__ for measured in SCENARIOS.values())
