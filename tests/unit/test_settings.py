"""Settings: from the environment and from files, and what is wrong with them in words."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from unierp_assets.settings import Settings, explain


def test_a_secret_may_be_given_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odoo").write_text("from the file\n")
    monkeypatch.setenv("UNIERP_ODOO_PASSWORD_FILE", str(tmp_path / "odoo"))
    read = Settings().odoo_password
    assert read is not None
    assert read.get_secret_value() == "from the file"


def test_the_variable_itself_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odoo").write_text("from the file")
    monkeypatch.setenv("UNIERP_ODOO_PASSWORD_FILE", str(tmp_path / "odoo"))
    monkeypatch.setenv("UNIERP_ODOO_PASSWORD", "itself")
    read = Settings().odoo_password
    assert read is not None
    assert read.get_secret_value() == "itself"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("UNIERP_ODOO_BATCH", "hunter2", "UNIERP_ODOO_BATCH: Input should be a valid integer"),
        (
            "UNIERP_ODOO_PASSWORD_FILE",
            "/nowhere/secret",
            "UNIERP_ODOO_PASSWORD_FILE names /nowhere/secret, which cannot be read: No such file or directory. The",
        ),
    ],
)
def test_a_wrong_setting_is_named_by_its_variable_and_not_repeated(
    variable: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    told = explain(caught.value)
    assert told.startswith(sentence)
    assert told.endswith(". The README lists the settings.")
    assert "hunter2" not in told
