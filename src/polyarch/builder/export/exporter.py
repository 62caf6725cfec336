"""Send the results of a build to the store, an engine, registries, archives and directories.

Everything except plain files is sent by `transfer.copy`; `rootfs` writes those.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from polyarch import progress
from polyarch.builder.export.assemble import BuiltImage
from polyarch.builder.request.output import Export, Output
from polyarch.contents.filesystem import Filesystems
from polyarch.errors import CancelledError, ConflictError, PolyarchError, UsageError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import Target
from polyarch.oci.platform import Platform
from polyarch.transfer.copy import CopyOptions, Sent, send
from polyarch.transfer.publish import publish

if TYPE_CHECKING:
    from polyarch.builder.export.rootfs import RootFilesystems, StatementFiles
    from polyarch.builder.workspace import Workspace


class Exporter:
    """Sends the results of one build. It owns nothing. With an `epoch`, exported files all have that time. It ends with
    CancelledError when `stopped` returns True.
    """

    def __init__(
        self,
        workspace: "Workspace",
        filesystems: Filesystems,
        export: Export,
        host: Platform,
        stopped: Callable[[], bool],
        epoch: int | None = None,
    ) -> None:
        self._epoch = epoch
        self._store = workspace.store
        self._registry = workspace.registry
        self._source = workspace.source
        self._common = workspace.common
        self._emit = workspace.emit
        self._filesystems = filesystems
        self._export = export
        self._host = host
        self._stopped = stopped

    def check(self) -> None:
        """Raises UsageError for an output that is known to fail before anything is built."""
        for output in self._export.outputs:
            if output.kind == "registry" and not self._export.names:
                raise UsageError("a push needs a name", "give it with -t REGISTRY/NAME:TAG")
            tagged = next((name for name in self._export.names if name.tag), None)
            if output.by_digest and tagged is not None:
                raise UsageError(
                    f"{tagged.familiar()} has a tag, and push-by-digest gives none",
                    f"name the repository alone: {tagged.repository.familiar()}",
                )

    def send(
        self,
        output: Output,
        images: Sequence[BuiltImage],
        root: Descriptor,
        statements: "StatementFiles | None" = None,
    ) -> tuple[Sent, ...]:
        """Send the results to one output. Files get the `statements`, which are in the index of `root` otherwise.

        Raises the errors of the copier and the file system.
        """
        if output.kind in ("store", "registry", "engine", "none"):
            return self._send(output, images, root, statements)
        # Several builds may write into the same directory, or to standard output.
        with self._common.alone(("output", output.destination)):
            try:
                return self._send(output, images, root, statements)
            except BrokenPipeError:
                raise  # of standard output, which is not an error for the command line
            except OSError as error:
                where = error.filename or output.destination or "the output"
                raise PolyarchError(f"cannot write {where}: {error.strerror or error}") from error

    def _send(
        self,
        output: Output,
        images: Sequence[BuiltImage],
        root: Descriptor,
        statements: "StatementFiles | None",
    ) -> tuple[Sent, ...]:
        match output.kind:
            case "store":
                self._keep(root, named=not output.by_digest)
            case "registry":
                return self._push(root, tagged=not output.by_digest)
            case "oci" | "docker":
                self._archive(output, root)
            case "engine":
                self._load(output, root)
            case "local":
                assert output.destination is not None
                self._files(output, images, statements).write(output.destination)
            case "tar":
                self._tar(output, images, statements)
        return ()

    def _keep(self, root: Descriptor, *, named: bool) -> None:
        """Fetch missing layers of the base, then name the result in the store: a name stands for a complete image."""
        if self._store.missing(root):
            # Builds on the same base are exported side by side: the first fetches it for all.
            with self._common.alone("missing layers"):
                send(self._source.passing(), root.digest, self._store, (), CopyOptions(stopped=self._stopped))
        names = [str(name.tagged()) for name in self._export.names] if named else []
        self._store.assign([(name, root) for name in names or [""]])

    def _load(self, output: Output, root: Descriptor) -> None:
        """Load the result into the engine from the store."""
        from polyarch.builder.export import engine

        assert output.destination is not None
        self._keep(root, named=True)
        names = [str(name.tagged()) for name in self._export.names] or [str(root.digest)]
        engine.load(output.destination, self._store, self._registry, names, self._host, self._emit)

    def _push(self, root: Descriptor, *, tagged: bool) -> tuple[Sent, ...]:
        """Push to the registry of each name. If one push fails, the others are still done."""
        sent: dict[str, Sent] = {}
        failed: dict[str, PolyarchError] = {}
        for name in self._export.names:
            reference = name.tagged() if tagged else name.repository
            unit = f"push {reference}"
            shown = reference.familiar()
            try:
                with progress.reported(self._emit, unit, f"pushing {shown}"):
                    options = CopyOptions(unit=unit, stopped=self._stopped)
                    sent[shown] = publish(
                        self._store, self._registry, self._source, root.digest, reference, options, self._emit
                    )
            except PolyarchError as error:
                if len(self._export.names) == 1 or isinstance(error, CancelledError):
                    raise
                failed[shown] = error
        if failed:
            lines = [f"{name} was not pushed: {error.message}" for name, error in failed.items()]
            raise PolyarchError(
                "\n".join([*lines, *(f"{name} was pushed" for name in sent)]), next(iter(failed.values())).hint
            )
        return tuple(sent.values())

    def _archive(self, output: Output, root: Descriptor) -> None:
        names = [str(name.tagged()) for name in self._export.names] or [""]
        unit = f"export {output.destination or 'stdout'}"
        self._emit(progress.Started(unit, f"exporting to {output.kind} archive"))
        if output.directory:
            from polyarch.transfer.layout import OciLayout

            assert output.destination is not None
            self._copy(root, OciLayout.create(output.destination), names, unit)
        else:
            from polyarch.transfer.archive import ArchiveWriter

            with _file(output) as file:
                writer = ArchiveWriter(file, docker=output.kind == "docker", preferred=self._host)
                self._copy(root, writer, names, unit)
                writer.finish()
            for warning in writer.warnings():
                self._emit(progress.Warned(warning))
        self._emit(progress.Finished(unit))

    def _copy(self, root: Descriptor, target: Target, names: list[str], unit: str) -> None:
        send(self._source, root.digest, target, names, CopyOptions(unit=unit, stopped=self._stopped), self._emit)

    def _files(
        self, output: Output, images: Sequence[BuiltImage], statements: "StatementFiles | None"
    ) -> "RootFilesystems":
        from polyarch.builder.export.rootfs import RootFilesystems

        split = output.platform_split if output.platform_split is not None else len(images) > 1
        return RootFilesystems(self._filesystems, images, split, self._stopped, self._epoch, statements)

    def _tar(self, output: Output, images: Sequence[BuiltImage], statements: "StatementFiles | None") -> None:
        from polyarch.layers.pack import tar_stream

        with _file(output) as file:
            for chunk in tar_stream(self._files(output, images, statements).items()):
                file.write(chunk)


@contextmanager
def _file(output: Output) -> Iterator[BinaryIO]:
    """The file of an output. A temporary file beside it is renamed, so that the file is complete or absent."""
    if output.stream is not None:
        yield output.stream
        output.stream.flush()
        return
    assert output.destination is not None
    path = output.destination
    if path.is_dir():
        raise ConflictError(f"{path} is a directory", "name a file with dest=FILE, or add tar=false for a layout")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        raise PolyarchError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
