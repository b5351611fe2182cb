"""Bulk creation and update through Odoo's ``load``: values and external ids in one transaction.

A batch that fails is split in halves until the bad record stands alone; the good ones go on. What ``load`` is fed with
belongs to the callers.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

from unierp_assets.odoo.outcomes import Outcome
from unierp_assets.odoo.session import OdooSession

K = TypeVar("K", bound=Hashable)


def load(
    session: OdooSession,
    model: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    keys: Sequence[K] | None = None,
    batch: int = 500,
    context: Mapping[str, Any] | None = None,
) -> list[Outcome[K]]:
    """Creates or updates records by external id (column ``id``: ``module.name``) or database id (column ``.id``).

    ``rows`` are sheet rows in the order of ``columns`` (Odoo's import syntax: ``partner_id/id``,
    ``order_line/product_id/.id`` ...); cells are Python values, empty ones None. ``keys`` has one key per row, by
    default the cell of column ``id`` (or ``.id``). Consecutive rows of one key are one record with several one2many
    lines; the record's own cells are taken from the first of them.

    Returns one outcome per record, in order. Replayable: external ids found on the server are updated, not created
    again. ``batch`` counts records. Batches run in parallel: a row that refers to another row of the same call by
    external id needs that one in an earlier call.
    """
    raise NotImplementedError
