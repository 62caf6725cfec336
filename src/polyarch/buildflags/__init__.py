"""Docker's options of a build, turned into a `BuildRequest`: for the command line, bake, compose and Python programs.

Nothing here reads the environment, the clock or the working directory: the caller gives them (`Surroundings`).
"""

from typing import TYPE_CHECKING

from polyarch import lazy

if TYPE_CHECKING:
    from polyarch.buildflags.options import (
        OPTIONS as OPTIONS,
    )
    from polyarch.buildflags.options import (
        BuildOptions as BuildOptions,
    )
    from polyarch.buildflags.options import (
        Surroundings as Surroundings,
    )
    from polyarch.buildflags.options import (
        request as request,
    )
else:
    __getattr__, __all__ = lazy.exports(__name__, {"options": "OPTIONS BuildOptions Surroundings request"})
