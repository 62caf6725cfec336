"""Misspelled platforms: the error suggests the right one, and real platforms pass."""

import pytest

from polyarch.errors import UsageError
from polyarch.oci import platform as platforms


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("linux/armv7", "linux/arm/v7"),
        ("linux/arm32v6", "linux/arm/v6"),
        ("linux/armv7hf", "linux/arm/v7"),
        ("linux/arm64v8", "linux/arm64"),
        ("linux/armv8", "linux/arm64"),
        ("linux/amd46", "linux/amd64"),
        ("linux/amd64v3", "linux/amd64/v3"),
        ("linux/arn64", "linux/arm64"),
        ("linux/x64", "linux/amd64"),
        ("linux/ppc64el", "linux/ppc64le"),
        ("lunix/amd64", "linux/amd64"),
        ("linx/armv7", "linux/arm/v7"),
        ("widnows/amd64", "windows/amd64"),
    ],
)
def test_a_slip_is_an_error_that_says_what_was_meant(text: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"unknown platform {text}") as raised:
        platforms.doubts([platforms.parse("linux/amd64"), platforms.parse(text)])
    assert raised.value.hint == f"did you mean {meant}?"


@pytest.mark.parametrize("text", ["linux/sw64", "linux/e2k", "linux/ia64", "linux/alpha", "unikraft/amd64", "a/b"])
def test_what_is_merely_unknown_is_warned_of(text: str) -> None:
    [warning] = platforms.doubts([platforms.parse(text)])
    assert warning.startswith(f"{text} is not a known platform")


@pytest.mark.parametrize(
    "text", ["linux/x86_64", "linux/AMD64", "linux/arm/v7", "wasi/wasm32", "macos/arm64", "linux/riscv64/rva22u64"]
)
def test_other_spellings_of_platforms_are_no_slips(text: str) -> None:
    assert platforms.doubts([platforms.parse(text)]) == []


@pytest.mark.parametrize(
    ("word", "meant"), [("arm64v8", "linux/arm64"), ("amd46", "linux/amd64"), ("armv7", "linux/arm/v7")]
)
def test_an_architecture_alone_that_is_a_slip(word: str, meant: str) -> None:
    with pytest.raises(UsageError) as raised:
        platforms.parse(word)
    assert raised.value.hint == f"did you mean {meant}?"


def test_nothing_known_is_a_slip() -> None:
    for system in platforms.KNOWN_SYSTEMS:
        for architecture in platforms.KNOWN_ARCHITECTURES:
            assert platforms.meant(platforms.Platform(os=system, architecture=architecture)) is None
