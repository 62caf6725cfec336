"""Images as other tools read them, and other tools' images as this builder reads them."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import trees
from tests.builds.conftest import Worker
from tests.needs import need
from tests.program import Program, run

Context = Callable[..., Path]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the other tools unpack with owners only as root")

# Each line changes what the line before left, in every way in which a layer can.
CHANGES = """
FROM busybox
COPY d /d/
RUN rm -r /d/to-file && echo f > /d/to-file && rm /d/to-dir && mkdir /d/to-dir && echo in > /d/to-dir/in
RUN rm -r /d/to-link && ln -s kept /d/to-link && rm /d/from-link && mkdir /d/from-link && echo x > /d/from-link/x
RUN rm -r /d/anew && mkdir /d/anew && echo n > /d/anew/new
RUN rm /d/gone && rm -r /d/gone-too && mv /d/moved /d/arrived && mkdir -p /d/deep/er && echo d > /d/deep/er/d
COPY e /d/
RUN rm -r /d/to-link && mkdir /d/to-link && echo back > /d/to-link/back; rm -r /d/deep
"""
FILES = """
d/to-file/a = a
d/to-dir = f
d/to-link/a = a
d/from-link -> to-link
d/anew/old = o
d/gone = g
d/gone-too/a/b = b
d/moved/m = m
d/kept = k
e/gone = back
e/anew/more = m
"""
EXPECTED = {
    "to-file": "f\n",
    "to-dir/in": "in\n",
    "to-link/back": "back\n",
    "from-link/x": "x\n",
    "anew/new": "n\n",
    "anew/more": "m",
    "arrived/m": "m",
    "gone": "back",
    "kept": "k",
}


@pytest.fixture
def buildah(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Another builder, with a storage of its own."""
    need("buildah", "skopeo")
    options = ["--root", f"{tmp_path}/buildah", "--runroot", f"{tmp_path}/buildah-run", "--storage-driver", "vfs"]

    def call(*words: str | Path) -> str:
        return run(["buildah", *options, *words]).stdout

    yield call
    call("rm", "--all")


def test_every_kind_of_change_is_what_umoci_unpacks(
    polyarch: Program, busybox: str, context: Context, tmp_path: Path
) -> None:
    need("umoci", "skopeo")
    polyarch("build", "--platform", "linux/amd64", "-t", "changes", context(CHANGES, FILES))
    layout = f"{tmp_path}/layout"
    run(["skopeo", "copy", "--quiet", f"oci:{polyarch.root}/oci:docker.io/library/changes:latest", f"oci:{layout}:a"])
    run(["umoci", "unpack", "--image", f"{layout}:a", tmp_path / "bundle"])
    assert trees.read(tmp_path / "bundle/rootfs/d") == EXPECTED


def test_a_layer_with_its_table_of_contents_is_what_others_unpack(
    polyarch: Program, context: Context, buildah: Callable[..., str], tmp_path: Path
) -> None:
    need("umoci", "skopeo")
    directory = context("FROM scratch\nCOPY d /d", "d/small = s")
    content = random.Random(1).randbytes(3 << 20)
    (directory / "d/large").write_bytes(content)
    polyarch("build", "-t", "table", directory)
    assert '"org.polyarch.layer.toc"' in polyarch("manifest", "inspect", "table").stdout
    place = f"oci:{polyarch.root}/oci:docker.io/library/table:latest"
    layout = f"{tmp_path}/layout"
    run(["skopeo", "copy", "--quiet", place, f"oci:{layout}:a"])
    run(["umoci", "unpack", "--image", f"{layout}:a", tmp_path / "bundle"])
    there = buildah("mount", buildah("from", f"oci:{layout}:a").strip()).strip()
    for unpacked in (tmp_path / "bundle/rootfs", Path(there)):
        assert (unpacked / "d/large").read_bytes() == content
        assert (unpacked / "d/small").read_text() == "s"


def test_a_copy_from_the_built_stage_has_the_same_files(
    worker: Worker, busybox_worker: Worker, context: Context
) -> None:
    again = context(
        f"{CHANGES.replace('FROM busybox', 'FROM busybox AS changed', 1)}\nFROM scratch\nCOPY --from=changed /d /",
        FILES,
    )
    files = busybox_worker.images(again)["linux/amd64"].files()
    found = {path: file.content.decode() for path, file in files.items() if file.kind == "file"}
    assert found == EXPECTED


def test_layers_of_another_builder_with_deletions_are_understood(
    polyarch: Program, context: Context, tmp_path: Path, buildah: Callable[..., str], busybox_tars: dict[str, Path]
) -> None:
    container = buildah("from", "scratch").strip()
    buildah("add", container, busybox_tars["linux/amd64"])
    buildah("config", "--os", "linux", "--arch", "amd64", container)
    buildah("commit", "--quiet", container, "base")
    directory = context(CHANGES.replace("FROM busybox", "FROM localhost/base"), FILES)
    buildah("build", "--quiet", "--layers", "--isolation", "chroot", "-t", "changes", directory)
    buildah("push", "--quiet", "localhost/changes", f"oci:{tmp_path}/layout:changes")
    contexts = {"theirs": f"oci-layout://{tmp_path}/layout:changes"}
    words = [f"--build-context={name}={value}" for name, value in contexts.items()]
    listing = "find /d -type f | sort > /list && mv /list /d/list"
    ours = f"FROM theirs AS read\nRUN {listing}\nFROM scratch\nCOPY --from=read /d /"
    out = tmp_path / "out"
    polyarch("build", "--platform", "linux/amd64", *words, "-o", f"type=local,dest={out}", context(ours))
    listed = "".join(f"/d/{path}\n" for path in sorted(EXPECTED))
    assert trees.read(out) == {**EXPECTED, "list": listed}


def test_our_layers_are_what_another_builder_builds_on(
    polyarch: Program, busybox: str, context: Context, tmp_path: Path, buildah: Callable[..., str]
) -> None:
    polyarch("build", "--platform", "linux/amd64", "-t", "changes", context(CHANGES, FILES))
    buildah("pull", "--quiet", f"oci:{polyarch.root}/oci:docker.io/library/changes:latest")
    image = buildah("images", "--quiet").split()[0]
    container = buildah("from", image).strip()
    mounted = Path(buildah("mount", container).strip())
    assert trees.read(mounted / "d") == EXPECTED
