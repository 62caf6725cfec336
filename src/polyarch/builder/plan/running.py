"""RUN and WORKDIR: a process in the stage's file system, and a directory in it."""

import posixpath
from collections.abc import Callable

import msgspec

from polyarch.builder.plan import paths
from polyarch.builder.plan.config import default_shell
from polyarch.builder.plan.options import PlanOptions
from polyarch.builder.plan.state import StageState
from polyarch.builder.vertices import NOTHING, Context, MakeDirectory, RunCommand, RunMount, Vertex, VertexId
from polyarch.dockerfile.instructions import config as config_syntax
from polyarch.dockerfile.instructions import running as syntax
from polyarch.dockerfile.instructions.mounts import Mount
from polyarch.errors import UsageError
from polyarch.oci.text import shown

# BuildKit's hostname, which some programs write into files.
_HOSTNAME = "buildkitsandbox"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What planning a RUN needs from the planner.

    `add` adds a vertex to the graph, `stack` puts it on a stage, `source` finds a `from=`.
    """

    add: Callable[[Vertex, str], VertexId]
    stack: Callable[[VertexId, VertexId], VertexId]
    source: Callable[[str], VertexId]
    options: PlanOptions


def run(state: StageState, instruction: syntax.Run, tools: Running, name: str) -> StageState:
    """RUN."""
    options = tools.options
    insecure = instruction.security == "insecure"
    if insecure and not options.allow_insecure:
        raise UsageError(
            "security.insecure is not allowed", "a RUN --security=insecure needs --allow security.insecure"
        )
    settings = options.run
    if instruction.network != "default":
        settings = msgspec.structs.replace(settings, network=instruction.network)
    if instruction.devices:
        raise UsageError(
            f"--device={instruction.devices[0]}: devices are not supported in RUN",
            "without root there are no rules for them; what needs one runs with `polyarch run` or on the host",
        )
    command = syntax.command(instruction, default_shell(state))
    if not command.argv:
        raise UsageError("arguments are required", "give the command to run")
    vertex = RunCommand(
        base=state.layers,
        platform=state.platform,
        argv=command.argv,
        env=tuple(f"{key}={value}" for key, value in state.env.items()),
        cwd=paths.clean(state.workdir),
        user=state.user,
        settings=settings,
        insecure=insecure,
        mounts=tuple(_mount(state, mount, tools) for mount in instruction.mounts),
        scripts=(command.script,) if command.script else (),
        hostname=options.arguments.get("BUILDKIT_SANDBOX_HOSTNAME", "") or _HOSTNAME,
        epoch=options.epoch,
    )
    if not _is_utf8(*command.argv, *vertex.env, vertex.cwd, vertex.user, *(mount.target for mount in vertex.mounts)):
        raise UsageError(
            "a RUN and its environment must be UTF-8", "write other bytes as escapes, as in: printf '\\351'"
        )
    given = [f"{key}={state.env.get(key, value)}" for key, value in state.arguments.items()]
    words = [f"|{len(given)}", *given, *command.argv] if given else list(command.argv)
    return state.with_layer(tools.stack(state.layers, tools.add(vertex, name)), f"RUN {' '.join(words)} # buildkit")


def _is_utf8(*texts: str) -> bool:
    """Whether these texts can be in a runtime's configuration, which is JSON."""
    return all(text.isascii() or "\ufffd" not in shown(text) or "\ufffd" in text for text in texts)


def workdir(state: StageState, instruction: config_syntax.Workdir, tools: Running, name: str) -> StageState:
    """WORKDIR: the directory is made if it is missing. `/` always exists."""
    path = paths.workdir(state.workdir, instruction.path)
    state = state.configured(WorkingDir=path)
    if path == "/":
        return state.recorded(f"WORKDIR {path}")
    vertex = MakeDirectory(base=state.layers, path=paths.clean(path), owner=state.user, epoch=tools.options.epoch)
    return state.with_layer(tools.stack(state.layers, tools.add(vertex, name)), f"WORKDIR {path}")


def _mount(state: StageState, mount: Mount, tools: Running) -> RunMount:
    # Without a target, files go to the working directory, and secrets and agents to default paths.
    placed = mount.target or mount.kind not in ("secret", "ssh")
    target = paths.below(state.workdir, mount.target) if placed else ""
    if mount.kind == "secret" and not target and not mount.env:
        target = f"/run/secrets/{posixpath.basename(mount.id)}"
    if target == "/":
        raise UsageError('invalid mount target "/"', "a mount goes on a directory below the root")
    source = NOTHING
    if mount.from_:
        source = tools.source(mount.from_)
    elif mount.kind == "bind":
        source = tools.add(Context(""), "load build context")
    key = mount.id
    if mount.kind == "cache":
        key = f"{tools.options.arguments.get('BUILDKIT_CACHE_MOUNT_NS', '')}/{mount.id or target}"
        if not mount.sharing_platforms:
            # Two architectures in one compiler cache break each other's builds, so the platform is part of the name.
            key += f"@{state.platform}"
    return RunMount(
        kind=mount.kind,
        target=target,
        source=source,
        path=paths.clean(mount.source) if mount.source else "/",
        read_only=mount.read_only,
        id=key,
        sharing=mount.sharing,
        mode=mount.mode,
        uid=mount.uid or 0,
        gid=mount.gid or 0,
        size=mount.size,
        required=mount.required,
        env=mount.env or "",
    )
