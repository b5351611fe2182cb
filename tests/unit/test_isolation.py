"""The one record that the program stumbles over is found and set aside; what systems do is passed on."""

import logging

import pytest

from unierp_assets.odoo import OdooUnavailable
from unierp_assets.sync.isolation import each_apart


def test_the_record_at_fault_stands_alone_and_the_others_are_dealt_with(caplog: pytest.LogCaptureFixture) -> None:
    def work(keys: list[str]) -> list[str]:
        if "3" in keys:
            raise KeyError("a group that is gone")
        return keys

    with caplog.at_level(logging.ERROR):
        done = each_apart(work, ["1", "2", "3", "4", "5"], "customers", lambda key, reason: [f"{key}: {reason}"])
    found = [key for part in done for key in part]
    assert [key for key in found if len(key) == 1] == ["1", "2", "4", "5"]
    (told,) = [key for key in found if len(key) > 1]
    assert told.startswith("3: a fault of the program stopped this record (KeyError")
    (record,) = caplog.records
    assert (record.entity, record.key) == ("customers", "3")  # type: ignore[attr-defined]
    assert record.exc_info


def test_what_a_system_refuses_is_no_fault_of_the_program() -> None:
    def work(keys: list[str]) -> None:
        raise OdooUnavailable("gone", remedy="wait")

    with pytest.raises(OdooUnavailable):
        each_apart(work, ["1", "2"], "customers", lambda *_: None)
