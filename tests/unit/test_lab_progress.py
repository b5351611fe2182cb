"""How long steps are shown."""

import io
import re

import pytest

from unierp_assets.lab.progress import PlainReporter, RichReporter, reporter_for


def test_a_log_gets_a_line_when_a_step_begins_and_one_when_it_ends() -> None:
    stream = io.StringIO()
    with PlainReporter(stream).step("Starting") as detail:
        detail("too soon to tell")
    assert re.fullmatch(r"Starting \.\.\.\nStarting: done in 0\.\d s\n", stream.getvalue())


def test_a_long_step_tells_now_and_then_how_far_it_is() -> None:
    stream = io.StringIO()
    with PlainReporter(stream, every=0).step("Starting") as detail:
        detail("module 3 of 9")
    assert "Starting: module 3 of 9 (0 s)\n" in stream.getvalue()


def test_a_failed_step_is_not_called_done() -> None:
    stream = io.StringIO()
    with pytest.raises(OSError, match="cut"), PlainReporter(stream).step("Starting"):
        raise OSError("cut")
    assert "failed" in stream.getvalue()
    assert "done" not in stream.getvalue()


def test_only_a_terminal_gets_the_live_display() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(reporter_for(Terminal()), RichReporter)
    assert isinstance(reporter_for(io.StringIO()), PlainReporter)


def test_steps_may_run_inside_and_after_each_other_in_the_live_display() -> None:
    reporter = RichReporter()
    with reporter.step("one"), reporter.step("two") as detail:
        detail("half")
    with reporter.step("three"):
        pass
