"""What a person sees: tables and errors, whatever a shop's values and the terminal are like."""

import io
from decimal import Decimal

import pytest
from rich.console import Console

from unierp_assets import display

SUMMARY = ["entity", "extracted", "quarantined", "created", "updated", "unchanged", "held"]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Both streams on a terminal of 80 columns."""
    written = io.StringIO()
    for name in ("out", "err"):
        monkeypatch.setattr(display, name, Console(file=written, width=80, force_terminal=False))
    return written


def test_control_characters_of_a_value_are_shown_and_not_obeyed(screen: io.StringIO) -> None:
    display.table("Rows", ["name"], [["Nova \x1b[1m\x07"], ["[red]plain[/]"]])
    shown = screen.getvalue()
    assert r"Nova \x1b[1m\x07" in shown
    assert "[red]plain[/]" in shown
    assert "\x1b" not in shown


def test_the_table_of_a_sync_fits_a_terminal_of_usual_width(screen: io.StringIO) -> None:
    display.table("Sync", SUMMARY, [["attribute_values", 123_456, 7, 0, 0, 99_999, None]])
    lines = screen.getvalue().splitlines()
    assert all(word in lines[1] for word in SUMMARY)
    assert lines[3].split() == ["attribute_values", "123,456", "7", "0", "0", "99,999"]


def test_amounts_keep_their_digits(screen: io.StringIO) -> None:
    display.table("Rows", ["total"], [[Decimal("250.00")]])
    assert "250.00" in screen.getvalue()


def test_an_empty_table_is_one_line(screen: io.StringIO) -> None:
    display.table("Differences", ["a", "b"], [])
    assert screen.getvalue() == "Differences: none\n"


def test_an_error_is_one_line_however_long_it_is(screen: io.StringIO) -> None:
    display.error(f"{'the way is long ' * 20}[/end]")
    assert screen.getvalue() == f"Error: {'the way is long ' * 20}[/end]\n"


def test_a_log_is_told_what_begins_and_what_is_written(screen: io.StringIO) -> None:
    with display.run_progress(9, enabled=True) as on_step:
        for phase, subject in [
            *(("read", "orders"), ("read", "prices")),
            *(("plan", "orders"), ("create", "orders"), ("agree", "orders")),
            *(("plan", "order_lines"), ("create", "order_lines")),
        ]:
            on_step(phase, subject)
    assert screen.getvalue().splitlines() == ["read orders ...", "create orders ...", "create order lines ..."]
