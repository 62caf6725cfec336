"""Unpack a layer into a directory, as root of this machine or of a user namespace, and never outside of the directory.

What a hostile layer may contain, and what handles it:
- an absolute name, or one with `..`: `entry.clean`;
- a parent that is a symbolic link: followed by `resolve` inside the image, as containerd and umoci do, and never by the
  kernel (`rooted`);
- a hard link to a file outside of the layer: its target is resolved the same way, and must be a file of this layer or
  of the layers below (`fetch`);
- a whiteout after an entry of its own layer: it applies to the layers below only, so the entry stays;
- a directory that is replaced by a file, and that by a directory: each time, the old entry is removed with all below;
- setuid and capabilities, xattrs that overlayfs interprets (`user.overlay.redirect`, `metacopy`): `metadata`;
- times of directories, which change with every file that is created in them: they are set at the end.
"""

import os
from collections.abc import Callable

import msgspec

from polyarch.errors import CorruptError, PolyarchError
from polyarch.layers import whiteouts
from polyarch.layers.content import open_content
from polyarch.layers.diskform import PLAIN, DiskForm
from polyarch.layers.entry import Content, Entry, Item, clean, parent_of
from polyarch.layers.metadata import Metadata
from polyarch.layers.reader import TarMember, TarReader
from polyarch.layers.resolve import resolve
from polyarch.layers.rooted import RootedTree, name_of
from polyarch.oci.place import Readable

# The note about the devices of a layer.
DEVICES = "devices are left out, because a user namespace cannot make them"
_CHUNK = 256 << 10
_ZEROS = bytes(_CHUNK)
# The least that most file systems allocate for a file that is not empty, and for a directory.
_BLOCK = 4096

# The entry that the layers below have at a path, and their file with its bytes.
Look = Callable[[str], Entry | None]
Fetch = Callable[[str], Item | None]


class Applied(msgspec.Struct, frozen=True):
    """The result of `apply`.

    `implicit` are the directories that the layer writes into without listing them. They take mode and owner from the
    layers below. So if there are any, the unpacked directory is valid for this stack of layers only (its chain id);
    otherwise it is valid for the layer (its diff id). `size` is the bytes that new files and directories use on disk.
    """

    implicit: tuple[str, ...] = ()
    size: int = 0


def apply(
    layer: Readable,
    directory: str,
    form: DiskForm = PLAIN,
    parent: Look | None = None,
    *,
    fetch: Fetch | None = None,
    note: Callable[[str], None] | None = None,
) -> Applied:
    """Unpack the tar `layer` (not compressed) into `directory`, which exists.

    `form` PLAIN applies it to the files that are there: whiteouts delete them. OVERLAY makes a lower directory of an
    overlay out of an empty directory; the kernel cannot hide all layers below, so a layer whose listing `hides_all` is
    mounted without them. `parent` returns what the layers below have, for directories that the layer does not list and
    links on the way; `fetch` returns their file for a hard link to it. `note` gets what cannot be kept here (an owner
    without an id in this namespace, a device, an xattr), once for each reason.

    Raises CorruptError for a layer that is damaged, contradicts itself or leads outside; PolyarchError if the file
    system refuses. The caller removes what was unpacked by then.
    """
    with RootedTree(directory) as tree:
        unpacking = _Unpacking(tree, form, parent, fetch, note)
        tar = TarReader(layer)
        while (member := tar.next()) is not None:
            try:
                unpacking.add(member, tar)
            except OSError as error:
                raise PolyarchError(f"/{member.entry.path} cannot be unpacked: {error.strerror}") from error
        tar.drain()
        unpacking.finish()
        return Applied(tuple(sorted(unpacking.implicit)), unpacking.size)


