"""To get the next piece of work ready while one is worked on: one side waits for a system, the other does not."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items in the same order. While one is worked on, the next is made in a thread of its own, and no more
    than that one, so that two are in memory at most.

    What making an item raises is raised in its place. Who stops early waits for the one that is being made.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as beside:
        coming = beside.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = beside.submit(next, items, end)
            yield item  # type: ignore[misc]  # whatever is not the end is an item
