"""The base of all instructions."""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from polyarch.dockerfile.source import Location

Form = Literal["shell", "exec"]
# The environment for expanding words.
Env = Mapping[str, str]


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """An instruction: its keyword as written, its lines, its text and the comments directly above it.

    `text` has its continuations joined, without the bodies of heredocs.
    """

    keyword: str
    location: Location
    text: str
    comments: tuple[str, ...] = ()


class Heredoc(msgspec.Struct, frozen=True):
    """A document inside the Dockerfile, with `content` as written.

    `expand` is false if the name is quoted. `chomp` is true for `<<-`, which removes leading tabs (see `chomped`).
    """

    name: str
    content: str
    expand: bool
    chomp: bool = False
    descriptor: int = 0

    @property
    def chomped(self) -> str:
        """The content, without leading tabs if `chomp` is true."""
        if not self.chomp:
            return self.content
        return re.sub(r"^\t+", "", self.content, flags=re.MULTILINE)
