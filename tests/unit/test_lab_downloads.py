"""The machine's own apt sources, turned towards another suite."""

from pathlib import Path

import pytest

from unierp_assets.lab import downloads
from unierp_assets.lab.downloads import Source, debian_sources, fetch_packages, read_sources
from unierp_assets.lab.errors import LabError

STANZAS = """\
# The releases
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://mirror.example/sources
Suites: bookworm
Components: main

Types: deb
Enabled: no
URIs: http://mirror.example/off
Suites: bookworm
Components: main
"""

ONE_LINE = """\
# deb http://mirror.example/commented bookworm main
deb [arch=amd64 signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm main contrib # releases
deb-src http://mirror.example/debian bookworm main
deb http://vendor.example/apt nodistro main
"""


def test_the_releases_are_found_in_stanzas_without_security_and_disabled_ones() -> None:
    found = debian_sources(read_sources(STANZAS, one_line=False), "bookworm")
    assert [source.suites for source in found] == [("bookworm", "bookworm-updates")]


def test_a_stanza_keeps_address_and_key_and_changes_suite_and_components() -> None:
    (source,) = debian_sources(read_sources(STANZAS, one_line=False), "bookworm")
    assert source.turned_to("sid") == (
        "Types: deb\nSuites: sid\nComponents: main\nURIs: http://mirror.example/debian\n"
        "Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
    )


def test_the_one_line_format_says_the_same() -> None:
    (source,) = debian_sources(read_sources(ONE_LINE, one_line=True), "bookworm")
    assert source.turned_to("bullseye") == (
        "Types: deb\nSuites: bullseye\nComponents: main\n"
        "URIs: http://mirror.example/debian\nSigned-By: /keys/debian.gpg\n"
    )


def test_a_vendors_own_archive_is_not_asked_for_debian_packages() -> None:
    vendor = Source((("URIs", "http://vendor.example/apt"), ("Suites", "nodistro"), ("Components", "main")))
    assert debian_sources([vendor], "bookworm") == []


def test_a_machine_without_apt_is_told_how_to_use_an_existing_odoo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError) as caught:
        fetch_packages("sid", "odoo-19", [], tmp_path / "root", tmp_path / "work", lambda detail: None)
    for setting in ("UNIERP_ODOO_URL", "UNIERP_ODOO_DB", "UNIERP_ODOO_LOGIN", "UNIERP_ODOO_PASSWORD"):
        assert setting in str(caught.value)


def test_a_machine_whose_apt_knows_no_debian_is_told_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(downloads, "machine_sources", list)
    with pytest.raises(LabError, match=r"no source of Debian releases.*UNIERP_ODOO_URL"):
        fetch_packages("sid", "odoo-19", [], tmp_path / "root", tmp_path / "work", lambda detail: None)
