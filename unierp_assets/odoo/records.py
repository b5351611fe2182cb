"""Reading and changing many records: by cursor, by external id, only what changed.

Here belongs what holds for every model. Steps of documents (confirm, invoice ...) belong to
:mod:`~unierp_assets.odoo.documents`; creation through ``load`` is in :mod:`~unierp_assets.odoo.loading`.

Values are written from Python types (:mod:`~unierp_assets.odoo.values`) and read as Odoo gives them: False for empty,
``[id, name]`` for many2one, UTC text for instants; ``values.instant``, ``values.ref`` ... read those.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.session import OdooSession

Row = dict[str, Any]


def search_read(
    session: OdooSession,
    model: str,
    domain: Sequence[Any],
    fields: Sequence[str],
    *,
    batch: int = 1000,
    archived: bool = False,
    context: Mapping[str, Any] | None = None,
) -> Iterator[Row]:
    """All records of the domain in order of id, read ``batch`` at a time (a cursor over the id: no row is skipped or
    read twice when others write meanwhile). ``archived=True`` includes archived ones. Each row has ``id``."""
    raise NotImplementedError


def changed_since(
    session: OdooSession,
    model: str,
    fields: Sequence[str],
    since: datetime | None,
    *,
    domain: Sequence[Any] = (),
    batch: int = 1000,
    archived: bool = True,
) -> Iterator[Row]:
    """Records with ``write_date >= since`` in order of (write_date, id), each once; all of them if ``since`` is None.

    ``write_date`` is the start of the writing transaction: rewind ``since`` by the longest transaction. Each row has
    ``id`` and ``write_date``. ``since`` must be aware."""
    raise NotImplementedError


def read(
    session: OdooSession, model: str, ids: Iterable[int], fields: Sequence[str], *, batch: int = 1000
) -> dict[int, Row]:
    """``{id: row}`` of those that exist, archived ones too; missing ids are simply absent."""
    raise NotImplementedError


def write_changed(
    session: OdooSession,
    model: str,
    changes: Mapping[int, Mapping[str, Any]],
    *,
    batch: int = 500,
    context: Mapping[str, Any] | None = None,
) -> list[Outcome[int]]:
    """Writes ``{id: {field: value}}``: ids with equal values in one ``write``, many different ones through ``load``.

    Only the given fields are written. Writing the same values twice is harmless, so a lost answer is repeated.
    Outcomes have the database id as key, in the order of ``changes``."""
    raise NotImplementedError


def create(
    session: OdooSession,
    model: str,
    values: Sequence[Mapping[str, Any]],
    *,
    keys: Sequence[Any] | None = None,
    batch: int = 200,
    context: Mapping[str, Any] | None = None,
) -> list[Outcome[Any]]:
    """Plain bulk ``create`` with x2many commands; ``keys`` default to the positions.

    Not replayable: nothing marks the records. Use :func:`~unierp_assets.odoo.loading.load` where records have keys."""
    raise NotImplementedError


def archive(session: OdooSession, model: str, ids: Sequence[int], *, active: bool = False) -> list[Outcome[int]]:
    """Sets ``active``; records that were deleted meanwhile fail with :class:`OdooMissingRecord`."""
    raise NotImplementedError


def unlink(session: OdooSession, model: str, ids: Sequence[int], *, batch: int = 100) -> list[Outcome[int]]:
    """Deletes; records already gone count as done (``changed=False``). Odoo removes their external ids too."""
    raise NotImplementedError
