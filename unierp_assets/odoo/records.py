"""Reading and changing many records: by cursor, by database id, only what changed.

Here belongs what holds for every model. Steps of documents (confirm, invoice ...) belong to
:mod:`~unierp_assets.odoo.documents`; creation through ``load`` is in :mod:`~unierp_assets.odoo.loading`.

Values are written from Python types (:mod:`~unierp_assets.odoo.values`) and read as Odoo gives them: False for empty,
``[id, name]`` for many2one, UTC text for instants; ``values.instant``, ``values.ref`` ... read those. With
``names=False`` a many2one is the id alone: to name what is referred to can cost Odoo more than all the rest.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from unierp_assets.odoo.batches import settle
from unierp_assets.odoo.errors import OdooMissingRecord
from unierp_assets.odoo.loading import load
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import chunks, encode, instant

Row = dict[str, Any]

# Types whose text form `load` reads back as exactly the same value.
LOADABLE = frozenset(
    {"boolean", "char", "date", "datetime", "float", "html", "integer", "many2one", "monetary", "selection", "text"}
)
# So many records with equal values are written by one `write`; fewer are cheaper as rows of a `load`.
SHARED = 5


def search_read(
    session: OdooSession,
    model: str,
    domain: Sequence[Any],
    fields: Sequence[str],
    *,
    batch: int = 1000,
    archived: bool = False,
    names: bool = True,
    context: Mapping[str, Any] | None = None,
) -> Iterator[Row]:
    """All records of the domain in order of id, read ``batch`` at a time (a cursor over the id: no row is skipped or
    read twice when others write meanwhile). ``archived=True`` includes archived ones. Each row has ``id``."""
    extra = {**({"active_test": False} if archived else {}), **(context or {})}
    last = 0
    while True:
        later = [["id", ">", last], *domain]
        found, rows = _page(
            session, model, later, list(fields) or ["id"], names=names, limit=batch, order="id", context=extra
        )
        yield from rows
        if len(found) < batch:
            return
        last = found[-1]["id"]


def changed_since(
    session: OdooSession,
    model: str,
    fields: Sequence[str],
    since: datetime | None,
    *,
    domain: Sequence[Any] = (),
    batch: int = 1000,
    archived: bool = True,
    names: bool = True,
) -> Iterator[Row]:
    """Records with ``write_date >= since`` in order of the second they were written in, each once; all of them if
    ``since`` is None (then the few that were never written by Odoo come last).

    ``write_date`` is the start of the writing transaction: rewind ``since`` by the longest transaction. Each row has
    ``id`` and ``write_date``. ``since`` must be aware. A record written again while this runs may come again, later,
    with its new values."""
    wanted = sorted({*fields, "write_date"})
    extra = {"active_test": False} if archived else {}
    lower: Any = encode(since) if since is not None else None

    while True:
        bound = [["write_date", ">=", lower]] if lower else [["write_date", "!=", False]]
        found, rows = _page(
            session,
            model,
            [*bound, *domain],
            wanted,
            names=names,
            limit=batch,
            order="write_date, id",
            context=extra,
        )
        if len(found) < batch:
            yield from rows
            break
        # Stamps have microseconds but are told in seconds, so the last second may be cut anywhere: it is read
        # separately and completely, by id, however many records one transaction has written.
        second = found[-1]["write_date"][:19]
        cut = {row["id"] for row in found if row["write_date"][:19] == second}
        yield from (row for row in rows if row["id"] not in cut)
        start = instant(second)
        assert start is not None
        lower = encode(start + timedelta(seconds=1))
        window = [["write_date", ">=", second], ["write_date", "<", lower], *domain]
        yield from search_read(session, model, window, wanted, batch=batch, archived=archived, names=names)
    if since is None:
        never = [["write_date", "=", False], *domain]
        yield from search_read(session, model, never, wanted, batch=batch, archived=archived, names=names)


def newest_writes(
    session: OdooSession,
    model: str,
    since: datetime | None,
    fields: Sequence[str] = (),
    *,
    limit: int,
    domain: Sequence[Any] = (),
) -> list[Row]:
    """The records written last, newest first, archived ones too: at most ``limit``, none older than ``since`` (aware).

    One small call, whose answer is empty where nothing happened. Each row has ``id``, ``write_date`` as an instant,
    and the fields."""
    later = [["write_date", ">=", encode(since)]] if since is not None else []
    rows = session.call(
        model,
        "search_read",
        [*later, ["write_date", "!=", False], *domain],
        [*fields, "write_date"],
        limit=limit,
        order="write_date desc, id desc",
        context={"active_test": False},
    )
    return [{**row, "write_date": instant(row["write_date"])} for row in rows]


def _page(
    session: OdooSession, model: str, domain: Sequence[Any], fields: Sequence[str], *, names: bool, **options: Any
) -> tuple[list[Row], list[Row]]:
    """One page of records: as they were found, by which the next page is found, and their rows.

    The two are one where one call gives both. ``search_read`` cannot leave the names of many2one out on every
    generation, ``read`` can; meanwhile others may delete a record, which then has no row, or write it again.
    """
    known = {} if names else session.features.fields(model)
    if not any(known.get(name, {}).get("type") == "many2one" for name in fields):
        rows: list[Row] = session.call(model, "search_read", domain, fields, **options)
        return rows, rows
    stamps = [name for name in fields if name == "write_date"] or ["id"]
    found: list[Row] = session.call(model, "search_read", domain, stamps, **options)
    ids = [row["id"] for row in found]
    return found, session.call(model, "read", ids, fields, load=None, context=options["context"]) if ids else []


def read(
    session: OdooSession,
    model: str,
    ids: Iterable[int],
    fields: Sequence[str],
    *,
    batch: int = 1000,
    names: bool = True,
) -> dict[int, Row]:
    """``{id: row}`` of those that exist, archived ones too; missing ids are simply absent."""

    def part(wanted: list[int]) -> list[Row]:
        there = [["id", "in", wanted]]
        _, rows = _page(
            session, model, there, list(fields) or ["id"], names=names, order="id", context={"active_test": False}
        )
        return rows

    attempts = session.map(part, chunks(dict.fromkeys(ids), batch))
    return {row["id"]: row for attempt in attempts for row in attempt.get()}


def write_changed(
    session: OdooSession,
    model: str,
    changes: Mapping[int, Mapping[str, Any]],
    *,
    batch: int = 500,
    connections: int | None = None,
    context: Mapping[str, Any] | None = None,
) -> list[Outcome[int]]:
    """Writes ``{id: {field: value}}``: ids with equal values in one ``write``, many different ones through ``load``.

    Only the given fields are written. A many2many may be given as a plain list of ids (it is set to these) or as Odoo
    commands. Writing the same values twice is harmless, so a lost answer is followed by another write. Records with
    nothing to change are left out of the calls. Outcomes have the database id as key, in the order of ``changes``."""
    outcomes: dict[int, Outcome[int]] = {id_: Outcome(id_, id_, changed=False) for id_ in changes}
    alike: dict[str, list[int]] = {}
    for id_, values in changes.items():
        if values:
            alike.setdefault(json.dumps(encode(values), sort_keys=True), []).append(id_)
    sheets: dict[tuple[str, ...], list[int]] = {}
    writes: list[tuple[dict[str, Any], list[int]]] = []
    for ids in alike.values():
        values = changes[ids[0]]
        if len(ids) < SHARED and _loadable(session, model, values):
            sheets.setdefault(tuple(sorted(values)), []).extend(ids)
        else:
            writes.append((_commands(session, model, values), ids))

    for names, ids in sheets.items():
        columns = [".id", *(_column(session, model, name) for name in names)]
        rows = [[id_, *(changes[id_][name] for name in names)] for id_ in ids]
        done: list[Outcome[int]] = load(
            session, model, columns, rows, batch=batch, connections=connections, context=context
        )
        outcomes |= {outcome.key: outcome for outcome in done}

    jobs = [(values, part) for values, ids in writes for part in chunks(ids, batch)]

    def write(job: tuple[dict[str, Any], list[int]]) -> list[Outcome[int]]:
        values, ids = job

        def act(part: list[int]) -> list[Outcome[int]]:
            session.step(model, "write", part, values, context=context)
            return [Outcome(id_, id_) for id_ in part]

        return settle(session, ids, act, key=lambda id_: id_, batch=batch)

    for attempt in session.map(write, jobs, connections=connections):
        outcomes |= {outcome.key: outcome for outcome in attempt.get()}
    return list(outcomes.values())


def _plain_ids(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(isinstance(item, int) for item in value)


def _loadable(session: OdooSession, model: str, values: Mapping[str, Any]) -> bool:
    fields = session.features.fields(model)
    for name, value in values.items():
        kind = fields.get(name, {}).get("type")
        if kind == "many2many" and _plain_ids(value) and value:
            continue
        if kind not in LOADABLE:
            return False
    return True


def _column(session: OdooSession, model: str, name: str) -> str:
    relational = session.features.fields(model)[name]["type"] in ("many2one", "many2many")
    return f"{name}/.id" if relational else name


def _commands(session: OdooSession, model: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with plain lists of ids as the command that sets them."""
    fields = session.features.fields(model)
    return {
        name: [[6, 0, list(value)]] if fields.get(name, {}).get("type") == "many2many" and _plain_ids(value) else value
        for name, value in values.items()
    }


