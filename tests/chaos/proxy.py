"""A faulty network between a sync and its server: an HTTP proxy that delays, drops, resets and swallows answers.

Belongs here: passing calls on, and what goes wrong with them by chance. Does not belong here: what the calls mean.
"""

import http.client
import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

DELAY = "delay"
"""The call arrives late."""
DROP = "drop"
"""The connection ends before the call reaches the server."""
RESET = "reset"
"""The connection breaks while the server works on the call, which it goes on with."""
CUT = "cut"
"""The server has done its work, and its answer is lost."""
FAULTS = (DELAY, DROP, RESET, CUT)


class FaultyNetwork:
    """Listens at ``url`` and passes calls on to a server; so many of a hundred go wrong.

    Which do depends on the seed, on what is called and on how often that was called before, not on the order in which
    parallel connections come.
    """

    def __init__(self, server: str, seed: int, percent: float) -> None:
        parts = urlsplit(server)
        self._target = parts.hostname or "", parts.port or 80
        self._seed, self._share = seed, percent / 100
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.calls = 0
        self.faults: Counter[str] = Counter()
        network = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                network._serve(self)

            def do_POST(self) -> None:
                network._serve(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Nobody wants a line for each call."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        fault, chance = self._fate(body or handler.path.encode())
        if fault == DELAY:
            time.sleep(chance.uniform(0.05, 0.3))
        elif fault == DROP:
            self._break(handler, abruptly=False)
            return
        connection = http.client.HTTPConnection(*self._target, timeout=120)
        try:
            headers = {name: value for name, value in handler.headers.items() if name.lower() != "connection"}
            connection.request(handler.command, handler.path, body=body, headers=headers)
            if fault == RESET:
                self._break(handler, abruptly=True)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if fault == CUT:
            self._break(handler, abruptly=False)
        elif fault != RESET:
            self._answer(handler, response, answer)

    @staticmethod
    def _answer(handler: BaseHTTPRequestHandler, response: http.client.HTTPResponse, answer: bytes) -> None:
        handler.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def _fate(self, call: bytes) -> tuple[str | None, random.Random]:
        what = _name(call)
        with self._lock:
            self.calls += 1
            self._seen[what] += 1
            chance = random.Random(f"{self._seed} {what} {self._seen[what]}")
            fault = chance.choice(FAULTS) if chance.random() < self._share else None
            if fault:
                self.faults[fault] += 1
        return fault, chance

    @staticmethod
    def _break(handler: BaseHTTPRequestHandler, *, abruptly: bool) -> None:
        if abruptly:
            # Closing without lingering sends a reset instead of an orderly end.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            handler.connection.close()
            return
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)


def _name(call: bytes) -> str:
    """Model and method of a call, as far as it has them."""
    try:
        params = json.loads(call)["params"]
        return ".".join(map(str, params["args"][3:5])) if params["service"] == "object" else params["method"]
    except (ValueError, KeyError):
        return "page"
