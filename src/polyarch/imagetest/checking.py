"""Whether a text, a config and a file are what a test asks for. Each problem is a sentence."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from polyarch.imagetest.values import ConfigCheck, TextCheck
from polyarch.oci.config import ImageConfig

_MOST = 200


def text_problems(what: str, text: str, check: TextCheck | None) -> Iterator[str]:
    """The problems of a text. `what` names it."""
    if check is None:
        return
    if check.equals is not None and text != check.equals:
        yield f"{what} is {shown(text)}, not {shown(check.equals)}"
    for part in check.contains:
        if part not in text:
            yield f"{what} does not contain {shown(part)}: {shown(text)}"
    for part in check.lacks:
        if part in text:
            yield f"{what} contains {shown(part)}"
    for pattern in check.matches:
        if not re.search(pattern, text):
            yield f"{what} does not match {pattern!r}: {shown(text)}"
    for pattern in check.lacks_matches:
        if found := re.search(pattern, text):
            yield f"{what} matches {pattern!r}: {shown(found[0])}"


def config_problems(config: ImageConfig, check: ConfigCheck | None) -> Iterator[str]:
    """The problems of an image's config."""
    if check is None:
        return
    run = config.run
    for key, wanted, found in (
        ("user", check.user, run.get("User") or ""),
        ("working directory", check.workdir, run.get("WorkingDir") or ""),
        ("entrypoint", check.entrypoint, tuple(run.get("Entrypoint") or ())),
        ("command", check.cmd, tuple(run.get("Cmd") or ())),
    ):
        if wanted is not None and found != wanted:
            yield f"the {key} is {_plain(found)}, not {_plain(wanted)}"
    yield from _mapping_problems("variable", config.env, check.env)
    yield from _mapping_problems("label", run.get("Labels") or {}, check.labels)
    ports, volumes = run.get("ExposedPorts") or {}, run.get("Volumes") or {}
    yield from _missing("port", ports, check.ports, "is not exposed")
    yield from _present("port", ports, check.lacks_ports, "is exposed")
    yield from _missing("volume", volumes, check.volumes, "is not declared")
    yield from _present("volume", volumes, check.lacks_volumes, "is declared")


def _mapping_problems(kind: str, found: Mapping[str, str], wanted: Mapping[str, TextCheck | None]) -> Iterator[str]:
    for name, check in wanted.items():
        if name not in found:
            if check is not None:
                yield f"the {kind} {name} is not set"
        elif check is None:
            yield f"the {kind} {name} is set: {shown(found[name])}"
        else:
            yield from text_problems(f"the {kind} {name}", found[name], check)


def _missing(kind: str, found: Mapping[str, Any], wanted: Iterable[str], reason: str) -> Iterator[str]:
    return (f"the {kind} {name} {reason}" for name in wanted if name not in found)


def _present(kind: str, found: Mapping[str, Any], unwanted: Iterable[str], reason: str) -> Iterator[str]:
    return (f"the {kind} {name} {reason}" for name in unwanted if name in found)


def shown(text: str) -> str:
    """A text for a message, shortened in the middle."""
    if len(text) > _MOST:
        text = f"{text[: _MOST // 2]} […] {text[-_MOST // 2 :]}"
    return repr(text)


def _plain(value: str | Sequence[str]) -> str:
    return repr(value) if isinstance(value, str) else repr(list(value))
