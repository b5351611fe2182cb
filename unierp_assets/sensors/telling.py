"""What people are told of, as plain functions: from what was read to alerts.

Belongs here: when something is worth an alert, and its words. Does not belong here: reading (the sensors) and sending
(``unierp_assets.alerts``, which also sees to it that nothing is told twice).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from unierp_assets.alerts import Alert, Severity
from unierp_assets.entities.spec import System
from unierp_assets.sync.breaker import Circuit

NAMES = {System.UNIERP: "UniERP", System.STOREFRONT: "The shop's database"}
"""The systems as sentences name them."""
WAREHOUSE_OUTAGE = "outage:warehouse"
LATE = "late_assets"
LISTED = 10
"""How many names an alert lists."""


def outage_key(system: System) -> str:
    """The key of the alert that a system is left alone."""
    return f"outage:{system.value}"


def outage(system: System, circuit: Circuit) -> Alert:
    """A system is left alone, because it does not answer."""
    return Alert(
        outage_key(system),
        Severity.CRITICAL,
        f"{NAMES[system]} does not answer",
        f"{NAMES[system]} {circuit}. Changes wait and are carried over once it answers again.",
        "/runs",
    )


def warehouse_outage(reason: str) -> Alert:
    """The warehouse cannot be used, in its own words."""
    return Alert(WAREHOUSE_OUTAGE, Severity.CRITICAL, "The warehouse cannot be used", f"{reason} Changes wait.")


def run_key(job: str) -> str:
    """The key of the alert that runs of a job fail."""
    return f"run:{job}"


def failed_run(job: str, run_id: str, reason: str) -> Alert:
    """A run failed."""
    return Alert(run_key(job), Severity.WARNING, f"A run of {job} failed", reason, f"/runs/{run_id}")


@dataclass(frozen=True, slots=True)
class Stock:
    """What may be sold of a variant, in units, in all locations together, and what decides how much is little."""

    key: str
    sku: str
    category: str | None
    available: Decimal


def threshold(stock: Stock, default: Decimal, levels: Mapping[str, Decimal]) -> Decimal:
    """Below how many units a variant is low: by its SKU, else by the name of its category, else the default."""
    return levels.get(stock.sku, levels.get(stock.category or "", default))


def low_stock(rows: Sequence[Stock], default: Decimal, levels: Mapping[str, Decimal]) -> dict[str, Stock]:
    """The variants of which there are too few, by key."""
    return {row.key: row for row in rows if row.available < threshold(row, default, levels)}


def stock_key(variant: str) -> str:
    """The key of the alert that a variant is low."""
    return f"low_stock:{variant}"


def crossings(
    before: Collection[str] | None, low: Mapping[str, Stock], default: Decimal, levels: Mapping[str, Decimal]
) -> tuple[list[Alert], list[str]]:
    """The alerts of variants that became low, and the keys of variants that no longer are.

    ``before`` are the variants that were low at the last look. At the first look (None) nothing is known to have become
    low: nobody is told of what has been so for long.
    """
    if before is None:
        return [], []
    alerts = []
    for key in sorted(set(low) - set(before)):
        stock = low[key]
        limit = threshold(stock, default, levels)
        alerts.append(
            Alert(
                stock_key(key),
                Severity.WARNING,
                f"{stock.sku} is low on stock",
                f"{stock.available:f} units of {stock.sku} may be sold; below {limit:f} it is to be replenished.",
                "/assets/landing_unierp/stock_levels",
            )
        )
    return alerts, sorted(set(before) - set(low))


def late(last: Mapping[str, datetime | None], windows: Mapping[str, timedelta], now: datetime) -> list[str]:
    """The assets whose data was last looked at longer ago than their window allows. What never was is not late: there
    is nothing that could have become old."""
    return sorted(name for name, seen in last.items() if seen is not None and now - seen > windows[name])


def late_assets(names: Sequence[str]) -> Alert:
    """Data is older than it may be."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return Alert(
        LATE,
        Severity.WARNING,
        "Data is late",
        f"For longer than allowed it was not seen whether there is anything new of {', '.join(names[:LISTED])}{more}.",
        f"/assets/{names[0]}",
    )
