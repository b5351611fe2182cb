"""The sync runs itself: a real web server, daemon and code server on a real Odoo, and nobody who pushes.

The tests of this module share one world and one Dagster and tell one story in the order in which they stand.
"""

import random
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest
from cost import cost
from pydantic import SecretStr
from receivers import Receiver, web_hook
from till import Till
from world import World, make_world

from unierp_assets.lab.postgres import Cluster, PostgresServer, drop_database, ensure_database
from unierp_assets.lab.processes import free_port, wait_until
from unierp_assets.lab.redis import RedisServer
from unierp_assets.lab.services import Services
from unierp_assets.resources.instance import DagsterProcesses, dagster_home, prepare_dagster_home
from unierp_assets.sensors import REPORTS_SECONDS
from unierp_assets.sensors.changes import WATCH_SECONDS
from unierp_assets.settings import Settings

if TYPE_CHECKING:
    from conftest import RunningOdoo

PATIENCE = 240
"""Seconds that a change may take on a busy machine before the test gives up."""

pytestmark = [pytest.mark.long, pytest.mark.parametrize("odoo_server", ["19"], indirect=True, scope="module")]


@pytest.fixture(scope="module")
def cluster(services_folder: Path) -> Iterator[Cluster]:
    """The warehouse's own PostgreSQL: where it is away, shop, UniERP and Dagster's records are still there."""
    made = Cluster(services_folder / "warehouse", durable=False)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def world(odoo_server: "RunningOdoo", postgres: PostgresServer, cluster: Cluster) -> Iterator[World]:
    with make_world(odoo_server, postgres, size=(10, 10, 10), warehouse_server=cluster.start()) as made:
        # However long the outages are, what is sold meanwhile is not to be told as low on stock.
        made.shop("UPDATE stock_levels SET on_hand = on_hand + 1000, available = available + 1000 WHERE on_hand > 0")
        made.sync()
        yield made


@pytest.fixture(scope="module")
def records(postgres: PostgresServer) -> Iterator[str]:
    """The URL of the database with Dagster's records."""
    yield ensure_database(postgres, "by_itself")
    drop_database(postgres, "by_itself")


@pytest.fixture(scope="module")
def people() -> Iterator[Receiver]:
    """Who is told of alerts."""
    with web_hook() as receiver:
        yield receiver


@dataclass
class Dagster:
    """Dagster with its sensors as they are by default."""

    home: Path
    environment: dict[str, str]
    records: str
    processes: DagsterProcesses

    @classmethod
    def start(cls, home: Path, environment: dict[str, str], records: str) -> "Dagster":
        started = cls(home, environment, records, DagsterProcesses(home, environment, free_port()))
        assert started.processes.wait_until_ready(), started.processes.log.read_text()
        return started

    def restart(self) -> None:
        self.processes.close()
        self.processes = self.start(self.home, self.environment, self.records).processes

    def daemon(self, _run: str) -> list[psutil.Process]:
        """The daemon's processes."""
        return [each for each in self.processes.descendants() if "dagster._daemon" in " ".join(each.cmdline())]

    def process_of(self, run: str) -> list[psutil.Process]:
        """The process that takes a run."""
        ((message,),) = ask(
            self.records,
            "SELECT event FROM event_logs WHERE run_id = %s AND event LIKE '%%Started process for run%%'",
            run,
        )
        (pid,) = re.findall(r"Started process for run \(pid: (\d+)\)", message)
        return [each for each in self.processes.descendants() if each.pid == int(pid)]


