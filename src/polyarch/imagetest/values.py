"""Tests of an image and their outcomes."""

from collections.abc import Mapping
from typing import Literal

import msgspec

DEFAULT_TIMEOUT = 60.0
DEFAULT_GRACE = 10.0


class TextCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a text must be. `matches` and `lacks_matches` are regular expressions that are searched for in it."""

    equals: str | None = None
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()
    lacks_matches: tuple[str, ...] = msgspec.field(default=(), name="lacks-matches")


class FileCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What must be at a path of the image. `owner` and `group` are names or numbers in the image.

    `mode` is the permissions. `executable_by` says whose execute permission must be set.
    """

    path: str
    exists: bool = True
    kind: Literal["file", "directory", "symlink"] | None = None
    owner: str | None = None
    group: str | None = None
    mode: int | None = None
    executable_by: Literal["owner", "group", "other", "any"] | None = None
    content: TextCheck | None = None


class HttpCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the port of a test, and what must be answered."""

    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = {}
    send: str = ""
    status: int | None = None
    body: TextCheck | None = None


class ConfigCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What the config of an image must say. None stands for anything; a label or variable of None must be absent."""

    user: str | None = None
    workdir: str | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    env: Mapping[str, TextCheck | None] = {}
    labels: Mapping[str, TextCheck | None] = {}
    ports: tuple[str, ...] = ()
    lacks_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    lacks_volumes: tuple[str, ...] = ()


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What a test expects: `exit` and the output of its command, answers over HTTP, files, and the image's config.

    `exit` is of `run`, where None is 0, or of the image's own command when it is stopped, where None is any status.
    """

    exit: int | None = None
    stdout: TextCheck | None = None
    stderr: TextCheck | None = None
    http: tuple[HttpCheck, ...] = ()
    files: tuple[FileCheck, ...] = ()
    config: ConfigCheck | None = None


class ExpandedVariables(msgspec.Struct, frozen=True):
    """Variables in whose values `$NAME` and `${NAME}` stand for those of the image, and for earlier ones of these.

    A variable that is not set is empty.
    """

    values: Mapping[str, str]


class ImageTest(msgspec.Struct, frozen=True, kw_only=True):
    """One test. `image` and `platforms` are empty if the command chooses them. Durations are in seconds.

    `run` is a command inside, instead of the image's own. Without it, the image's own command is started with the
    arguments `start`, or if there is something to do while it runs: requests, or `command` on this machine. `before`
    and `after` are commands inside, in the same file system. `place` is where the test is written.
    """

    name: str
    image: str = ""
    platforms: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    start: tuple[str, ...] | None = None
    port: int = 0
    command: tuple[str, ...] = ()
    before: tuple[tuple[str, ...], ...] = ()
    after: tuple[tuple[str, ...], ...] = ()
    env: Mapping[str, str] | ExpandedVariables = {}
    user: str = ""
    workdir: str = ""
    timeout: float = DEFAULT_TIMEOUT
    grace: float = DEFAULT_GRACE
    expect: Expectation = Expectation()
    place: str = ""

    @property
    def starts(self) -> bool:
        """Whether the image's own command is started."""
        return not self.run and bool(self.start is not None or self.port or self.command or self.expect.http)


class TestOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one test for one platform.

    `problems` are empty if it passed. `how` is "native" or "emulated". `ready` is the seconds until the image answered
    its health check or listened on its port, None if nothing was started. `seconds` is the whole test. `peak_memory` is
    the most that one process used, in bytes; 0 if that is not known. `output` is what the processes printed.
    """

    __test__ = False

    test: str
    image: str
    platform: str
    how: str
    problems: tuple[str, ...] = ()
    ready: float | None = None
    seconds: float = 0.0
    peak_memory: int = 0
    output: str = ""

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return not self.problems
