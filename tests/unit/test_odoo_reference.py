"""The client library's reference page names what the library offers."""

import re
from pathlib import Path

import pytest

from unierp_assets import odoo
from unierp_assets.odoo.features import Features
from unierp_assets.odoo.session import OdooSession

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "unierp-client.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(odoo.__all__) - {"documents"}))
def test_the_reference_names_every_public_name(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE)


@pytest.mark.parametrize("owner", [OdooSession, Features])
def test_the_reference_names_every_public_method(owner: type) -> None:
    missing = [name for name in vars(owner) if not name.startswith("_") and not re.search(rf"\b{name}\b", PAGE)]
    assert missing == []
