"""Creating a list: members from the store, registries, layouts and archives."""

from collections.abc import Callable
from pathlib import Path

import pytest

from polyarch.errors import ConflictError, NotFoundError, PolyarchError, UsageError
from polyarch.indexes import create, edit, lists
from polyarch.indexes.create import CreateOptions
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci import platform as platforms_
from polyarch.oci import reference as references
from polyarch.oci.descriptor import REFERENCE_DIGEST, Descriptor
from polyarch.oci.index import PlatformEdit
from polyarch.store.store import Store
from polyarch.transfer import copy as copier
from polyarch.transfer import graph as graphs
from polyarch.transfer.archive import ArchiveWriter
from polyarch.transfer.layout import OciLayout
from polyarch.transfer.locate import Places
from scripts.local_registry import LocalRegistry
from tests.oci import schemas
from tests.oci.examples import AMD64, ARM, ARM64, S390X, attestation, blob, image, index, multi_platform

LIST = "docker.io/team/app:1"


def platforms(changed: create.Changed) -> list[str]:
    return [str(entry.platform) for entry in indexes.images(changed.index)]


def test_two_images_of_the_store_become_a_list(places: Places, store: Store) -> None:
    one = image(store, AMD64, name="docker.io/team/app:1-amd64")
    two = image(store, ARM64, name="docker.io/team/app:1-arm64")
    made = create.create(places, "team/app:1", ["team/app:1-amd64", "team/app:1-arm64"])
    assert made.name == LIST
    assert store.resolve(LIST) == made.descriptor
    assert made.index.manifests == (one, two)
    schemas.validate(made.index.raw, media_types.OCI_INDEX)


def test_docker_images_make_a_manifest_list_of_dockers(places: Places, store: Store) -> None:
    image(store, AMD64, name="docker.io/library/a:latest", docker=True)
    image(store, ARM64, name="docker.io/library/b:latest", docker=True)
    made = create.create(places, "team/app:1", ["a", "b"])
    assert made.descriptor.media_type == media_types.DOCKER_INDEX
    schemas.validate(made.index.raw, media_types.DOCKER_INDEX)


@pytest.mark.parametrize(("wanted", "kind"), [("docker", media_types.DOCKER_INDEX), ("oci", media_types.OCI_INDEX)])
def test_a_format_can_be_asked_for_and_the_members_follow(places: Places, store: Store, wanted: str, kind: str) -> None:
    image(store, AMD64, name="docker.io/library/a:latest", docker=True)
    image(store, ARM64, name="docker.io/library/b:latest")
    made = create.create(places, "app", ["a", "b"], CreateOptions(format=wanted))
    assert made.descriptor.media_type == kind
    graph = graphs.read(store, made.descriptor)
    for node in (*graph.indexes, *graph.manifests):
        schemas.validate(node.document.raw, node.document.media_type)
    assert {node.document.media_type for node in graph.manifests} == {
        media_types.DOCKER_MANIFEST if wanted == "docker" else media_types.OCI_MANIFEST
    }
    assert store.missing(made.descriptor) == ()


def test_a_member_that_is_an_index_is_flattened_with_its_attestations(places: Places, store: Store) -> None:
    one, two = image(store, AMD64), image(store, ARM64)
    inner = index(store, [two, attestation(store, two)])
    index(store, [one, attestation(store, one), inner], name="docker.io/library/both:latest")
    image(store, S390X, name="docker.io/library/s390x:latest")
    made = create.create(places, "app", ["both", "s390x"])
    assert platforms(made) == ["linux/amd64", "linux/arm64", "linux/s390x"]
    subjects = [entry.annotations.get(REFERENCE_DIGEST) for entry in made.index.manifests]
    assert subjects == [None, one.digest, None, two.digest, None]


def test_members_come_from_layouts_and_archives_and_are_kept(
    places: Places, store: Store, layout: OciLayout, tmp_path: Path
) -> None:
    image(layout, AMD64, name="amd64")
    image(layout, ARM64, name="arm64")
    image(layout, S390X, name="s390x")
    for name, docker in (("oci", False), ("docker", True)):
        with (tmp_path / f"{name}.tar").open("wb") as file:
            writer = ArchiveWriter(file, docker=docker)
            source = "arm64" if name == "oci" else "s390x"
            copier.copy(layout, source, writer, [source])
            writer.finish()
    members = [
        f"oci-layout://{tmp_path / 'layout'}:amd64",
        f"oci-archive:{tmp_path / 'oci.tar'}",
        f"docker-archive:{tmp_path / 'docker.tar'}",
    ]
    made = create.create(places, "app", members)
    assert platforms(made) == ["linux/amd64", "linux/arm64", "linux/s390x"]
    assert store.missing(made.descriptor) == ()


