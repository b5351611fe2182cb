"""The command ``unierp``. Commands read their options, call the engine and show what came of it; nothing else.

Everything heavy is imported inside the commands, so that ``unierp --help`` answers at once.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from unierp_assets.lab.odoo import OdooVersion
    from unierp_assets.sync.pipeline import Summary
    from unierp_assets.sync.reports import Reconciliation
    from unierp_assets.wiring import Systems

app = typer.Typer(
    name="unierp",
    help="Keeps a storefront, TOTTER and UniERP (Odoo) in agreement, to the cent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
lab_app = typer.Typer(help="Real PostgreSQL and Odoo on this machine, without Docker or root.", no_args_is_help=True)
warehouse_app = typer.Typer(help="The staging warehouse.", no_args_is_help=True)
app.add_typer(lab_app, name="lab")
app.add_typer(warehouse_app, name="warehouse")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Odoo = Annotated[
    str | None, typer.Option("--odoo", help="Odoo of the lab: 19 or 14. The one that was started last, unless told.")
]
Domain = Annotated[
    str | None, typer.Argument(help="products, inventory, customers, orders or finance; everything unless told.")
]


# The main job


@app.command()
def demo(
    odoo: Odoo = None,
    products: Annotated[int, typer.Option(min=1, help="Products of the sample shop.")] = 200,
    customers: Annotated[int, typer.Option(min=1, help="Customers of the sample shop.")] = 300,
    orders: Annotated[int, typer.Option(min=1, help="Orders of the sample shop.")] = 400,
    seed: Annotated[int, typer.Option(help="The same seed makes the same shop.")] = 7,
    json: Json = False,
) -> None:
    """Start the lab, fill a dirty sample shop, load it into Odoo and reconcile it to the cent."""
    from unierp_assets import display
    from unierp_assets.demo import count_faults, planted_faults

    with _systems(odoo, start=True, quiet=json) as systems:
        _ensure_sample(systems, products, customers, orders, seed, quiet=json)
        summary = _sync(systems, None, quiet=json)
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
            _fail(f"Not every planted fault was found: {', '.join(missed)}.")
    _exit_by(summary)


@app.command()
def sync(domain: Domain = None, odoo: Odoo = None, json: Json = False) -> None:
    """Bring the systems into agreement: read, validate, compare, write what changed, read back."""
    from unierp_assets import display

    with _systems(odoo) as systems:
        summary = _sync(systems, domain, quiet=json)
        if json:
            display.print_json(summary.to_dict())
        else:
            _show_summary(systems, summary)
    _exit_by(summary)


@app.command()
def plan(domain: Domain = None, odoo: Odoo = None, json: Json = False) -> None:
    """Show what a sync would write, and write nothing."""
    from unierp_assets import display
    from unierp_assets.sync.pipeline import Pipeline, new_run_id

    with _systems(odoo) as systems:
        systems.warehouse.upgrade()
        pipeline = Pipeline(systems.context(new_run_id()), domain)
        with display.run_progress(pipeline.steps, enabled=not json) as on_step:
            pipeline.context.on_step = on_step
            changes = pipeline.preview()
    grouped: dict[tuple[str, str, str, str], dict[str, list[str | None]]] = {}
    for row in changes.iter_rows(named=True):
        fields = grouped.setdefault((row["entity"], row["key"], row["action"], row["target"]), {})
        if row["field"]:
            fields[row["field"]] = [row["old"], row["new"]]
    if json:
        display.print_json(
            {
                "changes": [
                    {"entity": entity, "key": key, "action": action, "target": target, "fields": fields}
                    for (entity, key, action, target), fields in grouped.items()
                ]
            }
        )
        return
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
        caption=_number(len(grouped), "record")
        + (f", the first {len(shown)} shown" if len(grouped) > len(shown) else ""),
    )


@app.command()
def sample(
    products: Annotated[int, typer.Option(min=1)] = 200,
    customers: Annotated[int, typer.Option(min=1)] = 300,
    orders: Annotated[int, typer.Option(min=1)] = 400,
    seed: Annotated[int, typer.Option(help="The same seed makes the same shop.")] = 7,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an older sample.")] = False,
    odoo: Odoo = None,
    json: Json = False,
) -> None:
    """Fill the shop's database with a realistic, dirty sample whose faults are counted."""
    from unierp_assets import display
    from unierp_assets.storefront.sample import make_sample, write_sample

    with _systems(odoo) as systems:
        made = make_sample(products, customers, orders, seed)
        address = systems.services.storefront_url.get_secret_value()
        write_sample(address, made, systems.settings.storefront_schema, replace=replace)
    counts = made.counts()
    if json:
        display.print_json({"rows": counts.rows, "good": counts.good, "faults": counts.faults})
        return
    display.table(
        "Sample", ["table", "rows", "good"], [[name, n, counts.good[name]] for name, n in counts.rows.items()]
    )
    display.table("Faults", ["fault", "rows"], list(counts.faults.items()))


