"""What a person decides, takes back or proves: conflicts, dead letters, undoing a run, the chain of the audit."""

from typing import Annotated

import typer

from unierp_assets.cli.common import Json, Odoo, counted, fail, open_systems

app = typer.Typer()
conflicts_app = typer.Typer(help="Fields both sides changed, that wait for a person.", invoke_without_command=True)
letters_app = typer.Typer(help="Records UniERP refused too often, and their replay.", invoke_without_command=True)
audit_app = typer.Typer(help="The sealed record of everything that was written.", no_args_is_help=True)


@conflicts_app.callback()
def conflicts(context: typer.Context, odoo: Odoo = None, json: Json = False) -> None:
    """List the conflicts that wait for a person."""
    if context.invoked_subcommand:
        return
    from unierp_assets import display
    from unierp_assets.sync.compare.conflicts import open_conflicts

    with open_systems(odoo) as systems:
        systems.warehouse.upgrade()
        rows = open_conflicts(systems.warehouse)
    if json:
        display.print_json({"conflicts": rows.to_dicts()})
        return
    columns = ["id", "entity", "key", "field", "base", "ours", "theirs", "at"]
    display.table(
        "Conflicts",
        ["id", "entity", "key", "field", "agreed before", "shop", "UniERP", "since (UTC)"],
        rows.select(columns).rows(),
        caption=f"{counted(rows.height, 'conflict')}; `unierp conflicts resolve ID --take ours|theirs|VALUE`",
    )


@conflicts_app.command("resolve")
def resolve(
    number: Annotated[int, typer.Argument(help="Number of the conflict, as `unierp conflicts` shows it.")],
    take: Annotated[str, typer.Option(help="`ours` (the shop's value), `theirs` (UniERP's), or a value for both.")],
    odoo: Odoo = None,
    json: Json = False,
) -> None:
    """Decide a conflict; the next sync writes it."""
    from unierp_assets import display
    from unierp_assets.sync.compare.conflicts import CannotResolve
    from unierp_assets.sync.compare.conflicts import resolve as decide
    from unierp_assets.sync.context import whoami

    with open_systems(odoo) as systems:
        systems.warehouse.upgrade()
        try:
            decide(systems.warehouse, number, take, whoami())
        except CannotResolve as error:
            fail(str(error))
    if json:
        display.print_json({"id": number, "take": take})
    else:
        display.out.print(f"Conflict {number} is decided; the next `unierp sync` writes it.")


@letters_app.callback()
def dead_letters(context: typer.Context, odoo: Odoo = None, json: Json = False) -> None:
    """List the records that UniERP refused too often, with its message."""
    if context.invoked_subcommand:
        return
    from unierp_assets import display
    from unierp_assets.sync.memory import state

    with open_systems(odoo) as systems:
        systems.warehouse.upgrade()
        rows = state.dead_letters(systems.warehouse)
    if json:
        display.print_json({"dead_letters": rows.to_dicts()})
        return
    columns = ["entity", "key", "reason", "attempts", "since"]
    display.table(
        "Dead letters",
        ["entity", "key", "UniERP says", "attempts", "since (UTC)"],
        rows.select(columns).rows(),
        caption=f"{counted(rows.height, 'record')}; mend the cause, then `unierp dead-letters replay`",
    )


@letters_app.command("replay")
def replay(
    entity: Annotated[str | None, typer.Argument(help="One entity; all unless told.")] = None,
    key: Annotated[str | None, typer.Argument(help="One record of it.")] = None,
    odoo: Odoo = None,
    json: Json = False,
) -> None:
    """Let the next sync try dead letters again."""
    from unierp_assets import display
    from unierp_assets.sync.memory import state

    with open_systems(odoo) as systems:
        systems.warehouse.upgrade()
        count = state.replay(systems.warehouse, entity, key)
    if json:
        display.print_json({"replayed": count})
    else:
        display.out.print(f"The next `unierp sync` tries {counted(count, 'record')} again.")


@app.command()
def undo(
    run_id: Annotated[str, typer.Argument(help="Id of the run, as `unierp status` shows it.")],
    release: Annotated[
        bool, typer.Option("--release", help="Let the next sync do again what was undone of this run.")
    ] = False,
    odoo: Odoo = None,
    json: Json = False,
) -> None:
    """Take back what a run did: restore values, delete or archive records, reverse documents. Tells each of them."""
    from unierp_assets import display
    from unierp_assets.sync.pipeline import new_run_id
    from unierp_assets.sync.undo import FAILED, NothingToUndo, Undo

    with open_systems(odoo) as systems:
        systems.warehouse.upgrade()
        undoing = Undo(systems.context(new_run_id()), run_id)
        if release:
            display.out.print(f"The next `unierp sync` does {counted(undoing.release(), 'record')} again.")
            return
        try:
            with display.run_progress(undoing.steps, enabled=not json) as on_step:
                undoing.context.on_step = on_step
                report = undoing.run()
        except NothingToUndo as error:
            fail(str(error))
    if json:
        display.print_json({"undone": report.to_dicts()})
    else:
        display.table("Undone", ["entity", "key", "field", "in", "outcome", "detail"], report.rows())
    failed = report.filter(report["outcome"] == FAILED).height
    if failed:
        fail(f"{counted(failed, 'change')} could not be undone; the table says why.")


@audit_app.command("verify")
def audit_verify(odoo: Odoo = None, json: Json = False) -> None:
    """Walk the chain of the ledger and compute every seal anew. Exit code 1 where it is broken."""
    from unierp_assets import display
    from unierp_assets.sync.memory.ledger import verify

    with open_systems(odoo) as systems:
        systems.warehouse.upgrade()
        verdict = verify(systems.warehouse)
    if json:
        display.print_json({"entries": verdict.entries, "holds": verdict.holds, "problem": verdict.problem})
        if not verdict.holds:
            raise typer.Exit(1)
    elif verdict.holds:
        display.out.print(f"The chain holds: {verdict.entries:,} entries, each sealed by the one before.")
    else:
        fail(f"The chain is broken: {verdict.problem}. Everything before it is as it was written.")
