"""One per cent changed: of the prices alone, then of prices, products and customers, beside peers that are given all
rows of a file, because they cannot know which changed."""

from collections.abc import Callable, Sequence

from unierp_assets.bench import ours, peers
from unierp_assets.bench.errors import BenchError
from unierp_assets.bench.loads import MEMORY_MEGABYTES, REWRITTEN_ROWS, customer_rows
from unierp_assets.bench.results import Measure, Scenario, Worker
from unierp_assets.bench.setting import LARGE, Bench, warm_up
from unierp_assets.bench.shop import change, dearer, is_changed, make_shop, price
from unierp_assets.bench.stand import Place
from unierp_assets.sync.load.codec import external_name

PRICES_RATIO = 50.0
NAMESPACE = "unierp"
PRICE_MODEL = "product.pricelist.item"
Sheet = tuple[str, list[str], list[list[object]]]
"""Model, columns and rows of a file."""
Turn = tuple[peers.Peer, tuple[str, ...]]
"""A peer and its options."""
TURNS: tuple[Turn, ...] = ((peers.FLUVO, (peers.SKIP_UNCHANGED,)), (peers.IMPORTER, ()), (peers.FLUVO, ()))


def changes(bench: Bench, size: int) -> list[Scenario]:
    """One per cent of the prices changed; then one per cent of prices, products and customers."""
    step = bench.progress.step
    with bench.stand.place() as place:
        warm_up(place)
        ours.fill(place, make_shop(size, size, stocked=False))
        with step(f"Preparing {size:,} products with prices and {size:,} customers"):
            ours.sync(place, bench.home)
        ours.settle(place, bench.home, bench.progress)
        change(place.storefront_url, "prices", "amount", lambda prices: dearer(prices, 1))
        with step(f"The sync carries over 1 % of {size:,} prices") as detail:
            prices = ours.sync(place, bench.home)
            detail(f"{prices.whole:.1f} s")
        _insist(prices, {"prices": size})
        many = size > REWRITTEN_ROWS
        turns = TURNS[:2] if many else TURNS
        of_prices = _peers_turns(bench, place, "prices", turns, lambda turn: [price_sheet(size, 2 + turn)])

        # What the peers wrote comes in first, so that it is not measured.
        ours.settle(place, bench.home, bench.progress)
        change(place.storefront_url, "prices", "amount", lambda prices: dearer(prices, 10))
        change(place.storefront_url, "products", "name", lambda products: products.c.name + " II")
        change(place.storefront_url, "customers", "first_name", lambda customers: customers.c.first_name + " II")
        with step(f"The sync carries over 1 % of {3 * size:,} rows") as detail:
            mixed = ours.sync(place, bench.home)
            detail(f"{mixed.whole:.1f} s")
        _insist(mixed, {"products": size, "customers": size})
        turns = TURNS[:1] if many else TURNS
        of_all = _peers_turns(bench, place, "mixed", turns, lambda turn: mixed_sheets(size, 20 + turn))
    return [
        _scenario(bench, "prices", f"1 % of {size:,} prices changed", size, size, prices, of_prices),
        _scenario(bench, "mixed", f"1 % of {size:,} prices, products and customers", size, 3 * size, mixed, of_all),
    ]


def _insist(worker: Worker, sizes: dict[str, int]) -> None:
    for entity, size in sizes.items():
        updated, expected = worker.summary["entities"][entity]["updated"], sum(map(is_changed, range(1, size + 1)))
        if updated != expected:
            raise BenchError(f"The sync updated {updated} {entity} of {expected} that had changed.")


def _peers_turns(
    bench: Bench, place: Place, name: str, turns: Sequence[Turn], sheets: Callable[[int], list[Sheet]]
) -> dict[str, float]:
    """Seconds by peer, over all its files. Each finds one per cent of the rows different from what it is given."""
    seconds: dict[str, float] = {}
    for turn, (peer, options) in enumerate(turns):
        programs = peers.install(peer, bench.cache, bench.progress)
        title = " ".join([peer.name, *options])
        with bench.progress.step(f"{title} imports all rows ({name})") as detail:
            for number, (model, columns, rows) in enumerate(sheets(turn)):
                file = bench.stand.folder / f"{peer.name}-{name}-{turn}-{number}" / "rows.csv"
                peers.write_file(file, columns, rows)
                run = peers.load(peer, programs, place, model, file, *options)
                seconds[title] = seconds.get(title, 0.0) + run.whole
            detail(f"{seconds[title]:.1f} s")
    return seconds


def price_sheet(size: int, more: int) -> Sheet:
    """All prices by our external ids, the changed ones by ``more`` above what they were first."""
    rows: list[list[object]] = [
        [f"{NAMESPACE}.{external_name('prices', str(number))}", float(price(number) + is_changed(number) * more)]
        for number in range(1, size + 1)
    ]
    return PRICE_MODEL, ["id", "fixed_price"], rows


def mixed_sheets(size: int, more: int) -> list[Sheet]:
    """Names of all products and customers, and all prices, by our external ids."""
    products: list[list[object]] = [
        [f"{NAMESPACE}.{external_name('products', str(number))}", f"Product {number}{_edition(number, more)}"]
        for number in range(1, size + 1)
    ]
    _, rows = customer_rows(size)
    customers: list[list[object]] = [
        [f"{NAMESPACE}.{external_name('customers', str(number))}", f"{row[1]}{_edition(number, more)}"]
        for number, row in enumerate(rows, 1)
    ]
    columns = ["id", "name"]
    return [("product.template", columns, products), ("res.partner", columns, customers), price_sheet(size, more)]


def _edition(number: int, more: int) -> str:
    return f" {more}" if is_changed(number) else ""


def _scenario(
    bench: Bench, name: str, title: str, size: int, rows: int, worker: Worker, theirs: dict[str, float]
) -> Scenario:
    writing = {title: seconds for title, seconds in theirs.items() if peers.SKIP_UNCHANGED not in title}
    best = min(writing, key=writing.__getitem__, default=None)
    target = bench.sizes.target(PRICES_RATIO, size, LARGE) if name == "prices" else None
    return Scenario(
        name,
        title,
        [
            *(
                Measure(
                    "whole process",
                    "rows/s",
                    rows / worker.whole,
                    rows / seconds,
                    peer,
                    at_least=target if peer == best else None,
                )
                for peer, seconds in theirs.items()
            ),
            Measure("without start-up", "s", worker.without_start),
            Measure("peak memory", "MB", worker.peak_megabytes, at_most=MEMORY_MEGABYTES),
        ],
        worker.parts(),
        worker.calls(),
        size=size,
    )
