"""Dagster's own instance on the lab: where it keeps its records, and its web page, daemon and code server together.

Belongs here: ``DAGSTER_HOME`` and the processes of ``unierp ui``. Does not belong here: what Dagster runs. The files
are written anew at every start; secrets are in none of them, but in the environment of the processes.
"""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import psutil

from unierp_assets.lab.processes import HOST, free_port, is_free, spawn, stop
from unierp_assets.resources.executors import RUNS_QUEUE, workers_take

if TYPE_CHECKING:
    from unierp_assets.lab.services import Services
    from unierp_assets.settings import Settings

STORAGE_VARIABLE = "UNIERP_DAGSTER_URL"
BROKER_VARIABLE = "UNIERP_BROKER_URL"
EXECUTOR_VARIABLE = "UNIERP_EXECUTOR"
RUNS_AT_A_TIME = 4
START_SECONDS = 300
"""How long the web page may take to answer."""
STOP_SECONDS = 60

_LAB = "# Written by `unierp ui` at every start: changes are lost. A deployment brings a file of its own."
_DEPLOYED = """\
# Dagster's instance in production: copy it to the folder DAGSTER_HOME names, wherever Dagster or a worker runs.
# Written by `unierp docs` from what the lab runs on: change it in unierp_assets/resources/instance.py."""

_INSTANCE = """\
{head}
telemetry:
  enabled: false
nux:
  enabled: false
{storage}
{launcher}
# A run whose process vanished (a machine that is gone, kill -9) is noticed and ended.
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  # What a cancelled or killed run held is given back.
  free_slots_after_run_end_seconds: 60
  poll_interval_seconds: 10
# Only such a run is started again. One whose step failed is not: the engine has repeated by then what may be repeated.
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
# A run that a sensor asks for begins at once, not up to five seconds later.
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    dequeue_interval_seconds: 1
# The sensors that look for changes wait for them within a tick, others may wait for a system: none keeps another
# waiting.
sensors:
  use_threads: true
  num_workers: 6
concurrency:
  runs:
    max_concurrent_runs: {runs}
  # Steps that write to a system are in the pool of its name. One run at a time may write to each; the others wait in
  # the queue, where they cost nothing.
  pools:
    granularity: run
    default_limit: 1
# The log for machines: only where UNIERP_LOG_FILE names a file.
python_logs:
  dagster_handler_config:
    handlers:
      machines:
        class: unierp_assets.logs.JsonHandler
        level: DEBUG
# Of ticks. Runs and their events are purged by the job purge_event_log, after UNIERP_EVENT_LOG_DAYS.
retention:
  schedule:
    purge_after_days: 30
  sensor:
    purge_after_days:
      skipped: 2
      failure: 30
      success: 30
"""

_POSTGRES = f"""\
storage:
  postgres:
    postgres_url:
      env: {STORAGE_VARIABLE}
"""

_LAUNCHER = f"""\
# Runs are taken by `unierp worker`, which waits for them with everything imported: that takes seconds otherwise.
run_launcher:
  module: unierp_assets.resources.launcher
  class: WorkerRunLauncher
  config:
    broker:
      env: {BROKER_VARIABLE}
    backend:
      env: {BROKER_VARIABLE}
    default_queue: {RUNS_QUEUE}
"""
_LAUNCHER_WANTED = "Where there is a Redis, and UNIERP_EXECUTOR is not celery, they can begin seconds earlier:\n"
_OWN_PROCESSES = "# Each run is a process that the code server starts."

_DAGSTER = """\
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("dagster", run_name="__main__", alter_sys=True)
"""
"""Runs Dagster's command. All its processes stop by what they do at SIGINT, which they inherit: a shell lets what it
starts in the background ignore it, and then nothing could stop them but force."""

_WORKSPACE = """\
load_from:
  - python_module:
      module_name: unierp_assets.definitions
      location_name: unierp_assets
"""


def prepare_dagster_home(settings: "Settings", services: "Services") -> dict[str, str]:
    """Writes ``dagster.yaml`` and ``workspace.yaml`` to ``<home>/dagster``; returns the environment that Dagster's
    processes need beyond the present one.

    Dagster's records are kept in the lab's PostgreSQL, or in files of that folder where the lab runs none. The
    addresses of all systems are passed on, so that every process works with those the caller resolved.
    """
    home = settings.home.expanduser().resolve()
    folder = dagster_home(settings)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_text(
        _INSTANCE.format(
            head=_LAB,
            storage=_POSTGRES if services.dagster_url else "# Records are kept in files of this folder.",
            launcher=_LAUNCHER if _workers_take_runs(settings.executor, services.broker_url) else _OWN_PROCESSES,
            runs=RUNS_AT_A_TIME,
        )
    )
    (folder / "workspace.yaml").write_text(_WORKSPACE)
    environment = {
        "DAGSTER_HOME": str(folder),
        "UNIERP_HOME": str(home),
        "UNIERP_ODOO_URL": services.odoo_url,
        "UNIERP_ODOO_DB": services.odoo_db,
        "UNIERP_ODOO_LOGIN": services.odoo_login,
        "UNIERP_ODOO_PASSWORD": services.odoo_password.get_secret_value(),
        "UNIERP_WAREHOUSE_URL": services.warehouse_url.get_secret_value(),
        "UNIERP_STOREFRONT_URL": services.storefront_url.get_secret_value(),
    }
    environment[EXECUTOR_VARIABLE] = settings.executor
    if services.broker_url:
        environment[BROKER_VARIABLE] = services.broker_url.get_secret_value()
    if services.dagster_url:
        environment[STORAGE_VARIABLE] = _for_dagster(services.dagster_url.get_secret_value())
    return environment


