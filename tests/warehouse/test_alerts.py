"""Alerts as people get them: a real mail server, a real HTTP server, and how many messages arrive."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from receivers import Receiver, mail_server, web_hook

from unierp_assets import alerts
from unierp_assets.alerts import Alert, Severity, clear_alert, open_alerts, raise_alert, rules, tell_waiting
from unierp_assets.lab.processes import HOST, free_port
from unierp_assets.settings import Settings
from unierp_assets.warehouse import Warehouse

DOWN = Alert("service:unierp", Severity.CRITICAL, "UniERP does not answer", "It is left alone.", "/runs/42")
LOW = Alert("stock:7", Severity.WARNING, "Stock of 7 is low", "2 left, 5 wanted.")
QUIET = "22:00-07:00"
NIGHT, MORNING = datetime(2026, 11, 22, 23, tzinfo=UTC), datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.fixture
def mail() -> Iterator[Receiver]:
    with mail_server() as receiver:
        yield receiver


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with web_hook() as receiver:
        yield receiver


@pytest.fixture
def settings(mail: Receiver, hook: Receiver, tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path / "home",
        alert_urls=SecretStr(f"{mail.url}, {hook.url}"),
        dagster_page="https://dagster.example.com/",
    )


class Clock:
    """The time that alerts go by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        monkeypatch.setattr(alerts, "_now", lambda: self.now)

    def pass_by(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_an_alert_arrives_once_by_mail_and_by_http_and_so_does_the_notice_that_it_is_over(
    warehouse: Warehouse, settings: Settings, mail: Receiver, hook: Receiver
) -> None:
    assert raise_alert(warehouse, DOWN, settings=settings)
    for _ in range(5):
        assert not raise_alert(warehouse, DOWN, settings=settings)
    assert clear_alert(warehouse, DOWN.key, "It answers again.", settings=settings)
    for _ in range(5):
        assert not clear_alert(warehouse, DOWN.key, "It answers again.", settings=settings)
    for receiver in (mail, hook):
        assert receiver.titles == ["Critical: UniERP does not answer", "Over: UniERP does not answer"]
        assert "It is left alone." in receiver.messages[0].body
        assert "https://dagster.example.com/runs/42" in receiver.messages[0].body
        assert "It answers again." in receiver.messages[1].body
    assert open_alerts(warehouse, settings=settings) == []


def test_what_is_over_may_begin_anew(warehouse: Warehouse, settings: Settings, hook: Receiver) -> None:
    for _ in range(2):
        raise_alert(warehouse, LOW, settings=settings)
        clear_alert(warehouse, LOW.key, "Enough again.", settings=settings)
    assert len(hook.messages) == 4


def test_an_open_alert_is_repeated_after_its_period_if_it_is_raised_then(
    warehouse: Warehouse, settings: Settings, hook: Receiver, clock: Clock
) -> None:
    raise_alert(warehouse, DOWN, settings=settings)
    clock.pass_by(seconds=settings.alert_repeat - 1)
    assert not raise_alert(warehouse, DOWN, settings=settings)
    clock.pass_by(seconds=1)
    assert tell_waiting(warehouse, settings=settings) == 0
    assert raise_alert(warehouse, DOWN, settings=settings)
    assert len(hook.messages) == 2


def test_what_grows_worse_is_told_at_once(warehouse: Warehouse, settings: Settings, hook: Receiver) -> None:
    raise_alert(warehouse, LOW, settings=settings)
    assert raise_alert(warehouse, Alert(LOW.key, Severity.CRITICAL, "Stock of 7 is gone", "0 left."), settings=settings)
    assert hook.titles == ["Warning: Stock of 7 is low", "Critical: Stock of 7 is gone"]


def test_what_is_below_the_least_severity_is_remembered_and_not_told(
    warehouse: Warehouse, settings: Settings, hook: Receiver
) -> None:
    assert not raise_alert(warehouse, Alert("note", Severity.INFO, "A note", "For those who look."), settings=settings)
    assert [row.key for row in open_alerts(warehouse, settings=settings)] == ["note"]
    assert not clear_alert(warehouse, "note", "Done.", settings=settings)
    assert hook.messages == []


def test_a_quiet_period_holds_back_all_but_what_is_critical_and_one_message_tells_it_afterwards(
    warehouse: Warehouse, settings: Settings, mail: Receiver, hook: Receiver, clock: Clock
) -> None:
    settings = settings.model_copy(update={"alert_quiet": QUIET})
    clock.now = NIGHT
    for number in range(3):
        alert = Alert(f"stock:{number}", Severity.WARNING, f"Stock of {number} is low", "Order more.")
        assert not raise_alert(warehouse, alert, settings=settings)
    assert raise_alert(warehouse, DOWN, settings=settings)
    assert not clear_alert(warehouse, "stock:2", "Enough again.", settings=settings)
    assert hook.titles == ["Critical: UniERP does not answer"]
    clock.now = MORNING
    assert tell_waiting(warehouse, settings=settings) == 2
    assert tell_waiting(warehouse, settings=settings) == 0
    for receiver in (mail, hook):
        assert receiver.titles[1:] == ["2 messages of the quiet period"]
        told = receiver.messages[1].body
        assert "Stock of 0 is low" in told
        assert "Stock of 1 is low" in told
        assert "Stock of 2" not in told
    assert clear_alert(warehouse, "stock:0", "Enough again.", settings=settings)
    assert hook.titles[-1] == "Over: Stock of 0 is low"


def test_the_notice_that_a_warning_is_over_is_held_back_too(
    warehouse: Warehouse, settings: Settings, hook: Receiver, clock: Clock
) -> None:
    settings = settings.model_copy(update={"alert_quiet": QUIET})
    raise_alert(warehouse, LOW, settings=settings)
    clock.now = NIGHT
    assert not clear_alert(warehouse, LOW.key, "Enough again.", settings=settings)
    clock.now = MORNING
    assert tell_waiting(warehouse, settings=settings) == 1
    assert hook.titles == ["Warning: Stock of 7 is low", "Over: Stock of 7 is low"]


def test_what_could_not_be_sent_is_sent_later_and_only_to_whom_it_did_not_reach(
    warehouse: Warehouse, settings: Settings, mail: Receiver, hook: Receiver, clock: Clock
) -> None:
    mail.refusing = True
    assert raise_alert(warehouse, DOWN, settings=settings)
    assert not raise_alert(warehouse, DOWN, settings=settings)
    assert (mail.refused, len(hook.messages)) == (1, 1)
    clock.pass_by(seconds=rules.RETRY_AFTER.total_seconds())
    mail.refusing = False
    assert tell_waiting(warehouse, settings=settings) == 1
    assert tell_waiting(warehouse, settings=settings) == 0
    assert (len(mail.messages), len(hook.messages)) == (1, 1)


def test_nobody_there_to_take_alerts_stops_nothing(
    warehouse: Warehouse, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = SecretStr(f"json://user:hunter2@{HOST}:{free_port()}")
    settings = settings.model_copy(update={"alert_urls": nobody})
    assert not raise_alert(warehouse, DOWN, settings=settings)
    assert "could not be sent" in caplog.text
    assert "hunter2" not in caplog.text
    assert not clear_alert(warehouse, DOWN.key, "It answers again.", settings=settings)
    assert open_alerts(warehouse, settings=settings) == []


def test_without_addresses_alerts_are_only_remembered(warehouse: Warehouse, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert not raise_alert(warehouse, DOWN, settings=settings)
    assert [row.key for row in open_alerts(warehouse, settings=settings)] == [DOWN.key]


def test_an_outage_of_the_warehouse_itself_is_told_once_and_once_that_it_is_over(
    warehouse: Warehouse, settings: Settings, hook: Receiver
) -> None:
    away = Warehouse(f"postgresql://nobody@{HOST}:{free_port()}/none")
    lost = Alert("service:warehouse", Severity.CRITICAL, "The warehouse does not answer", "Start it.")
    assert raise_alert(None, lost, settings=settings)
    assert not raise_alert(None, lost, settings=settings)
    assert not raise_alert(away, lost, settings=settings)
    assert [row.key for row in open_alerts(None, settings=settings)] == [lost.key]
    # It answers again: what the file knows is taken over, whatever is told next.
    assert raise_alert(warehouse, LOW, settings=settings)
    assert not raise_alert(warehouse, lost, settings=settings)
    assert clear_alert(warehouse, lost.key, "It answers again.", settings=settings)
    assert hook.titles.count("Critical: The warehouse does not answer") == 1
    assert hook.titles.count("Over: The warehouse does not answer") == 1
    assert not list((settings.home).glob("alerts.json"))


def test_an_outage_may_begin_and_end_without_the_warehouse(settings: Settings, hook: Receiver) -> None:
    assert raise_alert(None, DOWN, settings=settings)
    assert clear_alert(None, DOWN.key, "It answers again.", settings=settings)
    assert len(hook.messages) == 2
    assert open_alerts(None, settings=settings) == []


def test_many_that_raise_the_same_at_a_time_tell_it_once(
    warehouse: Warehouse, settings: Settings, hook: Receiver
) -> None:
    told: list[bool] = []
    threads = [
        threading.Thread(target=lambda: told.append(raise_alert(warehouse, DOWN, settings=settings))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [False] * 5 + [True]
    assert len(hook.messages) == 1
