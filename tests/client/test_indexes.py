"""`client.indexes`: indexes are made, edited, pushed and merged by name."""

from pathlib import Path

import pytest

from polyarch import ConflictError, Descriptor, NotFoundError, Platform, Polyarch, UsageError
from scripts.local_registry import LocalRegistry


def platforms(entries: tuple[Descriptor, ...]) -> list[str]:
    return [str(entry.platform) for entry in entries]


@pytest.fixture
def parts(client: Polyarch, busybox: str) -> dict[str, str]:
    """Single images of the store by their platforms: each as its digest, under the name of an index of the four."""
    return {entry.platform: f"{busybox}@{entry.digest}" for entry in client.images.get(busybox).platforms}


def test_an_index_is_made_of_images_and_edited(client: Polyarch, parts: dict[str, str]) -> None:
    made = client.indexes.create("app:1", [parts["linux/amd64"], parts["linux/arm64"]], annotations={"team": "a"})
    assert (made.name, platforms(made.entries)) == ("app:1", ["linux/amd64", "linux/arm64"])
    assert made.added == made.entries
    assert made.annotations == {"team": "a"}
    more = client.indexes.add("app:1", parts["linux/arm/v7"], variant="v6")
    assert platforms(more.added) == ["linux/arm/v6"]
    assert "whose own config says linux/arm/v7" in more.warnings[0]
    noted = client.indexes.annotate("app:1", "linux/arm64", annotations={"tested": "yes"}, os_features="sse4")
    (entry,) = (entry for entry in noted.entries if entry.platform and entry.platform.architecture == "arm64")
    assert entry.annotations == {"tested": "yes"}
    assert entry.platform == Platform(os="linux", architecture="arm64", os_features=("sse4",))
    less = client.indexes.remove("app:1", Platform(os="linux", architecture="arm", variant="v6"))
    assert platforms(less.removed) == ["linux/arm/v6"]
    assert client.indexes.annotate("app:1", annotations={"team": "b"}).annotations == {"team": "b"}
    seen = client.indexes.inspect("app:1")
    assert (seen.annotations, len(seen.entries)) == ({"team": "b"}, 2)


def test_one_name_is_one_member(client: Polyarch, busybox: str) -> None:
    assert len(client.indexes.create("app:1", busybox).entries) == 4
    with pytest.raises(ConflictError, match="exists already"):
        client.indexes.create("app:1", busybox)
    assert len(client.indexes.create("app:1", busybox, amend=True).entries) == 4
    assert client.indexes.create("app:none").entries == ()


def test_an_index_is_pushed_where_its_name_or_the_destination_says(
    client: Polyarch, parts: dict[str, str], registry: LocalRegistry
) -> None:
    name = f"{registry.address}/app:1"
    made = client.indexes.create(name, [parts["linux/amd64"], parts["linux/arm64"]])
    pushed = client.indexes.push(name)
    assert (pushed.name, pushed.descriptor.digest) == (name, made.descriptor.digest)
    assert client.indexes.inspect(f"docker://{name}").entries == made.entries
    other = client.indexes.push(name, f"{registry.address}/other:2", format="docker")
    there = client.indexes.inspect(f"docker://{other.name}")
    assert there.descriptor.media_type == "application/vnd.docker.distribution.manifest.list.v2+json"
    assert client.indexes.diff(name, name).entries == ()
    removed = client.indexes.remove(name, "linux/arm64")
    (difference,) = client.indexes.diff(f"docker://{name}", name).entries
    assert (difference.change, difference.old) == ("removed", removed.removed[0])


def test_images_that_were_built_apart_are_merged(client: Polyarch, busybox: str, tmp_path: Path) -> None:
    for platform in ("linux/amd64", "linux/arm64"):
        client.images.save(busybox, tmp_path / f"{platform[6:]}.tar", platforms=platform, format="oci")
    merged = client.indexes.merge([tmp_path / "amd64.tar", str(tmp_path / "arm64.tar")], ["app:1", "app:latest"])
    assert platforms(merged.entries) == ["linux/amd64", "linux/arm64"]
    assert client.images.get("app").digest == client.images.get("app:1").digest == merged.descriptor.digest
    client.indexes.create("other:1", busybox)
    client.indexes.remove("other:1", "linux/amd64")
    client.indexes.annotate("other:1", "linux/arm64", architecture="amd64")
    client.images.save("other:1", tmp_path / "other.tar", format="oci")
    with pytest.raises(ConflictError, match="two images are for linux/amd64"):
        client.indexes.merge([tmp_path / "amd64.tar", f"oci-archive:{tmp_path}/other.tar"], "app:2")
    with pytest.raises(UsageError, match="merge needs images"):
        client.indexes.merge([], "app:1")
    assert client.images.get("app:1").digest == merged.descriptor.digest


def test_what_there_is_not_is_said(client: Polyarch, busybox: str) -> None:
    with pytest.raises(NotFoundError, match="there is no list nothing:latest"):
        client.indexes.add("nothing", busybox)
    client.indexes.create("app:1", busybox)
    with pytest.raises(NotFoundError, match="no entry for linux/riscv64") as raised:
        client.indexes.remove("app:1", "linux/riscv64")
    assert "linux/s390x" in str(raised.value.hint)
    with pytest.raises(UsageError, match="nothing to annotate"):
        client.indexes.annotate("app:1")
    with pytest.raises(UsageError, match="an index itself has no platform"):
        client.indexes.annotate("app:1", os="linux")
