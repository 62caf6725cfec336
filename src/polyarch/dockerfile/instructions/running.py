"""RUN: a command, its mounts and how it is confined."""

from typing import Literal

import msgspec

from polyarch.dockerfile.instructions.base import Form, Heredoc, Instruction


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One `--mount`, expanded. Empty strings and None are options that were not given.

    `target` is as written: a relative one joins WORKDIR. A cache's `id` is its cleaned target where none is
    given, an ssh mount's is `default`, a secret's is the last part of its target.
    """

    kind: Literal["bind", "cache", "tmpfs", "secret", "ssh"] = "bind"
    target: str = ""
    source: str = ""
    from_: str = ""
    read_only: bool = False
    id: str = ""
    sharing: Literal["shared", "private", "locked"] = "shared"
    sharing_platforms: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    required: bool = False
    env: str | None = None


class Run(Instruction, frozen=True, kw_only=True):
    """RUN. In shell form `arguments` is one string, the command line; in exec form the argument vector.

    `mount_flags` are the values of `--mount` as written; `mounts` is what they say, which is known only after
    `expand`. What runs in the end says `command(run, shell)`.
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
    """What a RUN executes. `script` is a (name, content) that must be mounted at `/dev/pipes/name`, mode 0755."""

    argv: tuple[str, ...]
    script: tuple[str, str] | None = None
