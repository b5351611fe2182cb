"""What an alert is, and when it is told: decisions on plain values, without any service.

Belongs here: de-duplication, repeats, quiet periods, what is told together. Does not belong here: where alerts are
remembered (``memory.py``) and how a message is sent (``delivery.py``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

RETRY_AFTER = timedelta(seconds=60)
"""How long a message that is being sent, or could not be sent, is left alone."""


class Severity(StrEnum):
    """How bad it is, least first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person should know. Holds keys and names of rules, never personal data or secrets.

    ``key`` says what it is about: while an alert of this key is open, another one is the same one. ``link`` is an
    address, or a path of Dagster's page (``/runs/...``).
    """

    key: str
    severity: Severity
    title: str
    body: str
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """An alert that is open, or is over and the notice of it still has to be told: a row of ``sync.alerts``."""

    key: str
    severity: Severity
    title: str
    body: str
    link: str | None
    raised_at: datetime
    told_at: datetime | None = None
    waiting: bool = True
    held: bool = False
    notice: str | None = None
    reached: str = ""
    retry_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.notice is None


@dataclass(frozen=True, slots=True)
class Quiet:
    """A time of day when only critical alerts are told. It may pass midnight."""

    begins: time
    ends: time
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str) -> "Quiet":
        """From the setting's form: ``22:00-07:00`` (UTC) or ``22:00-07:00 Europe/Berlin``."""
        hours, _, zone = text.partition(" ")
        begins, _, ends = hours.partition("-")
        return cls(time.fromisoformat(begins), time.fromisoformat(ends), ZoneInfo(zone or "UTC"))

    def covers(self, now: datetime) -> bool:
        """Whether it is quiet at this instant."""
        clock = now.astimezone(self.zone).time()
        if self.begins <= self.ends:
            return self.begins <= clock < self.ends
        return clock >= self.begins or clock < self.ends


@dataclass(frozen=True, slots=True)
class Rules:
    """What is told and when: nothing below ``minimum``, an open alert again after ``repeat``."""

    minimum: Severity = Severity.WARNING
    repeat: timedelta = timedelta(hours=4)
    quiet: Quiet | None = None


def raised(known: Remembered | None, alert: Alert, now: datetime, rules: Rules) -> Remembered:
    """What is remembered once an alert was raised, for the first time or again."""
    worth_telling = alert.severity.rank >= rules.minimum.rank
    if known is None:
        return Remembered(alert.key, alert.severity, alert.title, alert.body, alert.link, now, waiting=worth_telling)
    same = replace(known, severity=alert.severity, title=alert.title, body=alert.body, link=alert.link)
    if not known.is_open:
        # It came back before anybody was told that it is over: for people it never went.
        return replace(same, notice=None, waiting=False, held=False, reached="", retry_at=None)
    if known.waiting:
        return replace(same, waiting=worth_telling)
    worse = alert.severity.rank > known.severity.rank
    long_ago = known.told_at is not None and now - known.told_at >= rules.repeat
    return replace(same, waiting=True, reached="") if worth_telling and (worse or long_ago) else same


def cleared(known: Remembered | None, notice: str) -> Remembered | None:
    """What is remembered once an alert is over: nothing, if nobody was told of it."""
    if known is None or known.told_at is None:
        return None
    if not known.is_open:
        return known
    return replace(known, notice=notice, waiting=True, held=False, reached="", retry_at=None)


def due(rows: Iterable[Remembered], now: datetime, rules: Rules) -> list[Remembered]:
    """What is to be told now. In a quiet period all that is critical; what is ``held`` is not among it."""
    quiet = rules.quiet is not None and rules.quiet.covers(now)
    return [
        row
        for row in rows
        if row.waiting
        and (row.retry_at is None or row.retry_at <= now)
        and not (quiet and row.severity is not Severity.CRITICAL)
    ]


def held_back(rows: Iterable[Remembered], now: datetime, rules: Rules) -> list[Remembered]:
    """What the present quiet period holds back and is not marked so yet."""
    if rules.quiet is None or not rules.quiet.covers(now):
        return []
    return [row for row in rows if row.waiting and not row.held and row.severity is not Severity.CRITICAL]


def told(known: Remembered, reached: str, *, everybody: bool, now: datetime) -> Remembered | None:
    """What is remembered after a message went out to the addresses ``reached``; nothing once it was the last one."""
    if not everybody:
        return replace(known, reached=reached, told_at=now if reached else known.told_at)
    if not known.is_open:
        return None
    return replace(known, told_at=now, waiting=False, held=False, reached="", retry_at=None)


@dataclass(frozen=True, slots=True)
class Message:
    """What one message says, and the alerts it is about."""

    keys: tuple[str, ...]
    kind: str
    title: str
    body: str
    reached: frozenset[str]


def messages(rows: Iterable[Remembered], page: str) -> list[Message]:
    """The messages that tell these alerts: one for each, and one for all that a quiet period held back.

    ``page`` is the address of Dagster's page, for links.
    """
    listed = sorted(rows, key=lambda row: (row.raised_at, row.key))
    # Who was reached by a digest is known of each of its alerts: they are told together again only with the same.
    digests: dict[str, list[Remembered]] = {}
    for row in listed:
        if row.held:
            digests.setdefault(row.reached, []).append(row)
    singly = [row for row in listed if not row.held]
    singly += [rows[0] for rows in digests.values() if len(rows) == 1]
    return [
        *(_message(row, page) for row in singly),
        *(_digest(together, page) for together in digests.values() if len(together) > 1),
    ]


def _message(row: Remembered, page: str) -> Message:
    kind = row.severity.value if row.is_open else "over"
    return Message((row.key,), kind, _title(row), _text(row, page), frozenset(row.reached.split()))


def _digest(rows: list[Remembered], page: str) -> Message:
    worst = max((row.severity for row in rows if row.is_open), key=lambda severity: severity.rank, default=None)
    return Message(
        tuple(row.key for row in rows),
        worst.value if worst else "over",
        f"{len(rows)} messages of the quiet period",
        "\n\n".join(f"{_title(row)}\n{_text(row, page)}" for row in rows),
        frozenset(rows[0].reached.split()),
    )


def _title(row: Remembered) -> str:
    return f"{row.severity.capitalize()}: {row.title}" if row.is_open else f"Over: {row.title}"


def _text(row: Remembered, page: str) -> str:
    text = row.body if row.notice is None else row.notice
    since = f"Since {row.raised_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC."
    link = f"{page.rstrip('/')}{row.link}" if row.link and row.link.startswith("/") else row.link
    return "\n".join(filter(None, [text, since, link]))


def changes(before: Mapping[str, Remembered], after: Mapping[str, Remembered]) -> tuple[list[Remembered], list[str]]:
    """The rows that are new or differ, and the keys that are gone."""
    return [row for key, row in after.items() if before.get(key) != row], [key for key in before if key not in after]
