"""Foreign manifests and indexes: which are accepted, and which are refused with a reason."""

import json

import pytest

from polyarch.errors import CorruptError, UnsupportedError
from polyarch.oci import config as configs
from polyarch.oci import descriptor as descriptors
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index, Manifest
from tests.oci import schemas

SHA = "sha256:" + "a" * 64
CONFIG = Descriptor(media_type=media_types.OCI_CONFIG, digest=digests.parse(SHA), size=2)
LAYER = Descriptor(media_type=media_types.OCI_LAYER_GZIP, digest=digests.parse(SHA), size=3)


def raw(**fields: object) -> bytes:
    return json.dumps({"schemaVersion": 2, **fields}).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"a":' * 500_000 + b"1" + b"}" * 500_000, "nested more than"),
        (b" " * (documents.MAX_SIZE + 1), "larger than"),
        (raw(config={}, manifests=[]), "both a manifest and an index"),
        (raw(mediaType=media_types.OCI_INDEX, layers=[]), "fields of another kind"),
        (raw(mediaType="application/json", manifests=[]), "neither an image manifest nor an index"),
        (raw(config={"mediaType": "x/y", "digest": "sha256:../../etc", "size": 1}), "is not a digest"),
        (raw(config={"mediaType": "x/y", "digest": SHA, "size": -1}), "the size -1"),
        (raw(config={"mediaType": "x/y", "digest": SHA}), "malformed"),
        (raw(manifests={}), "not a list"),
        (raw(layers=[]), "malformed"),
        (raw(manifests=[], annotations={"a": 1}), "not a map of strings"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "schema 1"),
    ],
)
def test_a_malformed_document_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(CorruptError, match=reason):
        documents.load(content)


def test_the_descriptor_and_the_document_must_agree_on_the_type() -> None:
    index = raw(mediaType=media_types.OCI_INDEX, manifests=[])
    assert documents.load(index, media_types.OCI_INDEX).media_type == media_types.OCI_INDEX
    for other in media_types.MANIFESTS:
        with pytest.raises(CorruptError, match="its descriptor says"):
            documents.load(index, other)
    image = raw(mediaType=media_types.DOCKER_MANIFEST, config=descriptors.to_dict(CONFIG))
    for other in media_types.INDEXES:
        with pytest.raises(CorruptError, match="its descriptor says"):
            documents.load(image, other)


def test_of_two_names_for_the_same_kind_the_document_knows_its_own() -> None:
    index = raw(mediaType=media_types.OCI_INDEX, manifests=[])
    assert documents.load(index, media_types.DOCKER_INDEX).media_type == media_types.OCI_INDEX
    image = raw(mediaType=media_types.DOCKER_MANIFEST, config=descriptors.to_dict(CONFIG))
    assert documents.load(image, media_types.OCI_MANIFEST).media_type == media_types.DOCKER_MANIFEST


def test_null_is_absent_as_in_go() -> None:
    entry = {"mediaType": media_types.OCI_MANIFEST, "digest": SHA, "size": 1}
    nulls = {"annotations": None, "urls": None, "data": None, "artifactType": None}
    platform = {"os": "linux", "architecture": "arm64", "variant": None, "os.version": None, "os.features": None}
    index = documents.load(raw(manifests=[{**entry, **nulls, "platform": platform}], annotations={"a": None}))
    assert isinstance(index, Index)
    assert str(index.manifests[0].platform) == "linux/arm64"
    assert (index.manifests[0].annotations, index.annotations) == ({}, {"a": ""})
    for empty in (raw(mediaType=media_types.OCI_INDEX, manifests=None), raw(mediaType=media_types.OCI_INDEX)):
        index = documents.load(empty)
        assert isinstance(index, Index)
        assert index.manifests == ()
        assert indexes.add(index, CONFIG).manifests == (CONFIG,)
    image = documents.load(raw(config=descriptors.to_dict(CONFIG), layers=None, manifests=None, subject=None))
    assert isinstance(image, Manifest)
    assert (image.layers, image.subject) == ((), None)
    silent = documents.load(raw(config=descriptors.to_dict(CONFIG), subject={}))
    assert isinstance(silent, Manifest)
    assert silent.subject is None
    assert manifests.convert(image, to_docker=True).media_type == media_types.DOCKER_MANIFEST


@pytest.mark.parametrize(
    "platform", [None, {}, {"os": "linux"}, {"architecture": "arm64"}, {"os": "", "architecture": ""}]
)
def test_a_platform_that_says_nothing_is_none(platform: dict[str, str] | None) -> None:
    entry = {"mediaType": media_types.OCI_MANIFEST, "digest": SHA, "size": 1, "platform": platform}
    assert descriptors.parse(entry).platform is None


def test_an_entry_without_a_media_type_is_an_image_if_it_names_a_platform() -> None:
    platform = {"os": "linux", "architecture": "arm64"}
    index = documents.load(
        raw(manifests=[{"digest": SHA, "size": 1}, {"digest": SHA, "size": 1, "platform": platform}])
    )
    assert isinstance(index, Index)
    assert [entry.media_type for entry in indexes.images(index)] == [media_types.OCI_MANIFEST]
    image = documents.load(raw(config={"digest": SHA, "size": 2}))
    assert isinstance(image, Manifest)
    assert image.is_image


