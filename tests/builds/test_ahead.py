"""Layers packed before the content of their base is known equal those packed afterwards."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.builds.images import Image
from tests.program import Program

Context = Callable[..., Path]


def built(polyarch: Program, context: Path, *options: str) -> Image:
    polyarch("build", "-t", "app", *options, str(context))
    return Image(polyarch.root / "oci", polyarch("images", "--format", "json", "app").json()["Digest"])


def test_a_first_build_says_that_it_reads_the_context(polyarch: Program, context: Context) -> None:
    directory = context("FROM scratch\nCOPY a /", "a = 1")
    first = polyarch("build", "--progress", "plain", str(directory)).stderr
    again = polyarch("build", "--progress", "plain", str(directory)).stderr
    assert "[internal] reading the build context" in first
    assert "[internal] reading the build context" not in again


def test_it_is_the_layer_that_a_build_without_cache_makes(polyarch: Program, context: Context) -> None:
    directory = context("FROM scratch\nCOPY . /app", "a = 1\nb/c = 2")
    ahead = built(polyarch, directory)
    later = built(polyarch, directory, "--no-cache")
    assert ahead.manifest["layers"] == later.manifest["layers"]


def test_a_base_that_has_the_destination_gives_its_directories(polyarch: Program, context: Context) -> None:
    tree = context("FROM scratch\nCOPY tree /", "tree/app/old = 1")
    (tree / "tree" / "app").chmod(0o700)
    polyarch("build", "-t", "base", str(tree))
    (tree / "Dockerfile").write_text("FROM base\nCOPY new /app/\n")
    (tree / "new").write_text("2")
    image = built(polyarch, tree)
    assert [file.line(path) for path, file in image.files().items()] == [
        "0700 0:0 app/",
        "0644 0:0 app/new = 2",
        "0644 0:0 app/old = 1",
    ]


def test_a_base_whose_destination_is_a_link_is_followed(polyarch: Program, context: Context) -> None:
    tree = context("FROM scratch\nCOPY tree /", "tree/srv/old = 1")
    (tree / "tree" / "app").symlink_to("srv")
    polyarch("build", "-t", "base", str(tree))
    (tree / "Dockerfile").write_text("FROM base\nCOPY new /app/\n")
    (tree / "new").write_text("2")
    assert "srv/new" in built(polyarch, tree).files()


def test_the_layer_does_not_depend_on_the_times_of_the_base(polyarch: Program, context: Context) -> None:
    tree = context("FROM scratch\nCOPY tree /", "tree/app/old = 1\nnew = 2")
    made = []
    for seconds in (1_000_000_000, 1_100_000_000):
        (tree / "Dockerfile").write_text("FROM scratch\nCOPY tree /")
        os.utime(tree / "tree/app", (seconds, seconds))
        polyarch("build", "--no-cache", "-t", "base", str(tree))
        (tree / "Dockerfile").write_text("FROM base\nCOPY new /app/\n")
        ahead = built(polyarch, tree)
        later = built(polyarch, tree, "--no-cache")
        made += [ahead.manifest["layers"][-1], later.manifest["layers"][-1]]
    assert made == [made[0]] * 4
