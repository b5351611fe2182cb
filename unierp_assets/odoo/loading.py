"""Bulk creation and update through Odoo's ``load``: values and external ids in one transaction.

A batch that fails is split until the bad record stands alone; the good ones go on. What ``load`` is fed with belongs
to the callers.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

from unierp_assets.odoo.batches import Suspects, settle
from unierp_assets.odoo.bindings import bindings
from unierp_assets.odoo.errors import OdooConcurrencyError, OdooError, OdooMissingRecord
from unierp_assets.odoo.faults import load_fault
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import cell

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Record(Generic[K]):
    """The sheet rows of one record."""

    key: K
    xid: str | None
    rows: list[list[str]]


def load(
    session: OdooSession,
    model: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    keys: Sequence[K] | None = None,
    batch: int = 500,
    connections: int | None = None,
    context: Mapping[str, Any] | None = None,
    families: Mapping[K, Hashable] | None = None,
) -> list[Outcome[K]]:
    """Creates or updates records by external id (column ``id``: ``module.name``) or database id (column ``.id``).

    ``rows`` are sheet rows in the order of ``columns`` (Odoo's import syntax: ``partner_id/id``,
    ``order_line/product_id/.id`` ...); cells are Python values, empty ones None. ``keys`` has one key per row, by
    default the cell of column ``id`` (or ``.id``). Consecutive rows of one key are one record with several one2many
    lines; the record's own cells are taken from the first of them.

    Returns one outcome per record, in order. Replayable: external ids found on the server are updated, not created
    again; a record whose lines have no external ids of their own (``order_line/id``) is left alone if it exists
    (``changed=False``), because its lines could only be added a second time. ``batch`` counts records. Batches run in
    parallel: a row that refers to another row of the same call by external id needs that one in an earlier call.
    ``families`` says by key which records go in one batch: those that change one further record between them.
    Raises ValueError for rows of the wrong length, malformed external ids or a key in two places.
    """
    records = _records(session, model, columns, rows, keys)
    lines = _one2many(session, model, columns)
    unmarked_lines = any(f"{name}/id" not in columns and f"{name}/.id" not in columns for name in lines)

    written: set[K] = set()

    def act(part: list[_Record[K]]) -> list[Outcome[K]]:
        outcomes: list[Outcome[K]] = []
        if unmarked_lines:
            there = _existing(session, [record.xid for record in part if record.xid])
            outcomes = [Outcome(record.key, there[record.xid], changed=False) for record in part if record.xid in there]
            part = [record for record in part if record.xid not in there]
            if not part:
                return outcomes
        written.update(record.key for record in part)
        ids = _send(session, model, columns, part, context)
        return outcomes + [Outcome(record.key, id_) for record, id_ in zip(part, ids, strict=True)]

    replayable = "id" in columns or (not unmarked_lines and ".id" in columns)
    return settle(
        session,
        records,
        act,
        key=lambda record: record.key,
        batch=batch,
        connections=connections,
        replayable=replayable,
        written=written,
        family=(lambda record: families[record.key]) if families else None,
    )


def load_new(
    session: OdooSession,
    model: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    keys: Sequence[K],
    context: Mapping[str, Any] | None = None,
) -> dict[K, int]:
    """Creates records in one transaction, all or none; ``{key: id}``. For callers that have looked: nothing is
    repeated or divided, every refusal and every lost answer is raised."""
    records = _records(session, model, columns, rows, keys)
    ids = _send(session, model, columns, records, context)
    return {record.key: id_ for record, id_ in zip(records, ids, strict=True)}


def load_in_order(session: OdooSession, model: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Updates records by column ``.id``, row after row in one transaction, all or none. A record may come twice: so
    values that no two records may have at a time change places. Nothing is repeated or divided."""
    data = [[cell(value) for value in row] for row in rows]
    answer = session.step(model, "load", list(columns), data, context={"active_test": False})
    for message in answer.get("messages", ()):
        if message.get("type") == "error":
            raise load_fault(message, server=session.server, model=model)


