"""What Dagster forgets, and where steps are taken: without any service."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from unierp_assets.assets.operations import PURGE, purge
from unierp_assets.definitions import build_defs
from unierp_assets.lab.errors import LabError
from unierp_assets.settings import get_settings

SOON = timedelta(minutes=1)


@dg.asset
def stock() -> None:
    """Something that is made again and again."""


@dg.op
def breaks() -> None:
    """Something that never is."""
    raise ValueError


@dg.job
def broken() -> None:
    """A run of it."""
    breaks()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as made:
        yield made


def _printed(instance: dg.DagsterInstance) -> list[Path]:
    """The folders with what runs printed."""
    return [entry for entry in Path(instance.storage_directory()).iterdir() if (entry / "compute_logs").is_dir()]


def test_a_purge_leaves_the_run_that_last_made_an_asset(instance: dg.DagsterInstance) -> None:
    runs = [dg.materialize([stock], instance=instance).run_id for _ in range(3)]
    broken.execute_in_process(instance=instance, raise_on_error=False)
    assert {entry.name for entry in _printed(instance)} >= set(runs)
    assert purge(instance, datetime.now(UTC) + SOON) == 3
    assert [run.run_id for run in instance.get_runs()] == runs[-1:]
    assert [entry.name for entry in _printed(instance)] == runs[-1:]
    event = instance.get_latest_materialization_event(stock.key)
    assert event is not None
    assert event.run_id == runs[-1]


def test_a_purge_leaves_what_is_recent_and_what_has_not_ended(instance: dg.DagsterInstance) -> None:
    dg.materialize([stock], instance=instance)
    dg.materialize([stock], instance=instance)
    waiting = instance.create_run_for_job(broken).run_id
    assert purge(instance, datetime.now(UTC) - timedelta(days=1)) == 0
    purge(instance, datetime.now(UTC) + SOON)
    assert waiting in {run.run_id for run in instance.get_runs()}


def test_records_are_purged_every_night() -> None:
    repository = build_defs().get_repository_def()
    (schedule,) = [found for found in repository.schedule_defs if found.job_name == PURGE]
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    get_settings.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.mark.parametrize("executor", ["in_process", "multiprocess", "celery"])
def test_a_setting_alone_decides_where_steps_are_taken(environment: pytest.MonkeyPatch, executor: str) -> None:
    environment.setenv("UNIERP_EXECUTOR", executor)
    environment.setenv("UNIERP_BROKER_URL", "redis://:key@127.0.0.1:1/0")
    job = build_defs().resolve_job_def("sync_all")
    assert job.executor_def.name == executor


def test_workers_without_a_redis_are_refused_with_the_remedy(
    environment: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environment.setenv("UNIERP_EXECUTOR", "celery")
    environment.setenv("UNIERP_HOME", str(tmp_path_factory.mktemp("home")))
    with pytest.raises(LabError, match="UNIERP_BROKER_URL"):
        build_defs()
