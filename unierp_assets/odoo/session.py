"""A thread-safe session with one UniERP database: connections, retries, counters.

Everything that is true of every call belongs here (context, pool, retry rules, counting). What a call means belongs in
:mod:`~unierp_assets.odoo.records` and :mod:`~unierp_assets.odoo.documents`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from unierp_assets.odoo.features import Features
from unierp_assets.odoo.outcomes import Attempt

T = TypeVar("T")
R = TypeVar("R")


class Counters:
    """Calls of a session, counted without races. ``reads`` and ``writes`` are calls, not records."""

    reads: int
    writes: int
    seconds: float

    def snapshot(self) -> dict[str, float]:
        """``{"reads", "writes", "seconds"}`` so far; seconds are summed over all connections."""
        raise NotImplementedError


class OdooSession:
    """A login to one database, usable from many threads over at most ``connections`` connections.

    ``password`` may be an API key. ``timeout`` is in seconds, for each call. Nothing is sent before the first call;
    the first call logs in and raises :class:`OdooLoginFailed` or :class:`OdooUnavailable`.
    """

    url: str
    db: str
    login: str
    counters: Counters

    def __init__(
        self,
        url: str,
        db: str,
        login: str,
        password: str,
        *,
        timeout: float = 120,
        connections: int = 2,
        lang: str = "en_US",
    ) -> None:
        raise NotImplementedError

    @property
    def version(self) -> str:
        """The server's version text, for people and logs; decisions are made by :attr:`features`."""
        raise NotImplementedError

    @property
    def features(self) -> Features:
        """What this server has; probed on demand and cached."""
        raise NotImplementedError

    def call(
        self,
        model: str,
        method: str,
        *args: Any,
        context: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """One ``execute_kw``. ``context`` is laid over the session's own (UTC, en_US, tracking off).

        Reads are repeated on network errors. Writes are repeated only when the server says that it rolled them back
        because of a concurrent write; a write whose answer was lost raises :class:`OdooAnswerLost`.
        Private methods (leading underscore) raise :class:`OdooAccessDenied` without being sent.
        """
        raise NotImplementedError

    def map(self, fn: Callable[[T], R], items: Iterable[T], *, connections: int | None = None) -> list[Attempt[R]]:
        """``fn`` of each item over at most ``connections`` threads; results in the order of the items.

        An :class:`OdooError` of one item is in its :class:`Attempt`; any other exception is raised after all
        running items have ended. Called from inside ``fn`` it works one by one.
        """
        raise NotImplementedError

    def login_now(self) -> int:
        """Log in if not done yet; the user's database id."""
        raise NotImplementedError

    def company(self) -> dict[str, Any]:
        """The user's company: ``{"id", "name", "currency_id", "currency", "country_code"}``."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections; the session can be used again afterwards."""
        raise NotImplementedError

    def __enter__(self) -> "OdooSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


Batches = Sequence[Sequence[T]]