# Looking


@app.command()
def status(odoo: Odoo = None, json: Json = False) -> None:
    """Where things stand: the last runs, what waits, what is in quarantine."""
    from unierp_assets import display
    from unierp_assets.sync.status import status_of

    with _systems(odoo) as systems:
        systems.warehouse.upgrade()
        found = status_of(systems.warehouse)
    if json:
        display.print_json(found.to_dict())
        return
    display.table("Last runs", ["run", "kind", "started (UTC)", "seconds", "status"], found.runs)
    display.table(
        "Entities",
        ["entity", "accepted", "new", "quarantined", "merged", "withdrawn", "in UniERP", "held", "failed"],
        found.entities,
    )


@app.command()
def quarantine(
    entity: Annotated[str | None, typer.Argument(help="One entity; all unless told.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 50,
    odoo: Odoo = None,
    json: Json = False,
) -> None:
    """The rows that may not be loaded or wait, with the reason and the remedy."""
    from unierp_assets import display
    from unierp_assets.sync.status import quarantined, waiting

    with _systems(odoo) as systems:
        systems.warehouse.upgrade()
        rows, pending = quarantined(systems.warehouse, entity), waiting(systems.warehouse, entity)
    if json:
        display.print_json({"quarantine": rows.to_dicts(), "waiting": pending.to_dicts()})
        return
    columns = ["entity", "key", "rule", "column", "value", "message", "remedy"]
    display.table(
        "Quarantine",
        columns,
        rows.select(columns).head(limit).rows(),
        caption=f"{rows.height:,} rows; it empties itself",
    )
    display.table("Waiting or refused", pending.columns, pending.head(limit).rows(), caption=f"{pending.height:,} rows")


@app.command()
def reconcile(
    limit: Annotated[int, typer.Option(min=1, help="Differences to show.")] = 50, odoo: Odoo = None, json: Json = False
) -> None:
    """Compare both sides as last read, to the cent. Exit code 1 where they differ."""
    from unierp_assets import display
    from unierp_assets.sync.pipeline import new_run_id
    from unierp_assets.sync.reports import rebuild_reports, reconciliation, reconciliation_differences

    with _systems(odoo) as systems:
        systems.warehouse.upgrade()
        rebuild_reports(systems.warehouse, new_run_id())
        agreed = reconciliation(systems.warehouse)
        differences = reconciliation_differences(systems.warehouse, None, limit)
    if json:
        display.print_json(
            {
                "differences": agreed.differences,
                "accuracy": float(agreed.accuracy),
                "entities": agreed.by_entity.to_dicts(),
                "rows": differences.to_dicts(),
            }
        )
    else:
        _show_reconciliation(agreed)
        display.table("Differences", differences.columns, differences.rows())
    if agreed.differences:
        raise typer.Exit(1)


@app.command()
def doctor(odoo: Odoo = None, json: Json = False) -> None:
    """Look at every service and setting the sync depends on, and say what to mend."""
    from unierp_assets import display
    from unierp_assets.doctor import examine

    with _systems(odoo) as systems:
        findings = examine(systems)
    if json:
        display.print_json({"findings": [finding.to_dict() for finding in findings]})
    else:
        display.table(
            "Doctor",
            ["what", "state", "found", "remedy"],
            [[each.what, each.mark, each.found, each.remedy or ""] for each in findings],
        )
    if any(finding.is_bad for finding in findings):
        raise typer.Exit(1)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port of the web page.")] = 3000,
    odoo: Odoo = None,
) -> None:
    """Open Dagster on the running systems: web page, daemon and code."""
    from unierp_assets.lab.progress import reporter_for
    from unierp_assets.lab.services import resolve_services
    from unierp_assets.resources.instance import run_ui
    from unierp_assets.settings import get_settings

    settings = get_settings()
    services = resolve_services(settings, _version(odoo), start=True, progress=reporter_for())
    raise typer.Exit(run_ui(settings, services, port))


@app.command()
def bench(
    products: Annotated[int, typer.Option(min=10, help="Products of the bench's shop.")] = 5_000,
    customers: Annotated[int, typer.Option(min=10, help="Customers of the bench's shop.")] = 5_000,
    orders: Annotated[int, typer.Option(min=2, help="Orders of three lines.")] = 300,
    baseline_orders: Annotated[int, typer.Option(min=2, help="Orders that the one-by-one script makes.")] = 40,
    turns: Annotated[int, typer.Option(min=1, help="How often each side loads the customers.")] = 2,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes, to see that it works; rates are not judged.")
    ] = False,
    only: Annotated[list[str] | None, typer.Option(help="A scenario: customers or orders. May be repeated.")] = None,
    odoo: Annotated[str, typer.Option("--odoo", help="Odoo of the bench: 19 or 14.")] = "19",
    json: Json = False,
) -> None:
    """Measure the sync beside other tools, on servers of its own. Exit code 1 where a target is missed."""
    from unierp_assets import display
    from unierp_assets.bench.runner import run_bench
    from unierp_assets.bench.scenarios import QUICK, SCENARIOS, Sizes
    from unierp_assets.bench.tables import show
    from unierp_assets.lab.cache import Cache, default_cache
    from unierp_assets.lab.progress import SilentReporter, reporter_for
    from unierp_assets.settings import get_settings

    if unknown := set(only or ()) - set(SCENARIOS):
        raise typer.BadParameter(f"there is no scenario {unknown.pop()}", param_hint="--only")
    report = run_bench(
        get_settings().home.resolve(),
        Cache(default_cache()),
        QUICK if quick else Sizes(products, customers, orders, baseline_orders, turns),
        SilentReporter() if json else reporter_for(),
        _version(odoo) or "19",
        tuple(only or SCENARIOS),
    )
    if json:
        display.print_json(report.to_dict())
    else:
        show(report)
    if not report.met:
        raise typer.Exit(1)


