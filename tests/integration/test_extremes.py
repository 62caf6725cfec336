"""Input of extreme sizes: many files, sparse files, very long names."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from polyarch.layers.longpaths import short
from tests.builds.images import Image
from tests.program import Program

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

_SPAWN = Path(__file__).parents[2] / "bench" / "spawn.py"


def peak(polyarch: Program, log: Path, *arguments: str | Path) -> int:
    """The peak memory of a command in MB."""
    command = [str(polyarch.path), *map(str, arguments)]
    spawn = [sys.executable, "-IS", str(_SPAWN), str(log), json.dumps(polyarch.env), *command]
    status, _, _, memory = json.loads(subprocess.run(spawn, stdout=subprocess.PIPE, check=True).stdout)
    assert status == 0, log.read_text()
    return int(memory) // 1_000_000


def context(directory: Path, dockerfile: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text(dockerfile)
    return directory


def test_a_hundred_thousand_files_in_one_directory_cost_a_kilobyte_each(polyarch: Program, tmp_path: Path) -> None:
    here = context(tmp_path / "context", "FROM scratch\nCOPY many /many\n")
    (here / "many").mkdir()
    for number in range(100_000):
        (here / "many" / f"file-{number}").touch()
    # What a command takes with no files at all is 40 MB; an index of names, modes and places is kept of each, and as
    # long as a directory is gone through, what is still to come of it.
    assert peak(polyarch, tmp_path / "log", "build", "-q", "-t", "many", here) < 160
    assert peak(polyarch, tmp_path / "log", "build", "-q", "-t", "many", here) < 110


def test_a_file_of_holes_takes_neither_memory_nor_a_large_layer(polyarch: Program, tmp_path: Path) -> None:
    here = context(tmp_path / "context", "FROM scratch\nCOPY holes /holes\n")
    with open(here / "holes", "wb") as file:
        file.truncate(1 << 30)
    assert peak(polyarch, tmp_path / "log", "build", "-q", "-t", "holes", here) < 100
    blobs = [path.stat().st_size for path in (polyarch.root / "oci" / "blobs").rglob("*") if path.is_file()]
    assert max(blobs) < 2_000_000


@pytest.mark.parametrize("name", ["n" * 4096, "ж" * 128, "/".join(["directory" * 20] * 30)])
def test_a_destination_that_no_system_could_unpack_is_refused_by_its_name(
    polyarch: Program, tmp_path: Path, name: str
) -> None:
    here = context(tmp_path / "context", f"FROM scratch\nCOPY Dockerfile /{name}\n")
    failed = polyarch.fails("build", "-q", here)
    assert name[:100] in failed.stderr
    assert "is too long" in failed.stderr


def test_names_as_long_as_they_may_be_are_taken(polyarch: Program, tmp_path: Path) -> None:
    name = "/".join(["ж" * 127] * 15)
    here = context(tmp_path / "context", f"FROM scratch\nCOPY Dockerfile /{name}\n")
    polyarch("build", "-q", "-t", "long", here)
    image = Image(polyarch.root / "oci", polyarch("images", "--format", "json", "long").json()["Digest"])
    assert image.files()[name].content == (here / "Dockerfile").read_bytes()


def test_a_path_in_the_context_that_is_too_long_is_named(polyarch: Program, tmp_path: Path) -> None:
    here = context(tmp_path / "context", "FROM scratch\nCOPY . /\n")
    at = os.open(here, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 240, dir_fd=at)
        below = os.open("d" * 240, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    failed = polyarch.fails("build", "-q", here)
    assert "d" * 100 in failed.stderr
    assert "too long" in failed.stderr.lower()
    assert len(failed.stderr) < 1000, "the path is not printed whole"


def test_a_context_is_built_and_written_where_only_its_place_on_this_machine_makes_paths_too_long(
    polyarch: Program, tmp_path: Path
) -> None:
    above, below = ["a" * 200] * 10, ["b" * 200] * 15
    here = os.open(tmp_path, os.O_RDONLY)
    for number, name in enumerate((*above, *below)):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
        if number == len(above) - 1:
            _write(here, "Dockerfile", b"FROM scratch\nCOPY . /\n")
    _write(here, "file", b"content")
    os.link("file", "hard", src_dir_fd=here, dst_dir_fd=here)
    os.symlink("file", "soft", dir_fd=here)
    os.close(here)
    polyarch("build", "-q", "-o", "type=tar,dest=out.tar", "/".join([str(tmp_path), *above]), cwd=tmp_path)
    with tarfile.open(tmp_path / "out.tar") as made:
        reader = made.extractfile("/".join([*below, "file"]))
        assert reader is not None
        assert reader.read() == b"content"
    polyarch("build", "-q", "-o", "/".join([*above, "out"]), "/".join(above), cwd=tmp_path)
    written = "/".join([str(tmp_path), *above, "out", *below])
    names = {}
    for name in ("file", "hard", "soft"):
        with short(f"{written}/{name}") as near:
            names[name] = os.stat(near)
    assert names["file"].st_ino == names["hard"].st_ino == names["soft"].st_ino
    assert names["file"].st_size == len(b"content")


def _write(directory: int, name: str, content: bytes) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=directory)
    os.write(file, content)
    os.close(file)
