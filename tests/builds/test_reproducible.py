"""The same input gives the same image: in another directory, store and order, and at another time."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import bases
from tests.builds.conftest import Worker

Context = Callable[..., Path]

DOCKERFILE = """
FROM busybox AS one
RUN mkdir /made && for n in 1 2 3 4 5 6 7 8 9; do echo $n > /made/$n; done && ln /made/1 /made/again
FROM busybox AS two
COPY d /d/
RUN rm /d/gone && chmod 700 /d
FROM busybox
COPY --from=two /d /d
COPY --from=one /made /made
WORKDIR /work
RUN cat /d/* /made/* > all
"""
FILES = "\n".join(["d/gone = g", *(f"d/{n} = {n}" for n in range(20))])


@pytest.fixture
def other_worker(tmp_path: Path, busybox_store: Path) -> Any:
    bases.copy_store(busybox_store, tmp_path / "other")
    made = Worker(tmp_path / "other")
    yield made
    made.close()


def digests(worker: Worker, context: Path, **options: Any) -> dict[str, str]:
    platforms = ["linux/amd64", "linux/arm64"]
    return {
        platform: image.digest for platform, image in worker.images(context, platforms=platforms, **options).items()
    }


@pytest.mark.parametrize("option", [{"epoch": 1_000_000_000}, {"reproducible": True}], ids=["epoch", "reproducible"])
def test_two_stores_build_two_equal_directories_to_one_digest(
    busybox_worker: Worker, other_worker: Worker, context: Context, tmp_path: Path, option: dict[str, Any]
) -> None:
    first = context(DOCKERFILE, FILES)
    second = tmp_path / "a" / "longer" / "way"
    shutil.copytree(first, second)
    for number, path in enumerate(second.rglob("*")):
        os.utime(path, (1_500_000_000 + number, 1_500_000_000 + number))
    one = digests(busybox_worker, first, created=1_700_000_000, workers=1, **option)
    two = digests(other_worker, second, created=1_800_000_000, workers=4, **option)
    assert one == two


def test_without_an_epoch_a_build_from_the_cache_is_the_same(busybox_worker: Worker, context: Context) -> None:
    directory = context(DOCKERFILE, FILES)
    first = digests(busybox_worker, directory, created=1_700_000_000)
    assert digests(busybox_worker, directory, created=1_800_000_000) == first


def test_every_line_of_the_history_has_a_time_the_first_ones_that_of_the_first_new_layer(
    worker: Worker, context: Context
) -> None:
    def times(text: str, created: int) -> list[str]:
        image = worker.images(context(text, "a = a"), created=created)["linux/amd64"]
        assert image.config["created"] == image.config["history"][-1]["created"]
        return [line["created"][:10] for line in image.config["history"]]

    start = "FROM scratch\nENV a=b\nCOPY a /times\nLABEL c=d"
    assert times(start, 1_000_000_000) == ["2001-09-09"] * 3
    assert times(f"{start}\nUSER 1\nWORKDIR /times-2\nCMD x", 1_100_000_000) == ["2001-09-09"] * 4 + ["2004-11-09"] * 2


def test_without_the_cache_a_process_runs_again(busybox_worker: Worker, context: Context) -> None:
    directory = context("FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /id\nRUN cp /id /copy")

    def ids(**options: Any) -> tuple[bytes, bytes]:
        files = busybox_worker.images(directory, **options)["linux/amd64"].files()
        return files["id"].content, files["copy"].content

    first = ids()
    assert ids() == first
    second = ids(no_cache=True)
    assert second != first
    assert second[0] == second[1]
    # Later builds find the result of the last build.
    assert ids() == second


def test_only_the_stages_that_were_named_run_again(busybox_worker: Worker, context: Context) -> None:
    directory = context(
        "FROM busybox AS one\nRUN cat /proc/sys/kernel/random/uuid > /one\n"
        "FROM busybox AS two\nRUN cat /proc/sys/kernel/random/uuid > /two\n"
        "FROM scratch\nCOPY --from=one /one /\nCOPY --from=two /two /"
    )
    first = busybox_worker.images(directory)["linux/amd64"].files()
    second = busybox_worker.images(directory, no_cache_filter=["TWO"])["linux/amd64"].files()
    assert second["one"].content == first["one"].content
    assert second["two"].content != first["two"].content


def test_a_touched_file_is_no_reason_to_build_again(busybox_worker: Worker, context: Context) -> None:
    directory = context("FROM busybox\nCOPY a /a\nRUN cat /proc/sys/kernel/random/uuid > /id", "a = a")
    first = digests(busybox_worker, directory)
    os.utime(directory / "a", (1, 1))
    assert digests(busybox_worker, directory) == first


@pytest.mark.parametrize("change", ["content", "mode", "name", "link"])
def test_whatever_else_changes_is_a_reason(busybox_worker: Worker, context: Context, change: str) -> None:
    directory = context("FROM busybox\nCOPY d /d\nRUN cat /proc/sys/kernel/random/uuid > /id", "d/a = a\nd/link -> a")
    first = digests(busybox_worker, directory)
    match change:
        case "content":
            (directory / "d/a").write_text("b")
        case "mode":
            (directory / "d/a").chmod(0o600)
        case "name":
            (directory / "d/a").rename(directory / "d/b")
        case "link":
            (directory / "d/link").unlink()
            (directory / "d/link").symlink_to("b")
    assert digests(busybox_worker, directory) != first


def test_one_platform_is_an_image_unless_an_index_is_asked_for(busybox_worker: Worker, context: Context) -> None:
    directory = context("FROM scratch\nLABEL a=b")
    layout = busybox_worker.root / "oci/index.json"

    def kind(**options: Any) -> str:
        busybox_worker.images(directory, tags=["one"], **options)
        entries = json.loads(layout.read_text())["manifests"]
        named = next(entry for entry in entries if "library/one" in str(entry.get("annotations")))
        return str(named["mediaType"])

    assert kind() == "application/vnd.oci.image.manifest.v1+json"
    assert kind(build_args={"BUILDKIT_MULTI_PLATFORM": "1"}) == "application/vnd.oci.image.index.v1+json"
    assert kind(annotations=["index:org.example.team=blue"]) == "application/vnd.oci.image.index.v1+json"


def test_an_annotation_of_the_index_is_there_for_one_platform_too(busybox_worker: Worker, context: Context) -> None:
    outcome = busybox_worker.build(
        context("FROM scratch\nLABEL a=b"),
        tags=["noted"],
        annotations=["index:org.example.team=blue", "manifest-descriptor:org.example.tested=yes"],
    )
    blobs = busybox_worker.root / "oci/blobs/sha256"
    layout = json.loads((busybox_worker.root / "oci/index.json").read_text())
    [named] = [entry for entry in layout["manifests"] if "library/noted" in str(entry.get("annotations"))]
    index = json.loads((blobs / named["digest"].removeprefix("sha256:")).read_text())
    assert index["annotations"] == {"org.example.team": "blue"}
    [image] = index["manifests"]
    assert image["digest"] == outcome["images"]["linux/amd64"]
    assert image["platform"] == {"os": "linux", "architecture": "amd64"}
    assert image["annotations"] == {"org.example.tested": "yes"}
    # The order of BuildKit's descriptors.
    assert list(image) == ["mediaType", "digest", "size", "annotations", "platform"]
