"""The warehouse's tables: the one source of truth for its schemas, columns, comments and change numbers.

Belongs here: the SQLAlchemy metadata, built from the entity declarations and the storefront contract, and the DDL of
the change number ``_seq``. Does not belong here: how rows get in and out (``store.py``), how a database is brought to
this shape (``migrations/``), and the SQL that fills the reports (``sync/reports.py``).

Columns that begin with an underscore are the warehouse's own bookkeeping; all others come from a system or an entity.
``Column.info["personal"]`` marks personal data. Rows of landing and staging tables are flagged (``_deleted``,
``_status``), not deleted, when their source is gone.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import KEY, Entity, Field, Kind
from unierp_assets.storefront.contract import contract_tables

SCHEMAS: Final[dict[str, str]] = {
    "landing_storefront": "Rows of the storefront as they were read.",
    "landing_totter": "Rows of TOTTER and its Receiving App as they were read.",
    "landing_unierp": "Records of UniERP as they were read back, by entity and key.",
    "staging": "Canonical rows of the entities, typed and cleaned, with what the gate thinks of them.",
    "quarantine": "Rows that may not be loaded, with the reason.",
    "base": "Values on which the systems last agreed.",
    "sync": "Memory of the engine: runs, cursors, bindings, plans, conflicts, the ledger of what was written.",
    "reporting": "Reconciled tables for analysts.",
    "handoff": "Tables that other teams read, by contract.",
}
"""The schemas and what each of them is for."""

SEQ: Final = "_seq"
STATUS: Final = "_status"
DELETED: Final = "_deleted"
TOUCHED_AT: Final = ("_extracted_at", "_staged_at", "_read_at", "_agreed_at")
BOOKKEEPING: Final = (SEQ, STATUS, "_run_id", "_changed_at", *TOUCHED_AT)
"""Columns whose change alone does not make a row a changed row."""

NEW, ACCEPTED, QUARANTINED, MERGED, WITHDRAWN = "new", "accepted", "quarantined", "merged", "withdrawn"
STATUSES: Final = (NEW, ACCEPTED, QUARANTINED, MERGED, WITHDRAWN)
"""Values of ``_status`` of a staged row."""

INSTANT: Final = DateTime(timezone=True)
MONEY: Final = Numeric(18, 2)

CHANGE_SEQ: Final = "sync.change_seq"
CHANGE_FUNCTION: Final = "sync.number_change"
CHANGE_TRIGGER: Final = "number_change"
CREATE_CHANGE_FUNCTION: Final = f"""\
CREATE OR REPLACE FUNCTION {CHANGE_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    NEW.{SEQ} := nextval('{CHANGE_SEQ}');
    RETURN NEW;
END $$"""

APPEND_ONLY_FUNCTION: Final = "sync.refuse_change"
CREATE_APPEND_ONLY_FUNCTION: Final = f"""\
CREATE OR REPLACE FUNCTION {APPEND_ONLY_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is only ever added to: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$"""

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def create_change_trigger(schema: str | None, table: str) -> str:
    """The statement that makes a table number its changes."""
    return (
        f"CREATE TRIGGER {CHANGE_TRIGGER} BEFORE INSERT OR UPDATE ON {schema}.{table} "
        f"FOR EACH ROW EXECUTE FUNCTION {CHANGE_FUNCTION}()"
    )


def create_append_only_trigger(schema: str | None, table: str) -> str:
    """The statement that makes a table refuse everything but new rows."""
    return (
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.{table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {APPEND_ONLY_FUNCTION}()"
    )


def numbers_changes(table: Table) -> bool:
    """Whether the table carries change numbers."""
    return SEQ in table.c


def tables_of(schema: str) -> dict[str, Table]:
    """The tables of a schema by their bare names."""
    return {table.name: table for table in metadata.tables.values() if table.schema == schema}


def is_personal(column: Column[Any]) -> bool:
    """Whether a column holds personal data."""
    return bool(column.info.get("personal"))


def sql_type(field: Field) -> TypeEngine[Any]:
    """The column type of an entity's field."""
    match field.kind:
        case Kind.INTEGER:
            return BigInteger()
        case Kind.DECIMAL:
            return Numeric(18, field.scale)
        case Kind.BOOLEAN:
            return Boolean()
        case Kind.TIMESTAMP:
            return INSTANT
        case Kind.DATE:
            return Date()
        case Kind.TEXT | Kind.PROSE | Kind.REFERENCE | Kind.REFERENCES:
            return Text()


def _column(
    name: str,
    type_: TypeEngine[Any] | type[TypeEngine[Any]],
    comment: str,
    *,
    key: bool = False,
    nullable: bool = True,
    personal: bool = False,
    default: Any = None,
) -> Column[Any]:
    return Column(
        name,
        type_,
        primary_key=key,
        autoincrement=False if key else "auto",
        nullable=nullable and not key,
        comment=comment,
        server_default=default,
        info={"personal": True} if personal else {},
    )


def _key(name: str, comment: str, type_: TypeEngine[Any] | type[TypeEngine[Any]] = Text) -> Column[Any]:
    return _column(name, type_, comment, key=True)


def _required(
    name: str, type_: TypeEngine[Any] | type[TypeEngine[Any]], comment: str, default: Any = None
) -> Column[Any]:
    return _column(name, type_, comment, nullable=False, default=default)


def _identity(comment: str) -> Column[Any]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True, comment=comment)


def _seq() -> Column[Any]:
    return _required(
        SEQ, BigInteger, "Change number: grows with every insert and update of a row of any landing or staging table."
    )


def _touched(name: str, comment: str) -> Column[Any]:
    return _required(name, INSTANT, comment, func.now())


def _run_id(comment: str = "The run that last touched the row.") -> Column[Any]:
    return _column("_run_id", Text, comment)


def _of_fields(fields: Iterable[Field]) -> Iterator[Column[Any]]:
    for field in fields:
        yield _column(field.name, sql_type(field), field.comment, personal=field.personal)


def _table(schema: str, name: str, comment: str, *columns: Column[Any]) -> Table:
    table = Table(name, metadata, *columns, schema=schema, comment=comment)
    if numbers_changes(table):
        Index(None, table.c[SEQ])
    return table


def _lookups(entities: Iterable[Entity]) -> dict[str, set[str]]:
    """Columns of storefront tables by which rows of an entity are found."""
    columns: dict[str, set[str]] = {}
    for entity in entities:
        for source in entity.inputs:
            if source.via:
                table, here, there = source.via
                columns.setdefault(source.table, set()).add(here)
                columns.setdefault(table, set()).update((there, source.key))
            else:
                columns.setdefault(source.table, set()).add(source.key)
    return columns


def _landing_storefront() -> None:
    lookups = _lookups(ENTITIES.values())
    for source in contract_tables().values():
        copied = [
            _column(
                column.name,
                column.type,
                str(column.comment),
                key=column.primary_key,
                personal=bool(column.info.get("personal")),
            )
            for column in source.columns
        ]
        table = _table(
            "landing_storefront",
            source.name,
            str(source.comment),
            *copied,
            _required(DELETED, Boolean, "Whether the row is gone from the shop.", false()),
            _touched("_extracted_at", "When the row was last read and differed."),
            _run_id(),
            _seq(),
        )
        for name in sorted(lookups.get(source.name, ())):
            if not table.c[name].primary_key:
                Index(None, table.c[name])


def _staging(entity: Entity) -> None:
    table = _table(
        "staging",
        entity.name,
        entity.description,
        _key(KEY, "Key: the identifier in the system that created it."),
        *_of_fields(entity.fields),
        _required(
            STATUS,
            Text,
            "`new` (not yet validated), `accepted` (may be loaded), `quarantined`, `merged` (a duplicate of another "
            "row) or `withdrawn` (gone from the shop).",
            text(f"'{NEW}'"),
        ),
        _run_id(),
        _touched("_staged_at", "When the row was last staged and differed."),
        _column("_changed_at", INSTANT, "When the shop last changed any of its rows that this one is made of."),
        _seq(),
    )
    Index(None, table.c[STATUS], postgresql_where=table.c[STATUS] != ACCEPTED)
    for field in entity.fields:
        if field.kind is Kind.REFERENCE:
            Index(None, table.c[field.name])


def _landing_unierp(entity: Entity) -> None:
    table = _table(
        "landing_unierp",
        entity.name,
        f"{entity.description} As UniERP has them.",
        _key(KEY, "Key of the entity's row this record is bound to."),
        *_of_fields(entity.compared),
        *_of_fields(entity.readback),
        _column("odoo_id", BigInteger, "Database id of the record in Odoo."),
        _column("write_date", INSTANT, "When the record was last written in Odoo."),
        _required(DELETED, Boolean, "Whether the record is gone from UniERP.", false()),
        _touched("_read_at", "When the record was last read and differed."),
        _run_id(),
        _seq(),
    )
    Index(None, table.c.odoo_id)


def _base(entity: Entity) -> None:
    _table(
        "base",
        entity.name,
        f"{entity.description} What the systems last agreed on.",
        _key(KEY, "Key of the entity's row."),
        *_of_fields(entity.synced),
        _touched("_agreed_at", "When this was agreed."),
        _run_id(),
    )


_landing_storefront()
for _entity in ENTITIES.values():
    _staging(_entity)
    _landing_unierp(_entity)
    _base(_entity)

LANDING_STOREFRONT: Final = tables_of("landing_storefront")
"""The storefront's tables as read, by the contract's names."""
LANDING_UNIERP: Final = tables_of("landing_unierp")
"""UniERP's records as read, by entity."""
STAGING: Final = tables_of("staging")
"""Canonical rows, by entity."""
BASE: Final = tables_of("base")
"""Agreed values, by entity."""

_ENTITY = "Name of the entity."
_ROW_KEY = "Key of the entity's row."
_RUN = "The run."

RUNS: Final = _table(
    "sync",
    "runs",
    "Every run of the engine.",
    _key("run_id", _RUN),
    _required("kind", Text, "What ran, for example `sync` or `plan`."),
    _required("started_at", INSTANT, "When it began.", func.now()),
    _column("finished_at", INSTANT, "When it ended; null while it runs or when it died."),
    _required(
        "status",
        Text,
        "`running`, `succeeded`, `differs` (it did all it could, and the two sides are not equal), `failed` or `died`.",
    ),
    _column("summary", JSONB, "Counts per entity."),
)
CURSORS: Final = _table(
    "sync",
    "cursors",
    "How far each step has read its source.",
    _key("name", "Which step and source."),
    _column("value", Text, "The position, in the form of its source."),
    _required("updated_at", INSTANT, "When it last moved.", func.now()),
)
BREAKERS: Final = _table(
    "sync",
    "breakers",
    "The circuit breaker of each system: whether it is called, or left alone because it did not answer.",
    _key("system", "The system that is called: `unierp` or `storefront`."),
    _required("address", Text, "Where it is; at another address all begins anew."),
    _required("state", Text, "`closed` (called as usual), `open` (left alone) or `half_open` (one call tries it)."),
    _required("failures", Integer, "Calls that failed in a row, repeats not counted."),
    _column("opened_at", INSTANT, "Since when it is left alone; null while it is closed."),
    _column("reason", Text, "What the last failed call said; null after one that was answered."),
    _column("retry_at", INSTANT, "From when one call may try it; null while it is closed."),
    _required("updated_at", INSTANT, "When this last changed.", func.now()),
)
ALERTS: Final = _table(
    "sync",
    "alerts",
    "What people are told: alerts that are open, and those that are over until the notice of it was sent.",
    _key("key", "What it is about; while it is open, another one of this key is the same one."),
    _required("severity", Text, "`info`, `warning` or `critical`."),
    _required("title", Text, "What is wrong, in a line."),
    _required("body", Text, "What is known of it and what to do."),
    _column("link", Text, "An address, or a path of Dagster's page."),
    _required("raised_at", INSTANT, "When it was first raised."),
    _column("told_at", INSTANT, "When it was last sent; null while nobody was told."),
    _required("waiting", Boolean, "Whether it, or the notice that it is over, is still to be sent."),
    _required("held", Boolean, "Whether a quiet period held it back: it is then sent together with others."),
    _column("notice", Text, "What is sent when it is over; null while it is open."),
    _required("reached", Text, "Addresses that have the present message while others have not, by a hash."),
    _column("retry_at", INSTANT, "From when it may be sent again: it is being sent, or could not be."),
)
BINDINGS: Final = _table(
    "sync",
    "bindings",
    "Which record of Odoo stands for which row. Merged duplicates share a record.",
    _key("entity", _ENTITY),
    _key(KEY, _ROW_KEY),
    _required("model", Text, "Model of the record."),
    _required("odoo_id", BigInteger, "Database id of the record."),
    _required("bound_at", INSTANT, "When they were bound.", func.now()),
    _column("run_id", Text, _RUN),
)
Index(None, BINDINGS.c.entity, BINDINGS.c.odoo_id)
MERGES: Final = _table(
    "sync",
    "merges",
    "Rows that are duplicates of another row and were merged into it.",
    _key("entity", _ENTITY),
    _key(KEY, "Key of the duplicate."),
    _required("into_key", Text, "Key of the row that stands for both."),
    _required("rule", Text, "The rule that found them to be the same."),
    _column("run_id", Text, _RUN),
    _required("merged_at", INSTANT, "When they were merged.", func.now()),
)
REMOVALS: Final = _table(
    "sync",
    "removals",
    "Where more rows vanished at once than a limit: nothing is withdrawn until they are back or somebody confirms it.",
    _key("system", "The system that has them no more: `storefront` or `unierp`."),
    _key("subject", "The entity, or the table of the shop that is a part of one."),
    _required("rows", BigInteger, "How many are gone."),
    _required("known", BigInteger, "How many there were, with these."),
    _column("run_id", Text, _RUN),
    _required("since", INSTANT, "Since when it was seen.", func.now()),
)
PENDING: Final = _table(
    "sync",
    "pending",
    "Rows that passed the gate but are not in UniERP as they should be, and why.",
    _key("entity", _ENTITY),
    _key(KEY, _ROW_KEY),
    _required(
        "state",
        Text,
        "`held` (waits for something or somebody), `failed` (the server refused it; it is tried again), `parked` (it "
        "was refused several times: a dead letter, tried again when its row changes or somebody replays it), `undone` "
        "(somebody undid it: it is done again when its row changes or it is released) or `removed` (somebody deleted "
        "it in UniERP: its row in the shop is about to be ended) or `withheld` (the same of so many at once that "
        "somebody has to confirm it).",
    ),
    _column("reason", Text, "Why, in words a person can act on.", personal=True),
    _required("attempts", Integer, "How often the server has refused it.", text("0")),
    _column("seen_seq", BigInteger, "Change number of the staged row when it was undone."),
    _column("run_id", Text, _RUN),
    _required("since", INSTANT, "Since when.", func.now()),
)
CONFLICTS: Final = _table(
    "sync",
    "conflicts",
    "Fields that both sides changed since they last agreed.",
    _identity("Number of the conflict."),
    _required("run_id", Text, _RUN),
    _required("entity", Text, _ENTITY),
    _required(KEY, Text, _ROW_KEY),
    _required("field", Text, "Name of the field."),
    _column("base", Text, "Value both sides last agreed on.", personal=True),
    _column("ours", Text, "Value of the source.", personal=True),
    _column("theirs", Text, "Value of UniERP.", personal=True),
    _required("strategy", Text, "The declared strategy that decided."),
    _column(
        "outcome",
        Text,
        "`ours`, `theirs`, `both` (a union), `value` (a person's) or `obsolete` (the sides changed or agree by "
        "themselves); null while it waits for a person.",
    ),
    _column("value", Text, "The value a person gave, where the outcome is `value`.", personal=True),
    _required("at", INSTANT, "When it was found.", func.now()),
    _column("decided_at", INSTANT, "When a person decided it."),
    _column("decided_by", Text, "Who decided it.", personal=True),
)
Index(None, CONFLICTS.c.run_id)
Index(None, CONFLICTS.c.entity, CONFLICTS.c[KEY])
PLAN_CHANGES: Final = _table(
    "sync",
    "plan_changes",
    "What a run is going to write, before it does, one row per field.",
    _key("run_id", _RUN),
    _key("entity", _ENTITY),
    _key(KEY, _ROW_KEY),
    _key("field", "Name of the field; empty for an action on the whole record."),
    _required("action", Text, "`create`, `update`, `archive`, `delete` ..."),
    _required("target", Text, "The system that is written."),
    _column("old", Text, "Value before.", personal=True),
    _column("new", Text, "Value after.", personal=True),
)
LEDGER: Final = _table(
    "sync",
    "ledger",
    "What was written, where, when, by whom and by which run. Rows are only ever added: the database refuses to change "
    "or delete one, and each is sealed with a hash over itself and the one before.",
    _key("id", "Number of the entry, without gaps.", BigInteger),
    _required("run_id", Text, _RUN),
    _required("system", Text, "The system that was written."),
    _required("entity", Text, _ENTITY),
    _required(KEY, Text, _ROW_KEY),
    _required("action", Text, "`create`, `update`, `archive`, `delete`, or the step of a document."),
    _column("field", Text, "Name of the field; null for an action on the whole record."),
    _column("before", Text, "Value before.", personal=True),
    _column("after", Text, "Value after.", personal=True),
    _column("odoo_id", BigInteger, "Database id of the record in Odoo."),
    _required("actor", Text, "Who ran it: user and machine."),
    _required("at", INSTANT, "When it was written.", func.clock_timestamp()),
    _required("hash", Text, "SHA-256 over the entry and the hash of the entry before."),
)
Index(None, LEDGER.c.run_id)
Index(None, LEDGER.c.entity, LEDGER.c[KEY])

QUARANTINE: Final = _table(
    "quarantine",
    "rows",
    "What the gate found, one row per staged row and rule. It leaves by itself once its source is mended.",
    _key("entity", _ENTITY),
    _key(KEY, _ROW_KEY),
    _key("rule", "Name of the rule within the entity's suite."),
    _required("expectation", Text, "Type of the expectation that was not met."),
    _column("column", Text, "Column it looked at; null where it looks at the whole row."),
    _column("value", Text, "Value it found.", personal=True),
    _column("message", Text, "What is wrong.", personal=True),
    _column("remedy", Text, "What to do about it."),
    _required("severity", Text, "`critical`, `warning` or `info`."),
    _required("outcome", Text, "`quarantine` (not loaded), `merge` (loaded as part of another row) or `warn`."),
    _column("run_id", Text, "The run that last found it."),
    _required("first_seen_at", INSTANT, "When it was first found.", func.now()),
    _required("last_seen_at", INSTANT, "When it was last found.", func.now()),
)


def _amounts(in_company_currency: bool) -> Iterator[Column[Any]]:
    suffix, where = ("_company", " in the company's currency") if in_company_currency else ("", " in `currency`")
    detail = (
        ". Converted by the latest rate on or before the day and rounded to the cent for each order, then summed; "
        "null where a rate is missing."
        if in_company_currency
        else "."
    )
    for name, comment in (
        ("gross", "What the customers pay, after discounts, with tax and shipping"),
        ("discount", "Taken off the lines, with tax where the order's prices include it"),
        ("tax", "Tax contained in the gross amount"),
        ("net", "Gross less tax: the revenue, shipping included"),
        ("shipping", "Shipping contained in the gross amount, with its tax"),
    ):
        yield _column(f"{name}{suffix}", MONEY, f"{comment},{where}{detail}")


SALES_DAILY: Final = _table(
    "reporting",
    "sales_daily",
    "Confirmed orders per day, channel and currency.",
    _key("day", "Day of the order (UTC).", Date),
    _key("channel", "Where the orders were placed; `unknown` where the shop does not say."),
    _key("currency", "ISO 4217 code of the orders."),
    _required("orders", Integer, "Number of orders."),
    *_amounts(in_company_currency=False),
    _required("company_currency", Text, "ISO 4217 code of the company's books."),
    *_amounts(in_company_currency=True),
)
ORDER_RECONCILIATION: Final = _table(
    "reporting",
    "order_reconciliation",
    "Every validated order of the shop beside what UniERP has of it. Amounts are in `currency`.",
    _key(KEY, "Key of the order."),
    _column("number", Text, "Number shown to the customer."),
    _column("currency", Text, "ISO 4217 code of every amount of the row."),
    _column("shop_total", MONEY, "What the customer pays, by the shop."),
    _column("unierp_total", MONEY, "Total of the sales order in UniERP; null without one."),
    _column("invoiced", MONEY, "Sum of its posted invoices in UniERP."),
    _column("paid_shop", MONEY, "Sum captured by the shop."),
    _column("paid_unierp", MONEY, "Sum of the payments registered in UniERP."),
    _column("difference", MONEY, "shop_total less unierp_total; null without a sales order in UniERP."),
    _column("shop_state", Text, "`pending`, `confirmed` or `cancelled`, by the shop."),
    _column("unierp_state", Text, "The same by UniERP; null without a sales order."),
    _required(
        "state",
        Text,
        "`matched` (order, invoices and payments agree), `held` (waits for what the reason says), `quarantined` (the "
        "order or a part of it failed validation), `pending` (not loaded yet), `missing` (no longer in UniERP) or "
        "`differs`.",
    ),
    _column("reason", Text, "Why it is not matched; null where it is."),
)
STOCK_RECONCILIATION: Final = _table(
    "reporting",
    "stock_reconciliation",
    "What may be sold of each variant in each location, by the shop and by UniERP, in units.",
    _key("variant", "Key of the variant."),
    _key("location", "Key of the location."),
    _column("sku", Text, "Stock-keeping unit of the variant."),
    _column("location_name", Text, "Name of the location."),
    _column("shop_available", Numeric(18, 2), "Units the shop believes it may sell."),
    _column("unierp_available", Numeric(18, 2), "Units on hand and not reserved in UniERP; null where it has none."),
    _column("difference", Numeric(18, 2), "shop_available less unierp_available; null where UniERP has none."),
)
RECONCILIATION_SUMMARY: Final = _table(
    "reporting",
    "reconciliation_summary",
    "How far the shop and UniERP agree, per entity.",
    _key("entity", _ENTITY),
    _required("position", Integer, "Place of the entity in the order of loading."),
    _required("domain", Text, "Domain of the entity."),
    _required("shop_count", Integer, "Rows of the shop that passed the gate, duplicates that were merged among them."),
    _required("unierp_count", Integer, "Records of UniERP bound to rows of the shop."),
    _required("matched", Integer, "Rows whose every compared field is equal on both sides, and merged duplicates."),
    _required("missing", Integer, "Rows that passed the gate and are not in UniERP."),
    _required("surplus", Integer, "Records of UniERP whose row is gone from the shop and that should be gone too."),
    _required("differing", Integer, "Rows with at least one compared field that is not equal."),
    _required("held", Integer, "Rows that passed the gate and wait for something or somebody; no differences."),
    _required("quarantined", Integer, "Rows that failed the gate; no differences."),
    _required(
        "accuracy_percent",
        Numeric(7, 4),
        "matched in percent of matched, missing, surplus and differing together, cut off after four digits: 100 "
        "means without any difference.",
    ),
)
