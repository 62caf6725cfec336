"""Results to where they go: the store's names, registries, archives, directories. All but files are the one copier."""

import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from polyarch import progress
from polyarch.builder.export.assemble import BuiltImage
from polyarch.builder.request.output import Export, Output
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.stack import on as stack_on
from polyarch.errors import ConflictError, PolyarchError, UsageError
from polyarch.layers import longpaths
from polyarch.layers.entry import Content, Entry, Item, plain
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import Target
from polyarch.oci.platform import Platform
from polyarch.transfer.copy import CopyOptions, Sent, send
from polyarch.transfer.publish import publish
from polyarch.transfer.read_through import ReadThroughSource

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store

_CHUNK = 1 << 20


class Exporter:
    """Sends the results of one build. It owns nothing. With an `epoch`, exported files all have that time."""

    def __init__(
        self,
        store: "Store",
        registry: "Registry",
        source: ReadThroughSource,
        filesystems: Filesystems,
        export: Export,
        host: Platform,
        emit: progress.Emit,
        epoch: int | None = None,
    ) -> None:
        self._epoch = epoch
        self._store = store
        self._registry = registry
        self._source = source
        self._filesystems = filesystems
        self._export = export
        self._host = host
        self._emit = emit

    def check(self) -> None:
        """Raises UsageError for what can be known to fail before anything was built."""
        for output in self._export.outputs:
            if output.kind == "registry" and not self._export.names:
                raise UsageError("a push needs a name", "give it with -t REGISTRY/NAME:TAG")
            tagged = next((name for name in self._export.names if name.tag), None)
            if output.by_digest and tagged is not None:
                raise UsageError(
                    f"{tagged.familiar()} has a tag, and push-by-digest gives none",
                    f"name the repository alone: {tagged.repository.familiar()}",
                )

    def send(self, output: Output, images: Sequence[BuiltImage], root: Descriptor) -> tuple[Sent, ...]:
        """Send the results to one place. Raises what the copier and the file system raise."""
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
                self._local(output, images)
            case "tar":
                self._tar(output, images)
        return ()

    def _keep(self, root: Descriptor, *, named: bool) -> None:
        """Names in the store. What its base left in a registry is fetched first: a name stands for a whole image."""
        if self._store.missing(root):
            passing = ReadThroughSource(self._store, self._registry, keep=False)
            send(passing, root.digest, self._store, ())
        names = [str(name.tagged()) for name in self._export.names] if named else []
        self._store.assign([(name, root) for name in names or [""]])

    def _load(self, output: Output, root: Descriptor) -> None:
        """Into the engine, from the store."""
        from polyarch.builder.export import engine

        assert output.destination is not None
        self._keep(root, named=True)
        names = [str(name.tagged()) for name in self._export.names] or [str(root.digest)]
        engine.load(output.destination, self._store, self._registry, names, self._host, self._emit)

    def _push(self, root: Descriptor, *, tagged: bool) -> tuple[Sent, ...]:
        """To the registry of each name. Where one fails, the others are sent all the same."""
        sent: dict[str, Sent] = {}
        failed: dict[str, PolyarchError] = {}
        for name in self._export.names:
            reference = name.tagged() if tagged else name.repository
            unit = f"push {reference}"
            shown = reference.familiar()
            try:
                with progress.reported(self._emit, unit, f"pushing {shown}"):
                    options = CopyOptions(unit=unit)
                    sent[shown] = publish(
                        self._store, self._registry, self._source, root.digest, reference, options, self._emit
                    )
            except PolyarchError as error:
                if len(self._export.names) == 1:
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
        send(self._source, root.digest, target, names, CopyOptions(unit=unit), self._emit)

    # ── files

    def _local(self, output: Output, images: Sequence[BuiltImage]) -> None:
        assert output.destination is not None
        split = output.platform_split if output.platform_split is not None else len(images) > 1
        for image in images:
            top = output.destination / _directory_name(image.platform) if split else output.destination
            top.mkdir(parents=True, exist_ok=True)
            for entry, content in self._items(image):
                _write(top, entry, content)

    def _tar(self, output: Output, images: Sequence[BuiltImage]) -> None:
        from polyarch.layers.pack import tar_stream

        split = output.platform_split if output.platform_split is not None else len(images) > 1

        def items() -> Iterator[Item]:
            for image in images:
                prefix = _directory_name(image.platform) if split else ""
                if prefix:
                    yield Entry(path=prefix, kind="directory", mode=0o755), None
                for entry, content in self._items(image):
                    yield (_below(prefix, entry), content) if prefix else (entry, content)

        with _file(output) as file:
            for chunk in tar_stream(items()):
                file.write(chunk)

    def _items(self, image: BuiltImage) -> Iterator[Item]:
        """The flattened file system of an image, sorted, and where its bytes are."""
        tree = self._filesystems.tree(stack_on(None, image.layers))
        first: dict[tuple[int, str], str] = {}
        for node in tree.walk():
            if not node.entry.path:
                continue
            entry = plain(node.entry, mtime=node.entry.mtime if self._epoch is None else self._epoch)
            if entry.kind != "file":
                yield entry, None
                continue
            name = first.setdefault((node.layer, node.source.path), entry.path)
            if name != entry.path:
                yield plain(entry, kind="hardlink", link=name, size=0), None
            else:
                yield entry, self._filesystems.content(image.layers[node.layer], node.source)


