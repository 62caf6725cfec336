"""Every reader of foreign bytes returns a result or raises PolyarchError, and writes nothing outside its directory.

A bounded run; `make soak` tries many more, also asks how long each took, and says so in docs/reliability.md.
"""

import contextlib
import io
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyarch.errors import PolyarchError
from tests.fuzz import targets
from tests.fuzz.mutate import KINDS, WORDS, Edit, mutated
from tests.fuzz.targets import TARGETS

_EDITS = st.lists(
    st.builds(Edit, st.sampled_from(KINDS), st.integers(0, 1 << 14), st.integers(0, 64), st.sampled_from(WORDS)),
    min_size=1,
    max_size=6,
)


def tried(name: str, raw: bytes) -> None:
    """One input. Raises whatever is not a PolyarchError."""
    with contextlib.suppress(PolyarchError):
        TARGETS[name].run(raw)


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_changed_in_any_way_is_read_or_refused(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(seed=st.sampled_from(target.seeds), edits=_EDITS)
    def check(seed: bytes, edits: list[Edit]) -> None:
        tried(name, mutated(seed, edits, tar=target.tar))

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_read(name: str) -> None:
    """Otherwise all mutations would be refused at once. Some of the layers are hostile unchanged."""
    if name != "layer":
        for seed in TARGETS[name].seeds:
            TARGETS[name].run(seed)
    else:
        targets.unpack(TARGETS[name].seeds[0])


@pytest.mark.parametrize("name", ["manifest or index", "config", "index.json", "config.json", "error body"])
def test_json_that_is_nested_deeply_is_refused(name: str) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        tried(name, opening * 100_000 + b"1" + closing * 100_000)
        tried(name, b'{"manifests":' + opening * 50_000)


def test_an_unpacker_that_follows_links_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle sees what a careless unpacker does: tarfile's, told to trust."""

    def careless(layer: io.BytesIO, directory: str, form: object = None) -> None:
        with tarfile.open(fileobj=io.BytesIO(layer.read())) as tar:
            tar.extraction_filter = lambda member, _: member
            tar.extractall(directory)

    monkeypatch.setattr(targets, "apply", careless)
    hostile = targets.tar_of(("l", tarfile.SYMTYPE, "../outside"), ("l/new", tarfile.REGTYPE, b"x"))
    with pytest.raises(targets.EscapedError):
        targets.unpack(hostile)
    upwards = targets.tar_of(("../new", tarfile.REGTYPE, b"x"))
    monkeypatch.setattr(targets.listings, "scan", lambda *_, **__: ("", targets.listings.Listing(entries=(), size=0)))
    with pytest.raises(targets.EscapedError):
        targets.unpack(upwards)


def test_a_target_that_fails_otherwise_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, "careless", targets.Target(lambda raw: raw.decode("ascii"), (b"x",)))
    with pytest.raises(UnicodeDecodeError):
        tried("careless", b"\xff")