UNREADABLE = {
    "is not a digest": {"mediaType": "x/y", "digest": "sha256:../../etc", "size": 1},
    "the size -1": {"mediaType": "x/y", "digest": SHA, "size": -1},
    "required field `size`": {"mediaType": "x/y", "digest": SHA, "size": None},
    "Expected `object`": None,
}


@pytest.mark.parametrize(("reason", "entry"), UNREADABLE.items())
def test_an_entry_that_cannot_be_read_is_passed_over(reason: str, entry: object) -> None:
    good = {"mediaType": media_types.OCI_MANIFEST, "digest": SHA, "size": 1, "x-future": 1}
    index = documents.load(raw(manifests=[entry, good]))
    assert isinstance(index, Index)
    assert [entry.digest for entry in index.manifests] == [SHA]
    assert len(index.unreadable) == 1
    assert reason in index.unreadable[0]
    # An edit keeps the others as they are.
    edited = indexes.annotate(index, indexes.by_digest(digests.parse(SHA)), indexes.PlatformEdit(), {"a": "b"})
    assert edited.decode()["manifests"] == [good | {"annotations": {"a": "b"}}]
    assert indexes.keep(index, lambda entry: True) is index


def test_null_in_a_config_is_absent_or_empty() -> None:
    document = {
        "architecture": "arm64",
        "os": "linux",
        "variant": None,
        "config": {"Env": ["A=1", None], "Cmd": ["sh", None], "Labels": {"a": None}, "Entrypoint": None},
        "rootfs": {"type": "layers", "diff_ids": None},
        "history": [{"created": None, "created_by": "x", "empty_layer": None}, None],
    }
    config = configs.load(json.dumps(document).encode())
    assert str(config.platform) == "linux/arm64"
    assert (config.run["Cmd"], config.labels, config.diff_ids) == (["sh", ""], {"a": ""}, ())
    assert [line.created_by for line in config.history] == ["x", ""]
    with pytest.raises(CorruptError, match="is not a digest"):
        configs.load(json.dumps(document | {"rootfs": {"diff_ids": [None]}}).encode())


def test_without_a_type_anywhere_the_fields_decide() -> None:
    assert documents.load(raw(manifests=[])).media_type == media_types.OCI_INDEX
    plain = raw(config=descriptors.to_dict(CONFIG), layers=[])
    assert documents.load(plain).media_type == media_types.OCI_MANIFEST
    assert documents.load(plain, "text/plain").media_type == media_types.OCI_MANIFEST


def test_converting_to_docker_and_back_gives_the_same_bytes() -> None:
    original = manifests.create(CONFIG, [LAYER])
    docker = manifests.convert(original, to_docker=True)
    assert docker.media_type == media_types.DOCKER_MANIFEST
    assert docker.layers[0].media_type == media_types.DOCKER_LAYER_GZIP
    assert docker.layers[0].digest == LAYER.digest
    assert manifests.convert(docker, to_docker=False).raw == original.raw
    schemas.validate(original.raw, original.media_type)
    schemas.validate(docker.raw, docker.media_type)


def test_docker_has_no_annotations() -> None:
    layer = Descriptor(media_type=LAYER.media_type, digest=LAYER.digest, size=3, annotations={"a": "b"})
    original = manifests.create(CONFIG, [layer], {"c": "d"})
    assert b"annotations" in original.raw
    assert b"annotations" not in manifests.convert(original, to_docker=True).raw


def test_docker_has_no_name_for_zstd() -> None:
    zstd = Descriptor(media_type=media_types.OCI_LAYER_ZSTD, digest=LAYER.digest, size=3)
    with pytest.raises(UnsupportedError, match=r"tar\+zstd"):
        manifests.convert(manifests.create(CONFIG, [zstd]), to_docker=True)


def test_a_conversion_keeps_unknown_fields() -> None:
    document = manifests.create(CONFIG, [LAYER]).decode() | {"x-future": 1}
    document["layers"][0]["urls"] = ["https://example.org/layer"]
    loaded = documents.load(documents.encode(document))
    assert isinstance(loaded, Manifest)
    converted = manifests.convert(loaded, to_docker=True).decode()
    assert converted["x-future"] == 1
    assert converted["layers"][0]["urls"] == ["https://example.org/layer"]


def test_a_wrong_schema_is_noticed() -> None:
    with pytest.raises(Exception, match="'size' is a required property"):
        schemas.validate(raw(manifests=[{"mediaType": "a/b", "digest": SHA}]), media_types.OCI_INDEX)


@pytest.mark.parametrize("levels", [201, 900, 100_000])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}"), ('["[]]",', "]"), ('["\\"]",', "]")])
def test_json_that_nests_deeper_than_any_stack_is_refused(levels: int, begin: str, end: str) -> None:
    document = f'{{"schemaVersion": 2, "x": {begin * levels}1{end * levels}}}'.encode()
    for load in (documents.load, configs.load):
        with pytest.raises(CorruptError, match="nested more than 200 levels deep"):
            load(document)


def test_text_full_of_brackets_is_not_nested() -> None:
    config = configs.load(
        b'{"config": {"Labels": {"a": "' + b"[{" * 1000 + b'"}}, "deep": ' + b"[" * 190 + b"]" * 190 + b"}"
    )
    assert configs.load(config.encode()).labels == {"a": "[{" * 1000}
