"""When alerts are told: the decisions, without any service."""

from datetime import UTC, datetime

import pytest

from unierp_assets.alerts import Alert, Severity, rules
from unierp_assets.alerts.delivery import addresses
from unierp_assets.alerts.rules import Quiet, Rules

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALERT = Alert("service:unierp", Severity.CRITICAL, "UniERP does not answer", "It is left alone.")


@pytest.mark.parametrize(
    ("text", "at", "quiet"),
    [
        ("22:00-07:00", datetime(2026, 11, 22, 22, 0, tzinfo=UTC), True),
        ("22:00-07:00", datetime(2026, 11, 22, 6, 59, tzinfo=UTC), True),
        ("22:00-07:00", datetime(2026, 11, 22, 7, 0, tzinfo=UTC), False),
        ("12:00-13:00", datetime(2026, 11, 22, 12, 30, tzinfo=UTC), True),
        ("12:00-13:00", datetime(2026, 11, 22, 13, 0, tzinfo=UTC), False),
        # Berlin is one hour ahead in winter, two in summer.
        ("22:00-07:00 Europe/Berlin", datetime(2026, 11, 22, 21, 0, tzinfo=UTC), True),
        ("22:00-07:00 Europe/Berlin", datetime(2026, 7, 22, 20, 0, tzinfo=UTC), True),
        ("22:00-07:00 Europe/Berlin", datetime(2026, 11, 22, 20, 0, tzinfo=UTC), False),
    ],
)
def test_a_quiet_period_is_a_time_of_day_in_its_zone(text: str, at: datetime, quiet: bool) -> None:
    assert Quiet.parse(text).covers(at) is quiet


def test_what_comes_back_before_its_end_was_told_never_went() -> None:
    known = rules.raised(None, ALERT, NOW, Rules())
    told = rules.told(known, "a", everybody=True, now=NOW)
    over = rules.cleared(told, "It answers again.")
    assert over is not None
    assert over.waiting
    again = rules.raised(over, ALERT, NOW, Rules())
    assert again.is_open
    assert rules.due([again], NOW, Rules()) == []


def test_what_nobody_was_told_of_ends_without_a_notice() -> None:
    assert rules.cleared(rules.raised(None, ALERT, NOW, Rules()), "It answers again.") is None


def test_what_is_being_sent_is_not_sent_by_another_process() -> None:
    known = rules.raised(None, ALERT, NOW, Rules())
    claimed = rules.Remembered(
        ALERT.key, ALERT.severity, ALERT.title, ALERT.body, None, NOW, retry_at=NOW + rules.RETRY_AFTER
    )
    assert rules.due([known], NOW, Rules()) == [known]
    assert rules.due([claimed], NOW, Rules()) == []
    assert rules.due([claimed], NOW + rules.RETRY_AFTER, Rules()) == [claimed]


def test_addresses_are_named_without_their_passwords_and_what_is_none_is_counted() -> None:
    found, not_understood = addresses(
        "json://user:hunter2@hooks.example.com/x, mailto://me:hunter2@example.com, foo://bar"
    )
    assert [address.where for address in found] == ["json (hooks.example.com)", "mailto (example.com)"]
    assert not_understood == 1
