"""What can go wrong with the warehouse, in sentences a person can act on; never with a password in them.

Belongs here: the error types and the translation of PostgreSQL's errors into them. Nothing else.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa


class WarehouseError(Exception):
    """Something is wrong with the warehouse. The message says what and what to do."""


class WarehouseUnavailable(WarehouseError):
    """The server cannot be reached or does not let us in."""


class WarehouseWriteFailed(WarehouseError):
    """A statement failed; its transaction was undone."""


class WarehouseFull(WarehouseWriteFailed):
    """The server has no room left: disk or memory."""


class WarehouseOutdated(WarehouseError):
    """The database has not the shape this version of the program expects."""


class WarehouseLocked(WarehouseError):
    """Somebody else holds the lock."""


_FULL = {"53000", "53100", "53200", "58030"}
"""Insufficient resources, disk full, out of memory, input/output error."""
_OUTDATED = {"42P01", "42703", "3F000", "42883"}
"""Undefined table, column, schema, function."""
_TOO_MANY = "53300"
_REMEDY = "Start it or check UNIERP_WAREHOUSE_URL, then run again."
_REMEDIES = {
    "42501": "Grant the user of UNIERP_WAREHOUSE_URL the rights on the database, then run again.",
    "25006": "Give the address of the primary server in UNIERP_WAREHOUSE_URL.",
}


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turns errors of PostgreSQL, from SQLAlchemy or psycopg, into ours; mistakes of the program stay what they are.

    ``where`` is the server as messages name it.
    """
    try:
        yield
    except (psycopg.Error, sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        ours = _translate(error, where)
        if ours is None:
            raise
        # Without the cause: its text holds statements and rows, which may be personal.
        raise ours from None


def _translate(error: Exception, where: str) -> WarehouseError | None:
    if isinstance(error, sa.exc.TimeoutError):
        return WarehouseUnavailable(f"The warehouse {where} has no connection left: run less at a time.")
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    if state is None:
        return _not_connected(cause, where) if isinstance(cause, psycopg.OperationalError) else None
    said = _said(cause)
    if state in _FULL:
        return WarehouseFull(
            f"The warehouse {where} has no room left ({said}). Nothing of this step was kept: free disk space or "
            "memory on the server, then run again."
        )
    if state == _TOO_MANY or state.startswith(("08", "28", "3D", "57P")):
        return WarehouseUnavailable(f"The warehouse {where} cannot be used ({said}). {_REMEDY}")
    if state in _OUTDATED:
        return WarehouseOutdated(
            f"The warehouse {where} lacks something this version needs ({said}). Run `unierp warehouse upgrade`."
        )
    remedy = _REMEDIES.get(state, "Nothing of this step was kept: mend what the message names, then run again.")
    return WarehouseWriteFailed(f"The warehouse {where} refused a statement ({said}; SQLSTATE {state}). {remedy}")


def _not_connected(cause: Exception, where: str) -> WarehouseUnavailable:
    # Before a session exists the server's SQLSTATE does not reach us, only its sentence.
    said = _said(cause)
    if "password" in said or "authentication" in said:
        remedy = "Check user and password in UNIERP_WAREHOUSE_URL."
    elif "does not exist" in said:
        remedy = "Check the names in UNIERP_WAREHOUSE_URL; `unierp warehouse upgrade` creates a missing database."
    else:
        remedy = _REMEDY
    return WarehouseUnavailable(f"The warehouse {where} cannot be reached ({said}). {remedy}")


def _said(cause: BaseException) -> str:
    """What the server said, in one line and without the rows it quotes."""
    diagnosis = getattr(cause, "diag", None)
    message = getattr(diagnosis, "message_primary", None) or str(cause)
    parts = (getattr(diagnosis, f"{part}_name", None) for part in ("schema", "table", "column"))
    place = ".".join(part for part in parts if part)
    line = " ".join(message.split()).rstrip(".")
    return f"{line}, in {place}" if place else line
