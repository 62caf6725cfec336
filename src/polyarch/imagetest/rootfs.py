"""The files of an image, in its mounted root file system. Symbolic links are followed, but never out of it."""

import os
import stat
from collections.abc import Iterator

from polyarch.errors import ConflictError, NotFoundError
from polyarch.imagetest.checking import text_problems
from polyarch.imagetest.values import FileCheck
from polyarch.layers.entry import parent_of
from polyarch.layers.resolve import resolve
from polyarch.layers.rooted import RootedTree, name_of
from polyarch.sandbox import resolve_user

_LARGEST = 16 << 20
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
_EXECUTE = {"owner": 0o100, "group": 0o010, "other": 0o001, "any": 0o111}


def file_problems(rootfs: str, check: FileCheck) -> Iterator[str]:
    """The problems of one file."""
    with RootedTree(rootfs) as tree:
        try:
            # A link is what it leads to, unless a link is asked for.
            path = resolve(check.path.strip("/"), tree.look, follow_last=check.kind != "symlink")
            status = _status(tree, path)
        except ConflictError as error:
            yield error.message
            return
        if status is None or not check.exists:
            if (status is not None) != check.exists:
                yield f"{check.path} {'does not exist' if check.exists else 'exists'}"
            return
        yield from _status_problems(rootfs, check, status)
        if check.content is not None:
            yield from _content_problems(tree, path, check, status)


def _status(tree: RootedTree, path: str) -> os.stat_result | None:
    try:
        return os.stat(name_of(path) or ".", dir_fd=tree.directory(parent_of(path)), follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _status_problems(rootfs: str, check: FileCheck, status: os.stat_result) -> Iterator[str]:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "special file")
    if check.kind is not None and kind != check.kind:
        yield f"{check.path} is a {kind}, not a {check.kind}"
    mode = stat.S_IMODE(status.st_mode)
    if check.mode is not None and mode != check.mode:
        yield f"{check.path} has the mode {mode:04o}, not {check.mode:04o}"
    if check.executable_by is not None and not mode & _EXECUTE[check.executable_by]:
        yield f"{check.path} is not executable by {check.executable_by}: its mode is {mode:04o}"
    for what, wanted, found in (("owner", check.owner, status.st_uid), ("group", check.group, status.st_gid)):
        if wanted is None:
            continue
        try:
            account = resolve_user(rootfs, wanted if what == "owner" else f"0:{wanted}")
        except NotFoundError:
            yield f"the image has no {'user' if what == 'owner' else 'group'} {wanted}"
            continue
        number = account.uid if what == "owner" else account.gid
        if found != number:
            named = wanted if wanted == str(number) else f"{wanted} ({number})"
            yield f"{check.path} has the {what} {found}, not {named}"


def _content_problems(tree: RootedTree, path: str, check: FileCheck, status: os.stat_result) -> Iterator[str]:
    if not stat.S_ISREG(status.st_mode):
        yield f"{check.path} is not a regular file, so it has no content"
        return
    if status.st_size > _LARGEST:
        yield f"{check.path} has {status.st_size} bytes: contents of at most {_LARGEST} are compared"
        return
    file = os.open(name_of(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=tree.directory(parent_of(path)))
    with open(file, "rb") as reader:
        text = reader.read(_LARGEST).decode(errors="replace")
    yield from text_problems(check.path, text, check.content)
