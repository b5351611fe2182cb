"""One record that the program itself stumbles over never stops the others.

Belongs here: what counts as a fault of the program, how the record at fault is found, and the words that tell of it.
Does not belong here: what a system refused or failed at (``odoo/errors.py``, ``warehouse/errors.py``).
"""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import polars as pl

from unierp_assets.entities.spec import KEY
from unierp_assets.sync.context import SyncContext
from unierp_assets.sync.memory.state import FAILED, set_pending

T = TypeVar("T")

_log = logging.getLogger(__name__)

FAULTS = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    pl.exceptions.PolarsError,
)
"""What a program raises that did not think of something. All that systems do has errors of its own."""


TOO_MANY = 100
"""So many faults at once are none of single records: the step itself is wrong, and to look at each takes for ever."""


def each_apart(
    work: Callable[[list[str]], T], keys: Sequence[str], entity: str, at_fault: Callable[[str, str], T]
) -> list[T]:
    """Does the work for all keys at once; where it stumbles, for either half, until the record at fault stands alone.

    ``work`` has to bear being repeated for records that it has dealt with before it stumbled. For a record at fault
    ``at_fault`` gets the key and what to tell of it; the traceback goes to the log. Raises the fault itself where there
    are no keys, or :data:`TOO_MANY` faults.
    """
    faults = 0

    def divided(part: Sequence[str]) -> list[T]:
        nonlocal faults
        try:
            return [work(list(part))]
        except FAULTS as fault:
            if len(part) > 1:
                middle = len(part) // 2
                return [*divided(part[:middle]), *divided(part[middle:])]
            faults += 1
            if not part or faults > TOO_MANY:
                raise
            _log.error("a fault of the program in one record", exc_info=fault, extra={"entity": entity, "key": part[0]})
            return [at_fault(part[0], told(fault))]

    return divided(keys)


def note_fault(context: SyncContext, entity: str, key: str, reason: str) -> None:
    """Sets a record aside that the program stumbled over before anything could be done with it."""
    context.faults.setdefault(entity, set()).add(key)
    row = pl.DataFrame([(key, FAILED, reason)], schema=[KEY, "state", "reason"], orient="row")
    with context.warehouse.transaction() as tx:
        set_pending(tx, entity, context.run_id, [], row)


def told(fault: Exception) -> str:
    """What a person reads of a fault of the program: that nobody has to correct the record."""
    return (
        f"a fault of the program stopped this record ({type(fault).__name__}: {str(fault)[:200]}); nothing is wrong "
        "with your data: report it with the traceback in the log. The others went on"
    )
