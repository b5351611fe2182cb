"""The main job: fill a sample shop, see what a sync would write, and sync."""

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from unierp_assets.cli.common import (
    WAITS,
    Domain,
    Json,
    Odoo,
    counted,
    fail,
    open_systems,
    show_reconciliation,
    show_unsettled,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unierp_assets.sync.pipeline import Summary
    from unierp_assets.wiring import Systems

app = typer.Typer()
_log = logging.getLogger(__name__)


@app.command()
def demo(
    # Whatever was asked for last: the demo is the same each time.
    odoo: Annotated[str, typer.Option("--odoo", help="Odoo of the lab: 19 or 14.")] = "19",
    products: Annotated[int, typer.Option(min=1, help="Products of the sample shop.")] = 200,
    customers: Annotated[int, typer.Option(min=1, help="Customers of the sample shop.")] = 300,
    orders: Annotated[int, typer.Option(min=1, help="Orders of the sample shop.")] = 400,
    seed: Annotated[int, typer.Option(help="The same seed makes the same shop.")] = 7,
    json: Json = False,
) -> None:
    """Start the lab, fill a dirty sample shop, load it into Odoo and reconcile it to the cent."""
    from unierp_assets import display
    from unierp_assets.demo import count_faults, planted_faults

    with open_systems(odoo, start=True, quiet=json) as systems:
        _ensure_sample(systems, products, customers, orders, seed, quiet=json)
        summary = _sync(systems, None, None, quiet=json)
        address = systems.services.storefront_url.get_secret_value()
        faults = count_faults(systems.warehouse, planted_faults(address, systems.settings.storefront_schema))
        if json:
            found = [{"rule": fault.rule, "planted": fault.planted, "found": fault.found} for fault in faults]
            display.print_json({**summary.to_dict(), "faults": found})
        else:
            _show_summary(systems, summary)
            display.table(
                "Faults planted in the sample, and found by name",
                ["fault", "what is wrong", "planted", "found"],
                [[fault.rule, fault.description, fault.planted, fault.found] for fault in faults],
            )
            display.out.print(
                f"UniERP: [link]{systems.services.odoo_url}[/link]  (login [bold]{systems.services.odoo_login}[/], "
                "password: `unierp lab status --passwords`)\n"
                "Next: `unierp sync` finds nothing to do; change a price in the shop and see `unierp plan`; "
                "`make ui` opens Dagster."
            )
        missed = [fault.rule for fault in faults if not fault.complete]
        if missed:
            fail(f"Not every planted fault was found: {', '.join(missed)}.")
    # What waits are the faults that were planted.
    _fail_by(summary)


@app.command()
def sync(
    domain: Domain = None,
    approve: Annotated[
        str | None, typer.Option("--approve", help="Id of a plan: write exactly what it showed, or nothing.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Compare everything, not only what changed.")] = False,
    confirm_removals: Annotated[
        list[str] | None,
        typer.Option(
            "--confirm-removals",
            metavar="ENTITY=COUNT",
            help="Withdraw so many rows of an entity that vanished at once; may be given several times.",
        ),
    ] = None,
    odoo: Odoo = None,
    json: Json = False,
) -> None:
    """Bring the systems into agreement: read, validate, compare, write what changed, read back.

    Exit code 0: everything agrees. 1: something failed, was refused or differs. 3: all was done that could be, and
    orders wait, money is booked nowhere, or rows vanished and are not withdrawn.
    """
    from unierp_assets import display

    confirmed = _confirmed(confirm_removals or [])
    with open_systems(odoo) as systems:
        summary = _sync(systems, domain, approve, quiet=json, full=full, confirmed=confirmed)
        if json:
            display.print_json(summary.to_dict())
        else:
            _show_summary(systems, summary)
    _fail_by(summary)
    if summary.unsettled:
        raise typer.Exit(WAITS)


@app.command()
def plan(domain: Domain = None, odoo: Odoo = None, json: Json = False) -> None:
    """Show what a sync would write, and write nothing."""
    from unierp_assets import display
    from unierp_assets.sync.intake.withheld import sentences, withheld
    from unierp_assets.sync.pipeline import Pipeline, new_run_id

    with open_systems(odoo) as systems:
        systems.warehouse.upgrade()
        pipeline = Pipeline(systems.context(new_run_id()), domain)
        with display.run_progress(pipeline.steps, enabled=not json) as on_step:
            pipeline.context.on_step = on_step
            changes = pipeline.preview()
        removals = withheld(systems.warehouse)
    grouped: dict[tuple[str, str, str, str], dict[str, list[str | None]]] = {}
    for row in changes.iter_rows(named=True):
        fields = grouped.setdefault((row["entity"], row["key"], row["action"], row["target"]), {})
        if row["field"]:
            fields[row["field"]] = [row["old"], row["new"]]
    if json:
        display.print_json(
            {
                "plan_id": pipeline.context.run_id,
                "changes": [
                    {"entity": entity, "key": key, "action": action, "target": target, "fields": fields}
                    for (entity, key, action, target), fields in grouped.items()
                ],
                "removals_withheld": removals.select("system", "subject", "rows", "known").to_dicts(),
            }
        )
        return
    for sentence in sentences(removals):
        display.out.print(f"[bold yellow]{sentence}[/]", highlight=False, soft_wrap=True)
    shown = list(grouped.items())[:100]
    display.table(
        "Would be written",
        ["entity", "key", "action", "in", "fields (old → new)"],
        [
            [
                entity,
                key,
                action,
                target,
                "\n".join(f"{name}: {old or '–'} → {new or '–'}" for name, (old, new) in f.items()),
            ]
            for (entity, key, action, target), f in shown
        ],
        caption=counted(len(grouped), "record")
        + (f", the first {len(shown)} shown" if len(grouped) > len(shown) else ""),
    )
    if grouped:
        display.out.print(f"To write exactly this: unierp sync --approve {pipeline.context.run_id}", soft_wrap=True)


@app.command()
def sample(
    products: Annotated[int, typer.Option(min=1)] = 200,
    customers: Annotated[int, typer.Option(min=1)] = 300,
    orders: Annotated[int, typer.Option(min=1)] = 400,
    seed: Annotated[int, typer.Option(help="The same seed makes the same shop.")] = 7,
    faults: Annotated[bool, typer.Option("--faults/--no-faults", help="Plant faults among the good rows.")] = True,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an older sample.")] = False,
    odoo: Odoo = None,
    json: Json = False,
) -> None:
    """Fill the shop's database with a realistic sample, dirty unless told otherwise, whose faults are counted."""
    from unierp_assets import display
    from unierp_assets.storefront.sample import make_sample, write_sample

    with open_systems(odoo) as systems:
        made = make_sample(products, customers, orders, seed, faulty=faults)
        address = systems.services.storefront_url.get_secret_value()
        write_sample(address, made, systems.settings.storefront_schema, replace=replace)
    counts = made.counts()
    if json:
        display.print_json({"rows": counts.rows, "good": counts.good, "faults": counts.faults})
        return
    display.table(
        "Sample", ["table", "rows", "good"], [[name, n, counts.good[name]] for name, n in counts.rows.items()]
    )
    if counts.faults:
        display.table("Faults", ["fault", "rows"], list(counts.faults.items()))


# Helpers


def _ensure_sample(systems: "Systems", products: int, customers: int, orders: int, seed: int, *, quiet: bool) -> None:
    """Fills the lab's shop where it is empty; a shop of the user's own is never touched."""
    from unierp_assets import display
    from unierp_assets.storefront.sample import make_sample, write_sample
    from unierp_assets.storefront.source import StorefrontContractError

    if systems.settings.storefront_url is not None:
        return
    try:
        systems.storefront.check()
    except StorefrontContractError:
        if not quiet:
            display.err.print(
                f"Filling the sample shop: {products} products, {customers} customers, {orders} orders ..."
            )
        address = systems.services.storefront_url.get_secret_value()
        write_sample(address, make_sample(products, customers, orders, seed), systems.settings.storefront_schema)


def _confirmed(given: list[str]) -> dict[str, int]:
    """How many removals were confirmed, by entity or table of the shop."""
    from unierp_assets.entities import ENTITIES
    from unierp_assets.storefront.contract import contract_tables

    found = {}
    for text in given:
        name, _, count = text.partition("=")
        if not count.isdigit() or not (name in ENTITIES or name in contract_tables()):
            raise typer.BadParameter(
                f"{text} is not an entity and a number, like customers=42", param_hint="--confirm-removals"
            )
        found[name] = int(count)
    return found


def _sync(
    systems: "Systems",
    domain: str | None,
    approved: str | None,
    *,
    quiet: bool,
    full: bool = False,
    confirmed: "Mapping[str, int] | None" = None,
) -> "Summary":
    from unierp_assets import display, logs
    from unierp_assets.sync.memory.rewind import rewind
    from unierp_assets.sync.pipeline import Pipeline, new_run_id

    systems.warehouse.upgrade()
    pipeline = Pipeline(systems.context(new_run_id()), domain)
    pipeline.context.confirmed = confirmed or {}
    if full:
        rewind(systems.warehouse, pipeline.context.run_id)
    with (
        display.run_progress(pipeline.steps, enabled=not quiet) as on_step,
        logs.bound(run_id=pipeline.context.run_id),
    ):
        pipeline.context.on_step = _logged(on_step, pipeline.context.run_id)
        try:
            summary = pipeline.sync(approved)
        except Exception as error:
            _log.error("the sync failed: %s", error, exc_info=error)
            raise
        _log.info("the sync ended, with %s", counted(summary.differences, "difference"))
        return summary


def _logged(on_step: "Callable[[str, str], None]", run_id: str) -> "Callable[[str, str], None]":
    """The listener, which tells the log too; several threads call it."""

    def told(phase: str, subject: str) -> None:
        _log.info("%s %s", phase, subject, extra={"run_id": run_id, "entity": subject})
        on_step(phase, subject)

    return told


def _show_summary(systems: "Systems", summary: "Summary") -> None:
    from unierp_assets import display
    from unierp_assets.sync.reports import reconciliation

    assert summary.unsettled is not None
    show_unsettled(summary.unsettled)
    # What hardly ever happens is a column only when it did, so that the rest fits on a terminal of usual width.
    rare = [name for name in ("conflicts", "failed") if any(getattr(c, name) for c in summary.entities.values())]
    columns = ["extracted", "quarantined", "created", "updated", "unchanged", "held", *rare]
    display.table(
        "Sync",
        ["entity", *columns],
        [[name, *(getattr(counts, column) for column in columns)] for name, counts in summary.entities.items()],
        caption=f"{summary.seconds:.1f} s, {summary.odoo_reads} reads and {summary.odoo_writes} writes in UniERP",
    )
    show_reconciliation(reconciliation(systems.warehouse, summary.entities), summary.unsettled)


def _fail_by(summary: "Summary") -> None:
    if summary.failed:
        fail(f"{counted(summary.failed, 'record')} refused by UniERP; see `unierp quarantine`.")
    if summary.differences:
        fail(f"{counted(summary.differences, 'difference')} between the systems; see `unierp reconcile`.")
