"""Walking large build contexts in a child process, while this process loads its modules.

A cached build looks at the stats of all files of its context: 20 ms for 5,000 files, which another processor does
while this one imports what the build needs. Only contexts that an earlier build found to be large are walked, because
a build may never look at its context.
"""

import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

import msgspec

from polyarch.builder.contexts.signature import Signature, sign
from polyarch.builder.contexts.sources import read_ignore_files
from polyarch.dockerfile import ignorefile

# A context of fewer entries is walked in the time that a child costs.
LARGE = 1000
# Marks. If there are more, all are removed: a mark only saves time.
_MOST = 256
_PIECE = 64 << 10
_ENDING = (signal.SIGINT, signal.SIGTERM)


def mark(marks: str, directory: Path) -> None:
    """Remember in the directory `marks` (`StoreLayout.contexts`) that a build context is large. Ignores errors."""
    name = _mark(marks, directory)
    if name is None or os.path.exists(name):
        return
    try:
        os.makedirs(marks, 0o700, exist_ok=True)
        others = os.listdir(marks)
        for other in others if len(others) >= _MOST else ():
            os.unlink(f"{marks}/{other}")
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError:
        return


def is_marked(marks: str, directory: Path) -> bool:
    """Whether a build context was found to be large."""
    name = _mark(marks, directory)
    return name is not None and os.path.exists(name)


def _mark(marks: str, directory: Path) -> str | None:
    """The file that marks a directory, whatever its path; None if there is no such directory."""
    try:
        status = os.stat(directory)
    except (OSError, ValueError):
        return None
    return f"{marks}/{status.st_dev:x}-{status.st_ino:x}"


class WalksAhead:
    """A child process that works out the signatures of build contexts. Owns the child until `close`; for one thread."""

    def __init__(self, directories: Mapping[str, Path], dockerfile: Path, now: int) -> None:
        """`directories` are absolute, by the name of the context, as for `sources.read_ignore_files`. `now` is the time
        in nanoseconds.
        """
        self._directories = directories
        self._dockerfile = dockerfile
        self._now = now
        self._answers: dict[_Question, Signature] | None = None
        self._pipe = -1
        self._child = 0

    def start(self) -> None:
        """Start the child, if that is possible. This process has one thread, and no lock or connection open."""
        parent = os.getpid()
        self._pipe, end = os.pipe()
        # An interrupted command ends the child, so it must know it.
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            child = os.fork()
            if child == 0:
                self._run(end, parent, masked)
            self._child = child
        except OSError:
            return  # there are too many processes
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
            os.close(end)

    def _run(self, pipe: int, parent: int, masked: Iterable[int]) -> NoReturn:
        """Answer, in the child. Nothing of the caller may be cleaned up, and no message appear: if something fails, the
        parent walks by itself.
        """
        try:
            for number in _ENDING:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
            # Otherwise a reader of the output waits for the child, too, not only for the command.
            for inherited in (0, 1, 2, self._pipe):
                os.close(inherited)
            _answer(self._directories, self._dockerfile, pipe, parent)
        finally:
            os._exit(0)

    def take(self, directory: Path, ignore: str) -> Signature | None:
        """The signature of a context with this text of its ignore file, if it is certain; None if it is not, or was not
        worked out. Waits for the child. Each answer is given once: a second question is about the state at that time.
        """
        if self._answers is None:
            self._answers = self._read() if self._child else {}
        found = self._answers.pop(_question(directory, ignore), None)
        return found if found is not None and found.certain(self._now) else None

    def _read(self) -> "dict[_Question, Signature]":
        try:
            return dict(msgspec.msgpack.decode(b"".join(iter(lambda: os.read(self._pipe, _PIECE), b"")), type=_ANSWERS))
        except msgspec.DecodeError:
            return {}  # the child failed, and has sent nothing

    def close(self) -> None:
        """End the child. Safe to call twice."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._child = 0


# A directory and the text of its ignore file.
_Question = tuple[bytes, bytes]
_ANSWERS = list[tuple[_Question, Signature]]


def _question(directory: Path, ignore: str) -> _Question:
    return os.fsencode(directory), ignore.encode("utf-8", "surrogateescape")


def _answer(directories: Mapping[str, Path], dockerfile: Path, pipe: int, parent: int) -> None:
    """Work out the signatures and send them, in the child. It ends if the parent has ended."""

    def check() -> None:
        if os.getppid() != parent:
            os._exit(0)

    ignores = read_ignore_files(directories, dockerfile)
    answers = []
    for name, directory in directories.items():
        ignore = ignores.get(name, "")
        answers.append((_question(directory, ignore), sign(str(directory), ignorefile.of_text(ignore), check)))
    with open(pipe, "wb") as file:
        file.write(msgspec.msgpack.encode(answers))
