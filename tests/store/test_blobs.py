"""Writing and reading blobs: nothing is kept unless its size and digest are right."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.store import Store
from tests.store.images import describe, write


def files(root: Path) -> list[str]:
    return sorted(path.name for part in ("oci/blobs", "tmp") for path in (root / part).rglob("*") if path.is_file())


def test_what_was_written_is_read_back(store: Store) -> None:
    descriptor = write(store, b"layer")
    assert store.has_blob(descriptor)
    with store.open_blob(descriptor) as reader:
        assert reader.read() == b"layer"
    assert store.blob_path(descriptor.digest).read_bytes() == b"layer"


@pytest.mark.parametrize("content", [b"layer", b"layer and more", b"LAYER!"], ids=["short", "long", "other bytes"])
def test_bytes_that_are_not_what_the_descriptor_says_leave_nothing(
    store: Store, store_root: Path, content: bytes
) -> None:
    with pytest.raises(CorruptError):
        store.write_blob(describe(b"layer!"), io.BytesIO(content))
    assert not store.has_blob(describe(b"layer!"))
    assert files(store_root) == []


def test_a_source_that_breaks_off_leaves_nothing(store: Store, store_root: Path) -> None:
    class Breaking:
        def read(self, size: int = -1, /) -> bytes:
            raise ConnectionResetError("the peer is gone")

    with pytest.raises(ConnectionResetError):
        store.write_blob(describe(b"layer"), Breaking())
    assert files(store_root) == []


def test_a_corrupt_blob_is_found_when_it_is_read(store: Store) -> None:
    descriptor = write(store, b"layer")
    store.blob_path(descriptor.digest).write_bytes(b"liver")
    with store.open_blob(descriptor) as reader, pytest.raises(CorruptError, match="from the store is corrupt"):
        reader.read()


def test_a_truncated_blob_counts_as_absent_and_is_written_anew(store: Store) -> None:
    descriptor = write(store, b"layer")
    os.truncate(store.blob_path(descriptor.digest), 2)
    assert not store.has_blob(descriptor)
    write(store, b"layer")
    assert store.has_blob(descriptor)


def test_a_blob_that_is_not_there_is_an_error_that_names_it(store: Store) -> None:
    with pytest.raises(NotFoundError, match=digests.of(b"x")):
        store.open_blob(describe(b"x"))
    with pytest.raises(NotFoundError):
        store.read_range(describe(b"x"), 0, 1)


def test_a_digest_that_leads_out_of_the_store_is_refused(store: Store) -> None:
    outside = Descriptor("", Digest("sha256:../../oci-layout"), 30)
    with pytest.raises(CorruptError, match="is not a digest"):
        store.has_blob(outside)
    with pytest.raises(CorruptError, match="is not a digest"):
        store.blob_path(outside.digest)


def test_sha512_has_a_directory_of_its_own(store: Store, store_root: Path) -> None:
    import hashlib

    digest = Digest("sha512:" + hashlib.sha512(b"layer").hexdigest())
    store.write_blob(Descriptor("", digest, 5), io.BytesIO(b"layer"))
    assert (store_root / "oci/blobs/sha512" / digest.removeprefix("sha512:")).read_bytes() == b"layer"


def test_a_blob_of_unknown_digest_is_absent_until_it_is_committed(store: Store, store_root: Path) -> None:
    with store.new_blob() as writer:
        writer.write(b"lay")
        writer.write(b"er")
        assert not store.has_blob(describe(b"layer"))
        assert writer.commit() == (digests.of(b"layer"), 5)
    assert store.has_blob(describe(b"layer"))
    with store.new_blob() as writer:
        writer.write(b"given up")
    assert files(store_root) == [digests.encoded(digests.of(b"layer"))]


def test_a_commit_under_another_digest_than_expected_is_refused(store: Store, store_root: Path) -> None:
    with store.new_blob() as writer:
        writer.write(b"layer")
        with pytest.raises(CorruptError, match="was expected"):
            writer.commit(digests.of(b"another"))
    assert files(store_root) == []


def test_a_range_is_read_from_the_middle(store: Store) -> None:
    descriptor = write(store, b"0123456789")
    assert store.read_range(descriptor, 3, 4) == b"3456"
    assert store.read_range(descriptor, 8, 4) == b"89"


def test_blobs_are_found_by_a_prefix_of_their_digest(store: Store) -> None:
    descriptor = store.put_bytes("text/plain", b"config")
    assert store.find_by_prefix(digests.encoded(descriptor.digest)[:12]) == [descriptor.digest]
    assert store.find_by_prefix("0" * 64) == []


def test_a_large_blob_is_written_back_on_the_way(store: Store) -> None:
    content = bytes(range(256)) * (80 << 10)  # 20 MiB: more than two of the pieces that are handed to the kernel
    assert store.has_blob(write(store, content))


@given(pieces=st.lists(st.binary(max_size=40), max_size=8))
def test_the_size_of_the_pieces_does_not_matter(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    with Store.open(tmp_path_factory.getbasetemp() / "pieces") as store:
        with store.new_blob() as writer:
            for piece in pieces:
                writer.write(piece)
            assert writer.commit() == (digests.of(whole), len(whole))
        with store.open_blob(describe(whole)) as reader:
            assert reader.read() == whole