@app.command()
def docs(
    check: Annotated[bool, typer.Option("--check", help="Only tell whether a page is out of date.")] = False,
) -> None:
    """Write the generated pages of docs/ anew: the storefront contract, the data mapping, the settings."""
    from unierp_assets import display
    from unierp_assets.generated import stale_pages, write_pages

    if check:
        stale = stale_pages(Path.cwd())
        if stale:
            _fail(f"Out of date: {', '.join(stale)}. Run `unierp docs` and commit.")
        return
    for page in write_pages(Path.cwd()):
        display.out.print(f"wrote {page}")


# The lab and the warehouse


@lab_app.command("up")
def lab_up(odoo: Odoo = None, json: Json = False) -> None:
    """Start PostgreSQL and Odoo; what runs already is left alone."""
    from unierp_assets.lab.lab import Lab
    from unierp_assets.lab.progress import SilentReporter, reporter_for
    from unierp_assets.settings import get_settings

    lab = Lab(get_settings().home)
    lab.up(_version(odoo), SilentReporter() if json else reporter_for())
    lab_status(json=json)


@lab_app.command("down")
def lab_down(json: Json = False) -> None:
    """Stop exactly what the lab started."""
    from unierp_assets import display
    from unierp_assets.lab.lab import Lab
    from unierp_assets.settings import get_settings

    stopped = Lab(get_settings().home).down()
    if json:
        display.print_json({"stopped": stopped})
    else:
        display.out.print(f"Stopped: {', '.join(stopped) or 'nothing was running'}.")


