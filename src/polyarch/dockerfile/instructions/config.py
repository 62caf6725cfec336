"""The instructions that set an image's config. Of these, only WORKDIR also changes files."""

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
    """A key and a value; `legacy` if a space separates them instead of `=`."""

    key: str
    value: str
    legacy: bool = False


class Env(Instruction, frozen=True, kw_only=True):
    """ENV: all pairs are expanded with the environment before the instruction."""

    pairs: tuple[Pair, ...]


class Label(Instruction, frozen=True, kw_only=True):
    """LABEL."""

    pairs: tuple[Pair, ...]


class Cmd(Instruction, frozen=True, kw_only=True):
    """CMD. In shell form, `arguments` is one string, or empty if there is no command."""

    form: Form
    arguments: tuple[str, ...]


class Entrypoint(Instruction, frozen=True, kw_only=True):
    """ENTRYPOINT. `arguments` are as in CMD."""

    form: Form
    arguments: tuple[str, ...]


class Workdir(Instruction, frozen=True, kw_only=True):
    """WORKDIR: absolute, or relative to the previous one."""

    path: str


class User(Instruction, frozen=True, kw_only=True):
    """USER name-or-id[:group]."""

    user: str


class Expose(Instruction, frozen=True, kw_only=True):
    """EXPOSE, as written: `8080`, `8000-8010/udp`. After `expand`, `ports.ports` returns the single ports."""

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
    """ONBUILD: `trigger` is the text of the instruction with its heredocs; `parser.parse_trigger` parses it."""

    trigger: str


class Maintainer(Instruction, frozen=True, kw_only=True):
    """MAINTAINER."""

    maintainer: str


def parse_env(node: SyntaxNode) -> Env:
    """Return the ENV of a node. Raises DockerfileError for malformed pairs."""
    return Env(pairs=_pairs(node, "ENV"), **common(node))


def parse_label(node: SyntaxNode) -> Label:
    """Return the LABEL of a node. Raises DockerfileError for malformed pairs."""
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
    """Return the CMD of a node."""
    flags.none(node.flags)
    return Cmd(form="exec" if node.json else "shell", arguments=node.arguments, **common(node))


def parse_entrypoint(node: SyntaxNode) -> Entrypoint:
    """Return the ENTRYPOINT of a node."""
    flags.none(node.flags)
    return Entrypoint(form="exec" if node.json else "shell", arguments=node.arguments, **common(node))


def parse_workdir(node: SyntaxNode) -> Workdir:
    """Return the WORKDIR of a node. Raises DockerfileError unless it has exactly one argument."""
    return Workdir(path=_exactly_one(node, "WORKDIR"), **common(node))


def parse_user(node: SyntaxNode) -> User:
    """Return the USER of a node. Raises DockerfileError unless it has exactly one argument."""
    return User(user=_exactly_one(node, "USER"), **common(node))


def parse_stop_signal(node: SyntaxNode) -> StopSignal:
    """Return the STOPSIGNAL of a node. Raises DockerfileError unless it has exactly one argument."""
    return StopSignal(signal=_exactly_one(node, "STOPSIGNAL"), **common(node))


def parse_maintainer(node: SyntaxNode) -> Maintainer:
    """Return the MAINTAINER of a node. Raises DockerfileError unless it has exactly one argument."""
    return Maintainer(maintainer=_exactly_one(node, "MAINTAINER"), **common(node))


def _exactly_one(node: SyntaxNode, keyword: str) -> str:
    if len(node.arguments) != 1:
        raise DockerfileError(f"{keyword} requires exactly one argument")
    flags.none(node.flags)
    return node.arguments[0]


def parse_expose(node: SyntaxNode) -> Expose:
    """Return the EXPOSE of a node, its ports sorted. Raises DockerfileError if there are none."""
    if not node.arguments:
        raise _at_least_one("EXPOSE")
    flags.none(node.flags)
    return Expose(specifications=tuple(sorted(node.arguments)), **common(node))


def parse_volume(node: SyntaxNode) -> Volume:
    """Return the VOLUME of a node. Raises DockerfileError if there is no path, or an empty one."""
    if not node.arguments:
        raise _at_least_one("VOLUME")
    flags.none(node.flags)
    paths = tuple(path.strip(SPACE) for path in node.arguments)
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return Volume(paths=paths, **common(node))


def parse_shell(node: SyntaxNode) -> Shell:
    """Return the SHELL of a node. Raises DockerfileError unless it is a JSON array that is not empty."""
    flags.none(node.flags)
    if not node.arguments:
        raise _at_least_one("SHELL")
    if not node.json:
        # BuildKit's message does not show the form. The cause is nearly always single quotes.
        raise DockerfileError("SHELL requires the arguments to be in JSON form", 'as in SHELL ["/bin/bash", "-c"]')
    return Shell(arguments=node.arguments, **common(node))


def parse_onbuild(node: SyntaxNode) -> Onbuild:
    """Return the ONBUILD of a node. Raises DockerfileError for an instruction that a trigger cannot be."""
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
    """Expand the keys and values."""
    return msgspec.structs.replace(env, pairs=_expanded(env.pairs, words))


def expand_label(label: Label, words: Expander) -> Label:
    """Expand the keys and values."""
    return msgspec.structs.replace(label, pairs=_expanded(label.pairs, words))


def _expanded(pairs: tuple[Pair, ...], words: Expander) -> tuple[Pair, ...]:
    return tuple(Pair(words.word(pair.key), words.word(pair.value), pair.legacy) for pair in pairs)


def expand_workdir(workdir: Workdir, words: Expander) -> Workdir:
    """Expand the path."""
    return msgspec.structs.replace(workdir, path=words.word(workdir.path))


def expand_user(user: User, words: Expander) -> User:
    """Expand the user."""
    return msgspec.structs.replace(user, user=words.word(user.user))


def expand_expose(expose: Expose, words: Expander) -> Expose:
    """Expand the ports. One word may become several: `EXPOSE $PORTS`."""
    return msgspec.structs.replace(expose, specifications=words.split(expose.specifications))


def expand_volume(volume: Volume, words: Expander) -> Volume:
    """Expand the paths."""
    return msgspec.structs.replace(volume, paths=words.each(volume.paths))


def expand_stop_signal(stop: StopSignal, words: Expander) -> StopSignal:
    """Expand the signal. Raises DockerfileError if it is not a signal."""
    signal = words.word(stop.signal)
    if not signals.known(signal):
        raise DockerfileError(f"invalid signal: {signal}")
    return msgspec.structs.replace(stop, signal=signal)
