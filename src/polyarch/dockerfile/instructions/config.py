"""The instructions that say how the image is run: they change its config, and only WORKDIR its files."""

import re

import msgspec

from polyarch.dockerfile import flags, syntax
from polyarch.dockerfile.instructions import signals
from polyarch.dockerfile.instructions.base import Form, Instruction
from polyarch.dockerfile.instructions.expander import Expander
from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.syntax import SyntaxNode, common
from polyarch.dockerfile.words import SPACE


class Pair(msgspec.Struct, frozen=True):
    """A key and a value; `legacy` where they are parted by a space instead of `=`."""

    key: str
    value: str
    legacy: bool = False


class Env(Instruction, frozen=True, kw_only=True):
    """ENV: all pairs see the environment from before the instruction."""

    pairs: tuple[Pair, ...]


class Label(Instruction, frozen=True, kw_only=True):
    """LABEL."""

    pairs: tuple[Pair, ...]


class Cmd(Instruction, frozen=True, kw_only=True):
    """CMD. In shell form `arguments` is one string, or none where nothing was said."""

    form: Form
    arguments: tuple[str, ...]


class Entrypoint(Instruction, frozen=True, kw_only=True):
    """ENTRYPOINT, as CMD."""

    form: Form
    arguments: tuple[str, ...]


class Workdir(Instruction, frozen=True, kw_only=True):
    """WORKDIR: absolute, or relative to the one before."""

    path: str


class User(Instruction, frozen=True, kw_only=True):
    """USER name-or-id[:group]."""

    user: str


class Expose(Instruction, frozen=True, kw_only=True):
    """EXPOSE: as written, `8080`, `8000-8010/udp`; `ports.ports` has them one by one, after `expand`."""

    specifications: tuple[str, ...]


class Volume(Instruction, frozen=True, kw_only=True):
    """VOLUME."""

    paths: tuple[str, ...]


class StopSignal(Instruction, frozen=True, kw_only=True):
    """STOPSIGNAL."""

    signal: str


class Shell(Instruction, frozen=True, kw_only=True):
    """SHELL: the words before a command in shell form."""

    arguments: tuple[str, ...]


class Onbuild(Instruction, frozen=True, kw_only=True):
    """ONBUILD: `trigger` is the text of the instruction, its heredocs included; `parser.parse_trigger` reads it."""

    trigger: str


class Maintainer(Instruction, frozen=True, kw_only=True):
    """MAINTAINER."""

    maintainer: str


def parse_env(node: SyntaxNode) -> Env:
    return Env(pairs=_pairs(node, "ENV"), **common(node))


def parse_label(node: SyntaxNode) -> Label:
    return Label(pairs=_pairs(node, "LABEL"), **common(node))


def _pairs(node: SyntaxNode, keyword: str) -> tuple[Pair, ...]:
    flags.none(node.flags)
    pairs, legacy = syntax.pairs(keyword, node.rest, node.escape)
    if not pairs:
        raise _at_least_one(keyword)
    if not all(name for name, _ in pairs):
        raise DockerfileError(f"{keyword} names can not be blank")
    return tuple(Pair(name, value, legacy) for name, value in pairs)


def parse_cmd(node: SyntaxNode) -> Cmd:
    flags.none(node.flags)
    return Cmd(form="exec" if node.json else "shell", arguments=node.arguments, **common(node))


def parse_entrypoint(node: SyntaxNode) -> Entrypoint:
    flags.none(node.flags)
    return Entrypoint(form="exec" if node.json else "shell", arguments=node.arguments, **common(node))


def parse_workdir(node: SyntaxNode) -> Workdir:
    return Workdir(path=_exactly_one(node, "WORKDIR"), **common(node))


def parse_user(node: SyntaxNode) -> User:
    return User(user=_exactly_one(node, "USER"), **common(node))


def parse_stop_signal(node: SyntaxNode) -> StopSignal:
    return StopSignal(signal=_exactly_one(node, "STOPSIGNAL"), **common(node))


def parse_maintainer(node: SyntaxNode) -> Maintainer:
    return Maintainer(maintainer=_exactly_one(node, "MAINTAINER"), **common(node))


def _exactly_one(node: SyntaxNode, keyword: str) -> str:
    if len(node.arguments) != 1:
        raise DockerfileError(f"{keyword} requires exactly one argument")
    flags.none(node.flags)
    return node.arguments[0]


def parse_expose(node: SyntaxNode) -> Expose:
    if not node.arguments:
        raise _at_least_one("EXPOSE")
    flags.none(node.flags)
    return Expose(specifications=tuple(sorted(node.arguments)), **common(node))


def parse_volume(node: SyntaxNode) -> Volume:
    if not node.arguments:
        raise _at_least_one("VOLUME")
    flags.none(node.flags)
    paths = tuple(path.strip(SPACE) for path in node.arguments)
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return Volume(paths=paths, **common(node))


def parse_shell(node: SyntaxNode) -> Shell:
    flags.none(node.flags)
    if not node.arguments:
        raise _at_least_one("SHELL")
    if not node.json:
        # What BuildKit asks for is worth more than its words: the reason is nearly always single quotes.
        raise DockerfileError("SHELL requires the arguments to be in JSON form", 'as in SHELL ["/bin/bash", "-c"]')
    return Shell(arguments=node.arguments, **common(node))


def parse_onbuild(node: SyntaxNode) -> Onbuild:
    if not node.arguments:
        raise _at_least_one("ONBUILD")
    flags.none(node.flags)
    keyword = node.arguments[0].upper()
    if keyword == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in ("FROM", "MAINTAINER"):
        raise DockerfileError(f"{keyword} isn't allowed as an ONBUILD trigger")
    trigger = re.sub(r"^\s*onbuild\s*", "", node.text, count=1, flags=re.IGNORECASE)
    trigger += "".join(f"\n{document.content}{document.name}" for document in node.heredocs)
    return Onbuild(trigger=trigger, **common(node))


def _at_least_one(keyword: str) -> DockerfileError:
    return DockerfileError(f"{keyword} requires at least one argument")


def expand_env(env: Env, words: Expander) -> Env:
    return msgspec.structs.replace(env, pairs=_expanded(env.pairs, words))


def expand_label(label: Label, words: Expander) -> Label:
    return msgspec.structs.replace(label, pairs=_expanded(label.pairs, words))


def _expanded(pairs: tuple[Pair, ...], words: Expander) -> tuple[Pair, ...]:
    return tuple(Pair(words.word(pair.key), words.word(pair.value), pair.legacy) for pair in pairs)


def expand_workdir(workdir: Workdir, words: Expander) -> Workdir:
    return msgspec.structs.replace(workdir, path=words.word(workdir.path))


def expand_user(user: User, words: Expander) -> User:
    return msgspec.structs.replace(user, user=words.word(user.user))


def expand_expose(expose: Expose, words: Expander) -> Expose:
    """One word may become several: `EXPOSE $PORTS`."""
    return msgspec.structs.replace(expose, specifications=words.split(expose.specifications))


def expand_volume(volume: Volume, words: Expander) -> Volume:
    return msgspec.structs.replace(volume, paths=words.each(volume.paths))


def expand_stop_signal(stop: StopSignal, words: Expander) -> StopSignal:
    """Raises DockerfileError for what is no signal."""
    signal = words.word(stop.signal)
    if not signals.known(signal):
        raise DockerfileError(f"invalid signal: {signal}")
    return msgspec.structs.replace(stop, signal=signal)
