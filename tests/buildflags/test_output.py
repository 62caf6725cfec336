"""`--output`, `--load`, `--push` and `--annotation`, alone and combined."""

import io
from pathlib import Path
from typing import Any

import pytest

from polyarch.builder.request.output import Export, Output
from polyarch.buildflags import output
from polyarch.buildflags.output import ExportFlags
from polyarch.errors import UnsupportedError, UsageError

HERE = Path("/here")


def made(*words: str | Output, **options: Any) -> Export:
    given: ExportFlags = {"outputs": words, "tags": "app", **options}  # type: ignore[typeddict-item]
    return output.export(given, HERE, io.BytesIO())


def export(*words: str, **options: Any) -> list[str]:
    """The outputs as short words: kind, destination, and what is special about it."""
    return [
        f"{output.kind}{' ' + str(output.destination) if output.destination else ''}"
        f"{' stdout' if output.stream else ''}{' directory' if output.directory else ''}"
        for output in made(*words, **options).outputs
    ]


def test_without_any_output_the_result_goes_to_the_store() -> None:
    assert export() == ["store"]


def test_a_result_that_goes_nowhere_fills_the_caches() -> None:
    assert export("type=cacheonly") == []
    assert export("type=cacheonly", push=True) == ["registry"]
    with pytest.raises(UsageError, match="does not accept dest"):
        made("type=cacheonly,dest=a")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("type=oci,dest=app.tar", "oci /here/app.tar"),
        ("type=oci,dest=/abs/app,tar=false", "oci /abs/app directory"),
        ("type=oci,dest=-", None),
        ("type=docker,dest=app.tar", "docker /here/app.tar"),
        ("type=docker", "engine"),
        ("type=local,dest=out", "local /here/out"),
        ("out", "local /here/out"),
        ("-", "tar stdout"),
        ("type=tar,dest=-", "tar stdout"),
        ("type=tar,dest=a.tar", "tar /here/a.tar"),
        ("type=registry", "registry"),
        ("type=image", "store"),
        ('"type=oci","dest=a,b.tar"', "oci /here/a,b.tar"),
    ],
)
def test_an_output_is_read_as_buildkit_reads_it(word: str, meant: str | None) -> None:
    assert export(word) == [meant or "oci stdout"]


def test_a_tar_is_not_written_to_a_terminal() -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    for word in ("-", "type=oci,dest=-", "type=tar"):
        with pytest.raises(UsageError, match="to a terminal"):
            output.export({"outputs": word}, HERE, Terminal())


def test_no_attestation_changes_nothing() -> None:
    for words in ({"attest": "type=sbom,disabled=true"}, {"provenance": "false"}, {"sbom": False}, {}):
        assert output.export({**words}, HERE, None) == output.export({}, HERE, None)  # type: ignore[typeddict-item]


def test_the_form_of_attestations() -> None:
    def artifacts(word: str, **variables: str) -> bool | None:
        wanted = output.export({"outputs": word, "provenance": True}, HERE, None, {}, variables)
        assert wanted.attestations
        return wanted.attestation_artifacts

    off = {"BUILDX_NO_DEFAULT_OCI_ARTIFACT": "1"}
    assert artifacts("type=image") is None
    assert artifacts("type=image,oci-artifact=false") is False
    assert artifacts("type=image", **off) is False
    assert artifacts("type=image,oci-artifact=true", **off) is True
    with pytest.raises(UsageError, match="is neither true nor false"):
        artifacts("type=image", BUILDX_NO_DEFAULT_OCI_ARTIFACT="never")
    with pytest.raises(UsageError, match="two outputs set a different oci-artifact"):
        output.export({"outputs": ["type=image,oci-artifact=true", "type=registry,oci-artifact=false"]}, HERE, None)


def test_dockers_format_has_no_attestations() -> None:
    with pytest.raises(UsageError, match="oci-mediatypes=false has no form for attestations"):
        output.export({"outputs": "type=image,oci-mediatypes=false", "sbom": True}, HERE, None)
    output.export({"outputs": "type=image,oci-mediatypes=false", "sbom": False}, HERE, None)


def test_which_outputs_get_what_is_only_for_images_with_attestations() -> None:
    def inline(word: str) -> list[bool]:
        return [one.is_inline for one in output.export({"outputs": word}, HERE, None).outputs]

    assert inline("type=image") == [True]
    assert inline("type=image,push=true") == [True, True]
    assert inline("type=image,attestation-inline=false") == [False]
    assert inline("type=oci,dest=x") == [False]
    assert inline("type=oci,dest=x,attestation-inline=true") == [True]
    assert inline("type=local,dest=x") == [False]
    assert inline("type=docker") == [False]


@pytest.mark.parametrize("prefix", ["a/b", "/"])
def test_a_prefix_is_the_beginning_of_a_name(prefix: str) -> None:
    assert output.export({"outputs": "type=local,dest=x,attestation-prefix=a."}, HERE, None).outputs[
        0
    ].attestation_prefix == ("a.")
    with pytest.raises(UsageError, match="is not the beginning of a file name"):
        output.export({"outputs": f"type=local,dest=x,attestation-prefix={prefix}"}, HERE, None)


