"""`--cache-from` and `--cache-to`: the forms that buildx takes, and what is refused."""

from pathlib import Path

import pytest

from polyarch.buildcache.wanted import CachePlace, CacheTarget
from polyarch.buildflags import cache
from polyarch.buildflags.cache import ParsedCaches
from polyarch.errors import UsageError
from polyarch.layers.compression import Compression

HERE = Path("/here")


def parsed(*, cache_from: object = (), cache_to: object = (), argument: str = "") -> ParsedCaches:
    arguments = {"BUILDKIT_INLINE_CACHE": argument} if argument else {}
    return cache.parse(cache_from, cache_to, arguments, {}, HERE)


def target(word: str) -> CacheTarget:
    (found,) = parsed(cache_to=word).targets
    return found


def test_a_name_alone_is_in_a_registry() -> None:
    places = [source.place for source in parsed(cache_from=["a:cache,b:cache", "type=registry,ref=a:cache"]).sources]
    assert places == [CachePlace("registry", {"ref": "a:cache"}), CachePlace("registry", {"ref": "b:cache"})]
    assert target("a:cache").place == CachePlace("registry", {"ref": "a:cache"})


def test_all_attributes_are_read() -> None:
    found = target(
        "type=registry,ref=a:cache,mode=max,ignore-error=true,ttl=1h30m,compression=zstd,compression-level=9,"
        "force-compression=true,image-manifest=false,oci-mediatypes=true,mounts=one;two"
    )
    assert (found.mode, found.ignore_error, found.ttl) == ("max", True, 5400.0)
    assert (found.compression, found.force_compression) == (Compression(kind="zstd", level=9), True)
    assert found.mounts == ("one", "two")
    assert found.place.attributes == {"ref": "a:cache", "image-manifest": "false", "oci-mediatypes": "true"}


def test_paths_are_relative_to_the_working_directory() -> None:
    assert target("type=local,dest=out,tag=x,reset=true").place.attributes["dest"] == "/here/out"
    (source,) = parsed(cache_from='"type=local","src=a,b",ttl=24h').sources
    assert (source.place.attributes["src"], source.ttl) == ("/here/a,b", 86400.0)


def test_inline_is_asked_for_by_its_type_or_by_buildkits_argument() -> None:
    assert not parsed().inline
    assert parsed(cache_to="type=inline").inline
    assert parsed(argument="1").inline
    assert not parsed(argument="0").inline
    (note,) = parsed(cache_to="type=inline,mode=max").notes
    assert "mode=max needs type=registry" in note


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("type=regstry,ref=a", "unknown type 'regstry'", "did you mean registry?"),
        ("type=azblob,name=a", "unknown type 'azblob'", "known types"),
        ("type=registry,rfe=a", "does not accept rfe", "did you mean ref?"),
        ("type=registry", "needs ref", "add ref"),
        ("type=local", "needs dest", "add dest"),
        ("type=local,dest=", "needs dest", "type=local,dest=DIRECTORY"),
        (f"type=registry,ref=a@sha256:{'0' * 64}", "has a digest", "leave out the @"),
        ("ref=a", "has no type", "type=registry"),
        ("type=registry,ref=A", "repository name must be lower case", ""),
        ("type=registry,ref=a,mode=most", "mode=most is unknown", "mode=max"),
        ("type=inline,mode=most", "mode=most is unknown", "mode=min"),
        ("type=inline,ref=a", "does not accept ref", "it accepts"),
        ("type=registry,ref=a,ttl=3", "ttl=3: missing unit", "168h"),
        ("type=registry,ref=a,ttl=-3h", "is not positive", "168h"),
        ("type=registry,ref=a,ignore-error=perhaps", "neither true nor false", ""),
        ("type=registry,ref=a,image-manifest=perhaps", "neither true nor false", ""),
        ("type=registry,ref=a,compression=lzma", "unknown compression 'lzma'", "zstd"),
        ("type=registry,ref=a,compression=gzip,compression-level=99", "no level 99", ""),
        ("type=registry,ref=a,compression-level=9", "needs a compression", ""),
        ("type=registry,ref", "'ref' is not a KEY=VALUE", ""),
        ("", "is empty", ""),
    ],
)
def test_what_is_wrong_is_refused_with_a_hint(word: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(cache_to=[word])
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("type=inline", "type=inline is in an image", "type=registry"),
        ("type=local,dest=a", "does not accept dest", ""),
        ("type=local,src=", "needs src", "type=local,src=DIRECTORY"),
        ("type=local,src=a,digest=sha256:00", "is not a digest", "sha256:"),
        ("src=a", "has no type", "type=local,src=DIRECTORY"),
    ],
)
def test_what_is_wrong_with_a_cache_to_read_is_refused_with_a_hint(word: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(cache_from=word)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_what_only_cache_to_uses_is_noted_in_a_cache_from() -> None:
    found = parsed(cache_from="type=registry,ref=a,mode=max,image-manifest=true")
    assert [source.place for source in found.sources] == [CachePlace("registry", {"ref": "a"})]
    assert found.notes[0] == "--cache-from: mode= has no effect, only --cache-to accepts it"
    assert len(found.notes) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a:latest", "type=registry,ref=docker.io/library/a,mode=max"),
        ("type=local,dest=x", "type=local,dest=/here/x"),
    ],
)
def test_the_same_cache_twice_is_refused(one: str, other: str) -> None:
    with pytest.raises(UsageError, match="given twice"):
        parsed(cache_to=[one, other])
    assert len(parsed(cache_to=[one, "type=registry,ref=other"]).targets) == 2


def test_the_repr_shows_no_value() -> None:
    assert "hidden" not in repr(target("type=registry,ref=hidden"))
