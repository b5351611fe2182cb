"""The circuit breaker within one process: when it opens, what it refuses, how it closes, and what counts."""

import threading

import pytest

from unierp_assets.odoo import OdooAnswerLost, OdooCircuitOpen, OdooLoginFailed, OdooUnavailable, OdooValidationError
from unierp_assets.storefront.source import (
    StorefrontCircuitOpen,
    StorefrontContractError,
    StorefrontLoginRefused,
    StorefrontUnavailable,
)
from unierp_assets.sync.breaker import Breaker, storefront_breaker, unierp_breaker
from unierp_assets.warehouse.store import Warehouse

SERVER = "http://erp/main"
DOWN = OdooUnavailable("UniERP cannot be reached: nothing listens there", server=SERVER)
START = 1_767_355_200.0  # 2026-01-02 12:00:00 UTC


class Clock:
    """The time of day, which passes when a test says so."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("time.time", made)
    return made


class System:
    """What is called through a breaker: fails with ``error`` while it has one, and counts the calls that came."""

    def __init__(self, breaker: Breaker, error: BaseException | None = None) -> None:
        self.breaker = breaker
        self.error = error
        self.calls = 0

    def call(self) -> str:
        return self.breaker.call(self._answer)

    def _answer(self) -> str:
        self.calls += 1
        if self.error:
            raise self.error
        return "well"

    def fail(self, times: int) -> None:
        for _ in range(times):
            with pytest.raises(type(self.error)):  # type: ignore[arg-type]
                self.call()


@pytest.fixture
def unierp(clock: Clock) -> System:
    """A server that is down, behind a breaker that opens after three failures, for ten seconds."""
    return System(unierp_breaker(SERVER, None, failures=3, seconds=10), DOWN)


def test_after_the_last_failure_it_is_not_called_until_the_time_is_over(unierp: System, clock: Clock) -> None:
    unierp.fail(3)
    for clock.now in (START, START + 9.9):
        with pytest.raises(OdooCircuitOpen):
            unierp.call()
    assert unierp.calls == 3
    clock.now = START + 10.1
    unierp.error = None
    assert unierp.call() == "well"
    assert unierp.calls == 4


def test_the_refusal_says_since_when_why_and_when_it_is_tried_again(unierp: System) -> None:
    unierp.fail(3)
    with pytest.raises(OdooCircuitOpen) as refused:
        unierp.call()
    assert str(refused.value) == (
        "UniERP is left alone since 2026-01-02 12:00:00 UTC, after 3 calls in a row failed (UniERP cannot be reached: "
        "nothing listens there), and is tried again at 2026-01-02 12:00:10 UTC (server http://erp/main): check that "
        "UniERP runs, then run again after that time."
    )


def test_a_success_starts_the_count_anew(unierp: System) -> None:
    unierp.fail(2)
    unierp.error = None
    unierp.call()
    unierp.error = DOWN
    unierp.fail(2)
    unierp.error = None
    assert unierp.call() == "well"


def test_a_trial_that_fails_opens_it_for_the_whole_time_again_since_the_first_outage(
    unierp: System, clock: Clock
) -> None:
    unierp.fail(3)
    clock.now = START + 11
    unierp.fail(1)
    assert unierp.calls == 4
    clock.now = START + 20
    with pytest.raises(OdooCircuitOpen, match=r"since 2026-01-02 12:00:00 .* 4 calls .* again at 2026-01-02 12:00:21"):
        unierp.call()
    assert unierp.calls == 4


@pytest.mark.parametrize(
    "refusal", [OdooValidationError("no"), OdooLoginFailed("no")], ids=["a refused record", "a wrong password"]
)
def test_a_refusal_of_unierp_is_an_answer(unierp: System, refusal: Exception, clock: Clock) -> None:
    unierp.fail(2)
    unierp.error = refusal
    unierp.fail(5)
    unierp.error = DOWN
    unierp.fail(3)
    clock.now = START + 11
    unierp.error = refusal
    unierp.fail(2)
    assert unierp.calls == 12  # the first of the last two closed it


def test_a_lost_answer_counts_as_none(unierp: System) -> None:
    unierp.error = OdooAnswerLost("the connection broke")
    unierp.fail(3)
    with pytest.raises(OdooCircuitOpen):
        unierp.call()


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt()])
def test_what_the_system_has_not_said_counts_for_nothing(unierp: System, error: BaseException, clock: Clock) -> None:
    unierp.fail(2)
    unierp.error = error
    unierp.fail(3)
    unierp.error = DOWN
    unierp.fail(1)
    with pytest.raises(OdooCircuitOpen):
        unierp.call()
    clock.now = START + 11
    unierp.error = error
    unierp.fail(1)
    with pytest.raises(OdooCircuitOpen, match="just being tried by another call"):
        unierp.call()
    clock.now = START + 22
    unierp.error = None
    assert unierp.call() == "well"


def test_of_two_threads_one_is_let_through_to_try(unierp: System, clock: Clock) -> None:
    unierp.fail(3)
    clock.now = START + 11
    inside, answer = threading.Event(), threading.Event()
    answers: list[str] = []

    def slowly() -> str:
        inside.set()
        assert answer.wait(10)
        return "well"

    first = threading.Thread(target=lambda: answers.append(unierp.breaker.call(slowly)))
    first.start()
    assert inside.wait(10)
    with pytest.raises(OdooCircuitOpen, match="just being tried by another call"):
        unierp.call()
    answer.set()
    first.join(10)
    assert answers == ["well"]
    unierp.error = None
    assert unierp.call() == "well"


def test_calls_run_side_by_side_while_it_is_closed() -> None:
    """A breaker that took turns would make many connections as slow as one."""
    breaker = unierp_breaker(SERVER, None)
    together = threading.Barrier(2, timeout=10)
    threads = [threading.Thread(target=breaker.call, args=(together.wait,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not together.broken


@pytest.mark.parametrize("ending", [DOWN, OdooValidationError("no")], ids=["silence", "an answer"])
def test_a_call_that_was_under_way_when_it_opened_changes_nothing(
    unierp: System, ending: Exception, clock: Clock
) -> None:
    def late() -> str:
        unierp.fail(3)
        clock.now = START + 5
        raise ending

    with pytest.raises(type(ending)):
        unierp.breaker.call(late)
    with pytest.raises(OdooCircuitOpen, match=r"3 calls .* again at 2026-01-02 12:00:10"):
        unierp.call()


def test_the_shop_is_left_alone_with_the_first_sentence_of_its_failure(clock: Clock) -> None:
    error = StorefrontUnavailable("The shop's database at db/shop cannot be used: timed out. Check that it runs.")
    shop = System(storefront_breaker("db:5432/shop", None, failures=2, seconds=10), error)
    for answer in (StorefrontContractError("a table is missing"), StorefrontLoginRefused("wrong password")):
        shop.error = answer
        shop.fail(3)
    shop.error = error
    shop.fail(2)
    with pytest.raises(StorefrontCircuitOpen) as refused:
        shop.call()
    assert str(refused.value) == (
        "The shop's database is left alone since 2026-01-02 12:00:00 UTC, after 2 calls in a row failed (The shop's "
        "database at db/shop cannot be used: timed out), and is tried again at 2026-01-02 12:00:10 UTC. Check that it "
        "runs, then run again after that time."
    )


def test_without_its_warehouse_it_works_for_this_process(clock: Clock) -> None:
    nowhere = Warehouse("postgresql://nobody@127.0.0.1:9/none")
    unierp = System(unierp_breaker(SERVER, nowhere, failures=2, seconds=10), DOWN)
    unierp.fail(2)
    with pytest.raises(OdooCircuitOpen):
        unierp.call()
    clock.now = START + 11
    unierp.error = None
    assert unierp.call() == "well"
    assert unierp.calls == 3
