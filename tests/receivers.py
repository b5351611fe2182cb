"""Where alerts arrive in tests: a real mail server and a real HTTP server on this machine, which keep what they get."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from unierp_assets.lab.processes import HOST, free_port


@dataclass
class Received:
    """One message: what it is called and says."""

    title: str
    body: str


@dataclass
class Receiver:
    """An address for ``UNIERP_ALERT_URLS`` and what arrived there. While it is ``refusing``, nothing is accepted."""

    url: str
    messages: list[Received] = field(default_factory=list)
    refused: int = 0
    refusing: bool = False

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.messages]


@contextmanager
def mail_server() -> Iterator[Receiver]:
    """An SMTP server."""
    port = free_port()
    receiver = Receiver(f"mailto://{HOST}:{port}?from=unierp@example.com&to=people@example.com")

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            if receiver.refusing:
                receiver.refused += 1
                return "451 Try again later"
            message = message_from_bytes(envelope.content, policy=policy.default)
            part = message.get_body(("plain",))
            assert part is not None
            receiver.messages.append(Received(str(message["Subject"]), part.get_content()))
            return "250 OK"

    controller = Controller(Handler(), hostname=HOST, port=port)
    controller.start()
    try:
        yield receiver
    finally:
        controller.stop()


@contextmanager
def web_hook() -> Iterator[Receiver]:
    """An HTTP server that takes apprise's JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if receiver.refusing:
                receiver.refused += 1
            else:
                receiver.messages.append(Received(content["title"], content["message"]))
            self.send_response(503 if receiver.refusing else 200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    receiver = Receiver(f"json://{HOST}:{server.server_address[1]}/alerts")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
