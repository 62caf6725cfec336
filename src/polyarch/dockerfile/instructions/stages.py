"""FROM and ARG: where a stage begins, and what a build may be told."""

from polyarch.dockerfile.instructions.base import Instruction


class From(Instruction, frozen=True, kw_only=True):
    """FROM [--platform=…] image [AS name]. `name` keeps its case; `image` and `platform` are unexpanded."""

    image: str
    platform: str = ""
    name: str = ""


class Arg(Instruction, frozen=True, kw_only=True):
    """ARG name[=default] …: (name, default) with None where there is no `=`."""

    pairs: tuple[tuple[str, str | None], ...]
