"""The Dockerfile language: text → instructions, stages, words, ignore files, checks. No I/O.

`parse` reads a text, `cut` divides it into stages, and `expand` expands an instruction with the environment before it.
The instructions themselves are in `instructions.stages`, `.copying`, `.running`, `.config` and `.healthcheck`.
Importing this package loads none of them.
"""

from typing import TYPE_CHECKING

from polyarch import lazy

if TYPE_CHECKING:
    from polyarch.dockerfile.instructions.base import Instruction as Instruction
    from polyarch.dockerfile.instructions.expansion import expand as expand
    from polyarch.dockerfile.parser import Dockerfile as Dockerfile
    from polyarch.dockerfile.parser import parse as parse
    from polyarch.dockerfile.parser import parse_trigger as parse_trigger
    from polyarch.dockerfile.source import DockerfileError as DockerfileError
    from polyarch.dockerfile.source import Location as Location
    from polyarch.dockerfile.stages import (
        Stage as Stage,
    )
    from polyarch.dockerfile.stages import (
        Stages as Stages,
    )
    from polyarch.dockerfile.stages import (
        automatic_args as automatic_args,
    )
    from polyarch.dockerfile.stages import (
        cut as cut,
    )
    from polyarch.dockerfile.stages import (
        global_env as global_env,
    )
else:
    __getattr__, __all__ = lazy.exports(
        __name__,
        {
            "instructions.base": "Instruction",
            "instructions.expansion": "expand",
            "parser": "Dockerfile parse parse_trigger",
            "source": "DockerfileError Location",
            "stages": "Stage Stages automatic_args cut global_env",
        },
    )
