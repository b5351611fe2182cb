"""What the server's errors mean: from ``error.data`` of JSON-RPC, or a message of ``load``, to a typed error.

Only text is looked at; nothing is sent. Sources: ``odoo/service/model.py`` and ``odoo/exceptions.py`` of each
generation, and observation of real servers.
"""

import re
from collections.abc import Mapping
from typing import Any

from unierp_assets.odoo.catalogue import module_of
from unierp_assets.odoo.errors import (
    OdooAccessDenied,
    OdooAnswerLost,
    OdooConcurrencyError,
    OdooError,
    OdooLoginFailed,
    OdooMissingModule,
    OdooMissingRecord,
    OdooUnsupported,
    OdooValidationError,
)

# Rolled back because of somebody else: repeating is right.
CONFLICTS = re.compile(
    r"could not serialize access|deadlock detected|could not obtain lock|current transaction is aborted"
    # Disguised ones. 14 retries invoices with values the first try has changed; confirming an order twice at once
    # collides on its followers; two first counts of one quant on 14 and 13 end in a false lack of rights; two first
    # invoices of a month on 14 want the same number.
    r"|account_move_line_check_accountable_required_fields"
    r"|mail_followers\w*_uniq|mail_followers_res_partner_res_model_id_uniq"
    r"|must have an unique sequence number per company|duplicate key value .*account_move_unique_name"
    r"|create 'Quants'|'Quants' \(stock\.quant\)",
    re.IGNORECASE,
)
CONFLICT_NAMES = ("SerializationFailure", "DeadlockDetected", "LockNotAvailable", "InFailedSqlTransaction")

# The server has lost its database, or has none at the moment: says nothing of the record, and nobody knows what became
# of the transaction.
LOST = re.compile(
    r"terminating connection|server closed the connection|connection (?:already|is|has been|was) closed"
    r"|cursor already closed|could not connect to server|connection to server .* failed|connection not open"
    r"|database system is (?:starting up|shutting down|in recovery mode|not yet accepting)|too many clients"
    r"|connection pool is full|SSL SYSCALL error|no connection to the server",
    re.IGNORECASE,
)
# A failed connection as well, but of a database that never was there.
NO_DATABASE = re.compile(r"database \"[^\"]*\" does not exist")
# The record that is missing is the one who calls.
NO_USER = re.compile(r"res\.users\((?P<id>\d+),?\), [^:(]+: (?P=id)\)")
LOST_NAMES = ("AdminShutdown", "CrashShutdown", "CannotConnectNow", "InterfaceError", "PoolError", "TooManyConnections")

_FIELD = (
    re.compile(r"Invalid field ['\"]?(?P<field>\w+)['\"]? on (?:model )?['\"]?(?P<model>[\w.]+)"),
    re.compile(r"Invalid field ['\"]?(?P<model>[a-z_0-9]+(?:\.[a-z_0-9]+)+?)\.(?P<field>\w+)['\"]?"),
    re.compile(r"Field:.*?\((?P<field>\w+)\)"),
    re.compile(r"Model: .*?\((?P<model>[\w.]+)\).*?Field:.*?\((?P<field>\w+)\)", re.DOTALL),
    re.compile(r"in field ['\"](?P<field>[\w/ .]+)['\"]"),
    re.compile(r"column \"(?P<field>\w+)\""),
)
_MODEL_ABSENT = re.compile(r"Object (?P<model>[\w.]+) doesn't exist|KeyError: '(?P<key>[a-z_0-9]+(?:\.[a-z_0-9]+)+)'")
_RECORD = re.compile(r"Records?: (?P<record>[\w.]+\([\d, ]+\)|[^\n,()]+\(ID: \d+\)|[\w.]+,\d+)")


def is_conflict(message: str) -> bool:
    """True if the text is that of a concurrent write, open or disguised."""
    return bool(CONFLICTS.search(message))


def _find_field(message: str) -> tuple[str | None, str | None]:
    for pattern in _FIELD:
        found = pattern.search(message)
        if found:
            groups = found.groupdict()
            return groups.get("model"), groups["field"]
    return None, None


def missing_module(model: str, *, server: str | None = None, field: str | None = None) -> OdooMissingModule:
    """The error for a model or field that is not there, naming the app that brings it."""
    module = module_of(model, field)
    what = f"field {field} of model {model}" if field else f"model {model}"
    remedy = f"install the app '{module}' in UniERP" if module else None
    return OdooMissingModule(
        f"UniERP has no {what} for this user", server=server, model=model, field=field, remedy=remedy
    )


def fault(error: Mapping[str, Any], *, server: str, model: str | None = None) -> OdooError:
    """The typed error of a JSON-RPC ``error`` object (``{"code", "message", "data": {"name", "message"}}``)."""
    data = error.get("data") or {}
    name = str(data.get("name") or "")
    message = str(data.get("message") or error.get("message") or "unknown error").strip()
    short = name.rsplit(".", 1)[-1]

    if short in CONFLICT_NAMES or is_conflict(message):
        return OdooConcurrencyError(message, server=server, model=model)
    if "OperationalError" in short and NO_DATABASE.search(message):
        return OdooLoginFailed("UniERP has no such database", server=server, remedy="check UNIERP_ODOO_DB")
    if short in LOST_NAMES or LOST.search(message):
        return _lost(message, server, model)
    if short == "AccessDenied" or (short == "MissingError" and NO_USER.search(message)):
        return OdooLoginFailed("UniERP refuses the login", server=server)
    absent = _MODEL_ABSENT.search(message)
    if absent or (short == "KeyError" and model is not None and model in message):
        return missing_module((absent and (absent["model"] or absent["key"])) or model or "", server=server)
    if short == "AttributeError":
        return OdooUnsupported(message, server=server, model=model)
    found_model, field = _find_field(message)
    record = _RECORD.search(message)
    where: dict[str, str | None] = {
        "server": server,
        "model": found_model or model,
        "field": field,
        "record": record["record"].strip() if record else None,
    }
    if short == "AccessError":
        return OdooAccessDenied(message, **where)
    if short == "MissingError":
        return OdooMissingRecord(message, **where)
    if short in ("UserError", "ValidationError", "RedirectWarning", "IntegrityError", "Warning") or short.endswith(
        "Violation"
    ):
        return OdooValidationError(message, **where)
    if short in ("ValueError", "TypeError") or name.startswith("psycopg2"):
        return OdooValidationError(message, **where)
    return OdooError(message, **where)


def _lost(message: str, server: str, model: str | None) -> OdooAnswerLost:
    said = message.splitlines()[0]
    return OdooAnswerLost(f"UniERP lost its database in the middle of a call ({said})", server=server, model=model)


def load_fault(message: Mapping[str, Any], *, server: str, model: str) -> OdooError:
    """The typed error of one entry of ``load``'s ``messages``."""
    text = str(message.get("message") or "unknown error")
    if is_conflict(text):
        return OdooConcurrencyError(text, server=server, model=model)
    if LOST.search(text):
        return _lost(text, server, model)
    found_model, found_field = _find_field(text)
    field = message.get("field") or found_field
    remedy = str(message["moreinfo"]) if isinstance(message.get("moreinfo"), str) else None
    return OdooValidationError(
        text, server=server, model=found_model or model, field=str(field) if field else None, remedy=remedy
    )
