"""The command ``unierp``. Commands read their options, call the engine and show what came of it; nothing else.

Everything heavy is imported inside the commands, so that ``unierp --help`` answers at once.
"""

import logging
import os
import sys

import typer

from unierp_assets.cli import deciding, lab, looking, main_job, tools
from unierp_assets.memory import collect_rarely

app = typer.Typer(
    name="unierp",
    help="Keeps a storefront, TOTTER and UniERP (Odoo) in agreement, to the cent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for part in (main_job.app, looking.app, deciding.app, tools.app):
    app.add_typer(part)
app.add_typer(deciding.conflicts_app, name="conflicts")
app.add_typer(deciding.letters_app, name="dead-letters")
app.add_typer(deciding.audit_app, name="audit")
app.add_typer(lab.lab_app, name="lab")
app.add_typer(lab.warehouse_app, name="warehouse")


def _expected() -> tuple[type[BaseException], ...]:
    """The errors whose message is all a person needs."""
    from unierp_assets.bench.errors import BenchError
    from unierp_assets.lab.errors import LabError
    from unierp_assets.odoo.errors import OdooError
    from unierp_assets.quality import GateError, SuiteError
    from unierp_assets.storefront.sample import SampleError
    from unierp_assets.storefront.source import StorefrontError
    from unierp_assets.sync.intake.preflight import WrongServer
    from unierp_assets.sync.pipeline import PlanChanged
    from unierp_assets.warehouse.errors import WarehouseError

    return (
        BenchError, LabError, OdooError, GateError, PlanChanged, SuiteError, SampleError, StorefrontError, WrongServer,
        WarehouseError,
    )  # fmt: skip


def main() -> None:
    """Entry point: errors become one sentence and an exit code, without a traceback (unless UNIERP_DEBUG is set)."""
    from unierp_assets import display

    collect_rarely()
    # Where no log was asked for, what is logged goes nowhere: people are told in words.
    logging.getLogger("unierp_assets").addHandler(logging.NullHandler())
    try:
        if os.environ.get("UNIERP_LOG_FILE"):
            # Only where it is asked for: it takes a while to load.
            from unierp_assets.logs import log_for_machines

            log_for_machines()
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
