"""How things look on a terminal: tables, the progress of a run, sentences for errors. No logic belongs here."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

# A file or a pipe has no width of its own: wide enough for every table then.
out = Console(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 140)
err = Console(stderr=True)

_NO_LIMIT = 10_000
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def error(message: str) -> None:
    """What went wrong, on standard error, in one line however long: a line that is broken is not found in a log."""
    err.print(f"[bold red]Error:[/] {escape(message)}", highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on standard output, for machines."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str | None = None) -> None:
    """A table; columns whose values are numbers are set right. An empty one is only its title."""
    listed = [list(row) for row in rows]
    if not listed:
        out.print(f"[bold]{title}[/]: none")
        return
    shown = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption,
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for number, column in enumerate(columns):
        numeric = all(_is_number(row[number]) for row in listed)
        shown.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=number == 0)
    for row in listed:
        shown.add_row(*("" if value is None else _cell(value) for value in row))
    if Measurement.get(out, out.options.update_width(_NO_LIMIT), shown).maximum > out.width:
        # Every character between the columns is one that a word lacks.
        shown.padding = 0
    out.print(shown)
    out.print()


def _is_number(value: Any) -> bool:
    return value is None or (
        not isinstance(value, bool | str) and hasattr(value, "__add__") and hasattr(value, "__abs__")
    )


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return "[dim]0[/]" if value == 0 else f"{value:,}"
    # Values come from a shop: its control characters are shown, not obeyed.
    return escape(_CONTROL.sub(lambda found: repr(found.group())[1:-1], str(value)))


def _in_lines() -> Callable[[str, str], None]:
    """A listener for logs: a line when something else begins, and for everything that is written."""
    last = ""

    def on_step(phase: str, subject: str) -> None:
        nonlocal last
        if phase in ("plan", "agree"):  # they alternate with every entity
            return
        if phase != last or phase in ("create", "update"):
            err.print(f"{phase} {subject} ...".replace("_", " "), highlight=False)
        last = phase

    return on_step


@contextmanager
def run_progress(total: int, *, enabled: bool) -> Iterator[Any]:
    """A progress bar over the steps of a run; yields the listener to give to the engine."""
    if not enabled:
        yield lambda phase, subject: None
        return
    if not err.is_terminal:
        yield _in_lines()
        return
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<32}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )
    with progress:
        task = progress.add_task("starting", total=total)

        def on_step(phase: str, subject: str) -> None:
            progress.update(task, description=f"{phase} {subject}".replace("_", " "), advance=1)

        yield on_step
        progress.update(task, completed=total)


def verdict(met: bool | None) -> str:
    """Whether a target was reached; nothing where there is none."""
    return {True: "reached", False: "MISSED", None: ""}[met]