def _send(
    session: OdooSession,
    model: str,
    columns: Sequence[str],
    records: Sequence[_Record[K]],
    context: Mapping[str, Any] | None,
) -> list[int]:
    """One ``load``; the ids in the order of the records."""
    data = [row for record in records for row in record.rows]
    extra = dict(context or {})
    if any(column.split("/")[-1] == ".id" for column in columns):
        # `load` looks database ids up by a search, which would not find archived records
        extra.setdefault("active_test", False)
    answer = session.step(model, "load", list(columns), data, context=extra)
    ids = answer.get("ids")
    errors = [message for message in answer.get("messages", ()) if message.get("type") == "error"]
    if errors or not ids:
        _raise(session, model, records, errors)
    if len(ids) != len(records):
        raise OdooError(
            f"UniERP answered {len(ids)} records to {len(records)} loaded ones", server=session.server, model=model
        )
    return list(ids)


def _one2many(session: OdooSession, model: str, columns: Sequence[str]) -> set[str]:
    """The one2many fields whose lines the columns fill."""
    fields = session.features.fields(model)
    if not fields:
        session.features.require(model)
    heads = {column.split("/")[0] for column in columns if "/" in column}
    return {head for head in heads if fields.get(head, {}).get("type") == "one2many"}


def _records(
    session: OdooSession, model: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], keys: Sequence[K] | None
) -> list[_Record[K]]:
    lines = _one2many(session, model, columns)
    own = [position for position, column in enumerate(columns) if column.split("/")[0] not in lines]
    id_at = next((columns.index(name) for name in ("id", ".id") if name in columns), None)
    if keys is None:
        if id_at is None:
            raise ValueError("keys are needed where no column id or .id is")
        keys = [row[id_at] for row in rows]
    if len(keys) != len(rows):
        raise ValueError(f"{len(keys)} keys for {len(rows)} rows")
    records: list[_Record[K]] = []
    seen: set[K] = set()
    for key, pairs in groupby(zip(keys, rows, strict=True), key=lambda pair: pair[0]):
        if key in seen:
            raise ValueError(f"the rows of {key!r} are not together")
        seen.add(key)
        sheet: list[list[str]] = []
        for _, row in pairs:
            if len(row) != len(columns):
                raise ValueError(f"the row of {key!r} has {len(row)} cells for {len(columns)} columns")
            cells = [cell(value) for value in row]
            if sheet:
                for position in own:
                    cells[position] = ""
            sheet.append(cells)
        if len(sheet) > 1 and not lines:
            raise ValueError(f"{key!r} has several rows but no column of lines")
        xid = sheet[0][id_at] if id_at is not None and columns[id_at] == "id" else None
        if xid is not None and xid.count(".") != 1:
            raise ValueError(f"{xid!r} is not an external id of the form module.name")
        records.append(_Record(key, xid, sheet))
    return records


def _existing(session: OdooSession, xids: Sequence[str]) -> dict[str | None, int]:
    found: dict[str | None, int] = {}
    by_module: dict[str, list[str]] = {}
    for xid in xids:
        module, name = xid.split(".")
        by_module.setdefault(module, []).append(name)
    for module, names in by_module.items():
        found |= {f"{module}.{name}": id_ for name, id_ in bindings(session, module, names=names).items()}
    return found


def _raise(session: OdooSession, model: str, part: Sequence[_Record[K]], errors: Sequence[Mapping[str, Any]]) -> None:
    """Turns the messages of a failed ``load`` into the error, with the records they blame."""
    if not errors:
        raise OdooError("UniERP loaded nothing and gave no reason", server=session.server, model=model)
    faults = [load_fault(message, server=session.server, model=model) for message in errors]
    for error in faults:
        if isinstance(error, OdooConcurrencyError):
            raise error
    first = faults[0]
    if errors[0].get("field") == ".id":
        first = OdooMissingRecord(first.message, server=session.server, model=model)
    if len(part) == 1:
        raise first
    record_of_row = [position for position, record in enumerate(part) for _ in record.rows]
    blamed: set[int] = set()
    for message in errors:
        span = message.get("rows") or {}
        start, end = span.get("from"), span.get("to")
        if isinstance(start, int) and isinstance(end, int):
            blamed |= set(record_of_row[start : end + 1])
    raise Suspects(first, blamed)
