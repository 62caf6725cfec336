"""Names of repositories: paths of requests, and the names in the store that they stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.oci import reference as references
from polyarch.serve import naming
from polyarch.serve.naming import Route
from tests.serve.names import REPOSITORIES, TAGS

DIGEST = "sha256:" + "0" * 64


@given(REPOSITORIES.map("/".join), TAGS)
def test_a_path_is_read_from_its_end_so_a_repository_may_have_any_component(repository: str, tag: str) -> None:
    assert references.is_path(repository) is (len(repository) <= 255)
    assert naming.parse_path(f"{repository}/manifests/{tag}") == Route("manifest", repository, tag)
    assert naming.parse_path(f"{repository}/blobs/{DIGEST}") == Route("blob", repository, DIGEST)
    assert naming.parse_path(f"{repository}/blobs/uploads/") == Route("uploads", repository)
    assert naming.parse_path(f"{repository}/blobs/uploads/0-0") == Route("upload", repository, "0-0")
    assert naming.parse_path(f"{repository}/tags/list") == Route("tags", repository)
    assert naming.parse_path(f"{repository}/referrers/{DIGEST}") == Route("referrers", repository, DIGEST)


@given(REPOSITORIES.map("/".join))
def test_what_is_pushed_to_a_path_is_read_from_it_first(repository: str) -> None:
    names = list(naming.candidates(repository))
    assert names[0] == f"localhost/{repository}"
    assert f"docker.io/{repository}" in names


@given(st.sampled_from(["localhost", "docker.io", "ghcr.io", "localhost:5000", "r.example.org:443"]), REPOSITORIES)
def test_every_name_of_the_store_can_be_reached_by_each_of_its_paths(host: str, parts: list[str]) -> None:
    name = f"{host}/{'/'.join(parts)}"
    paths = list(naming.paths(name))
    assert paths == sorted(paths, key=len)
    for path in paths:
        assert name in naming.candidates(path)


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("localhost/team/app", ["team/app", "localhost/team/app"]),
        ("docker.io/library/alpine", ["alpine", "library/alpine", "docker.io/library/alpine"]),
        ("docker.io/team/app", ["team/app", "docker.io/team/app"]),
        ("ghcr.io/org/x", ["ghcr.io/org/x"]),
        ("localhost:5000/x", ["localhost_5000/x"]),
    ],
)
def test_the_paths_of_a_name(name: str, paths: list[str]) -> None:
    assert list(naming.paths(name)) == paths


@pytest.mark.parametrize(
    "text",
    ["", "/", "A/b", "a//b", "a/", "/a", "a..b", "-a", "a-", "a___b", "..", "a/../b", "a\n", "ä", "a" * 256, "a:b"],
)
def test_what_is_not_a_repository(text: str) -> None:
    assert not references.is_path(text)


@pytest.mark.parametrize("path", ["", "x", "x/tags", "x/manifests/", "x/blobs/", "x/other/y"])
def test_what_is_not_an_endpoint(path: str) -> None:
    assert naming.parse_path(path) is None


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("localhost/x:1", ("localhost/x", "1")),
        ("localhost:5000/x", None),
        ("localhost:5000/x:1", ("localhost:5000/x", "1")),
        (f"localhost/x@{DIGEST}", None),
    ],
)
def test_a_name_is_split_into_repository_and_tag(name: str, parts: tuple[str, str] | None) -> None:
    assert naming.split(name) == parts
