"""Files out of an image without running it (`cp`, `export`, `create`, `rm`, `ps`), and `volume`."""

import io
import os
import re
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests import trees
from tests.program import Program

pytestmark = pytest.mark.integration

DOCKERFILE = """\
FROM {base}
RUN mkdir -p /out/sub && echo one > /out/a && echo two > /out/sub/b && ln -s a /out/link && ln /out/a /out/hard \\
 && chown 7:8 /out/sub/b && chmod 640 /out/sub/b && ln -s /out /linked && echo gone > /out/gone
RUN rm /out/gone
"""


@pytest.fixture
def image(polyarch: Program, busybox: str, tmp_path: Path) -> str:
    trees.write(tmp_path / "context", {"Dockerfile": DOCKERFILE.format(base=busybox)})
    polyarch("build", "-t", "app:1", tmp_path / "context")
    return "app:1"


def _files(top: Path) -> list[str]:
    return sorted(str(path.relative_to(top)) for path in top.rglob("*"))


def test_a_directory_is_copied_as_cp_does(polyarch: Program, image: str, tmp_path: Path) -> None:
    inside = ["a", "hard", "link", "sub", "sub/b"]
    polyarch("cp", f"{image}:/out", tmp_path / "fresh")
    assert _files(tmp_path / "fresh") == inside
    (tmp_path / "there").mkdir()
    polyarch("cp", f"{image}:/out", tmp_path / "there")
    assert _files(tmp_path / "there" / "out") == inside
    polyarch("cp", f"{image}:/out/.", tmp_path / "there")
    assert set(inside) < set(_files(tmp_path / "there"))
    copied = tmp_path / "fresh"
    assert (copied / "a").read_text() == "one\n"
    assert os.readlink(copied / "link") == "a"
    assert (copied / "a").stat().st_ino == (copied / "hard").stat().st_ino
    assert stat.S_IMODE((copied / "sub/b").stat().st_mode) == 0o640
    assert (copied / "sub/b").stat().st_uid == os.geteuid()


def test_a_file_is_copied_to_a_name_into_a_directory_or_through_a_link(
    polyarch: Program, image: str, tmp_path: Path
) -> None:
    polyarch("cp", f"{image}:out/a", tmp_path / "renamed")
    polyarch("cp", f"{image}:/linked/sub/b", tmp_path)
    polyarch("cp", "-L", f"{image}:/out/link", tmp_path / "followed")
    polyarch("cp", f"{image}:/out/link", tmp_path / "kept")
    assert [(tmp_path / name).read_text() for name in ("renamed", "b", "followed")] == ["one\n", "two\n", "one\n"]
    assert not (tmp_path / "followed").is_symlink()
    assert os.readlink(tmp_path / "kept") == "a"


def test_standard_output_gets_a_tar_with_owners(polyarch: Program, image: str) -> None:
    done = subprocess.run(
        [polyarch.path, "cp", f"{image}:/out/sub", "-"], env=polyarch.env, check=True, capture_output=True
    )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert [(member.name, member.uid, member.gid) for member in tar] == [("sub", 0, 0), ("sub/b", 7, 8)]


def test_export_writes_the_whole_root_file_system(polyarch: Program, image: str, tmp_path: Path) -> None:
    polyarch("export", "-o", tmp_path / "all.tar", image)
    with tarfile.open(tmp_path / "all.tar") as tar:
        names = tar.getnames()
    assert {"out/a", "linked", "bin/busybox"} <= set(names)
    assert "out/gone" not in names
    assert len(names) == len(set(names))
    polyarch("import", tmp_path / "all.tar", "again")
    assert polyarch("run", "again", "cat", "/out/sub/b").stdout == "two\n"


