"""Which scenarios there are. Each takes clean databases, lets all sides do the same work on the same server, and
compares; a further one is one function more here."""

from collections.abc import Callable

from unierp_assets.bench.changes import changes
from unierp_assets.bench.loads import customers
from unierp_assets.bench.orders import orders
from unierp_assets.bench.results import Scenario
from unierp_assets.bench.setting import Bench

Measured = Callable[[Bench], list[Scenario]]


def at_every_size(measured: Callable[[Bench, int], list[Scenario]]) -> Measured:
    """The scenario once for each number of rows, the smallest first."""

    def all_sizes(bench: Bench) -> list[Scenario]:
        return [scenario for size in sorted(bench.sizes.rows) for scenario in measured(bench, size)]

    all_sizes.__doc__ = measured.__doc__
    return all_sizes


SCENARIOS: dict[str, Measured] = {
    "customers": at_every_size(customers),
    "changes": at_every_size(changes),
    "orders": orders,
}
