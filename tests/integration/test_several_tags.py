"""Pushes and pulls of several tags: a failure does not stop the others, and each result is reported."""

import pytest

from polyarch.store import Store
from scripts.local_registry import LocalRegistry
from tests.oci.examples import AMD64, ARM64, image, multi_platform
from tests.program import Program

pytestmark = pytest.mark.integration


def test_a_push_of_all_tags_names_the_one_that_failed_and_those_that_went(
    polyarch: Program, registry: LocalRegistry
) -> None:
    name = f"{registry.address}/app"
    with Store.open(polyarch.root) as store:
        for tag in ("1", "3"):
            image(store, AMD64, name=f"{name}:{tag}")
        multi_platform(store, f"{name}:2")
    polyarch("rmi", "--platform", "linux/arm64", f"{name}:2")
    result = polyarch.fails("push", "--all-tags", name)
    assert [line.split(":")[0] for line in result.lines()] == ["1", "3"]
    assert f"polyarch: error: {name}:2 was not pushed: {name}:2 is not complete, so nothing was sent" in result.stderr


def test_a_pull_of_all_tags_goes_on_and_names_the_image_that_lacks_the_platform(
    polyarch: Program, registry: LocalRegistry
) -> None:
    name = f"{registry.address}/app"
    with Store.open(polyarch.root) as store:
        image(store, AMD64, name=f"{name}:one")
        multi_platform(store, f"{name}:two", [AMD64, ARM64])
    polyarch("push", "-q", "--all-tags", name)
    fresh = polyarch.on(polyarch.home / "fresh")
    result = fresh.fails("pull", "--all-tags", "--platform", "linux/arm64", name)
    assert result.lines()[-1] == f"{name}:two"
    assert f"{name}:one was not fetched: {name}:one: there is no image for linux/arm64" in result.stderr
    alone = fresh.fails("pull", "--platform", "linux/s390x", f"{name}:two")
    assert f"polyarch: error: {name}:two: there is no image for linux/s390x" in alone.stderr


def test_a_build_pushes_to_the_others_and_names_the_one_that_refused(
    polyarch: Program, registry: LocalRegistry, password_registry: LocalRegistry
) -> None:
    names = [f"{password_registry.address}/app:1", f"{registry.address}/app:1"]
    words = [word for name in names for word in ("-t", name)]
    result = polyarch.fails("build", "--push", *words, "-", stdin="FROM scratch\nCOPY <<E /f\nx\nE\n")
    assert f"polyarch: error: {names[0]} was not pushed: " in result.stderr
    assert f"\n{names[1]} was pushed\n" in result.stderr
    polyarch("pull", names[1])


def test_a_build_that_pushed_a_tag_is_not_taken_for_somebody_else(polyarch: Program, registry: LocalRegistry) -> None:
    name = f"{registry.address}/app:1"
    for text in ("one", "two"):
        dockerfile = f"FROM scratch\nCOPY <<E /f\n{text}\nE\n"
        words = ["--platform", "linux/amd64,linux/arm64", "-t", name, "--push", "--load", "-"]
        polyarch("build", "-q", *words, stdin=dockerfile)
        assert "changed in the registry" not in polyarch("manifest", "push", name).stderr
    other = polyarch.on(polyarch.home / "other")
    other("build", "-q", "-t", name, "--push", "-", stdin="FROM scratch\nCOPY <<E /f\nthree\nE\n")
    assert f"{name} was changed in the registry since it was last read" in polyarch("manifest", "push", name).stderr
