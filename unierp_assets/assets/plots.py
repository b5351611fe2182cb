"""Pictures for the pages of assets. Belongs here: drawing. Does not belong here: the numbers (``sync/health.py``)."""

import base64
import io
from datetime import datetime, timedelta

import polars as pl

from unierp_assets.sync.health import WINDOW

_COLOURS = {"unierp": "#714b67", "storefront": "#2b8a8a"}


def day_of_work(throughput: pl.DataFrame, delays: pl.DataFrame, now: datetime) -> str:
    """A PNG as an address for Markdown: what was written in each hour of the last day, and how long changes took.

    ``throughput`` and ``delays`` are those of ``sync/health.py``; ``now`` is in UTC.
    """
    # Takes a while to load, which only this picture needs. Figures are made without its global state.
    from matplotlib.dates import ConciseDateFormatter, HourLocator
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    width = timedelta(minutes=54)
    bottoms: dict[datetime, int] = {}
    for system, colour in _COLOURS.items():
        rows = throughput.filter(pl.col("system") == system)
        if rows.is_empty():
            continue  # widths of time cannot be drawn where there is none
        hours, entries = rows["hour"].to_list(), rows["entries"].to_list()
        above.bar(
            hours,
            entries,
            width,
            bottom=[bottoms.get(hour, 0) for hour in hours],
            align="edge",
            color=colour,
            label=system,
        )
        for hour, count in zip(hours, entries, strict=True):
            bottoms[hour] = bottoms.get(hour, 0) + count
    above.set_ylabel("entries in the ledger")
    above.set_title("Written in each hour", loc="left", fontsize=10)
    if bottoms:
        above.legend(loc="upper left", fontsize=8)
    middle = [hour + timedelta(minutes=27) for hour in delays["hour"].to_list()]
    below.plot(middle, delays["median"].to_list(), "o-", color="#2b8a8a", label="half of them within")
    below.plot(middle, delays["p95"].to_list(), "o--", color="#c2552d", label="95 % within")
    below.set_ylabel("seconds")
    below.set_ylim(bottom=0)
    below.set_title("From the change in the shop to UniERP", loc="left", fontsize=10)
    below.legend(loc="upper left", fontsize=8)
    below.set_xlim(now - WINDOW, now + timedelta(minutes=5))
    below.xaxis.set_major_locator(HourLocator(interval=3))
    below.xaxis.set_major_formatter(ConciseDateFormatter(HourLocator(interval=3)))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=90)
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"
