"""A sync that is killed by SIGKILL, wherever it was, is healed by the next one: nothing doubled, nothing missing."""

import random

from fingerprint import differences, fingerprint
from origin import Undisturbed, assert_healed_by_one_sync
from victim import (
    AFTER_COMMIT,
    AFTER_SHOP,
    AFTER_UNIERP,
    BEFORE_AGREEMENT,
    BEFORE_COMMIT,
    BEFORE_SHOP,
    BEFORE_UNIERP,
    POINTS,
)
from victims import Victim
from world import Origin, World

SERIES = (BEFORE_SHOP, AFTER_SHOP, BEFORE_UNIERP, AFTER_UNIERP, BEFORE_AGREEMENT, BEFORE_COMMIT, AFTER_COMMIT)
"""The crash points in an order in which none uses up the work that leads to the next."""
EARLY = 3
"""At the latest so many events of a point are passed in a series."""


def test_the_comparison_sees_what_is_double_missing_and_changed(origin: Origin, undisturbed: Undisturbed) -> None:
    with origin.copy() as world:
        partner = world.odoo_id("customers", 1)
        world.session.call("res.partner", "copy", [partner])
        world.session.call("res.partner", "write", [partner], {"name": "Somebody else"})
        world.shop("DELETE FROM payments WHERE id = 1")
        world.warehouse_rows("UPDATE base.products SET name = 'Another name' WHERE key = '1'")
        with origin.copy() as untouched:
            lines = differences(fingerprint(untouched), fingerprint(world))
    assert {line.partition(":")[0] for line in lines} == {"unierp res.partner", "shop payments", "base products"}
    assert len([line for line in lines if "res.partner" in line]) == 3


def test_an_undisturbed_sync_passes_every_crash_point(undisturbed: Undisturbed) -> None:
    assert {event.partition(":")[0] for event in undisturbed.events} == set(POINTS)


def test_one_sync_heals_a_series_of_kills(origin: Origin, undisturbed: Undisturbed, chance: random.Random) -> None:
    """One kill at each crash point and two at any moment, each of the sync that would have healed the one before.

    Those at any moment come last: how far they let the sync come depends on the machine, and what they let it do is
    no longer there to lead to a crash point.
    """
    assert set(SERIES) == set(POINTS)
    with origin.copy() as world:
        for point in SERIES:
            kill_at(world, point, chance.randint(1, EARLY))
        for part in (2, 4):
            kill_at_any_moment(world, undisturbed.seconds * chance.random() / part)
        assert_healed_by_one_sync(world, undisturbed.outcome)


def test_one_sync_heals_each_of_many_kills(
    kill: int, origin: Origin, undisturbed: Undisturbed, chaos_seed: int, chance: random.Random
) -> None:
    """Three of four at an event of the run, every kind of event in turn; the others at any moment."""
    with origin.copy() as world:
        if kill % 4 == 3:
            kill_at_any_moment(world, undisturbed.seconds * chance.random())
        else:
            kinds = sorted(set(undisturbed.events))
            random.Random(chaos_seed).shuffle(kinds)
            chosen = kinds[(kill - kill // 4) % len(kinds)]
            at = chance.choice([number for number, event in enumerate(undisturbed.events) if event == chosen])
            point = chosen.partition(":")[0]
            kill_at(world, point, sum(event.startswith(f"{point}:") for event in undisturbed.events[: at + 1]))
        assert_healed_by_one_sync(world, undisturbed.outcome)


def kill_at(world: World, point: str, nth: int) -> None:
    with Victim(world, point, nth) as victim:
        victim.wait()
    print(f"killed at event {len(victim.events)}, number {nth} of its point, {victim.events[-1]}")
    assert victim.was_killed, victim.error


def kill_at_any_moment(world: World, moment: float) -> None:
    """Kills a sync after so many seconds. One that was faster has nothing left to heal, which is seen as well."""
    with Victim(world) as victim:
        victim.kill_after(moment)
    how = "killed" if victim.was_killed else "ended"
    print(f"{how} after {moment:.2f} s and {len(victim.events)} events")
    assert victim.was_killed or not victim.error, victim.error
