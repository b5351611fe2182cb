"""Python values to Odoo's and back. No call to a server belongs here.

Out: Decimal as the float whose shortest text is the same number, aware instants as UTC text, dates as ISO text, None as
False. In: the helpers return None where Odoo says False.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, TypeVar

T = TypeVar("T")

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""An instant before everything: where a cursor stands when everything is to be read."""


def _utc_text(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; instants must be aware")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "seconds")


def encode(value: Any) -> Any:
    """A value for ``create``, ``write`` or a domain, containers too. Naive datetimes raise ValueError.

    Odoo keeps whole seconds; fractions are cut off."""
    if value is None:
        return False
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else float(value)
    if isinstance(value, datetime):
        return _utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [encode(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no form in Odoo")


def cell(value: Any) -> str:
    """A value for a cell of ``load``: exact decimal text, UTC text, ``1``/``0`` for booleans, empty text for None.

    A list of database or external ids becomes Odoo's comma-separated form."""
    if value is None or value is False:
        return "0" if value is False else ""
    if value is True:
        return "1"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(cell(item) for item in value)
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    encoded = encode(value)
    return encoded if isinstance(encoded, str) else str(encoded)


def instant(value: Any) -> datetime | None:
    """Odoo's UTC text as an aware datetime."""
    if not value:
        return None
    return datetime.fromisoformat(value[:19]).replace(tzinfo=UTC)


def day(value: Any) -> date | None:
    """Odoo's date text (or the day of an instant) as a date."""
    return date.fromisoformat(value[:10]) if value else None


def ref(value: Any) -> int | None:
    """The database id of a many2one value (``[id, name]``, id or False)."""
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    return int(value) if value else None


def text(value: Any) -> str | None:
    """A text field; empty and False are None."""
    return value or None


def decimal(value: Any, digits: int) -> Decimal:
    """A float field as the Decimal it stands for, rounded half up to ``digits`` after the point."""
    return Decimal(repr(value or 0)).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)


def chunks(items: Iterable[T], size: int) -> list[list[T]]:
    """Lists of at most ``size`` items, in order."""
    if size < 1:
        raise ValueError("size must be at least 1")
    everything = list(items)
    return [everything[start : start + size] for start in range(0, len(everything), size)]
