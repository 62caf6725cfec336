"""When the arrangement of a COPY for one base is valid for another."""

import pytest

from polyarch.builder.perform.copy import arrange, files, placement
from polyarch.builder.vertices import CopyFiles, CopyPart
from polyarch.layers.entry import Entry


class Base:
    """A base of a few entries."""

    def __init__(self, *entries: Entry) -> None:
        self._entries = {entry.path: entry for entry in (files.ROOT, *entries)}

    def entry(self, path: str) -> Entry | None:
        return self._entries.get(path)


def directory(path: str, mode: int = 0o755) -> Entry:
    return Entry(path=path, kind="directory", mode=mode)


def copied(base: placement.Lookup, destination: str = "/srv/app/") -> arrange.Arrangement:
    source = files.inline([("one", "1"), ("two", "2")])
    vertex = CopyFiles(base=(), parts=(CopyPart(source=(), path="/"),), destination=destination)
    return arrange.arrange(vertex, [source], base, None, lambda tree, path: None)


@pytest.mark.parametrize(
    "other",
    [
        Base(),
        Base(directory("usr"), directory("etc", 0o700)),
    ],
)
def test_a_copy_is_valid_on_bases_that_look_the_same_where_it_goes(other: Base) -> None:
    here = copied(placement.Empty())
    assert here.is_valid_on(other)
    assert list(copied(other).items) == list(here.items)


@pytest.mark.parametrize(
    "other",
    [
        Base(directory("srv", 0o700)),
        Base(Entry(path="srv", kind="symlink", mode=0o777, link="usr")),
        Base(directory("srv"), directory("srv/app")),
        Base(Entry(path="srv", kind="file", mode=0o644)),
    ],
)
def test_a_copy_is_worked_out_anew_where_the_base_looks_different(other: Base) -> None:
    assert not copied(placement.Empty()).is_valid_on(other)
