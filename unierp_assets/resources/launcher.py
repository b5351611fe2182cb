"""How runs are handed to workers: Dagster's launcher for Celery, and what it leaves untold.

Belongs here: runs that are cancelled, and runs whose worker is gone. Does not belong here: the worker
(``unierp_assets.worker``).
"""

from collections import Counter
from typing import Any

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

_ANSWER_SECONDS = 2
"""How long workers may take to say what they are at."""
_MISSED = 2
"""Looks in a row at which no worker knows of a run before it counts as lost."""


class WorkerRunLauncher(CeleryRunLauncher):
    """Hands runs to workers; named in ``dagster.yaml``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._missed: Counter[str] = Counter()

    def terminate(self, run_id: str) -> bool:
        """Ends a run that somebody cancelled; whether there was one to end.

        That it was wanted is told first: a run that just ends would count as failed, and be started again.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        ended = super().terminate(run_id)
        if run.status is dg.DagsterRunStatus.STARTING:
            # No process will tell: it was not taken yet.
            self._instance.report_run_canceled(run)
        return ended

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether a run that has begun is still being worked on. Redis knows only what the worker said last."""
        if DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        health = super().check_run_worker_health(run)
        if health.status is WorkerStatus.SUCCESS:
            # Dagster looks at the run once more before it ends it: this one has not told its end.
            return CheckRunHealthResult(WorkerStatus.FAILED, "The worker is done with the run, which has not ended.")
        if health.status is not WorkerStatus.RUNNING:
            return health
        task = run.tags[DAGSTER_CELERY_TASK_ID_TAG]
        answers = self.celery.control.inspect(timeout=_ANSWER_SECONDS).query_task(task) or {}
        if any(answers.values()):
            self._missed.pop(run.run_id, None)
            return health
        self._missed[run.run_id] += 1
        if self._missed[run.run_id] < _MISSED:
            return health
        del self._missed[run.run_id]
        return CheckRunHealthResult(WorkerStatus.FAILED, "No worker knows of the run: the one that took it is gone.")
