"""A worker: a process, on any machine, that takes runs, or the steps of runs whose executor is ``celery``.

Started as ``unierp worker``, or ``celery --app unierp_assets.worker worker``. Belongs here: the worker's
application, and what becomes of a step whose worker vanished. Does not belong here: the steps (``assets``).

Everything is imported before there is work: what Dagster, the definitions and Great Expectations need for that is most
of what a small run would take in a process of its own. A run is confirmed as it is taken; that of a vanished worker
ends as failed, and the sensors ask for another.

A step is confirmed when it has ended. What a vanished worker had not confirmed is given to another one after
``UNIERP_WORKER_LOST_SECONDS``: within the same run, which goes on as if nothing had happened. A step that takes longer
than that is given away too although it lives, and is then put off as long as its worker says so. Should it be taken
twice all the same, the second waits for the engine's lock and finds nothing left to do.
"""

import gc
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore
from celery.signals import worker_init
from dagster_celery.executor import CeleryExecutor
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task, create_task

from unierp_assets.resources.executors import celery_options
from unierp_assets.settings import get_settings

_ANSWER_SECONDS = 2
"""How long the other workers may take to say what they are at."""


class StepTask(Task):  # type: ignore[misc]  # Celery is not typed
    """A step of a run."""

    acks_late = True
    reject_on_worker_lost = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Takes the step, unless another worker is at it or has done it meanwhile."""
        if self.request.delivery_info.get("redelivered"):
            if self.AsyncResult(self.request.id).ready():
                raise Ignore
            if self._is_taken_elsewhere():
                # Half the time, so that waiting for it is not itself taken for a lost step.
                raise self.retry(countdown=get_settings().worker_lost_seconds / 2, max_retries=None)
        return super().__call__(*args, **kwargs)

    def _is_taken_elsewhere(self) -> bool:
        answers = self.app.control.inspect(timeout=_ANSWER_SECONDS).query_task(self.request.id) or {}
        return any(
            worker != self.request.hostname and state == "active"
            for worker, found in answers.items()
            for state, _ in found.values()
        )


def make_worker_app() -> Celery:
    """The application of workers, by the settings. Raises ``LabError`` where no Redis is known."""
    app = make_app(CeleryExecutor.for_cli(**celery_options(get_settings())).app_args())
    create_task(app, base=StepTask)
    create_execute_job_task(app)
    return app


@worker_init.connect  # type: ignore[untyped-decorator]  # Celery is not typed
def import_everything(**_: Any) -> None:
    """Imports what runs and steps need; the processes that take them are forked afterwards."""
    from unierp_assets.definitions import defs
    from unierp_assets.quality import preload

    imported = preload()
    defs.get_repository_def()
    imported.join()
    # Objects that are not looked at stay in memory that all those processes share.
    gc.freeze()


app = make_worker_app()
