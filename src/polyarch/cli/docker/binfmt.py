"""The images that pipelines run to register emulators: tonistiigi/binfmt, and older ones such as
multiarch/qemu-user-static. Nothing is registered and nothing fetched: the calls are answered from what
`polyarch platforms` knows.
"""

import io
import re
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from polyarch.cli.commands.platforms import supported
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    from polyarch.sandbox import Support

_IMAGE = re.compile(r"(?:(?:index\.)?docker\.io/)?tonistiigi/binfmt(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?")
# They are run with --privileged for nothing else. Without it, and in `pull`, they are images like others, from which
# emulators are copied.
_OLDER = re.compile(
    r"(?:(?:index\.)?docker\.io/)?(?:multiarch/qemu-user-static|linuxkit/binfmt|docker/binfmt|aptman/qus|dbhi/qus"
    r"|hypriot/qemu-register)(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?"
)
_MEMBER = "tonistiigi-binfmt"
_VERSION = "binfmt polyarch qemu"


def command(name: str, words: Sequence[str]) -> click.Command | None:
    """The command that answers `docker NAME WORDS…` if that is about this image, else None."""
    if name == "load":
        return load if _is_marked(words) else None
    if name == "run" and _registers(words):
        return register
    if not any(_IMAGE.fullmatch(word) for word in words):
        return None
    return {"pull": pull, "save": save, "inspect": inspect, "run": run}.get(name)


_RAW: dict[str, Any] = {"ignore_unknown_options": True, "allow_interspersed_args": False}
_words = click.argument("words", nargs=-1, type=click.UNPROCESSED)


@click.command("pull", context_settings=_RAW)
@_words
def pull(words: tuple[str, ...]) -> None:
    """Fetch nothing."""
    print("tonistiigi/binfmt is not needed: Polyarch finds emulators itself", file=sys.stderr)
    click.echo(next(word for word in words if _IMAGE.fullmatch(word)))


@click.command("inspect", context_settings=_RAW)
@_words
@pass_session
def inspect(session: Session, words: tuple[str, ...]) -> None:
    """Show an image without content."""
    host = session.host()
    names = [word for word in words if _IMAGE.fullmatch(word)]
    document = {
        "Id": f"sha256:{0:064x}",
        "RepoTags": names,
        "RepoDigests": [],
        "Created": "1970-01-01T00:00:00Z",
        "Architecture": host.architecture,
        "Os": host.os,
        "Size": 0,
        "Config": {"Labels": {}},
    }
    click.echo(msgspec.json.format(msgspec.json.encode([document]), indent=4))


@click.command("save", context_settings=_RAW)
@click.option("-o", "--output")
@_words
def save(output: str | None, words: tuple[str, ...]) -> None:
    """Write an archive that `load` recognizes: caches of CI keep it."""
    for word, value in _with_following(words):
        if word in ("-o", "--output"):
            output = value
        elif word.startswith("--output="):
            output = word.partition("=")[2]
    if not output:
        raise UsageError("save of tonistiigi/binfmt needs --output FILE")
    content = io.BytesIO(b"Polyarch finds emulators itself.\n")
    with tarfile.open(output, "w") as archive:
        member = tarfile.TarInfo(_MEMBER)
        member.size = len(content.getvalue())
        archive.addfile(member, content)


@click.command("load", context_settings=_RAW)
@_words
def load(words: tuple[str, ...]) -> None:
    """Accept the archive of `save`."""
    click.echo("Loaded image: tonistiigi/binfmt:latest")


def _with_following(words: Sequence[str]) -> list[tuple[str, str]]:
    """Each word and the one behind it, which may be its value; behind the last is the empty one."""
    return list(zip(words, [*words[1:], ""], strict=False))


def _is_marked(words: Sequence[str]) -> bool:
    """Whether the archive that `load` is given is one of `save` above."""
    for word, following in _with_following(words):
        name = following if word in ("-i", "--input") else word.partition("=")[2] if word.startswith("--input=") else ""
        if name and Path(name).is_file():
            with open(name, "rb") as stream:
                return stream.read(100).rstrip(b"\0") == _MEMBER.encode()
    return False


def _registers(words: Sequence[str]) -> bool:
    """Whether these words of `run` start one of the older images with --privileged."""
    for index, word in enumerate(words):
        if _OLDER.fullmatch(word):
            return "--privileged" in words[:index] or "--privileged=true" in words[:index]
    return False


@click.command("run", context_settings=_RAW)
@_words
@pass_session
def register(session: Session, words: tuple[str, ...]) -> None:
    """Register nothing, and fail if an architecture that is named does not run here."""
    index = next(index for index, word in enumerate(words) if _OLDER.fullmatch(word))
    for word in words[index + 1 :]:
        for name in word.split(","):
            if name in _ARCHITECTURES:
                _require(session, name)
    session.note("nothing was registered: Polyarch registers emulators for its own processes only")


@click.command("run", context_settings=_RAW)
@_words
@pass_session
def run(session: Session, words: tuple[str, ...]) -> None:
    """Do what the image does: `--install`, `--uninstall`, `--version`, or a report of what runs here as JSON."""
    index = next(index for index, word in enumerate(words) if _IMAGE.fullmatch(word))
    arguments = words[index + 1 :]
    supports = supported(session)
    installed = uninstalled = False
    for word, following in _with_following(arguments):
        key, equals, value = word.partition("=")
        value = value if equals else following
        if key in ("--version", "-version"):
            click.echo(_VERSION)
            return
        if key in ("--install", "-install"):
            _require(session, value)
            installed = True
        uninstalled = uninstalled or key in ("--uninstall", "-uninstall")
    if installed:
        session.note("nothing was installed: Polyarch registers emulators for its own processes only")
    if uninstalled:
        session.note("nothing was uninstalled: Polyarch registers nothing on the host")
    click.echo(msgspec.json.format(msgspec.json.encode(_report(supports)), indent=2))


# What the image calls architectures, where that is not the name of the platform.
_NAMES = {
    "arm": "linux/arm/v7",
    "qemu-aarch64": "linux/arm64",
    "aarch64": "linux/arm64",
    "x86_64": "linux/amd64",
    "i386": "linux/386",
    "mips64el": "linux/mips64le",
}
# Those that arguments of the older images name.
_ARCHITECTURES = frozenset({"arm", "aarch64", "x86_64", "i386", "ppc64le", "s390x", "riscv64", "mips64", "mips64el"})


def _require(session: Session, wanted: str) -> None:
    """Raise UnsupportedError if an architecture that is asked for by name does not run here."""
    if wanted == "all":
        return
    names = [_NAMES.get(one, one if "/" in one else f"linux/{one}") for one in wanted.split(",") if one]
    missing = [support for support in supported(session, names) if support.how == "missing"]
    if missing:
        raise UnsupportedError(
            f"this machine cannot run programs for {', '.join(str(support.platform) for support in missing)}: "
            + missing[0].hint
        )


def _report(supports: "Sequence[Support]") -> dict[str, list[str]]:
    emulators = {Path(support.emulator).name.removesuffix("-static") for support in supports if support.emulator}
    return {
        "supported": [str(support.platform) for support in supports if support.how != "missing"],
        "emulators": sorted(emulators),
    }
