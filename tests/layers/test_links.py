"""A layer with a dangling hard link is never written."""

import gzip
import io

import pytest

from polyarch.errors import CorruptError
from polyarch.layers.entry import Item
from polyarch.layers.pack import tar_stream
from tests.layers.making import directory, file, hardlink, packed, symlink

BAD: dict[str, list[Item]] = {
    "the link comes first": [hardlink("a", "z"), file("z")],
    "nothing is there": [file("b"), hardlink("a", "z")],
    "itself": [hardlink("a", "a")],
    "itself, and it is there": [file("a"), hardlink("a", "a")],
    "a directory": [directory("d"), hardlink("a", "d")],
    "after another link": [file("b"), hardlink("c", "b"), hardlink("d", "e"), file("e")],
}


@pytest.mark.parametrize("items", BAD.values(), ids=BAD)
def test_a_link_without_its_file_before_it_is_refused(items: list[Item]) -> None:
    with pytest.raises(CorruptError, match="is a hard link to"):
        packed(items)
    with pytest.raises(CorruptError, match="is a hard link to"):
        list(tar_stream(items))


def test_a_link_behind_its_file_is_fine() -> None:
    items = [file("a"), hardlink("b", "a"), hardlink("c", "b"), symlink("l", "a"), hardlink("m", "l"), file("z")]
    assert [entry.path for entry in packed(items)[0].listing.entries] == ["a", "b", "c", "l", "m", "z"]
    assert gzip.decompress(packed(items)[1]) == b"".join(tar_stream(items))
    assert io.BytesIO(packed(items)[1]).read(2) == b"\x1f\x8b"
