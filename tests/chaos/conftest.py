"""What the chaos tests share: the seed of the run, the world they copy, and what an undisturbed sync makes of it."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fingerprint import fingerprint
from origin import Undisturbed, make_origin
from victims import Victim
from world import Origin

from unierp_assets.lab.postgres import PostgresServer

if TYPE_CHECKING:
    from tests.conftest import RunningOdoo

HERE = Path(__file__).parent
LONG = {"kill", "loss"}
"""Parameters of the tests that are run with ``--chaos-kills`` only."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long form only on demand; one version of Odoo is enough."""
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.newest)
        item.add_marker(pytest.mark.no_cover)
    if not config.getoption("--chaos-kills"):
        left_out = [item for item in ours if LONG & set(getattr(item, "fixturenames", ()))]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def chaos_seed(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--chaos-seed"))


@pytest.fixture
def chance(chaos_seed: int, request: pytest.FixtureRequest) -> random.Random:
    """The chances of one test: they depend on the run's seed and the test's name, not on the tests run before it."""
    print(f"--chaos-seed {chaos_seed}")
    return random.Random(f"{chaos_seed} {request.node.name}")


@pytest.fixture(scope="session")
def origins(postgres: PostgresServer) -> Iterator[Callable[["RunningOdoo"], Origin]]:
    """The world that is copied, of each version, made when it is first asked for."""
    with ExitStack() as stack:
        yield cache(lambda odoo: stack.enter_context(make_origin(odoo, postgres)))


@pytest.fixture
def origin(odoo_server: "RunningOdoo", origins: Callable[["RunningOdoo"], Origin]) -> Origin:
    return origins(odoo_server)


@pytest.fixture(scope="session")
def rehearsals() -> dict[str, Undisturbed]:
    """What was undisturbed, by version of Odoo."""
    return {}


@pytest.fixture
def undisturbed(origin: Origin, rehearsals: dict[str, Undisturbed]) -> Undisturbed:
    version = origin.server.version
    if version not in rehearsals:
        with origin.copy() as world, Victim(world) as victim:
            victim.wait()
            assert victim.error == ""
            rehearsals[version] = Undisturbed(victim.events, victim.seconds, fingerprint(world))
    return rehearsals[version]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """So many kills as ``--chaos-kills`` says, and for every twenty of them each loss of a process once."""
    kills = metafunc.config.getoption("--chaos-kills")
    for name, count in (("kill", kills), ("loss", -(-kills // 20))):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, range(count))
