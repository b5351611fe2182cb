"""Flat customers: the first load, and another run that finds nothing new, beside the peers with the same rows."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from unierp_assets.bench import limit, ours, peers
from unierp_assets.bench.plain import PlainScript
from unierp_assets.bench.results import Measure, Scenario, Worker
from unierp_assets.bench.setting import LARGE, MEDIUM, Bench, warm_up
from unierp_assets.bench.shop import customer, make_shop
from unierp_assets.sync.load.codec import external_name

FIRST_LOAD_RATIO = 1.0
NOTHING_NEW_RATIO = 10.0
MEMORY_MEGABYTES = 600.0
ONE_BY_ONE = "one by one over odoorpc"
LIMIT = "Odoo's own processes"
ONE_BY_ONE_ROWS = 200
REWRITTEN_ROWS = 10_000
"""Rows up to which importers that write everything again are run again: their time grows with the rows alone."""
MODEL = "res.partner"


def customers(bench: Bench, size: int) -> list[Scenario]:
    """Flat customers through the whole pipeline against the peers' bare import, then once more with nothing new."""
    sides = _Sides(bench, size)
    turns = bench.sizes.turns_at(size)
    for turn in range(turns):
        last = turn == turns - 1
        order = [sides.importer, sides.fluvo, sides.own, sides.limit]
        for side in order if turn % 2 == 0 else reversed(order):
            side(last)
    sides.one_by_one()
    return [_first_load(bench, size, sides), _nothing_new(bench, size, sides)]


class _Sides:
    """What each side does in its turn, and how long it took in seconds."""

    def __init__(self, bench: Bench, size: int) -> None:
        self.bench = bench
        self.size = size
        self.programs = {peer.name: peers.install(peer, bench.cache, bench.progress) for peer in peers.PEERS}
        self.columns, self.rows = customer_rows(size)
        self.runs: list[Worker] = []
        self.afterwards: Worker | None = None
        self.idle: Worker | None = None
        self.theirs: dict[str, list[float]] = {}
        self.again: dict[str, float] = {}

    def own(self, last: bool) -> None:
        with self.bench.stand.place() as place:
            warm_up(place)
            ours.fill(place, make_shop(0, self.size))
            with self.bench.progress.step(f"The sync loads {self.size:,} customers") as detail:
                self.runs.append(ours.sync(place, self.bench.home, "customers"))
                detail(f"{self.runs[-1].whole:.1f} s")
            if last:
                with self.bench.progress.step(f"The sync looks at {self.size:,} customers right afterwards") as detail:
                    self.afterwards = ours.sync(place, self.bench.home, "customers")
                    detail(f"{self.afterwards.whole:.1f} s")
                ours.settle(place, self.bench.home, self.bench.progress, "customers")
                with self.bench.progress.step(f"The sync finds nothing new in {self.size:,} customers") as detail:
                    self.idle = ours.sync(place, self.bench.home, "customers")
                    detail(f"{self.idle.whole:.1f} s")

    def importer(self, last: bool) -> None:
        self._peer(peers.IMPORTER, [()] if last and self.size <= REWRITTEN_ROWS else [])

    def fluvo(self, last: bool) -> None:
        again: list[tuple[str, ...]] = [(peers.SKIP_UNCHANGED,)]
        self._peer(peers.FLUVO, [*again, *([()] if self.size <= REWRITTEN_ROWS else [])] if last else [])

    def _peer(self, peer: peers.Peer, again: Sequence[tuple[str, ...]]) -> None:
        file = self.bench.stand.folder / peer.name / "customers.csv"
        peers.write_file(file, self.columns, self.rows)
        programs = self.programs[peer.name]
        with self.bench.stand.place() as place:
            warm_up(place)
            with self.bench.progress.step(f"{peer.name} imports {self.size:,} customers") as detail:
                run = peers.load(peer, programs, place, MODEL, file)
                self.theirs.setdefault(peer.name, []).append(run.whole)
                detail(f"{run.whole:.1f} s")
            for options in again:
                name = " ".join([peer.name, *options])
                with self.bench.progress.step(f"{name} imports them again") as detail:
                    self.again[name] = peers.load(peer, programs, place, MODEL, file, *options).whole
                    detail(f"{self.again[name]:.1f} s")

    def limit(self, last: bool) -> None:
        job: Mapping[str, Any] = {"kind": "load", "model": MODEL, "columns": self.columns, "batch": peers.BATCH}
        jobs = [{**job, "items": _cells(rows)} for rows in limit.shares(self.rows, ours.CONNECTIONS)]
        title = f"Odoo's own processes load {self.size:,} customers"
        with self.bench.stand.place() as place, self.bench.progress.step(title) as detail:
            self.theirs.setdefault(LIMIT, []).append(limit.seconds(self.bench.stand, place, jobs))
            detail(f"{self.theirs[LIMIT][-1]:.1f} s")

    def one_by_one(self) -> None:
        rows = self.rows[:ONE_BY_ONE_ROWS]
        with self.bench.stand.place() as place:
            warm_up(place)
            script = PlainScript(place)
            with self.bench.progress.step(f"The plain script makes {len(rows)} customers"):
                spent = script.create_each(MODEL, [dict(zip(self.columns[1:], row[1:], strict=True)) for row in rows])
                self.theirs[ONE_BY_ONE] = [spent * self.size / len(rows)]


