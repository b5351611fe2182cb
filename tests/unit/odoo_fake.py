"""A small server that speaks Odoo's JSON-RPC over a real socket, and recorded field lists of four generations.

Here belongs what several unit tests of the UniERP client need to meet a server that answers, refuses, hangs, or breaks
the connection when they say so. It knows nothing of business: each test gives it the answers of its models.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from unierp_assets.odoo import OdooSession
from unierp_assets.odoo.errors import OdooMissingModule
from unierp_assets.odoo.features import Features

DATA = Path(__file__).parent / "data"
Handler = Callable[..., Any]


def recorded_fields(version: int) -> dict[str, dict[str, dict[str, str]]]:
    """``{model: {field: {"type", "relation"}}}`` as that generation answers ``fields_get`` (trimmed)."""
    raw = json.loads((DATA / f"odoo_fields_{version}.json").read_text())
    models: dict[str, dict[str, dict[str, str]]] = {}
    for model, fields in raw.items():
        models[model] = {}
        for name, text in fields.items():
            kind, _, relation = text.partition(" ")
            models[model][name] = {"type": kind, **({"relation": relation} if relation else {})}
    return models


def features_of(version: int) -> Features:
    """The probes of a generation, answered from its recorded fields."""
    models = recorded_fields(version)

    def fields_get(model: str) -> Mapping[str, Mapping[str, Any]]:
        if model not in models:
            raise OdooMissingModule(f"no {model}")
        return models[model]

    return Features(fields_get)


class Fault(Exception):
    """An answer of the server: ``Fault("odoo.exceptions.UserError", "No.")``."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name, self.message = name, message


class Trouble(Exception):
    """What goes wrong on the way: ``cut`` (the connection, after the call was done), ``hang`` (seconds), ``status``."""

    def __init__(self, *, cut: bool = False, hang: float = 0, status: int = 0, body: str = "", location: str = ""):
        super().__init__("trouble")
        self.cut, self.hang, self.status, self.body, self.location = cut, hang, status, body, location


@dataclass
class FakeOdoo:
    """``on[model, method]`` is called with the arguments and keywords of a call (without the context)."""

    on: dict[tuple[str, str], Handler] = field(default_factory=dict)
    fields: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    calls: list[tuple[str, str, list[Any], dict[str, Any]]] = field(default_factory=list)
    troubles: list[Trouble | None] = field(default_factory=list)
    password: str = "secret"
    connections: int = 0
    cookies: list[str | None] = field(default_factory=list)
    keep_alive: bool = True
    login_status: int = 200
    url: str = ""

    def names(self, *methods: str) -> list[str]:
        """``model.method`` of the calls so far, only of these methods if given, in order."""
        return [f"{model}.{name}" for model, name, _, _ in self.calls if not methods or name in methods]

    def of(self, model: str, method: str) -> list[list[Any]]:
        """The arguments of all calls of a method."""
        return [args for named, name, args, _ in self.calls if (named, name) == (model, method)]

    def session(self, **options: Any) -> OdooSession:
        """A session with this server, without pauses between attempts."""
        return OdooSession(self.url, "db", "admin", "secret", **{"backoff": 0, "timeout": 5, **options})

    def answer(self, service: str, method: str, args: list[Any]) -> Any:
        if service == "common":
            if method == "version":
                return {"server_version": "19.0"}
            return 2 if args[2] == self.password else False
        model, name, positional = args[3], args[4], args[5]
        keywords = dict(args[6]) if len(args) > 6 else {}
        self.calls.append((model, name, positional, dict(keywords)))
        keywords.pop("context", None)
        if name == "fields_get" and (model, name) not in self.on:
            if model not in self.fields:
                raise Fault("odoo.exceptions.UserError", f"Object {model} doesn't exist")
            return self.fields[model]
        if (model, name) not in self.on:
            raise AssertionError(f"{model}.{name} was not expected")
        return self.on[model, name](*positional, **keywords)

    def next_trouble(self) -> Trouble | None:
        return self.troubles.pop(0) if self.troubles else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A connection the test has broken is not news."""


@contextmanager
def running(fake: FakeOdoo) -> Iterator[FakeOdoo]:
    """Serves a fake while the block runs."""

    class Requests(_Requests):
        odoo = fake
        protocol_version = "HTTP/1.1" if fake.keep_alive else "HTTP/1.0"

    server = _Server(("127.0.0.1", 0), Requests)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()


class _Requests(BaseHTTPRequestHandler):
    odoo: FakeOdoo
    disable_nagle_algorithm = True  # or each answer, head and body in two packets, waits 40 ms for the client

    def setup(self) -> None:
        super().setup()
        self.odoo.connections += 1

    def log_message(self, *_: object) -> None:
        """Silence: tests read what they need from the fake."""

    def do_GET(self) -> None:
        self.reply(302, b"", {"Set-Cookie": "session_id=abc123; Path=/", "Location": "/web/login"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.odoo.cookies.append(self.headers.get("Cookie"))
        params = body["params"]
        trouble = None if params["service"] == "common" else self.odoo.next_trouble()
        if params["service"] == "common" and self.odoo.login_status != 200:
            self.reply(self.odoo.login_status, b"<h1>Internal Server Error</h1>", {})
            return
        if trouble and trouble.hang:
            time.sleep(trouble.hang)
        if trouble and trouble.status:
            extra = {"Location": trouble.location} if trouble.location else {}
            self.reply(trouble.status, trouble.body.encode(), extra)
            return
        answer: dict[str, Any]
        try:
            answer = {"result": self.odoo.answer(params["service"], params["method"], params["args"])}
        except Fault as refused:
            data = {"name": refused.name, "message": refused.message, "debug": "Traceback ..."}
            answer = {"error": {"code": 200, "message": "Odoo Server Error", "data": data}}
        except (AssertionError, TypeError, LookupError, StopIteration) as mistaken:
            data = {"name": "builtins.AssertionError", "message": f"the test's own server: {mistaken!r}"}
            answer = {"error": {"code": 200, "message": "Odoo Server Error", "data": data}}
        if trouble and trouble.cut:
            self.close_connection = True
            self.connection.close()
            return
        self.reply(200, json.dumps({"jsonrpc": "2.0", "id": 1, **answer}).encode(), {})

    def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
