"""Edits of an index: unknown fields are kept, and attestations follow their images."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import media_types
from polyarch.oci.descriptor import REFERENCE_DIGEST, REFERENCE_TYPE, Descriptor
from polyarch.oci.document import Index
from polyarch.oci.index import PlatformEdit
from polyarch.oci.platform import Platform
from tests.oci import schemas
from tests.oci.examples import AMD64, ARM, ARM64, S390X, unknown_field


def entry(text: str, platform: Platform | None = None, **fields: Any) -> Descriptor:
    return Descriptor(
        media_type=media_types.OCI_MANIFEST,
        digest=digests.of(text.encode()),
        size=len(text),
        platform=platform,
        **fields,
    )


def about(subject: Descriptor) -> Descriptor:
    return entry(
        f"about {subject.digest}",
        Platform(os="unknown", architecture="unknown"),
        annotations={REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: subject.digest},
    )


def loaded(document: dict[str, Any]) -> Index:
    index = documents.load(json.dumps(document).encode())
    assert isinstance(index, Index)
    return index


@pytest.fixture
def from_the_future() -> Index:
    """An index of two images, with fields that this version does not know."""
    plain = indexes.create([entry("one", AMD64), entry("two", ARM64)], {"a": "b"})
    return loaded(unknown_field(plain.raw))


def test_what_was_read_keeps_its_bytes_and_digest() -> None:
    raw = b'{ "schemaVersion": 2,\n"manifests" : [] }'
    assert documents.load(raw).raw == raw
    assert documents.load(raw).digest == digests.of(raw)


def test_every_edit_keeps_fields_that_it_does_not_know(from_the_future: Index) -> None:
    new = entry("three", S390X)
    amd64 = indexes.by_platform(AMD64)
    edited = [
        indexes.add(from_the_future, new),
        indexes.replace(from_the_future, indexes.by_platform(ARM64), new),
        indexes.remove(from_the_future, indexes.by_platform(ARM64)),
        indexes.annotate(from_the_future, amd64, PlatformEdit(variant="v2"), {"note": "x"}),
        indexes.annotate_index(from_the_future, {"note": "x"}),
        indexes.convert(from_the_future, {}, to_docker=True),
        indexes.subset(from_the_future, [AMD64]),
    ]
    for index in edited:
        document = index.decode()
        assert document["x-future"] == {"kept": [1, 2, None]}
        kept = next(item for item in document["manifests"] if item["digest"] == digests.of(b"one"))
        assert kept["x-entry"] == "kept"
        assert kept["platform"]["x-platform"] is True


def test_an_edit_leaves_the_value_that_it_came_from_alone(from_the_future: Index) -> None:
    before = from_the_future.raw
    indexes.annotate(from_the_future, indexes.by_platform(AMD64), PlatformEdit(os="windows"))
    indexes.remove(from_the_future, indexes.by_platform(AMD64))
    assert from_the_future.raw == before
    assert from_the_future.decode() == json.loads(before)


def test_adding_a_digest_again_renews_its_entry_in_place() -> None:
    index = indexes.create([entry("one", AMD64), entry("two", ARM64)])
    again = indexes.add(index, entry("one", S390X))
    assert [str(item.platform) for item in again.manifests] == ["linux/s390x", "linux/arm64"]


def test_replacing_puts_the_entry_where_the_first_match_was() -> None:
    index = indexes.create([entry("one", AMD64), entry("two", ARM64), entry("three", AMD64)])
    replaced = indexes.replace(index, indexes.by_platform(AMD64), entry("new", AMD64))
    assert [item.digest for item in replaced.manifests] == [digests.of(b"new"), digests.of(b"two")]
    appended = indexes.replace(index, indexes.by_platform(S390X), entry("new", S390X))
    assert appended.manifests[-1].digest == digests.of(b"new")


def test_removing_an_image_takes_its_attestations_along() -> None:
    one, two = entry("one", AMD64), entry("two", ARM64)
    index = indexes.create([one, about(one), two, about(two)])
    assert indexes.remove(index, indexes.by_platform(AMD64)).manifests == (two, about(two))


def test_removing_what_is_not_there_says_what_is() -> None:
    with pytest.raises(NotFoundError) as caught:
        indexes.remove(indexes.create([entry("one", AMD64)]), indexes.by_platform(S390X))
    assert "linux/amd64" in (caught.value.hint or "")


def test_a_subset_keeps_attestations_and_names_what_is_lacking() -> None:
    one, two = entry("one", AMD64), entry("two", ARM64)
    index = indexes.create([one, two, about(one), about(two)])
    assert indexes.subset(index, [ARM64]).manifests == (two, about(two))
    assert indexes.subset(index, [AMD64, ARM64]) is index
    with pytest.raises(NotFoundError, match=r"linux/s390x, linux/arm/v7"):
        indexes.subset(index, [S390X, AMD64, ARM])


def test_select_takes_the_best_that_serves_and_no_attestation() -> None:
    v6, v7 = Platform(os="linux", architecture="arm", variant="v6"), ARM
    index = indexes.create([about(entry("x")), entry("six", v6), entry("seven", v7)])
    assert indexes.select(index, ARM) == entry("seven", v7)
    assert indexes.select(indexes.create([entry("six", v6)]), ARM) == entry("six", v6)
    # An entry for arm64 must not silently get 32-bit content.
    assert indexes.select(index, ARM64) is None


VARIANTS = [
    [None, "v2", "v3", "v4"],
    [None, "v8.2", "v8.10", "v9", "v9.1"],
    ["v5", "v6", "v7", "v8"],
    [None, "rva20u64", "rva22u64"],
]


@pytest.mark.parametrize(
    ("architecture", "variants"), list(zip(["amd64", "arm64", "arm", "riscv64"], VARIANTS, strict=True))
)
@given(data=st.data())
def test_ordering_puts_baselines_first_and_moves_nothing_else(
    architecture: str, variants: list[str | None], data: st.DataObject
) -> None:
    given_order = data.draw(st.permutations(variants))
    images = [
        entry(str(name), Platform(os="linux", architecture=architecture, variant=name or "")) for name in given_order
    ]
    others = [
        entry("s390x", S390X),
        about(images[0]),
        entry("none"),
        entry("w", Platform("amd64", "windows", "10.0.2")),
    ]
    mixed = data.draw(st.permutations([*images, *others, entry("v", Platform("amd64", "windows", "10.0.1"))]))
    result = indexes.ordered(indexes.create(mixed)).manifests
    assert [found.platform.variant or None for found in result if found in images] == variants  # type: ignore[union-attr]
    assert [one for one in result if one not in images] == [one for one in mixed if one not in images]
    assert [one in images for one in result] == [one in images for one in mixed]
    assert indexes.ordered(indexes.create(result)).manifests == result


def test_ordering_keeps_the_bytes_of_an_index_that_is_in_order() -> None:
    index = loaded({"schemaVersion": 2, "manifests": [{"mediaType": "x", "digest": digests.of(b""), "size": 0}]})
    assert indexes.ordered(index) is index


def test_annotating_a_platform_can_empty_the_variant() -> None:
    index = indexes.create([entry("one", ARM)])
    edited = indexes.annotate(index, indexes.by_platform(ARM), PlatformEdit(architecture="arm64", variant=""))
    assert edited.decode()["manifests"][0]["platform"] == {"architecture": "arm64", "os": "linux"}


def test_converting_follows_the_entries_and_their_attestations() -> None:
    one = entry("one", AMD64)
    index = indexes.create([one, about(one)], {"note": "x"})
    renamed = Descriptor(media_type=media_types.DOCKER_MANIFEST, digest=digests.of(b"docker"), size=6)
    converted = indexes.convert(index, {one.digest: renamed}, to_docker=True)
    image, statement = converted.manifests
    assert (converted.media_type, image.digest, image.platform) == (media_types.DOCKER_INDEX, renamed.digest, AMD64)
    assert statement.annotations[REFERENCE_DIGEST] == renamed.digest
    assert converted.annotations == {}


digest_texts = st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda text: digests.parse(f"sha256:{text}"))
platform_values = st.sampled_from([AMD64, ARM64, ARM, S390X])
entries = st.builds(
    lambda digest, size, platform, notes: Descriptor(
        media_type=media_types.OCI_MANIFEST, digest=digest, size=size, platform=platform, annotations=notes
    ),
    digest_texts,
    st.integers(0, 2**40),
    platform_values,
    st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=2),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
extras = st.dictionaries(st.text(min_size=1, max_size=8).map("x-{}".format), json_values, max_size=3)


@given(st.lists(entries, min_size=1, max_size=6, unique_by=lambda item: item.digest), extras, st.data())
def test_no_sequence_of_edits_loses_an_unknown_field(
    start: list[Descriptor], extra: dict[str, Any], data: st.DataObject
) -> None:
    index = loaded(json.loads(indexes.create(start).raw) | extra)
    expected = {item.digest for item in start}
    for _ in range(data.draw(st.integers(0, 4))):
        chosen = data.draw(st.sampled_from(sorted(expected))) if expected else None
        if chosen is not None and data.draw(st.booleans()):
            index = indexes.remove(index, indexes.by_digest(chosen))
            expected.discard(chosen)
        else:
            new = data.draw(entries)
            index = indexes.add(index, new)
            expected.add(new.digest)
    assert {item.digest for item in index.manifests} == expected
    assert extra.items() <= index.decode().items()
    assert index.digest == digests.of(index.raw)
    schemas.validate(index.raw, index.media_type)


@given(st.lists(entries, min_size=1, max_size=5, unique_by=lambda item: item.digest), platform_values)
def test_after_a_replacement_the_platform_has_that_entry_alone(start: list[Descriptor], platform: Platform) -> None:
    new = entry("the new one", platform)
    index = indexes.replace(indexes.create(start), indexes.by_platform(platform), new)
    assert [item for item in index.manifests if indexes.by_platform(platform)(item)] == [new]
    others = [item for item in start if not indexes.by_platform(platform)(item)]
    assert [item for item in index.manifests if item != new] == others
