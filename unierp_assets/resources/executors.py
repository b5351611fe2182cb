"""Where the steps of a run are taken: chosen by ``UNIERP_EXECUTOR``, with nothing else changed.

Belongs here: Dagster's executors, configured from the settings. Does not belong here: what keeps the systems within
their limits, which is the same for all of them: the pools, the engine's lock, and the connections of a session.
"""

from typing import Any

import dagster as dg

from unierp_assets.lab.services import resolve_broker
from unierp_assets.settings import Settings, get_settings


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


def celery_options(settings: Settings) -> dict[str, Any]:
    """What executor and workers have to agree on: keys of ``celery_executor``'s configuration."""
    broker = resolve_broker(settings)
    assert broker is not None
    url = broker.get_secret_value()
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
