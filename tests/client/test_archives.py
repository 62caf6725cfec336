"""Where an archive is written to: a file is complete or does not exist."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from polyarch import NotFoundError
from polyarch.client.archives import Compress, archive_output, by_ending

# A process may write files of at most 10 bytes: what gzip holds back until the end is more.
FULL = """
import os, resource, sys
from pathlib import Path
from polyarch.client.archives import archive_output
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    with archive_output(Path(sys.argv[1]), "gzip") as sink:
        sink.write(os.urandom(1000))
except OSError as error:
    print(error.strerror)
"""


def test_a_file_whose_end_cannot_be_written_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "old.tar.gz").write_bytes(b"before")
    for name in ("old.tar.gz", "new.tar.gz"):
        done = subprocess.run([sys.executable, "-c", FULL, tmp_path / name], capture_output=True, text=True, check=True)
        assert done.stdout == "File too large\n"
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("old.tar.gz", b"before")]


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    with archive_output(tmp_path / "a.tar", "none") as sink:
        sink.write(b"all of it")
        assert not (tmp_path / "a.tar").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]
    with pytest.raises(NotFoundError, match="there is no directory"), archive_output(tmp_path / "no/a.tar", "none"):
        pass


def test_a_stream_stays_open(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with archive_output(stream, "gzip") as sink:
        sink.write(b"x")
    assert stream.getvalue()[:2] == b"\x1f\x8b"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.tar", "none"), ("a.tar.gz", "gzip"), ("a.tgz", "gzip"), ("a.tar.zst", "zstd"), (None, "none")],
)
def test_the_end_of_the_name_says_how_it_is_compressed(name: str | None, kind: Compress) -> None:
    assert by_ending(Path(name) if name else None) == kind
