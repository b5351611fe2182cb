"""Where runs and their steps are taken: chosen by ``UNIERP_EXECUTOR`` and ``UNIERP_BROKER_URL``, with nothing else
changed.

Belongs here: Dagster's executors, configured from the settings, and what workers take. Does not belong here: what keeps
the systems within their limits, which is the same for all of them: the pools, the engine's lock, and the connections of
a session.
"""

from typing import Any

import dagster as dg

from unierp_assets.lab.services import resolve_broker
from unierp_assets.settings import Settings, get_settings

STEPS_QUEUE, RUNS_QUEUE = "dagster", "runs"
"""Where workers find work: the steps of runs that are shared among them, or whole runs. Never both, or the runs that
wait for their steps would keep the steps from being taken."""


def executor() -> dg.ExecutorDefinition:
    """The executor of the settings. Raises ``LabError`` where workers are chosen and no Redis is known."""
    settings = get_settings()
    match settings.executor:
        case "in_process":
            # The steps mostly wait for the network, and a process of its own would cost each of them a second.
            return dg.in_process_executor
        case "multiprocess":
            start_method = {"forkserver": {"preload_modules": ["unierp_assets.definitions"]}}
            return dg.multiprocess_executor.configured({"start_method": start_method})
        case "celery":
            from dagster_celery import celery_executor

            return celery_executor.configured(celery_options(settings))


def workers_take(executor: str) -> str:
    """The queue that workers are at. Steps are shared among several machines; where a run is taken by one process, that
    process may as well be one that waits for it with everything imported."""
    return STEPS_QUEUE if executor == "celery" else RUNS_QUEUE


def celery_options(settings: Settings) -> dict[str, Any]:
    """What executor and workers have to agree on: keys of ``celery_executor``'s configuration."""
    url = resolve_broker(settings).get_secret_value()
    return {
        "broker": url,
        "backend": url,
        "config_source": {
            # Celery gives a step that nobody confirmed within this time to another worker.
            "broker_transport_options": {"visibility_timeout": settings.worker_lost_seconds},
            "broker_connection_retry_on_startup": True,
            # A step at a time, so that none waits behind another while a worker is free.
            "worker_prefetch_multiplier": 1,
        },
    }
