"""What every step of a sync works with: the three systems, the run, and somebody to tell about progress."""

import getpass
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from unierp_assets.odoo import OdooSession
from unierp_assets.storefront.source import Storefront
from unierp_assets.sync.load.codec import Lookups
from unierp_assets.warehouse.store import Warehouse


def _silent(_phase: str, _subject: str) -> None:
    """The listener of those who want none."""


def whoami() -> str:
    """User and machine, as the ledger names them."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


@dataclass
class SyncContext:
    """The systems and the settings of one run. Holds no secrets of its own.

    ``namespace`` is the module part of the external ids in UniERP. ``overlap`` is how far incremental reads go back.
    ``actor`` is who the ledger says it was. ``slice_rows`` bounds how many rows are worked on at a time. ``on_step`` is
    told (phase, subject) as work begins. ``time_zone`` is that of the business, which says of which day an
    instant is. When more rows of an entity vanish at once than ``removal_rows`` and than
    ``removal_percent`` of it, nothing is withdrawn but where ``confirmed`` says how many, by entity.
    """

    warehouse: Warehouse
    storefront: Storefront
    session: OdooSession
    run_id: str
    namespace: str = "unierp"
    overlap: timedelta = timedelta(seconds=60)
    slice_rows: int = 20_000
    batch: int = 500
    time_zone: str = "UTC"
    removal_rows: int = 20
    removal_percent: Decimal = Decimal(5)
    confirmed: Mapping[str, int] = field(default_factory=dict)
    actor: str = field(default_factory=whoami)
    on_step: Callable[[str, str], None] = _silent
    lookups: Lookups = field(init=False)
    faults: dict[str, set[str]] = field(init=False, default_factory=dict)
    """By entity: the keys of the records that the program stumbled over in this run while it took them in. Nothing is
    done with them."""
    stamps: dict[str, tuple[datetime, dict[int, dict[str, Any]]]] = field(init=False, default_factory=dict)
    """By model: since when, and id and ``write_date`` of what was written since, as found in this pass over UniERP."""

    def __post_init__(self) -> None:
        self.lookups = Lookups(self.session)
