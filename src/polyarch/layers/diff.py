"""The items of the layer for a directory: the changes in an overlay's upper directory, or all files of a plain one."""

from collections.abc import Callable, Collection, Iterator

from polyarch.errors import NotFoundError, PolyarchError, UnsupportedError
from polyarch.layers import diskform, whiteouts
from polyarch.layers.diskform import OVERLAY, DiskForm
from polyarch.layers.entry import Item, LocalFile, clean, plain
from polyarch.layers.walk import WalkedEntry, read_xattrs, walk

# With these xattrs, the kernel marks a file or directory whose bytes or names are elsewhere (overlayfs.rst,
# "redirect_dir", "metacopy"). Our mounts do not use those options. A layer of such files would silently lack content.
_ELSEWHERE = ("user.overlay.redirect", "user.overlay.metacopy", "trusted.overlay.redirect", "trusted.overlay.metacopy")


def changes(upper: str, form: DiskForm = OVERLAY, without: Collection[str] = ()) -> Iterator[Item]:
    """The entries of `upper` and their content, each directory before its content, names sorted, hard links detected.

    In the OVERLAY form, character devices 0:0 become whiteouts and opaque directories get a marker; the xattrs
    `user.overlay.*` of overlayfs are left out. The root itself is not an entry: no builder lists it in a layer. Sockets
    are left out. `without` are paths to leave out with everything below them: mount points that were created for a
    process.

    Raises PolyarchError for files that cannot be read, UnsupportedError if the overlay was mounted with redirect_dir or
    metacopy.
    """
    left_out = {clean(path) for path in without}
    skip: Callable[[str, bool], bool] | None = (lambda path, _: path in left_out) if left_out else None
    if form.merged:
        for found in walk(upper, skip, xattrs=True):
            yield _item(found, found.entry.xattrs)
        return
    if diskform.is_opaque(read_upper_xattrs(upper)):
        yield whiteouts.opaque_marker(""), b""
    for found in walk(upper, skip, xattrs=True):
        entry = found.entry
        if diskform.is_whiteout_device(entry):
            yield whiteouts.whiteout(entry.path, entry.mtime), b""
            continue
        yield changed(found)
        if entry.kind == "directory" and diskform.is_opaque(entry.xattrs):
            yield whiteouts.opaque_marker(entry.path, entry.mtime), b""


def changed(found: WalkedEntry) -> Item:
    """The entry of a layer for a file of a directory in overlay's form, and its content. Raises UnsupportedError."""
    xattrs = found.entry.xattrs
    if not xattrs:
        return _item(found, ())
    _refuse_elsewhere(found)
    return _item(found, tuple(pair for pair in xattrs if not pair[0].startswith(diskform.OVERLAY_XATTRS)))


def read_upper_xattrs(upper: str) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes of the upper directory itself. Raises NotFoundError, PolyarchError."""
    try:
        return read_xattrs(upper)
    except FileNotFoundError as error:
        raise NotFoundError(f"{upper} is not a directory") from error
    except OSError as error:
        raise PolyarchError(f"{upper} cannot be read: {error.strerror}") from error


def _refuse_elsewhere(found: WalkedEntry) -> None:
    for name, _ in found.entry.xattrs:
        if name in _ELSEWHERE:
            raise UnsupportedError(
                f"{found.path} has the xattr {name}: its content is in another layer",
                "mount the overlay with redirect_dir=off,metacopy=off",
            )


def _item(found: WalkedEntry, xattrs: tuple[tuple[str, bytes], ...]) -> Item:
    entry = found.entry
    if xattrs != entry.xattrs:
        entry = plain(entry, xattrs=xattrs)
    return entry, LocalFile(found.path, found.stamp) if entry.kind == "file" else None