def create(
    session: OdooSession,
    model: str,
    values: Sequence[Mapping[str, Any]],
    *,
    keys: Sequence[Any] | None = None,
    batch: int = 200,
    connections: int | None = None,
    context: Mapping[str, Any] | None = None,
) -> list[Outcome[Any]]:
    """Plain bulk ``create`` with x2many commands; ``keys`` (unique) default to the positions.

    Not replayable: nothing marks the records, so a lost answer fails with :class:`OdooAnswerLost`.
    Use :func:`~unierp_assets.odoo.loading.load` where records have external ids."""
    named = list(zip(keys if keys is not None else range(len(values)), values, strict=True))

    def act(part: list[tuple[Any, Mapping[str, Any]]]) -> list[Outcome[Any]]:
        ids = session.step(model, "create", [item for _, item in part], context=context)
        return [Outcome(key, id_) for (key, _), id_ in zip(part, ids, strict=True)]

    return settle(session, named, act, key=lambda item: item[0], batch=batch, connections=connections, replayable=False)


def archive(
    session: OdooSession, model: str, ids: Sequence[int], *, active: bool = False, batch: int = 500
) -> list[Outcome[int]]:
    """Sets ``active``; those that already are so are left alone, deleted ones fail with
    :class:`OdooMissingRecord`."""
    there = read(session, model, ids, ["active"])
    outcomes = {}
    for id_ in ids:
        row = there.get(id_)
        error = None
        if row is None:
            error = OdooMissingRecord("the record does not exist", server=session.server, model=model, record=str(id_))
        outcomes[id_] = Outcome(id_, id_, error, changed=False)
    lagging = {id_: {"active": active} for id_ in ids if id_ in there and there[id_]["active"] != active}
    outcomes |= {outcome.key: outcome for outcome in write_changed(session, model, lagging, batch=batch)}
    return list(outcomes.values())


def unlink(session: OdooSession, model: str, ids: Sequence[int], *, batch: int = 100) -> list[Outcome[int]]:
    """Deletes; records already gone count as done (``changed=False``). Odoo removes their external ids too."""

    written: set[int] = set()

    def act(part: list[int]) -> list[Outcome[int]]:
        there = session.call(model, "search", [["id", "in", part]], context={"active_test": False})
        if there:
            written.update(there)
            session.step(model, "unlink", there)
        return [Outcome(id_, id_, changed=False) for id_ in part]

    return settle(session, list(dict.fromkeys(ids)), act, key=lambda id_: id_, batch=batch, written=written)
