"""Getting Odoo to run: which Python, which password, which answer."""

import base64
import hashlib
import sys
from pathlib import Path

import pytest

from unierp_assets.lab import odoo
from unierp_assets.lab.errors import LabError
from unierp_assets.lab.odoo import RELEASES, Release, answers, find_python, password_hash, post_json
from unierp_assets.lab.processes import free_port


def _release(*pythons: tuple[int, int]) -> Release:
    return Release("14", "bullseye", pythons, (), (), "longpolling_port")


def _executable(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def test_the_running_python_is_taken_where_it_fits() -> None:
    assert find_python(_release(sys.version_info[:2])) == Path(sys.executable)


def test_a_shim_that_does_not_run_is_passed_over_for_one_that_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _executable(tmp_path / "shims/python3.9", "#!/bin/sh\necho 'pyenv: python3.9: command not found' >&2\nexit 127\n")
    _executable(tmp_path / "pyenv/versions/3.9.18/bin/python3.9", "#!/bin/sh\nexit 0\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert find_python(_release((3, 9))) == tmp_path / "pyenv/versions/3.9.18/bin/python3.9"


def test_a_python_that_only_uv_knows_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _executable(tmp_path / "managed/python3.9", "#!/bin/sh\nexit 0\n")
    _executable(tmp_path / "uv", f"#!/bin/sh\necho {tmp_path / 'managed/python3.9'}\n")
    monkeypatch.setattr(odoo, "find_uv_bin", lambda: tmp_path / "uv")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    assert find_python(_release((3, 9))) == tmp_path / "managed/python3.9"


def test_without_the_right_python_the_message_says_which_and_how(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("PATH", "PYENV_ROOT", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(LabError, match=r"Odoo 14 needs Python 3\.9.*uv python install 3\.9.*UNIERP_ODOO_URL"):
        find_python(_release((3, 9)))


def test_a_password_is_stored_as_odoo_checks_it() -> None:
    scheme, rounds, salt, key = password_hash("geheim").removeprefix("$").split("$")
    assert scheme == "pbkdf2-sha512"

    def decoded(text: str) -> bytes:
        return base64.b64decode(text.replace(".", "+") + "=" * (-len(text) % 4))

    assert decoded(key) == hashlib.pbkdf2_hmac("sha512", b"geheim", decoded(salt), int(rounds))
    assert password_hash("geheim") != password_hash("geheim")


def test_every_version_names_exact_pins_for_what_it_runs_on() -> None:
    for release in RELEASES.values():
        lines = release.requirements.read_text().splitlines()
        pins = [line for line in lines if line and not line.startswith(("#", "setuptools"))]
        assert len(pins) > 40
        assert all("==" in pin for pin in pins)


def test_where_nothing_listens_nothing_answers() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    assert not answers(address)
    with pytest.raises(OSError, match="does not answer"):
        post_json(f"{address}/jsonrpc", {}, timeout=1)
