"""buildx's files about builds: `refs/BUILDER/NODE/ID` below its directory says where a build came from.

Docker's actions and Docker Desktop read them (buildx, localstate/localstate.go).
"""

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from polyarch.builder import BuildRequest

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_PART = r"[A-Za-z0-9_.-]+"


def node_of(builder: str, node: str = "") -> str:
    """BUILDER/NODE of a builder, whose first node is called as buildx calls it if no name is given.

    Empty, which stands for Polyarch itself, without a builder and for what cannot be a name: both are directories.
    """
    names = builder, node or f"{builder.lower()}0"
    return "/".join(names) if all(re.fullmatch(_NAME, name) for name in names) else ""


def directory(variables: Mapping[str, str]) -> Path:
    """The directory of buildx."""
    if chosen := variables.get("BUILDX_CONFIG"):
        return Path(chosen)
    return Path(variables.get("DOCKER_CONFIG") or Path(variables.get("HOME") or "/") / ".docker") / "buildx"


def save(
    variables: Mapping[str, str], request: "BuildRequest", *, asked: bool, target: str = "", group: str = ""
) -> None:
    """Write the file for a build. Without `asked`, only where buildx has a directory already.

    Errors of writing are ignored: only a summary of the build reads the file.
    """
    top = directory(variables)
    if not asked and "BUILDX_CONFIG" not in variables and not top.is_dir():
        return
    from polyarch.builder.request.input import DirectoryContext, RemoteContext

    given = request.input
    match given.context:
        case DirectoryContext(path):
            context = str(path.absolute())
        case RemoteContext(url):
            context = url
        case _:
            context = "-" if given.context is not None else ""
    file = "-" if given.dockerfile is not None else str(given.file or "")
    if file not in ("", "-") and isinstance(given.context, DirectoryContext):
        file = os.path.abspath(file)
    state = {"Target": target or "default", "LocalPath": context, "DockerfilePath": file}
    _write(top / "refs" / request.reference, state | ({"GroupRef": group} if group else {}))


def save_group(variables: Mapping[str, str], group: str, targets: Sequence[str], references: Sequence[str]) -> None:
    """Write the file of the builds of one `bake`."""
    _write(directory(variables) / "refs/__group__" / group, {"Targets": list(targets), "Refs": list(references)})


def read(variables: Mapping[str, str], reference: str) -> dict[str, Any]:
    """What the file of a build says; empty if there is none."""
    parts = reference.split("/")
    if len(parts) != 3 or not all(re.fullmatch(_PART, part) and part.strip(".") for part in parts):
        return {}
    return _read(directory(variables) / "refs" / reference)


def read_group(variables: Mapping[str, str], group: str) -> dict[str, Any]:
    """What the file of a group of builds says; empty if there is none."""
    return _read(directory(variables) / "refs/__group__" / group) if re.fullmatch(r"[a-z0-9]+", group) else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.write_bytes(msgspec.json.encode(content))
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
