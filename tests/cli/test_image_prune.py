"""`image prune`: which images go, by name, age and label."""

from pathlib import Path

import pytest

from polyarch.cli import moments
from polyarch.errors import UsageError
from polyarch.oci import times
from tests.program import Program


@pytest.fixture
def images(polyarch: Program, tmp_path: Path) -> Program:
    """A store with an old image `old:1`, a new one `new:1` with the label keep=yes, and one without a name."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    build = ("build", "-q", str(tmp_path))
    polyarch(*build, "-t", "old:1", "--build-arg", "SOURCE_DATE_EPOCH=1700000000")
    polyarch(*build, "-t", "new:1", "--label", "nothing=1")
    polyarch(*build, "-t", "new:1", "--label", "keep=yes")
    assert names(polyarch) == ["new:1", "old:1", "<none>"]
    return polyarch


def names(polyarch: Program) -> list[str]:
    return (
        polyarch("images", "-a", "--format", "{{.Repository}}:{{.Tag}}")
        .stdout.replace("<none>:<none>", "<none>")
        .split()
    )


def test_images_without_a_name_go_and_the_others_stay(images: Program) -> None:
    done = images("image", "prune", "-f")
    assert "deleted: sha256:" in done.stdout
    assert "reclaimed space: " in done.stdout
    assert names(images) == ["new:1", "old:1"]


def test_with_all_images_with_names_go_too(images: Program) -> None:
    assert "untagged: old:1" in images("image", "prune", "--all", "--force").stdout
    assert names(images) == []
    assert images("system", "fsck").stdout.endswith("no problems\n")


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        (["until=1h"], ["new:1", "<none>"]),
        (["until=2023-12-01T00:00:00Z"], ["new:1", "<none>"]),
        (["until=1600000000"], ["new:1", "old:1", "<none>"]),
        (["label=keep"], ["old:1", "<none>"]),
        (["label=keep=no"], ["new:1", "old:1", "<none>"]),
        (["label!=keep=yes"], ["new:1"]),
        (["label!=keep", "until=1h"], ["new:1", "<none>"]),
        (["dangling=true"], ["new:1", "old:1"]),
    ],
)
def test_an_image_goes_if_it_meets_all_filters(images: Program, filters: list[str], left: list[str]) -> None:
    images("image", "prune", "-a", "-f", *(word for condition in filters for word in ("--filter", condition)))
    assert names(images) == left


def test_a_rehearsal_removes_nothing(images: Program) -> None:
    assert images("image", "prune", "-a", "--dry-run").stdout.count("Would remove image ") == 3
    assert len(names(images)) == 3


@pytest.mark.parametrize("condition", ["nope=1", "until=yesterday", "label", "dangling=maybe", "before=old:1"])
def test_an_unknown_filter_removes_nothing(images: Program, condition: str) -> None:
    refused = images.fails("image", "prune", "-a", "-f", "--filter", condition)
    assert refused.status == 2
    assert condition.partition("=")[2] in refused.stderr
    assert len(names(images)) == 3


def test_moments_are_ages_dates_and_seconds() -> None:
    assert moments.parse("1h30m", 10_000) == 10_000 - 5400
    assert moments.parse("1.5s", 10) == 8.5
    assert moments.parse("1767225600", 0) == 1767225600
    assert moments.parse("2026-01-01T00:00:00Z", 0) == 1767225600
    assert moments.parse("2026-01-01T01:00:00+01:00", 0) == 1767225600
    assert moments.parse("20260101", 0) == moments.parse("2026-01-01", 0)
    with pytest.raises(UsageError, match="is not a time"):
        moments.parse("1d", 0)
    assert times.of_rfc3339("2026-01-01T00:00:00.123456789Z") == pytest.approx(1767225600.123456)
    assert times.of_rfc3339("") is None


def test_the_cache_is_pruned_in_the_words_of_builder_too(images: Program) -> None:
    assert "reclaimed space" in images("builder", "prune", "--all", "--force", "--filter", "until=0s").stdout
    assert images.fails("builder", "prune", "-f", "--filter", "id=1").status == 2


def test_help_shows_the_help_of_a_command(polyarch: Program) -> None:
    assert polyarch("help").stdout == polyarch("--help").stdout
    assert polyarch("help", "image", "ls").stdout == polyarch("image", "ls", "--help").stdout
    assert polyarch.fails("help", "imge").status == 2
    assert "has no commands" in polyarch.fails("help", "build", "x").stderr


@pytest.mark.parametrize(
    ("words", "way"),
    [
        ("network ls", "polyarch run"),
        ("service ls", "swarm"),
        ("commit box app", "polyarch import"),
        ("context ls", "--root"),
        ("scout cves app", "polyarch sbom"),
        ("trust sign app", "polyarch sign"),
        ("pause box", "polyarch run"),
        ("search debian", "registries"),
    ],
)
def test_a_command_that_needs_a_daemon_names_the_way_to_go(polyarch: Program, words: str, way: str) -> None:
    refused = polyarch.fails(*words.split())
    assert refused.status == 2
    assert way in refused.stderr
    assert "did you mean" not in refused.stderr
