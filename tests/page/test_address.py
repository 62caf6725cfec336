"""Addresses: what a path means, and that it means only one thing."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarch.page import address as addresses
from polyarch.page.address import PageAddress, parse, path

DIGEST = "sha256:" + "ab" * 32

_words = st.text("ab0z9", min_size=1, max_size=4)
_separators = st.sampled_from([".", "_", "__", "-", "---"])
components = st.lists(st.tuples(_words, _separators), max_size=2).flatmap(
    lambda parts: _words.map(lambda last: "".join(map("".join, parts)) + last)
) | st.sampled_from(["index.html", "tag", "digest", "images", "zh", "localhost", "ghcr.io"])
repositories = st.lists(components, min_size=1, max_size=4).map("/".join)
tags = st.text("aZ0_.-", min_size=1, max_size=8).filter(lambda text: text[0] not in ".-") | st.just("index.html")
references = tags | st.just(DIGEST)
platforms = st.sampled_from(["linux/amd64", "linux/arm/v7", "windows(10.0.17763.1)/amd64", "wasip1/wasm"])


@st.composite
def pages(draw: st.DrawFn) -> PageAddress:
    """Any address that a page can have."""
    address = PageAddress(repository=draw(repositories), reference=draw(references))
    match draw(st.sampled_from(["repository", "image", "platform", "section", "diff"])):
        case "repository":
            return address.repository_page
        case "platform":
            return address.for_platform(draw(platforms))
        case "section":
            return address.in_section(draw(st.sampled_from(addresses.SECTIONS)))
        case "diff":
            other = PageAddress(repository=draw(repositories), reference=draw(references))
            return address.in_section("diff", draw(st.sampled_from([other.name, draw(tags)])))
    return address


@given(pages())
@settings(max_examples=50)
def test_a_path_means_the_page_that_it_was_made_for_and_needs_no_escapes(address: PageAddress) -> None:
    assert parse(path(address)) == address
    assert set(path(address)) <= set(string.ascii_letters + string.digits + "-._/:@+()")


@given(st.text(alphabet="/:@-._aZ1 %\\()#?\0", max_size=40).map("/".__add__))
def test_a_path_is_the_only_spelling_of_its_page(text: str) -> None:
    found = parse(text)
    assert found is None or path(found) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/", PageAddress()),
        ("/app", PageAddress(repository="app")),
        ("/team/app:1", PageAddress(repository="team/app", reference="1")),
        (f"/team/app@{DIGEST}", PageAddress(repository="team/app", reference=DIGEST)),
        (
            "/ghcr.io/org/x:1/linux/arm/v7",
            PageAddress(repository="ghcr.io/org/x", reference="1", platform="linux/arm/v7"),
        ),
        ("/app:1/-/diff/2", PageAddress(repository="app", reference="1", section="diff", other="2")),
        (
            f"/app:1/-/diff/b/c@{DIGEST}",
            PageAddress(repository="app", reference="1", section="diff", other=f"b/c@{DIGEST}"),
        ),
    ],
)
def test_readable_paths(text: str, expected: PageAddress) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app",
        "//app",
        "/app/",
        "/App",
        "/app:",
        "/app:1/",
        "/app:1/x",
        "/app:1/nosuch/amd64",
        "/app:1/linux/amd64/v1/more",
        "/app:1/linux/amd64/-/check",
        "/app:1/-/nosuch",
        "/app:1/-/check/2",
        "/app:1/-/diff/",
        "/app:1/-/diff/b:2/linux/amd64",
        "/app:1/-/diff/../../etc/passwd",
        "/app@1",
        f"/app:{DIGEST}",
        f"/app:1@{DIGEST}",
        "/../etc/passwd",
        "/-/style.css",
        "/app:1/-/packages\n",
        "/" + "a" * 300,
    ],
)
def test_what_is_not_an_address(text: str) -> None:
    assert parse(text) is None


def test_another_spelling_of_a_platform_has_a_normal_form() -> None:
    assert addresses.normal_platform("linux/arm64/v8") == "linux/arm64"
    assert addresses.normal_platform("linux/aarch64") == "linux/arm64"
    assert addresses.normal_platform("linux/arm/v7") == "linux/arm/v7"


def test_the_other_image_of_a_comparison_is_a_tag_of_the_same_repository_or_a_whole_name() -> None:
    image = PageAddress(repository="a/b", reference="1")
    assert image.in_section("diff", "2").compared() == PageAddress(repository="a/b", reference="2")
    assert image.in_section("diff", "c:2").compared() == PageAddress(repository="c", reference="2")
    assert image.in_section("diff", "c").compared() == PageAddress(repository="a/b", reference="c")
    assert image.in_section("diff", "C/d").compared() is None
