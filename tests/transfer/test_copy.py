"""The one copier, between real places: layouts, and the store."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from polyarch import progress
from polyarch.errors import CancelledError, CorruptError, NotFoundError, RegistryError
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index
from polyarch.oci.place import BlobReader, Readable
from polyarch.oci.reference import Reference
from polyarch.store.store import Store
from polyarch.transfer import copy as copier
from polyarch.transfer import graph as graphs
from polyarch.transfer.copy import CopyOptions
from polyarch.transfer.layout import OciLayout, blob_path
from tests.oci.examples import AMD64, ARM, ARM64, S390X, attestation, image, index, multi_platform


@pytest.fixture
def target(tmp_path: Path) -> OciLayout:
    return OciLayout.create(tmp_path / "target")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


class Recording(OciLayout):
    """A layout that remembers the order of what is written into it."""

    def __init__(self, root: Path) -> None:
        OciLayout.create(root)
        super().__init__(root)
        self.order: list[str] = []

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        super().write_blob(descriptor, content)
        self.order.append("blob")

    def write_manifest(self, descriptor: Descriptor, raw: bytes, name: str | None = None) -> None:
        super().write_manifest(descriptor, raw, name)
        kind = "index" if descriptor.media_type in media_types.INDEXES else "manifest"
        self.order.append(f"{kind} {name}" if name else kind)


class Strict(Recording):
    """A target that takes an index only with all that it names, as registries do."""

    def write_manifest(self, descriptor: Descriptor, raw: bytes, name: str | None = None) -> None:
        document = documents.load(raw)
        if isinstance(document, Index) and not all(self.has_manifest(entry) for entry in document.manifests):
            raise RegistryError("an entry is unknown", status=404, codes=("MANIFEST_BLOB_UNKNOWN",))
        super().write_manifest(descriptor, raw, name)


class Ordered(Recording):
    """A target that takes a manifest only after its subject, as GitLab's registry does."""

    def write_manifest(self, descriptor: Descriptor, raw: bytes, name: str | None = None) -> None:
        subject = documents.load(raw).subject
        if subject is not None and self._files.size(blob_path(subject)) is None:
            raise RegistryError("the subject is unknown", status=400, codes=("MANIFEST_BLOB_UNKNOWN",))
        super().write_manifest(descriptor, raw, name)


class Mountable(Recording):
    """A target beside a repository that has everything."""

    def __init__(self, root: Path, neighbour: OciLayout) -> None:
        super().__init__(root)
        self.neighbour = neighbour

    def mount_blob(self, descriptor: Descriptor, origin: Reference) -> bool:
        if origin.path != "neighbour":
            return False
        with self.neighbour.open_blob(descriptor) as reader:
            OciLayout.write_blob(self, descriptor, reader)
        return True


class Seen(OciLayout):
    """A layout whose blobs have two repositories as their origins."""

    def origins(self, digest: str) -> tuple[Reference, ...]:
        return (Reference("x.y", "elsewhere"), Reference("x.y", "neighbour"))


def test_a_whole_index_arrives_byte_for_byte(source: OciLayout, target: OciLayout) -> None:
    root = multi_platform(source, "app")
    assert copier.copy(source, "app", target, ["app", "other"]) == root
    assert target.tags() == ("app", "other")
    assert target.read_manifest(root) == source.read_manifest(root)
    graph = graphs.read(target, root)
    assert len(graph.manifests) == 2
    assert graphs.missing(graph, target) == ()


def test_children_come_before_what_names_them_and_the_name_last(source: OciLayout, tmp_path: Path) -> None:
    inner = multi_platform(source)
    index(source, [inner, image(source, S390X)], name="app")
    target = Recording(tmp_path / "recording")
    copier.copy(source, "app", target, ["app"])
    kinds = [word.split()[0] for word in target.order]
    assert kinds == ["blob"] * kinds.count("blob") + ["manifest"] * 3 + ["index", "index"]
    assert target.order[-1] == "index app"


