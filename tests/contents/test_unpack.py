"""Unpacking layers: once each, under the right key, and only with the right digest."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from polyarch.contents.layer import LayerBlob, layers_of
from polyarch.contents.unpack import Unpacker
from polyarch.errors import CorruptError
from polyarch.layers.entry import Entry
from polyarch.layers.listing import scan
from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.progress import Event, Started
from polyarch.store import Store, tables
from polyarch.transfer import choose
from tests.images.layered import file
from tests.images.layered import layer as made_layer
from tests.images.made import AMD64, import_image, tar
from tests.needs import need_root

BASE = {"etc/": "", "etc/base": "1"}


@pytest.fixture(autouse=True)
def _root() -> None:
    """Owners of files can be set; the namespace itself is tested with `run`."""
    need_root()


def layer(store: Store, files: dict[str, str]) -> LayerBlob:
    raw = tar(files)
    blob = gzip.compress(raw, mtime=0)
    descriptor = store.put_bytes(media_types.OCI_LAYER_GZIP, blob)
    return LayerBlob(digests.of(raw), descriptor)


def test_layers_are_unpacked_in_order_and_found_again(store: Store) -> None:
    layers = (layer(store, BASE), layer(store, {"etc/": "", "etc/top": "2"}))
    seen: list[Event] = []
    lowers = Unpacker(store, store, seen.append).lowers(layers)
    assert [sorted(os.listdir(f"{lower}/etc")) for lower in lowers] == [["base"], ["top"]]
    assert sum(isinstance(event, Started) for event in seen) == 2
    seen.clear()
    assert Unpacker(store, store, seen.append).lowers(layers) == lowers
    assert seen == []


def test_a_layer_that_says_all_of_itself_is_one_snapshot_on_any_base(store: Store) -> None:
    top = layer(store, {"opt/": "", "opt/app": "x"})
    unpacker = Unpacker(store, store)
    first = unpacker.lowers((layer(store, BASE), top))
    second = unpacker.lowers((layer(store, {"usr/": "", "usr/other": "2"}), top))
    assert first[1] == second[1]
    assert store.snapshots.get(top.diff_id) is not None


def test_a_layer_with_a_file_in_a_directory_that_it_does_not_list_takes_it_from_below(store: Store) -> None:
    top = layer(store, {"etc/top": "2"})
    open_base = layer(store, BASE)
    closed = tar({"etc/": "", "etc/x": "1"})
    closed_raw = closed.replace(b"0000755", b"0000700", 1)
    closed_raw = _with_checksum(closed_raw)
    closed_base = LayerBlob(digests.of(closed_raw), store.put_bytes(media_types.OCI_LAYER, closed_raw))
    unpacker = Unpacker(store, store)
    on_open, on_closed = unpacker.lowers((open_base, top))[1], unpacker.lowers((closed_base, top))[1]
    assert on_open != on_closed
    assert [os.stat(f"{lower}/etc").st_mode & 0o777 for lower in (on_open, on_closed)] == [0o755, 0o700]
    assert store.snapshots.get(top.diff_id) is None


def test_a_hard_link_to_a_file_of_a_layer_below_brings_the_file(store: Store) -> None:
    # Polyarch writes no such layer, so another tool writes the tar.
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, kind, target in (("etc", tarfile.DIRTYPE, ""), ("etc/again", tarfile.LNKTYPE, "etc/base")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, target, 0o755
            archive.addfile(member)
    blob = store.put_bytes(media_types.OCI_LAYER, raw.getvalue())
    top = LayerBlob(blob.digest, blob)
    lowers = Unpacker(store, store).lowers((layer(store, BASE), top))
    assert Path(lowers[1], "etc/again").read_text() == "1"
    assert store.snapshots.get(top.diff_id) is None, "what it holds is the layers' below too"


def test_what_an_opaque_root_hides_is_not_mounted(store: Store) -> None:
    blob, diff_id = made_layer(store, [(Entry(path=".wh..wh..opq", kind="file", mode=0o644), b""), file("new", "1")])
    lowers = Unpacker(store, store).lowers((layer(store, BASE), LayerBlob(digests.parse(diff_id), blob)))
    assert [os.listdir(lower) for lower in lowers] == [["new"]]


def _with_checksum(raw: bytes) -> bytes:
    header = bytearray(raw[:512])
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + raw[512:]


def test_the_same_layer_twice_is_unpacked_once(store: Store) -> None:
    one = layer(store, BASE)
    seen: list[Event] = []
    lowers = Unpacker(store, store, seen.append).lowers((one, one))
    assert lowers[0] == lowers[1]
    assert sum(isinstance(event, Started) for event in seen) == 1


def test_a_layer_whose_diff_id_is_another_is_refused_and_leaves_nothing(store: Store) -> None:
    true = layer(store, BASE)
    false = LayerBlob(digests.of(b"another"), true.blob)
    with pytest.raises(CorruptError, match="does not match the image's config"):
        Unpacker(store, store).lowers((false,))
    assert store.snapshots.keys() == ()


def test_a_blob_that_was_spoilt_is_refused_even_where_its_listing_is_known(store: Store) -> None:
    one = layer(store, {"etc/": "", "etc/big": "x" * 100_000})
    Unpacker(store, store).listing(one)
    path = store.blob_path(one.blob.digest)
    path.chmod(0o600)
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(CorruptError):
        Unpacker(store, store).lowers((one,))
    assert store.snapshots.keys() == ()


def test_a_listing_is_remembered_and_a_damaged_memory_made_anew(store: Store) -> None:
    one = layer(store, BASE)
    first = Unpacker(store, store).listing(one)
    assert store.cache.get(tables.LISTING.stored, one.diff_id) == first.encode()
    store.cache.put(tables.LISTING.stored, one.diff_id, b"nonsense")
    assert [entry.path for entry in Unpacker(store, store).listing(one).entries] == ["etc", "etc/base"]
    assert store.cache.get(tables.LISTING.stored, one.diff_id) != b"nonsense"


def test_manifest_and_config_must_speak_of_the_same_layers(store: Store) -> None:
    made = import_image(store, "app")
    image = choose.choose(store, "app", made.descriptor, AMD64, AMD64)
    assert layers_of(image.manifest, image.config)[0].diff_id == image.config.diff_ids[0]
    with pytest.raises(CorruptError, match="has 1 layers, but its config lists 0"):
        layers_of(image.manifest, image.config.with_layers((), ()))


def test_what_import_says_of_a_layer_is_what_a_scan_says(store: Store) -> None:
    made = import_image(store, "app")
    image = choose.choose(store, "app", made.descriptor, AMD64, AMD64)
    with store.open_blob(image.manifest.layers[0]) as reader:
        diff_id, listing = scan(reader, image.manifest.layers[0].digest)
    remembered = Unpacker(store, store).listing(layers_of(image.manifest, image.config)[0])
    assert diff_id == image.config.diff_ids[0]
    assert [entry.path for entry in remembered.entries] == [entry.path for entry in listing.entries]


def test_a_blob_that_is_not_the_layer_of_its_diff_id_does_not_become_its_snapshot(store: Store) -> None:
    """The layer is known by its listing, so that nothing reads the blob before it is unpacked."""
    true = layer(store, BASE)
    Unpacker(store, store).listing(true)
    false = LayerBlob(true.diff_id, layer(store, {"etc/": "", "etc/base": "false"}).blob)
    with pytest.raises(CorruptError, match="its tar has the digest"):
        Unpacker(store, store).lowers((false,))
    assert store.snapshots.get(true.diff_id) is None
    (lower,) = Unpacker(store, store).lowers((true,))
    assert Path(lower, "etc/base").read_text() == "1"
