"""Platforms: the normal form, and which image runs on which machine."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import UsageError
from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform

TABLE = """
linux/amd64         | linux/amd64
amd64               | linux/amd64
x86_64              | linux/amd64
Linux/X86-64        | linux/amd64
linux/amd64/v1      | linux/amd64
linux/amd64/v3      | linux/amd64/v3
aarch64             | linux/arm64
linux/arm64/v8      | linux/arm64
linux/arm64/8       | linux/arm64
linux/arm64/v9      | linux/arm64/v9
arm                 | linux/arm/v7
linux/arm/7         | linux/arm/v7
armhf               | linux/arm/v7
armel               | linux/arm/v6
i386                | linux/386
loongarch64         | linux/loong64
macos/arm64         | darwin/arm64
freebsd/riscv64     | freebsd/riscv64
"""
PARSED = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]


@pytest.mark.parametrize(("text", "normal"), PARSED)
def test_a_platform_has_one_spelling(text: str, normal: str) -> None:
    assert str(platforms.parse(text)) == normal
    assert platforms.parse(normal) == platforms.parse(text)


@pytest.mark.parametrize("text", ["", "linux/", "/amd64", "a/b/c/d", "linux/am d64", "plan10", "linux"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        platforms.parse(text)


def test_an_os_alone_and_local_mean_the_hosts() -> None:
    host = platforms.parse("linux/arm64")
    assert platforms.parse("windows", host) == Platform(os="windows", architecture="arm64")
    assert platforms.parse("local", host) == host


def test_the_version_and_features_of_an_os_stand_in_parentheses() -> None:
    parsed = platforms.parse("windows(10.0.17763+win32k)/amd64")
    assert (parsed.os_version, parsed.os_features) == ("10.0.17763", ("win32k",))
    assert str(parsed) == "windows(10.0.17763+win32k)/amd64"
    assert str(Platform("amd64", "windows", os_features=("win32k",))) == "windows(+win32k)/amd64"


def test_a_list_has_each_platform_once_in_order() -> None:
    found = platforms.parse_list(["linux/arm64,linux/amd64", "aarch64", " linux/s390x ,"])
    assert [str(platform) for platform in found] == ["linux/arm64", "linux/amd64", "linux/s390x"]


def test_the_json_of_a_platform_has_the_specifications_names() -> None:
    platform = Platform(os="windows", architecture="amd64", os_version="10", os_features=("win32k",))
    assert msgspec.to_builtins(platform) == {
        "os": "windows",
        "architecture": "amd64",
        "os.version": "10",
        "os.features": ("win32k",),
    }


@pytest.mark.parametrize(
    ("offered", "wanted", "rank"),
    [
        ("linux/amd64", "linux/amd64", 0),
        ("linux/amd64", "linux/amd64/v3", 2),
        ("linux/amd64/v3", "linux/amd64", None),
        ("linux/arm/v6", "linux/arm/v7", 1),
        ("linux/arm/v7", "linux/arm/v6", None),
        ("linux/arm64", "linux/arm64/v9", 6),
        ("linux/arm/v7", "linux/arm64", None),
        ("linux/386", "linux/amd64", None),
        ("windows/amd64", "linux/amd64", None),
        ("windows(10.0.17763.1)/amd64", "windows/amd64", 0),
        ("windows(10.0.17763.1)/amd64", "windows(10.0.17763)/amd64", 0),
        ("windows(10.0.17763.1)/amd64", "windows(10.0.1776)/amd64", None),
        ("windows/amd64", "windows(10.0.17763)/amd64", None),
    ],
)
def test_which_image_serves_which_machine(offered: str, wanted: str, rank: int | None) -> None:
    assert platforms.rank(platforms.parse(offered), platforms.parse(wanted)) == rank


words = st.from_regex(r"[a-zA-Z0-9_.-]{1,8}", fullmatch=True)
any_platform = st.builds(
    Platform,
    architecture=words,
    os=words,
    variant=st.just("") | words,
    os_version=st.just("") | words,
    os_features=st.lists(words, max_size=2).map(tuple),
)


@given(any_platform)
def test_normalizing_twice_changes_nothing_more(platform: Platform) -> None:
    normal = platforms.normalize(platform)
    assert platforms.normalize(normal) == normal
    assert platforms.parse(str(normal)) == normal
    assert platforms.same(platform, normal)


@given(any_platform)
def test_every_platform_serves_itself_best(platform: Platform) -> None:
    assert platforms.rank(platform, platform) == 0
