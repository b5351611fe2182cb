"""More rows that vanish at once than a limit are an outage until somebody says that they are meant to be gone.

A restore, a view that is replaced, a server put back to yesterday: each looks like a decision to remove what is gone.

Belongs here: the limit, what is noted of it, and the sentences that tell of it. Does not belong here: how it is found
that rows are gone (``extract.py``, ``pull.py``) and what their removal does (``removal.py``).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import sqlalchemy as sa

from unierp_assets.entities import ENTITIES
from unierp_assets.entities.spec import System
from unierp_assets.sync.context import SyncContext
from unierp_assets.warehouse.store import Transaction, Warehouse
from unierp_assets.warehouse.tables import REMOVALS

_WHERE = {System.STOREFRONT: "the shop", System.UNIERP: "UniERP"}


def subject_of(table: str) -> str:
    """What the rows of a table of the shop are called: the entity they are, or the table that is a part of one."""
    return next((entity.name for entity in ENTITIES.values() if entity.inputs[0].table == table), table)


def is_too_many(context: SyncContext, gone: int, known: int) -> bool:
    """Whether so many rows of so many may not just be withdrawn."""
    limit = max(Decimal(context.removal_rows), known * context.removal_percent / 100)
    return gone > limit


def may_withdraw(context: SyncContext, tx: Transaction, system: System, subject: str, gone: int, known: int) -> bool:
    """Whether so many of the ``known`` rows of a system may be withdrawn; if not, it is noted.

    An entity that has no row left at all is an outage however few it had.
    """
    nothing_left = subject in ENTITIES and gone == known > 1
    if context.confirmed.get(subject) == gone or not (nothing_left or is_too_many(context, gone, known)):
        settle(tx, system, subject)
        return True
    withhold(context, tx, system, subject, gone, known)
    return False


def withhold(context: SyncContext, tx: Transaction, system: System, subject: str, gone: int, known: int) -> None:
    """Notes that so many rows are gone and nothing is withdrawn for them."""
    row = {"system": system.value, "subject": subject, "rows": gone, "known": known, "run_id": context.run_id}
    since = tx.read(sa.select(REMOVALS.c.since).where(*_is(system, subject)))
    tx.upsert(REMOVALS, pl.DataFrame([{**row, "since": datetime.now(UTC) if since.is_empty() else since.item()}]))


def settle(tx: Transaction, system: System, subject: str) -> None:
    """Forgets what was withheld of a subject: the rows are back, or were removed."""
    tx.execute(sa.delete(REMOVALS).where(*_is(system, subject)))


def withheld_subjects(tx: Transaction, system: System) -> dict[str, tuple[int, int]]:
    """What is withheld of a system: how many rows are gone, of how many, by subject."""
    rows = tx.read(sa.select(REMOVALS.c.subject, REMOVALS.c.rows, REMOVALS.c.known).where(REMOVALS.c.system == system))
    return {subject: (gone, known) for subject, gone, known in rows.iter_rows()}


def _is(system: System, subject: str) -> tuple[sa.ColumnElement[bool], ...]:
    return REMOVALS.c.system == system.value, REMOVALS.c.subject == subject


def withheld(warehouse: Warehouse) -> pl.DataFrame:
    """Everything that is withheld: columns ``system``, ``subject``, ``rows``, ``known`` and ``since``."""
    columns = [REMOVALS.c[name] for name in ("system", "subject", "rows", "known", "since")]
    return warehouse.read(sa.select(*columns).order_by(REMOVALS.c.system, REMOVALS.c.subject))


def sentences(removals: pl.DataFrame) -> Iterator[str]:
    """One for each row of :func:`withheld`: what is gone, and what is to be done if that is meant."""
    for row in removals.iter_rows(named=True):
        subject, rows = row["subject"], row["rows"]
        yield (
            f"{rows:,} of {row['known']:,} {subject} are gone from {_WHERE[System(row['system'])]} at once: nothing "
            "was withdrawn on either side. If they are meant to be gone: "
            f"`unierp sync --confirm-removals {subject}={rows}`."
        )
