"""FROM and ARG: the start of a stage, and build arguments."""

import re

import msgspec

from polyarch.dockerfile import flags
from polyarch.dockerfile.instructions.base import Instruction
from polyarch.dockerfile.instructions.expander import Expander
from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.syntax import SyntaxNode, common
from polyarch.dockerfile.words import quoted

_STAGE_NAME = r"[a-z][a-z0-9\-_.]*"


class From(Instruction, frozen=True, kw_only=True):
    """FROM [--platform=…] image [AS name]. `name` keeps its case.

    `image` and `platform` are unexpanded: the planner expands them with the global and the automatic arguments.
    """

    image: str
    platform: str = ""
    name: str = ""
    as_keyword: str = ""


class Arg(Instruction, frozen=True, kw_only=True):
    """ARG name[=default] …: pairs of name and default, which is None without `=`."""

    pairs: tuple[tuple[str, str | None], ...]


def parse_from(node: SyntaxNode) -> From:
    """Return the FROM of a node. Raises DockerfileError for a bad stage name or number of arguments."""
    words = node.arguments
    if len(words) == 3 and words[1].lower() == "as":
        if not re.fullmatch(_STAGE_NAME, words[2].lower()):
            raise DockerfileError(
                f"invalid name for build stage: {quoted(words[2])}, name can't start with a number or contain symbols"
            )
    elif len(words) != 1:
        raise DockerfileError("FROM requires either one or three arguments")
    given = flags.parse(node.flags, {"platform": "text"})
    return From(
        image=words[0],
        platform=given.text("platform"),
        name=words[2] if len(words) == 3 else "",
        as_keyword=words[1] if len(words) == 3 else "",
        **common(node),
    )


def parse_arg(node: SyntaxNode) -> Arg:
    """Return the ARG of a node. Raises DockerfileError if a name is missing."""
    if not node.arguments:
        raise DockerfileError("ARG requires at least one argument")
    pairs: list[tuple[str, str | None]] = []
    for word in node.arguments:
        name, equals, value = word.partition("=")
        if not name:
            raise DockerfileError("ARG names can not be blank")
        pairs.append((name, value if equals else None))
    return Arg(pairs=tuple(pairs), **common(node))


def expand_arg(arg: Arg, words: Expander) -> Arg:
    """Expand the names and defaults."""
    pairs = tuple((words.word(name), None if value is None else words.word(value)) for name, value in arg.pairs)
    return msgspec.structs.replace(arg, pairs=pairs)
