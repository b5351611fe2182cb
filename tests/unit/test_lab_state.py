"""What the lab remembers between commands."""

import json
import stat
from pathlib import Path

import pytest

from unierp_assets.lab.errors import LabError
from unierp_assets.lab.lab import Lab
from unierp_assets.lab.odoo import OdooServer
from unierp_assets.lab.postgres import PostgresServer
from unierp_assets.lab.processes import ProcessRef
from unierp_assets.lab.state import LabState, load_state, save_state


def _state() -> LabState:
    return LabState(
        PostgresServer(5999, "p@ss/word", ProcessRef(1, "then")),
        {"14": OdooServer("14", "odoo_14", 8101, 8102, "secret")},
        "14",
    )


def test_the_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    save_state(tmp_path / "lab/state.json", _state())
    assert load_state(tmp_path / "lab/state.json") == _state()


def test_without_a_file_nothing_is_remembered(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state.json") == LabState()


def test_the_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.touch(0o644)
    save_state(file, _state())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_field_of_a_later_version_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    save_state(file, _state())
    data = json.loads(file.read_text())
    data["postgres"]["colour"] = "blue"
    file.write_text(json.dumps(data))
    assert load_state(file) == _state()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"postgres": {"port": 1}, "odoo": {}}'])
def test_a_damaged_file_says_how_to_begin_anew(tmp_path: Path, text: str) -> None:
    file = tmp_path / "state.json"
    file.write_text(text)
    with pytest.raises(LabError, match="unierp lab reset"):
        load_state(file)


def test_passwords_are_given_to_whom_asks_for_them(tmp_path: Path) -> None:
    lab = Lab(tmp_path, tmp_path)
    assert lab.passwords() == {}
    save_state(lab.folder / "state.json", _state())
    assert lab.passwords() == {"PostgreSQL": "p@ss/word", "Odoo 14": "secret"}


def test_passwords_do_not_show_when_a_server_is_printed() -> None:
    assert "p@ss" not in repr(_state())
    assert "secret" not in repr(_state())


def test_a_password_of_any_characters_fits_into_the_address() -> None:
    assert _state().postgres.url("shop") == "postgresql://unierp:p%40ss%2Fword@127.0.0.1:5999/shop"  # type: ignore[union-attr]


def test_a_lab_that_was_never_up_has_nothing_to_stop_and_leaves_no_trace(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home", tmp_path / "cache")
    assert lab.down() == []
    assert lab.status() == []
    lab.reset()
    assert list(tmp_path.iterdir()) == []


def test_stale_pids_of_a_machine_that_was_restarted_are_not_running_and_not_stopped(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home", tmp_path / "cache")
    # Pid 1 runs on every machine, and is certainly not ours.
    stale = ProcessRef(1, "an earlier boot")
    data = lab.folder / "postgres/data"
    data.mkdir(parents=True)
    (data / "postmaster.pid").write_text(f"1\n{data}\n0\n5999\n\n127.0.0.1\n0 0\nready\n")
    save_state(
        lab.folder / "state.json",
        LabState(PostgresServer(5999, "p", stale), {"19": OdooServer("19", "odoo_19", 1, 2, "s", process=stale)}),
    )
    assert [row.running for row in lab.status()] == [False, False]
    assert lab.down() == []
    assert lab.state().odoo["19"].process is None
