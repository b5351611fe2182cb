"""An entry of the cache is whole or not there."""

import io
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from unierp_assets.lab.cache import Cache, default_cache
from unierp_assets.lab.processes import using, wait_until
from unierp_assets.lab.progress import PlainReporter


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path), []

    def build(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("x")

    assert cache.get("entry", build) == cache.get("entry", build)
    assert (tmp_path / "entry/file").read_text() == "x"
    assert len(made) == 1


def test_a_failed_or_killed_build_leaves_no_entry_and_is_done_again_from_an_empty_folder(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fails(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError("the line was cut")

    with pytest.raises(OSError, match="cut"):
        cache.get("entry", fails)
    assert not (tmp_path / "entry").exists()

    entry = cache.get("entry", lambda folder: (folder / "whole").touch())
    assert [file.name for file in entry.iterdir()] == ["whole"]


def test_a_program_that_a_killed_run_left_behind_is_ended_before_its_folder_is_used_again(tmp_path: Path) -> None:
    left = tmp_path / "entry.partial/left"
    left.parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", str(left)]) as program:
        assert wait_until(lambda: bool(using(left.parent)), 10)
        entry = Cache(tmp_path).get("entry", lambda folder: (folder / "whole").touch())
        program.wait(timeout=10)
    assert [file.name for file in entry.iterdir()] == ["whole"]


def test_two_runs_at_the_same_time_build_once(tmp_path: Path) -> None:
    made = []

    def build(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.2)
        (folder / "file").touch()

    log = io.StringIO()
    arguments = ("entry", build, PlainReporter(log))
    runs = [threading.Thread(target=Cache(tmp_path).get, args=arguments) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(made) == 1
    assert (tmp_path / "entry/file").exists()
    assert log.getvalue().count("Waiting for another run to be done with entry ...") == 2


def test_a_dropped_entry_is_made_anew(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.get("entry", lambda folder: (folder / "old").touch())
    cache.drop("entry")
    entry = cache.get("entry", lambda folder: (folder / "new").touch())
    assert [file.name for file in entry.iterdir()] == ["new"]


def test_the_cache_is_where_the_desktop_standard_puts_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "unierp-assets"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_cache() == Path("/home/somebody/.cache/unierp-assets")
