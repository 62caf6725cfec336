"""What all instructions have."""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from polyarch.dockerfile.source import Location

Form = Literal["shell", "exec"]
# The environment that a word is expanded with.
Env = Mapping[str, str]


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """One instruction: its keyword as written, the lines where it stands, its text with continuations joined and
    without the bodies of its heredocs, and the comment lines directly above it.
    """

    keyword: str
    location: Location
    text: str
    comments: tuple[str, ...] = ()


class Heredoc(msgspec.Struct, frozen=True):
    """A document inside the file: `content` as it stands there, `expand` false where the name was quoted,
    `chomp` where `<<-` takes the leading tabs away (see `chomped`).
    """

    name: str
    content: str
    expand: bool
    chomp: bool = False
    descriptor: int = 0

    @property
    def chomped(self) -> str:
        """The content, without leading tabs where `<<-` asks for that."""
        if not self.chomp:
            return self.content
        return re.sub(r"^\t+", "", self.content, flags=re.MULTILINE)
