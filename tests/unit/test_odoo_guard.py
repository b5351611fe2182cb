"""A guarded and a paced session, over real sockets: what reaches the server and what does not."""

import time
from collections.abc import Iterator

import pytest
from odoo_fake import FakeOdoo, Fault, Trouble, running

from unierp_assets.odoo import OdooCircuitOpen, OdooLoginFailed, OdooSession, OdooUnavailable, OdooValidationError
from unierp_assets.sync.breaker import unierp_breaker

CUT = Trouble(cut=True)
SECONDS = 1.0


@pytest.fixture
def odoo() -> Iterator[FakeOdoo]:
    fake = FakeOdoo()
    fake.on["res.partner", "search"] = lambda *_: [1, 2]
    fake.on["res.partner", "write"] = refuse
    with running(fake):
        yield fake


def refuse(*_: object) -> bool:
    raise Fault("odoo.exceptions.ValidationError", "no")


def guarded(odoo: FakeOdoo) -> OdooSession:
    """A session that leaves the server alone after three calls of two attempts."""
    return odoo.session(attempts=2, connections=2, guard=unierp_breaker(odoo.url, None, failures=3, seconds=SECONDS))


def fail(session: OdooSession, times: int) -> None:
    for _ in range(times):
        with pytest.raises(OdooUnavailable) as failed:
            session.call("res.partner", "search", [])
        assert not isinstance(failed.value, OdooCircuitOpen)


def test_a_server_that_is_down_is_not_connected_to_again_after_the_threshold(odoo: FakeOdoo) -> None:
    with guarded(odoo) as session:
        session.login_now()
        odoo.troubles = [CUT] * 100
        fail(session, 3)
        connections, calls = odoo.connections, len(odoo.calls)
        assert calls == 6
        for _ in range(5):
            with pytest.raises(OdooCircuitOpen, match=r"3 calls in a row failed .*broke the connection"):
                session.call("res.partner", "search", [])
        assert (odoo.connections, len(odoo.calls)) == (connections, calls)


def test_the_login_is_guarded_too() -> None:
    guard = unierp_breaker("nowhere", None, failures=2, seconds=60)
    session = OdooSession("http://127.0.0.1:9", "db", "a", "b", attempts=1, guard=guard)
    fail(session, 2)
    with pytest.raises(OdooCircuitOpen):
        session.call("res.partner", "search", [])
    with pytest.raises(OdooCircuitOpen):
        session.version  # noqa: B018


def test_after_the_time_one_call_of_many_threads_tries_and_its_success_lets_all_through(odoo: FakeOdoo) -> None:
    with guarded(odoo) as session:
        session.login_now()
        odoo.troubles = [CUT] * 6
        fail(session, 3)
        time.sleep(SECONDS + 0.05)
        odoo.troubles = [Trouble(hang=0.9)]
        before = len(odoo.calls)
        attempts = session.map(lambda _: session.call("res.partner", "search", []), range(2))
        assert sorted(type(attempt.error).__name__ for attempt in attempts) == ["NoneType", "OdooCircuitOpen"]
        assert len(odoo.calls) == before + 1
        again = session.map(lambda _: session.call("res.partner", "search", []), range(4))
        assert [attempt.get() for attempt in again] == [[1, 2]] * 4


def test_refused_records_and_passwords_open_nothing(odoo: FakeOdoo) -> None:
    with guarded(odoo) as session:
        for _ in range(6):
            with pytest.raises(OdooValidationError):
                session.call("res.partner", "write", [1], {})
        assert session.call("res.partner", "search", []) == [1, 2]
    odoo.password = "another"
    with guarded(odoo) as session:
        for _ in range(6):
            with pytest.raises(OdooLoginFailed):
                session.call("res.partner", "search", [])


def test_the_calls_of_all_threads_together_keep_to_the_rate(odoo: FakeOdoo) -> None:
    rate, count = 20, 21
    with odoo.session(connections=4, calls_per_second=rate) as session:
        session.login_now()
        started = time.monotonic()
        attempts = session.map(lambda _: session.call("res.partner", "search", []), range(count))
        took = time.monotonic() - started
    assert [attempt.get() for attempt in attempts] == [[1, 2]] * count
    # The first of them waits for its distance from the login.
    assert (count - 1) / rate <= took < 3 * count / rate


def test_repeats_keep_to_the_rate(odoo: FakeOdoo) -> None:
    with odoo.session(attempts=5, calls_per_second=10) as session:
        session.login_now()
        odoo.troubles = [CUT] * 4
        started = time.monotonic()
        assert session.call("res.partner", "search", []) == [1, 2]
        assert 0.4 <= time.monotonic() - started < 3