def deployed_instance() -> str:
    """``dagster.yaml`` of a deployment: the lab's, with its records in PostgreSQL and no Redis unless it is wanted."""
    launcher = f"{_OWN_PROCESSES}\n{textwrap.indent(_LAUNCHER_WANTED + _LAUNCHER, '# ').rstrip()}"
    return _INSTANCE.format(head=_DEPLOYED, storage=_POSTGRES, launcher=launcher, runs=RUNS_AT_A_TIME)


def _workers_take_runs(executor: str, broker: object) -> bool:
    return broker is not None and workers_take(executor) == RUNS_QUEUE


def dagster_home(settings: "Settings") -> Path:
    """The folder of Dagster's own files."""
    return settings.home.expanduser().resolve() / "dagster"


def _for_dagster(url: str) -> str:
    """The address with the driver that Dagster's storage speaks, whatever SQLAlchemy takes for its default."""
    from sqlalchemy import make_url

    return make_url(url).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


class DagsterProcesses:
    """Dagster's web page, daemon and code server of one ``DAGSTER_HOME``, started and stopped together."""

    def __init__(self, home: Path, environment: Mapping[str, str], port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self.log = home / "ui.log"
        dagster = [
            "-c", _DAGSTER, "dev", "--workspace", str(home / "workspace.yaml"),
            "--host", HOST, "--port", str(port), "--log-level", "warning",
        ]  # fmt: skip
        worker = ["-m", "unierp_assets.cli", "worker", "--name", "runs", "--processes", str(RUNS_AT_A_TIME)]
        # Workers that share steps are started where they are to run.
        runs = _workers_take_runs(environment[EXECUTOR_VARIABLE], environment.get(BROKER_VARIABLE))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._logs = [self.log, *([home / "worker.log"] if runs else [])]
        for command, log in zip((dagster, worker), self._logs, strict=False):
            log.unlink(missing_ok=True)
            # In a session of its own: Ctrl-C reaches us alone, and we end them in order.
            self._processes.append(spawn([sys.executable, *command], env={**os.environ, **environment}, log=log))

    @property
    def leaders(self) -> list[psutil.Process]:
        """Those that all others descend from."""
        found = []
        for process in self._processes:
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(process.pid))
        return found

    def descendants(self) -> list[psutil.Process]:
        """All processes that were started, and that these have started since."""
        return [each for leader in self.leaders for each in (leader, *leader.children(recursive=True))]

    def wait_until_ready(self, seconds: float = START_SECONDS) -> bool:
        """Whether the page came to answer within the time; False also when a process ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.is_alive():
            if self._answers():
                return True
            time.sleep(0.5)
        return False

    def is_alive(self) -> bool:
        """Whether the processes run."""
        return all(process.poll() is None for process in self._processes)

    @property
    def telling_log(self) -> Path:
        """The log of the process that has ended, else of Dagster's."""
        ended = (log for process, log in zip(self._processes, self._logs, strict=True) if process.poll() is not None)
        return next(ended, self.log)

    def wait(self) -> int:
        """Waits until one of them ends by itself; its exit code."""
        while self.is_alive():
            time.sleep(0.5)
        return next(process.returncode for process in self._processes if process.returncode is not None)

    def close(self) -> None:
        """Ends them, and the runs they have started."""
        started = self.descendants()
        leader = self._processes[0]
        if leader.poll() is None:
            leader.terminate()
            with suppress(subprocess.TimeoutExpired):
                leader.wait(STOP_SECONDS)
        stop([process for process in started if process.is_running()], patience=5)
        for process in self._processes:
            process.wait()

    def _answers(self) -> bool:
        # Never through a proxy: it is this machine.
        try:
            with build_opener(ProxyHandler({})).open(f"{self.url}/server_info", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


def run_ui(settings: "Settings", services: "Services", port: int = 3000) -> int:
    """Opens Dagster on these services until Ctrl-C; returns the exit code. A taken port is replaced by a free one."""
    from rich.console import Console

    console = Console(stderr=True)
    environment = prepare_dagster_home(settings, services)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    chosen = port if is_free(port) else free_port()
    if chosen != port:
        console.print(f"Port {port} is taken; using {chosen}.")
    dagster = DagsterProcesses(dagster_home(settings), environment, chosen)
    # Also where they were ignored: a shell does that to what it starts in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with console.status("Starting Dagster ..."):
            ready = dagster.wait_until_ready()
        if not ready:
            console.print(
                f"Dagster did not start. What it said is in {dagster.telling_log}", style="red", soft_wrap=True
            )
            return 1
        console.print(f"Dagster: [link={dagster.url}]{dagster.url}[/link] (Ctrl-C stops it)", soft_wrap=True)
        console.print(f"UniERP:  {services.odoo_url} (log in as {services.odoo_login})", soft_wrap=True)
        if settings.executor == "celery":
            console.print("Workers: start some with `unierp worker --name ...`, on this machine or others")
        console.print(f"Log:     {dagster.log}", soft_wrap=True, style="dim")
        return dagster.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        with console.status("Stopping Dagster ..."):
            dagster.close()