def _cells(rows: Sequence[Sequence[object]]) -> list[list[str]]:
    return [["" if value is False else str(value) for value in row] for row in rows]


def _first_load(bench: Bench, size: int, sides: _Sides) -> Scenario:
    whole, run = (mean(each) for each in zip(*((one.whole, one.without_start) for one in sides.runs), strict=True))
    best = min((peer.name for peer in peers.PEERS), key=lambda name: mean(sides.theirs[name]))
    measures = [
        Measure(
            "whole process",
            "/s",
            size / whole,
            size / mean(seconds),
            name,
            at_least=bench.sizes.target(FIRST_LOAD_RATIO, size, MEDIUM) if name == best else None,
        )
        for name, seconds in sides.theirs.items()
    ]
    peak = max(one.peak_megabytes for one in sides.runs)
    return Scenario(
        "first_load",
        f"First load of {size:,} flat customers",
        [
            *measures,
            Measure("without start-up", "/s", size / run),
            Measure("peak memory", "MB", peak, at_most=MEMORY_MEGABYTES),
        ],
        sides.runs[-1].parts(),
        sides.runs[-1].calls(),
        size=size,
    )


def _nothing_new(bench: Bench, size: int, sides: _Sides) -> Scenario:
    idle, afterwards = sides.idle, sides.afterwards
    assert idle is not None
    assert afterwards is not None
    skipping = f"{peers.FLUVO.name} {peers.SKIP_UNCHANGED}"
    return Scenario(
        "nothing_new",
        f"Nothing new among {size:,} customers",
        [
            *(
                Measure(
                    "whole process",
                    "/s",
                    size / idle.whole,
                    size / seconds,
                    name,
                    at_least=bench.sizes.target(NOTHING_NEW_RATIO, size, LARGE) if name == skipping else None,
                )
                for name, seconds in sides.again.items()
            ),
            *idle_measures(idle),
            Measure("whole process, right after the load", "s", afterwards.whole),
        ],
        idle.parts(),
        idle.calls(),
        size=size,
    )


def idle_measures(idle: Worker) -> list[Measure]:
    """What a run must not do that finds nothing new."""
    return [
        Measure("without start-up", "s", idle.without_start),
        Measure("reads in Odoo", "", idle.summary["odoo_reads"]),
        Measure("writes in Odoo", "", idle.summary["odoo_writes"], at_most=0),
        Measure("records changed", "", idle.count("created") + idle.count("updated"), at_most=0),
        Measure("peak memory", "MB", idle.peak_megabytes, at_most=MEMORY_MEGABYTES),
    ]


def customer_rows(count: int) -> tuple[list[str], list[list[object]]]:
    """Columns and rows for the peers: the values that our own customers have in UniERP."""
    columns = ["id", "name", "is_company", "email", "phone", "active", "customer_rank"]
    rows: list[list[object]] = []
    for number in range(1, count + 1):
        values = customer(number)
        name = values["company"] or f"{values['first_name']} {values['last_name']}"
        xid = f"bench.{external_name('customers', str(number))}"
        rows.append([xid, name, bool(values["company"]), values["email"], values["phone"], True, 1])
    return columns, rows
