"""Copies carry the manifests about an image: signatures, attestations, and what is about those."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from polyarch import progress
from polyarch.errors import CorruptError, UnsupportedError
from polyarch.oci import digest as digests
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types, referrer
from polyarch.oci import reference as references
from polyarch.oci.descriptor import REF_NAME, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Manifest
from polyarch.oci.place import Source, Target
from polyarch.registry import Registry
from polyarch.store import Keep
from polyarch.store.store import Store
from polyarch.transfer import copy as copier
from polyarch.transfer import referrers
from polyarch.transfer.archive import ArchiveWriter, open_archive
from polyarch.transfer.copy import CopyOptions
from polyarch.transfer.layout import OciLayout, blob_path
from polyarch.transfer.read_through import ReadThroughSource
from scripts.local_registry import LocalRegistry
from tests.oci.examples import AMD64, ARM64, attestation, image, index
from tests.registry.referring import ReferringRegistry, serving_referrers

KIND = "application/vnd.example.signature"


@pytest.fixture
def referring() -> Iterator[ReferringRegistry]:
    with serving_referrers() as registry:
        yield registry


def attach(place: Target, subject: Descriptor, text: str) -> Descriptor:
    raw = text.encode()
    layer = Descriptor(media_type="text/plain", digest=digests.of(raw), size=len(raw))
    made = manifests.artifact(KIND, [layer], subject, {"text": text})
    return referrers.attach(place, made, {layer.digest: raw, manifests.EMPTY.digest: manifests.EMPTY_CONFIG})


class Signed:
    """An index with two images, an attestation of one, and a signature of each of them, and of a signature."""

    def __init__(self, place: Target, name: str) -> None:
        self.amd64, self.arm64 = image(place, AMD64), image(place, ARM64)
        self.attestation = attestation(place, self.amd64)
        self.index = index(place, [self.amd64, self.arm64, self.attestation], name=name)
        self.subjects = {"amd64": self.amd64, "arm64": self.arm64, "attestation": self.attestation, "index": self.index}
        self.signatures = {name: attach(place, subject, name) for name, subject in self.subjects.items()}
        self.countersigned = attach(place, self.signatures["attestation"], "again")

    def found_in(self, place: Source) -> dict[str, list[str]]:
        """The texts that the place lists about each of the subjects."""
        found = {name: _texts(place, subject.digest) for name, subject in self.subjects.items()}
        return found | {"again": _texts(place, self.signatures["attestation"].digest)}


EVERYTHING = {
    "amd64": ["amd64"],
    "arm64": ["arm64"],
    "attestation": ["attestation"],
    "index": ["index"],
    "again": ["again"],
}


def _texts(place: Source, subject: Digest) -> list[str]:
    """The contents of the referrers; that they can be read shows that they are complete."""
    texts = []
    for entry in referrers.find(place, subject, KIND):
        document = referrers.read(place, subject, entry)
        assert isinstance(document, Manifest)
        with place.open_blob(document.layers[0]) as reader:
            texts.append(reader.read().decode())
    return sorted(texts)


def _warnings(events: list[progress.Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, progress.Warned)]


class TestBetweenPlaces:
    def test_a_layout_a_store_a_registry_an_archive_and_back(
        self,
        source: OciLayout,
        store: Store,
        client: Registry,
        referring: ReferringRegistry,
        spool: Any,
        tmp_path: Path,
    ) -> None:
        signed = Signed(source, "app")
        assert signed.found_in(source) == EVERYTHING
        copier.copy(source, "app", store, ("example.org/app:1",))
        assert signed.found_in(store) == EVERYTHING
        repository = client.repository(references.parse(f"{referring.address}/app"))
        copier.copy(store, "example.org/app:1", repository, ("1",))
        assert signed.found_in(repository) == EVERYTHING
        with (tmp_path / "app.tar").open("wb") as file:
            writer = ArchiveWriter(file)
            copier.copy(repository, "1", writer, ("example.org/app:1",))
            writer.finish()
        with open_archive((tmp_path / "app.tar").open("rb"), spool, "it") as archive:
            assert signed.found_in(archive) == EVERYTHING
            assert archive.resolve("").digest == signed.index.digest, "a referrer is not a second image"
            assert [image.name for image in archive.images()] == ["example.org/app:1"]
            copier.copy(archive, "", OciLayout.create(tmp_path / "last"), ("last",))
        assert signed.found_in(OciLayout(tmp_path / "last")) == EVERYTHING

    def test_debians_registry_has_tags_for_them(
        self, source: OciLayout, client: Registry, registry: LocalRegistry, tmp_path: Path
    ) -> None:
        signed = Signed(source, "app")
        repository = client.repository(references.parse(f"{registry.address}/app"))
        copier.copy(source, "app", repository, ("1",))
        assert signed.found_in(repository) == EVERYTHING
        tags = {referrer.tag(one.digest) for one in (*signed.subjects.values(), signed.signatures["attestation"])}
        assert set(repository.tags()) == {"1", *tags}
        copier.copy(repository, "1", target := OciLayout.create(tmp_path / "target"), ("app",))
        assert signed.found_in(target) == EVERYTHING

    def test_an_attestation_that_the_index_lists_needs_no_tag(
        self, source: OciLayout, client: Registry, registry: LocalRegistry
    ) -> None:
        one = image(source)
        index(source, [one, attestation(source, one)], name="app")
        repository = client.repository(references.parse(f"{registry.address}/app"))
        copier.copy(source, "app", repository, ("1",))
        assert repository.tags() == ("1",)

    def test_a_signature_made_later_goes_with_the_next_push(
        self, source: OciLayout, client: Registry, referring: ReferringRegistry
    ) -> None:
        one = image(source, name="app")
        repository = client.repository(references.parse(f"{referring.address}/app"))
        copier.copy(source, "app", repository, ("1",))
        attach(source, one, "late")
        sent = copier.send(source, "app", repository, ("1",))
        assert sent.form == "whole"
        assert _texts(repository, one.digest) == ["late"]

    def test_a_registry_that_wants_the_subject_first_gets_it_first_and_the_tag_is_last(
        self, source: OciLayout, client: Registry, referring: ReferringRegistry
    ) -> None:
        referring.wants_subject_first = True
        signed = Signed(source, "app")
        repository = client.repository(references.parse(f"{referring.address}/app"))
        copier.copy(source, "app", repository, ("1",))
        assert signed.found_in(repository) == EVERYTHING
        writes = [asked.path for asked in referring.server.asked if asked.method == "PUT"]
        assert writes[-1] == "/v2/app/manifests/1", "whoever verifies signatures finds them as soon as the tag is there"

    def test_a_registry_without_subjects_gets_the_image_and_the_user_a_warning(
        self, source: OciLayout, client: Registry, referring: ReferringRegistry
    ) -> None:
        referring.takes_subjects = False
        one = image(source, name="app")
        attach(source, one, "lost")
        repository = client.repository(references.parse(f"{referring.address}/app"))
        events: list[progress.Event] = []
        copier.copy(source, "app", repository, ("1",), emit=events.append)
        assert repository.resolve("1").digest == one.digest
        (warning,) = _warnings(events)
        assert f"about {one.digest}, could not be written" in warning

    def test_without_the_option_none_is_looked_for(
        self, source: OciLayout, store: Store, client: Registry, referring: ReferringRegistry
    ) -> None:
        signed = Signed(source, "app")
        repository = client.repository(references.parse(f"{referring.address}/app"))
        copier.copy(source, "app", repository, ("1",))
        copier.copy(repository, "1", store, ("app:1",), CopyOptions(referrers=False))
        assert not any(signed.found_in(store).values())


class TestSelections:
    def test_a_platform_brings_its_own_and_those_of_the_sparse_index(self, source: OciLayout, store: Store) -> None:
        signed = Signed(source, "app")
        copier.copy(source, "app", store, ("example.org/app:1",), CopyOptions(platforms=(AMD64,)))
        assert signed.found_in(store) == EVERYTHING | {"arm64": []}

    def test_an_index_of_some_images_is_another_one_and_has_no_signature(
        self, source: OciLayout, tmp_path: Path
    ) -> None:
        signed = Signed(source, "app")
        target = OciLayout.create(tmp_path / "target")
        copier.copy(source, "app", target, ("app",), CopyOptions(platforms=(AMD64,), sparse=False))
        assert signed.found_in(target) == EVERYTHING | {"arm64": [], "index": []}


class TestStore:
    def test_a_collection_keeps_them_as_long_as_the_image(self, source: OciLayout, store: Store) -> None:
        signed = Signed(source, "app")
        copier.copy(source, "app", store, ("example.org/app:1",))
        assert not store.kept(), "a referrer is not an image without a name"
        with Store.open(store.layout.root) as other:
            store.close()
            assert not other.maintenance.gc().removed
            assert signed.found_in(other) == EVERYTHING
        with Store.open(store.layout.root) as other:
            other.untag("example.org/app:1")
            assert other.kept() == ()
            gone = {item.name for item in other.maintenance.gc().removed}
            assert {one.digest for one in signed.signatures.values()} | {signed.countersigned.digest} <= gone
            assert other.referring() == {}, "index.json forgets what is gone"

    def test_what_is_about_no_image_of_the_store_goes(self, store: Store) -> None:
        attach(store, Descriptor(media_types.OCI_MANIFEST, digests.of(b"nowhere"), 7), "lonely")
        root = store.layout.root
        store.close()
        with Store.open(root) as other:
            other.maintenance.gc(Keep())
            assert other.referring() == {}

    def test_a_rebuilt_index_knows_them_again(self, source: OciLayout, store: Store) -> None:
        signed = Signed(source, "app")
        copier.copy(source, "app", store, ("example.org/app:1",))
        Path(store.layout.index).write_text("{")
        for problem in list(store.maintenance.verify()):
            store.maintenance.repair(problem)
        assert [entry.digest for entry in store.kept()] == [signed.index.digest]
        assert signed.found_in(store) == EVERYTHING
        assert list(store.maintenance.verify()) == []

    def test_the_store_is_asked_before_the_registry(self, source: OciLayout, store: Store, client: Registry) -> None:
        one = image(store, name="localhost:1/app:1")
        attach(store, one, "here")
        place = ReadThroughSource(store, client)
        place.resolve("localhost:1/app:1")
        assert _texts(place, one.digest) == ["here"]


class TestLayoutsOfOthers:
    """Each tool lists referrers in its own form."""

    def test_an_unnamed_manifest_with_a_subject_as_oras_writes(self, source: OciLayout) -> None:
        one = image(source, name="app")
        self._lay(source, one, lambda entry: {})
        assert _texts(source, one.digest) == ["other"]
        assert [found.name for found in source.images()] == ["app"]

    def test_an_index_under_the_tag_as_regctl_writes(self, source: OciLayout) -> None:
        one = image(source, name="app")
        made = self._lay(source, one, None)
        index(source, [made], name=referrer.tag(one.digest))
        assert _texts(source, one.digest) == ["other"]
        assert source.resolve("").digest == one.digest
        assert source.tags() == ("app",)

    def test_an_artifact_whose_subject_is_elsewhere_is_an_image_of_its_own(self, source: OciLayout) -> None:
        image(source, name="app")
        elsewhere = Descriptor(media_types.OCI_MANIFEST, digests.of(b"nowhere"), 7)
        made = self._lay(source, elsewhere, lambda entry: {})
        assert made.digest in [found.descriptor.digest for found in source.images()]

    def _lay(
        self, layout: OciLayout, subject: Descriptor, notes: Callable[[Descriptor], dict[str, str]] | None
    ) -> Descriptor:
        raw = b"other"
        layer = Descriptor("text/plain", digests.of(raw), len(raw))
        layout.write_blob(layer, io.BytesIO(raw))
        layout.write_blob(manifests.EMPTY, io.BytesIO(manifests.EMPTY_CONFIG))
        made = manifests.artifact(KIND, [layer], subject)
        layout.write_manifest(made.descriptor(), made.raw, None if notes is None else "")
        return referrer.entry(made)


class Lying(OciLayout):
    """A layout that lists what a test says."""

    listed: dict[Digest, tuple[Descriptor, ...]]

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return self.listed.get(subject, ())


class TestHostileLists:
    @pytest.fixture
    def lying(self, tmp_path: Path) -> Lying:
        OciLayout.create(tmp_path / "lying")
        layout = Lying(tmp_path / "lying")
        layout.listed = {}
        return layout

    def _copied(self, lying: Lying, store: Store) -> list[str]:
        events: list[progress.Event] = []
        copier.copy(lying, "app", store, ("example.org/app:1",), emit=events.append)
        assert store.referring() == {}
        return _warnings(events)

    def test_a_manifest_about_another_image_is_left_out(self, lying: Lying, store: Store) -> None:
        one, other = image(lying, AMD64, name="app"), image(lying, ARM64)
        made = attach(lying, other, "of the other")
        lying.listed = {one.digest: (made,)}
        (warning,) = self._copied(lying, store)
        assert f"but it is about {other.digest}" in warning
        with pytest.raises(CorruptError, match="but it is about"):
            referrers.read(lying, one.digest, made)

    def test_an_image_is_not_about_another(self, lying: Lying, store: Store) -> None:
        one, other = image(lying, AMD64, name="app"), image(lying, ARM64)
        lying.listed = {one.digest: (other,)}
        (warning,) = self._copied(lying, store)
        assert "but it has no subject" in warning

    def test_a_circle_ends(self, lying: Lying, store: Store) -> None:
        """No two manifests can be about each other, but a list can say so."""
        one = image(lying, name="app")
        made = attach(lying, one, "one")
        lying.listed = {one.digest: (made, one), made.digest: (one, made)}
        events: list[progress.Event] = []
        copier.copy(lying, "app", store, ("example.org/app:1",), emit=events.append)
        assert _texts(store, one.digest) == ["one"]
        assert _warnings(events) == []

    @pytest.mark.parametrize("size", [3, 5 << 20])
    def test_a_wrong_size_is_left_out(self, lying: Lying, store: Store, size: int) -> None:
        one = image(lying, name="app")
        made = attach(lying, one, "one")
        lying.listed = {one.digest: (Descriptor(made.media_type, made.digest, size),)}
        (warning,) = self._copied(lying, store)
        assert "was left out" in warning

    def test_what_is_missing_or_damaged_is_left_out(self, lying: Lying, store: Store) -> None:
        one = image(lying, name="app")
        lying.listed = {
            one.digest: (
                Descriptor(media_types.OCI_MANIFEST, digests.of(b"nowhere"), 7),
                Descriptor("text/html", digests.of(b"page"), 4),
                attach(lying, one, "damaged"),
            )
        }
        Path(lying.where, blob_path(digests.of(b"damaged"))).write_bytes(b"another")
        warnings = self._copied(lying, store)
        assert len(warnings) == 3
        assert any("unknown type text/html" in warning for warning in warnings)

    def test_of_thousands_only_so_many_are_taken(
        self, lying: Lying, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(referrers, "MAX_REFERRERS", 3)
        one = image(lying, name="app")
        lying.listed = {one.digest: tuple(attach(lying, one, str(number)) for number in range(5))}
        events: list[progress.Event] = []
        copier.copy(lying, "app", store, ("example.org/app:1",), emit=events.append)
        assert _texts(store, one.digest) == ["0", "1", "2"]
        assert "2 of more than 3 manifests" in _warnings(events)[0]

    def test_a_registry_whose_list_fails_still_gives_the_image(
        self, store: Store, client: Registry, referring: ReferringRegistry
    ) -> None:
        from tests.registry.faults import Answer

        repository = client.repository(references.parse(f"{referring.address}/app"))
        one = image(repository, name="1")
        referring.before = lambda asked: Answer(401) if "/referrers/" in asked.path else None
        events: list[progress.Event] = []
        copier.copy(repository, "1", store, ("example.org/app:1",), emit=events.append)
        assert store.resolve("example.org/app:1").digest == one.digest
        (warning,) = _warnings(events)
        assert f"the manifests about {one.digest} could not be listed" in warning


def test_names_in_annotations_do_not_name_a_referrer(source: OciLayout) -> None:
    one = image(source, name="app")
    made = manifests.artifact(KIND, [], one, {REF_NAME: "app"})
    referrers.attach(source, made, {manifests.EMPTY.digest: manifests.EMPTY_CONFIG})
    assert source.resolve("app").digest == one.digest


def test_only_places_with_lists_take_an_artifact(source: OciLayout, tmp_path: Path) -> None:
    one = image(source, name="app")
    with pytest.raises(UnsupportedError, match="cannot list manifests about an image"):
        referrers.attach(source, manifests.create(one, ()), {})
