"""Check the entrypoint or command: it exists, is executable, is for the platform, and has its interpreter."""

from collections.abc import Iterator

from polyarch.errors import ConflictError
from polyarch.images.check.findings import Finding
from polyarch.images.check.view import View
from polyarch.oci.config import DEFAULT_PATH

# Linux allows this many interpreters that are scripts (fs/exec.c, exec_binprm).
_MAX_INTERPRETERS = 5


def findings(view: View) -> Iterator[Finding]:
    """Findings about the entrypoint, or else the command. An image without either is a base image."""
    field, argv = _argv(view)
    if not argv or not argv[0] or view.platform.os != "linux":
        return
    program = argv[0]
    if program.startswith("$") or "/" not in program:
        found = _on_path(view, program)
    else:
        found = _join(str(view.config.run.get("WorkingDir") or "/"), program)
    path = found if found is not None else program
    try:
        node = view.tree.lookup(view.tree.resolve(path)) if found is not None else None
    except ConflictError as error:
        yield view.finding("command-missing", "error", f"the {field} {program} cannot be resolved: {error.message}")
        return
    if node is None:
        where = "" if "/" in program else f" in {view.config.env.get('PATH', DEFAULT_PATH)}"
        yield view.finding("command-missing", "error", f"the {field} {program} is not in the image{where}")
        return
    if node.entry.kind == "directory":
        yield view.finding("command-not-executable", "error", f"the {field} {program} is a directory", node.entry.path)
        return
    if not node.entry.mode & 0o111:
        message = f"the {field} {program} may not be executed: its mode is {node.entry.mode:04o}"
        yield view.finding("command-not-executable", "error", message, node.entry.path)
    yield from _runnable(view, f"the {field} {program}", node.entry.path)


def _runnable(view: View, what: str, path: str) -> Iterator[Finding]:
    """What prevents the file at `path` from running, following the interpreters of scripts."""
    for _ in range(_MAX_INTERPRETERS):
        binary = view.binary(view.tree.lookup(path))
        if binary is None:
            return
        if binary.form != "script":
            foreign = binary.form != "elf" or view.platform.architecture not in binary.architectures
            if foreign:
                theirs = " and ".join(binary.architectures)
                form = "" if binary.form == "elf" else f" and another system ({binary.form})"
                message = f"{what} is a binary for {theirs}{form}, not for {view.platform}"
                yield view.finding("command-foreign", "error", message, path)
            return
        if binary.shebang.endswith("\r"):
            message = (
                f"{what} is a script whose first line ends with a carriage return (CRLF), so the kernel looks for "
            )
            yield view.finding("command-crlf", "error", message + "an interpreter whose name ends with it", path)
        words = binary.shebang.strip(" \t\r").split(None, 1)
        if not words:
            return
        interpreter, argument = words[0], words[1] if len(words) > 1 else ""
        following = view.follow(interpreter)
        if following is None or following.entry.kind == "directory":
            yield view.finding(
                "interpreter-missing", "error", f"{what} needs {interpreter}, which is not in the image", path
            )
            return
        if interpreter.rpartition("/")[2] == "env" and (name := _of_env(argument)):
            found = _on_path(view, name) if "/" not in name else name
            following = view.follow(found) if found is not None else None
            if following is None:
                yield view.finding(
                    "interpreter-missing", "error", f"{what} needs {name}, which is not in the image", path
                )
                return
        what = f"the interpreter of {what}"
        path = following.entry.path


def _argv(view: View) -> tuple[str, list[str]]:
    run = view.config.run
    entrypoint, command = (_words(run.get(field)) for field in ("Entrypoint", "Cmd"))
    return ("entrypoint", entrypoint + command) if entrypoint else ("command", command)


def _words(value: object) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list) else []


def _on_path(view: View, program: str) -> str | None:
    """Where execvp(3) finds a name: the first executable file on PATH, or else the first file."""
    present = None
    for directory in view.config.env.get("PATH", DEFAULT_PATH).split(":"):
        path = _join(directory or "/", program)
        node = view.follow(path)
        if node is None or node.entry.kind == "directory":
            continue
        if node.entry.mode & 0o111:
            return path
        present = present or path
    return present


def _of_env(argument: str) -> str:
    """The program that `env` runs in the first line of a script; empty if it is unknown."""
    words = argument.split()
    if words[:1] == ["-S"]:
        words = words[1:]
    while words and ("=" in words[0] or words[0].startswith("-")):
        words.pop(0)
    return words[0] if words else ""


def _join(directory: str, path: str) -> str:
    return path if path.startswith("/") else f"{directory}/{path}"
