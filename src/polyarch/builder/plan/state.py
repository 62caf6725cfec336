"""What a stage is, part of the way through its instructions: a value, and each instruction gives the next."""

import msgspec

from polyarch.builder.vertices import Layers
from polyarch.oci.config import History, ImageConfig
from polyarch.oci.platform import Platform

COMMENT = "buildkit.dockerfile.v0"  # what tools look for to tell this builder's language from the classic one's


class StageState(msgspec.Struct, frozen=True, kw_only=True):
    """A stage so far.

    `env` is what RUN and the expansion of words see: the config's variables and the arguments declared so far,
    the later of two winning. `arguments` are those declared, for the history of RUN. A history entry of this
    build has no `created`: that is the time at which its layer was made.
    """

    platform: Platform
    layers: Layers
    config: ImageConfig
    history: tuple[History, ...]
    env: dict[str, str]
    arguments: dict[str, str] = {}
    cmd_set: bool = False

    @property
    def workdir(self) -> str:
        """The absolute directory that relative paths start from."""
        return self.config.run.get("WorkingDir") or "/"

    @property
    def user(self) -> str:
        """What USER says, empty for root."""
        return self.config.run.get("User") or ""

    def recorded(self, created_by: str, *, layer: bool = False) -> "StageState":
        """The state with one more line of history."""
        entry = History(created_by=created_by, comment=COMMENT, empty_layer=not layer)
        return msgspec.structs.replace(self, history=(*self.history, entry))

    def configured(self, **changes: object) -> "StageState":
        """The state with fields of the image's `config` object set; None removes one."""
        return msgspec.structs.replace(self, config=self.config.with_run(**changes))

    def with_layer(self, layer: Layers, created_by: str) -> "StageState":
        """The state with a layer on top."""
        return msgspec.structs.replace(self, layers=self.layers + layer).recorded(created_by, layer=True)
