"""Archives made for tests, and what is in one."""

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

from polyarch.oci import platform as platforms
from polyarch.transfer import copy as copier
from polyarch.transfer.archive import ArchiveWriter
from polyarch.transfer.layout import OciLayout
from tests.needs import need

NAME = "docker.io/team/app:1.0"


def no_spool() -> BinaryIO:
    raise AssertionError("this archive can be read in place")


def saved(source: OciLayout, path: Path, *, docker: bool = False, preferred: platforms.Platform | None = None) -> Path:
    """An archive of all images of `source`, each under its name."""
    with path.open("wb") as file:
        writer = ArchiveWriter(file, docker=docker, preferred=preferred)
        for name in source.tags():
            copier.copy(source, name, writer, [name])
        writer.finish()
    return path


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as opened:
        return {info.name: opened.extractfile(info).read() for info in opened if info.isfile()}  # type: ignore[union-attr]


def skopeo(*words: str | Path) -> Any:
    need("skopeo")
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout) if "inspect" in words else done.stdout
