"""Python values to Odoo's and back. No call to a server belongs here.

Out: Decimal as the float whose shortest text is the same number, aware instants as UTC text, dates as ISO text, None as
False. In: the helpers return None where Odoo says False.
"""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any


def encode(value: Any) -> Any:
    """A value for ``create``, ``write`` or a domain, containers too. Naive datetimes raise ValueError."""
    raise NotImplementedError


def cell(value: Any) -> str | float | bool:
    """A value for a cell of ``load``: exact decimal text, UTC text, empty text for None."""
    raise NotImplementedError


def instant(value: Any) -> datetime | None:
    """Odoo's UTC text as an aware datetime."""
    raise NotImplementedError


def day(value: Any) -> date | None:
    """Odoo's date text as a date."""
    raise NotImplementedError


def ref(value: Any) -> int | None:
    """The database id of a many2one value (``[id, name]``, id or False)."""
    raise NotImplementedError


def text(value: Any) -> str | None:
    """A text field; empty and False are None."""
    raise NotImplementedError


def decimal(value: Any, digits: int) -> Decimal:
    """A float field as the Decimal it stands for, rounded half up to ``digits``."""
    raise NotImplementedError


def chunks(items: Iterable[Any], size: int) -> list[list[Any]]:
    """Lists of at most ``size`` items, in order."""
    raise NotImplementedError
