"""How much of an image `check` reads, and real systems on which it must raise no false alarm."""

import contextlib
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from polyarch.images.check.check import check_source
from polyarch.layers.entry import Entry
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import BlobReader
from polyarch.store import Store, tables
from tests.images import elves
from tests.images.checking import NAME, amd64, checked, rules
from tests.images.layered import entry, file, image, index, layer, program


class Counting:
    """A source that notes the blobs that are opened, and how much of them is read in pieces."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.opened: list[str] = []
        self.pieces: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        self.opened.append(descriptor.digest)
        return self.store.open_blob(descriptor)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        self.pieces.append(size)
        return self.store.read_range(descriptor, offset, size)


def test_a_second_check_reads_no_layer(store: Store) -> None:
    made = image(store, "linux/amd64", [program("bin/x", elves.program("arm64"))])
    first = checked(store, ("linux/amd64", made))
    source = Counting(store)
    assert check_source(source, NAME, store) == first  # type: ignore[arg-type]
    config = store.load(made).config.digest  # type: ignore[union-attr]
    assert set(source.opened) == {config}


def test_a_layer_in_blocks_with_a_known_listing_is_entered_only_where_candidates_are(store: Store) -> None:
    from polyarch.contents.layer import layers_of
    from polyarch.transfer import choose
    from tests.layers.making import packed

    items = [*(file(f"data/{n}", bytes(range(256)) * 4096) for n in range(16)), program("z", elves.program("arm64"))]
    made = image(store, "linux/amd64", items)
    index(store, NAME, entry(made, "linux/amd64"))
    manifest = store.load(made)
    config = choose.read_config(store, manifest)  # type: ignore[arg-type]
    (one,) = layers_of(manifest, config)  # type: ignore[arg-type]
    store.cache.put(tables.LISTING.stored, one.diff_id, packed(items)[0].encoded)

    source = Counting(store)
    assert rules(check_source(source, NAME, store)) == ["foreign-binary"]  # type: ignore[arg-type]
    assert one.blob.digest not in source.opened
    assert 0 < sum(source.pieces) < one.blob.size / 8


@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_a_sweep_gives_what_a_scan_gives(store: Store, kind: str) -> None:
    from polyarch.contents.facts import Learner
    from polyarch.contents.layer import LayerBlob
    from polyarch.oci.digest import Digest

    items = [program("a", elves.program("arm64")), *(file(f"d{n}", bytes(700_000)) for n in range(6))]
    items += [program("b", elves.elf(needed=["x"])), file("etc/ld.so.conf", "/opt\n"), program("c", "#!/a\n")]
    blob, diff_id = layer(store, items, kind)
    scanned = Learner(store, None).learn(LayerBlob(Digest(diff_id), blob))
    store.cache.put(tables.LISTING.stored, diff_id, scanned[0].encode())
    assert Learner(store, store).learn(LayerBlob(Digest(diff_id), blob)) == scanned
    assert len(scanned[1].binaries) == 3
    assert set(scanned[1].texts.values()) == {"/opt\n"}


# Real input


def of_tar(tar: Path, *names: str) -> list[tuple[Entry, bytes]]:
    """Files of a root filesystem, as programs."""
    with tarfile.open(tar) as archive:
        found = []
        for name in names:
            with contextlib.suppress(KeyError):
                found.append(program(name, archive.extractfile(f"./{name}").read()))  # type: ignore[union-attr]
                continue
            found.append(program(name, archive.extractfile(name).read()))  # type: ignore[union-attr]
    return found  # type: ignore[return-value]


@pytest.fixture
def debian_store(store: Store, debian_tar: Callable[[str], Path]) -> Store:
    """A store with `NAME`, a Debian for amd64 and arm64."""
    from polyarch.images import import_ as importing
    from polyarch.oci import reference as references

    for wanted in ("linux/amd64", "linux/arm64"):
        with debian_tar(wanted).open("rb") as tar:
            importing.import_image(
                store, tar, references.parse(NAME), platforms.parse(wanted), importing.Settings(created="")
            )
    return store


def test_a_debian_for_two_platforms_raises_no_false_alarm(debian_store: Store) -> None:
    for kind in (None, tables.FACTS.stored):
        debian_store.cache.clear(kind)
        report = check_source(debian_store, NAME, debian_store)
        assert report.findings == ()
        assert all(image.binaries > 500 for image in report.images)


def test_a_glibc_binary_on_busybox_and_a_foreign_one_are_found_among_real_ones(
    store: Store, busybox_tars: dict[str, Path], debian_tar: Callable[[str], Path]
) -> None:
    (busybox,) = of_tar(busybox_tars["linux/amd64"], "bin/busybox")
    (foreign,) = of_tar(busybox_tars["linux/s390x"], "bin/busybox")
    (dynamic,) = of_tar(debian_tar("linux/amd64"), "usr/bin/dash")
    moved = (Entry(path="bin/other", kind="file", mode=0o755, size=foreign[0].size), foreign[1])
    report = amd64(store, [busybox], [dynamic], [moved], Cmd=["/bin/busybox"])
    assert sorted((f.rule, f.path) for f in report.findings) == [
        ("foreign-binary", "/bin/other"),
        ("loader-missing", "/usr/bin/dash"),
    ]
    assert "s390x" in next(f.message for f in report.findings if f.rule == "foreign-binary")


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"])
def test_a_static_busybox_of_each_platform_is_right_for_its_own_only(
    store: Store, busybox_tars: dict[str, Path], platform: str
) -> None:
    (busybox,) = of_tar(busybox_tars[platform], "bin/busybox")
    for claimed in busybox_tars:
        made = image(store, claimed, [busybox], Cmd=["/bin/busybox"])
        report = checked(store, (claimed, made))
        assert report.is_good(strict=True) == (claimed == platform)
        assert report.is_good() == (claimed == platform)