def test_the_way_of_scripts_works_as_docker(polyarch: Program, image: str, tmp_path: Path) -> None:
    polyarch("docker-links", tmp_path / "links")
    script = f"id=$(docker create --name kept {image} none) && docker cp $id:/out/a taken && docker cp kept:/out/sub - \
        | tar t && docker ps -a && docker rm $id && docker ps -aq"
    env = {**polyarch.env, "PATH": f"{tmp_path / 'links'}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", script], env=env, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert (tmp_path / "taken").read_text() == "one\n"
    lines = done.stdout.splitlines()
    assert lines[:2] == ["sub/", "sub/b"] or lines[:2] == ["sub", "sub/b"]
    assert re.search(r"^[0-9a-f]{12} +app:1 +\"none\" .* Created +kept$", done.stdout, re.MULTILINE)
    assert re.fullmatch(r"[0-9a-f]{64}", lines[-1])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cp", "none:/x", "."), "there is no container and no image none"),
        (("cp", "IMAGE:/no/such", "."), "there is no /no/such in app:1"),
        (("cp", "app", "."), "names no file of an image"),
        (("cp", "IMAGE:/out/a/", "x"), "is not a directory"),
        (("cp", "IMAGE:/out/a", "missing/"), "no such directory"),
        (("cp", "IMAGE:/out/a", "missing/x"), "there is no directory missing"),
        (("cp", "IMAGE:/out", "Dockerfile"), "it is a file"),
        (("cp", "--platform", "linux/s390x", "IMAGE:/out", "x"), "is not for linux/s390x"),
        (("export", "-o", ".", "IMAGE"), "is a directory"),
        (("rm", "nothing"), "there is no container nothing"),
        (("create", "--name", "a b", "IMAGE"), "cannot be the name of a container"),
        (("volume", "rm", "nothing"), "there is no volume nothing"),
        (("volume", "inspect", "nothing"), "there is no volume nothing"),
        (("volume", "create", "../x"), "cannot be the name of a volume"),
        (("volume", "ls", "-f", "color=red"), "unknown filter 'color'"),
    ],
)
def test_mistakes_are_named(polyarch: Program, image: str, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    given = [word.replace("IMAGE", image) for word in words]
    refused = polyarch.fails(*given, cwd=tmp_path / "context")
    assert said in refused.stderr
    assert refused.stdout == ""


def test_a_name_is_taken_while_its_container_is_there(polyarch: Program, image: str) -> None:
    made = polyarch("create", "--name", "one", image).stdout.strip()
    assert (
        f"the name one is in use by the container {made[:12]}"
        in polyarch.fails("create", "--name", "one", image).stderr
    )
    assert "is in use" in polyarch.fails("run", "--name", "one", image, "true").stderr
    assert polyarch("rm", made[:6]).stdout.strip() == made[:6]
    running = subprocess.Popen(
        [polyarch.path, "run", "--name", "one", image, "sh", "-c", "echo ready; sleep 1000"],
        env=polyarch.env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        assert "is in use" in polyarch.fails("run", "--name", "one", image, "true").stderr
        assert "it runs" in polyarch.fails("rm", "one").stderr
        assert polyarch("ps", "-aq").stdout == ""
    finally:
        # Killed: nobody tidies up, and the name is free again all the same.
        running.kill()
        running.communicate()
    assert polyarch("run", "--name", "one", image, "echo", "free").stdout == "free\n"
    assert [path.name for path in (polyarch.root / "containers").iterdir()] == ["lock"]


@pytest.mark.parametrize("words", [("ps",), ("ps", "-a"), ("container", "ls"), ("container", "list", "--all")])
def test_no_container_is_listed_as_an_empty_table(polyarch: Program, words: tuple[str, ...]) -> None:
    assert polyarch(*words).stdout == "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"


@pytest.mark.parametrize(
    "words", [("logs", "x"), ("exec", "x", "sh"), ("attach", "x"), ("start", "x"), ("run", "-d", "x")]
)
def test_what_needs_a_daemon_says_what_to_do_instead(polyarch: Program, words: tuple[str, ...]) -> None:
    said = polyarch.fails(*words).stderr
    assert "podman" in said
    assert "docker load" in said
    assert "did you mean" not in said


def test_volumes_are_listed_inspected_and_removed(either_user: Program) -> None:
    polyarch = either_user
    assert polyarch("volume", "create", "--label", "of=tests", "data").stdout == "data\n"
    nameless = polyarch("volume", "create").stdout.strip()
    assert polyarch("volume", "ls", "-q").lines() == sorted(["data", nameless])
    assert polyarch("volume", "ls", "-q", "-f", "label=of=tests").lines() == ["data"]
    assert polyarch("volume", "ls").lines()[0].split() == ["DRIVER", "VOLUME", "NAME"]
    polyarch("run", "-v", "data:/data", "-u", "65534", "-v", f"{nameless}:/x", "busybox", "true")
    polyarch("run", "-v", "data:/data", "busybox", "sh", "-c", "mkdir -m 0 /data/x; chown 1000 /data/x")
    assert polyarch("volume", "inspect", "-f", "{{.Name}} {{.Labels.of}}", "data").stdout == "data tests\n"
    assert nameless in polyarch("volume", "prune", "-f").stdout
    assert polyarch("volume", "ls", "-q").lines() == ["data"]
    assert polyarch("volume", "rm", "data").stdout == "data\n"
    assert polyarch("volume", "ls", "-q").stdout == ""
    assert polyarch("volume", "rm", "-f", "data").status == 0


def test_a_volume_in_use_is_kept(polyarch: Program, busybox: str) -> None:
    running = subprocess.Popen(
        [polyarch.path, "run", "-v", "busy:/data", busybox, "sh", "-c", "echo ready; sleep 1000"],
        env=polyarch.env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        assert "a container uses it" in polyarch.fails("volume", "rm", "busy").stderr
        assert "busy" not in polyarch("volume", "prune", "-af").stdout
    finally:
        running.terminate()
        running.communicate(timeout=20)
    assert "busy" in polyarch("volume", "prune", "-af").stdout
