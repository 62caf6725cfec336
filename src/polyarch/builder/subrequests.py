"""What `--call` asks of a Dockerfile: its stages, and what a build of the target takes. Nothing is built."""

from typing import TYPE_CHECKING

from polyarch.builder.request.request import BuildRequest
from polyarch.builder.workspace import Workspace
from polyarch.dockerfile import stages
from polyarch.dockerfile.outline import Outline, TargetStage
from polyarch.dockerfile.outline import outline as outline_of
from polyarch.dockerfile.outline import targets as targets_of

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store


def targets(request: BuildRequest, store: "Store", registry: "Registry") -> tuple[TargetStage, ...]:
    """The stages that can be built. Raises DockerfileError."""
    with Workspace(request, store, registry) as workspace:
        return targets_of(stages.cut(workspace.dockerfile))


def outline(request: BuildRequest, store: "Store", registry: "Registry") -> Outline:
    """The build arguments, secrets and ssh agents that a build of the target takes. Raises DockerfileError."""
    with Workspace(request, store, registry) as workspace:
        dockerfile = workspace.dockerfile
    cut = stages.cut(dockerfile)
    target = cut.target(request.plan.target)
    automatic = stages.automatic_args(request.plan.build_platform, request.platforms[0], target.name)
    env = stages.global_env(cut.global_args, automatic, request.plan.arguments, dockerfile.escape)
    return outline_of(cut, target, env)
