"""The instructions that say how the image is run: they change its config, and only WORKDIR its files."""

import msgspec

from polyarch.dockerfile.instructions.base import Form, Instruction


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
    """EXPOSE: as written, `8080`, `8000-8010/udp`; `ports(expose)` has them one by one, after `expand`."""

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


class Healthcheck(Instruction, frozen=True, kw_only=True):
    """HEALTHCHECK: `test` is as in an image config, ("NONE",), ("CMD", …) or ("CMD-SHELL", line).

    Durations are nanoseconds, 0 where they are not said, and so are the retries.
    """

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class Onbuild(Instruction, frozen=True, kw_only=True):
    """ONBUILD: `trigger` is the text of the instruction, its heredocs included; `parser.parse_trigger` reads it."""

    trigger: str


class Maintainer(Instruction, frozen=True, kw_only=True):
    """MAINTAINER."""

    maintainer: str