def test_a_push_by_digest_gives_no_name_in_the_registry_nor_in_the_store() -> None:
    def nameless(word: str) -> list[tuple[str, bool]]:
        return [(one.kind, one.by_digest) for one in made(word).outputs]

    assert nameless("type=image,push-by-digest=true,push=true") == [("store", True), ("registry", True)]
    assert nameless("type=registry,push-by-digest=true,name-canonical=true") == [("registry", True)]
    assert nameless("type=image,push-by-digest=true") == [("store", False)]
    assert nameless("type=image,push-by-digest=false,push=true") == [("store", False), ("registry", False)]


def test_push_is_a_key_of_every_output_of_images_so_their_other_keys_count() -> None:
    def pushed(word: str) -> list[tuple[str, bool]]:
        return [(one.kind, one.by_digest) for one in made(word, push=True).outputs]

    assert pushed("type=image,push-by-digest=true") == [("store", True), ("registry", True)]
    assert pushed("type=image,push-by-digest=true,push=false") == [("store", True), ("registry", True)]
    assert pushed("type=registry,push-by-digest=true") == [("registry", True)]
    assert pushed("type=oci,dest=a.tar") == [("oci", False), ("registry", False)]


def test_attributes_of_buildkit_that_change_nothing_here_are_taken() -> None:
    assert export("type=image,rewrite-timestamp=true,unpack=false,name-canonical=true,store=true") == ["store"]
    for word in ("type=oci,dest=a.tar,rewrite-timestamp=true", "type=local,dest=o,rewrite-timestamp=true"):
        assert len(export(word)) == 1
    assert made("type=image", "type=image,push=true,registry.insecure=true").insecure
    assert not made("type=image,registry.insecure=false").insecure
    with pytest.raises(UsageError, match="neither true nor false"):
        export("type=image,rewrite-timestamp=maybe")


def test_push_and_load_add_to_what_output_says() -> None:
    assert export("type=oci,dest=a.tar", push=True) == ["oci /here/a.tar", "registry"]
    assert export(push=True) == ["registry"]
    assert export(push=True, load=True) == ["registry", "store"]
    assert export("type=image,push=true") == ["store", "registry"]


def test_names_and_annotations_of_an_output_join_those_of_the_command() -> None:
    found = made(
        "type=image,name=other:1,annotation.a=1,annotation-index.b=2",
        "type=image,annotation-manifest-descriptor.f=6",
        annotations=["c=3", "index:d=4", "index,manifest:e=5", "manifest-descriptor,index:g=7"],
    )
    assert [name.familiar() for name in found.names] == ["app", "other:1"]
    assert found.annotations == {"a": "1", "c": "3", "e": "5"}
    assert found.index_annotations == {"b": "2", "d": "4", "e": "5", "g": "7"}
    assert found.entry_annotations == {"f": "6", "g": "7"}


def test_names_that_mean_the_same_are_one() -> None:
    found = made("type=image,name=docker.io/library/app:latest", "type=image,name=b", tags=("app", "app:latest"))
    assert [name.familiar() for name in found.names] == ["app", "b"]


@pytest.mark.parametrize(
    ("words", "attest", "docker_format"),
    [
        ("type=image,compatibility-version=20", (), True),
        ("type=image,compatibility-version=20", ("type=provenance",), False),
        ("type=image,compatibility-version=20,oci-mediatypes=true", (), False),
        ("type=oci,dest=a.tar,compatibility-version=20", (), False),
        ("type=image,compatibility-version=30", (), False),
    ],
)
def test_the_media_types_of_a_version_of_buildkit(words: str, attest: tuple[str, ...], docker_format: bool) -> None:
    assert made(words, attest=attest).docker_format == docker_format


def test_no_push_is_asked_of_any_output_and_a_push_only_of_images() -> None:
    assert export("type=docker,push=false,dest=a.tar") == ["docker /here/a.tar"]
    with pytest.raises(UnsupportedError, match="not supported with type=oci"):
        made("type=oci,dest=a,push=true")
    with pytest.raises(UnsupportedError, match="compatibility-version=10 is not supported"):
        made("type=image,compatibility-version=10")


def test_compression_and_format_are_read() -> None:
    found = made("type=registry,compression=zstd,compression-level=9,force-compression=true,oci-mediatypes=false")
    assert (found.compression.kind, found.compression.level) == ("zstd", 9)
    assert found.force_compression
    assert found.docker_format


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["type=oci"], "needs a destination"),
        (["type=local"], "needs a destination"),
        (["type=flatpak"], "unknown type 'flatpak'"),
        (["dest=x"], "no type"),
        (["type=oci,dest=x,frob=1"], "does not accept frob"),
        (["type=oci,dest=x,tar"], "not a KEY=VALUE"),
        (["type=oci,dest=x,tar=maybe"], "neither true nor false"),
        (["type=oci,dest=-,tar=false"], "directory to standard output"),
        (["type=registry,compression=lzma"], "unknown compression 'lzma'"),
        (["type=registry,compression-level=high"], "not a number"),
        (["type=oci,dest=a,compression=gzip", "type=oci,dest=b,compression=zstd"], "a different compression"),
        (["-", "type=oci,dest=-"], "only one output"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(words: list[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        export(*words)


def test_an_annotation_of_what_a_build_does_not_write_names_the_command_that_does() -> None:
    with pytest.raises(UnsupportedError) as caught:
        export(annotations=("manifest-descriptor[linux/arm64]:a=b",))
    assert caught.value.hint is not None
    assert "manifest annotate" in caught.value.hint
