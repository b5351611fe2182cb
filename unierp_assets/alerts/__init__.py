"""Tells people what needs them: an alert when something begins, once, and one notice when it is over.

``raise_alert`` and ``clear_alert`` may be called as often as something is looked at: what is open already is not told
again before its repeat period. What could not be sent, and what a quiet period holds back, waits in ``sync.alerts`` and
is told by the next call, or by ``tell_waiting``. A failure of any of it is logged and never reaches the caller. Without
the warehouse (``None``, or one that does not answer) alerts are remembered in a file of ``UNIERP_HOME``, so that an
outage of the warehouse itself is told once too; the next call with a warehouse takes over what is in it.

``rules.py`` decides, ``memory.py`` remembers, ``delivery.py`` sends. No Dagster here.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from unierp_assets.alerts import rules
from unierp_assets.alerts.rules import Alert, Remembered, Severity
from unierp_assets.settings import Settings, get_settings
from unierp_assets.warehouse.errors import WarehouseError

if TYPE_CHECKING:
    from unierp_assets.alerts.memory import FileMemory, Memory
    from unierp_assets.warehouse.store import Warehouse

__all__ = ["Alert", "Remembered", "Severity", "clear_alert", "open_alerts", "raise_alert", "tell_waiting"]

_log = logging.getLogger(__name__)


def raise_alert(warehouse: "Warehouse | None", alert: Alert, *, settings: Settings | None = None) -> bool:
    """Remembers the alert and tells it if nobody was told yet; whether it reached an address by this call.

    It is told again after the repeat period if it is raised then, or once its severity has grown.
    """
    settings = settings or get_settings()

    def note(rows: dict[str, Remembered]) -> None:
        rows[alert.key] = rules.raised(rows.get(alert.key), alert, _now(), _rules(settings))

    return alert.key in _change_and_tell(warehouse, settings, note)


def clear_alert(warehouse: "Warehouse | None", key: str, notice: str, *, settings: Settings | None = None) -> bool:
    """Forgets the alert, after one message with ``notice`` if anybody was told of it; whether that message reached an
    address by this call. A key that is not open is no error."""
    settings = settings or get_settings()

    def note(rows: dict[str, Remembered]) -> None:
        known = rules.cleared(rows.pop(key, None), notice)
        if known is not None:
            rows[key] = known

    return key in _change_and_tell(warehouse, settings, note)


def tell_waiting(warehouse: "Warehouse | None", *, settings: Settings | None = None) -> int:
    """Tells what could not be sent before, and what a quiet period held back that is over; how many alerts that were.

    To be called from time to time; costs one read where nothing waits.
    """
    return len(_change_and_tell(warehouse, settings or get_settings(), None))


def open_alerts(warehouse: "Warehouse | None", *, settings: Settings | None = None) -> list[Remembered]:
    """The alerts that are not over, oldest first. Raises ``WarehouseError``."""
    from unierp_assets.alerts.memory import TableMemory

    rows = _file(settings or get_settings()).rows()
    if warehouse is not None:
        rows |= TableMemory(warehouse).rows()
    return sorted((row for row in rows.values() if row.is_open), key=lambda row: (row.raised_at, row.key))


_Note = Callable[[dict[str, Remembered]], None]


def _change_and_tell(warehouse: "Warehouse | None", settings: Settings, note: _Note | None) -> set[str]:
    from unierp_assets.alerts.memory import TableMemory

    file = _file(settings)
    if warehouse is not None:
        try:
            table = TableMemory(warehouse)
            _take_over(file, table)
            return _work(table, settings, note)
        except WarehouseError as error:
            _log.warning("Alerts are remembered in a file, for the warehouse cannot be used: %s", error)
    return _work(file, settings, note)


def _take_over(file: "FileMemory", table: "Memory") -> None:
    if not file.exists():
        return
    with file.changing() as left:
        with table.changing() as rows:
            for key, row in left.items():
                rows.setdefault(key, row)
        left.clear()


def _work(memory: "Memory", settings: Settings, note: _Note | None) -> set[str]:
    """Changes what is remembered, then sends what is due; the keys whose message reached an address.

    What is sent is claimed first, for as long as a retry waits: no other process sends it meanwhile, and no lock is
    held while a mail server is waited for.
    """
    if note is not None:
        with memory.changing() as rows:
            note(rows)
    now, decide = _now(), _rules(settings)
    known = memory.rows().values()
    if settings.alert_urls is None or not (rules.due(known, now, decide) or rules.held_back(known, now, decide)):
        return set()
    with memory.changing() as rows:
        for row in rules.held_back(rows.values(), now, decide):
            rows[row.key] = replace(row, held=True)
        claimed = rules.due(rows.values(), now, decide)
        for row in claimed:
            rows[row.key] = replace(row, retry_at=now + rules.RETRY_AFTER)
    return _tell(memory, settings, claimed) if claimed else set()


def _tell(memory: "Memory", settings: Settings, claimed: list[Remembered]) -> set[str]:
    from unierp_assets.alerts.delivery import addresses, send

    assert settings.alert_urls is not None
    to, _ = addresses(settings.alert_urls.get_secret_value())
    everybody = {address.name for address in to}
    told: set[str] = set()
    for message in rules.messages(claimed, settings.dagster_page):
        reached = send(message, to)
        if reached > message.reached:
            told.update(message.keys)
        with memory.changing() as rows:
            for key in message.keys:
                known = rows.pop(key, None)
                if known is None:
                    continue
                after = rules.told(
                    known, " ".join(sorted(reached)), everybody=bool(to) and everybody <= reached, now=_now()
                )
                if after is not None:
                    rows[key] = after
    return told


def _file(settings: Settings) -> "FileMemory":
    from unierp_assets.alerts.memory import FileMemory

    return FileMemory(settings.home.expanduser().resolve())


def _rules(settings: Settings) -> rules.Rules:
    quiet = rules.Quiet.parse(settings.alert_quiet) if settings.alert_quiet else None
    return rules.Rules(Severity(settings.alert_minimum), timedelta(seconds=settings.alert_repeat), quiet)


def _now() -> datetime:
    return datetime.now(UTC)
