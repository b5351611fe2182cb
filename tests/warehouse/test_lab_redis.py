"""The lab's Redis: a real server, started, found again and stopped."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from unierp_assets.lab.lab import Lab
from unierp_assets.lab.redis import RedisInstance, RedisServer


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[RedisInstance]:
    made = RedisInstance(tmp_path / "redis")
    yield made
    made.stop()


def test_it_asks_for_its_password_and_keeps_it_in_a_file_of_its_owner(instance: RedisInstance) -> None:
    server = instance.start()
    assert server.accepts()
    assert not RedisServer(server.port, "guessed").accepts()
    assert stat.S_IMODE((instance.folder / "redis.conf").stat().st_mode) == 0o600


def test_one_that_runs_is_left_alone_and_one_that_died_comes_back_at_its_address(instance: RedisInstance) -> None:
    first = instance.start()
    assert instance.start(first) == first
    instance.stop()
    assert not instance.is_alive()
    assert not first.accepts()
    again = instance.start(first)
    assert (again.url, again.process != first.process) == (first.url, True)
    assert first.accepts()


def test_the_lab_starts_shows_and_stops_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path, tmp_path)
    lab.up_redis()
    server = lab.state().redis
    assert server is not None
    try:
        (row,) = lab.status()
        assert (row.service, row.running, row.address) == ("Redis", True, f"127.0.0.1:{server.port}")
        assert lab.passwords() == {"Redis": server.password}
    finally:
        assert lab.down() == ["Redis"]
    assert not server.accepts()
    assert [row.running for row in lab.status()] == [False]
