"""Lists and registries: push, changed remotely, imagetools."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from polyarch.errors import NotFoundError, RegistryError, UsageError
from polyarch.indexes import create, diff, edit, imagetools, inspect, lists, push
from polyarch.indexes.imagetools import Annotation, ToolOptions
from polyarch.indexes.push import PushOptions
from polyarch.oci import index as indexes
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci import reference as references
from polyarch.oci.document import Index, Manifest
from polyarch.store.store import Store
from polyarch.transfer import copy as copier
from polyarch.transfer import graph as graphs
from polyarch.transfer.layout import OciLayout, open_layout
from polyarch.transfer.locate import Places
from scripts.local_registry import LocalRegistry
from tests.needs import need
from tests.oci import schemas
from tests.oci.examples import AMD64, ARM64, S390X, attestation, image, index, multi_platform

pytestmark = pytest.mark.integration

Pushed = Callable[..., str]


@pytest.fixture
def at(places: Places, registry: LocalRegistry, layout: OciLayout) -> Pushed:
    """Push an image of the layout to the registry: `at("name:tag", descriptor)` gives its reference."""

    def pushed(name: str, digest: str, server: LocalRegistry = registry) -> str:
        text = f"{server.address}/{name}"
        reference = references.parse(text)
        copier.copy(layout, digest, places.registry.repository(reference), [reference.tag])
        return text

    return pushed


def layer_uploads(registry: LocalRegistry) -> int:
    return sum(line.startswith(("PUT", "PATCH")) and "/blobs/uploads/" in line for line in registry.requests())


class TestPush:
    """Members first, then the list."""

    def test_local_members_go_along_and_skopeo_reads_each(
        self, places: Places, store: Store, registry: LocalRegistry
    ) -> None:
        need("skopeo")
        name = f"{registry.address}/team/app:1"
        image(store, AMD64, name=f"{name}-amd64")
        image(store, ARM64, name=f"{name}-arm64")
        create.create(places, name, [f"{name}-amd64", f"{name}-arm64"])
        pushed = push.push(places, name)
        assert (pushed.sent.form, pushed.warnings) == ("whole", ())
        for architecture in ("amd64", "arm64"):
            command = ["skopeo", "--override-arch", architecture, "inspect", "--tls-verify=false", f"docker://{name}"]
            found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            assert found["Architecture"] == architecture

    def test_members_of_its_registry_are_mounted_those_of_another_are_copied(
        self,
        places: Places,
        registry: LocalRegistry,
        second_registry: LocalRegistry,
        layout: OciLayout,
        at: Pushed,
    ) -> None:
        here = at("amd64:1", image(layout, AMD64).digest)
        there = at("arm64:1", image(layout, ARM64).digest, second_registry)
        name = f"{registry.address}/app:1"
        create.create(places, name, [here, there])
        before = layer_uploads(registry)
        pushed = push.push(places, name)
        assert pushed.sent.mounted > 0
        assert 0 < layer_uploads(registry) - before <= 3
        graph = graphs.read(places.registry.repository(references.parse(name)), pushed.sent.descriptor)
        assert graph.absent == ()

    @pytest.mark.parametrize("wanted", ["docker", "oci"])
    def test_in_the_other_format_no_blob_changes(
        self, places: Places, store: Store, registry: LocalRegistry, wanted: str
    ) -> None:
        name = f"{registry.address}/app:1"
        entries = [image(store, AMD64, docker=wanted == "oci"), image(store, ARM64)]
        root = index(store, entries, name=name)
        pushed = push.push(places, name, f"{registry.address}/other:2", PushOptions(format=wanted))
        repository = places.registry.repository(references.parse(f"{registry.address}/other"))
        graph = graphs.read(repository, repository.resolve("2"))
        assert graph.root.descriptor.digest == pushed.sent.descriptor.digest
        for node in (*graph.indexes, *graph.manifests):
            assert ("docker" in node.document.media_type) == (wanted == "docker")
            schemas.validate(node.document.raw, node.document.media_type)
        assert {blob.digest for blob in graph.blobs} == {blob.digest for blob in graphs.read(store, root).blobs}
        assert store.resolve(name) == root

    def test_purge_lets_the_local_list_go_once_it_is_there(
        self, places: Places, store: Store, registry: LocalRegistry
    ) -> None:
        name = f"{registry.address}/app:1"
        multi_platform(store, name)
        push.push(places, name, "", PushOptions(purge=True))
        assert not lists.exists(store, name)
        assert places.registry.repository(references.parse(name)).tags() == ("1",)

    def test_a_list_that_was_changed_remotely_is_a_warning_that_names_it(
        self, places: Places, store: Store, registry: LocalRegistry, layout: OciLayout, at: Pushed
    ) -> None:
        name = f"{registry.address}/app:1"
        multi_platform(store, name)
        mine = push.push(places, name).sent.descriptor.digest
        assert push.push(places, name).warnings == ()
        other = multi_platform(layout, None, [S390X])
        at("app:1", other.digest)
        (warning,) = push.push(places, name).warnings
        for word in (name, mine, other.digest):
            assert word in warning

    def test_a_member_that_is_nowhere_is_named_and_nothing_is_sent(
        self, places: Places, store: Store, registry: LocalRegistry
    ) -> None:
        name = f"{registry.address}/app:1"
        root = multi_platform(store, name)
        layer = graphs.read(store, root).blobs[-1]
        store.blob_path(layer.digest).unlink()
        with pytest.raises(NotFoundError, match=layer.digest):
            push.push(places, name)
        assert not any(line.startswith(("PUT", "POST", "PATCH")) for line in registry.requests())

    def test_a_registry_that_is_not_there(self, places: Places, store: Store) -> None:
        root = multi_platform(store, "127.0.0.1:1/app:1")
        with pytest.raises(RegistryError):
            push.push(places, "127.0.0.1:1/app:1")
        assert store.resolve("127.0.0.1:1/app:1") == root


class TestRemote:
    """Reading lists that are only in a registry."""

    def test_inspect_reads_the_registry_and_keeps_nothing(
        self, places: Places, store: Store, registry: LocalRegistry, layout: OciLayout, at: Pushed
    ) -> None:
        name = at("app:1", multi_platform(layout).digest)
        inspected = inspect.inspect(places, name, deep=True)
        configs = [part.config.platform for part in inspected.parts if part.config is not None]
        assert configs == [AMD64, ARM64]
        assert store.tags() == ()
        assert not store.has_manifest(inspected.descriptor)

    def test_diff_of_the_local_list_against_the_remote(
        self, places: Places, store: Store, registry: LocalRegistry
    ) -> None:
        name = f"{registry.address}/app:1"
        multi_platform(store, name)
        push.push(places, name)
        assert diff.diff(places, name, f"docker://{name}").is_same
        edit.remove(places, name, "linux/arm64")
        (found,) = diff.diff(places, name, f"docker://{name}").entries
        assert (found.change, found.subject) == ("added", "linux/arm64")

    def test_annotating_with_an_image_that_only_the_registry_has(
        self, places: Places, store: Store, registry: LocalRegistry, layout: OciLayout, at: Pushed
    ) -> None:
        name = f"{registry.address}/app:1"
        old = multi_platform(store, name)
        new = image(layout, ARM64, {"new": "content"})
        text = at("app-arm64:1", new.digest)
        changed = edit.annotate(places, name, text, indexes.PlatformEdit(architecture="arm64"))
        assert [entry.digest for entry in changed.added] == [new.digest]
        assert len(changed.removed) == 1
        push.push(places, name)
        repository = places.registry.repository(references.parse(name))
        assert repository.resolve("1").digest == changed.descriptor.digest != old.digest


class TestImagetools:
    """buildx's words."""

    def test_create_joins_images_of_a_registry_without_moving_a_layer(
        self, places: Places, store: Store, registry: LocalRegistry, layout: OciLayout, at: Pushed
    ) -> None:
        one, two = image(layout, AMD64), image(layout, ARM64)
        names = [at("app:amd64", one.digest), at("app:arm64", two.digest)]
        before = layer_uploads(registry)
        made = imagetools.create(places, names, [f"{registry.address}/app:1", f"{registry.address}/other:1"])
        assert layer_uploads(registry) == before
        assert isinstance(made.document, Index)
        assert [entry.digest for entry in made.document.manifests] == [one.digest, two.digest]
        for name in ("app", "other"):
            repository = places.registry.repository(references.parse(f"{registry.address}/{name}"))
            assert repository.resolve("1").digest == made.descriptor.digest
        assert store.tags() == ()
        assert made.metadata()["containerimage.digest"] == made.descriptor.digest

    def test_append_keeps_what_the_tag_has(
        self, places: Places, registry: LocalRegistry, layout: OciLayout, at: Pushed
    ) -> None:
        name = at("app:1", multi_platform(layout).digest)
        more = at("app:s390x", image(layout, S390X).digest)
        made = imagetools.create(places, [more], [name], ToolOptions(append=True))
        assert isinstance(made.document, Index)
        assert indexes.describe(made.document) == "linux/amd64, linux/arm64, linux/s390x"

    def test_a_dry_run_writes_nothing(
        self, places: Places, registry: LocalRegistry, layout: OciLayout, at: Pushed
    ) -> None:
        name = at("app:1", multi_platform(layout).digest)
        before = [line for line in registry.requests() if not line.startswith(("GET", "HEAD"))]
        made = imagetools.create(places, [name], [f"{registry.address}/app:2"], ToolOptions(dry_run=True))
        assert made.sent == ()
        assert [line for line in registry.requests() if not line.startswith(("GET", "HEAD"))] == before

    def test_a_single_index_is_carried_over_as_it_is(
        self, places: Places, registry: LocalRegistry, layout: OciLayout, at: Pushed
    ) -> None:
        root = multi_platform(layout)
        made = imagetools.create(places, [at("app:1", root.digest)], [f"{registry.address}/copy:1"])
        assert made.descriptor.digest == root.digest

    def test_a_single_image_becomes_an_index_unless_that_is_not_preferred(
        self, places: Places, registry: LocalRegistry, layout: OciLayout, at: Pushed
    ) -> None:
        name = at("app:1", image(layout, ARM64).digest)
        target = [f"{registry.address}/app:2"]
        wrapped = imagetools.create(places, [name], target)
        assert isinstance(wrapped.document, Index)
        assert indexes.describe(wrapped.document) == "linux/arm64"
        plain = imagetools.create(places, [name], target, ToolOptions(prefer_index=False))
        assert isinstance(plain.document, Manifest)

    def test_platforms_choose_and_attestations_follow(
        self, places: Places, registry: LocalRegistry, layout: OciLayout, at: Pushed
    ) -> None:
        one, two = image(layout, AMD64), image(layout, ARM64)
        root = index(layout, [one, two, attestation(layout, one), attestation(layout, two)])
        options = ToolOptions(platforms=(ARM64,))
        made = imagetools.create(places, [at("app:1", root.digest)], [f"{registry.address}/app:arm"], options)
        assert isinstance(made.document, Index)
        assert len(made.document.manifests) == 2
        assert made.document.manifests[0].digest == two.digest

    def test_annotations_go_where_they_say(
        self, places: Places, registry: LocalRegistry, layout: OciLayout, at: Pushed
    ) -> None:
        words = ("index:a=1", "manifest-descriptor[linux/arm64]:b=2", "manifest-descriptor:c=3", "d=4")
        name = at("app:1", multi_platform(layout).digest)
        made = imagetools.create(places, [name], [f"{registry.address}/app:2"], ToolOptions(annotations=words))
        assert isinstance(made.document, Index)
        assert made.document.annotations == {"a": "1", "d": "4"}
        assert [entry.annotations for entry in made.document.manifests] == [{"c": "3"}, {"b": "2", "c": "3"}]
        schemas.validate(made.document.raw, media_types.OCI_INDEX)

    def test_descriptors_and_digests_are_meant_in_the_targets_repository(
        self, places: Places, registry: LocalRegistry, layout: OciLayout, at: Pushed
    ) -> None:
        one, two = image(layout, AMD64), image(layout, AMD64, {"other": "content"})
        at("app:amd64", one.digest)
        at("app:other", two.digest)
        described = json.dumps({"digest": two.digest, "platform": {"os": "linux", "architecture": "arm64"}})
        made = imagetools.create(places, [one.digest, described], [f"{registry.address}/app:1"])
        assert isinstance(made.document, Index)
        assert indexes.describe(made.document) == "linux/amd64, linux/arm64"
        assert [entry.digest for entry in made.document.manifests] == [one.digest, two.digest]

    def test_layouts_are_sources_and_targets_with_no_registry(
        self, places: Places, layout: OciLayout, tmp_path: Path
    ) -> None:
        multi_platform(layout, "x")
        made = imagetools.create(
            places, [f"oci-layout://{tmp_path / 'layout'}:x"], [f"oci-layout://{tmp_path / 'out'}:y"]
        )
        target = open_layout(tmp_path / "out")
        assert target.resolve("y").digest == made.descriptor.digest
        assert graphs.missing(graphs.read(target, made.descriptor), target) == ()

    def test_wrong_use_is_said(self, places: Places) -> None:
        for sources, targets, options in (
            (["a"], [], ToolOptions()),
            (["a"], ["x", "y"], ToolOptions(append=True)),
            ([], ["x"], ToolOptions()),
            (["a"], ["oci-archive:x.tar"], ToolOptions()),
            (["sha256:" + "a" * 64], ["oci-layout://x:y"], ToolOptions()),
        ):
            with pytest.raises(UsageError):
                imagetools.create(places, sources, targets, options)


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("a=b", Annotation("a", "b")),
        ("index:a=b:c=d", Annotation("a", "b:c=d")),
        ("org.x:y=1", Annotation("org.x:y", "1")),
        ("manifest-descriptor:a=", Annotation("a", "", on_index=False)),
        ("manifest-descriptor[linux/arm/v7]:a=b", Annotation("a", "b", False, platforms.parse("linux/arm/v7"))),
    ],
)
def test_an_annotation_says_where_it_goes(word: str, meaning: Annotation) -> None:
    assert imagetools.parse_annotation(word) == meaning


@pytest.mark.parametrize("word", ["a", "=b", "manifest:a=b", "index[linux/amd64]:a=b", "manifest-descriptor[x:a=b"])
def test_what_is_no_annotation_is_refused(word: str) -> None:
    with pytest.raises(UsageError):
        imagetools.parse_annotation(word)
