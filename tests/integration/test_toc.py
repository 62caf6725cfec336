"""Building on a base with only its table of contents, and on one whose table is missing or wrong."""

import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from polyarch.layers import toc
from polyarch.layers.entry import Entry
from polyarch.layers.listing import Listing, listed
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import manifest as manifests
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Manifest
from polyarch.oci.layer_table import ANNOTATION, tables_of
from polyarch.registry import Credentials, Hosts, Registry, Repository
from scripts.local_registry import LocalRegistry
from tests.program import Program

BIG = random.Random(1).randbytes(2 << 20)
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A context, with what a base is made of in `tree`."""
    made = tmp_path / "context"
    (made / "tree/etc").mkdir(parents=True)
    (made / "tree/etc/passwd").write_text("alice:x:7:8::/:/bin/sh\n")
    (made / "tree/srv").mkdir()
    (made / "tree/app").symlink_to("srv")
    (made / "tree/big").write_bytes(BIG)
    (made / "new").write_text("new")
    return made


@pytest.fixture
def base(polyarch: Program, registry: LocalRegistry, directory: Path) -> str:
    """The name of a base with one layer of 2 MiB, in the registry."""
    name = f"{registry.address}/base:1"
    build(polyarch, directory, "FROM scratch\nCOPY tree /\n", name)
    return name


@pytest.fixture
def repository(registry: LocalRegistry, base: str) -> Iterator[Repository]:
    with Registry(Hosts(), Credentials(None), "polyarch-test", sleep=lambda seconds: None) as opened:
        yield opened.repository(references.parse(base))


def build(polyarch: Program, directory: Path, dockerfile: str, name: str) -> str:
    """Build and push; the digest."""
    (directory / "Dockerfile").write_text(dockerfile)
    return polyarch("build", "-q", "--platform", "linux/amd64", "-t", name, "--push", str(directory), env=EPOCH).stdout


def manifest(repository: Repository) -> Manifest:
    found = documents.load(repository.fetch_manifest("1")[1])
    assert isinstance(found, Manifest)
    return found


def asked(registry: LocalRegistry, blob: Descriptor) -> list[str]:
    """The answers to GETs of a blob: 200 is all of it, 206 a part."""
    lines = [line.split() for line in registry.requests()]
    return [status for method, path, status in lines if method == "GET" and path.endswith(f"/blobs/{blob.digest}")]


def with_layer(repository: Repository, change: Callable[[Descriptor], Descriptor]) -> None:
    """Moves the base's tag to an image whose layer has other annotations."""
    before = manifest(repository)
    after = manifests.create(before.config, [change(layer) for layer in before.layers])
    repository.write_manifest(after.descriptor(), after.raw, "1")


def with_config(repository: Repository, *, diff_id: str) -> None:
    """Moves the base's tag to an image whose config says another diff id of its layer."""
    before = manifest(repository)
    with repository.open_blob(before.config) as reader:
        config = msgspec.json.decode(reader.read())
    config["rootfs"]["diff_ids"] = [diff_id]
    raw = msgspec.json.encode(config)
    changed = Descriptor(media_type=before.config.media_type, digest=digests.of(raw), size=len(raw))
    with repository.upload() as upload:
        upload.write(raw)
        upload.commit(changed.digest)
    after = manifests.create(changed, before.layers)
    repository.write_manifest(after.descriptor(), after.raw, "1")


def without_table(layer: Descriptor) -> Descriptor:
    return msgspec.structs.replace(layer, annotations={})


def lying(repository: Repository, layer: Descriptor) -> None:
    """Give this layer a table with the right digest that says nothing of the link /app."""
    entry = listed(Entry(path="big", kind="file", mode=0o644, size=len(BIG)), 512)
    table = toc.encode(Listing(entries=(entry,), size=1).encode(), layer.size)
    crafted = msgspec.structs.replace(layer, annotations={ANNOTATION: toc.name(table)})
    with repository.upload() as upload:
        upload.write(table)
        upload.commit(digests.of(table))
    with_layer(repository, lambda one: crafted if one == layer else one)


def test_of_a_base_with_a_table_only_that_is_read(
    polyarch: Program, fresh: Program, registry: LocalRegistry, directory: Path, base: str, repository: Repository
) -> None:
    [layer] = manifest(repository).layers
    [table] = tables_of(manifest(repository))
    dockerfile = f"FROM {base}\nCOPY --chown=alice new /app/\n"
    made = build(fresh, directory, dockerfile, f"{registry.address}/one:1")
    assert (asked(registry, layer), asked(registry, table)) == ([], ["206"])
    build(fresh, directory, f"{dockerfile}COPY new /app/other\n", f"{registry.address}/two:1")
    assert (asked(registry, layer), asked(registry, table)) == ([], ["206"]), "it is remembered"
    whole = build(polyarch, directory, dockerfile, f"{registry.address}/three:1")
    assert made == whole, "who has the base itself makes the same image"


def test_what_lies_there_is_known_from_it(
    fresh: Program, registry: LocalRegistry, directory: Path, base: str, tmp_path: Path
) -> None:
    name = f"{registry.address}/app:1"
    build(fresh, directory, f"FROM {base}\nCOPY --chown=alice new /app/\n", name)
    fresh("build", "-q", "-o", f"type=tar,dest={tmp_path}/out.tar", "-", stdin=f"FROM {name}\n")
    with tarfile.open(tmp_path / "out.tar") as tar:
        assert tar.getmember("app").linkname == "srv"
        assert (tar.getmember("srv/new").uid, tar.getmember("srv/new").gid) == (7, 8)


