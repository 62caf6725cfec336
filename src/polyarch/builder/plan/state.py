"""The state of a stage between two instructions: a value from which each instruction makes the next."""

from collections.abc import Mapping
from typing import Any

import msgspec

from polyarch.builder.plan.growing import SharedList, SharedMap
from polyarch.builder.vertices import NOTHING, VertexId
from polyarch.oci import config as configs
from polyarch.oci.config import DEFAULT_PATH, History, ImageConfig
from polyarch.oci.platform import Platform

COMMENT = "buildkit.dockerfile.v0"  # tools recognise images of BuildKit's language by it


class StageState(msgspec.Struct, frozen=True, kw_only=True):
    """A stage so far. `layers` is its file system, a `Stacked`.

    `env` are the variables for RUN and for expansion: those of the config and the arguments declared so far, of which
    later ones win. `arguments` are the declared ones, for the history of RUN. History entries of this build have no
    `created`, because that is the time at which a layer is made. `tables` are the objects of the config that this stage
    changed, by their names in the config; `finished` puts them into it.
    """

    platform: Platform
    layers: VertexId
    config: ImageConfig
    history: SharedList[History]
    env: SharedMap[str]
    arguments: SharedMap[str] = msgspec.field(default_factory=SharedMap)
    tables: Mapping[str, SharedMap[Any]] = {}
    cmd_set: bool = False

    @property
    def workdir(self) -> str:
        """The absolute directory that relative paths start from."""
        return self.config.run.get("WorkingDir") or "/"

    @property
    def user(self) -> str:
        """The value of USER, empty for root."""
        return self.config.run.get("User") or ""

    def recorded(self, created_by: str, *, layer: bool = False) -> "StageState":
        """The state with one more history entry."""
        entry = History(created_by=created_by, comment=COMMENT, empty_layer=not layer)
        return msgspec.structs.replace(self, history=self.history.added(entry))

    def configured(self, **changes: object) -> "StageState":
        """The state with fields of the image's `config` object set; None removes one."""
        return msgspec.structs.replace(self, config=self.config.with_run(**changes))

    def grown(self, field: str, entries: Mapping[str, Any]) -> "StageState":
        """The state with more entries in Env, Labels, ExposedPorts or Volumes of the image's `config` object."""
        tables = {**self.tables, field: self.table(field).updated(entries)}
        # A new field gets its place among the others now.
        state = self if field in self.config.run else self.configured(**{field: {}})
        return msgspec.structs.replace(state, tables=tables)

    def table(self, field: str) -> SharedMap[Any]:
        """The entries of such a field so far."""
        known = self.tables.get(field)
        if known is not None:
            return known
        return SharedMap(self.config.env if field == "Env" else self.config.run.get(field) or {})

    def finished(self) -> ImageConfig:
        """The image's config with the changed tables."""
        changes: dict[str, object] = {}
        for field, table in self.tables.items():
            match field:
                case "Env":
                    changes[field] = [f"{name}={value}" for name, value in table.items()]
                case "Labels":
                    changes[field] = dict(table)
                case _:
                    changes[field] = dict(sorted(table.items()))
        return self.config.with_run(**changes)

    def with_layer(self, layers: VertexId, created_by: str) -> "StageState":
        """The state with `layers` as its file system, which has one more layer."""
        return msgspec.structs.replace(self, layers=layers).recorded(created_by, layer=True)


def scratch(platform: Platform) -> StageState:
    """The state after `FROM scratch`."""
    return StageState(
        platform=platform, layers=NOTHING, config=configs.empty(platform), history=SharedList(), env=SharedMap()
    )


def of_image(config: ImageConfig, layers: VertexId, platform: Platform) -> StageState:
    """The state after FROM an image with this config."""
    return StageState(
        platform=platform, layers=layers, config=config, history=SharedList(_fitted(config)), env=SharedMap(config.env)
    )


def with_path(state: StageState) -> StageState:
    """The state with a PATH, if it has none: a shell without PATH finds no programs."""
    if "PATH" not in state.config.env:
        listed = [*(state.config.run.get("Env") or ()), f"PATH={DEFAULT_PATH}"]
        state = state.configured(Env=listed)
    return msgspec.structs.replace(state, env=SharedMap(state.config.env))


def _fitted(config: ImageConfig) -> tuple[History, ...]:
    """A base's history with exactly one entry for each layer: some tools write fewer entries or none."""
    history = list(config.history)
    wanted = len(config.diff_ids)
    while sum(not entry.empty_layer for entry in history) > wanted:
        last = max(number for number, entry in enumerate(history) if not entry.empty_layer)
        history[last] = msgspec.structs.replace(history[last], empty_layer=True)
    missing = wanted - sum(not entry.empty_layer for entry in history)
    return (*history, *(History(created=str(config.document.get("created") or "")) for _ in range(missing)))
