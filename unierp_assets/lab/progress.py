"""How the lab tells what it is doing. What does not belong here: what it is doing.

A caller passes a :class:`Reporter`; :func:`reporter_for` chooses one by whether people watch: a live display on a
terminal, plain lines in a log.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

Detail = Callable[[str], None]
"""Tells how far a step has come, in a few words."""


class Reporter(Protocol):
    """Shows long steps. Steps may run side by side in threads."""

    def step(self, title: str) -> AbstractContextManager[Detail]:
        """Show ``title`` as running until the context ends; the value yielded updates the detail beside it."""


class SilentReporter:
    """Shows nothing: for tests and for machines."""

    @contextmanager
    def step(self, title: str) -> Iterator[Detail]:
        yield lambda detail: None


class PlainReporter:
    """One line when a step begins, one when it ends, and one now and then while it lasts."""

    def __init__(self, stream: TextIO | None = None, *, every: float = 15.0) -> None:
        self._stream = stream
        self._every = every
        self._lock = threading.Lock()

    def _line(self, text: str) -> None:
        with self._lock:
            stream = self._stream or sys.stderr
            stream.write(text + "\n")
            stream.flush()

    @contextmanager
    def step(self, title: str) -> Iterator[Detail]:
        started = last = time.monotonic()
        self._line(f"{title} ...")

        def detail(text: str) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= self._every:
                last = now
                self._line(f"{title}: {text} ({now - started:.0f} s)")

        try:
            yield detail
        except BaseException:
            self._line(f"{title}: failed after {time.monotonic() - started:.1f} s")
            raise
        self._line(f"{title}: done in {time.monotonic() - started:.1f} s")


class RichReporter:
    """A live display with a spinner, the detail and the time each running step has taken; finished steps stay."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            TextColumn("[dim]{task.fields[detail]}[/]"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._lock = threading.Lock()
        self._running = 0

    @contextmanager
    def step(self, title: str) -> Iterator[Detail]:
        with self._lock:
            if self._running == 0:
                for task in self._progress.task_ids:
                    self._progress.remove_task(task)
                self._progress.start()
            self._running += 1
        task_id = self._progress.add_task(title, total=1, detail="")
        try:
            yield lambda text: self._progress.update(task_id, detail=text)
            self._progress.update(task_id, completed=1, detail="")
        finally:
            with self._lock:
                self._running -= 1
                if self._running == 0:
                    self._progress.stop()


def reporter_for(stream: TextIO | None = None) -> Reporter:
    """A live display where ``stream`` (standard error unless told) is a terminal, plain lines where it is not."""
    stream = stream or sys.stderr
    return RichReporter() if stream.isatty() else PlainReporter(stream)
