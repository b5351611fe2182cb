"""An outage of a real Odoo, as a person with the command ``unierp`` meets it: told at once, and over by itself."""

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from world import World

from unierp_assets.cli.common import WAITS

if TYPE_CHECKING:
    from conftest import RunningOdoo

# What a closed port is does not depend on the version.
pytestmark = pytest.mark.parametrize("odoo_server", ["19"], indirect=True, ids=["odoo19"], scope="session")

SECONDS = 20
"""Longer than a run needs to be refused."""


@pytest.fixture
def world(loaded_world: World) -> World:
    return loaded_world


def unierp(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own, as every run is: they share nothing but the warehouse."""
    return world.unierp(*arguments, UNIERP_BREAKER_FAILURES="3", UNIERP_BREAKER_SECONDS=str(SECONDS))


def breaker(world: World) -> dict[str, Any]:
    found = json.loads(unierp(world, "status", "--json").stdout)["breakers"]
    return next(each for each in found if each["system"] == "unierp")


def doctor(world: World) -> dict[str, dict[str, Any]]:
    return {each["what"]: each for each in json.loads(unierp(world, "doctor", "--json").stdout)["findings"]}


def test_an_outage_opens_the_breaker_and_the_first_sync_after_it_closes_it(
    world: World, odoo_server: "RunningOdoo"
) -> None:
    odoo_server.stop()
    try:
        # Before anything else a run asks for the fields of all models: more calls than it takes.
        told = unierp(world, "sync", "products")
        opened = time.monotonic()
        assert told.returncode == 1
        assert "Error: UniERP cannot be reached" in told.stderr
        refused = unierp(world, "sync", "products")
        assert refused.returncode == 1
        assert "Error: UniERP is left alone since" in refused.stderr
        assert "after 3 calls in a row failed (UniERP cannot be reached: nothing listens there" in refused.stderr
        assert "and is tried again at" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert breaker(world)["state"] == "open"
    finally:
        odoo_server.start()

    found = doctor(world)
    assert found["UniERP"]["state"] == "ok"
    assert found["circuit breakers"]["state"] == "advice"
    assert f"unierp at {world.session.server} is left alone since" in found["circuit breakers"]["found"]

    time.sleep(max(0, opened + SECONDS + 1 - time.monotonic()))
    healed = unierp(world, "sync", "products")
    assert healed.returncode == WAITS, healed.stderr
    assert breaker(world)["state"] == "closed"
    assert doctor(world)["circuit breakers"]["state"] == "ok"
