"""External ids (``ir.model.data``): the durable link between a key outside and a record in UniERP.

How keys become names belongs to the callers; here they are only looked up, set and removed.
"""

from collections.abc import Iterable, Mapping

from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.session import OdooSession


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
    entries made after ``since_id`` (an ``ir.model.data`` id), or only the given names."""
    raise NotImplementedError


def last_binding_id(session: OdooSession, namespace: str) -> int:
    """The cursor for ``since_id``: the highest ``ir.model.data`` id of the namespace, 0 if none."""
    raise NotImplementedError


def bind(
    session: OdooSession, namespace: str, model: str, names: Mapping[str, int], *, batch: int = 1000
) -> list[Outcome[str]]:
    """Gives records external ids ``namespace.name``; idempotent. A name that already points elsewhere fails with
    :class:`OdooValidationError`."""
    raise NotImplementedError


def unbind(session: OdooSession, namespace: str, names: Iterable[str], *, batch: int = 1000) -> int:
    """Removes external ids (not the records); returns how many there were."""
    raise NotImplementedError
