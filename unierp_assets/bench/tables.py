"""How a bench looks on a terminal. No arithmetic belongs here."""

from unierp_assets import display
from unierp_assets.bench.results import Part, Report, Scenario


def show(report: Report) -> None:
    """The measures of all scenarios, and for each of them where the time went."""
    display.table(
        f"Bench on Odoo {report.odoo}",
        ["measure", "ours", "theirs", "ratio", "target", "", "against"],
        [
            [
                measure.name,
                f"{_figure(measure.ours)} {measure.unit}".rstrip(),
                "" if measure.theirs is None else f"{_figure(measure.theirs)} {measure.unit}".rstrip(),
                "" if measure.ratio is None else f"{measure.ratio:.2f}",
                measure.target,
                {True: "reached", False: "MISSED", None: ""}[measure.met],
                measure.against,
            ]
            for scenario in report.scenarios
            for measure in scenario.measures
        ],
        caption=", ".join(f"{name.replace('_', ' ')} {value}" for name, value in report.machine.items()),
    )
    for scenario in report.scenarios:
        _show_times(scenario)


def _show_times(scenario: Scenario) -> None:
    whole = sum(part.seconds for part in scenario.parts)
    display.table(
        f"Where our time went: {scenario.title}",
        ["part", "seconds", "share", "own processor time"],
        [
            [part.name, f"{part.seconds:.2f}", f"{part.seconds / whole:.0%}", _processor(part)]
            for part in scenario.parts
        ],
        caption="What is not own processor time was waiting, for Odoo and the databases.",
    )
    display.table(
        "Calls to Odoo, the longest first; seconds of parallel calls add up",
        ["method", "calls", "seconds"],
        [[call.method, call.count, f"{call.seconds:.2f}"] for call in scenario.calls],
    )
    if scenario.theirs:
        display.table(
            "The baseline's time", ["part", "seconds"], [[part.name, f"{part.seconds:.3f}"] for part in scenario.theirs]
        )


def _seconds(seconds: float, whole: float) -> tuple[str, str]:
    return f"{seconds:.2f}", f"{seconds / whole:.0%}"


def _processor(part: Part) -> str:
    return "" if part.processor is None else f"{part.processor:.2f}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"