@lab_app.command("status")
def lab_status(
    passwords: Annotated[bool, typer.Option("--passwords", help="Show the lab's own passwords.")] = False,
    json: Json = False,
) -> None:
    """What runs, where, with which databases."""
    from dataclasses import asdict

    from unierp_assets import display
    from unierp_assets.lab.lab import Lab
    from unierp_assets.settings import get_settings

    lab = Lab(get_settings().home)
    rows = lab.status()
    secrets = lab.passwords() if passwords else {}
    if json:
        display.print_json(
            {"services": [asdict(row) | ({"password": secrets.get(row.service)} if passwords else {}) for row in rows]}
        )
        return
    display.table(
        "Lab",
        ["service", "running", "address", "databases", "process", *(["password"] if passwords else [])],
        [
            [
                row.service,
                row.running,
                row.address,
                ", ".join(row.databases),
                row.pid,
                *([secrets.get(row.service)] if passwords else []),
            ]
            for row in rows
        ],
    )


@lab_app.command("psql", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab_psql(
    arguments: typer.Context,
    database: Annotated[str, typer.Argument(help="warehouse, shop, or another one `lab status` shows.")] = "warehouse",
) -> None:
    """Open psql on a database of the lab. What follows is for psql, for example -c "select 1"."""
    from unierp_assets.lab.errors import LabError
    from unierp_assets.lab.lab import Lab
    from unierp_assets.lab.postgres import ROLE, binaries
    from unierp_assets.lab.processes import HOST
    from unierp_assets.settings import get_settings

    server = Lab(get_settings().home).state().postgres
    if server is None or not server.accepts():
        raise LabError("The lab's PostgreSQL is not running; run `unierp lab up`.")
    psql = str(binaries() / "psql")
    where = ["--host", HOST, "--port", str(server.port), "--username", ROLE, "--dbname", database]
    # The password goes through the environment: a command line is seen by everybody on the machine.
    os.execve(psql, [psql, *where, *arguments.args], {**os.environ, "PGPASSWORD": server.password})


@lab_app.command("reset")
def lab_reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Stop the lab and remove its data."""
    from unierp_assets.lab.lab import Lab
    from unierp_assets.settings import get_settings

    if not yes:
        typer.confirm("Remove all data of the lab?", abort=True)
    Lab(get_settings().home).reset()


@warehouse_app.command("upgrade")
def warehouse_upgrade(odoo: Odoo = None, json: Json = False) -> None:
    """Bring the warehouse's tables to the present shape."""
    from unierp_assets import display

    with _systems(odoo) as systems:
        applied = systems.warehouse.upgrade()
    if json:
        display.print_json({"applied": applied})
    else:
        display.out.print("\n".join(f"applied {name}" for name in applied) or "The warehouse is up to date.")


# Helpers


def _version(odoo: str | None) -> "OdooVersion | None":
    if odoo not in (None, "19", "14"):
        raise typer.BadParameter("the lab has Odoo 19 and 14", param_hint="--odoo")
    return odoo  # type: ignore[return-value]  # checked just now


@contextmanager
def _systems(odoo: str | None, *, start: bool = False, quiet: bool = False) -> "Iterator[Systems]":
    from unierp_assets.lab.progress import SilentReporter, reporter_for
    from unierp_assets.wiring import open_systems

    reporter = SilentReporter() if quiet else reporter_for()
    with open_systems(_version(odoo), start=start, progress=reporter) as systems:
        yield systems


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


def _sync(systems: "Systems", domain: str | None, *, quiet: bool) -> "Summary":
    from unierp_assets import display
    from unierp_assets.sync.pipeline import Pipeline, new_run_id

    systems.warehouse.upgrade()
    pipeline = Pipeline(systems.context(new_run_id()), domain)
    with display.run_progress(pipeline.steps, enabled=not quiet) as on_step:
        pipeline.context.on_step = on_step
        return pipeline.sync()


def _show_summary(systems: "Systems", summary: "Summary") -> None:
    from unierp_assets import display
    from unierp_assets.sync.reports import reconciliation

    # What hardly ever happens is a column only when it did, so that the rest fits on a terminal of usual width.
    rare = [name for name in ("conflicts", "failed") if any(getattr(c, name) for c in summary.entities.values())]
    columns = ["extracted", "quarantined", "created", "updated", "unchanged", "held", *rare]
    display.table(
        "Sync",
        ["entity", *columns],
        [[name, *(getattr(counts, column) for column in columns)] for name, counts in summary.entities.items()],
        caption=f"{summary.seconds:.1f} s, {summary.odoo_reads} reads and {summary.odoo_writes} writes in UniERP",
    )
    _show_reconciliation(reconciliation(systems.warehouse, summary.entities))


def _show_reconciliation(agreed: "Reconciliation") -> None:
    from unierp_assets import display

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
        caption=f"{_number(agreed.differences, 'difference')}, accuracy {_short(agreed.accuracy)} %",
    )


