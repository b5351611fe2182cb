"""A thread-safe session with one UniERP database: connections, retries, pace, counters.

Everything that is true of every call belongs here (context, pool, retry rules, rate limit, counting). What a call
means belongs in :mod:`~unierp_assets.odoo.records` and :mod:`~unierp_assets.odoo.documents`.
"""

import os
import queue
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    stop_any,
    wait_random_exponential,
)

from unierp_assets.odoo.errors import (
    OdooAccessDenied,
    OdooAnswerLost,
    OdooConcurrencyError,
    OdooError,
    OdooLoginFailed,
    OdooUnavailable,
)
from unierp_assets.odoo.features import ATTRIBUTES, Features, FieldsOf
from unierp_assets.odoo.outcomes import Attempt
from unierp_assets.odoo.transport import Transport
from unierp_assets.odoo.values import BEGINNING, encode, instant

if TYPE_CHECKING:
    from pyrate_limiter import Limiter

T = TypeVar("T")
R = TypeVar("R")

# Tracking and followers cost a third of the time of a write and nobody asked for them; UTC because `load` reads
# instants in the user's time zone.
BULK_CONTEXT: Mapping[str, Any] = {
    "tracking_disable": True,
    "mail_create_nolog": True,
    "mail_notrack": True,
    "mail_create_nosubscribe": True,
    "tz": "UTC",
}

READS = frozenset(
    {
        "address_get", "check_access_rights", "check_access_rule", "context_get", "default_get", "export_data",
        "fields_get", "formatted_read_group", "get_param", "get_external_id", "get_metadata", "get_views", "has_access",
        "has_group", "name_get", "name_search", "onchange", "read", "read_group", "search", "search_count",
        "search_read", "web_read", "web_search_read",
    }
)  # fmt: skip

# Requests that begin before an answer to the previous one is read would mix up on one connection; a pool slot is one.
MAX_CONNECTIONS = 64

# A thread that waits for others hears of an interruption when it looks up: polars has signals let it wait on.
LOOK_UP_SECONDS = 0.2


class Counters:
    """Calls of a session, counted without races. ``reads`` and ``writes`` are calls sent, repeats included."""

    def __init__(self) -> None:
        self.reads = 0
        self.writes = 0
        self.seconds = 0.0
        self.by_method: Counter[str] = Counter()
        self.seconds_of: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def add(self, model: str, method: str, seconds: float, *, write: bool) -> None:
        with self._lock:
            self.seconds += seconds
            self.by_method[f"{model}.{method}"] += 1
            self.seconds_of[f"{model}.{method}"] += seconds
            if write:
                self.writes += 1
            else:
                self.reads += 1

    def snapshot(self) -> dict[str, float]:
        """``{"reads", "writes", "seconds"}`` so far; seconds are summed over all connections."""
        with self._lock:
            return {"reads": self.reads, "writes": self.writes, "seconds": self.seconds}


class Guard(Protocol):
    """Stands before every call with all its repeats: runs it and sees how it ended, or refuses to.

    A circuit breaker, for example. Several threads call it at a time; to refuse it raises an :class:`OdooError`.
    """

    def call(self, work: Callable[[], R], /) -> R:
        """What ``work`` returns or raises."""


class Users(Protocol):
    """Remembers, from one process to the next, which user the session's login is: to log in, a server checks the
    password anew each time, which is made to be slow, while it knows those of its recent callers."""

    def recall(self) -> int | None:
        """The user's database id, where it is remembered."""

    def note(self, user_id: int) -> None:
        """Remember it."""


class _GivenUp(BaseException):
    """Ends an item of a map that is given up, whatever it is at: no error of the server's, and none to be told."""