@pytest.fixture(scope="module")
def dagster(
    world: World, records: str, people: Receiver, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dagster]:
    """Dagster and breakers that open early."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    services = Services(
        odoo_url=world.odoo.url,
        odoo_db=world.odoo.db,
        odoo_login=world.odoo.login,
        odoo_password=SecretStr(world.odoo.password),
        warehouse_url=SecretStr(world.warehouse_url),
        storefront_url=SecretStr(world.postgres.url(world.shop_name)),
        dagster_url=SecretStr(records),
        broker_url=SecretStr(redis.url),
    )
    environment = prepare_dagster_home(settings, services)
    environment |= {"UNIERP_ALERT_URLS": people.url, "UNIERP_BREAKER_FAILURES": "2", "UNIERP_BREAKER_SECONDS": "5"}
    running = Dagster.start(dagster_home(settings), environment, records)
    try:
        yield running
    finally:
        running.processes.close()


@pytest.fixture(scope="module")
def till(world: World) -> Till:
    return Till(world)


def ask(records: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(records) as connection:
        return connection.execute(statement.encode(), values).fetchall()


def runs(records: str) -> list[tuple[Any, ...]]:
    """Job and status of Dagster's runs, in their order."""
    return ask(records, "SELECT pipeline_name, status FROM runs ORDER BY id")


def reprice(world: World, price: int, amount: Decimal) -> None:
    """What a person does in Odoo's form."""
    world.session.call("product.pricelist.item", "write", [world.odoo_id("prices", price)], {"fixed_price": amount})


def settled(world: World, order: int) -> bool:
    """Whether an order is confirmed, delivered, invoiced and paid in Odoo."""
    return world.odoo_rows(
        "SELECT o.state, m.state, m.payment_state, p.state FROM sale_order o "
        "JOIN account_move m ON m.invoice_origin = o.name JOIN stock_picking p ON p.sale_id = o.id "
        "WHERE o.client_order_ref = %s",
        f"T{order}",
    ) in ([("sale", "posted", "paid", "done")], [("sale", "posted", "in_payment", "done")])


def arrived_after(condition: Callable[[], bool], what: str) -> float:
    started = time.monotonic()
    assert wait_until(condition, PATIENCE, pause=0.2), f"{what} did not arrive"
    return time.monotonic() - started


def priced(world: World, price: int, amount: Decimal) -> bool:
    return world.shop("SELECT amount FROM prices WHERE id = %s", price) == [(amount,)]


