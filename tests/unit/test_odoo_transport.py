"""Broken ways to a server, over real sockets: what was sent, what is lost, what may be repeated."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from odoo_fake import FakeOdoo, Fault, Trouble, running

from unierp_assets.odoo import (
    OdooAccessDenied,
    OdooAnswerLost,
    OdooConcurrencyError,
    OdooError,
    OdooLoginFailed,
    OdooMissingModule,
    OdooMissingRecord,
    OdooSession,
    OdooUnavailable,
    OdooUnsupported,
    OdooValidationError,
    Outcome,
)
from unierp_assets.odoo.batches import settle


@pytest.fixture
def odoo() -> Iterator[FakeOdoo]:
    fake = FakeOdoo()
    fake.on["res.partner", "search"] = lambda *_, **__: [1, 2]
    fake.on["res.partner", "write"] = lambda *_: True
    with running(fake):
        yield fake


def test_calls_share_one_connection_and_the_database_chosen_on_it(odoo: FakeOdoo) -> None:
    with odoo.session(connections=1) as session:
        for _ in range(5):
            assert session.call("res.partner", "search", []) == [1, 2]
    assert odoo.connections == 1
    assert set(odoo.cookies) == {"session_id=abc123"}


def test_a_server_that_closes_after_each_answer_is_served_all_the_same() -> None:
    fake = FakeOdoo(keep_alive=False)
    fake.on["res.partner", "search"] = lambda *_: []
    with running(fake), fake.session(connections=1) as session:
        assert session.call("res.partner", "search", []) == []
        assert session.call("res.partner", "search", []) == []
        assert session.counters.writes == 0


def test_a_read_whose_answer_was_lost_is_repeated(odoo: FakeOdoo) -> None:
    odoo.troubles = [Trouble(cut=True), Trouble(cut=True)]
    with odoo.session() as session:
        assert session.call("res.partner", "search", []) == [1, 2]
    assert len(odoo.of("res.partner", "search")) == 3


def test_a_write_whose_answer_was_lost_is_not_repeated(odoo: FakeOdoo) -> None:
    odoo.troubles = [Trouble(cut=True)]
    with odoo.session() as session, pytest.raises(OdooAnswerLost, match="look whether the write was done"):
        session.call("res.partner", "write", [1], {"name": "x"})
    assert len(odoo.of("res.partner", "write")) == 1


def test_a_write_that_was_never_sent_is_repeated(odoo: FakeOdoo, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [ConnectionRefusedError(111, "refused")]
    connect = socket.create_connection

    def flaky(*args: object, **kwargs: object) -> socket.socket:
        if refusals:
            raise refusals.pop()
        return connect(*args, **kwargs)  # type: ignore[arg-type]

    with odoo.session(connections=1) as session:
        session.login_now()
        session.close()
        monkeypatch.setattr(socket, "create_connection", flaky)
        assert session.call("res.partner", "write", [1], {"name": "x"}) is True
    assert len(odoo.of("res.partner", "write")) == 1


def test_a_server_that_does_not_answer_in_time_is_given_up(odoo: FakeOdoo) -> None:
    odoo.troubles = [Trouble(hang=1), Trouble(hang=1), Trouble(hang=1)]
    started = time.monotonic()
    with odoo.session(timeout=0.2) as session, pytest.raises(OdooUnavailable, match="did not answer in time"):
        session.call("res.partner", "search", [])
    assert time.monotonic() - started < 1.5


def test_a_gateway_that_gives_up_leaves_a_write_in_doubt(odoo: FakeOdoo) -> None:
    odoo.troubles = [Trouble(status=502)]
    with odoo.session() as session, pytest.raises(OdooAnswerLost) as lost:
        session.call("res.partner", "write", [1], {})
    assert lost.value.status == 502


def test_a_gateway_that_turns_a_call_away_has_not_passed_it_on(odoo: FakeOdoo) -> None:
    odoo.troubles = [Trouble(status=429)]
    with odoo.session() as session:
        assert session.call("res.partner", "write", [1], {}) is True
    assert len(odoo.of("res.partner", "write")) == 1


def test_a_redirecting_address_names_the_right_one(odoo: FakeOdoo) -> None:
    odoo.troubles = [Trouble(status=301, location="https://erp.example.com/")] * 5
    with odoo.session() as session, pytest.raises(OdooUnavailable, match=r"https://erp\.example\.com/"):
        session.call("res.partner", "search", [])


def test_an_address_without_odoo_says_so(odoo: FakeOdoo) -> None:
    odoo.troubles = [Trouble(status=404)] * 5
    with odoo.session() as session, pytest.raises(OdooUnavailable, match="check UNIERP_ODOO_URL"):
        session.call("res.partner", "search", [])


def test_an_answer_that_is_not_odoos_says_so(odoo: FakeOdoo) -> None:
    odoo.troubles = [Trouble(status=200, body="<html>Welcome</html>")] * 5
    with odoo.session() as session, pytest.raises(OdooUnavailable, match="something that is not Odoo answered"):
        session.call("res.partner", "search", [])


def test_a_closed_port_says_that_nothing_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    session = OdooSession(f"http://127.0.0.1:{port}", "db", "a", "b", attempts=2, backoff=0)
    with pytest.raises(OdooUnavailable, match="nothing listens there"):
        session.call("res.partner", "search", [])


def test_an_unknown_name_says_so() -> None:
    session = OdooSession("http://erp.invalid", "db", "a", "b", attempts=1)
    with pytest.raises(OdooUnavailable, match="unknown to DNS"):
        session.version  # noqa: B018


def test_plain_text_on_a_tls_address_is_a_tls_failure(odoo: FakeOdoo) -> None:
    session = OdooSession(odoo.url.replace("http:", "https:"), "db", "a", "b", attempts=1, timeout=2)
    with pytest.raises(OdooUnavailable, match=r"TLS failed|cannot be reached"):
        session.call("res.partner", "search", [])


def test_an_address_must_be_http() -> None:
    with pytest.raises(ValueError, match="not an http or https address"):
        OdooSession("ftp://erp.example.com", "db", "a", "b", attempts=1).call("res.partner", "search", [])


def test_a_wrong_password_is_a_failed_login_and_is_not_told(odoo: FakeOdoo) -> None:
    session = OdooSession(odoo.url.replace("://", "://me:hunter2@"), "db", "admin", "hunter2", backoff=0)
    with pytest.raises(OdooLoginFailed) as failed:
        session.call("res.partner", "search", [])
    assert "UNIERP_ODOO_PASSWORD" in str(failed.value)
    assert "hunter2" not in str(failed.value) + repr(failed.value) + repr(session)


def test_the_password_does_not_get_into_the_log(odoo: FakeOdoo, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), odoo.session() as session:
        session.call("res.partner", "search", [])
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("name", "message", "kind", "says"),
    [
        ("odoo.exceptions.AccessDenied", "Access Denied", OdooLoginFailed, "refuses the login"),
        ("odoo.exceptions.AccessError", "You may not.", OdooAccessDenied, "access rights"),
        ("odoo.exceptions.UserError", "Not so.", OdooValidationError, "Not so"),
        (
            "odoo.exceptions.ValidationError",
            "Model: Contact (res.partner), Field: Name (name)",
            OdooValidationError,
            "",
        ),
        ("odoo.exceptions.MissingError", "Record does not exist", OdooMissingRecord, "made anew"),
        (
            "odoo.exceptions.MissingError",
            "Record does not exist or has been deleted.\n(Record: res.users(99,), User: 99)",
            OdooLoginFailed,
            "refuses the login",
        ),
        (
            "odoo.exceptions.MissingError",
            "Record does not exist or has been deleted.\n(Record: res.users(99,), User: 2)",
            OdooMissingRecord,
            "made anew",
        ),
        ("odoo.exceptions.UserError", "Object x.y doesn't exist", OdooMissingModule, "model x.y"),
        ("builtins.KeyError", "'res.partner'", OdooMissingModule, "res.partner"),
        ("builtins.AttributeError", "no attribute 'foo'", OdooUnsupported, "foo"),
        ("builtins.ValueError", "Invalid field 'abc' on model 'res.partner'", OdooValidationError, "field abc"),
        ("psycopg2.errors.SerializationFailure", "x", OdooConcurrencyError, "lower the number"),
        ("odoo.exceptions.UserError", "could not serialize access due to ...", OdooConcurrencyError, ""),
        ("psycopg2.errors.NotNullViolation", 'null value in column "name"', OdooValidationError, "field name"),
        ("psycopg2.OperationalError", 'database "x" does not exist', OdooLoginFailed, "UNIERP_ODOO_DB"),
        (
            "psycopg2.OperationalError",
            'connection to server at "::1", port 5432 failed: FATAL:  database "x" does not exist\n',
            OdooLoginFailed,
            "UNIERP_ODOO_DB",
        ),
        (
            "psycopg2.errors.AdminShutdown",
            "terminating connection due to ...\nSSL ...",
            OdooAnswerLost,
            "lost its data",
        ),
        ("psycopg2.InterfaceError", "connection already closed", OdooAnswerLost, "look whether the write was done"),
        ("psycopg2.OperationalError", "FATAL:  the database system is in recovery mode", OdooAnswerLost, "recovery"),
        ("odoo.sql_db.PoolError", "The Connection Pool Is Full", OdooAnswerLost, "Pool"),
        ("builtins.ZeroDivisionError", "division by zero", OdooError, "server's log"),
    ],
)
def test_each_refusal_of_the_server_has_its_type(
    odoo: FakeOdoo, name: str, message: str, kind: type[OdooError], says: str
) -> None:
    def refuse(*_: object) -> None:
        raise Fault(name, message)

    odoo.on["res.partner", "create"] = refuse
    with odoo.session(attempts=1) as session, pytest.raises(kind) as refused:
        session.call("res.partner", "create", [{}])
    assert type(refused.value) is kind
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "message",
    [
        "could not serialize access due to concurrent update",
        "deadlock detected",
        'new row violates check constraint "account_move_line_check_accountable_required_fields"',
        'duplicate key value violates unique constraint "mail_followers_mail_followers_res_partner_res_model_id_uniq"',
        "You are not allowed to create 'Quants' (stock.quant) records.",
        "Posted journal entry must have an unique sequence number per company.",
    ],
)
def test_a_write_that_was_rolled_back_for_another_is_repeated(odoo: FakeOdoo, message: str) -> None:
    refusals = [Fault("odoo.exceptions.ValidationError", message)] * 2

    def write(*_: object) -> bool:
        if refusals:
            raise refusals.pop()
        return True

    odoo.on["res.partner", "write"] = write
    with odoo.session() as session:
        assert session.call("res.partner", "write", [1], {}) is True
        assert session.counters.writes == 3


def test_a_step_leaves_concurrent_writes_to_its_caller(odoo: FakeOdoo) -> None:
    def write(*_: object) -> None:
        raise Fault("psycopg2.errors.SerializationFailure", "could not serialize access")

    odoo.on["res.partner", "write"] = write
    with odoo.session() as session, pytest.raises(OdooConcurrencyError):
        session.step("res.partner", "write", [1], {})
    assert len(odoo.of("res.partner", "write")) == 1


def test_private_methods_are_not_even_sent(odoo: FakeOdoo) -> None:
    with odoo.session() as session, pytest.raises(OdooAccessDenied, match="private method"):
        session.call("res.partner", "_write", [1], {})
    assert odoo.calls == []


def test_every_call_carries_utc_and_no_tracking_and_what_the_caller_adds(odoo: FakeOdoo) -> None:
    with odoo.session(lang="de_DE") as session:
        session.call("res.partner", "search", [], context={"active_test": False}, limit=1)
    (_, _, args, keywords), *_ = odoo.calls
    assert args == [[]]
    assert keywords["limit"] == 1
    assert keywords["context"]["tz"] == "UTC"
    assert keywords["context"]["lang"] == "de_DE"
    assert keywords["context"]["tracking_disable"] is True
    assert keywords["context"]["active_test"] is False


def test_reads_and_writes_are_counted_apart(odoo: FakeOdoo) -> None:
    with odoo.session() as session:
        session.call("res.partner", "search", [])
        session.call("res.partner", "write", [1], {})
        session.call("res.partner", "write", [2], {})
        count = session.counters.snapshot()
    assert (count["reads"], count["writes"]) == (1, 2)
    assert count["seconds"] > 0
    assert session.counters.by_method["res.partner.write"] == 2


def test_map_keeps_the_order_and_the_error_of_each_item(odoo: FakeOdoo) -> None:
    def work(number: int) -> int:
        if number == 3:
            raise OdooValidationError("three is wrong")
        time.sleep(0.01 * (5 - number))
        return number * 10

    with odoo.session() as session:
        attempts = session.map(work, range(5))
    assert [attempt.value for attempt in attempts] == [0, 10, 20, None, 40]
    with pytest.raises(OdooValidationError, match="three is wrong"):
        attempts[3].get()


def test_map_uses_no_more_connections_than_allowed(odoo: FakeOdoo) -> None:
    busy, most, lock = 0, 0, threading.Lock()

    def search(*_: object) -> list[int]:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.02)
        with lock:
            busy -= 1
        return []

    odoo.on["res.partner", "search"] = search
    with odoo.session(connections=3) as session:
        session.map(lambda _: session.call("res.partner", "search", []), range(9))
        assert most == 3
        most = 0
        session.map(lambda _: session.call("res.partner", "search", []), range(4), connections=1)
        assert most == 1


def test_map_inside_map_does_not_wait_for_itself(odoo: FakeOdoo) -> None:
    with odoo.session(connections=2) as session:
        attempts = session.map(lambda _: len(session.map(lambda n: n, range(4))), range(4))
    assert [attempt.get() for attempt in attempts] == [4, 4, 4, 4]


def test_a_mistake_of_the_program_is_not_taken_for_an_answer(odoo: FakeOdoo) -> None:
    with odoo.session() as session, pytest.raises(ZeroDivisionError):
        session.map(lambda n: 1 // n, [1, 0, 2])


@contextmanager
def interruption(moment: threading.Event) -> Iterator[None]:
    """Interrupts the main thread, as Ctrl-C does, at that moment; the block has to be ended by it."""

    def interrupt() -> None:
        moment.wait(10)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with ThreadPoolExecutor(1) as beside, pytest.raises(KeyboardInterrupt):
        beside.submit(interrupt)
        yield


@pytest.mark.parametrize("items", [1, 9])
@pytest.mark.parametrize("connections", [1, 2])
def test_whoever_is_interrupted_leaves_no_call_at_work(odoo: FakeOdoo, items: int, connections: int) -> None:
    begun, ended, first = list[int](), list[int](), threading.Event()

    def write(number: int, *_: object) -> bool:
        begun.append(number)
        first.set()
        time.sleep(0.5)
        ended.append(number)
        return True

    odoo.on["res.partner", "write"] = write
    with odoo.session(connections=connections) as session:
        with interruption(first):
            session.map(lambda number: session.call("res.partner", "write", number), range(items))
        # What had begun has ended, nothing else begins, and the connections are none the worse.
        assert ended
        assert sorted(begun) == sorted(ended)
        assert len(begun) <= connections
        assert session.call("res.partner", "search", []) == [1, 2]
        assert len(begun) == len(ended)
    assert odoo.connections <= connections


def test_an_item_that_makes_many_calls_is_given_up_between_two(odoo: FakeOdoo) -> None:
    begun = threading.Event()

    def write(*_: object) -> bool:
        if len(odoo.of("res.partner", "write")) > 4:
            begun.set()
        time.sleep(0.01)
        raise Fault("ValidationError", "none of these")

    odoo.on["res.partner", "write"] = write

    def act(part: list[int]) -> list[Outcome[int]]:
        session.call("res.partner", "write", part)
        return [Outcome(number) for number in part]

    with odoo.session(connections=2) as session:
        with interruption(begun):
            settle(session, range(1000), act, key=lambda number: number, batch=500)
        assert len(odoo.of("res.partner", "write")) < 100


def test_what_broke_a_map_is_told_and_not_what_followed_from_it(odoo: FakeOdoo) -> None:
    together = threading.Barrier(2)

    def work(number: int) -> None:
        together.wait(5)
        if number == 1:
            raise ZeroDivisionError
        time.sleep(0.1)
        session.call("res.partner", "write", [number], {})

    with odoo.session(connections=2) as session, pytest.raises(ZeroDivisionError):
        session.map(work, range(9))
    assert not odoo.of("res.partner", "write")


def test_a_session_that_was_used_before_a_fork_connects_anew(odoo: FakeOdoo) -> None:
    def works() -> bool:
        several = session.map(lambda _: session.call("res.partner", "search", []), range(2))
        return [*(each.value for each in several), session.call("res.partner", "search", [])] == [[1, 2]] * 3

    with odoo.session() as session:
        assert works()
        before = odoo.connections
        if not (child := os.fork()):
            signal.alarm(20)
            failed = 1
            try:
                failed = int(not works())
            finally:
                os._exit(failed)
        assert os.waitpid(child, 0)[1] == 0
        assert odoo.connections > before
        assert works()


def test_a_closed_session_can_be_used_again(odoo: FakeOdoo) -> None:
    session = odoo.session()
    session.map(lambda _: session.call("res.partner", "search", []), range(3))
    session.close()
    assert session.call("res.partner", "search", []) == [1, 2]
    session.close()


@pytest.mark.parametrize("connections", [0, 65])
def test_the_number_of_connections_is_bounded(connections: int) -> None:
    with pytest.raises(ValueError, match="connections"):
        OdooSession("http://localhost", "db", "a", "b", connections=connections)


def test_the_company_is_read_once(odoo: FakeOdoo) -> None:
    odoo.on["res.users", "read"] = lambda *_: [{"id": 2, "company_id": [1, "Us"]}]
    odoo.on["res.company", "read"] = lambda *_: [
        {"id": 1, "name": "Us", "currency_id": [3, "EUR"], "country_id": [9, "France"]}
    ]
    odoo.on["res.country", "read"] = lambda *_: [{"id": 9, "code": "FR"}]
    with odoo.session() as session:
        assert session.company() == {
            "id": 1,
            "name": "Us",
            "currency_id": 3,
            "currency": "EUR",
            "country_code": "FR",
        }
        calls = len(odoo.calls)
        session.company()
    assert len(odoo.calls) == calls


class Remembered:
    """A user who is remembered, but no longer there."""

    user_id = 99

    def recall(self) -> int | None:
        return self.user_id

    def note(self, user_id: int) -> None:
        self.user_id = user_id


class WithoutTheRemembered(FakeOdoo):
    """A server that knows user 2 only, and takes longer to say so to the second of two."""

    def answer(self, service: str, method: str, args: list[Any]) -> Any:
        if service == "object" and args[1] != 2:
            time.sleep(0.3 if args[3] == "sale.order" else 0)
            raise Fault("odoo.exceptions.AccessDenied", "Access Denied")
        return super().answer(service, method, args)


def test_threads_that_ask_as_a_user_no_longer_there_all_go_on_as_the_one_who_logged_in() -> None:
    users = Remembered()
    fake = WithoutTheRemembered()
    for model in ("res.partner", "sale.order"):
        fake.on[model, "search_count"] = lambda *_: 1
    with running(fake), fake.session(users=users) as session:
        answers = session.map(lambda model: session.call(model, "search_count", []), ["res.partner", "sale.order"])
    assert [answer.get() for answer in answers] == [1, 1]
    assert users.user_id == 2


def test_the_company_is_that_of_who_logs_in_not_of_who_was_remembered() -> None:
    company_of = {2: 1, Remembered.user_id: 5}
    fake = WithoutTheRemembered()
    fake.on["res.users", "read"] = lambda ids, _: [{"id": ids[0], "company_id": [company_of[ids[0]], "Us"]}]
    fake.on["res.company", "read"] = lambda ids, _: [
        {"id": ids[0], "name": "Us", "currency_id": [3, "EUR"], "country_id": False}
    ]
    with running(fake), fake.session(users=Remembered()) as session:
        assert session.company()["id"] == 1


def test_the_clock_tells_when_the_session_began_however_late_it_is_asked(odoo: FakeOdoo) -> None:
    login_date = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
    odoo.on["res.users", "read"] = lambda *_: [{"id": 2, "login_date": "2026-05-01 08:30:00"}]
    odoo.on["res.partner", "search_count"] = lambda *_: 1
    with odoo.session() as session:
        session.call("res.partner", "search_count", [])
        time.sleep(0.3)
        clock = session.clock()
        assert timedelta(seconds=0.3) <= login_date - clock < timedelta(seconds=5)
        assert session.clock() == clock


def test_the_version_is_text_for_people(odoo: FakeOdoo) -> None:
    with odoo.session() as session:
        assert session.version == "19.0"


def test_a_database_odoo_14_does_not_know_is_a_failed_login(odoo: FakeOdoo) -> None:
    """With several databases it answers the login itself with a bare HTTP 500."""
    odoo.login_status = 500
    with odoo.session() as session, pytest.raises(OdooLoginFailed, match="UNIERP_ODOO_DB exists"):
        session.login_now()
