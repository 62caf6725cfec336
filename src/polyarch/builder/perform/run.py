"""RUN: a process in an overlay on the layers below. The upper directory becomes the snapshot of the new layer."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.builder.perform.environment import RunEnvironment
from polyarch.builder.perform.silence import Silence
from polyarch.builder.plan.gostrings import quoted
from polyarch.builder.vertices import RunCommand, RunMount, VertexId
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer
from polyarch.contents.stack import Stack, layers_of
from polyarch.dockerfile import rules
from polyarch.errors import BuildError, NotFoundError
from polyarch.oci.platform import Platform
from polyarch.sandbox import Bind, File, Mount, Process, Tmpfs
from polyarch.sandbox.emulation import emulator_of
from polyarch.sandbox.hints import Trouble, hint_for
from polyarch.secret import Variables

if TYPE_CHECKING:
    from polyarch.builder.perform.agent import Connect
    from polyarch.sandbox import Sandbox

# The bytes of output that an error repeats.
_TAIL = 4096

# How long an emulated process may be silent until the user is told what may be the matter.
_SILENT_SECONDS = 300

# The characters of a command that `buildx du` shows for its layer.
_ABOUT = 200


class Runner:
    """Performs RUN. It owns nothing: the sandbox and the store are the caller's.

    `wait` calls its argument until that returns True, and lets other work run meanwhile. `shared` are the ids of cache
    mounts that steps for other architectures use, too. `agent` connects to what `Secrets.sockets` names, which are
    paths without it.
    """

    def __init__(
        self,
        environment: RunEnvironment,
        filesystems: Filesystems,
        sandbox: "Sandbox",
        emit: progress.Emit,
        wait: Callable[[Callable[[], bool]], None],
        shared: Collection[str] = (),
        agent: "Callable[[str], Connect] | None" = None,
    ) -> None:
        self._settings = environment.settings
        self._store = environment.store
        self._results = environment.results
        self._filesystems = filesystems
        self._sandbox = sandbox
        self._emit = emit
        self._wait = wait
        self._shared = shared
        self._agent_at = agent
        # How long the processes took, in seconds.
        self.seconds: dict[VertexId, float] = {}

    def run(
        self,
        vertex_id: VertexId,
        vertex: RunCommand,
        key: str,
        base: Stack | None,
        sources: Mapping[VertexId, "Stack | Path | None"],
    ) -> Layer:
        """The layer with the changes of the process. Raises BuildError with its last output if it fails."""
        lowers = self._filesystems.lowers(layers_of(base))
        tail = bytearray()
        silence = Silence(_SILENT_SECONDS, lambda: self._tell_of_silence(vertex, bytes(tail)))

        def output(stream: int) -> Callable[[bytes], None]:
            def write(data: bytes) -> None:
                silence.heard()
                self._emit(progress.OutputChunk(vertex_id, stream, data))
                tail.extend(data)
                del tail[:-_TAIL]

            return write

        with ExitStack() as held, self._store.snapshots.prepare(key, _about(vertex)) as snapshot:
            since = snapshot.path.stat().st_ctime_ns
            mounts, env = self._mounts(vertex, sources, held)
            process = Process(
                argv=vertex.argv,
                env=tuple(pair for pair in vertex.env if pair.partition("=")[0] not in env),
                hidden_env=self._hidden(vertex.env, env),
                cwd=vertex.cwd,
                user=vertex.user,
                mounts=mounts,
                settings=vertex.settings,
                hostname=vertex.hostname,
                insecure=vertex.insecure,
                for_build=True,
                # A cache outlives a failed step and a power cut, so programs may sync what they write to it. Syncs of
                # the step's own files still cost nothing, because the root file system is volatile.
                skip_syncs=not vertex.settings.sync and not any(_is_kept(mount) for mount in vertex.mounts),
            )
            volatile = not vertex.settings.sync
            with (
                self._sandbox.rootfs(lowers, str(snapshot.path), str(snapshot.work), volatile=volatile) as root,
                silence,
            ):
                began = time.monotonic()
                status = self._sandbox.run(process, root, platform=vertex.platform, stdout=output(1), stderr=output(2))
                self.seconds[vertex_id] = time.monotonic() - began
            if status:
                raise _failure(vertex, status, bytes(tail))
            _leave_system_directories(snapshot.path, lowers, vertex.epoch or 0)
            notes = tuple(self._left_behind(vertex, mounts, since))
            snapshot.commit()
        return Layer(created=self._settings.created, snapshot=key, notes=notes)

    def _tell_of_silence(self, vertex: RunCommand, tail: bytes) -> None:
        """Warn about a process that has written nothing for long, if an emulator runs it."""
        trouble = _trouble(vertex, None, tail)
        hint = hint_for(trouble) if trouble.emulator else None
        if hint:
            minutes = f"{_SILENT_SECONDS / 60:.0f} minutes"
            shown = " ".join(trouble.command.split())[:_ABOUT]
            self._emit(progress.Warned(f"[{vertex.platform}] no output for {minutes}: RUN {shown}", hint))

    def _left_behind(self, vertex: RunCommand, mounts: Sequence[Mount], since: int) -> Iterator[tuple[str, str]]:
        """Warnings of new binaries in caches that steps for other architectures use, too."""
        places = {mount.target for mount in vertex.mounts if mount.kind == "cache" and mount.id in self._shared}
        if not places:
            return
        from polyarch.builder.perform.shared_caches import left_behind

        for mount in mounts:
            if isinstance(mount, Bind) and mount.target in places:
                path = left_behind(mount.source, vertex.platform.architecture, since)
                if path:
                    message = (
                        f"the cache {mount.target} is shared by all platforms (sharing-platforms=true), and this step "
                        f"leaves {path} in it, a binary that only its own platform runs"
                    )
                    yield rules.SHARED_CACHE.name, message

    def _hidden(self, given: Sequence[str], secret: Mapping[str, str]) -> Variables:
        """The proxies, unless the step sets its own, and the secrets that it takes as variables."""
        names = {pair.partition("=")[0] for pair in given}
        extra = {name: value for name, value in self._settings.proxies.items() if name not in names}
        return Variables({**extra, **secret})

    def _mounts(
        self, vertex: RunCommand, sources: Mapping[VertexId, "Stack | Path | None"], held: ExitStack
    ) -> tuple[tuple[Mount, ...], dict[str, str]]:
        mounts: list[Mount] = []
        env: dict[str, str] = {}
        for name, content in vertex.scripts:
            mounts.append(File(f"/dev/pipes/{name}", content.encode("utf-8", "surrogateescape"), 0o755))
        agents = 0
        caches = self._caches(vertex, sources, held)
        for mount in vertex.mounts:
            match mount.kind:
                case "tmpfs":
                    # The same options as runc.
                    mounts.append(Tmpfs(mount.target, size=mount.size, like_hidden=True))
                case "bind":
                    mounts.append(self._bind(mount, sources, held))
                case "cache":
                    mounts.append(Bind(caches[mount.id], mount.target, mount.read_only))
                case "secret":
                    mounts.extend(self._secret(mount, vertex.platform, env))
                case "ssh":
                    mounts.extend(self._agent(mount, agents, env, held))
                    agents += 1
        return tuple(mounts), env

    def _bind(self, mount: RunMount, sources: Mapping[VertexId, "Stack | Path | None"], held: ExitStack) -> Bind:
        """Files of a context or stage. Writes, if `rw` allows them, go to an overlay that is discarded."""
        found = sources[mount.source] if mount.source else None
        if isinstance(found, Path):
            lowers: Sequence[str] = [str(found)]
        else:
            lowers = self._filesystems.lowers(layers_of(found))
        root = held.enter_context(self._sandbox.rootfs(lowers, volatile=True))
        path = inside(root, mount.path)
        return Bind(path, mount.target, mount.read_only)

    def _caches(
        self, vertex: RunCommand, sources: Mapping[VertexId, "Stack | Path | None"], held: ExitStack
    ) -> dict[str, str]:
        """The directory of each cache mount, by the mount's id.

        Each is opened once, in the order of the ids, so that two steps never wait for each other.
        """
        wanted: dict[str, RunMount] = {}
        for mount in vertex.mounts:
            if mount.kind == "cache" and (mount.id not in wanted or mount.sharing == "locked"):
                wanted[mount.id] = mount
        return {key: self._cache(wanted[key], sources, held) for key in sorted(wanted)}

    def _cache(self, mount: RunMount, sources: Mapping[VertexId, "Stack | Path | None"], held: ExitStack) -> str:
        """A directory that outlives the build. If another step uses it, `locked` waits and `private` uses another
        directory.
        """

        def fill(files: str) -> None:
            """Fill a new cache with what --cache-from has for it, or else with the files of `from=`."""
            if not self._results.fill_mount(mount.id, files) and mount.source:
                _copy_tree(self._bind(mount, sources, held).source, files)
            os.chown(files, mount.uid, mount.gid)
            os.chmod(files, 0o755 if mount.mode is None else mount.mode)

        return held.enter_context(self._store.caches.open(mount.id, mount.sharing, fill, self._wait))

    def _secret(self, mount: RunMount, platform: Platform, env: dict[str, str]) -> list[Mount]:
        content = self._settings.secrets.content(mount.id, platform)
        if content is None:
            if mount.required:
                raise NotFoundError(
                    f"secret {mount.id}: not found", f"give it with --secret id={mount.id},src=FILE (or env=NAME)"
                )
            if mount.env:
                # As in BuildKit: a script with `set -u` can read it, and an ENV of that name is hidden.
                env[mount.env] = ""
            return []
        if mount.env:
            env[mount.env] = bytes(content).decode("utf-8", "surrogateescape")
        if not mount.target:
            return []
        mode = 0o400 if mount.mode is None else mount.mode
        return [File(mount.target, content, mode, mount.uid, mount.gid)]

    def _agent(self, mount: RunMount, number: int, env: dict[str, str], held: ExitStack) -> list[Mount]:
        from polyarch.builder.perform.agent import AgentSocket, at

        socket = self._settings.secrets.sockets.get(mount.id or "default")
        if socket is None:
            if mount.required:
                raise NotFoundError(
                    f"ssh agent {mount.id or 'default'}: not found", "give it with --ssh default (needs SSH_AUTH_SOCK)"
                )
            return []
        target = mount.target or f"/run/buildkit/ssh_agent.{number}"
        env.setdefault("SSH_AUTH_SOCK", target)
        directory = held.enter_context(self._store.temporary())
        own = AgentSocket(directory, (self._agent_at or at)(socket), mount.uid, mount.gid, mount.mode)
        held.callback(own.close)
        return [Bind(str(own.path), target)]


def _copy_tree(source: str, target: str) -> None:
    """Copy the contents of a directory into another one. Symbolic links stay links."""
    import shutil

    directories = [(source, target)]
    # The list grows during the iteration. shutil.copytree is recursive.
    for original, copied in directories:
        with os.scandir(original) as items:
            for item in items:
                copy = f"{copied}/{item.name}"
                if item.is_dir(follow_symlinks=False):
                    os.mkdir(copy)
                    directories.append((item.path, copy))
                else:
                    shutil.copy2(item.path, copy, follow_symlinks=False)
    for original, copied in reversed(directories):
        shutil.copystat(original, copied)


def _leave_system_directories(upper: Path, lowers: Sequence[str], time: int) -> None:
    """Make the mount points of /dev, /proc and /sys if they are missing, because BuildKit leaves them there.

    BuildKit removes those of `--mount`, /etc/hosts and /etc/resolv.conf (executor/stubs.go); our sandbox removes all.
    """
    for name in ("dev", "proc", "sys"):
        if not any(os.path.lexists(f"{layer}/{name}") for layer in (upper, *lowers)):
            directory = upper / name
            directory.mkdir()
            directory.chmod(0o755)
            os.utime(directory, (time, time))


def inside(root: str, path: str) -> str:
    """The path of `path` below `root`; symlinks do not lead out. Raises NotFoundError."""
    from polyarch.builder.perform.copy.placement import resolve
    from polyarch.layers.entry import Entry

    class Disk:
        def entry(self, path: str) -> Entry | None:
            full = os.path.join(root, path)
            if os.path.islink(full):
                return Entry(path=path, kind="symlink", mode=0o777, link=os.readlink(full))
            return Entry(path=path, kind="file", mode=0) if os.path.lexists(full) else None

    full = os.path.join(root, resolve(Disk(), path))
    if not os.path.lexists(full):
        raise NotFoundError(f'"{path}": not found', "the path must exist in the source of the bind mount")
    return full


def _is_kept(mount: RunMount) -> bool:
    """Whether a step may write to the mount what a later step finds in it, even if this step fails."""
    return mount.kind == "cache" and not mount.read_only


def _about(vertex: RunCommand) -> str:
    """The name of the layer in `buildx du`."""
    command = " ".join(" ".join(vertex.argv).split())
    return f"RUN {command[:_ABOUT]} ({vertex.platform})"


def _failure(vertex: RunCommand, status: int, tail: bytes) -> BuildError:
    trouble = _trouble(vertex, status, tail)
    output = trouble.output.rstrip()
    message = f"process {quoted(trouble.command)} did not complete successfully: exit code: {status}"
    return BuildError(f"{message}\n{output}" if output else message, hint_for(trouble))


def _trouble(vertex: RunCommand, status: int | None, tail: bytes) -> Trouble:
    return Trouble(
        command=" ".join(vertex.argv),
        output=tail.decode("utf-8", "replace"),
        status=status,
        platform=str(vertex.platform),
        architecture=vertex.platform.architecture,
        emulator=emulator_of(vertex.platform),
    )
