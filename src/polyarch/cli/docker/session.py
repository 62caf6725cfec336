"""The session of a command of docker: errors in docker's form, and where `--load` puts an image."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from polyarch.cli.docker.errors import report
from polyarch.cli.session import Session
from polyarch.errors import PolyarchError

if TYPE_CHECKING:
    from polyarch.client.environment import Environment


class DockerSession(Session):
    """The session of `docker`, or of docker's plugin, which loads images into docker's engine."""

    is_docker = True

    def __init__(self, environment: "Environment", *, root: Path | None, debug: bool, plugin: bool) -> None:
        super().__init__(environment, root=root, debug=debug)
        self.loads = "engine" if plugin else "store"

    def set_variable(self, name: str, value: str) -> None:
        """Change a variable of the environment for the rest of the command."""
        variables = {**self.environment.variables, name: value}
        self.environment = msgspec.structs.replace(self.environment, variables=variables)

    def node(self, builder: str | None = None) -> str:
        """BUILDER/NODE of this builder, else of the current one."""
        from polyarch.cli import refs
        from polyarch.cli.docker import builder_state

        variables = self.environment.variables
        name = builder or variables["BUILDX_BUILDER"]
        known = builder_state.read(variables).builder(name)
        return refs.node_of(name, known.nodes[0].name if known is not None else "")

    def error(self, error: PolyarchError) -> None:
        self.note(report(error))
