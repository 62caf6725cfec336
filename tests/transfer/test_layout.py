"""Layout directories: reading by other tools, and names."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import ConflictError, CorruptError, NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import media_types, reference
from polyarch.oci.descriptor import REF_NAME, Descriptor
from polyarch.oci.document import Index
from polyarch.transfer import copy as copier
from polyarch.transfer import graph as graphs
from polyarch.transfer import names
from polyarch.transfer.layout import OciLayout, open_layout
from tests.oci.examples import AMD64, ARM64, image, multi_platform
from tests.transfer.archives import skopeo


class TestLayouts:
    """A layout directory."""

    def test_skopeo_reads_each_platform(self, source: OciLayout, tmp_path: Path) -> None:
        multi_platform(source, "1.0")
        for architecture in ("amd64", "arm64"):
            found = skopeo("--override-arch", architecture, "inspect", f"oci:{tmp_path / 'source'}:1.0")
            assert found["Architecture"] == architecture

    def test_an_index_json_that_lists_the_platforms_of_one_image_is_that_image(
        self, source: OciLayout, tmp_path: Path
    ) -> None:
        made = indexes.create([image(source, AMD64), image(source, ARM64)])
        (tmp_path / "source" / "index.json").write_bytes(made.raw)
        assert [found.descriptor for found in source.images()] == [made.descriptor()]
        target = OciLayout.create(tmp_path / "target")
        assert copier.copy(source, "", target, ["app"]).digest == made.digest
        assert graphs.missing(graphs.read(target, made.descriptor()), target) == ()

    def test_a_name_given_again_moves(self, source: OciLayout) -> None:
        image(source, AMD64, name="x")
        second = image(source, ARM64, name="x")
        assert source.resolve("x").digest == second.digest
        assert len(source.images()) == 1

    def test_an_image_without_a_name_is_at_the_top_once(self, source: OciLayout) -> None:
        descriptor = image(source, AMD64, name="")
        image(source, AMD64, name="")
        assert source.resolve("").digest == descriptor.digest
        assert [found.name for found in source.images()] == [""]

    def test_a_directory_of_other_things_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "letter").touch()
        with pytest.raises(ConflictError, match="neither"):
            OciLayout.create(tmp_path / "home")
        with pytest.raises(NotFoundError, match="not an OCI image layout"):
            open_layout(tmp_path / "home")

    def test_a_blob_that_fails_leaves_nothing(self, source: OciLayout, tmp_path: Path) -> None:
        descriptor = image(source, AMD64)
        with pytest.raises(CorruptError):
            source.write_blob(descriptor.__class__("a/b", digests.of(b"x"), 1), io.BytesIO(b"y"))
        assert not [path.name for path in (tmp_path / "source").rglob(".*")]

    def test_a_range_is_the_middle_of_a_blob(self, source: OciLayout) -> None:
        descriptor = image(source, AMD64)
        assert source.read_range(descriptor, 2, 5) == source.read_manifest(descriptor)[2:7]


references = st.sampled_from(["a", "b:1", "x.y/c:2", "docker.io/library/d:3", "latest", ""])


@given(st.lists(st.tuples(references, st.sampled_from("pqr")), max_size=8))
def test_a_name_always_means_what_it_was_given_last(given_names: list[tuple[str, str]]) -> None:
    index = indexes.create()
    expected: dict[str, str] = {}
    for name, letter in given_names:
        descriptor = Descriptor(media_type=media_types.OCI_MANIFEST, digest=digests.of(letter.encode()), size=1)
        index = names.give(index, descriptor, name)
        if name:
            expected[name] = descriptor.digest
    for name, digest in expected.items():
        assert names.find(index, name, "here").digest == digest
    assert {found.name for found in names.entries(index)} >= {
        name if name in ("a", "latest") else str(reference.parse(name).tagged()) for name in expected
    }


@given(st.lists(st.tuples(st.sampled_from(["", "a", "x/a:1", "x/b:1", "y:2"]), st.sampled_from("pqr")), max_size=12))
def test_names_given_one_after_the_other_are_those_given_each_to_an_index_of_its_own(
    given_names: list[tuple[str, str]],
) -> None:
    # Two entries of one name, as other programs write them, among what is there before.
    twice = {"mediaType": media_types.OCI_MANIFEST, "size": 1, "annotations": {REF_NAME: "a"}}
    entries = [{**twice, "digest": digests.of(letter)} for letter in (b"p", b"q")]
    before = documents.load(json.dumps({"schemaVersion": 2, "manifests": entries, "x": "kept"}).encode())
    assert isinstance(before, Index)
    naming, step = names.Naming(before), before
    for name, letter in given_names:
        descriptor = Descriptor(media_type=media_types.OCI_MANIFEST, digest=digests.of(letter.encode()), size=1)
        naming.give(descriptor, name)
        step = names.give(step, descriptor, name)
    made = naming.index()
    assert made.decode() == step.decode()
    assert made.decode()["x"] == "kept"
    own = [(entry.annotations.get(names.IMAGE_NAME), entry.annotations.get(REF_NAME)) for entry in made.manifests]
    given_twice = [words for words in own if words != (None, None) and own.count(words) > 1]
    assert given_twice in ([], [(None, "a"), (None, "a")])
    assert not given_twice or "a" not in dict(given_names)
