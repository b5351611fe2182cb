"""How things look on a terminal: tables, the progress of a run, sentences for errors. No logic belongs here."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

out = Console()
err = Console(stderr=True)


def print_json(value: Any) -> None:
    """One JSON document on standard output, for machines."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str | None = None) -> None:
    """A table; columns whose values are numbers are set right. An empty one is only its title and a dash."""
    listed = [list(row) for row in rows]
    if not listed:
        out.print(f"[bold]{title}[/]: none")
        return
    shown = Table(title=title, title_justify="left", caption=caption, caption_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        numeric = all(_is_number(row[number]) for row in listed)
        shown.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        shown.add_row(*("" if value is None else _cell(value) for value in row))
    out.print(shown)


def _is_number(value: Any) -> bool:
    return value is None or (
        not isinstance(value, bool | str) and hasattr(value, "__add__") and hasattr(value, "__abs__")
    )


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return "[dim]0[/]" if value == 0 else f"{value:,}"
    return str(value).replace("[", r"\[")


@contextmanager
def run_progress(total: int, *, enabled: bool) -> Iterator[Any]:
    """A progress bar over the steps of a run; yields the listener to give to the engine."""
    if not enabled:
        yield lambda phase, subject: None
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
