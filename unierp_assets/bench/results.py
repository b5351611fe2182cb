"""What a bench says: measures with their targets, and where the time went.

Pure values and arithmetic. Does not belong here: how anything is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TOP_CALLS = 12
"""Calls to Odoo that are shown of a scenario, the longest first."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of ours, beside somebody else's where there is one.

    ``at_least`` is the least ratio of ours to theirs, ``at_most`` the most that ours may be; without either it is
    only shown. For figures that are better the larger they are (records per second) the ratio is ours / theirs.
    """

    name: str
    unit: str
    ours: float
    theirs: float | None = None
    against: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours / theirs; None without theirs."""
        return self.ours / self.theirs if self.theirs else None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.at_least is not None:
            return self.ratio is not None and self.ratio >= self.at_least
        if self.at_most is not None:
            return self.ours <= self.at_most
        return None

    @property
    def target(self) -> str:
        """The target as people read it."""
        if self.at_least is not None:
            return f"ratio ≥ {self.at_least:g}"
        return f"≤ {self.at_most:g} {self.unit}".rstrip() if self.at_most is not None else ""

    def to_dict(self) -> dict[str, Any]:
        """The measure for machines; figures are not rounded away."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": round(self.ours, 4),
            "theirs": None if self.theirs is None else round(self.theirs, 4),
            "against": self.against or None,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "target": self.target or None,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the time of a process: what it was spent on, wall-clock seconds, and processor seconds of our own
    process in it (None where they were not taken). What is wall and not processor was waiting, mostly for Odoo."""

    name: str
    seconds: float
    processor: float | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """All calls of one method of Odoo; seconds are summed over parallel connections."""

    method: str
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Worker:
    """What one run of :mod:`~unierp_assets.bench.worker` told, and how long its whole process took."""

    whole: float
    told: Mapping[str, Any]

    @property
    def without_start(self) -> float:
        """Seconds of the run itself, without the start of the process and the wait for a library to be imported."""
        imports = sum(wall for phase, _, wall, _ in self.told["steps"] if phase == "import")
        return float(self.told["summary"]["seconds"]) - float(imports)

    @property
    def peak_megabytes(self) -> float:
        return float(self.told["peak_memory"]) / 2**20

    @property
    def summary(self) -> Mapping[str, Any]:
        """What ``unierp sync --json`` prints."""
        return dict(self.told["summary"])

    def count(self, what: str) -> int:
        """A count of the summary over all entities, for example ``failed``."""
        return sum(int(counts[what]) for counts in self.summary["entities"].values())

    def parts(self) -> list[Part]:
        """The whole process in parts, in the order in which they began; they add up to ``whole``."""
        seconds: dict[str, float] = {}
        processor: dict[str, float] = {}
        for phase, subject, wall, used in self.told["steps"]:
            # What concerns single entities matters where documents are made; elsewhere the phase says enough.
            name = f"{phase} {subject}" if phase in SINGLE else phase
            seconds[name] = seconds.get(name, 0) + wall
            processor[name] = processor.get(name, 0) + used
        prepare = float(self.told["seconds"]["prepare"])
        named = [
            Part("start and imports", self.whole - prepare - sum(seconds.values())),
            Part("looking at the warehouse", prepare),
            *(Part(name, seconds[name], processor[name]) for name in seconds),
        ]
        return [part for part in named if part.seconds >= 0.005]

    def calls(self) -> list[Call]:
        """The calls to Odoo, the longest first."""
        found = [Call(name, int(count), float(spent)) for name, (count, spent) in self.told["calls"].items()]
        return sorted(found, key=lambda call: -call.seconds)[:TOP_CALLS]


def figure(value: float, unit: str) -> str:
    """A figure as people read it, with its unit."""
    return f"{value:,.0f} {unit}".rstrip() if value >= 100 or value == int(value) else f"{value:.2f} {unit}".rstrip()


SINGLE = frozenset({"create", "update", "confirm", "post"})
"""Phases that are told by entity."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """The outcome of one scenario: its measures, where our time went, and the other side's parts where it has some.
    ``size`` is how many rows or documents it was about."""

    name: str
    title: str
    measures: Sequence[Measure]
    parts: Sequence[Part] = ()
    calls: Sequence[Call] = ()
    theirs: Sequence[Part] = ()
    size: int = 0

    @property
    def met(self) -> bool:
        """Whether no target was missed."""
        return all(measure.met is not False for measure in self.measures)

    def to_dict(self) -> dict[str, Any]:
        def listed(parts: Sequence[Part]) -> list[dict[str, Any]]:
            return [
                {
                    "part": part.name,
                    "seconds": round(part.seconds, 3),
                    "processor_seconds": None if part.processor is None else round(part.processor, 3),
                }
                for part in parts
            ]

        return {
            "name": self.name,
            "title": self.title,
            "size": self.size,
            "met": self.met,
            "measures": [measure.to_dict() for measure in self.measures],
            "parts": listed(self.parts),
            "baseline_parts": listed(self.theirs),
            "odoo_calls": [
                {"method": call.method, "count": call.count, "seconds": round(call.seconds, 3)} for call in self.calls
            ],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """A whole bench."""

    odoo: str
    sizes: Mapping[str, Any]
    machine: Mapping[str, Any]
    scenarios: Sequence[Scenario] = field(default_factory=tuple)

    @property
    def met(self) -> bool:
        return all(scenario.met for scenario in self.scenarios)

    def to_dict(self) -> dict[str, Any]:
        """The bench for machines."""
        return {
            "odoo": self.odoo,
            "sizes": dict(self.sizes),
            "machine": dict(self.machine),
            "met": self.met,
            "scenarios": [scenario.to_dict() for scenario in self.scenarios],
        }
