"""One connection to one server: odoorpc's JSON-RPC over a connection that is kept open.

Here is decided what a broken connection means: nothing was sent (:class:`OdooUnavailable`), or it was and the answer
is lost (:class:`OdooAnswerLost`). What the server's own errors mean is decided in :mod:`~unierp_assets.odoo.faults`;
repeating belongs to :mod:`~unierp_assets.odoo.session`. Not thread-safe.
"""

import http.client
import http.cookies
import logging
import select
import socket
import ssl
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import Request

import odoorpc
import odoorpc.error

from unierp_assets.odoo.errors import OdooAnswerLost, OdooError, OdooLoginFailed, OdooUnavailable
from unierp_assets.odoo.faults import fault

# odoorpc logs whole calls at DEBUG, the password among their arguments
logging.getLogger("odoorpc.rpc.jsonrpclib").setLevel(logging.INFO)

CONNECT_TIMEOUT = 10.0
# A gateway says these when the server behind it may or may not have worked on the call.
AMBIGUOUS_STATUS = frozenset({500, 502, 504})


class _Answer:
    """What odoorpc wants of a response: ``read()``."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self) -> bytes:
        return self._body


class _KeepAliveOpener:
    """Stands in for urllib's opener inside odoorpc: the same connection for every call, errors by phase."""

    def __init__(self, scheme: str, host: str, port: int, db: str, server: str) -> None:
        self._scheme, self._host, self._port, self._db, self._server = scheme, host, port, db, server
        self._connection: http.client.HTTPConnection | None = None
        self._cookie: str | None = None

    def open(self, request: Request, timeout: float) -> _Answer:
        """Sends the request; raises OdooUnavailable if it was not delivered, OdooAnswerLost if it may have been."""
        if self._cookie is None:
            self._choose_database(timeout)
        headers = dict(request.header_items())
        if self._cookie:
            headers["Cookie"] = self._cookie
        connection = self._connected(timeout)
        try:
            connection.request("POST", request.selector, body=request.data, headers=headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as broken:
            self.close()
            why = "did not answer in time" if isinstance(broken, TimeoutError) else "broke the connection"
            raise OdooAnswerLost(f"UniERP {why} after a call was sent", server=self._server) from broken
        if response.will_close:
            self.close()
        if response.status != http.client.OK:
            self._refuse(response)
        return _Answer(body)

    def _choose_database(self, timeout: float) -> None:
        """Has the server remember the database for this connection, as a browser does.

        Without it a server with several databases lists them all before each call, which doubles the time of a small
        one (17 to 8 ms), and Odoo 14 answers every refusal with a bare HTTP 500 instead of its reason. Where the web
        pages are not open to us the calls work all the same."""
        self._cookie = ""
        connection = self._connected(timeout)
        try:
            connection.request("GET", f"/web?db={quote(self._db, safe='')}")
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return
        if response.will_close:
            self.close()
        jar: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
        for header in response.headers.get_all("Set-Cookie", []):
            jar.load(header)
        if "session_id" in jar:
            self._cookie = f"session_id={jar['session_id'].value}"

    def _connected(self, timeout: float) -> http.client.HTTPConnection:
        connection = self._connection
        if connection is not None and connection.sock is not None:
            # Readable before anything was asked means that the server has closed it meanwhile.
            if not select.select([connection.sock], [], [], 0)[0]:
                connection.sock.settimeout(timeout)
                return connection
            self.close()
        if self._scheme == "https":
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=min(timeout, CONNECT_TIMEOUT), context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=min(timeout, CONNECT_TIMEOUT))
        try:
            connection.connect()
        except OSError as refused:
            connection.close()
            raise OdooUnavailable(f"UniERP cannot be reached: {_reason(refused)}", server=self._server) from refused
        connection.sock.settimeout(timeout)
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        return connection

    def _refuse(self, response: http.client.HTTPResponse) -> None:
        status = f"HTTP {response.status} {response.reason}"
        if response.status in AMBIGUOUS_STATUS:
            self._cookie = None
            lost = OdooAnswerLost(f"the way to UniERP failed with {status} after a call was sent", server=self._server)
            lost.status = response.status
            raise lost
        if 300 <= response.status < 400:
            target = response.headers.get("Location", "another address")
            raise OdooUnavailable(
                f"UniERP's address redirects to {target}", server=self._server, remedy="use that address"
            )
        if response.status == http.client.NOT_FOUND:
            raise OdooUnavailable(
                "no Odoo answers at this address (HTTP 404)", server=self._server, remedy="check UNIERP_ODOO_URL"
            )
        raise OdooUnavailable(f"UniERP answers {status}", server=self._server)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is unknown to DNS"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, TimeoutError):
        return "no answer to the connection"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or type(error).__name__})"
    return error.strerror or type(error).__name__


class Transport:
    """JSON-RPC calls over one kept connection. ``server`` is what errors name it (no credentials)."""

    def __init__(self, url: str, db: str, *, server: str, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{server} is not an http or https address")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self.server = server
        self._opener = _KeepAliveOpener(parts.scheme, parts.hostname, port, db, server)
        protocol = "jsonrpc+ssl" if parts.scheme == "https" else "jsonrpc"
        # The version is asked for by Transport.version only; naming one here saves odoorpc's call per connection.
        self._odoo = odoorpc.ODOO(
            parts.hostname, protocol=protocol, port=port, timeout=timeout, version="14.0", opener=self._opener
        )

    def rpc(self, service: str, method: str, args: list[Any], *, model: str | None = None) -> Any:
        """One call of a service (``common``, ``object``). ``model`` is named by errors."""
        try:
            answer = self._odoo.json("/jsonrpc", {"service": service, "method": method, "args": args})
        except odoorpc.error.RPCError as refused:
            raise fault(refused.info or {"message": str(refused)}, server=self.server, model=model) from None
        except OdooAnswerLost as lost:
            if service == "common" and lost.status == http.client.INTERNAL_SERVER_ERROR:
                # Odoo 14 with several databases has no better words for a database it does not know.
                raise OdooLoginFailed(
                    "UniERP fails at the login",
                    server=self.server,
                    remedy="check that the database UNIERP_ODOO_DB exists",
                ) from lost
            lost.model = lost.model or model
            raise
        except OdooError as error:
            error.model = error.model or model
            raise
        except (ValueError, KeyError, TypeError) as garbled:
            raise OdooAnswerLost(
                "something that is not Odoo answered", server=self.server, model=model, remedy="check UNIERP_ODOO_URL"
            ) from garbled
        return answer.get("result")

    def version(self) -> str:
        """The server's version text, for example ``19.0``."""
        return str(self.rpc("common", "version", [])["server_version"])

    def close(self) -> None:
        self._opener.close()
