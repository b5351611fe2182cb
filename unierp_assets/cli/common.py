"""What several commands share: their options, how systems are opened, how a failure is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from unierp_assets.lab.odoo import OdooVersion
    from unierp_assets.sync.reports import Reconciliation
    from unierp_assets.sync.unsettled import Unsettled
    from unierp_assets.wiring import Systems

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Odoo = Annotated[
    str | None, typer.Option("--odoo", help="Odoo of the lab: 19 or 14. The one that was started last, unless told.")
]
Domain = Annotated[
    str | None, typer.Argument(help="products, inventory, customers, orders or finance; everything unless told.")
]


def version_of(odoo: str | None) -> "OdooVersion | None":
    if odoo not in (None, "19", "14"):
        raise typer.BadParameter("the lab has Odoo 19 and 14", param_hint="--odoo")
    return odoo  # type: ignore[return-value]  # checked just now


@contextmanager
def open_systems(
    odoo: str | None, *, start: bool = False, guarded: bool = True, quiet: bool = False
) -> "Iterator[Systems]":
    from unierp_assets import wiring
    from unierp_assets.lab.progress import SilentReporter, reporter_for

    reporter = SilentReporter() if quiet else reporter_for()
    with wiring.open_systems(version_of(odoo), start=start, guarded=guarded, progress=reporter) as systems:
        yield systems


WAITS = 3
"""Exit code of a sync that did all it could where orders wait or money is booked nowhere."""

_SHOWN = 10
"""So many waiting orders are shown one by one."""


def show_unsettled(found: "Unsettled") -> None:
    """Money and orders that wait, before everything else; nothing where there are none."""
    from unierp_assets import display

    for sentence in found.sentences():
        display.out.print(f"[bold yellow]{sentence}[/]", highlight=False, soft_wrap=True)
    if found.orders.height:
        rest = found.orders.height - _SHOWN
        display.table(
            "Orders that wait",
            ["number", "total", "currency", "state", "why"],
            found.orders.select("number", "total", "currency", "state", "reason").head(_SHOWN).rows(),
            caption=f"and {rest:,} more: `unierp quarantine orders`" if rest > 0 else None,
        )


def show_reconciliation(agreed: "Reconciliation", found: "Unsettled") -> None:
    """How far both sides agree; what waits is told beside the share, which speaks of what was compared alone."""
    from unierp_assets import display

    waits = f"; {counted(found.orders.height, 'order')} waiting are not in it" if found.orders.height else ""
    display.table(
        "Reconciliation",
        ["entity", "shop", "UniERP", "matched", "missing", "surplus", "differing", "held", "accuracy %"],
        [
            [
                *(row[name] for name in ("entity", "shop_count", "unierp_count", "matched", "missing", "surplus")),
                *(row["differing"], row["held"], _short(row["accuracy_percent"])),
            ]
            for row in agreed.by_entity.iter_rows(named=True)
        ],
        caption=f"{counted(agreed.differences, 'difference')}, accuracy {_short(agreed.accuracy)} %{waits}",
    )


def _short(value: Decimal) -> Decimal:
    """The same without zeros at its end."""
    return Decimal(f"{value.normalize():f}")


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def fail(message: str) -> None:
    from unierp_assets import display

    display.error(message)
    raise typer.Exit(1)


def span(since: datetime | None) -> str:
    """How long ago an instant was, in the largest unit that tells enough; empty for none."""
    if since is None:
        return ""
    seconds = max(int((datetime.now(UTC) - since).total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def ago(at: datetime | None) -> str:
    """The same as people say it."""
    return f"{span(at)} ago" if at else "never"


def numbers(text: str, option: str) -> tuple[int, ...]:
    """The whole numbers of a list with commas (``1000,10000``); none of an empty text."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdigit() and int(part) for part in parts):
        raise typer.BadParameter("give whole numbers with commas between them", param_hint=option)
    return tuple(map(int, parts))
