"""Where things stand: runs, quarantine, differences, the health of every service."""

from dataclasses import asdict
from typing import Annotated

import typer

from unierp_assets.cli.common import Json, Odoo, ago, counted, open_systems, show_reconciliation, show_unsettled, span

app = typer.Typer()


@app.command()
def status(odoo: Odoo = None, json: Json = False) -> None:
    """Where things stand: the last runs, open alerts, systems that are left alone, what waits and since when."""
    from unierp_assets import display
    from unierp_assets.alerts import open_alerts
    from unierp_assets.sync.status import status_of
    from unierp_assets.sync.unsettled import unsettled

    with open_systems(odoo) as systems:
        systems.warehouse.upgrade()
        waits = unsettled(systems.warehouse)
        found = status_of(systems.warehouse)
        alerts = open_alerts(systems.warehouse, settings=systems.settings)
    if json:
        display.print_json({"waits": waits.to_dict(), **found.to_dict(), "alerts": [asdict(alert) for alert in alerts]})
        return
    show_unsettled(waits)
    display.table("Last runs", ["run", "kind", "started (UTC)", "seconds", "status"], found.runs)
    display.table(
        "Circuit breakers", ["system", "address", "state", "since (UTC)", "reason", "next try (UTC)"], found.breakers
    )
    display.table(
        "Entities",
        ["entity", "accepted", "new", "quarantined", "merged", "withdrawn", "in UniERP", "held", "failed", "parked"],
        found.entities,
    )
    display.table(
        "How far behind",
        ["entity", "shop read", "UniERP read", "to stage", "to validate", "to load", "behind for"],
        [
            [
                *(lag.entity, ago(lag.shop_read_at), ago(lag.unierp_read_at)),
                *(lag.to_stage, lag.to_validate, lag.to_load, span(lag.behind_since)),
            ]
            for lag in found.lags
        ],
    )
    display.table(
        "Open alerts",
        ["severity", "title", "since", "last told"],
        [[alert.severity.value, alert.title, ago(alert.raised_at), ago(alert.told_at)] for alert in alerts],
    )
    undecided = f"{counted(found.conflicts, 'conflict')} and {counted(found.dead_letters, 'dead letter')}"
    if found.conflicts or found.dead_letters:
        display.out.print(f"{undecided} wait for a person: `unierp conflicts`, `unierp dead-letters`.")


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

    with open_systems(odoo) as systems:
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
    from unierp_assets.sync.unsettled import unsettled

    with open_systems(odoo) as systems:
        systems.warehouse.upgrade()
        rebuild_reports(systems.warehouse, new_run_id(), systems.settings.time_zone)
        agreed = reconciliation(systems.warehouse)
        differences = reconciliation_differences(systems.warehouse, None, limit)
        waits = unsettled(systems.warehouse)
    if json:
        display.print_json(
            {
                "differences": agreed.differences,
                "accuracy": float(agreed.accuracy),
                "entities": agreed.by_entity.to_dicts(),
                "rows": differences.to_dicts(),
                "waits": waits.to_dict(),
            }
        )
    else:
        show_unsettled(waits)
        show_reconciliation(agreed, waits)
        display.table("Differences", differences.columns, differences.rows())
    if agreed.differences:
        raise typer.Exit(1)


@app.command()
def doctor(odoo: Odoo = None, json: Json = False) -> None:
    """Look at every service and setting the sync depends on, and say what to mend."""
    from unierp_assets import display
    from unierp_assets.doctor import examine

    # It asks the systems themselves, also one that is left alone.
    with open_systems(odoo, guarded=False) as systems:
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
