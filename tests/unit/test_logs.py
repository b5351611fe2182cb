"""The log for machines: what a line says, and what it never says."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from unierp_assets import logs
from unierp_assets.logs import JsonHandler, masked
from unierp_assets.settings import get_settings


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("UNIERP_LOG_FILE", str(tmp_path / "log.jsonl"))
    monkeypatch.setenv("UNIERP_ODOO_PASSWORD", "correct horse")
    monkeypatch.setenv("UNIERP_WAREHOUSE_URL", "postgresql://unierp:battery-staple@db/warehouse")
    for cache in (get_settings.cache_clear, logs._secrets.cache_clear):
        cache()
    yield tmp_path / "log.jsonl"
    monkeypatch.undo()
    for cache in (get_settings.cache_clear, logs._secrets.cache_clear):
        cache()


@pytest.fixture
def logger(log: Path) -> Iterator[logging.Logger]:
    logger = logging.getLogger("unierp_assets.test")
    handler = JsonHandler()
    logger.addHandler(handler)
    # What another test has installed for the whole process would write the line once more.
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)


def test_a_line_has_the_ids_of_run_entity_and_record(logger: logging.Logger, log: Path) -> None:
    with logs.bound(run_id="42"):
        logger.warning("UniERP refused a record", extra={"entity": "orders", "key": "17"})
    line = json.loads(log.read_text())
    assert line.pop("at")
    assert line == {
        "logger": "unierp_assets.test",
        "message": "UniERP refused a record",
        "level": "warning",
        "run_id": "42",
        "entity": "orders",
        "key": "17",
    }


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("cannot log in with correct horse", "cannot log in with ***"),
        ("battery-staple was refused", "*** was refused"),
        ("no answer from redis://:key@host:6379/0", "no answer from redis://:***@host:6379/0"),
        ("Key (email)=(jane.doe+shop@example.co.uk) already exists", "Key (email)=(***) already exists"),
        ("call +49 30 1234567 or +4915112345678", "call *** or ***"),
        ("password=hunter2, then on", "password=***, then on"),
        # What tells a person nothing about anybody stays.
        ("1,035 rows since 2026-11-22 08:15:30 UTC", "1,035 rows since 2026-11-22 08:15:30 UTC"),
        ("run 3afe3f34-cad9-494e-9272-6522e9699607 of orders", "run 3afe3f34-cad9-494e-9272-6522e9699607 of orders"),
        ("localhost:5432/warehouse is behind", "localhost:5432/warehouse is behind"),
    ],
)
def test_secrets_and_personal_data_are_masked(log: Path, said: str, written: str) -> None:
    assert masked(said) == written


def test_an_exception_is_told_by_its_type(logger: logging.Logger, log: Path) -> None:
    try:
        raise ValueError("Jane Doe, 12 Main Street")
    except ValueError:
        logger.exception("the sync failed")
    assert json.loads(log.read_text())["exception"] == "ValueError"
    assert "Jane" not in log.read_text()


def test_nothing_is_written_where_no_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNIERP_LOG_FILE", raising=False)
    get_settings.cache_clear()
    monkeypatch.chdir(tmp_path)
    JsonHandler().emit(logging.LogRecord("x", logging.INFO, __file__, 1, "said", None, None))
    assert list(tmp_path.iterdir()) == []
