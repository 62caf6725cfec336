"""`polyarch cache ls`, `inspect` and `prune`."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from polyarch.buildcache.carrier import Around
from polyarch.buildcache.types import open_carrier
from polyarch.buildcache.values import CachedMount, PlatformCache, merged
from polyarch.buildcache.wanted import CachePlace
from polyarch.oci import digest as digests
from polyarch.secret import Variables
from polyarch.store import Store
from scripts.local_registry import LocalRegistry
from tests.buildcache.actions_server import ActionsServer, actions_server, token
from tests.buildcache.buckets import S3Server, s3_server
from tests.buildcache.making import AMD64, ARM64, client, descriptor, entry, key, layer, put
from tests.program import Program


def fill(place: CachePlace, store: Path) -> None:
    """Write a cache: two steps and a mount for amd64, of which one step is old, and one of the steps for arm64."""
    with Store.open(store) as opened, client() as registry:
        carrier = open_carrier(place, Around(store=opened, registry=registry, now=0.0))
        put(carrier, AMD64, "make", "test")
        put(carrier, ARM64, "test")
        content = layer("mount")
        carrier.write_blob(descriptor(content), io.BytesIO(content))
        blob = carrier.recorded(descriptor(content))
        mount = CachedMount(
            blob=blob.digest, diff_id=digests.of(b"mount"), created="2026-11-30T12:00:00Z", used="2026-11-30"
        )
        new = PlatformCache(mounts={"/pip@linux/amd64": mount}, blobs={blob.digest: blob})
        old = entry("make", used="2026-01-01")

        def change(known: PlatformCache | None) -> PlatformCache:
            assert known is not None
            aged = msgspec.structs.replace(known, entries={**known.entries, key("make"): old})
            return merged(aged, new)

        carrier.write(AMD64, change)
        carrier.close()


@pytest.fixture
def local(tmp_path: Path) -> str:
    """A cache in a directory, as it is named for --cache-from."""
    directory = str(tmp_path / "cache")
    fill(CachePlace("local", Variables({"dest": directory})), tmp_path / "other")
    return f"type=local,src={directory}"


def test_ls_shows_the_platforms(polyarch: Program, local: str) -> None:
    lines = polyarch("cache", "ls", local).lines()
    assert lines[0].split() == ["PLATFORM", "LAYERS", "MOUNTS", "SIZE", "CREATED", "LAST", "USED"]
    assert [line.split()[:3] for line in lines[1:3]] == [["linux/amd64", "2", "1"], ["linux/arm64", "1", "0"]]
    assert lines[1].split()[-1] == "2026-11-30"
    assert lines[3].startswith("Total: ")
    only = polyarch("cache", "ls", "--platform", "linux/arm64", "--format", "json", local).lines()
    assert [json.loads(line)["Platform"] for line in only] == ["linux/arm64"]


def test_inspect_lists_steps_and_mounts(polyarch: Program, local: str) -> None:
    rows = [json.loads(line) for line in polyarch("cache", "inspect", "--format", "json", local).lines()]
    assert sorted((row["Platform"], row["Kind"], row["Name"], row["LastUsed"]) for row in rows) == [
        ("linux/amd64", "layer", "RUN make", "2026-01-01"),
        ("linux/amd64", "layer", "RUN test", "2026-11-30"),
        ("linux/amd64", "mount", "pip", "2026-11-30"),
        ("linux/arm64", "layer", "RUN test", "2026-11-30"),
    ]
    assert {row["Bytes"] for row in rows if row["Name"] == "RUN test"} == {len(layer("test"))}
    table = polyarch("cache", "inspect", local).stdout
    assert "RUN make" in table
    assert " pip" in table


def names(polyarch: Program, place: str) -> list[str]:
    """What is in a cache."""
    rows = [json.loads(line) for line in polyarch("cache", "inspect", "--format", "json", place).lines()]
    return sorted(f"{row['Name']} {row['Platform']}" for row in rows)


def test_prune_removes_what_is_old_and_its_blobs(polyarch: Program, local: str, tmp_path: Path) -> None:
    blob = tmp_path / "cache/blobs/sha256" / digests.encoded(digests.of(layer("make")))
    listed = polyarch("cache", "prune", "--unused-for", "2400h", "--dry-run", local).stdout
    assert listed.splitlines()[0].startswith("Would remove linux/amd64 RUN make ")
    assert len(names(polyarch, local)) == 4
    removed = polyarch("cache", "prune", "--unused-for", "2400h", local).stdout
    assert removed == listed.replace("Would remove", "Removed").replace("removable", "removed")
    assert "RUN make linux/amd64" not in names(polyarch, local)
    assert len(names(polyarch, local)) == 3
    assert not blob.exists()


def test_prune_removes_what_was_used_least_recently(polyarch: Program, local: str) -> None:
    polyarch("cache", "prune", "--max-used-space", str(len(layer("test")) + 10), local)
    assert "RUN make linux/amd64" not in names(polyarch, local)
    polyarch("cache", "prune", "--all", "--platform", "linux/arm64", local)
    assert all(name.endswith("linux/amd64") for name in names(polyarch, local))
    polyarch("cache", "prune", "--all", local)
    assert names(polyarch, local) == []


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["prune"], 2, "nothing says what to remove"),
        (["prune", "--unused-for", "soon"], 2, "'soon' is not a duration"),
        (["prune", "--max-used-space", "many"], 2, "many"),
        (["ls", "--platform", "linux/s390x"], 1, "has nothing for linux/s390x"),
    ],
)
def test_wrong_options_are_errors(
    polyarch: Program, local: str, arguments: list[str], status: int, message: str
) -> None:
    result = polyarch("cache", *arguments, local, check=False)
    assert (result.status, message in result.stderr) == (status, True), result


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("type=local,src=absent", "absent does not exist"),
        ("type=local,src=/etc/hostname", "is not an OCI image layout"),
        ("type=other", "unknown type"),
        (
            "type=gha",
            "error: --cache-from: type=gha is left out: the variables of GitHub Actions",
        ),
        ("a,b", "is not one cache"),
    ],
)
def test_a_cache_that_is_not_there_is_an_error(polyarch: Program, place: str, message: str) -> None:
    result = polyarch("cache", "ls", place, check=False)
    assert result.status in (1, 2)
    assert message in result.stderr


def test_an_image_in_a_registry_is_named_as_such(polyarch: Program, busybox: str, registry: LocalRegistry) -> None:
    name = f"{registry.address}/app:1"
    polyarch("tag", busybox, name)
    polyarch("push", name)
    result = polyarch("cache", "ls", name, check=False)
    assert result.status == 1
    assert f"{name} has no cache in it" in result.stderr


@pytest.fixture
def actions() -> Iterator[ActionsServer]:
    with actions_server() as server:
        yield server


def test_the_cache_of_github_actions_is_listed_and_pruned(
    polyarch: Program, actions: ActionsServer, tmp_path: Path
) -> None:
    text = token(("refs/heads/main", 3), expires=time.time() + 3600)
    fill(CachePlace("gha", Variables({"url_v2": actions.url, "token": text})), tmp_path / "other")
    place = f"type=gha,url_v2={actions.url},token={text}"
    assert len(names(polyarch, place)) == 4
    polyarch("cache", "prune", "--all", "--platform", "linux/amd64", place)
    assert names(polyarch, place) == ["RUN test linux/arm64"]


def test_a_bucket_is_listed_and_pruned_with_its_blobs(
    polyarch: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server() as server:
        _prune_a_bucket(polyarch, server, tmp_path, monkeypatch)


def _prune_a_bucket(polyarch: Program, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = server.bucket()
    attributes = server.attributes(bucket)
    fill(CachePlace("s3", Variables(attributes)), tmp_path / "other")
    place = ",".join(["type=s3", *(f"{name}={value}" for name, value in attributes.items())])
    assert len(names(polyarch, place)) == 4
    polyarch("cache", "prune", "--all", "--platform", "linux/amd64", place)
    assert names(polyarch, place) == ["RUN test linux/arm64"]
    # Blobs of today may belong to a build that still runs.
    assert len([name for name in server.keys(bucket) if name.startswith("blobs/")]) == 3
    server.write(bucket, "manifests/buildkit", b'{"layers":[{"blob":"' + digests.of(layer("make")).encode() + b'"}]}')
    monkeypatch.setattr("polyarch.buildcache.s3._RECENT", -1e10)
    with Store.open(tmp_path / "other") as store, client() as registry:
        carrier = open_carrier(CachePlace("s3", Variables(attributes)), Around(store=store, registry=registry, now=0.0))
        carrier.collect()  # type: ignore[attr-defined]
        left = {name.removeprefix("blobs/") for name in server.keys(bucket) if name.startswith("blobs/")}
        assert left == {digests.of(layer("make")), digests.of(layer("test"))}
        server.write(bucket, "manifests/other", b"something else")
        carrier.collect()  # type: ignore[attr-defined]