def test_a_file_of_such_a_base_is_what_it_is(
    fresh: Program, registry: LocalRegistry, directory: Path, base: str, tmp_path: Path
) -> None:
    (directory / "Dockerfile").write_text(f"FROM scratch\nCOPY --from={base} /big /app/\n")
    fresh("build", "-q", "-o", str(tmp_path / "out"), str(directory))
    assert (tmp_path / "out/app/big").read_bytes() == BIG


def test_without_a_table_the_layer_is_read(
    fresh: Program, registry: LocalRegistry, directory: Path, base: str, repository: Repository
) -> None:
    [layer] = manifest(repository).layers
    with_layer(repository, without_table)
    build(fresh, directory, f"FROM {base}\nCOPY new /app/\n", f"{registry.address}/app:1")
    assert asked(registry, layer) == ["200"]


def test_a_registry_that_has_lost_the_table_gives_the_layer(
    fresh: Program, registry: LocalRegistry, directory: Path, base: str, repository: Repository
) -> None:
    [layer] = manifest(repository).layers
    [table] = tables_of(manifest(repository))
    registry.blob_path(table.digest).unlink()
    build(fresh, directory, f"FROM {base}\nCOPY new /app/\n", f"{registry.address}/app:1")
    assert asked(registry, layer) == ["200"]


def test_the_table_goes_where_the_layer_goes_and_only_with_it(
    polyarch: Program, fresh: Program, registry: LocalRegistry, base: str, repository: Repository, tmp_path: Path
) -> None:
    [table] = tables_of(manifest(repository))

    def stored(program: Program) -> bool:
        return (program.root / "oci/blobs/sha256" / table.digest.removeprefix("sha256:")).exists()

    assert stored(polyarch)
    polyarch("system", "prune", "--force")
    assert stored(polyarch)
    fresh("pull", base)
    assert stored(fresh)
    fresh("save", "-o", str(tmp_path / "image.tar"), base)
    fresh("rmi", base)
    assert not stored(fresh)
    fresh("load", "-i", str(tmp_path / "image.tar"))
    assert stored(fresh)
    other = f"{registry.address}/other/name:1"
    fresh("tag", base, other)
    fresh("push", other)
    with Registry(Hosts(), Credentials(None), "polyarch-test") as opened:
        assert opened.repository(references.parse(other)).has_blob(table)


def test_without_a_table_the_layer_is_read_once_for_all_copies_and_verified_when_its_files_are_used(
    fresh: Program, registry: LocalRegistry, directory: Path, base: str, repository: Repository
) -> None:
    """Who made a base may say where its links lead, but what its config says of a layer must be true to use it."""
    [layer] = manifest(repository).layers
    with_layer(repository, without_table)
    with_config(repository, diff_id=f"sha256:{'0' * 64}")
    for number in range(2):
        build(fresh, directory, f"FROM {base}\nCOPY --chown=alice new /app/{number}/\n", f"{registry.address}/app:1")
        assert asked(registry, layer) == ["200"]
    (directory / "Dockerfile").write_text(f"FROM scratch\nCOPY --from={base} /big /app/\n")
    refused = fresh("build", "-q", str(directory), check=False)
    assert refused.status == 1
    assert "the image is damaged" in refused.stderr


@pytest.mark.parametrize("said", ["nonsense", f"5+20 sha256:{'0' * 64}", f"99999999+20 sha256:{'0' * 64}"])
def test_a_table_that_is_not_there_is_no_harm(
    fresh: Program, registry: LocalRegistry, directory: Path, base: str, repository: Repository, said: str
) -> None:
    [layer] = manifest(repository).layers
    with_layer(repository, lambda layer: msgspec.structs.replace(layer, annotations={ANNOTATION: said}))
    build(fresh, directory, f"FROM {base}\nCOPY new /app/\n", f"{registry.address}/app:1")
    assert "200" in asked(registry, layer)


def test_a_table_that_lies_is_found_out_when_the_layer_is_read(
    fresh: Program, registry: LocalRegistry, directory: Path, base: str, repository: Repository
) -> None:
    lying(repository, *manifest(repository).layers)
    (directory / "Dockerfile").write_text(f"FROM {base}\nCOPY new /app/\nCOPY --from={base} /big /there\n")
    failed = fresh.fails("build", str(directory))
    assert "does not match the table of contents in org.polyarch.layer.toc" in failed.stderr


def test_a_table_that_lies_is_found_out_when_something_runs(
    polyarch: Program, fresh: Program, busybox: str, registry: LocalRegistry, directory: Path
) -> None:
    name = f"{registry.address}/base:1"
    build(polyarch, directory, f"FROM {busybox}\nCOPY tree /\n", name)
    with Registry(Hosts(), Credentials(None), "polyarch-test") as opened:
        repository = opened.repository(references.parse(name))
        lying(repository, manifest(repository).layers[-1])
    (directory / "Dockerfile").write_text(f"FROM {name}\nCOPY new /app/\nRUN true\n")
    assert "does not match the table of contents" in fresh.fails("build", str(directory)).stderr