def test_changes_arrive_on_the_other_side_with_nobody_touching_anything(
    world: World, dagster: Dagster, records: str, till: Till, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(request.config.option.chaos_seed)
    prices = [
        int(key)
        for (key,) in world.warehouse_rows(
            "SELECT b.key FROM sync.bindings b JOIN staging.prices s ON s.key = b.key AND s._status = 'accepted' "
            "WHERE b.entity = 'prices' ORDER BY length(b.key), b.key"
        )
    ]
    seconds: dict[str, list[float]] = {"price from UniERP to the shop": [], "order from the shop to UniERP": []}
    for number in range(request.config.option.changes):
        # At any moment of the sensors' interval.
        time.sleep(chance.uniform(0, 6))
        if number % 2:
            order = till.sell(1, 2)
            taken = arrived_after(lambda order=order: settled(world, order), f"order {order}")  # type: ignore[misc]
            seconds["order from the shop to UniERP"].append(taken)
        else:
            price, amount = prices[number % len(prices)], Decimal(1000 + number)
            reprice(world, price, amount)
            taken = arrived_after(lambda p=price, a=amount: priced(world, p, a), f"price {price}")  # type: ignore[misc]
            seconds["price from UniERP to the shop"].append(taken)
        print(f"{number:3} {taken:6.1f} s", flush=True)
    everything = [taken for each in seconds.values() for taken in each]
    for what, each in (*seconds.items(), ("all", everything)):
        print(f"{what}: median {statistics.median(each):.1f} s, p95 {percentile(each, 95):.1f} s, {len(each)} changes")
    assert {status for _, status in runs(records)} <= {"SUCCESS", "STARTED", "QUEUED", "STARTING"}


def test_with_nothing_to_do_no_run_starts_and_every_sensor_is_well(
    world: World,
    dagster: Dagster,
    records: str,
    odoo_server: "RunningOdoo",
    redis: RedisServer,
    request: pytest.FixtureRequest,
) -> None:
    assert wait_until(lambda: is_quiet(records) and reports_have_followed(records), PATIENCE, pause=1)
    servers = (world.postgres, world.warehouse_server, redis)
    leaders = [
        *dagster.processes.leaders,
        *(psutil.Process(server.process.pid) for server in servers if server.process),
        odoo_server.workers[0].parent(),
    ]
    before, spent = runs(records), cost(leaders)
    seconds = max(request.config.option.idle, 2 * WATCH_SECONDS)
    time.sleep(seconds)
    after = cost(leaders)
    assert runs(records) == before
    print(f"{seconds:.0f} s with nothing to do")
    for kind, total in after.seconds.items():
        print(f"{kind:12} {total - spent.seconds[kind]:7.1f} s {after.memory[kind] / 1e6:7.0f} MB")
    ticks = ask(
        records,
        "SELECT status, tick_body::json ->> 'job_name' FROM job_ticks "
        "WHERE timestamp > now() AT TIME ZONE 'UTC' - %s * interval '1 second'",
        2 * WATCH_SECONDS,
    )
    assert {status for status, _ in ticks} <= {"SKIPPED", "STARTED"}
    assert {"storefront_changes", "unierp_changes", "service_health"} <= {name for _, name in ticks}


def is_quiet(records: str) -> bool:
    """Whether no run is on its way and the last ticks on both sides found nothing."""
    if ask(records, "SELECT 1 FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"):
        return False
    looks = ask(
        records,
        "SELECT DISTINCT ON (1) tick_body::json ->> 'job_name', tick_body::json ->> 'skip_reason' FROM job_ticks "
        "WHERE tick_body::json ->> 'job_name' LIKE '%%_changes' AND status <> 'STARTED' ORDER BY 1, id DESC",
    )
    return [reason for _, reason in looks] == ["Nothing has changed."] * 2


def reports_have_followed(records: str) -> bool:
    """Whether all runs have ended, and reports would have been asked for since by a look of their sensor."""
    busy = ask(
        records,
        "SELECT count(*) FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED') "
        "OR update_timestamp > now() AT TIME ZONE 'UTC' - %s * interval '1 second'",
        REPORTS_SECONDS + 10,
    )
    return busy == [(0,)]


def outlast(
    stop: Callable[[], object],
    start: Callable[[], object],
    title: str,
    world: World,
    records: str,
    people: Receiver,
    till: Till,
    seconds: float,
) -> None:
    """Orders go on while a system is away. It is told once, waited out without runs, and told once when it is over;
    then every order arrives, once."""
    told, before, orders = len(people.messages), len(runs(records)), []
    stop()
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end or len(people.messages) == told:
            assert time.monotonic() < end + PATIENCE, "nobody was told of the outage"
            orders.append(till.sell(1))
            time.sleep(3)
        during = len(runs(records)) - before
    finally:
        start()
    back = time.monotonic()
    assert wait_until(lambda: all(settled(world, order) for order in orders), 2 * PATIENCE, pause=0.5)
    print(
        f"{len(orders)} orders arrived within {time.monotonic() - back:.1f} s after the outage, {during} runs meanwhile"
    )
    # Three looks may have gone by before it was clear that nobody answers.
    assert during <= 3
    assert not any(world.duplicates().values())
    assert wait_until(lambda: f"Over: {title}" in people.titles[told:], PATIENCE, pause=1)
    assert wait_until(lambda: is_quiet(records), PATIENCE, pause=1)
    assert people.titles[told:] == [f"Critical: {title}", f"Over: {title}"]


def test_an_outage_of_unierp_is_told_waited_out_and_healed(
    world: World,
    dagster: Dagster,
    records: str,
    people: Receiver,
    till: Till,
    odoo_server: "RunningOdoo",
    request: pytest.FixtureRequest,
) -> None:
    seconds = request.config.option.outage
    outlast(odoo_server.stop, odoo_server.start, "UniERP does not answer", world, records, people, till, seconds)


def test_an_outage_of_the_warehouse_is_told_waited_out_and_healed(
    world: World,
    dagster: Dagster,
    records: str,
    people: Receiver,
    till: Till,
    cluster: Cluster,
    request: pytest.FixtureRequest,
) -> None:
    def start() -> None:
        cluster.start(world.warehouse_server)

    seconds = request.config.option.outage
    outlast(cluster.stop, start, "The warehouse cannot be used", world, records, people, till, seconds)


def kill_in_the_middle(
    world: World, records: str, till: Till, victims_of: Callable[[str], list[psutil.Process]]
) -> tuple[int, str]:
    """Places an order, and kills processes when it is made in UniERP and its documents are not all; the order, and the
    run that was about it."""
    known = {run_id for (run_id,) in ask(records, "SELECT run_id FROM runs")}
    order = till.sell(2, 1)

    def started() -> list[str]:
        rows = ask(records, "SELECT run_id FROM runs WHERE status = 'STARTED'")
        return [run_id for (run_id,) in rows if run_id not in known]

    assert wait_until(lambda: bool(started()), PATIENCE)
    (victim,) = started()
    made = "SELECT id FROM sale_order WHERE client_order_ref = %s"
    assert wait_until(lambda: bool(world.odoo_rows(made, f"T{order}")), PATIENCE)
    victims = victims_of(victim)
    assert victims
    for process in victims:
        process.kill()
    return order, victim


def test_a_run_that_is_killed_loses_and_doubles_nothing(
    world: World, dagster: Dagster, records: str, till: Till
) -> None:
    order, victim = kill_in_the_middle(world, records, till, dagster.process_of)
    assert wait_until(lambda: settled(world, order), 2 * PATIENCE, pause=0.5)
    assert wait_until(lambda: is_quiet(records), PATIENCE, pause=1)
    assert not any(world.duplicates().values())
    assert ask(records, "SELECT status FROM runs WHERE run_id = %s", victim)[0][0] in ("FAILURE", "SUCCESS")


def test_a_daemon_that_is_killed_in_the_middle_of_a_run_loses_and_doubles_nothing(
    world: World, dagster: Dagster, records: str, till: Till
) -> None:
    first, _ = kill_in_the_middle(world, records, till, dagster.daemon)
    # Nobody looks at this one before the daemon is back.
    second = till.sell(1)
    dagster.restart()
    back = time.monotonic()
    assert wait_until(lambda: settled(world, first) and settled(world, second), 2 * PATIENCE, pause=0.5)
    print(f"2 orders arrived within {time.monotonic() - back:.1f} s after the daemon was back")
    assert wait_until(lambda: is_quiet(records), PATIENCE, pause=1)
    assert not any(world.duplicates().values())


def test_a_sale_that_crosses_the_threshold_is_told_once(
    world: World, dagster: Dagster, people: Receiver, till: Till, records: str
) -> None:
    # What counts is what is left in all locations together.
    variant = till.variants[1]
    ((sku, left),) = world.warehouse_rows(
        "SELECT v.sku, sum(l.available) FROM landing_unierp.stock_levels l JOIN staging.stock_levels s USING (key) "
        "JOIN staging.variants v ON v.key = s.variant WHERE s.variant = %s GROUP BY 1",
        str(variant),
    )
    told = f"Warning: {sku} is low on stock"
    assert told not in people.titles
    first = till.sell(int(left) - 4)
    assert wait_until(lambda: told in people.titles, 2 * PATIENCE, pause=1), (people.titles, sku, left)
    second = till.sell(1)
    assert wait_until(lambda: settled(world, first) and settled(world, second), PATIENCE, pause=1)
    assert wait_until(lambda: is_quiet(records), PATIENCE, pause=1)
    time.sleep(25)
    assert people.titles.count(told) == 1


def percentile(values: list[float], share: int) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]
