"""A farm that one command starts and ends: a scheduler here, and members on machines that ssh reaches."""

import contextlib
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import IO, Self

import msgspec

from polyarch.errors import PolyarchError, UsageError
from polyarch.farm import children
from polyarch.farm.certificates import Bundle
from polyarch.farm.faults import FarmError

# Seconds that processes get to end.
_GRACE = 6.0
# Seconds until a member that ended is started again, at first and at most; how often, if it has never been a member,
# and if it has been: its machine may be away for a while.
_PAUSE, _LONGEST = 2.0, 60.0
_FIRST, _AGAIN = 5, 60
_LOOPBACK = ("127.", "localhost", "::1", "[::1]")


class SSHOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How members are started: `options` are given to ssh, `command` starts Polyarch there, `arguments` are given to
    `farm worker`.
    """

    options: tuple[str, ...] = ()
    command: str = "polyarch"
    arguments: tuple[str, ...] = ()


class SSHMember:
    """One member that ssh starts. Owns the ssh process, until `close`.

    The member gets its certificate on standard input, so no file is left there, and ends when the connection does.
    """

    def __init__(self, host: str, scheduler: str, bundle: Bundle | None, options: SSHOptions) -> None:
        self.host = host
        self._scheduler = scheduler
        self._bundle = bundle
        self._options = options
        self.due = 0.0
        # How often it was started since it was last a member, how often it may be, and the last line that it said.
        self.starts = 0
        self.most = _FIRST
        self.said = ""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> IO[bytes]:
        """What the member says."""
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout

    def start(self) -> None:
        """Start it. Raises PolyarchError without ssh."""
        self.starts += 1
        options = self._options
        safe = "-" if self._bundle is not None else "/dev/null"
        name = self.host.rpartition("@")[2]
        words = [
            *("ssh", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=10", *options.options, "--", self.host),
            *(options.command, "farm", "worker", self._scheduler, "--farm-cert", safe, "--name", name),
            *options.arguments,
        ]
        if self._bundle is None:
            words.append("--insecure")
        try:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise PolyarchError(f"ssh cannot be started: {error.strerror}", "install openssh-client") from error
        assert self.process.stdin is not None
        if self._bundle is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.write(self._bundle.pem.replace("\n", "\\n").encode() + b"\n")
                self.process.stdin.flush()

    @property
    def is_given_up(self) -> bool:
        """Whether it has ended, and is not started again."""
        return self.process is None and self.starts >= self.most

    def says(self, line: str) -> None:
        """Take note of a line that it said."""
        self.said = line
        if "is a member of" in line:
            self.starts, self.most = 0, _AGAIN

    def ended(self, now: float) -> str:
        """Take note that it has ended, and return what becomes of it."""
        assert self.process is not None
        status = self.process.wait()
        self.close()
        reason = f" ({self.said})" if self.said else ""
        if self.is_given_up:
            return f"ended with status {status}{reason}; it was tried {self.starts} times and is not started again"
        pause = min(_PAUSE * 2 ** max(0, self.starts - 1), _LONGEST)
        self.due = now + pause
        return f"ended with status {status}; it is started again in {pause:.0f} s"

    def close(self) -> None:
        """End it: the member ends its steps when its standard input ends."""
        process, self.process = self.process, None
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        children.ended(process, _GRACE)
        if process.stdout is not None:
            process.stdout.close()


class SSHFarm:
    """Members on several machines, as a context manager that owns their ssh processes."""

    def __init__(self, members: Sequence[SSHMember], say: Callable[[str], None]) -> None:
        self._members = members
        self._say = say

    def __enter__(self) -> Self:
        try:
            for member in self._members:
                member.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def serve(self) -> None:
        """Repeat what members say, and start those again that ended, some times. Raises FarmError if none is left."""
        with selectors.DefaultSelector() as selector:
            for member in self._members:
                selector.register(member.output, selectors.EVENT_READ, member)
            while not all(member.is_given_up for member in self._members):
                for key, _ in selector.select(self._until_next()):
                    member = key.data
                    line = member.output.readline().decode(errors="replace").rstrip()
                    if line:
                        self._say(f"{member.host}: {line}")
                        member.says(line)
                        continue
                    selector.unregister(member.output)
                    self._say(f"{member.host}: {member.ended(time.monotonic())}")
                for member in self._waiting():
                    if member.due <= time.monotonic():
                        member.start()
                        selector.register(member.output, selectors.EVENT_READ, member)

        reasons = "\n".join(f"  {member.host}: {member.said or 'it said nothing'}" for member in self._members)
        raise FarmError(
            f"no machine became a member, or stayed one; what each said last:\n{reasons}",
            "ssh HOST polyarch --version shows whether ssh reaches a machine without a password, and Polyarch is there",
        )

    def _waiting(self) -> list[SSHMember]:
        """The members that have ended and are to be started again."""
        return [member for member in self._members if member.process is None and not member.is_given_up]

    def _until_next(self) -> float | None:
        due = [member.due for member in self._waiting()]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _close(self) -> None:
        # All are told before the first is waited for.
        for member in self._members:
            if member.process is not None and member.process.stdin is not None:
                with contextlib.suppress(OSError):
                    member.process.stdin.close()
        for member in self._members:
            member.close()


@contextlib.contextmanager
def scheduler(listen: str, certificate: str | None, silence: float):  # type: ignore[no-untyped-def]
    """A scheduler in a process of its own; yields its address. Raises FarmError with what it said."""
    words = [sys.executable, "-m", "polyarch", "farm", "scheduler", "--listen", listen, "--silence", str(silence)]
    words += ["--farm-cert", certificate] if certificate else ["--insecure"]
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        address = process.stdout.readline().decode().strip()
        if not address:
            said = process.stderr.read().decode(errors="replace").strip().replace("polyarch: error: ", "")
            raise FarmError(f"the scheduler did not start: {said}")
        yield address
    finally:
        process.terminate()
        children.ended(process, _GRACE)
        process.stdout.close()
        process.stderr.close()


def check_reach(listen: str, hosts: Sequence[str]) -> None:
    """Raise UsageError if members on other machines could not reach a scheduler that listens there."""
    far = [host for host in hosts if not host.rpartition("@")[2].startswith(_LOOPBACK)]
    if far and listen.startswith(_LOOPBACK):
        raise UsageError(
            f"{far[0]} cannot reach a scheduler that listens on {listen}",
            "name an address of this machine that members reach: --listen HOST:8786",
        )
