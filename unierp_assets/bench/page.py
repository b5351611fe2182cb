"""The measured part of ``docs/benchmarks.md``: a table and a picture. Belongs here: how they look. No arithmetic."""

from datetime import date
from pathlib import Path

from unierp_assets.bench.errors import BenchError
from unierp_assets.bench.results import Measure, Report, figure
from unierp_assets.display import verdict

BEGIN, END = "<!-- measured: written by `make bench` -->", "<!-- end of measured -->"
PICTURE = Path("images/benchmarks.png")
_REACHED, _MISSED, _SHOWN = "#2b8a8a", "#c2552d", "#9a9a9a"


def around(page: Path) -> tuple[str, str]:
    """What stands before and after the measured part.

    Raises :class:`BenchError` where the page is not there or lacks the marks between which the part stands.
    """
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"{page} has no part between {BEGIN!r} and {END!r}; add these two lines where it shall stand.")
    return head, tail


def write_page(page: Path, report: Report, day: date) -> None:
    """Replaces the measured part of the page, and the picture beside it. Raises as :func:`around`."""
    head, tail = around(page)
    page.write_text(f"{head}{BEGIN}\n{markdown(report, day)}{END}{tail}", encoding="utf-8")
    picture = page.parent / PICTURE
    picture.parent.mkdir(exist_ok=True)
    draw(report, picture)


def markdown(report: Report, day: date) -> str:
    """The table of all measures."""
    machine = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in report.machine.items())
    lines = [
        f"Measured on {day.isoformat()}, Odoo {report.odoo} with two workers; {machine}.",
        "",
        f"![ratios]({PICTURE.as_posix()})",
        "",
        "| scenario | measure | ours | theirs | against | ours / theirs | target | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for scenario in report.scenarios:
        for measure in scenario.measures:
            cells = [scenario.title, measure.name, figure(measure.ours, measure.unit)]
            cells += ["" if measure.theirs is None else figure(measure.theirs, measure.unit), measure.against]
            cells += ["" if measure.ratio is None else f"{measure.ratio:.2f}", measure.target, verdict(measure.met)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(report: Report, picture: Path) -> None:
    """A bar for each comparison of whole processes; longer is faster, the mark is the target."""
    # Takes a while to load, which nothing else of a bench needs.
    from matplotlib.figure import Figure

    compared: list[tuple[str, Measure, float]] = [
        (f"{scenario.title}\nagainst {measure.against}", measure, measure.ratio)
        for scenario in report.scenarios
        for measure in scenario.measures
        if measure.ratio and measure.name == "whole process"
    ]
    canvas = Figure(figsize=(10, 1 + 0.36 * len(compared)), layout="constrained")
    axes = canvas.subplots()
    for place, (_, measure, ratio) in enumerate(compared):
        colour = {True: _REACHED, False: _MISSED, None: _SHOWN}[measure.met]
        axes.barh(place, ratio, color=colour)
        axes.annotate(f" {ratio:.2f}", (ratio, place), va="center", fontsize=8)
        if measure.at_least is not None:
            axes.plot([measure.at_least] * 2, [place - 0.4, place + 0.4], color="black")
    axes.set_yticks(range(len(compared)), [label for label, *_ in compared], fontsize=7)
    axes.set_ylim(len(compared) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1, color="black", linewidth=0.5)
    axes.set_xlabel("times as fast as the other side, whole processes (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    canvas.savefig(picture, dpi=110)
