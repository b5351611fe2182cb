"""The world every disturbance begins with: a shop and an Odoo in agreement, then changed on both sides.

Belongs here: making and judging it. Does not belong here: the disturbances.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from changes import furnish, make_changes
from fingerprint import Fingerprint, differences, fingerprint, warehouse_content
from world import Origin, World, fresh_world

from unierp_assets.bench.shop import make_shop
from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.storefront.contract import UPDATED_AT, contract_tables
from unierp_assets.storefront.sample import Sample
from unierp_assets.sync.memory import ledger

if TYPE_CHECKING:
    from conftest import RunningOdoo


@dataclass(frozen=True)
class Undisturbed:
    """What a sync does that nothing comes in the way of: its events in order, its seconds, and what it leaves."""

    events: list[str]
    seconds: float
    outcome: Fingerprint


@contextmanager
def make_origin(odoo: "RunningOdoo", postgres: PostgresServer) -> Iterator[Origin]:
    """A small shop loaded into an Odoo, and then changes on both sides that no sync has seen yet."""
    with fresh_world(odoo, postgres, Sample(0, make_shop(6, 3, 1).rows, ())) as world:
        furnish(world)
        loaded = world.sync()
        assert (loaded.failed, loaded.differences) == (0, 0)
        make_changes(world)
        yield Origin.of(odoo, world)


def assert_healed_by_one_sync(world: World, expected: Fingerprint) -> None:
    """One ordinary sync leaves what an undisturbed one leaves."""
    healed = world.sync()
    assert (healed.failed, healed.differences) == (0, 0), healed
    assert_settled(world, expected)


def assert_settled(world: World, expected: Fingerprint) -> None:
    """The world is as an undisturbed sync leaves it, and the next one finds nothing to do."""
    assert_equal(expected, fingerprint(world))
    assert {kind: found for kind, found in world.duplicates().items() if found} == {}
    assert ledger.verify(world.warehouse).holds
    told = world.warehouse_rows(TOLD_TWICE)
    assert told == [], told
    touched = stamps(world)
    idle = world.sync()
    assert (idle.odoo_writes, idle.differences) == (0, 0)
    assert [name for name, counts in idle.entities.items() if counts.created or counts.updated] == []
    assert stamps(world) == touched
    remembered = warehouse_content(world)
    assert_equal({name: rows for name, rows in expected.items() if name in remembered}, remembered)


TOLD_TWICE = "SELECT entity, key FROM sync.ledger WHERE action = 'create' GROUP BY 1, 2 HAVING count(*) > 1"
"""What the ledger says was made more than once."""


def assert_equal(expected: Fingerprint, found: Fingerprint) -> None:
    """Fails with what is missing and what is too much."""
    lines = differences(expected, found)
    assert not lines, "\n".join(lines)


def stamps(world: World) -> dict[str, object]:
    """When the rows of each table of the shop were last written."""
    return {name: world.shop(f"SELECT sum(extract(epoch FROM {UPDATED_AT})) FROM {name}") for name in contract_tables()}
