"""The log for machines: a line of JSON for everything that is said, with the ids of run, entity and record.

``UNIERP_LOG_FILE`` names the file; people's lines on the terminal stay as they are. Belongs here: the form of a line,
and that neither a secret of the configuration nor an e-mail address, telephone number or password gets into it. Does
not belong here: what is logged. Who logs gives ids and keys, never values of a person's row:
``extra={"entity": ..., "key": ...}``.

Dagster adds the handler to its runs by ``dagster.yaml``; everybody else by :func:`log_for_machines`.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from unierp_assets.settings import get_settings

STANDARD_OUTPUT = "-"
HIDDEN = "***"
_SHORTEST_SECRET = 4
"""What is shorter stands in too many words that are none."""

_IN_ADDRESS = re.compile(r"(?<=://)([^\s:/@]*):[^\s/@]+(?=@)")
_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w.:-])(?:\+\d{8,15}|\+?\(?\d{2,5}\)?(?:[ /-]\d{2,8}){2,5})(?![\w:-])")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2})?)?")
_NAMED = re.compile(r"(?i)\b(password|passwd|secret|token|api[_-]?key)(['\"]?\s*[=:]\s*['\"]?)[^\s'\",;]+")

_IDS = ("run_id", "entity", "key")
"""What a caller may add to a line."""


class JsonHandler(logging.Handler):
    """Writes a line for each record, to where the settings say; does nothing where they say nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        target = get_settings().log_file
        if target is None or not _is_worth_a_line(record):
            return
        try:
            line = f"{_rendered(None, record.levelname.lower(), _event(record))}\n"
            if str(target) == STANDARD_OUTPUT:
                sys.stdout.write(line)
                sys.stdout.flush()
                return
            # Opened for each line: several processes append, and the file may be moved away at any time.
            with Path(target).expanduser().open("a", encoding="utf-8") as file:
                file.write(line)
        except Exception:  # noqa: BLE001  # a disk that is full must not end a sync; logging's own way of telling it
            self.handleError(record)


def log_for_machines() -> None:
    """Adds the handler to what this program says, once in a process."""
    logger = logging.getLogger("unierp_assets")
    if not any(isinstance(handler, JsonHandler) for handler in logger.handlers):
        logger.addHandler(JsonHandler())
        logger.setLevel(logging.INFO)


bound = structlog.contextvars.bound_contextvars
"""Names the run (``run_id``) of everything that is said in a block, by the thread that entered it."""


_STEPS = {"PIPELINE_START", "PIPELINE_SUCCESS", "STEP_START", "STEP_SUCCESS"}
"""What Dagster says in a low voice and an operator wants to know all the same."""


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    event = getattr(record, "dagster_meta", {}).get("dagster_event")
    return record.levelno >= logging.INFO or (event is not None and event.event_type_value in _STEPS)


def _event(record: logging.LogRecord) -> dict[str, Any]:
    event = {"logger": record.name, "message": record.getMessage()}
    event |= {name: str(value) for name in _IDS if (value := getattr(record, name, None)) is not None}
    event |= _of_dagster(getattr(record, "dagster_meta", {}))
    if record.exc_info and record.exc_info[1] is not None:
        # The type alone: a message may quote a row, and the steps tell theirs in words of their own.
        event["exception"] = type(record.exc_info[1]).__name__
    return event


def _of_dagster(metadata: Any) -> dict[str, Any]:
    found = {name: metadata.get(name) for name in ("run_id", "job_name", "step_key")}
    found["message"] = metadata.get("orig_message")
    event = metadata.get("dagster_event")
    if event is not None:
        found["event"] = event.event_type_value
    step = found["step_key"]
    if step and "__" in step:
        # Steps are named after their asset: layer and entity.
        found["entity"] = step.partition("__")[2]
    return {name: value for name, value in found.items() if value is not None}


def masked(text: str) -> str:
    """The text without secrets of the configuration, passwords, e-mail addresses and telephone numbers."""
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    text = _IN_ADDRESS.sub(rf"\1:{HIDDEN}", text)
    text = _NAMED.sub(rf"\1\2{HIDDEN}", text)
    text = _EMAIL.sub(HIDDEN, text)
    return _PHONE.sub(lambda found: found.group() if _INSTANT.match(found.group()) else HIDDEN, text)


@lru_cache
def _secrets() -> tuple[str, ...]:
    """The secrets of the settings, longest first, and the passwords within addresses."""
    found: set[str] = set()
    settings = get_settings()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if not isinstance(value, SecretStr):
            continue
        text = value.get_secret_value()
        found.add(text)
        try:
            found.add(str(make_url(text).password or ""))
        except ArgumentError:
            continue
    return tuple(sorted((secret for secret in found if len(secret) >= _SHORTEST_SECRET), key=len, reverse=True))


def _mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: masked(value) if isinstance(value, str) else value for name, value in event.items()}


_PROCESSORS = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    _mask,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    structlog.processors.JSONRenderer(ensure_ascii=False),
)


def _rendered(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    rendered: Any = event
    for process in _PROCESSORS:
        rendered = process(logger, method, rendered)
    return str(rendered)
