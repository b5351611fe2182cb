"""What became of each record of a bulk call. No logic that talks to a server belongs here."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from unierp_assets.odoo.errors import OdooError

K = TypeVar("K")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[K]):
    """The fate of one record: ``error`` is None when it is as it was asked to be.

    ``key`` is the caller's own (external id, database id ...). ``id`` is the database id where one is known, also when
    only a later step failed. ``changed`` is False when everything was found done already and nothing was written.
    """

    key: K
    id: int | None = None
    error: OdooError | None = None
    changed: bool = True

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True)
class Attempt(Generic[R]):
    """What one call of :meth:`OdooSession.map` returned or raised."""

    value: R | None = None
    error: OdooError | None = None

    def get(self) -> R:
        """The value; raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only where R is None


def failed(outcomes: Iterable[Outcome[K]]) -> list[Outcome[K]]:
    """Those that did not succeed, in order."""
    return [outcome for outcome in outcomes if outcome.error is not None]


def raise_first(outcomes: Iterable[Outcome[Any]]) -> None:
    """Raises the first error of a step that what follows cannot do without."""
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
