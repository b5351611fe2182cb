"""Processes of the servers die while a sync works with them: a worker of Odoo, sessions of PostgreSQL, all of them."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from origin import Undisturbed, assert_healed_by_one_sync
from world import Origin, World

from unierp_assets.odoo import OdooError
from unierp_assets.odoo.session import READS
from unierp_assets.odoo.transport import Transport
from unierp_assets.storefront.source import StorefrontError
from unierp_assets.warehouse.errors import WarehouseError

Blow = Callable[[Origin, World, Transport], None]
CLEAR_ERRORS = (OdooError, StorefrontError, WarehouseError)
"""What a sync may end with: errors that name the system and the remedy."""


def kill_the_worker(origin: Origin, _world: World, transport: Transport) -> None:
    """SIGKILL to the worker of Odoo that has this connection, or to any where the call has ended meanwhile."""
    connection = transport._opener._connection
    ours = connection.sock.getsockname() if connection and connection.sock else None
    workers = origin.server.workers
    serving = [worker for worker in workers if ours in [each.raddr for each in worker.net_connections("tcp")]]
    (serving or workers)[0].kill()


def end_the_warehouse_sessions(_origin: Origin, world: World, _transport: Transport) -> None:
    end_sessions(world, world.warehouse_name)


def end_the_odoo_sessions(_origin: Origin, world: World, _transport: Transport) -> None:
    end_sessions(world, world.odoo.db)


def end_sessions(world: World, database: str) -> None:
    with world.postgres.connect() as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])


def kill_a_backend(_origin: Origin, world: World, _transport: Transport) -> None:
    """SIGKILL to a process of PostgreSQL, upon which it ends all others and recovers."""
    with world.postgres.connect() as connection:
        rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", [world.odoo.db]).fetchall()
    os.kill(rows[0][0], signal.SIGKILL)


SHORT: tuple[Blow, ...] = (kill_the_worker, end_the_warehouse_sessions)
LONG: tuple[Blow, ...] = (*SHORT, end_the_odoo_sessions, kill_a_backend)


@pytest.mark.parametrize("blow", SHORT)
def test_one_sync_heals_the_loss_of_a_process(
    blow: Blow, origin: Origin, undisturbed: Undisturbed, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike(blow, origin, undisturbed, chance, monkeypatch)


@pytest.mark.parametrize("blow", LONG)
def test_one_sync_heals_each_of_many_losses(
    loss: int,
    blow: Blow,
    origin: Origin,
    undisturbed: Undisturbed,
    chance: random.Random,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strike(blow, origin, undisturbed, chance, monkeypatch)


def strike(
    blow: Blow, origin: Origin, undisturbed: Undisturbed, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lets a sync be hit while one of its writes is under way, and looks at what the next one makes of it."""
    writes = sum(event.startswith("before a write to UniERP") for event in undisturbed.events)
    left, after = chance.randint(1, writes), chance.uniform(0, 0.05)
    struck: list[str] = []
    original = Transport.rpc
    lock = threading.Lock()

    with origin.copy() as world:
        make_durable(world)

        def hit_it(transport: Transport, what: str) -> None:
            blow(origin, world, transport)
            struck.append(what)

        def rpc(transport: Transport, service: str, method: str, args: list[Any], **more: Any) -> Any:
            nonlocal left
            if service == "object" and args[4] not in READS:
                with lock:
                    left -= 1
                    hit = left == 0
                if hit:
                    threading.Timer(after, hit_it, (transport, f"{args[3]}.{args[4]}")).start()
            return original(transport, service, method, args, **more)

        monkeypatch.setattr(Transport, "rpc", rpc)
        try:
            world.sync()
            print(f"{after:.3f} s into {struck}; it went on")
        except CLEAR_ERRORS as error:
            print(f"{after:.3f} s into {struck}; it ended: {error}")
        monkeypatch.undo()
        assert struck
        until_postgres_is_back(world)
        assert_healed_by_one_sync(world, undisturbed.outcome)


def make_durable(world: World) -> None:
    """The tests' PostgreSQL forgets the last moments when it crashes; these databases are not to."""
    with world.postgres.connect() as connection:
        for name in (world.odoo.db, world.warehouse_name, world.shop_name):
            connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = on'.encode())


def until_postgres_is_back(world: World) -> None:
    for _ in range(300):
        if world.postgres.accepts():
            return
        time.sleep(0.1)
    raise AssertionError("PostgreSQL did not recover")
