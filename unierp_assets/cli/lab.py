"""The lab's real services on this machine, and the warehouse's shape."""

import os
from typing import Annotated

import typer

from unierp_assets.cli.common import Json, Odoo, open_systems, version_of

lab_app = typer.Typer(
    help="Real PostgreSQL, Odoo and Redis on this machine, without Docker or root.", no_args_is_help=True
)
warehouse_app = typer.Typer(help="The staging warehouse.", no_args_is_help=True)


@lab_app.command("up")
def lab_up(odoo: Odoo = None, json: Json = False) -> None:
    """Start PostgreSQL and Odoo, and Redis where UNIERP_EXECUTOR is celery; what runs already is left alone."""
    from unierp_assets.lab.lab import Lab
    from unierp_assets.lab.progress import SilentReporter, reporter_for
    from unierp_assets.settings import get_settings

    settings, progress = get_settings(), SilentReporter() if json else reporter_for()
    lab = Lab(settings.home)
    lab.up(version_of(odoo), progress)
    if settings.executor == "celery" and settings.broker_url is None:
        lab.up_redis(progress)
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

    with open_systems(odoo) as systems:
        applied = systems.warehouse.upgrade()
    if json:
        display.print_json({"applied": applied})
    else:
        display.out.print("\n".join(f"applied {name}" for name in applied) or "The warehouse is up to date.")
