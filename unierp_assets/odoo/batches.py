"""Many records, few calls: parallel batches, smaller ones where the server is slow, and halving of a batch that fails
down to the bad record.

Only the mechanics are here; what is done with a batch is the function handed in. It must look before it acts, because
it is called again after a lost answer or a concurrent write.
"""

import sys
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from unierp_assets.odoo.errors import (
    OdooAnswerLost,
    OdooConcurrencyError,
    OdooError,
    OdooLoginFailed,
    OdooMissingModule,
    OdooUnavailable,
    OdooUnsupported,
)
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import chunks

T = TypeVar("T")
K = TypeVar("K")

# True of the server, not of one record: no smaller batch would do better.
_HOPELESS = (OdooUnavailable, OdooLoginFailed, OdooMissingModule, OdooUnsupported)


# A batch that takes this part of the patience for a call is too large for the server: by default, 20 of 120 seconds.
_TOO_LONG = 1 / 6
# So many pieces a batch is divided into whose answer was lost: it may have been too large for a time limit of the
# server's, or of a proxy before it. A small one was not, and is done again as it is.
_PIECES = 8
_SMALL = 64


class _Size:
    """How many items a batch may have, learnt from how long batches took; shared by the lanes of one call."""

    def __init__(self, timeout: float) -> None:
        self.most = sys.maxsize
        self._too_long = timeout * _TOO_LONG

    def took(self, count: int, seconds: float) -> None:
        """Learns: a batch that took too long makes the next ones smaller; where they are quick they grow again."""
        if seconds > self._too_long:
            self.most = min(self.most, max(1, int(count * self._too_long / 2 / seconds)))
        elif seconds < self._too_long / 4 and count == self.most:
            self.most *= 2

    def lost(self, count: int) -> None:
        """Learns that no answer came to a batch."""
        self.most = min(self.most, max(1, -(-count // _PIECES)))


class Suspects(Exception):
    """Raised by an act whose batch failed and who knows which items (positions) were to blame."""

    def __init__(self, error: OdooError, positions: Iterable[int]) -> None:
        super().__init__(error.message)
        self.error = error
        self.positions = frozenset(positions)


def settle(
    session: OdooSession,
    items: Sequence[T],
    act: Callable[[list[T]], Iterable[Outcome[K]]],
    *,
    key: Callable[[T], K],
    batch: int,
    connections: int | None = None,
    replayable: bool = True,
    written: Container[K] = (),
    family: Callable[[T], object] | None = None,
) -> list[Outcome[K]]:
    """Runs ``act`` on batches over the session's connections; one outcome per item, in order.

    ``act`` returns an outcome for each of its items or raises. On a refusal the batch is halved until the bad item
    stands alone. Batches that take long are followed by smaller ones, and one whose answer was lost is done again in
    pieces. When the server is down, or refuses the login, what was not begun fails at once with the same error.
    ``replayable=False``: a lost answer is not followed by another ``act``; the items fail with it.
    ``written``: keys that ``act`` has begun to write, kept by the caller; when ``act`` runs again and finds the work
    done, their outcomes still say ``changed``. ``family``: items of one stay in one batch, however it is divided, as
    long as there is another family in it.
    """
    groups = _parts(items, even_batch(len(items), batch, session.lanes(connections)), family)
    return settle_groups(
        session,
        groups,
        act,
        key=key,
        connections=connections,
        replayable=replayable,
        written=written,
        family=family,
    )


def _parts(items: Sequence[T], size: int, family: Callable[[T], object] | None) -> list[list[T]]:
    """Batches of at most ``size``, or of about that where families stay together."""
    parts = together(items, family, size) if family else []
    return parts if len(parts) > 1 else chunks(items, size)


def together(items: Sequence[T], key: Callable[[T], object], size: int) -> list[list[T]]:
    """Batches of about ``size`` in which all items of one key stay in one batch, in their order."""
    by_key: dict[object, list[T]] = {}
    for item in items:
        by_key.setdefault(key(item), []).append(item)
    groups: list[list[T]] = []
    for family in by_key.values():
        if not groups or len(groups[-1]) + len(family) > max(size, 1):
            groups.append([])
        groups[-1].extend(family)
    return groups


def even_batch(count: int, batch: int, lanes: int) -> int:
    """The batch size, at most ``batch``, that gives every lane equally many batches of equal size.

    Too small pieces would cost more in calls than an idle lane, so below a tenth of ``batch`` they stay whole."""
    pieces = -(-count // batch)
    even = -(-pieces // lanes) * lanes
    if count and even > pieces and count / even >= batch / 10:
        pieces = even
    return max(1, -(-count // max(pieces, 1)))


def settle_groups(
    session: OdooSession,
    groups: Sequence[list[T]],
    act: Callable[[list[T]], Iterable[Outcome[K]]],
    *,
    key: Callable[[T], K],
    connections: int | None = None,
    replayable: bool = True,
    written: Container[K] = (),
    family: Callable[[T], object] | None = None,
) -> list[Outcome[K]]:
    """:func:`settle` with batches made by the caller, who knows what must stay together."""
    down: list[OdooError] = []
    size = _Size(session.timeout)

    def work(part: list[T], *, whole: bool = True) -> list[Outcome[K]]:
        """``whole``: not yet one of the pieces of a batch whose answer was lost."""

        def again(error: BaseException) -> bool:
            if isinstance(error, OdooAnswerLost):
                return replayable and not (whole and len(part) >= _SMALL)
            return isinstance(error, OdooConcurrencyError)

        if down:
            return [Outcome(key(item), error=down[0], changed=False) for item in part]
        if len(part) > size.most:
            return in_pieces(part, whole=whole)
        begun = time.perf_counter()
        try:
            outcomes = list(session.retrying(again)(act, part))
            size.took(len(part), time.perf_counter() - begun)
            return outcomes
        except Suspects as blamed:
            named = [item for position, item in enumerate(part) if position in blamed.positions]
            others = [item for position, item in enumerate(part) if position not in blamed.positions]
            if others and named:
                return work(others) + [outcome for item in named for outcome in work([item])]
            return divide(part, blamed.error)
        except _HOPELESS as error:
            if isinstance(error, OdooAnswerLost) and replayable and whole and len(part) >= _SMALL:
                size.lost(len(part))
                return in_pieces(part, whole=False)
            if isinstance(error, OdooLoginFailed | OdooUnavailable) and not isinstance(error, OdooAnswerLost):
                down.append(error)
            return [Outcome(key(item), error=error, changed=False) for item in part]
        except OdooError as error:
            return divide(part, error)

    def in_pieces(part: list[T], *, whole: bool) -> list[Outcome[K]]:
        pieces = _parts(part, size.most, family)
        return [outcome for piece in pieces for outcome in work(piece, whole=whole)]

    def divide(part: list[T], error: OdooError) -> list[Outcome[K]]:
        if len(part) == 1:
            return [Outcome(key(part[0]), error=error.at(record=str(key(part[0]))), changed=False)]
        halves = _parts(part, -(-len(part) // 2), family)
        return [outcome for half in halves for outcome in work(half)]

    attempts = session.map(work, groups, connections=connections)
    found = {
        outcome.key: replace(outcome, changed=True) if outcome.ok and outcome.key in written else outcome
        for attempt in attempts
        for outcome in attempt.get()
    }
    return [found[key(item)] for group in groups for item in group]
