"""How a bench looks on a terminal. No arithmetic belongs here."""

from unierp_assets import display
from unierp_assets.bench.results import Part, Report, Scenario, figure


def show(report: Report) -> None:
    """The measures of all scenarios, and for each of them where the time went."""
    display.table(
        f"Bench on Odoo {report.odoo}",
        ["scenario", "measure", "ours", "theirs", "ratio", "target", "", "against"],
        [
            [
                f"{scenario.name.replace('_', ' ')} {scenario.size:,}",
                measure.name,
                figure(measure.ours, measure.unit),
                "" if measure.theirs is None else figure(measure.theirs, measure.unit),
                "" if measure.ratio is None else f"{measure.ratio:.2f}",
                measure.target,
                display.verdict(measure.met),
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


def _processor(part: Part) -> str:
    return "" if part.processor is None else f"{part.processor:.2f}"