def _short(value: Decimal) -> Decimal:
    """The same without zeros at its end."""
    return Decimal(f"{value.normalize():f}")


def _exit_by(summary: "Summary") -> None:
    if summary.failed:
        _fail(f"{_number(summary.failed, 'record')} refused by UniERP; see `unierp quarantine`.")
    if summary.differences:
        _fail(f"{_number(summary.differences, 'difference')} between the systems; see `unierp reconcile`.")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _fail(message: str) -> None:
    from unierp_assets import display

    display.error(message)
    raise typer.Exit(1)


def _expected() -> tuple[type[BaseException], ...]:
    """The errors whose message is all a person needs."""
    from unierp_assets.bench.errors import BenchError
    from unierp_assets.lab.errors import LabError
    from unierp_assets.odoo.errors import OdooError
    from unierp_assets.quality import GateError, SuiteError
    from unierp_assets.storefront.sample import SampleError
    from unierp_assets.storefront.source import StorefrontError
    from unierp_assets.sync.preflight import WrongServer
    from unierp_assets.warehouse.errors import WarehouseError

    return (
        BenchError, LabError, OdooError, GateError, SuiteError, SampleError, StorefrontError, WrongServer,
        WarehouseError,
    )  # fmt: skip


def main() -> None:
    """Entry point: errors become one sentence and an exit code, without a traceback (unless UNIERP_DEBUG is set)."""
    from unierp_assets import display

    try:
        app()
    except Exception as error:  # the last place where anything can be told to the person
        if os.environ.get("UNIERP_DEBUG"):
            raise
        display.error(_sentence(error))
        sys.exit(1)


def _sentence(error: Exception) -> str:
    from pydantic import ValidationError

    from unierp_assets.settings import Settings, explain

    if isinstance(error, ValidationError) and error.title == Settings.__name__:
        return explain(error)
    if isinstance(error, KeyError) and str(error.args[0]).startswith("unknown "):
        return str(error.args[0])  # a domain or entity that was asked for
    if isinstance(error, _expected()):
        return str(error)
    kind = type(error).__name__
    return f"{kind}: {error}. This is a fault of the program; UNIERP_DEBUG=1 shows where it happened."


if __name__ == "__main__":
    main()
