"""Several machines: the steps of a run on two workers, through a real Redis, with Dagster's daemon and web server.

The same shop is synchronised twice: by the workers, of which one is killed, and by one process.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
from fingerprint import differences, fingerprint
from pydantic import SecretStr
from world import World, make_world

from unierp_assets.assets.jobs import SYNC_ALL
from unierp_assets.lab.postgres import PostgresServer, drop_database, ensure_database
from unierp_assets.lab.processes import HOST, free_port, spawn, stop, wait_until
from unierp_assets.lab.redis import RedisServer
from unierp_assets.lab.services import Services
from unierp_assets.resources.instance import DagsterProcesses, dagster_home, prepare_dagster_home
from unierp_assets.settings import Settings

if TYPE_CHECKING:
    from conftest import RunningOdoo

SIZE = (4, 4, 4)
WORKERS = ("first", "second")
VICTIM = "unierp__products"
"""The step in whose middle its worker is killed."""
LOST_SECONDS = 10
PATIENCE = 420
"""Seconds that half a run may take on a machine that does something else too; a free one needs a quarter of it."""

pytestmark = [
    pytest.mark.timeout(1200),
    # What becomes of a record is the same wherever the step is taken; that each version is loaded rightly is told in
    # test_sync.
    pytest.mark.parametrize("odoo_server", ["19"], indirect=True, scope="module"),
]


@dataclass
class Deployment:
    """Dagster and its workers on a world."""

    world: World
    dagster: DagsterProcesses
    records: str
    environment: dict[str, str]
    home: Path
    workers: dict[str, psutil.Process]

    def start_worker(self, name: str) -> None:
        command = [sys.executable, "-m", "unierp_assets.cli", "worker", "--name", name]
        started = spawn(command, env={**os.environ, **self.environment}, log=self.home / f"{name}.log")
        self.workers[name] = psutil.Process(started.pid)

    def kill_worker(self, name: str) -> None:
        """As the loss of its machine would: the worker and what it is at, without a word."""
        worker = self.workers.pop(name)
        for process in (worker, *worker.children(recursive=True)):
            process.kill()
        worker.wait()

    def submit(self, job: str) -> str:
        """Asks the web server for a run, as its page does; the daemon launches it."""
        from dagster_graphql import DagsterGraphQLClient

        return DagsterGraphQLClient(HOST, port_number=int(self.dagster.url.rpartition(":")[2])).submit_job_execution(
            job
        )

    def status(self, run: str) -> str:
        return self._asked("SELECT status FROM runs WHERE run_id = %s", run)[0][0]

    def finished(self, run: str) -> bool:
        return self.status(run) in ("SUCCESS", "FAILURE", "CANCELED")

    def taken_by(self, run: str, step: str = "%") -> list[str]:
        """The workers that took steps of a run, in this order."""
        rows = self._asked(
            "SELECT event FROM event_logs WHERE run_id = %s AND step_key LIKE %s AND event LIKE '%%Celery worker%%' "
            "ORDER BY id",
            run, step,
        )  # fmt: skip
        return [found[1] for (event,) in rows if (found := re.search(r"\b(first|second)@", event))]

    def _asked(self, question: str, *values: str) -> list[tuple[str, ...]]:
        with psycopg.connect(self.records) as connection:
            return connection.execute(question.encode(), values).fetchall()

    def told(self) -> str:
        """What everybody wrote to their logs at last."""
        return "\n".join(f"{log.name}: {log.read_text()[-3000:]}" for log in self.home.rglob("*.log"))


@pytest.fixture(scope="module")
def alone(odoo_server: "RunningOdoo", postgres: PostgresServer) -> Iterator[World]:
    """The same shop for one process."""
    with make_world(odoo_server, postgres, size=SIZE) as made:
        yield made


@pytest.fixture(scope="module")
def deployment(
    odoo_server: "RunningOdoo",
    postgres: PostgresServer,
    redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """The same shop in a world of its own, a web server, a daemon and two workers."""
    records = ensure_database(postgres, "celery_dagster")
    with ExitStack() as stack:
        stack.callback(drop_database, postgres, "celery_dagster")
        world = stack.enter_context(make_world(odoo_server, postgres, size=SIZE))
        settings = Settings(home=tmp_path_factory.mktemp("home"), executor="celery", broker_url=SecretStr(redis.url))
        services = Services(
            odoo_url=world.odoo.url,
            odoo_db=world.odoo.db,
            odoo_login=world.odoo.login,
            odoo_password=SecretStr(world.odoo.password),
            warehouse_url=SecretStr(postgres.url(world.warehouse_name)),
            storefront_url=SecretStr(postgres.url(world.shop_name)),
            dagster_url=SecretStr(records),
            broker_url=settings.broker_url,
        )
        environment = prepare_dagster_home(settings, services)
        # What the sensors ask for, and what it costs to look, is no part of this.
        environment |= {"UNIERP_WORKER_LOST_SECONDS": str(LOST_SECONDS), "UNIERP_AUTOMATIC": "false"}
        home = dagster_home(settings)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("UNIERP_WORKER_LOST_SECONDS", str(LOST_SECONDS))
            dagster = DagsterProcesses(home, environment, free_port())
        stack.callback(dagster.close)
        made = Deployment(world, dagster, records, environment, home, {})
        stack.callback(lambda: [stop([worker], patience=10) for worker in made.workers.values()])
        for name in WORKERS:
            made.start_worker(name)
        assert dagster.wait_until_ready(), made.told()
        yield made


def test_two_workers_share_a_run_and_one_that_is_killed_in_the_middle_loses_nothing(
    deployment: Deployment, alone: World
) -> None:
    run = deployment.submit(SYNC_ALL)
    alone.sync()
    begun = wait_until(lambda: bool(deployment.taken_by(run, VICTIM)) or deployment.finished(run), PATIENCE)
    assert begun, deployment.told()
    (victim,) = deployment.taken_by(run, VICTIM)
    deployment.kill_worker(victim)
    shared = deployment.taken_by(run)
    assert set(shared) == set(WORKERS)
    assert wait_until(lambda: deployment.finished(run), PATIENCE), deployment.told()
    assert deployment.status(run) == "SUCCESS", deployment.told()
    assert set(deployment.taken_by(run)[len(shared) :]) == {name for name in WORKERS if name != victim}
    assert differences(fingerprint(alone), fingerprint(deployment.world)) == []
    assert deployment.world.sync().odoo_writes == 0


def test_the_password_of_the_broker_is_in_no_file_and_in_no_record(deployment: Deployment, redis: RedisServer) -> None:
    assert not [
        path
        for path in deployment.home.rglob("*")
        if path.is_file() and redis.password in path.read_text(errors="ignore")
    ]
    with psycopg.connect(deployment.records) as connection:
        for table, column in (("event_logs", "event"), ("runs", "run_body"), ("snapshots", "snapshot_body")):
            found = connection.execute(
                f"SELECT count(*) FROM {table} WHERE {column}::text LIKE %s", [f"%{redis.password}%"]
            ).fetchone()
            assert found == (0,), table
