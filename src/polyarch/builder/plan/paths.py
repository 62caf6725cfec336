"""Paths inside an image: WORKDIR and destinations are joined as in BuildKit's util/system for Linux."""

import posixpath


def workdir(current: str, path: str) -> str:
    """The WorkingDir of the config after WORKDIR `path`: an absolute path as written, a relative one joined."""
    return path if path.startswith("/") else below(current, path)


def below(current: str, path: str) -> str:
    """`path` relative to the directory `current`, as an absolute and clean path."""
    return clean(posixpath.join(current or "/", path))


def destination(current: str, path: str) -> str:
    """An absolute, clean destination. A slash (or `/.`) at its end stays a slash, because it means a directory."""
    if path in ("", "."):
        path = "./"
    joined = below(current, path)
    if joined != "/" and path.endswith(("/", "/.")):
        return joined + "/"
    return joined


def clean(path: str) -> str:
    """`path` as an absolute path without `.`, `..` and double slashes. It never leads above the root."""
    normal = posixpath.normpath("/" + path)
    # In POSIX two leading slashes have a meaning of their own, so normpath keeps them.
    return "/" + normal.lstrip("/")
