"""External ids (``ir.model.data``): the durable link between a key outside and a record in UniERP.

How keys become names belongs to the callers; here they are only looked up, set and removed.
"""

from collections.abc import Iterable, Mapping

from unierp_assets.odoo.batches import settle
from unierp_assets.odoo.errors import OdooValidationError
from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.session import OdooSession
from unierp_assets.odoo.values import chunks

MODEL = "ir.model.data"


def bindings(
    session: OdooSession,
    namespace: str,
    *,
    model: str | None = None,
    since_id: int = 0,
    names: Iterable[str] | None = None,
    batch: int = 5000,
) -> dict[str, int]:
    """``{name: database id}`` of a namespace (the module part of external ids), optionally of one model, only
    entries made after ``since_id`` (an ``ir.model.data`` id), or only the given names.

    The records themselves may be gone (:func:`dangling`); those that ``unlink`` is called for take their entries along.
    """
    domain: list[list[object]] = [["module", "=", namespace]]
    if model is not None:
        domain.append(["model", "=", model])
    found: dict[str, int] = {}
    if names is not None:
        for part in chunks(names, batch):
            rows = session.call(MODEL, "search_read", [*domain, ["name", "in", part]], ["name", "res_id"], order="id")
            found |= {row["name"]: row["res_id"] for row in rows}
        return found
    last = since_id
    while True:
        rows = session.call(
            MODEL, "search_read", [*domain, ["id", ">", last]], ["name", "res_id"], order="id", limit=batch
        )
        found |= {row["name"]: row["res_id"] for row in rows}
        if len(rows) < batch:
            return found
        last = rows[-1]["id"]


def dangling(session: OdooSession, namespace: str, names: Iterable[str], *, batch: int = 5000) -> set[str]:
    """Those of the names whose record is gone: the database deletes what depends on a deleted record (the variants of
    a product, the prices of a variant) without Odoo's taking notice."""
    by_model: dict[str, dict[str, int]] = {}
    for part in chunks(names, batch):
        rows = session.call(
            MODEL, "search_read", [["module", "=", namespace], ["name", "in", part]], ["name", "model", "res_id"]
        )
        for row in rows:
            by_model.setdefault(row["model"], {})[row["name"]] = row["res_id"]
    return {name for model, ids in by_model.items() for name in _without_record(session, model, ids, batch)}


def _without_record(session: OdooSession, model: str, ids: Mapping[str, int], batch: int) -> set[str]:
    there: set[int] = set()
    for part in chunks(dict.fromkeys(ids.values()), batch):
        there.update(session.call(model, "search", [["id", "in", part]], context={"active_test": False}))
    return {name for name, id_ in ids.items() if id_ not in there}


def last_binding_id(session: OdooSession, namespace: str) -> int:
    """The cursor for ``since_id``: the highest ``ir.model.data`` id of the namespace, 0 if none."""
    ids = session.call(MODEL, "search", [["module", "=", namespace]], order="id desc", limit=1)
    return int(ids[0]) if ids else 0


def bind(
    session: OdooSession, namespace: str, model: str, names: Mapping[str, int], *, batch: int = 1000
) -> list[Outcome[str]]:
    """Gives records external ids ``namespace.name``; idempotent. A name that already points elsewhere fails with
    :class:`OdooValidationError`, one whose record is gone is taken over. Key: the name."""

    def act(part: list[str]) -> list[Outcome[str]]:
        there = {
            row["name"]: (row["model"], row["res_id"])
            for row in session.call(
                MODEL,
                "search_read",
                [["module", "=", namespace], ["name", "in", part]],
                ["name", "model", "res_id"],
                order="id",
            )
        }
        elsewhere = {name: id_ for name, (of, id_) in there.items() if of == model and id_ != names[name]}
        lost = _without_record(session, model, elsewhere, batch) if elsewhere else set()
        if lost:
            unbind(session, namespace, lost)
            there = {name: target for name, target in there.items() if name not in lost}
        new = [name for name in part if name not in there]
        if new:
            session.step(
                MODEL,
                "create",
                [
                    {"module": namespace, "name": name, "model": model, "res_id": names[name], "noupdate": True}
                    for name in new
                ],
            )
        outcomes = [Outcome(name, names[name]) for name in new]
        for name, target in there.items():
            error = None
            if target != (model, names[name]):
                error = OdooValidationError(
                    f"the external id {namespace}.{name} already names {target[0]} {target[1]}",
                    server=session.server,
                    model=model,
                    record=name,
                    remedy="remove the external id in UniERP if it is wrong",
                )
            outcomes.append(Outcome(name, names[name], error, changed=False))
        return outcomes

    return settle(session, list(names), act, key=lambda name: name, batch=batch)


def unbind(session: OdooSession, namespace: str, names: Iterable[str], *, batch: int = 1000) -> int:
    """Removes external ids (not the records); returns how many there were."""
    count = 0
    for part in chunks(names, batch):
        ids = session.call(MODEL, "search", [["module", "=", namespace], ["name", "in", part]])
        if ids:
            session.call(MODEL, "unlink", ids)
        count += len(ids)
    return count
