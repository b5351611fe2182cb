"""What sensors decide, as plain functions: which run to ask for, or why to ask for none.

Belongs here: the rules, on plain values. Does not belong here: how the values are read
(``unierp_assets.sync.intake.news``) and anything of Dagster's.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from unierp_assets.assets.keys import loaded_before, looked_at
from unierp_assets.entities import ENTITIES
from unierp_assets.sync.intake.news import ORDERS, STOCK, Change
from unierp_assets.sync.pipeline import tables_of

EVERYTHING_FROM = 5_000
"""From how many changed rows on all entities are run at once, in the order of a first load, and not a selection."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=15)
"""How long to wait after a first run that did not help, and at most; it doubles from one to the next."""

SILENCE, LONG_SILENCE = timedelta(seconds=30), timedelta(minutes=15)
"""After how long without a word a run that holds no lock counts as dead."""

FOLLOWED_BY = {
    # What is ordered is reserved, what is shipped has left.
    "orders": (STOCK,),
    "order_lines": (STOCK,),
    "shipments": (ORDERS, STOCK),
    # The shop is told how far its orders have got.
    "invoices": (ORDERS,),
    "payments": (ORDERS,),
}
"""What UniERP computes anew when these entities are written, and what therefore has to be read and given back."""


@dataclass(frozen=True, slots=True)
class Skip:
    """No run: why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A run that is wanted. ``key`` is the same for the same change as long as no run has ended since;
    ``change`` for the same change.

    ``tables`` of the shop are to be read and ``entities`` to be synced; both are empty where everything is to be.
    """

    key: str
    change: str
    tables: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """A run that a sensor asked for and that has ended: for which change, whether it failed, and when (UTC)."""

    change: str
    failed: bool
    ended_at: datetime


def affected(tables: Iterable[str], entities: Iterable[str], unsettled: Collection[str]) -> tuple[str, ...]:
    """The entities to sync when rows of these tables and entities changed, in load order.

    Lines go with their documents, and with either what UniERP computes from it. Of the entities that refer to one of
    them, or whose rules look at one, those come along that have ``unsettled`` rows: these may now be settled.
    """
    changed = set(tables)
    found = {entity.name for entity in ENTITIES.values() if changed & set(tables_of((entity,)))} | set(entities)
    while True:
        more = {follower for name in found for follower in FOLLOWED_BY.get(name, ())}
        more |= {part.name for part in ENTITIES.values() if part.created_with in found}
        more |= {whole for name in found if (whole := ENTITIES[name].created_with)}
        more |= {
            name
            for name in unsettled
            if name in ENTITIES and found & {*loaded_before(ENTITIES[name]), *looked_at(ENTITIES[name])}
        }
        if more <= found:
            return tuple(name for name in ENTITIES if name in found)
        found |= more


def decide(
    tables: Sequence[Change],
    entities: Sequence[Change],
    unsettled: Collection[str],
    past: Sequence[Past],
    well_since: datetime | None,
    now: datetime,
    last: str = "",
) -> Ask | Skip:
    """Which run takes in these changes of the shop's tables and of entities, or why none is asked for yet.

    ``past`` are the runs that ended, newest first. A change that a run did not settle is tried again, each time after
    a longer pause, and so is any change while runs keep failing; what ended before ``well_since``, when the systems
    came back, lengthens no pause. ``last`` is the id of the last run of any kind that ended.
    """
    change = signature(tables, entities)
    recent = [run for run in past if well_since is None or run.ended_at > well_since]
    failures = next((number for number, run in enumerate(recent) if not run.failed), len(recent))
    in_vain = max(failures, sum(run.change == change for run in recent))
    if in_vain:
        again = recent[0].ended_at + pause(in_vain)
        if now < again:
            subjects = ", ".join(dict.fromkeys(each.subject for each in (*tables, *entities)))
            why = "the last run failed" if failures else "a run did not settle them"
            return Skip(f"There are changes ({subjects}), but {why}; tried again at {again:%H:%M:%S} UTC.")
    # By the last run, because the same change may come again after any number of others.
    key = f"{change}-{sum(run.change == change for run in past) + 1}-{last[:8] or 'first'}"
    if sum(each.rows for each in (*tables, *entities)) >= EVERYTHING_FROM:
        return Ask(key, change)
    changed = tuple(each.subject for each in tables)
    return Ask(key, change, changed, affected(changed, [each.subject for each in entities], unsettled))


def signature(tables: Iterable[Change], entities: Iterable[Change]) -> str:
    """A short text that is the same for the same changes."""
    told = [
        f"{side} {each.subject}: {each.evidence}"
        for side, changes in (("shop", tables), ("unierp", entities))
        for each in changes
    ]
    return hashlib.sha256("\n".join(sorted(told)).encode()).hexdigest()[:16]


def pause(in_vain: int) -> timedelta:
    """How long to wait after so many runs in vain."""
    doubled: timedelta = FIRST_PAUSE * 2 ** min(in_vain - 1, 20)
    return min(doubled, LONGEST_PAUSE)


def is_abandoned(heard_at: datetime, locked: bool, *, single_step: bool, now: datetime) -> bool:
    """Whether a run that counts as running has died without a word, as it does with its machine.

    ``heard_at`` is when it last told anything. A run works under the lock of the sync: one of a single step all the
    time, one of many steps for most of them, so that it is waited for longer. While anybody holds the lock (``locked``)
    it may be this run, or one that it waits for.
    """
    return not locked and now - heard_at > (SILENCE if single_step else LONG_SILENCE)
