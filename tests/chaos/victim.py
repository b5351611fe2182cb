"""The process that is disturbed: it runs one sync as ``unierp sync`` does.

It writes a line for each event of the run, and kills itself with SIGKILL at the n-th event of the chosen point, so that
nothing can be tidied up. What becomes of the systems afterwards is looked at by the tests.

A victim is forked from a process that has imported what a sync needs: what a kill does is the same, and dozens of
victims need not wait for their imports.
"""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from unierp_assets.odoo.session import READS
from unierp_assets.odoo.transport import Transport
from unierp_assets.storefront.sql import SqlStorefront
from unierp_assets.sync import pipeline
from unierp_assets.sync.load import apply as applying
from unierp_assets.wiring import open_systems

BEFORE_UNIERP = "before a write to UniERP"
AFTER_UNIERP = "after a write to UniERP"
BEFORE_SHOP = "before a write to the shop"
AFTER_SHOP = "after a write to the shop"
BEFORE_AGREEMENT = "before the agreement"
BEFORE_COMMIT = "before the commit of the agreement"
AFTER_COMMIT = "after the commit of the agreement"
POINTS = (BEFORE_UNIERP, AFTER_UNIERP, BEFORE_SHOP, AFTER_SHOP, BEFORE_AGREEMENT, BEFORE_COMMIT, AFTER_COMMIT)

BEGUN = "begun"


class Fate:
    """Counts the events of a run and ends the process at the chosen one."""

    def __init__(self, point: str | None, nth: int) -> None:
        self._point = point
        self._left = nth
        self._lock = threading.Lock()

    def meets(self, point: str, what: str) -> None:
        """Called by whichever thread comes to an event."""
        with self._lock:
            # Not print: the line has to be out before the process dies.
            os.write(1, f"{point}: {what}\n".encode())
            if point == self._point:
                self._left -= 1
                if not self._left:
                    os.kill(os.getpid(), signal.SIGKILL)


def arrange(fate: Fate) -> None:
    """Lets the fate see every write to UniERP and to the shop, and every agreement."""

    def watched(owner: Any, name: str, before: str, after: str, describe: Callable[..., str | None]) -> None:
        original = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            what = describe(*args)
            if what and before:
                fate.meets(before, what)
            answer = original(*args, **kwargs)
            if what and after:
                fate.meets(after, what)
            return answer

        setattr(owner, name, call)

    def write_of(_transport: Any, service: str, _method: str, arguments: list[Any]) -> str | None:
        if service != "object" or arguments[4] in READS:
            return None
        return f"{arguments[3]}.{arguments[4]}"

    watched(Transport, "rpc", BEFORE_UNIERP, AFTER_UNIERP, write_of)
    for name in ("write", "link", "unlink"):
        watched(SqlStorefront, name, BEFORE_SHOP, AFTER_SHOP, lambda _shop, table, _rows, name=name: f"{table} {name}")
    watched(applying, "_agree", BEFORE_AGREEMENT, BEFORE_COMMIT, lambda _context, _tx, plan, *_: plan.entity.name)
    watched(pipeline, "apply", "", AFTER_COMMIT, lambda _context, plan: plan.entity.name)


def suffer(environment: Mapping[str, str], events: Connection, errors: str, point: str | None, nth: int) -> None:
    """What the process does: a sync with these settings, whose events and errors go where the caller reads them."""
    os.dup2(events.fileno(), 1)
    events.close()
    with Path(errors).open("w") as file:
        os.dup2(file.fileno(), 2)
    # The process it is forked from has the settings of whoever runs the tests.
    os.environ.clear()
    os.environ.update(environment)
    arrange(Fate(point, nth))
    with open_systems() as systems:
        os.write(1, f"{BEGUN}\n".encode())
        systems.warehouse.upgrade()
        pipeline.Pipeline(systems.context(pipeline.new_run_id())).sync()
