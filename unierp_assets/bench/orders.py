"""Whole orders once their customers, products and stock are there: against a plain script, and against the same batches
in Odoo's own processes; then a sync of all of it once more."""

from collections.abc import Mapping, Sequence
from typing import Any

from unierp_assets.bench import limit, ours
from unierp_assets.bench.errors import BenchError
from unierp_assets.bench.loads import LIMIT, ONE_BY_ONE, idle_measures
from unierp_assets.bench.plain import PlainOrder, PlainRun, PlainScript
from unierp_assets.bench.results import Measure, Part, Scenario, Worker
from unierp_assets.bench.setting import Bench, Sizes, warm_up
from unierp_assets.bench.shop import make_shop, order_customer, order_lines
from unierp_assets.bench.stand import Place
from unierp_assets.sync.load.codec import external_name
from unierp_assets.sync.load.sales import DOCUMENT_BATCH

ONE_BY_ONE_RATIO = 4.0
LIMIT_RATIO = 0.9


def orders(bench: Bench) -> list[Scenario]:
    """Whole orders against a plain script and against Odoo's own processes; then nothing new."""
    sizes, step = bench.sizes, bench.progress.step
    with bench.stand.place() as place:
        warm_up(place)
        ours.fill(place, make_shop(sizes.products, sizes.customers))
        with step(f"Preparing {sizes.products:,} products with stock and {sizes.customers:,} customers"):
            ours.sync(place, bench.home)
        script = PlainScript(place)
        plain = plain_orders(script, sizes, sizes.orders, sizes.baseline_orders + 1)
        half = len(plain) // 2
        script.run(plain[:1])  # not counted: the server reads its own code
        with step(f"The plain script makes {half - 1} orders"):
            baseline = script.run(plain[1:half])
        bare = plain_orders(script, sizes, sizes.orders + len(plain), sizes.limit_orders)
        bare_half = len(bare) // 2
        bare_seconds = _limit(bench, place, bare[:bare_half])
        ours.settle(place, bench.home, bench.progress)
        ours.fill(place, make_shop(sizes.products, sizes.customers, sizes.orders))
        with step(f"The sync makes {sizes.orders:,} orders"):
            worker = ours.sync(place, bench.home)
        ours.settle(place, bench.home, bench.progress)
        with step("The sync finds nothing new"):
            idle = ours.sync(place, bench.home)
        with step(f"The plain script makes {len(plain) - half} orders"):
            baseline += script.run(plain[half:])
        bare_seconds += _limit(bench, place, bare[bare_half:])
        if unpaid := script.unpaid([*plain, *bare]):
            raise BenchError(f"The other sides left {len(unpaid)} orders unpaid.")
    if worker.summary["entities"]["payments"]["created"] != sizes.orders:
        raise BenchError("The sync did not pay all orders.")
    return [_orders(sizes, worker, baseline, len(bare) / bare_seconds), _nothing_new(sizes, idle)]


def _limit(bench: Bench, place: Place, orders: Sequence[PlainOrder]) -> float:
    """Seconds in which Odoo's own processes make these orders."""
    with bench.progress.step(f"Odoo's own processes make {len(orders)} orders"):
        return limit.seconds(bench.stand, place, [_job(share) for share in limit.shares(orders, ours.CONNECTIONS)])


def plain_orders(script: PlainScript, sizes: Sizes, after: int, count: int) -> list[PlainOrder]:
    """Further orders of the same kind for the other sides, by the ids that customers and products have in this Odoo."""
    numbers = range(after + 1, after + count + 1)
    lines = {number: order_lines(number, sizes.products) for number in numbers}
    customer_of = {number: external_name("customers", str(order_customer(number, sizes.customers))) for number in lines}
    variants = {product: external_name("variants", str(product)) for own in lines.values() for product, _, _ in own}
    ids = script.ids([*customer_of.values(), *variants.values()])
    return [
        PlainOrder(
            f"PLAIN-{number}",
            ids[customer_of[number]],
            [(ids[variants[product]], quantity, unit) for product, quantity, unit in own],
            f"1Z{number:08}",
        )
        for number, own in lines.items()
    ]


def _job(share: Sequence[PlainOrder]) -> Mapping[str, Any]:
    return {
        "kind": "orders",
        "batch": DOCUMENT_BATCH,
        "items": [
            {
                "number": order.number,
                "partner_id": order.partner_id,
                "lines": [(product, float(quantity), float(price)) for product, quantity, price in order.lines],
                "tracking_number": order.tracking_number,
            }
            for order in share
        ],
    }


def _orders(sizes: Sizes, worker: Worker, baseline: PlainRun, bare: float) -> Scenario:
    theirs = baseline.orders / baseline.total
    whole, run = sizes.orders / worker.whole, sizes.orders / worker.without_start
    return Scenario(
        "orders",
        f"{sizes.orders:,} orders of 3 lines: created, confirmed, delivered, invoiced, posted, paid",
        [
            Measure("whole process", "/s", whole, theirs, ONE_BY_ONE, sizes.target(ONE_BY_ONE_RATIO)),
            Measure("whole process", "/s", whole, bare, LIMIT, sizes.target(LIMIT_RATIO)),
            Measure("without start-up", "/s", run, theirs, ONE_BY_ONE),
            Measure("without start-up", "/s", run, bare, LIMIT),
        ],
        worker.parts(),
        worker.calls(),
        [Part(f"{step}, per order", seconds / baseline.orders) for step, seconds in baseline.seconds.items()],
        size=sizes.orders,
    )


def _nothing_new(sizes: Sizes, idle: Worker) -> Scenario:
    return Scenario(
        "nothing_new_shop",
        f"Nothing new in a shop: {sizes.products:,} products, {sizes.customers:,} customers, {sizes.orders:,} orders",
        [Measure("whole process", "s", idle.whole), *idle_measures(idle)],
        idle.parts(),
        idle.calls(),
        size=sizes.orders,
    )
