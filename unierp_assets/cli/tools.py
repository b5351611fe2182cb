"""The UI, the bench and the generated documentation."""

from pathlib import Path
from typing import Annotated

import typer

from unierp_assets.cli.common import Json, Odoo, fail, numbers, version_of

app = typer.Typer()


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
    services = resolve_services(settings, version_of(odoo), workers=True, progress=reporter_for())
    raise typer.Exit(run_ui(settings, services, port))


@app.command()
def worker(
    processes: Annotated[int, typer.Option(min=1, help="Runs or steps that it takes at a time.")] = 1,
    name: Annotated[str, typer.Option(help="Its name, unique on this machine.")] = "worker",
    odoo: Odoo = None,
) -> None:
    """Take runs, or their steps where UNIERP_EXECUTOR is celery, on this or any machine; until Ctrl-C."""
    import os

    from unierp_assets.lab.services import resolve_services
    from unierp_assets.memory import collect_as_usual
    from unierp_assets.resources.instance import prepare_dagster_home
    from unierp_assets.settings import get_settings

    collect_as_usual()
    if "DAGSTER_HOME" not in os.environ:
        settings = get_settings()
        services = resolve_services(settings, version_of(odoo), start=False, workers=True)
        os.environ.update(prepare_dagster_home(settings, services))
        get_settings.cache_clear()
    from dagster import DagsterInstance

    from unierp_assets.resources.executors import RUNS_QUEUE, workers_take
    from unierp_assets.resources.launcher import WorkerRunLauncher
    from unierp_assets.worker import app as celery

    with DagsterInstance.get() as instance:
        given = isinstance(instance.run_launcher, WorkerRunLauncher)
    if given != (workers_take(get_settings().executor) == RUNS_QUEUE):
        fail(
            "dagster.yaml hands runs to workers (run_launcher), and UNIERP_EXECUTOR=celery their steps: choose one."
            if given
            else "There is no work for workers: dagster.yaml hands them no runs (run_launcher), and UNIERP_EXECUTOR is "
            "not celery."
        )
    celery.worker_main(
        [
            "worker",
            "--hostname",
            f"{name}@%h",
            "--concurrency",
            str(processes),
            "--queues",
            workers_take(get_settings().executor),
            "--without-gossip",
        ]
    )


@app.command()
def bench(
    sizes: Annotated[str, typer.Option(help="Numbers of rows at which customers and changes are measured.")] = "",
    full: Annotated[bool, typer.Option("--full", help="All sizes up to 100,000 rows: takes hours.")] = False,
    products: Annotated[int, typer.Option(min=10, help="Products of the shop that takes orders.")] = 5_000,
    customers: Annotated[int, typer.Option(min=10, help="Customers of the shop that takes orders.")] = 5_000,
    orders: Annotated[int, typer.Option(min=2, help="Orders of three lines.")] = 300,
    baseline_orders: Annotated[int, typer.Option(min=2, help="Orders that the one-by-one script makes.")] = 40,
    limit_orders: Annotated[int, typer.Option(min=4, help="Orders that Odoo's own processes make.")] = 200,
    turns: Annotated[int, typer.Option(min=1, help="How often each side loads the customers.")] = 2,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes, to see that it works; rates are not judged.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="A scenario: customers, changes or orders. May be repeated.")
    ] = None,
    odoo: Annotated[str, typer.Option("--odoo", help="Odoo of the bench: 19 or 14.")] = "19",
    page: Annotated[
        Path | None, typer.Option(help="A page whose measured part is written anew, not by --quick.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure the sync beside other tools, on servers of its own. Exit code 1 where a target is missed."""
    from datetime import UTC, datetime

    from unierp_assets import display
    from unierp_assets.bench.page import around, write_page
    from unierp_assets.bench.runner import run_bench
    from unierp_assets.bench.scenarios import SCENARIOS
    from unierp_assets.bench.setting import FULL, QUICK, Sizes
    from unierp_assets.bench.tables import show
    from unierp_assets.lab.cache import Cache, default_cache
    from unierp_assets.lab.progress import SilentReporter, reporter_for
    from unierp_assets.settings import get_settings

    if unknown := set(only or ()) - set(SCENARIOS):
        raise typer.BadParameter(f"there is no scenario {unknown.pop()}", param_hint="--only")
    if page:
        around(page)  # rather now than after all was measured
    rows = numbers(sizes, "--sizes") or (FULL if full else Sizes().rows)
    report = run_bench(
        get_settings().home.resolve(),
        Cache(default_cache()),
        QUICK if quick else Sizes(rows, products, customers, orders, baseline_orders, limit_orders, turns),
        SilentReporter() if json else reporter_for(),
        version_of(odoo) or "19",
        tuple(only or SCENARIOS),
    )
    if json:
        display.print_json(report.to_dict())
    else:
        show(report)
    if page and not quick:
        write_page(page, report, datetime.now(UTC).date())
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
            fail(f"Out of date: {', '.join(stale)}. Run `unierp docs` and commit.")
        return
    for page in write_pages(Path.cwd()):
        display.out.print(f"wrote {page}")