class Known(OciLayout):
    """A place whose content was seen in one repository. Its first answer about a manifest is slow, and the others wait
    for each other.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._asked = 0
        self._waiting = threading.Barrier(2)

    def origins(self, digest: Digest) -> tuple[Reference, ...]:
        return (Reference("x.y", "app"),)

    def points_at(self, name: str) -> Digest | None:
        return self.resolve(name).digest

    def has_manifest(self, descriptor: Descriptor) -> bool:
        self._asked += 1
        if self._asked == 1:
            time.sleep(0.01)
        else:
            self._waiting.wait(timeout=60)
        return super().has_manifest(descriptor)


def test_a_distant_target_is_asked_for_manifests_at_the_same_time(
    source: OciLayout, target: OciLayout, tmp_path: Path
) -> None:
    root = index(source, [image(source, AMD64), image(source, ARM64), image(source, S390X)], name="app")
    copier.copy(source, "app", target, ["app"])
    known = Known(tmp_path / "target")
    sent = copier.send(known, "app", known, ["app"])
    assert (sent.descriptor, sent.moved, sent.form) == (root, 0, "whole")


def test_the_config_of_a_single_image_is_read_once(tmp_path: Path, target: OciLayout) -> None:
    opened: list[str] = []

    class Counting(OciLayout):
        def open_blob(self, descriptor: Descriptor) -> BlobReader:
            opened.append(descriptor.digest)
            return super().open_blob(descriptor)

    OciLayout.create(tmp_path / "counting")
    source = Counting(tmp_path / "counting")
    image(source, AMD64, name="app")
    root = copier.copy(source, "app", target, ["app"], CopyOptions(platforms=(AMD64,)))
    graph = graphs.read(target, root)
    assert graphs.missing(graph, target) == ()
    assert sorted(opened) == sorted(blob.digest for blob in graph.blobs)


def test_the_caller_may_do_something_while_blobs_are_copied(source: OciLayout, target: OciLayout) -> None:
    root = multi_platform(source, "app")
    seen: list[bool] = []
    options = CopyOptions(meanwhile=lambda: seen.append("app" in target.tags()))
    assert copier.copy(source, "app", target, ["app"], options) == root
    assert seen == [False]


def test_a_second_copy_moves_nothing_and_says_so(source: OciLayout, target: OciLayout) -> None:
    multi_platform(source, "app")
    first = copier.send(source, "app", target, ["app"])
    events: list[progress.Event] = []
    second = copier.send(source, "app", target, ["app"], CopyOptions(unit="push app"), events.append)
    assert (second.moved, second.existing) == (0, first.moved)
    notes = {event.note for event in events if isinstance(event, progress.Transferred) and event.current}
    assert notes == {"exists"}
    assert {event.id for event in events if isinstance(event, progress.Transferred)} == {"push app"}


def test_a_copy_that_is_no_longer_wanted_ends_before_its_next_part(source: OciLayout, tmp_path: Path) -> None:
    multi_platform(source, "app")
    target = Recording(tmp_path / "target")
    with pytest.raises(CancelledError):
        copier.copy(source, "app", target, ("app",), CopyOptions(stopped=lambda: len(target.order) > 1, concurrency=1))
    assert target.order == ["blob", "blob"]


def test_progress_reaches_the_size_of_every_blob(source: OciLayout, target: OciLayout) -> None:
    image(source, AMD64, {"big": "x" * 100}, name="app")
    done: dict[str, tuple[int, int]] = {}
    lock = threading.Lock()

    def emit(event: progress.Event) -> None:
        if isinstance(event, progress.Transferred):
            with lock:
                done[event.item] = (event.current, event.total)

    copier.copy(source, "app", target, ["app"], None, emit)
    assert len(done) == 2
    assert all(current == total > 0 for current, total in done.values())


def test_blobs_that_the_targets_registry_has_are_mounted(source: OciLayout, tmp_path: Path) -> None:
    multi_platform(source, "app")
    target = Mountable(tmp_path / "mountable", source)
    sent = copier.send(Seen(tmp_path / "source"), "app", target, ["app"])
    assert (sent.moved, sent.existing) == (0, 0)
    assert sent.mounted > 0
    assert "blob" not in target.order


def test_only_a_few_neighbours_are_asked_before_a_blob_is_sent(source: OciLayout, tmp_path: Path) -> None:
    image(source, AMD64, name="app")
    asked: list[str] = []

    class Refusing(Recording):
        def mount_blob(self, descriptor: Descriptor, origin: Reference) -> bool:
            asked.append(origin.path)
            return False

    class SeenOften(OciLayout):
        def origins(self, digest: str) -> tuple[Reference, ...]:
            return tuple(Reference("x.y", f"team{number}") for number in range(9))

    sent = copier.send(SeenOften(tmp_path / "source"), "app", Refusing(tmp_path / "refusing"), ["app"])
    assert (sent.mounted, sent.moved > 0) == (0, True)
    assert set(asked) == {"team0", "team1", "team2"}


def test_a_layer_that_may_not_be_distributed_stays_where_it_is(source: OciLayout, target: OciLayout) -> None:
    descriptor = image(source, AMD64)
    document = documents.load(source.read_manifest(descriptor)).decode()
    document["layers"].append(
        {
            "mediaType": media_types.DOCKER_FOREIGN_LAYER,
            "digest": "sha256:" + "f" * 64,
            "size": 9,
            "urls": ["https://x.y"],
        }
    )
    foreign = documents.load(documents.encode(document))
    source.write_manifest(foreign.descriptor(), foreign.raw, "app")
    assert copier.copy(source, "app", target, ["app"]).digest == foreign.digest


class TestPlatforms:
    """Some platforms of an index."""

    def test_the_original_index_is_kept_where_the_target_takes_it_sparse(
        self, source: OciLayout, target: OciLayout
    ) -> None:
        root = multi_platform(source, "app", [AMD64, ARM64, S390X])
        sent = copier.send(source, "app", target, ["app"], CopyOptions(platforms=(ARM64,)))
        assert (sent.form, sent.descriptor) == ("sparse", root)
        graph = graphs.read(target, root)
        assert [str(entry.platform) for entry in graph.absent] == ["linux/amd64", "linux/s390x"]

    def test_else_an_index_of_just_those_is_written_with_their_attestations(
        self, source: OciLayout, tmp_path: Path
    ) -> None:
        one, two = image(source, AMD64), image(source, ARM64)
        index(source, [one, two, attestation(source, one), attestation(source, two)], name="app")
        target = Strict(tmp_path / "strict")
        sent = copier.send(source, "app", target, ["app"], CopyOptions(platforms=(ARM64,)))
        assert sent.form == "subset"
        written = documents.load(target.read_manifest(target.resolve("app")))
        assert isinstance(written, Index)
        assert [entry.digest for entry in indexes.images(written)] == [two.digest]
        assert len(written.manifests) == 2

    def test_all_platforms_asked_for_one_by_one_are_the_whole(self, source: OciLayout, target: OciLayout) -> None:
        multi_platform(source, "app")
        assert copier.send(source, "app", target, ["app"], CopyOptions(platforms=(ARM64, AMD64))).form == "whole"

    def test_a_single_one_comes_without_an_index(self, source: OciLayout, target: OciLayout) -> None:
        multi_platform(source, "app")
        sent = copier.send(source, "app", target, ["app"], CopyOptions(platforms=(ARM64,), single=True))
        assert (sent.form, sent.descriptor.media_type) == ("single", media_types.OCI_MANIFEST)

    def test_one_that_is_lacking_is_an_error_that_lists_what_is_there(
        self, source: OciLayout, target: OciLayout
    ) -> None:
        multi_platform(source, "app")
        with pytest.raises(NotFoundError, match="app: there is no image for linux/s390x") as caught:
            copier.copy(source, "app", target, ["app"], CopyOptions(platforms=(AMD64, S390X)))
        assert caught.value.hint == "it has linux/amd64, linux/arm64"
        assert target.tags() == ()

    def test_a_single_image_for_another_platform_is_an_error(self, source: OciLayout, target: OciLayout) -> None:
        image(source, ARM, name="app")
        with pytest.raises(NotFoundError, match="no image for linux/amd64"):
            copier.copy(source, "app", target, ["app"], CopyOptions(platforms=(AMD64,)))
        assert copier.copy(source, "app", target, ["app"], CopyOptions(platforms=(ARM,)))

    def test_what_a_sparse_place_has_can_be_taken_without_the_rest(self, source: OciLayout, tmp_path: Path) -> None:
        root = multi_platform(source, "app", [AMD64, ARM64])
        sparse = OciLayout.create(tmp_path / "sparse")
        copier.copy(source, "app", sparse, ["app"], CopyOptions(platforms=(ARM64,)))
        strict = Strict(tmp_path / "strict")
        sent = copier.send(sparse, "app", strict, ["app"], CopyOptions(present_only=True))
        assert (sent.form, sent.descriptor == root) == ("subset", False)
        assert graphs.missing(graphs.read(strict, sent.descriptor), strict) == ()

    def test_what_was_copied_sparse_is_whole_after_the_rest_came(self, source: OciLayout, store: Store) -> None:
        root = multi_platform(source, "app")
        copier.copy(source, "app", store, ["x.y/app:1"], CopyOptions(platforms=(ARM64,)))
        assert store.missing(root)
        copier.copy(source, "app", store, ["x.y/app:1"], CopyOptions(platforms=(AMD64,)))
        assert not store.missing(root)


class TestFaults:
    """Nothing is sent in part, and nothing corrupt arrives."""

    def test_what_the_source_lacks_is_named_before_anything_is_sent(self, source: OciLayout, tmp_path: Path) -> None:
        one, two = image(source, AMD64), image(source, ARM64)
        index(source, [one, two], name="app")
        (tmp_path / "source" / blob_path(two.digest)).unlink()
        target = Recording(tmp_path / "recording")
        with pytest.raises(NotFoundError, match="linux/arm64: manifest " + two.digest) as caught:
            copier.copy(source, "app", target, ["app"])
        assert "--platform linux/amd64" in (caught.value.hint or "")
        assert target.order == []

    def test_only_platforms_that_are_there_are_offered_instead(self, source: OciLayout, tmp_path: Path) -> None:
        gone, asked = image(source, AMD64), image(source, ARM64)
        nameless = [msgspec.structs.replace(image(source, one), platform=None) for one in (S390X, ARM)]
        not_asked = image(source, S390X, {"other": "x"})
        index(source, [gone, asked, *nameless, not_asked], name="app")
        for digest in (gone.digest, not_asked.digest, nameless[0].digest):
            (tmp_path / "source" / blob_path(digest)).unlink()
        for platforms in (None, (AMD64, ARM64)):
            options = CopyOptions(platforms=platforms, called="x/y:1")
            with pytest.raises(NotFoundError, match="x/y:1 is not complete") as caught:
                copier.copy(source, "app", Recording(tmp_path / "recording"), ["app"], options)
            assert (caught.value.hint or "").endswith("choose the complete ones with --platform linux/arm64")

    def test_a_missing_layer_is_named_with_its_platform(self, source: OciLayout, tmp_path: Path) -> None:
        descriptor = image(source, ARM64)
        index(source, [image(source, AMD64), descriptor], name="app")
        layer = graphs.read(source, descriptor).blobs[-1]
        (tmp_path / "source" / blob_path(layer.digest)).unlink()
        target = Recording(tmp_path / "recording")
        with pytest.raises(NotFoundError, match=f"linux/arm64: blob {layer.digest}"):
            copier.copy(source, "app", target, ["app"])
        assert target.order == []

    @pytest.mark.parametrize("position", range(5))
    def test_each_part_that_is_spoilt_is_noticed_and_no_name_is_written(
        self, source: OciLayout, target: OciLayout, tmp_path: Path, position: int
    ) -> None:
        root = index(source, [image(source, AMD64, base=[{"shared": "layer"}])], name="app")
        graph = graphs.read(source, root)
        parts = [root, *(node.descriptor for node in graph.manifests), *graph.blobs]
        assert len(parts) == 5
        path = tmp_path / "source" / blob_path(parts[position].digest)
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
        with pytest.raises(CorruptError):
            copier.copy(source, "app", target, ["app"])
        assert target.tags() == ()

    def test_an_index_of_five_levels_is_refused(self, source: OciLayout, target: OciLayout) -> None:
        root = image(source, AMD64)
        for _ in range(4):
            root = index(source, [root])
        copier.copy(source, root.digest, target, ["four"])
        root = index(source, [root])
        with pytest.raises(CorruptError, match="more than 4 levels"):
            copier.copy(source, root.digest, target, ["five"])
        assert target.tags() == ("four",)

    def test_an_index_that_names_itself_is_refused(self, source: OciLayout, target: OciLayout) -> None:
        root = multi_platform(source, "app")
        circle = indexes.create([Descriptor(media_type=media_types.OCI_INDEX, digest=root.digest, size=root.size)])

        class Lying(OciLayout):
            """Impossible with real digests: every read returns the index that names it."""

            def read_manifest(self, descriptor: Descriptor) -> bytes:
                return circle.raw

        with pytest.raises(CorruptError, match="nested"):
            copier.copy(Lying(Path(source.where)), "app", target, ["app"])

    def test_a_manifest_that_claims_five_megabytes_is_refused_unread(
        self, source: OciLayout, target: OciLayout
    ) -> None:
        huge = Descriptor(media_type=media_types.OCI_MANIFEST, digest=image(source, AMD64).digest, size=5 << 20)
        index(source, [huge], name="app")
        with pytest.raises(CorruptError, match="5242880 bytes"):
            copier.copy(source, "app", target, ["app"])

    def test_the_first_failure_stops_the_rest(self, source: OciLayout, tmp_path: Path) -> None:
        image(source, AMD64, base=[{f"layer{n}": "x" * n} for n in range(12)], name="app")

        class Failing(Recording):
            def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
                self.order.append("tried")
                raise RegistryError("no space left")

        target = Failing(tmp_path / "failing")
        with pytest.raises(RegistryError, match="no space left"):
            copier.copy(source, "app", target, ["app"], CopyOptions(concurrency=2))
        assert len(target.order) < 13
        assert threading.active_count() == 1

    def test_an_upload_that_was_cut_is_sent_again_from_the_start(self, source: OciLayout, tmp_path: Path) -> None:
        image(source, AMD64, name="app")

        class Cut(Recording):
            def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
                if self.order.count("cut") < 2:
                    content.read(3)
                    self.order.append("cut")
                    raise RegistryError("connection reset", retryable=True)
                super().write_blob(descriptor, content)

        target = Cut(tmp_path / "cut")
        copier.copy(source, "app", target, ["app"], CopyOptions(concurrency=1))
        assert target.order == ["cut", "cut", "blob", "blob", "manifest app"]


class TestOrder:
    """Each manifest goes after all that it names."""

    @pytest.mark.parametrize("concurrency", [1, 4])
    def test_a_statement_goes_after_its_subject(self, source: OciLayout, tmp_path: Path, concurrency: int) -> None:
        images = [image(source, platform) for platform in (AMD64, ARM64, S390X)]
        about = [attestation(source, entry) for entry in images]
        root = index(source, [*about, *images], name="app")
        target = Ordered(tmp_path / "target")
        copier.copy(source, "app", target, ["app"], CopyOptions(concurrency=concurrency))
        assert all(target.has_manifest(entry) for entry in (root, *about))

    def test_statements_about_statements_and_indexes_are_in_groups(self, source: OciLayout) -> None:
        one, other = image(source, AMD64), image(source, ARM64)
        inner = index(source, [one, other])
        first = attestation(source, inner)
        second = attestation(source, first)
        root = index(source, [second, first, inner], name="app")
        groups = [{node.descriptor.digest for node in group} for group in graphs.in_order(graphs.read(source, root))]
        assert groups == [{one.digest, other.digest}, {inner.digest}, {first.digest}, {second.digest}]

    def test_a_subject_that_is_elsewhere_is_not_waited_for(self, source: OciLayout, target: OciLayout) -> None:
        one = image(source, AMD64)
        about = attestation(source, one)
        index(source, [about], name="app")
        copier.copy(source, "app", target, ["app"])
        assert target.has_manifest(about)
        assert not target.has_manifest(one)
