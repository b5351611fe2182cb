"""The bench's pure parts: its arithmetic, its shop, what it hands to the other side. Nothing is timed here."""

import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import psutil
import pytest
import typer

from unierp_assets.bench import limit_in_odoo
from unierp_assets.bench.changes import mixed_sheets, price_sheet
from unierp_assets.bench.errors import BenchError
from unierp_assets.bench.limit import shares
from unierp_assets.bench.loads import customer_rows
from unierp_assets.bench.page import BEGIN, END, PICTURE, write_page
from unierp_assets.bench.peers import PEERS, write_file
from unierp_assets.bench.plain import STEPS, PlainRun
from unierp_assets.bench.results import Measure, Part, Report, Scenario, Worker
from unierp_assets.bench.scenarios import SCENARIOS
from unierp_assets.bench.setting import FULL, LARGE, QUICK, Sizes
from unierp_assets.bench.shop import STOCK, BenchShop, customer, is_changed, make_shop, order_lines, price
from unierp_assets.bench.tables import show
from unierp_assets.bench.worker import Stopwatch, peak_memory
from unierp_assets.cli.common import numbers
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
    assert Sizes().target(50.0, 10_000, LARGE) is None
    assert Sizes().target(50.0, 100_000, LARGE) == 50.0
    assert QUICK.target(0.8) is None


def test_the_largest_size_is_loaded_once() -> None:
    assert [Sizes(turns=2).turns_at(size) for size in FULL] == [2, 2, 1]


def test_sizes_are_given_as_numbers_with_commas() -> None:
    assert numbers("1000, 10000", "--sizes") == (1_000, 10_000)
    assert numbers("", "--sizes") == ()
    with pytest.raises(typer.BadParameter):
        numbers("1000,many", "--sizes")


def test_one_row_in_a_hundred_changes_and_none_of_them_is_a_company() -> None:
    changed = [number for number in range(1, 1001) if is_changed(number)]
    assert len(changed) == 10
    assert not any(customer(number)["company"] for number in changed)


def test_a_peer_is_given_every_price_and_finds_one_in_a_hundred_different() -> None:
    _, columns, before = price_sheet(300, 0)
    _, _, after = price_sheet(300, 2)
    assert columns == ["id", "fixed_price"]
    assert [(old[0], new[1]) for old, new in zip(before, after, strict=True) if old != new] == [
        (f"unierp.prices__{number}", float(price(number) + 2)) for number in (7, 107, 207)
    ]


def test_a_peer_is_given_names_and_prices_where_all_kinds_changed() -> None:
    sheets = mixed_sheets(10, 20)
    assert [(model, len(rows)) for model, _, rows in sheets] == [
        ("product.template", 10), ("res.partner", 10), ("product.pricelist.item", 10),
    ]  # fmt: skip
    assert sheets[1][2][6] == ["unierp.customers__7", "First7 Last7 20"]


def test_a_file_for_the_peers_has_false_as_an_empty_cell(tmp_path: Path) -> None:
    write_file(tmp_path / "new" / "rows.csv", ["id", "is_company"], [["a.b", False], ["a.c", True]])
    assert (tmp_path / "new" / "rows.csv").read_text(encoding="utf-8").split() == ["id,is_company", "a.b,", "a.c,True"]


def test_every_peer_names_one_version() -> None:
    for peer in PEERS:
        assert peer.requirements.read_text(encoding="utf-8").startswith(f"{peer.name}==")


def test_work_is_shared_evenly_among_processes() -> None:
    assert shares([1, 2, 3, 4, 5], 2) == [[1, 3, 5], [2, 4]]


def test_a_step_that_another_process_was_in_the_way_of_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    conflict = type("OperationalError", (Exception,), {})
    monkeypatch.setitem(sys.modules, "psycopg2", SimpleNamespace(OperationalError=conflict))
    monkeypatch.setattr(limit_in_odoo, "PAUSES", (0.0, 0.0))
    ended: list[str] = []
    env = SimpleNamespace(
        cr=SimpleNamespace(rollback=lambda: ended.append("rollback")), clear=lambda: ended.append("clear")
    )

    def commit() -> None:
        ended.append("commit")

    answers: list[Any] = [conflict(), "made"]

    def step() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert limit_in_odoo.committed(env, step, commit) == "made"
    assert ended == ["rollback", "commit", "clear"]
    answers += [conflict(), conflict()]
    with pytest.raises(RuntimeError, match="too often"):
        limit_in_odoo.committed(env, step, commit)


def measured() -> Report:
    measures = [
        Measure("whole process", "/s", 50.0, 100.0, "a peer", at_least=1.0),
        Measure("peak memory", "MB", 300.0, at_most=600),
    ]
    return Report("19", {}, {"processors": 2}, [Scenario("first_load", "First load", measures, size=1000)])


def test_the_page_gets_a_table_and_a_picture_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n", encoding="utf-8")
    write_page(page, measured(), date(2026, 1, 2))
    text = page.read_text(encoding="utf-8")
    assert text.startswith("above\n")
    assert text.endswith("below\n")
    assert "old" not in text
    assert "Measured on 2026-01-02, Odoo 19 with two workers; processors 2." in text
    assert "| First load | whole process | 50 /s | 100 /s | a peer | 0.50 | ratio ≥ 1 | MISSED |" in text
    assert "| First load | peak memory | 300 MB |  |  |  | ≤ 600 MB | reached |" in text
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("my page\n", encoding="utf-8")
    with pytest.raises(BenchError, match="add these two lines"):
        write_page(page, measured(), date(2026, 1, 2))
    assert page.read_text(encoding="utf-8") == "my page\n"


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
