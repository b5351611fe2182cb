"""How a message is sent: by apprise, to every address of the configuration.

Belongs here: addresses, sending, and that no failure of it reaches the caller. Does not belong here: what is sent and
when (``rules.py``). Addresses hold passwords: they are never logged, only their kind and host.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unierp_assets.alerts.rules import Message

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """One place where messages go. ``name`` recognises it later and tells nothing; ``where`` may be shown."""

    name: str
    where: str
    server: Any


def addresses(text: str) -> tuple[list[Address], int]:
    """The addresses of a comma separated list, and how many of its parts are none."""
    import apprise
    from apprise.utils.parse import parse_urls

    found, not_understood = [], 0
    for url in dict.fromkeys(parse_urls(text)):
        server = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        if server is None:
            not_understood += 1
            continue
        name = hashlib.sha256(url.encode()).hexdigest()[:12]
        found.append(Address(name, f"{url.partition('://')[0]} ({server.host or server.service_name})", server))
    return found, not_understood


def send(message: Message, to: Sequence[Address]) -> frozenset[str]:
    """Sends a message to the addresses it has not reached yet; the names of all it has reached now."""
    import apprise

    kinds = {
        "info": apprise.NotifyType.INFO,
        "warning": apprise.NotifyType.WARNING,
        "critical": apprise.NotifyType.FAILURE,
        "over": apprise.NotifyType.SUCCESS,
    }
    reached = set(message.reached)
    for address in to:
        if address.name in reached:
            continue
        try:
            arrived = address.server.notify(
                body=message.body,
                title=message.title,
                notify_type=kinds[message.kind],
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception:  # noqa: BLE001  # whatever a provider's module does, it stops no sync
            arrived = False
        if arrived:
            reached.add(address.name)
        else:
            _log.warning("An alert could not be sent to %s; it is tried again.", address.where)
    return frozenset(reached)