def test_the_baseline_comes_before_its_variants_whatever_the_order_of_the_members(places: Places, store: Store) -> None:
    v2, v3 = (platforms_.parse(f"linux/amd64/{name}") for name in ("v2", "v3"))
    for name, platform in {"v3": v3, "arm": ARM, "v2": v2, "base": AMD64}.items():
        image(store, platform, name=f"docker.io/library/{name}:latest")
    made = create.create(places, "app", ["v3", "arm", "base"])
    assert platforms(made) == ["linux/amd64", "linux/arm/v7", "linux/amd64/v3"]
    added = create.add(places, "app", "v2")
    assert platforms(added) == ["linux/amd64", "linux/arm/v7", "linux/amd64/v2", "linux/amd64/v3"]
    labelled = edit.annotate(places, "app", "linux/amd64", PlatformEdit(variant="v4"))
    assert platforms(labelled) == ["linux/amd64/v2", "linux/arm/v7", "linux/amd64/v3", "linux/amd64/v4"]


def test_members_of_two_registries_move_no_layer(
    places: Places, store: Store, layout: OciLayout, registry: LocalRegistry, second_registry: LocalRegistry
) -> None:
    names = []
    for server, platform in ((registry, AMD64), (second_registry, ARM64)):
        names.append(f"{server.address}/app:{platform.architecture}")
        image(layout, platform, name="x")
        repository = places.registry.repository(references.parse(names[-1]))
        copier.copy(layout, "x", repository, [platform.architecture])
    made = create.create(places, "app", names)
    assert platforms(made) == ["linux/amd64", "linux/arm64"]
    graph = graphs.read(store, made.descriptor)
    assert graph.absent == ()
    present = [found for found in graph.blobs if store.has_blob(found)]
    assert {found.media_type for found in present} == {media_types.OCI_CONFIG}
    assert len(present) == 2


def test_an_existing_list_is_refused_without_amend(places: Places, store: Store) -> None:
    image(store, AMD64, name="docker.io/library/a:latest")
    first = create.create(places, "app", ["a"])
    with pytest.raises(ConflictError, match="app:latest exists already") as caught:
        create.create(places, "app", ["a"])
    assert "--amend" in (caught.value.hint or "")
    assert store.resolve(first.name) == first.descriptor


def test_amend_adds_and_renews(places: Places, store: Store) -> None:
    old = image(store, AMD64, name="docker.io/library/a:latest")
    old_note = attestation(store, old)
    index(store, [old, old_note], name="docker.io/library/app:latest")
    new = image(store, AMD64, {"new": "content"}, name="docker.io/library/a:latest")
    two = image(store, ARM64, name="docker.io/library/b:latest")
    amended = create.create(places, "app", ["a", "b"], CreateOptions(amend=True))
    assert [entry.digest for entry in amended.index.manifests] == [new.digest, two.digest]
    assert [entry.digest for entry in amended.removed] == [old.digest, old_note.digest]
    assert [entry.digest for entry in amended.added] == [new.digest, two.digest]


def test_two_members_for_one_platform_are_refused_and_both_named(places: Places, store: Store) -> None:
    one = image(store, AMD64, name="docker.io/library/a:latest")
    two = image(store, AMD64, {"other": "content"}, name="docker.io/library/b:latest")
    with pytest.raises(ConflictError) as caught:
        create.create(places, "app", ["a", "b"])
    for word in ("linux/amd64", f"a: {one.digest}", f"b: {two.digest}"):
        assert word in caught.value.message
    assert store.tags() == ("docker.io/library/a:latest", "docker.io/library/b:latest")
    made = create.create(places, "app", ["a", "b"], CreateOptions(allow_duplicates=True))
    assert len(made.index.manifests) == 2


def test_the_same_image_twice_is_one_entry(places: Places, store: Store) -> None:
    image(store, AMD64, name="docker.io/library/a:latest")
    assert len(create.create(places, "app", ["a", "a:latest"]).index.manifests) == 1


def test_annotations_of_the_list(places: Places, store: Store) -> None:
    image(store, AMD64, name="docker.io/library/a:latest")
    made = create.create(places, "app", ["a"], CreateOptions(annotations={"org.example": "yes"}))
    assert made.index.annotations == {"org.example": "yes"}


