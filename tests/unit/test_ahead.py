"""Getting the next piece ready while one is worked on."""

import threading
from collections.abc import Iterator

import pytest

from unierp_assets.sync.load.ahead import ahead


def test_the_next_is_made_while_one_is_worked_on_and_no_more_than_that() -> None:
    made: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for number in range(4):
            made.append(number)
            if number == 1:
                second.set()
            yield number

    working = ahead(items())
    assert next(working) == 0
    assert second.wait(10)
    assert made == [0, 1]
    assert [*working] == [1, 2, 3]


def test_nothing_is_nothing_and_none_is_an_item() -> None:
    assert [*ahead(iter(()))] == []
    assert [*ahead(iter([None, 0]))] == [None, 0]


def test_what_making_an_item_raises_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise LookupError("of the second")

    seen = []
    with pytest.raises(LookupError, match="of the second"):
        for number in ahead(items()):
            seen.append(number)
    assert seen == [1]


def test_who_stops_early_leaves_no_thread_behind() -> None:
    def stops() -> None:
        for _ in ahead(iter(range(3))):
            raise KeyError

    with pytest.raises(KeyError):
        stops()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]
