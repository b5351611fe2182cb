"""What every scenario works with: how much is measured, on which servers, and how they are made warm."""

from dataclasses import dataclass
from pathlib import Path

from unierp_assets.bench import ours
from unierp_assets.bench.stand import Place, Stand
from unierp_assets.lab.cache import Cache
from unierp_assets.lab.progress import Reporter
from unierp_assets.odoo import Outcome, load

FULL = (1_000, 10_000, 100_000)
LARGE = 100_000
"""Rows from which the ratios count that a fixed start would hide."""
MEDIUM = 5_000
"""Rows from which the first load counts."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. ``rows``: the sizes at which customers and changes are measured. ``turns``: how often each
    side loads the customers, at the largest size once. ``judged``: whether rates have to reach their targets; small
    sizes measure little but the start of a process."""

    rows: tuple[int, ...] = (1_000, 10_000)
    products: int = 5_000
    customers: int = 5_000
    orders: int = 300
    baseline_orders: int = 40
    limit_orders: int = 200
    turns: int = 2
    judged: bool = True

    def target(self, ratio: float, size: int = LARGE, at: int = 0) -> float | None:
        """The ratio, where rates are judged and the size is at least ``at``."""
        return ratio if self.judged and size >= at else None

    def turns_at(self, size: int) -> int:
        """How often each side has its turn."""
        return self.turns if size < LARGE else 1


QUICK = Sizes((200,), products=200, customers=200, orders=20, baseline_orders=4, limit_orders=4, turns=1, judged=False)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every scenario works with."""

    stand: Stand
    sizes: Sizes
    cache: Cache
    progress: Reporter

    @property
    def home(self) -> Path:
        """The folder of what our own processes leave behind; removed with the stand."""
        return self.stand.folder / "home"


def warm_up(place: Place) -> None:
    """Has each of the server's processes load the database and make a few customers, before anything is measured:
    the first call to a fresh database takes seconds, whoever makes it."""
    with ours.session(place) as session:
        for turn in range(2):
            rows = [[f"warm.up_{turn}_{number}", f"Warm-up {number}"] for number in range(2 * ours.CONNECTIONS)]
            outcomes: list[Outcome[str]] = load(session, "res.partner", ["id", "name"], rows, batch=2)
            for outcome in outcomes:
                if outcome.error:
                    raise outcome.error
