"""`client.caches`: what is in a build cache, and removing a part of it."""

import datetime
from pathlib import Path

import pytest

from polyarch import NotFoundError, Polyarch, UsageError
from polyarch.buildcache.wanted import CachePlace
from polyarch.secret import Variables
from tests.cli.test_cache import fill


@pytest.fixture
def place(tmp_path: Path) -> str:
    fill(CachePlace("local", Variables({"dest": str(tmp_path / "cache")})), tmp_path / "other")
    return f"type=local,src={tmp_path / 'cache'}"


def test_a_cache_is_read_and_pruned(client: Polyarch, place: str) -> None:
    first, second = client.caches.read(place)
    assert [str(first.platform), str(second.platform)] == ["linux/amd64", "linux/arm64"]
    assert sorted(item.name for item in first.items) == ["RUN make", "RUN test", "pip"]
    assert [one.platform for one in client.caches.read(place, platforms="linux/arm64")] == [second.platform]
    days = datetime.timedelta(days=100)
    gone = client.caches.prune(place, unused_for=days, platforms="linux/amd64", dry_run=True)
    assert "RUN make" in [item.name for item in gone]
    assert client.caches.read(place) == (first, second)
    assert len(client.caches.prune(place, everything=True, platforms="linux/arm64")) == 1
    assert client.caches.read(place) == (first,)
    client.caches.prune(place, max_size=0)
    assert client.caches.read(place) == ()


def test_wrong_arguments_are_errors(client: Polyarch, place: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing says what to remove"):
        client.caches.prune(place)
    with pytest.raises(UsageError, match="unused_for cannot be 5"):
        client.caches.prune(place, unused_for=5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="max_size cannot be '5'"):
        client.caches.prune(place, max_size="5")  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        client.caches.read(f"type=local,src={tmp_path / 'absent'}")