class _Unpacking:
    """The unpacking of one layer. The caller owns the tree."""

    def __init__(
        self,
        tree: RootedTree,
        form: DiskForm,
        parent: Look | None,
        fetch: Fetch | None,
        note: Callable[[str], None] | None,
    ) -> None:
        self._tree = tree
        self._form = form
        self._parent = parent
        self._fetch = fetch
        self._metadata = Metadata(tree, note)
        # What this layer made, by path; directories get owner, mode and times at the end.
        self._made: dict[str, Entry] = {}
        # Files of layers below, copied up because a hard link names them: whiteouts still apply to them.
        self._copied_up: set[str] = set()
        self._deleted: set[str] = set()
        self._opaque: set[str] = set()
        self.implicit: set[str] = set()
        self.size = 0

    def add(self, member: TarMember, tar: TarReader) -> None:
        entry = member.entry
        path = clean(entry.path)
        if whiteouts.PREFIX in path and self._whiteout(path):
            return
        path = self._resolve_parent(path)
        if entry.kind == "directory":
            self._directory(path, entry)
            return
        if not path:
            raise CorruptError("a layer replaces the root directory with something else")
        if entry.kind == "hardlink":
            self._hardlink(path, entry)
            return
        self._clear(path)
        if entry.kind == "file":
            self._file(path, entry, member, tar)
        elif entry.kind == "symlink":
            folder = self._tree.directory(parent_of(path))
            os.symlink(entry.link, name_of(path), dir_fd=folder)
            self._metadata.apply_to_name(path, entry)
        elif not self._special(path, entry):
            return
        self._made[path] = entry

    # The place of an entry

    def _look(self, path: str) -> Entry | None:
        """The entry of the image at `path`, as far as this layer has been unpacked."""
        made = self._made.get(path)
        if made is not None:
            return made
        if self._is_hidden(path):
            return None
        if self._form.merged and (found := self._tree.look(path)) is not None:
            return found
        return self._parent(path) if self._parent is not None else None

    def _is_hidden(self, path: str) -> bool:
        """Whether this layer has deleted what the layers below have at `path`."""
        if not self._deleted and not self._opaque:
            return False
        if path in self._deleted:
            return True
        while path:
            path = parent_of(path)
            if path in self._deleted or path in self._opaque:
                return True
        return False

    def _resolve_parent(self, path: str) -> str:
        """The path that `path` leads to. Links in its parents are followed, and missing parents are created."""
        parent = parent_of(path)
        known = self._made.get(parent)
        if not parent or (known is not None and known.kind == "directory"):
            return path
        path = resolve(path, self._look, follow_last=False)
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            self._implicit("/".join(parts[:count]), path)
        return path

    def _implicit(self, directory: str, wanted: str) -> None:
        if directory in self._made:
            if self._made[directory].kind != "directory":
                raise CorruptError(f"a layer puts {wanted} below {directory}, which is not a directory")
            return
        lower = self._look(directory)
        if lower is not None and lower.kind != "directory":
            raise CorruptError(f"a layer puts {wanted} below {directory}, which is not a directory")
        if not self._form.merged or self._tree.look(directory) is None:
            self._directory(directory, lower or Entry(path=directory, kind="directory", mode=0o755))
            self.implicit.add(directory)

    # Whiteouts

    def _whiteout(self, path: str) -> bool:
        """Apply `path` if it is a whiteout. Returns whether it is one."""
        if whiteouts.is_whiteout(path):
            self._delete(self._resolve_parent(whiteouts.deleted(path)))
        elif whiteouts.is_opaque_marker(path):
            # The directory may be behind a link. Resolving a path in it creates the directory.
            directory = parent_of(self._resolve_parent(path))
            whiteouts.check_opaque(path, directory)
            self._hide(directory)
        else:
            return whiteouts.is_bookkeeping(path)
        return True

    def _delete(self, path: str) -> None:
        if not path:
            raise CorruptError("a layer deletes the root")
        self._deleted.add(path)
        self._drop_copied_up(path)
        if path in self._made or self._form.merged:
            self._forget(self._tree.remove(path, self._is_own))
        if path not in self._made:
            self._form.write_whiteout(self._tree, path)
        elif self._made[path].kind == "directory":
            # This layer's directory stays, and hides the one below.
            self._form.hide_lower(self._tree, path)

    def _is_own(self, path: str) -> bool:
        """Whether a whiteout keeps `path`. A directory that the layer does not list is removed with its content."""
        return path in self._made and path not in self.implicit

    def _forget(self, gone: list[str]) -> None:
        for path in gone:
            self._made.pop(path, None)
            self.implicit.discard(path)

    def _drop_copied_up(self, path: str) -> None:
        below = [file for file in self._copied_up if not path or (file + "/").startswith(path + "/")]
        for file in below:
            self._tree.remove(file)
            self._copied_up.discard(file)
            del self._made[file]

    def _hide(self, path: str) -> None:
        self._opaque.add(path)
        self._drop_copied_up(path)
        self._forget(self._tree.empty(path, self._is_own))
        self._form.hide_lower(self._tree, path)

    # The kinds of entries

    def _clear(self, path: str) -> None:
        """Remove what an earlier entry, a whiteout or a layer below has put at `path`."""
        if path in self._made or path in self._deleted or self._form.merged:
            for gone in self._tree.remove(path):
                made = self._made.pop(gone, None)
                self._opaque.discard(gone)
                self._copied_up.discard(gone)
                self.implicit.discard(gone)
                if made is not None and made.kind != "directory":
                    # It hid what the layers below have there. A directory in its place must hide that as well.
                    self._deleted.add(gone)

    def _directory(self, path: str, entry: Entry) -> None:
        made = self._made.get(path)
        if path and (made is None or made.kind != "directory"):
            found = self._tree.look(path)
            if found is None or found.kind != "directory":
                self._clear(path)
                os.mkdir(name_of(path), 0o700, dir_fd=self._tree.directory(parent_of(path)))
                self.size += _BLOCK
                if path in self._deleted:
                    self._form.hide_lower(self._tree, path)
        self._made[path] = entry
        self.implicit.discard(path)

    def _file(self, path: str, entry: Entry, member: TarMember, tar: TarReader) -> None:
        file = self._create(path)
        try:
            end = 0
            for offset, length in member.pieces if member.pieces is not None else ((0, entry.size),):
                end = _write_sparse(tar.read, file, offset, length) or end
                self.size += -(-length // _BLOCK) * _BLOCK
            if end != entry.size:
                os.ftruncate(file, entry.size)
            self._metadata.apply_to_descriptor(file, entry)
        finally:
            os.close(file)

    def _create(self, path: str) -> int:
        # O_EXCL neither follows a link nor opens what is there.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name_of(path), flags, 0o600, dir_fd=self._tree.directory(parent_of(path)))

    def _special(self, path: str, entry: Entry) -> bool:
        """Create a device or a fifo. Returns False if that is not possible."""
        folder = self._tree.directory(parent_of(path))
        try:
            if entry.kind == "fifo":
                os.mkfifo(name_of(path), 0o600, dir_fd=folder)
            elif self._form.reserves(entry):
                self._metadata.note(f"/{path} is the character device 0:0 and is left out")
                return False
            else:
                kind = 0o020000 if entry.kind == "character" else 0o060000
                os.mknod(name_of(path), kind | 0o600, os.makedev(entry.major, entry.minor), dir_fd=folder)
        except PermissionError:
            self._metadata.note(DEVICES, f"/{path}")
            return False
        self._metadata.apply_to_name(path, entry)
        return True

    def _hardlink(self, path: str, entry: Entry) -> None:
        target = self._resolve_parent(clean(entry.link))
        if (target + "/").startswith(path + "/"):
            raise CorruptError(f"{path} is a hard link to {target}, which it replaces")
        made = self._made.get(target)
        if made is None:
            made = self._fetched(target, path)
        if made.kind == "directory":
            raise CorruptError(f"{path} is a hard link to {target}, which is a directory")
        self._clear(path)
        source, folder = self._tree.pair(parent_of(target), parent_of(path))
        os.link(name_of(target), name_of(path), src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        self._made[path] = made

    def _fetched(self, target: str, path: str) -> Entry:
        """Copy the file of a layer below that a hard link names into this layer, as overlayfs does for a link."""
        if self._form.merged and not self._is_hidden(target) and (found := self._tree.look(target)) is not None:
            return found
        item = self._fetch(target) if self._fetch is not None and not self._is_hidden(target) else None
        if item is None or item[0].kind in ("directory", "hardlink"):
            raise CorruptError(
                f"{path} is a hard link to {target}, which is not a file of this layer or of those below",
                "the layer is damaged, or was made for other lower layers",
            )
        entry, content = item
        if entry.kind == "file":
            self._copy_up(target, entry, content)
        elif entry.kind == "symlink":
            os.symlink(entry.link, name_of(target), dir_fd=self._tree.directory(parent_of(target)))
            self._metadata.apply_to_name(target, entry)
        elif not self._special(target, entry):
            raise CorruptError(f"{path} is a hard link to {target}, which cannot be made here")
        self._made[target] = entry
        self._copied_up.add(target)
        return entry

    def _copy_up(self, target: str, entry: Entry, content: Content | None) -> None:
        file = self._create(target)
        try:
            with open_content(entry, b"" if content is None else content) as reader:
                end = _write_sparse(reader.read, file, 0, entry.size)
            if end != entry.size:
                os.ftruncate(file, entry.size)
            self._metadata.apply_to_descriptor(file, entry)
        finally:
            os.close(file)

    def finish(self) -> None:
        """Set the metadata of directories: creating files in them would have changed their times, or been forbidden."""
        for path, entry in self._made.items():
            if entry.kind == "directory":
                try:
                    self._metadata.apply_to_descriptor(self._tree.directory(path), entry)
                except OSError as error:
                    raise PolyarchError(f"/{path} cannot be unpacked: {error.strerror}") from error


def _write_sparse(read: Callable[[int], bytes], file: int, offset: int, length: int) -> int:
    """Write `length` bytes of `read` at `offset`, but leave long runs of zeros as holes.

    Returns the offset after the last byte that was written, 0 if there was none.
    """
    end = 0
    while length:
        chunk = read(min(length, _CHUNK))
        if not chunk:
            raise CorruptError("a file is shorter than its entry says")
        if chunk != _ZEROS[: len(chunk)]:
            done = 0
            while done < len(chunk):
                done += os.pwrite(file, chunk[done:] if done else chunk, offset + done)
            end = offset + len(chunk)
        offset += len(chunk)
        length -= len(chunk)
    return end