def test_an_empty_list_can_be_filled_later(places: Places, store: Store) -> None:
    create.create(places, "app", [])
    one = image(store, AMD64, name="docker.io/library/a:latest")
    edit = PlatformEdit(architecture="arm64")
    added = create.add(places, "app", "a", edit, {"note": "x"})
    (entry,) = added.index.manifests
    assert (entry.digest, str(entry.platform), entry.annotations) == (one.digest, "linux/arm64", {"note": "x"})
    assert "own config says linux/amd64" in added.warnings[0]


def test_adding_a_second_image_for_a_platform_is_refused(places: Places, store: Store) -> None:
    multi_platform(store, LIST)
    image(store, ARM64, {"other": "content"}, name="docker.io/library/a:latest")
    with pytest.raises(ConflictError, match="linux/arm64"):
        create.add(places, "team/app:1", "a")
    assert len(create.add(places, "team/app:1", "a", allow_duplicates=True).index.manifests) == 3


def nowhere(store: Store, layout: OciLayout) -> str:
    return "127.0.0.1:1/none:1"


def artifact(store: Store, layout: OciLayout) -> str:
    config = blob(store, b"{}", "application/vnd.example.config+json")
    made = manifests.create(config, [])
    store.write_manifest(made.descriptor(), made.raw, "docker.io/library/chart:latest")
    return "chart"


def platformless(store: Store, layout: OciLayout) -> str:
    config = blob(store, b'{"rootfs":{"type":"layers","diff_ids":[]}}', media_types.OCI_CONFIG)
    made = manifests.create(config, [])
    store.write_manifest(made.descriptor(), made.raw, "docker.io/library/nothing:latest")
    return "nothing"


def deep(store: Store, layout: OciLayout) -> str:
    root: Descriptor = image(layout, AMD64)
    for _ in range(5):
        root = index(layout, [root])
    layout.write_manifest(root, layout.read_manifest(root), "deep")
    return f"oci-layout://{layout.where}:deep"


def spoilt(store: Store, layout: OciLayout) -> str:
    root = image(layout, ARM, name="spoilt")
    graph = graphs.read(layout, root)
    path = Path(layout.where, "blobs/sha256", graph.blobs[0].digest.removeprefix("sha256:"))
    path.write_bytes(path.read_bytes().replace(b"arm", b"mra"))
    return f"oci-layout://{layout.where}:spoilt"


def huge(store: Store, layout: OciLayout) -> str:
    raw = documents.encode({"schemaVersion": 2, "manifests": [], "annotations": {"x": "y" * (5 << 20)}})
    made = blob(layout, raw, media_types.OCI_INDEX)
    layout.write_manifest(made, raw, "huge")
    return f"oci-layout://{layout.where}:huge"


@pytest.mark.parametrize("bad", [nowhere, artifact, platformless, deep, spoilt, huge])
def test_a_bad_member_is_an_error_that_names_it_and_the_list_stays(
    places: Places, store: Store, layout: OciLayout, bad: Callable[[Store, OciLayout], str]
) -> None:
    root = multi_platform(store, LIST)
    word = bad(store, layout)
    with pytest.raises(PolyarchError):
        create.create(places, "team/app:1", [word], CreateOptions(amend=True))
    with pytest.raises(PolyarchError):
        create.add(places, "team/app:1", word)
    assert store.resolve(LIST) == root


def test_an_unknown_list_is_an_error_with_the_lists_that_there_are(places: Places, store: Store) -> None:
    multi_platform(store, LIST)
    image(store, AMD64, name="docker.io/library/single:latest")
    with pytest.raises(NotFoundError, match="no list other:latest") as caught:
        lists.load(store, "other")
    assert "team/app:1" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="a single image"):
        lists.load(store, "single")
    with pytest.raises(UsageError, match="by a tag"):
        lists.load(store, "app@sha256:" + "a" * 64)


def test_which_lists_there_are_and_letting_them_go(store: Store) -> None:
    multi_platform(store, LIST)
    image(store, AMD64, name="docker.io/library/single:latest")
    assert [(listed.name, len(listed.platforms)) for listed in lists.ls(store)] == [(LIST, 2)]
    assert lists.exists(store, "team/app:1")
    assert not lists.exists(store, "single")
    with pytest.raises(NotFoundError):
        lists.rm(store, ("team/app:1", "unknown"))
    assert lists.exists(store, "team/app:1")
    assert [gone.name for gone in lists.rm(store, ("team/app:1",))] == [LIST]
    assert not lists.exists(store, "team/app:1")