def _directory_name(platform: Platform) -> str:
    return str(platform).replace("/", "_")


def _below(prefix: str, entry: Entry) -> Entry:
    import msgspec

    link = posixpath.join(prefix, entry.link) if entry.kind == "hardlink" else entry.link
    return msgspec.structs.replace(entry, path=posixpath.join(prefix, entry.path), link=link)


@contextmanager
def _file(output: Output) -> Iterator[BinaryIO]:
    """The file of an output: written beside and renamed, so that it is whole or absent."""
    if output.stream is not None:
        yield output.stream
        output.stream.flush()
        return
    assert output.destination is not None
    path = output.destination
    if path.is_dir():
        raise ConflictError(f"{path} is a directory", "name a file with dest=FILE, or add tar=false for a layout")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("xb") as file:
            yield file
        beside.replace(path)
    except OSError as error:
        raise PolyarchError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def _write(top: Path, entry: Entry, content: Content | None) -> None:
    """One entry as a file of this machine: owners are the caller's, devices are left out."""
    path = os.path.join(top, entry.path)
    try:
        with longpaths.short(path) as near:
            _write_at(near, top, entry, content)
    except OSError as error:
        raise PolyarchError(f"cannot write {longpaths.shown(path)}: {error.strerror or error}") from error


def _write_at(path: str, top: Path, entry: Entry, content: Content | None) -> None:
    if entry.kind == "directory":
        os.makedirs(path, exist_ok=True)
        os.chmod(path, entry.mode | 0o700)
        return
    if os.path.lexists(path):
        os.unlink(path)
    if entry.kind == "symlink":
        os.symlink(entry.link, path)
    elif entry.kind == "hardlink":
        with longpaths.short(os.path.join(top, entry.link)) as target:
            os.link(target, path, follow_symlinks=False)
    elif entry.kind == "file" and content is not None:
        with open(path, "xb") as file:
            _fill(file, content)
        os.chmod(path, entry.mode & 0o7777)
        os.utime(path, (entry.mtime, entry.mtime))
    elif entry.kind == "fifo":
        os.mkfifo(path, entry.mode)


def _fill(file: BinaryIO, content: Content) -> None:
    if isinstance(content, bytes):
        file.write(content)
    elif callable(content):
        with content() as reader:
            while chunk := reader.read(_CHUNK):
                file.write(chunk)
    else:
        import shutil

        with open(content if isinstance(content, str) else content.path, "rb") as source:
            shutil.copyfileobj(source, file, _CHUNK)
