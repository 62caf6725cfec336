"""Package URLs of images, as BuildKit's util/purl writes and reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import CorruptError
from polyarch.oci import image_purl
from polyarch.oci import reference as references
from polyarch.oci.digest import Digest
from polyarch.oci.image_purl import ImageUrl
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference

AMD64 = Platform(os="linux", architecture="amd64")
DIGEST = "sha256:" + "9f" * 32

# The first rows are those of BuildKit's util/purl/image_test.go.
ROWS = [
    ("alpine", None, "pkg:docker/alpine@latest"),
    ("library/alpine:3.15", None, "pkg:docker/alpine@3.15"),
    ("docker.io/library/alpine:latest", None, "pkg:docker/alpine@latest"),
    (f"docker.io/library/alpine:latest@{DIGEST}", None, f"pkg:docker/alpine@latest?digest={DIGEST}"),
    (f"docker.io/library/alpine@{DIGEST}", None, f"pkg:docker/alpine?digest={DIGEST}"),
    ("user/test:v2", None, "pkg:docker/user/test@v2"),
    ("ghcr.io/foo/bar:v2", None, "pkg:docker/ghcr.io/foo/bar@v2"),
    ("ghcr.io/foo/bar", None, "pkg:docker/ghcr.io/foo/bar@latest"),
    ("busybox:v1", AMD64, "pkg:docker/busybox@v1?platform=linux%2Famd64"),
    (f"busybox@{DIGEST}", AMD64, f"pkg:docker/busybox?digest={DIGEST}&platform=linux%2Famd64"),
    # A port is not encoded.
    ("localhost:5000/x:1", AMD64, "pkg:docker/localhost:5000/x@1?platform=linux%2Famd64"),
    # The platform is normalized.
    ("x", Platform(os="linux", architecture="aarch64", variant="v8"), "pkg:docker/x@latest?platform=linux%2Farm64"),
]


@pytest.mark.parametrize(("name", "platform", "url"), ROWS)
def test_an_image_is_written_as_buildkit_writes_it(name: str, platform: Platform | None, url: str) -> None:
    assert image_purl.of(references.parse(name), platform) == url


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("pkg:docker/alpine@3.15", "docker.io/library/alpine:3.15"),
        ("pkg:docker/alpine", "docker.io/library/alpine:latest"),
        (f"pkg:docker/alpine@{DIGEST.replace(':', '%3A')}", f"docker.io/library/alpine@{DIGEST}"),
        (f"pkg:docker/alpine@{DIGEST}?digest={DIGEST}", f"docker.io/library/alpine@{DIGEST}"),
        ("pkg:docker/ghcr.io/foo/bar@v2", "ghcr.io/foo/bar:v2"),
        ("pkg:docker/localhost%3A5000/x@1", "localhost:5000/x:1"),
    ],
)
def test_a_url_is_read_as_buildkit_reads_it(url: str, name: str) -> None:
    assert str(image_purl.parse(url).reference) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alpine:3.15",
        "pkg:",
        "pkg:docker",
        "pkg:docker/",
        "pkg:deb/debian/bash@5",
        "pkg:docker/UPPER@1",
        "pkg:docker/alpine?platform=linux/nonsense/x/y/z",
        "pkg:docker/alpine?digest=sha256:short",
        f"pkg:docker/alpine@{DIGEST}?digest=sha256:{'00' * 32}",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(CorruptError):
        image_purl.parse(text)


_COMPONENT = st.from_regex(r"[a-z0-9]{1,4}(?:(?:\.|_|__|-)[a-z0-9]{1,3}){0,2}", fullmatch=True)
_DOMAIN = st.sampled_from(["docker.io", "ghcr.io", "localhost", "localhost:5000", "[::1]:5000", "registry.example:443"])
_PLATFORM = st.sampled_from(
    [None, AMD64, Platform(os="linux", architecture="arm", variant="v7"), Platform(os="windows", architecture="arm64")]
)


@given(
    _DOMAIN,
    st.lists(_COMPONENT, min_size=1, max_size=3).map("/".join),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}", fullmatch=True),
    st.sampled_from(["", DIGEST]),
    _PLATFORM,
)
def test_what_is_written_is_read_again(
    domain: str, path: str, tag: str, digest: str, platform: Platform | None
) -> None:
    name = references.parse(str(Reference(domain, path, tag, Digest(digest))))
    assert image_purl.parse(image_purl.of(name, platform)) == ImageUrl(name, platform)