class OdooSession:
    """A login to one database, usable from many threads over at most ``connections`` connections.

    ``password`` may be an API key. ``timeout`` is in seconds, for each call. Nothing is sent before the first call;
    the first call logs in, unless ``users`` remembers who it is, and raises :class:`OdooLoginFailed` or
    :class:`OdooUnavailable`. ``attempts`` bounds the repeats of what may be repeated, ``backoff`` is the first pause in
    seconds (it doubles, with jitter).
    ``calls_per_second`` spreads the calls of all threads evenly, repeats included: those that come too early wait.
    ``guard`` may refuse calls; ``guard`` and ``users`` can be set later, too.
    A caller that is interrupted hears of it once the calls under way have ended, and no other is sent for it: the
    server does nothing more that nobody waits for.
    """

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
        attempts: int = 5,
        backoff: float = 0.2,
        calls_per_second: float | None = None,
        guard: Guard | None = None,
        users: Users | None = None,
    ) -> None:
        if not 1 <= connections <= MAX_CONNECTIONS:
            raise ValueError(f"connections must be from 1 to {MAX_CONNECTIONS}")
        parts = urlsplit(url)
        host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
        self.url = f"{parts.scheme}://{host}"
        self.db = db
        self.login = login
        self.server = f"{self.url}/{db}"
        self.timeout = timeout
        self.connections = connections
        self.context: dict[str, Any] = {**BULK_CONTEXT, "lang": lang}
        self.counters = Counters()
        self.guard = guard
        self.users = users
        self.features = Features(self._fields_get, server=self.server)
        self._password = password
        self._attempts = attempts
        self._backoff = backoff
        self._pace = _evenly(calls_per_second) if calls_per_second else None
        self._user_id: int | None = None
        self._logged_in = False
        self._version: str | None = None
        self._company: dict[str, Any] | None = None
        self._clock: datetime | None = None
        self._begun: float | None = None
        self._lock = threading.RLock()
        self._inside = threading.local()
        self._begin_in_this_process()

    def _begin_in_this_process(self) -> None:
        """Without connections and threads; those of a process that this one was forked from are not its own."""
        self._process = os.getpid()
        self._pool: queue.LifoQueue[Transport | None] = queue.LifoQueue()
        for _ in range(self.connections):
            self._pool.put(None)
        self._executor: ThreadPoolExecutor | None = None
        self._sender: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"OdooSession({self.server}, {self.login})"

    # Calls

    def call(self, model: str, method: str, *args: Any, context: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """One ``execute_kw``. ``context`` is laid over the session's own (UTC, en_US, tracking off).

        Reads are repeated on network errors. Writes are repeated only when nothing was sent or the server says that it
        rolled them back because of a concurrent write; a write whose answer was lost raises :class:`OdooAnswerLost`.
        Private methods (leading underscore) raise :class:`OdooAccessDenied` without being sent.
        """
        return self._execute(model, method, args, kwargs, context or {}, again=True)

    def step(self, model: str, method: str, *args: Any, context: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Like :meth:`call`, but a concurrent write is not repeated either: for steps that must look again first."""
        return self._execute(model, method, args, kwargs, context or {}, again=False)

    def _execute(
        self,
        model: str,
        method: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: Mapping[str, Any],
        *,
        again: bool,
    ) -> Any:
        if method.startswith("_"):
            raise OdooAccessDenied(
                f"{method} is a private method", server=self.server, model=model, remedy="call a public method"
            )
        write = method not in READS
        keywords = {**encode(kwargs), "context": {**self.context, **encode(context)}}
        params = [model, method, encode(args), keywords]

        def ask(user_id: int) -> Any:
            def once(transport: Transport) -> Any:
                started = time.perf_counter()
                try:
                    return transport.rpc(
                        "object", "execute_kw", [self.db, user_id, self._password, *params], model=model
                    )
                finally:
                    self.counters.add(model, method, time.perf_counter() - started, write=write)

            return self._patiently(once, write=write, again=again)

        user_id, sure = self._user()
        try:
            return ask(user_id)
        except OdooLoginFailed:
            if sure:
                raise
        # Who was remembered is no longer there, or has another password: the server has done nothing yet. Another
        # thread may have logged in meanwhile.
        return ask(self.login_now())

    def _patiently(self, send: Callable[[Transport], R], *, write: bool = False, again: bool = True) -> R:
        def retryable(error: BaseException) -> bool:
            if isinstance(error, OdooAnswerLost):
                return not write
            return isinstance(error, OdooUnavailable) or (again and isinstance(error, OdooConcurrencyError))

        def patiently() -> R:
            return self.retrying(retryable)(self._over_a_connection, send)

        return self.guard.call(patiently) if self.guard else patiently()

    def retrying(self, retryable: Callable[[BaseException], bool]) -> Retrying:
        """The session's patience (attempts, back-off with jitter, limit in time) for one kind of error."""
        return Retrying(
            retry=retry_if_exception(retryable),
            # a second time-out is enough to know that the server is stuck
            stop=stop_any(stop_after_attempt(self._attempts), stop_after_delay(2 * self.timeout)),
            wait=wait_random_exponential(multiplier=self._backoff, max=10),
            reraise=True,
        )

    def _over_a_connection(self, send: Callable[[Transport], R]) -> R:
        if self._begun is None:
            self._begun = time.monotonic()
        if self._pace:
            self._pace.try_acquire()
        if self._broken():
            raise _GivenUp
        if self._process != os.getpid():
            self._begin_in_this_process()
        # Signals interrupt the main thread only, in the middle of whatever it is at.
        if threading.current_thread() is threading.main_thread():
            return self._out_of_reach(send)
        return self._send(send)

    def _out_of_reach(self, send: Callable[[Transport], R]) -> R:
        """Sends from a thread of its own and waits for it, also when the caller is interrupted meanwhile."""
        with self._lock:
            sender = self._sender = self._sender or ThreadPoolExecutor(1, thread_name_prefix="odoo-call")
        try:
            return sender.submit(self._send, send).result()
        except BaseException:
            # It does one thing after another: once it has done nothing, what it was sending has ended.
            with suppress(RuntimeError):  # another thread has closed the session
                sender.submit(int).result()
            raise

    def _send(self, send: Callable[[Transport], R]) -> R:
        transport = self._pool.get()
        try:
            if transport is None:
                transport = Transport(self.url, self.db, server=self.server, timeout=self.timeout)
            return send(transport)
        finally:
            self._pool.put(transport)

    def login_now(self) -> int:
        """Log in if not done yet; the user's database id. Raises :class:`OdooLoginFailed`."""
        with self._lock:
            if not self._logged_in or self._user_id is None:
                args = [self.db, self.login, self._password]
                user_id = self._patiently(lambda transport: transport.rpc("common", "login", args))
                if not user_id:
                    raise OdooLoginFailed("UniERP refuses the login or password", server=self.server)
                if self.users and user_id != self._user_id:
                    self.users.note(int(user_id))
                self._user_id, self._logged_in = int(user_id), True
            return self._user_id

    def _user(self) -> tuple[int, bool]:
        """The user's database id, as it is remembered or by logging in, and whether it comes from a login."""
        with self._lock:
            if self._user_id is None and self.users:
                self._user_id = self.users.recall()
            return self._user_id or self.login_now(), self._logged_in

    # What the server is

    @property
    def version(self) -> str:
        """The server's version text, for people and logs; decisions are made by :attr:`features`."""
        if self._version is None:
            self._version = self._patiently(lambda transport: transport.version())
        return self._version

    def _fields_get(self, model: str) -> FieldsOf:
        return self.call(model, "fields_get", [], ATTRIBUTES)

    def company(self) -> dict[str, Any]:
        """The user's company: ``{"id", "name", "currency_id", "currency", "country_code"}``, read once."""
        if self._company is None:
            user = self._own("company_id")
            company = self.call("res.company", "read", [user["company_id"][0]], ["name", "currency_id", "country_id"])[
                0
            ]
            country = company["country_id"] and self.call("res.country", "read", [company["country_id"][0]], ["code"])
            self._company = {
                "id": company["id"],
                "name": company["name"],
                "currency_id": company["currency_id"][0],
                "currency": company["currency_id"][1],
                "country_code": country[0]["code"] if country else None,
            }
        return self._company

    def _own(self, field: str) -> dict[str, Any]:
        """A field of the session's user. Where the remembered one turns out to be no longer there, of who logged in."""
        while True:
            user_id, _ = self._user()
            rows: list[dict[str, Any]] = self.call("res.users", "read", [user_id], [field])
            if user_id == self._user()[0]:
                return rows[0]

    def clock(self) -> datetime:
        """An instant of the database's own clock that had passed when this session made its first call: what begins
        after that call is stamped at or after it, and what the session reads is no older.

        It is when the user logged in last, here or elsewhere, in whole seconds, less the time that has passed since the
        first call: nothing else tells the clock by which ``write_date`` is stamped without writing. Where the server
        keeps no record of logins it is the beginning of time. Read once, for which the session logs in if it has not
        yet.
        """
        if self._clock is None:
            user = self.call("res.users", "read", [self.login_now()], ["login_date"])[0]
            logged_in = instant(user["login_date"])
            passed = timedelta(seconds=time.monotonic() - (self._begun or 0))
            self._clock = logged_in - passed if logged_in else BEGINNING
        return self._clock

    # Many at once

    def map(self, fn: Callable[[T], R], items: Iterable[T], *, connections: int | None = None) -> list[Attempt[R]]:
        """``fn`` of each item over at most ``connections`` threads; results in the order of the items.

        An :class:`OdooError` of one item is in its :class:`Attempt`; any other exception, and an interruption, is
        raised after all calls under way have ended, and no other is begun. Called from inside ``fn`` it works one by
        one.
        """

        def attempt(item: T) -> Attempt[R]:
            try:
                return Attempt(fn(item))
            except OdooError as error:
                return Attempt(error=error)

        everything, lanes = list(items), self.lanes(connections)
        if len(everything) < 2 or lanes < 2:
            return [attempt(item) for item in everything]
        if self._process != os.getpid():
            self._begin_in_this_process()
        gate = threading.Semaphore(lanes)
        broken: list[BaseException] = []
        futures: list[Future[Attempt[R]]] = []

        def guarded(item: T) -> Attempt[R]:
            self._inside.broken = broken
            with gate:
                if broken:
                    raise _GivenUp
                try:
                    return attempt(item)
                except BaseException as error:
                    broken.append(error)
                    raise

        try:
            with self._lock:
                if self._executor is None:
                    self._executor = ThreadPoolExecutor(self.connections, thread_name_prefix="odoo")
                for item in everything:
                    futures.append(self._executor.submit(guarded, item))
            while wait(futures, timeout=LOOK_UP_SECONDS, return_when=FIRST_EXCEPTION).not_done and not broken:
                pass
            return [future.result() for future in futures]
        except BaseException as error:  # noqa: BLE001  # it is raised below
            broken.append(error)
        wait(futures)
        # What others raise because of it came later.
        raise broken[0]

    def lanes(self, connections: int | None = None) -> int:
        """How many threads :meth:`map` works with when it is called here with this limit."""
        return 1 if self._broken() is not None else min(connections or self.connections, self.connections)

    def _broken(self) -> list[BaseException] | None:
        """What has broken the map that this thread works for; None outside of one."""
        found: list[BaseException] | None = getattr(self._inside, "broken", None)
        return found

    def close(self) -> None:
        """Close the connections; the session can be used again afterwards."""
        with self._lock:
            executors = [self._executor, self._sender]
            self._executor = self._sender = None
        for executor in filter(None, executors):
            executor.shutdown()
        for _ in range(self.connections):
            transport = self._pool.get()
            if transport is not None:
                transport.close()
            self._pool.put(None)

    def __enter__(self) -> "OdooSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _evenly(calls_per_second: float) -> "Limiter":
    """Lets that many pass in a second, one by one, and makes the others wait."""
    # Only where it is asked for: it takes a while to load.
    from pyrate_limiter import Limiter, Rate, SingleBucketFactory, StateBucket, TokenBucket

    # Rates are whole numbers: a thousand calls in the milliseconds they take. Without bursts no second has more.
    # This kind of bucket keeps no list of calls that a thread would have to tidy.
    rate = Rate(1000, max(1, round(1_000_000 / calls_per_second)), burst=1)
    return Limiter(SingleBucketFactory(StateBucket([rate], TokenBucket()), schedule_leak=False), buffer_ms=0)
