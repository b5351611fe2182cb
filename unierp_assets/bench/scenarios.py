"""What is measured: each scenario takes clean databases, lets both sides do the same work, and compares.

Belongs here: the work, the order of the turns, the targets. Both sides take turns on the same server, so that a machine
that becomes slower meanwhile does so for both. A further scenario is one function more in :data:`SCENARIOS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from unierp_assets.bench import ours, peer
from unierp_assets.bench.errors import BenchError
from unierp_assets.bench.plain import PlainOrder, PlainRun, PlainScript
from unierp_assets.bench.results import Measure, Part, Scenario, Worker
from unierp_assets.bench.shop import customer, make_shop, order_customer, order_lines
from unierp_assets.bench.stand import Place, Stand
from unierp_assets.lab.cache import Cache
from unierp_assets.lab.progress import Reporter
from unierp_assets.odoo import Outcome, load
from unierp_assets.sync.codec import external_name

CUSTOMERS_RATIO = 0.8
ORDERS_RATIO = 3.0
MEMORY_MEGABYTES = 500.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. ``turns``: how often each side loads the customers. ``judged``: whether rates have to reach
    their targets; small sizes measure little but the start of a process."""

    products: int = 5_000
    customers: int = 5_000
    orders: int = 300
    baseline_orders: int = 40
    turns: int = 2
    judged: bool = True

    def target(self, ratio: float) -> float | None:
        """The ratio, where rates are judged."""
        return ratio if self.judged else None


QUICK = Sizes(products=200, customers=500, orders=20, baseline_orders=4, turns=1, judged=False)


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


def customers(bench: Bench) -> list[Scenario]:
    """Flat customers through the whole pipeline, against the peer's bare import of the same rows."""
    sizes = bench.sizes
    count = sizes.customers
    programs = peer.install(bench.cache, bench.progress)
    file = bench.stand.folder / "customers.csv"
    peer.write_file(file, *customer_rows(count))
    peers: list[peer.PeerRun] = []
    workers: list[Worker] = []

    def theirs() -> None:
        with bench.stand.place() as place:
            warm_up(place)
            with bench.progress.step(f"{peer.NAME} imports {count:,} customers") as detail:
                peers.append(peer.load(programs, place, "res.partner", file))
                detail(f"{peers[-1].whole:.1f} s")

    def own() -> None:
        with bench.stand.place() as place:
            warm_up(place)
            ours.fill(place, make_shop(0, count))
            with bench.progress.step(f"The sync loads {count:,} customers") as detail:
                workers.append(ours.sync(place, bench.home, "customers"))
                detail(f"{workers[-1].whole:.1f} s")

    for turn in range(sizes.turns):
        for side in (theirs, own) if turn % 2 == 0 else (own, theirs):
            side()
    whole, run = mean(worker.whole for worker in workers), mean(worker.without_start for worker in workers)
    return [
        Scenario(
            "customers",
            f"{count:,} customers: extract, stage, gate, plan, apply, agree, read back, reconcile",
            [
                Measure(
                    "customers, whole process",
                    "/s",
                    count / whole,
                    count / mean(each.whole for each in peers),
                    peer.NAME,
                    at_least=sizes.target(CUSTOMERS_RATIO),
                ),
                Measure(
                    "customers, without start-up",
                    "/s",
                    count / run,
                    count / mean(each.told for each in peers),
                    peer.NAME,
                ),
            ],
            workers[-1].parts(),
            workers[-1].calls(),
        )
    ]


def customer_rows(count: int) -> tuple[list[str], list[list[object]]]:
    """Columns and rows for the peer: the values that our own customers have in UniERP."""
    columns = ["id", "name", "is_company", "email", "phone", "active", "customer_rank"]
    rows: list[list[object]] = []
    for number in range(1, count + 1):
        values = customer(number)
        name = values["company"] or f"{values['first_name']} {values['last_name']}"
        xid = f"bench.{external_name('customers', str(number))}"
        rows.append([xid, name, bool(values["company"]), values["email"], values["phone"], True, 1])
    return columns, rows


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


def orders(bench: Bench) -> list[Scenario]:
    """Whole orders once their customers, products and stock are there, against a plain script; then nothing new."""
    sizes, step = bench.sizes, bench.progress.step
    with bench.stand.place() as place:
        ours.fill(place, make_shop(sizes.products, sizes.customers))
        with step(f"Preparing {sizes.products:,} products with stock and {sizes.customers:,} customers"):
            ours.sync(place, bench.home)
        script = PlainScript(place)
        plain = plain_orders(script, sizes)
        half = len(plain) // 2
        script.run(plain[:1])  # not counted: the server reads its own code
        with step(f"The plain script makes {half - 1} orders"):
            baseline = script.run(plain[1:half])
        ours.fill(place, make_shop(sizes.products, sizes.customers, sizes.orders))
        with step(f"The sync makes {sizes.orders:,} orders"):
            worker = ours.sync(place, bench.home)
        with step("The sync finds nothing new"):
            idle = ours.sync(place, bench.home)
        with step(f"The plain script makes {len(plain) - half} orders"):
            baseline += script.run(plain[half:])
        if unpaid := script.unpaid(plain):
            raise BenchError(f"The plain script left {len(unpaid)} orders unpaid.")
    if worker.summary["entities"]["payments"]["created"] != sizes.orders:
        raise BenchError("The sync did not pay all orders.")
    return [_orders(sizes, worker, baseline), _nothing_new(sizes, idle)]


def plain_orders(script: PlainScript, sizes: Sizes) -> list[PlainOrder]:
    """Orders of the same kind for the plain script, by the ids that customers and products have in this Odoo."""
    numbers = range(sizes.orders + 1, sizes.orders + sizes.baseline_orders + 2)
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


def _orders(sizes: Sizes, worker: Worker, baseline: PlainRun) -> Scenario:
    theirs = baseline.orders / baseline.total
    against = "one by one over odoorpc"
    return Scenario(
        "orders",
        f"{sizes.orders:,} orders of 3 lines: created, confirmed, delivered, invoiced, posted, paid",
        [
            Measure(
                "orders, whole process", "/s", sizes.orders / worker.whole, theirs, against, sizes.target(ORDERS_RATIO)
            ),
            Measure("orders, without start-up", "/s", sizes.orders / worker.without_start, theirs, against),
        ],
        worker.parts(),
        worker.calls(),
        [Part(f"{step}, per order", seconds / baseline.orders) for step, seconds in baseline.seconds.items()],
    )


def _nothing_new(sizes: Sizes, idle: Worker) -> Scenario:
    changed = idle.count("created") + idle.count("updated")
    return Scenario(
        "nothing_new",
        f"Nothing new: {sizes.products:,} products, {sizes.customers:,} customers, {sizes.orders:,} orders",
        [
            Measure("whole process", "s", idle.whole),
            Measure("without start-up", "s", idle.without_start),
            Measure("reads in Odoo", "", idle.summary["odoo_reads"]),
            Measure("writes in Odoo", "", idle.summary["odoo_writes"], at_most=0),
            Measure("records changed", "", changed, at_most=0),
            Measure("peak memory", "MB", idle.peak_megabytes, at_most=MEMORY_MEGABYTES),
        ],
        idle.parts(),
        idle.calls(),
    )


SCENARIOS: dict[str, Callable[[Bench], list[Scenario]]] = {"customers": customers, "orders": orders}
