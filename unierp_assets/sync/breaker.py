"""The circuit breakers: a system that does not answer is left alone for a while instead of being called again.

Belongs here: when a system counts as down, and what all processes know of it, in the table ``sync.breakers``. The state
machine is purgatory's. Does not belong here: how a call is sent and repeated (``odoo``, ``storefront``); both take a
breaker as their guard and work without one.

A run that finds all well reads one row for each system and writes nothing. A process that cannot use the warehouse goes
on with what it knows itself.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from purgatory.domain import model
from sqlalchemy.dialects.postgresql import insert

from unierp_assets.entities.spec import System
from unierp_assets.odoo import OdooCircuitOpen, OdooError, OdooUnavailable
from unierp_assets.storefront.source import StorefrontCircuitOpen, StorefrontError, StorefrontUnavailable
from unierp_assets.warehouse.errors import WarehouseError
from unierp_assets.warehouse.store import Warehouse
from unierp_assets.warehouse.tables import BREAKERS

FAILURES, SECONDS = 5, 30.0
"""After how many failed calls in a row a system is left alone, and for how long, unless told otherwise."""

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"
_OURS: Final = {model.CLOSED: CLOSED, model.OPENED: OPEN, model.HALF_OPENED: HALF_OPEN}
_THEIRS: Final = {ours: theirs for theirs, ours in _OURS.items()}

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Circuit:
    """What is known of a system: the columns of ``sync.breakers``. The instants are there unless it is closed."""

    address: str | None = None
    state: str = CLOSED
    failures: int = 0
    opened_at: datetime | None = None
    reason: str | None = None
    retry_at: datetime | None = None

    def __str__(self) -> str:
        """How an open circuit is told, after the name of the system."""
        tried = "is just being tried by another call"
        if self.state == OPEN:
            tried = f"is tried again at {_told(self.retry_at)}"
        since = _told(self.opened_at)
        return f"is left alone since {since}, after {self.failures} calls in a row failed ({self.reason}), and {tried}"


class Breaker:
    """The guard of one system, for all threads of a process; its state is that of all processes that call the same
    ``address``. Of another address it says nothing: who corrects an address is not made to wait.

    After ``failures`` calls in a row that were not answered (``unavailable``) it opens: for ``seconds`` every call is
    refused with the error that ``refuse`` makes. Then one call is let through, which closes it or opens it anew; one
    that never comes back is given up after the same time. An error of the system itself (``answered``) is an answer;
    any other exception counts for nothing. ``reason`` is what is kept of an error. Without a ``warehouse``, or when it
    fails, the breaker works for this process alone.
    """

    def __init__(
        self,
        system: System,
        address: str,
        warehouse: Warehouse | None,
        *,
        failures: int,
        seconds: float,
        unavailable: type[Exception],
        answered: type[Exception],
        reason: Callable[[Any], str],
        refuse: Callable[[Circuit], Exception],
    ) -> None:
        self._system = system.value
        self._well = Circuit(address)
        self._warehouse = warehouse
        self._failures = failures
        self._seconds = seconds
        self._unavailable = unavailable
        self._answered = answered
        self._reason = reason
        self._refuse = refuse
        self._lock = threading.Lock()
        self._known: Circuit | None = None

    def call(self, work: Callable[[], R], /) -> R:
        """What ``work`` returns or raises; raises at once, without calling it, while the system is left alone."""
        self._ask()
        try:
            result = work()
        except self._unavailable as error:
            self._note_failure(self._reason(error))
            raise
        except self._answered:
            self._note_answer()
            raise
        self._note_answer()
        return result

    def _ask(self) -> None:
        with self._lock:
            if self._known is None:
                self._known = self._read()
            if self._known.state == CLOSED:
                return
            before, self._known = self._change(self._try)
            if self._known == before and before.state != CLOSED:
                raise self._refuse(before)

    def _note_failure(self, reason: str) -> None:
        with self._lock:
            _, self._known = self._change(lambda known: self._failed(known, reason))

    def _note_answer(self) -> None:
        with self._lock:
            if self._known != self._well:
                _, self._known = self._change(self._answer)

    # The steps, from what all processes know to what they are to know

    def _try(self, known: Circuit) -> Circuit:
        if known.state == HALF_OPEN and known.retry_at and _now() < known.retry_at:
            return known  # for purgatory this state lets every call through
        machine = self._machine(known)
        try:
            machine.handle_new_request()
        except model.OpenedState:
            return known
        if _OURS[machine.state] == CLOSED:
            return known
        # Whoever tries may die: after the same time another one may.
        return replace(known, state=HALF_OPEN, retry_at=self._later())

    def _failed(self, known: Circuit, reason: str) -> Circuit:
        if known.state == OPEN:
            return known  # the call was under way when another one opened it
        machine = self._machine(known)
        machine.handle_exception(Exception(reason))
        failed = replace(known, failures=known.failures + 1, reason=reason)
        if _OURS[machine.state] == CLOSED:
            return failed
        return replace(failed, state=OPEN, opened_at=known.opened_at or _now(), retry_at=self._later())

    def _answer(self, known: Circuit) -> Circuit:
        machine = self._machine(known)
        machine.handle_end_request()
        return self._well if _OURS[machine.state] == CLOSED else known

    def _machine(self, known: Circuit) -> model.Context:
        # Open for as long as whoever opened it has said, whatever this process would say.
        opened_at = known.opened_at.timestamp() if known.opened_at else None
        seconds = (known.retry_at - known.opened_at).total_seconds() if known.retry_at and known.opened_at else 0
        return model.Context(self._system, self._failures, seconds, _THEIRS[known.state], known.failures, opened_at)

    def _later(self) -> datetime:
        return _now() + timedelta(seconds=self._seconds)

    # What all processes know

    def _read(self) -> Circuit:
        if self._warehouse is not None:
            try:
                return self._here(circuits(self._warehouse)[System(self._system)])
            except WarehouseError:
                self._warehouse = None
        return self._well

    def _change(self, step: Callable[[Circuit], Circuit]) -> tuple[Circuit, Circuit]:
        """Takes a step while other processes wait; what was known before it, and what is after it."""
        if self._warehouse is not None:
            row = insert(BREAKERS).values(system=self._system, address=self._well.address, state=CLOSED, failures=0)
            ours = BREAKERS.c.system == self._system
            try:
                with self._warehouse.transaction() as tx:
                    tx.execute(row.on_conflict_do_nothing())
                    before = self._here(Circuit(*tx.read(_COLUMNS.where(ours).with_for_update()).row(0)))
                    after = step(before)
                    if after != before:
                        tx.execute(sa.update(BREAKERS).where(ours).values(**asdict(after), updated_at=sa.func.now()))
                    return before, after
            except WarehouseError:
                self._warehouse = None
        before = self._known or self._well
        return before, step(before)

    def _here(self, found: Circuit) -> Circuit:
        return found if found.address == self._well.address else self._well


_STATE: Final = [BREAKERS.c[name] for name in Circuit.__slots__]
_COLUMNS: Final = sa.select(*_STATE)


def circuits(warehouse: Warehouse) -> dict[System, Circuit]:
    """What all processes know of each system. Raises :class:`~unierp_assets.warehouse.errors.WarehouseError`."""
    rows = warehouse.read(sa.select(BREAKERS.c.system, *_STATE)).rows()
    known = {system: Circuit(*state) for system, *state in rows}
    return {system: known.get(system.value, Circuit()) for system in System}


def well_since(warehouse: Warehouse) -> datetime | None:
    """When a system that is called as usual last came back or changed; None where none ever failed. Raises
    :class:`~unierp_assets.warehouse.errors.WarehouseError`."""
    newest = sa.select(sa.func.max(BREAKERS.c.updated_at)).where(BREAKERS.c.state == CLOSED)
    found: datetime | None = warehouse.read(newest).item()
    return found


def unierp_breaker(
    server: str, warehouse: Warehouse | None, *, failures: int = FAILURES, seconds: float = SECONDS
) -> Breaker:
    """The guard of sessions with this server of UniERP, as they name it; refuses with
    :class:`~unierp_assets.odoo.errors.OdooCircuitOpen`."""
    return Breaker(
        System.UNIERP,
        server,
        warehouse,
        failures=failures,
        seconds=seconds,
        unavailable=OdooUnavailable,
        answered=OdooError,
        reason=lambda error: error.message,
        refuse=lambda circuit: OdooCircuitOpen(f"UniERP {circuit}", server=server),
    )


def storefront_breaker(
    server: str, warehouse: Warehouse | None, *, failures: int = FAILURES, seconds: float = SECONDS
) -> Breaker:
    """The guard of the shop's database on this server, as its connector names it; refuses with
    :class:`~unierp_assets.storefront.source.StorefrontCircuitOpen`."""
    return Breaker(
        System.STOREFRONT,
        server,
        warehouse,
        failures=failures,
        seconds=seconds,
        unavailable=StorefrontUnavailable,
        answered=StorefrontError,
        # What it says is followed by a sentence with the remedy.
        reason=lambda error: str(error).partition(". ")[0],
        refuse=lambda circuit: StorefrontCircuitOpen(
            f"The shop's database {circuit}. Check that it runs, then run again after that time."
        ),
    )


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)  # purgatory's clock


def _told(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
