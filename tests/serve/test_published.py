"""What any order of pushes and deletions leaves in repositories of one store."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.serve.errors import RequestError
from polyarch.serve.repositories import Repositories
from polyarch.store import Store

REPOSITORIES = ("team/a", "b")
TAGS = ("1", "2")


def _manifest(number: int, **fields: Any) -> bytes:
    config = {"mediaType": media_types.OCI_EMPTY, "digest": digests.of(b"{}"), "size": 2}
    notes = {"number": str(number)}
    return msgspec.json.encode({"schemaVersion": 2, "config": config, "layers": [], "annotations": notes, **fields})


def _entry(raw: bytes) -> dict[str, Any]:
    return {"mediaType": media_types.OCI_MANIFEST, "digest": digests.of(raw), "size": len(raw)}


IMAGES = [_manifest(number) for number in range(3)]
INDEXES = [
    msgspec.json.encode(
        {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [_entry(one) for one in members]}
    )
    for members in (IMAGES[:2], IMAGES[1:])
]
ABOUT = [_manifest(9, subject=_entry(IMAGES[0])), _manifest(8, subject=_entry(INDEXES[0]))]
DOCUMENTS = [*IMAGES, *INDEXES, *ABOUT]
BELOW = {digests.of(INDEXES[0]): IMAGES[:2], digests.of(INDEXES[1]): IMAGES[1:]}

Step = tuple[str, str, int, str]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "push", "delete", "untag"]),
        st.sampled_from(REPOSITORIES),
        st.integers(0, len(DOCUMENTS) - 1),
        st.sampled_from(["", *TAGS]),
    ),
    max_size=12,
)


@contextlib.contextmanager
def _repositories() -> Iterator[tuple[Repositories, Path]]:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "store"
        with Store.open(root) as store:
            store.put_bytes("", b"{}")
            for raw in DOCUMENTS:
                kind = media_types.OCI_INDEX if raw in INDEXES else media_types.OCI_MANIFEST
                store.write_manifest(Descriptor(media_type=kind, digest=digests.of(raw), size=len(raw)), raw)
            yield Repositories(store), root


def _there(repositories: Repositories, repository: str) -> set[Digest]:
    found = set()
    for raw in DOCUMENTS:
        with contextlib.suppress(RequestError):
            found.add(repositories.resolve(repository, digests.of(raw)).digest)
    return found


def _tags(repositories: Repositories, repository: str) -> dict[str, Digest]:
    if not repositories.catalog().exists(repository):
        return {}
    return {tag: descriptor.digest for tag, descriptor in repositories.tags(repository).items()}


def _do(repositories: Repositories, step: Step) -> None:
    """One step, and what must be true of its repository after it."""
    what, repository, number, tag = step
    digest = digests.of(DOCUMENTS[number])
    before, tags = _there(repositories, repository), _tags(repositories, repository)
    if what == "push":
        repositories.put_manifest(repository, tag or digest, DOCUMENTS[number], "")
        assert _there(repositories, repository) >= before | {digest}
        assert _tags(repositories, repository) == tags | ({tag: digest} if tag else {})
    elif what == "untag" and tag in tags:
        repositories.delete_tag(repository, tag)
        assert _there(repositories, repository) == before
        assert _tags(repositories, repository) == {name: one for name, one in tags.items() if name != tag}
    elif what == "delete":
        if digest not in before or any(digest in map(digests.of, BELOW[one]) for one in before & BELOW.keys()):
            with pytest.raises(RequestError) as refused:
                repositories.delete_manifest(repository, digest)
            assert refused.value.status == (405 if digest in before else 404)
            return
        repositories.delete_manifest(repository, digest)
        left = _there(repositories, repository)
        below = {digests.of(raw) for raw in BELOW.get(digest, ())}
        about = {digests.of(raw) for raw in ABOUT}
        assert digest not in left
        assert before - {digest} - below - about <= left
        assert _tags(repositories, repository) == {name: one for name, one in tags.items() if one != digest}


@settings(max_examples=20, deadline=None)
@given(STEPS)
def test_a_step_changes_only_what_it_is_for_and_nothing_that_is_there_is_collected(steps: list[Step]) -> None:
    with _repositories() as (repositories, root):
        for step in steps:
            others = [name for name in REPOSITORIES if name != step[1]]
            before = [(_there(repositories, name), _tags(repositories, name)) for name in others]
            _do(repositories, step)
            assert [(_there(repositories, name), _tags(repositories, name)) for name in others] == before
        there = {name: _there(repositories, name) for name in REPOSITORIES}
        repositories.store.turn_lease()
        repositories.store.turn_lease()
        with Store.open(root) as other:
            other.maintenance.gc()
        for name, found in there.items():
            assert _there(repositories, name) == found
            for digest in found:
                assert digests.of(repositories.read_manifest(name, digest)[1]) == digest
