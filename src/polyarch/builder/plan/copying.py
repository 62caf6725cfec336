"""COPY and ADD: the source of each part, and the vertex that makes the layer."""

from collections.abc import Callable

import msgspec

from polyarch.builder.plan import paths, remote
from polyarch.builder.plan.state import StageState
from polyarch.builder.vertices import NOTHING, Context, CopyFiles, CopyPart, Git, Http, Inline, Vertex, VertexId
from polyarch.dockerfile import glob, ignorefile, words
from polyarch.dockerfile.instructions import copying as syntax
from polyarch.dockerfile.instructions.base import Heredoc, Instruction
from polyarch.dockerfile.instructions.config import Workdir
from polyarch.dockerfile.instructions.running import Run
from polyarch.errors import UsageError
from polyarch.oci import digest as digests
from polyarch.oci.urls import redact


class Copying(msgspec.Struct, frozen=True, kw_only=True):
    """What planning a COPY needs from the planner: `add` adds a vertex to the graph, `stack` puts it on a stage."""

    add: Callable[[Vertex, str], VertexId]
    stack: Callable[[VertexId, VertexId], VertexId]
    epoch: int | None = None


def copy(state: StageState, instruction: syntax.Copy, source: VertexId | None, tools: Copying, name: str) -> StageState:
    """COPY. `source` is the vertex that `--from` names, None for the main build context."""
    for path in instruction.sources:
        if remote.is_http(path):
            raise UsageError("source can't be a URL for COPY", "ADD fetches URLs")
        if remote.git(path) is not None:
            raise UsageError("source can't be a git ref for COPY", "ADD fetches git repositories")
    files = source if source is not None else tools.add(Context(""), "load build context")
    parts = tuple(CopyPart(source=files, path=path) for path in instruction.sources)
    flags = " --parents" if instruction.parents else ""
    return _finish(state, instruction, parts, tools, name, flags, exclude=instruction.exclude)


def add(state: StageState, instruction: syntax.Add, tools: Copying, name: str) -> StageState:
    """ADD: files, archives to unpack, URLs and repositories."""
    if instruction.checksum:
        if len(instruction.sources) != 1:
            raise UsageError("checksum can't be specified for multiple sources")
        if not remote.is_http(instruction.sources[0]) and remote.git(instruction.sources[0]) is None:
            raise UsageError("checksum requires HTTP(S) or Git sources")
    parts = tuple(_part(path, instruction, tools) for path in instruction.sources)
    return _finish(state, instruction, parts, tools, name, "", exclude=instruction.exclude)


def _part(path: str, instruction: syntax.Add, tools: Copying) -> CopyPart:
    repository = remote.git(path)
    if repository is not None:
        in_url, in_flag = repository.keep_git_directory, instruction.keep_git_dir
        if in_url is not None and in_flag is not None and in_url != in_flag:
            raise UsageError("inconsistent keep-git-dir configuration")
        if repository.checksum and instruction.checksum and repository.checksum != instruction.checksum:
            raise UsageError(f"checksum mismatch {repository.checksum!r} != {instruction.checksum!r}")
        vertex = Git(
            url=repository.url,
            ref=repository.wanted(instruction.checksum),
            subdirectory=repository.subdirectory,
            keep_git_directory=bool(in_url or in_flag),
            checksum=repository.checksum or instruction.checksum,
            submodules=repository.submodules,
        )
        return CopyPart(source=tools.add(vertex, f"fetch {redact(path)}"), path="/", pattern=False)
    if remote.is_http(path):
        if instruction.checksum:
            digests.parse(instruction.checksum)
        key = tools.add(Http(path, instruction.checksum), f"fetch {redact(path)}")
        return CopyPart(source=key, path=remote.file_name(path), pattern=False, unpack=bool(instruction.unpack))
    key = tools.add(Context(""), "load build context")
    return CopyPart(source=key, path=path, unpack=instruction.unpack is not False)


def _finish(
    state: StageState,
    instruction: syntax.Copy | syntax.Add,
    parts: tuple[CopyPart, ...],
    tools: Copying,
    name: str,
    flags: str,
    exclude: tuple[str, ...],
) -> StageState:
    word = "ADD" if isinstance(instruction, syntax.Add) else "COPY"
    text = word + flags
    if instruction.chown:
        text += f" --chown={instruction.chown}"
    if instruction.chmod:
        text += f" --chmod={instruction.chmod}"
    text += "".join(f" {path}" for path in instruction.sources)
    text += "".join(f" <<{file.name}" for file in instruction.files)
    parts += tuple(_inline(file, tools) for file in instruction.files)
    # Bad patterns are found here, where the line of the instruction is known.
    ignorefile.patterns(exclude)
    for part in parts:
        if part.pattern:
            glob.check(part.path)
    # BuildKit ignores --link together with --chmod, and makes an ordinary copy.
    link = instruction.link and not instruction.chmod
    named = any(part and not part.isdigit() for part in instruction.chown.split(":", 1))
    if named and not state.layers:
        raise UsageError(
            f"--chown={instruction.chown}: scratch has no /etc/passwd and no /etc/group to find a name in",
            "use numeric ids, or start FROM an image whose /etc/passwd has the name",
        )
    vertex = CopyFiles(
        base=NOTHING if link else state.layers,
        accounts=state.layers if named else NOTHING,
        parts=parts,
        destination=paths.destination(state.workdir, instruction.destination),
        owner=instruction.chown,
        mode=instruction.chmod,
        exclude=exclude,
        parents=isinstance(instruction, syntax.Copy) and instruction.parents,
        epoch=tools.epoch,
    )
    created_by = f"{text} {instruction.destination} # buildkit"
    return state.with_layer(tools.stack(state.layers, tools.add(vertex, name)), created_by)


def _inline(file: Heredoc, tools: Copying) -> CopyPart:
    key = tools.add(Inline(((file.name, file.chomped),), tools.epoch), "inline document")
    return CopyPart(source=key, path=file.name, pattern=False)


def require_constant(name: str, escape: str) -> None:
    """Raise UsageError for a name in `--from` that has a variable."""
    if words.expand(name, {}, escape).text != name:
        raise UsageError(
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global "
            "scope as a workaround"
        )


def is_step(instruction: Instruction) -> bool:
    """Whether an instruction makes a layer, and is counted as a step."""
    return isinstance(instruction, Run | syntax.Copy | syntax.Add | Workdir)
