"""A sync over a faulty network ends, if need be after some tries, in the state of one over a perfect network."""

from dataclasses import replace

import pytest
from origin import Undisturbed, assert_settled
from proxy import FAULTS, FaultyNetwork
from world import Origin, World, open_world

from unierp_assets.odoo import OdooError

SHORT = 150
"""So many calls, or fewer, are made with more faults."""
MOST_TRIES = 20


def test_a_faulty_network_neither_doubles_nor_loses_anything(
    origin: Origin, undisturbed: Undisturbed, chaos_seed: int, pytestconfig: pytest.Config
) -> None:
    wanted = pytestconfig.getoption("--chaos-calls")
    percent = 10 if wanted <= SHORT else 5
    calls, turn, faults = 0, 0, set()
    while calls < wanted:
        with origin.copy() as world, FaultyNetwork(world.odoo.url, chaos_seed + turn, percent) as network:
            tries = sync_until_it_ends(world, network)
            calls, turn, faults = calls + network.calls, turn + 1, faults | set(network.faults)
            print(f"--chaos-seed {chaos_seed}, turn {turn}: {network.calls} calls, {tries} tries, {network.faults}")
            assert_settled(world, undisturbed.outcome)
    assert faults == set(FAULTS)


def sync_until_it_ends(world: World, network: FaultyNetwork) -> int:
    """Syncs over the network until a sync ends without an error and without a refused record; returns how often."""
    behind = replace(world.odoo, url=network.url)
    for tries in range(1, MOST_TRIES + 1):
        with open_world(behind, world.postgres, world.shop_name, world.warehouse_name) as far:
            try:
                if not far.sync().failed:
                    return tries
            except OdooError as error:
                print(f"try {tries}: {error}")
    raise AssertionError(f"{MOST_TRIES} syncs over the faulty network did not end")
