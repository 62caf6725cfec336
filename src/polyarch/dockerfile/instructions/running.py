"""RUN: a command, its mounts and its confinement."""

from typing import Literal, cast

import msgspec

from polyarch.dockerfile import flags, syntax
from polyarch.dockerfile.instructions import mounts
from polyarch.dockerfile.instructions.base import Form, Heredoc, Instruction
from polyarch.dockerfile.instructions.expander import Expander
from polyarch.dockerfile.instructions.mounts import Mount
from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.syntax import SyntaxNode, common
from polyarch.dockerfile.words import quoted

_FLAGS: dict[str, flags.Kind] = {"mount": "list", "network": "text", "security": "text", "device": "list"}


class Run(Instruction, frozen=True, kw_only=True):
    """RUN. In shell form, `arguments` is one string, the command line; in exec form, the argument vector.

    `mount_flags` are the values of `--mount` as written. `mounts` are the parsed values, which `expand` sets.
    `mount_sources` are their `from=`, which are known before expansion, because they may not contain variables.
    `command(run, shell)` returns the command to execute.
    """

    form: Form
    arguments: tuple[str, ...]
    heredocs: tuple[Heredoc, ...] = ()
    mount_flags: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    mount_sources: tuple[str, ...] = ()
    network: Literal["default", "none", "host"] = "default"
    security: Literal["sandbox", "insecure"] = "sandbox"
    devices: tuple[str, ...] = ()


class Command(msgspec.Struct, frozen=True):
    """The command of a RUN. `script` is a (name, content) to mount at `/dev/pipes/name`, with mode 0755."""

    argv: tuple[str, ...]
    script: tuple[str, str] | None = None


def parse_run(node: SyntaxNode) -> Run:
    """Return the RUN of a node. Raises DockerfileError for an invalid flag."""
    given = flags.parse(node.flags, _FLAGS)
    network = given.text("network") if given.list("network") else "default"
    if network not in ("default", "none", "host"):
        raise DockerfileError(f"invalid network mode {quoted(network)}", "expected default, none or host")
    security = given.text("security") or "sandbox"
    if security not in ("sandbox", "insecure"):
        raise DockerfileError(f"security {quoted(security)} is not valid", "expected sandbox or insecure")
    mount_flags = given.list("mount")
    return Run(
        form="exec" if node.json else "shell",
        arguments=node.arguments,
        heredocs=node.heredocs,
        mount_flags=mount_flags,
        mount_sources=tuple(source for flag in mount_flags if (source := mounts.source_of(flag))),
        network=cast(Literal["default", "none", "host"], network),
        security=cast(Literal["sandbox", "insecure"], security),
        devices=given.list("device"),
        **common(node),
    )


def expand_run(run: Run, words: Expander) -> Run:
    """Expand the values of `--mount`. The shell expands the command itself."""
    return msgspec.structs.replace(run, mounts=tuple(mounts.parse(flag, words) for flag in run.mount_flags))


def command(run: Run, shell: tuple[str, ...]) -> Command:
    """Return the command that `run` executes; `shell` is the value of SHELL.

    A heredoc alone is a script for the shell, or, if it begins with `#!`, a program that the shell starts. After other
    words, it is passed to the shell as written.
    """
    if run.form == "exec":
        return Command(run.arguments)
    line = " ".join(run.arguments)
    if run.heredocs:
        first = run.heredocs[0]
        if syntax.announced(line) is None:
            line += "".join(f"\n{document.content}{document.name}" for document in run.heredocs)
        elif first.content.startswith("#!"):
            return Command((*shell, f"/dev/pipes/{first.name}"), (first.name, first.chomped))
        else:
            line = first.chomped
    return Command((*shell, line))
