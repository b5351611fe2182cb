"""How assets describe themselves in the UI: owners, kinds, columns, and what a materialisation tells.

Belongs here: texts and metadata, derived from the entities and the warehouse's tables. Does not belong here: what a
step does.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import dagster as dg
import sqlalchemy as sa

from unierp_assets.entities.spec import KEY, Entity, Role
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import ACCEPTED, DELETED, STATUS, TOUCHED_AT, WITHDRAWN, is_personal

PERSONAL = "personal_data"


class Owner(StrEnum):
    """Who answers for the assets of a group. The names stand for teams; rename them to yours."""

    PRODUCTS = "team:catalogue"
    INVENTORY = "team:warehouse-operations"
    CUSTOMERS = "team:customer-service"
    ORDERS = "team:sales"
    FINANCE = "team:accounting"
    BINDINGS = "team:data-engineering"
    RECONCILIATION = "team:data-engineering"
    REPORTING = "team:analytics"
    OPERATIONS = "team:data-engineering"


WINDOWS = {
    # Oversold goods and orders that nobody packs cost money within the hour.
    "inventory": timedelta(minutes=30),
    "orders": timedelta(minutes=30),
    **dict.fromkeys(("products", "customers", "finance"), timedelta(hours=1)),
    **dict.fromkeys(("bindings", "reconciliation", "reporting", "operations"), timedelta(hours=1)),
}
"""By group: how long ago the data of an asset may have been looked at, whether it changed or not."""


def freshness_of(group: str) -> dg.FreshnessPolicy:
    """The window of a group's assets; they are marked when two thirds of it have passed."""
    window = WINDOWS[group]
    return dg.FreshnessPolicy.time_window(fail_window=window, warn_window=window * 2 / 3)


def described(
    key: dg.AssetKey,
    group: str,
    description: str,
    kinds: Iterable[str],
    *,
    deps: Iterable[dg.AssetKey],
    columns: Sequence[dg.TableColumn],
    metadata: Mapping[str, Any] | None = None,
    automation: dg.AutomationCondition[Any] | None = None,
    on_demand: bool = False,
) -> dg.AssetSpec:
    """An asset as people see it. Whether it holds personal data is told by its columns. What is made ``on_demand`` is
    never late."""
    personal = any(PERSONAL in column.tags for column in columns)
    return dg.AssetSpec(
        key,
        deps=list(deps),
        description=description,
        group_name=group,
        owners=[Owner[group.upper()].value],
        kinds=set(kinds),
        tags={"layer": key.path[0], **({PERSONAL: "true"} if personal else {})},
        freshness_policy=None if on_demand else freshness_of(group),
        automation_condition=automation,
        metadata={"dagster/column_schema": dg.TableSchema(columns=list(columns)), **(metadata or {})},
    )


def of_table(
    key: dg.AssetKey,
    group: str,
    table: sa.Table,
    kinds: Iterable[str],
    deps: Iterable[dg.AssetKey] = (),
    automation: dg.AutomationCondition[Any] | None = None,
) -> dg.AssetSpec:
    """An asset that is a table of the warehouse."""
    return described(
        key,
        group,
        str(table.comment),
        kinds,
        deps=deps,
        columns=[_column(column) for column in table.columns],
        metadata={"dagster/table_name": table.fullname},
        automation=automation,
    )


def _column(column: sa.Column[Any]) -> dg.TableColumn:
    return dg.TableColumn(
        column.name,
        str(column.type.compile(dialect=sa.dialects.postgresql.dialect())).lower(),  # type: ignore[no-untyped-call]
        str(column.comment),
        constraints=dg.TableColumnConstraints(nullable=bool(column.nullable), unique=False),
        tags={PERSONAL: "true"} if is_personal(column) else None,
    )


def columns_in_unierp(entity: Entity) -> list[dg.TableColumn]:
    """The entity's fields as they stand in UniERP."""
    roles = {Role.SYNC: "", Role.INITIAL: " Written on creation only.", Role.VERIFY: " Computed by UniERP."}
    return [
        dg.TableColumn(
            field.name,
            field.kind.value,
            f"{field.comment}{roles[field.role]}" + (f" In Odoo `{field.odoo}`." if field.odoo else ""),
            tags={PERSONAL: "true"} if field.personal else None,
        )
        for field in entity.fields
        if field.role in roles
    ]


def table_facts(warehouse: Warehouse, table: sa.Table) -> dict[str, Any]:
    """How many rows a table of the warehouse has now, and when the last of them changed."""
    conditions = []
    if DELETED in table.c:
        conditions.append(~table.c[DELETED])
    if STATUS in table.c:
        conditions.append(table.c[STATUS] != WITHDRAWN)
    touched = next((table.c[name] for name in TOUCHED_AT if name in table.c), sa.null())
    columns: list[sa.ColumnElement[Any]] = [
        sa.func.count().filter(*conditions) if conditions else sa.func.count(),
        sa.cast(sa.func.max(touched), sa.DateTime(timezone=True)),
    ]
    if STATUS in table.c:
        columns.append(sa.func.count().filter(table.c[STATUS] == ACCEPTED))
    rows, last, *accepted = warehouse.read(sa.select(*columns).select_from(table)).row(0)
    facts: dict[str, Any] = {"dagster/row_count": rows, **last_update(last)}
    if accepted:
        facts["accepted"] = accepted[0]
    return facts


def last_update(at: datetime | None = None) -> dict[str, Any]:
    """When the data last changed, as the UI knows it; nothing where it never did."""
    return {"dagster/last_updated_timestamp": dg.MetadataValue.timestamp(at.astimezone(UTC))} if at else {}


def examples(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = (KEY,)) -> dict[str, dg.TableMetadataValue]:
    """A few rows as a table in the UI; nothing where there are none."""
    return table("examples", rows, columns)


def table(name: str, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, dg.TableMetadataValue]:
    """Rows as a table of this name in the UI; nothing where there are none."""
    records = [
        dg.TableRecord({column: None if row[column] is None else str(row[column]) for column in columns})
        for row in rows
    ]
    schema = dg.TableSchema(columns=[dg.TableColumn(column) for column in columns])
    return {name: dg.MetadataValue.table(records=records, schema=schema)} if records else {}
