"""Every way a call to UniERP can fail, as types a caller can decide by.

Here belong the exception classes and nothing else; :mod:`~unierp_assets.odoo.faults` decides which of them an answer
of the server becomes. ``str(error)`` is one sentence that names server, model, record and field as far as they are
known, and the remedy. No message ever contains a password, an API key or the arguments of a call.
"""

from typing import ClassVar


class OdooError(Exception):
    """A call to UniERP failed. Catch this one to catch everything of this library.

    ``message`` is what happened, ``remedy`` what a person can do about it; ``server`` is ``url/db`` without
    credentials; ``model``, ``record`` and ``field`` are None where the server did not tell.
    """

    default_remedy: ClassVar[str] = "look at the server's log for the cause"

    def __init__(
        self,
        message: str,
        *,
        server: str | None = None,
        model: str | None = None,
        record: str | None = None,
        field: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.message = " ".join(message.split()).rstrip(".")
        self.server = server
        self.model = model
        self.record = record
        self.field = field
        self.remedy = remedy or self.default_remedy
        super().__init__(self.message)

    def __str__(self) -> str:
        places = {"server": self.server, "model": self.model, "record": self.record, "field": self.field}
        where = ", ".join(f"{name} {value}" for name, value in places.items() if value)
        return f"{self.message}{f' ({where})' if where else ''}: {self.remedy}."

    def at(self, *, record: str | None = None, field: str | None = None) -> "OdooError":
        """The same error with the record and field filled in where they were unknown. Returns ``self``."""
        self.record = self.record or record
        self.field = self.field or field
        return self


class OdooUnavailable(OdooError):
    """The server cannot be reached or did not answer a read in time (down, DNS, refused, time-out)."""

    default_remedy = "check that UniERP runs and its address is right, then run again"


class OdooCircuitOpen(OdooUnavailable):
    """The call was not sent: the server failed too often, and is left alone until the time the message names."""

    default_remedy = "check that UniERP runs, then run again after that time"


class OdooAnswerLost(OdooUnavailable):
    """The connection broke after a write was sent: it may or may not have been done.

    Never repeat the write; look first (external ids, states). The bulk and document functions do so themselves.
    ``status`` is the HTTP status of a gateway that gave up, if it was that.
    """

    status: int | None = None

    default_remedy = "look whether the write was done before repeating it; the next run does so by itself"


class OdooLoginFailed(OdooError):
    """Database, login, password or API key is wrong."""

    default_remedy = "check UNIERP_ODOO_DB, UNIERP_ODOO_LOGIN and UNIERP_ODOO_PASSWORD"


class OdooAccessDenied(OdooError):
    """The user may not do this."""

    default_remedy = "give the integration user the access rights the message names"


class OdooValidationError(OdooError):
    """The server refused the values (constraint, required field, wrong type, business rule)."""

    default_remedy = "correct the record's values at their source"


class OdooMissingRecord(OdooError):
    """The record was deleted, or never existed."""

    default_remedy = "the record was deleted in UniERP; run again so that it is found missing and made anew"


class OdooMissingModule(OdooError):
    """A model (or field) is absent because the Odoo app that brings it is not installed."""

    default_remedy = "install the missing app in UniERP"


class OdooUnsupported(OdooError):
    """This generation of Odoo has no public way to do it."""

    default_remedy = "do this step in UniERP by hand, or use a newer server"


class OdooConcurrencyError(OdooError):
    """Somebody else wrote the same records at the same time; the server rolled this call back."""

    default_remedy = "run again; if it persists, lower the number of connections"
