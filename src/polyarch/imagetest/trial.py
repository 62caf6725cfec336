"""One test of one platform: the image's files and config, its command, and what runs against it on this machine."""

import contextlib
import os
import select
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import Template

import msgspec

from polyarch.errors import PolyarchError
from polyarch.images import run as running
from polyarch.imagetest import health, requests
from polyarch.imagetest.checking import config_problems, text_problems
from polyarch.imagetest.host import HostCommands
from polyarch.imagetest.rootfs import file_problems
from polyarch.imagetest.values import ExpandedVariables, ImageTest, TestOutcome
from polyarch.oci.config import DEFAULT_PATH
from polyarch.sandbox import PrivateNetwork, Process, RunningProcess, Sandbox
from polyarch.sandbox.bounded_output import BoundedOutput
from polyarch.sandbox.ports import listen
from polyarch.transfer.choose import ChosenImage

# Seconds between two looks at a program that is not ready yet.
_PAUSE = 0.05
# Output that is compared, or shown when a test fails.
_MOST_OUTPUT = 16 << 20
# Output of a health check that is shown; docker keeps as much of it.
_MOST_CHECK_OUTPUT = 4096
# What a pipe holds (pipe(7)).
_PIPE = 1 << 16


class TrialSurroundings(msgspec.Struct, frozen=True):
    """What all trials share. `environment` is that of commands on this machine, `clock` gives seconds.

    `directory` is for output that is too large for memory.
    """

    sandbox: Sandbox
    host: HostCommands
    environment: Mapping[str, str]
    clock: Callable[[], float]
    directory: str


class Candidate(msgspec.Struct, frozen=True):
    """An image for one platform: its directories in overlay's disk form, and how the platform runs here."""

    name: str
    image: ChosenImage
    lowers: tuple[str, ...]
    how: str


def attempt(test: ImageTest, candidate: Candidate, around: TrialSurroundings) -> TestOutcome:
    """Do one test for one platform. What fails is in the outcome; only an interruption is raised."""
    trial = _Trial(test, candidate, around)
    began = around.clock()
    with BoundedOutput(around.directory, most=_MOST_OUTPUT) as output:
        problems: list[str] = []
        try:
            problems += trial.perform(output)
        except PolyarchError as error:
            problems.append(error.message + (f" ({error.hint})" if error.hint else ""))
        except OSError as error:
            problems.append(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
        said = b"".join(output.read()) if problems else b""
    return TestOutcome(
        test=test.name,
        image=candidate.name,
        platform=str(candidate.image.platform),
        how=candidate.how,
        problems=tuple(problems),
        ready=trial.ready,
        seconds=around.clock() - began,
        peak_memory=trial.peak_memory,
        output=said.decode(errors="replace"),
    )


class _Trial:
    """One attempt. `ready` and `peak_memory` are as in the outcome."""

    def __init__(self, test: ImageTest, candidate: Candidate, around: TrialSurroundings) -> None:
        self._test = test
        self._candidate = candidate
        self._around = around
        self._config = candidate.image.config
        self._check_output = b""
        self.ready: float | None = None
        self.peak_memory = 0

    def perform(self, output: BoundedOutput) -> Iterator[str]:
        """Do everything that the test asks for, and yield the problems."""
        test = self._test
        yield from config_problems(self._config, test.expect.config)
        if not (test.run or test.starts or test.expect.files or test.before):
            return
        with (
            self._around.sandbox.rootfs(self._candidate.lowers) as rootfs,
            self._around.sandbox.network() as network,
        ):
            for argv in test.before:
                yield from self._command("before", argv, rootfs, network, output)
            if test.run:
                yield from self._run(rootfs, network, output)
            elif test.starts:
                yield from self._serve(rootfs, network, output)
            for check in test.expect.files:
                yield from file_problems(rootfs, check)
            for argv in test.after:
                yield from self._command("after", argv, rootfs, network, output)

    def _process(self, network: PrivateNetwork, argv: Sequence[str], *, exact: bool) -> Process:
        """A process in the image. With `exact`, `argv` replaces entrypoint and command, else only the command."""
        test = self._test
        changes = running.RunOptions(
            arguments=tuple(argv),
            entrypoint=() if exact else None,
            env=tuple(f"{name}={value}" for name, value in self._variables().items()),
            cwd=test.workdir,
            user=test.user,
        )
        process = running.process(self._config, changes, self._candidate.name)
        return msgspec.structs.replace(process, network=network.path)

    def _variables(self) -> Mapping[str, str]:
        """The variables of the test."""
        env = self._test.env
        if not isinstance(env, ExpandedVariables):
            return env
        known = defaultdict(str, {"PATH": DEFAULT_PATH, **self._config.env})
        for name, value in env.values.items():
            known[name] = Template(value).safe_substitute(known)
        return {name: known[name] for name in env.values}

    @contextlib.contextmanager
    def _started(self, process: Process, rootfs: str, *sinks: Callable[[bytes], None]) -> Iterator[RunningProcess]:
        stdout, stderr = sinks
        with self._around.sandbox.start(
            process, rootfs, platform=self._candidate.image.platform, stdout=stdout, stderr=stderr, measured=True
        ) as started:
            try:
                yield started
            finally:
                self.peak_memory = max(self.peak_memory, started.peak_memory)

    def _command(
        self, what: str, argv: Sequence[str], rootfs: str, network: PrivateNetwork, output: BoundedOutput
    ) -> Iterator[str]:
        with self._started(self._process(network, argv, exact=True), rootfs, output.write, output.write) as started:
            status = self._waited(started)
        if status is None:
            yield f"{what}: {argv[-1]} did not end within {self._test.timeout:g} s"
        elif status:
            yield f"{what}: {argv[-1]} ended with status {status}"

    def _waited(self, started: RunningProcess) -> int | None:
        """The exit status; None if it took too long."""
        status = started.wait(self._test.timeout)
        if status is None:
            started.kill()
            started.wait()
        return status

    def _run(self, rootfs: str, network: PrivateNetwork, output: BoundedOutput) -> Iterator[str]:
        """Run the test's own command, and compare its status and its output."""
        test = self._test
        with contextlib.ExitStack() as opened:
            streams = [
                opened.enter_context(BoundedOutput(self._around.directory, most=_MOST_OUTPUT)) for _ in ("out", "err")
            ]
            sinks = [_both(stream, output) for stream in streams]
            process = self._process(network, test.run, exact=True)
            with self._started(process, rootfs, *sinks) as started:
                status = self._waited(started)
            if status is None:
                yield f"the command did not end within {test.timeout:g} s"
                return
            if status != (wanted := test.expect.exit or 0):
                yield f"the command ended with status {status}, not {wanted}"
            for what, stream, check in zip(
                ("stdout", "stderr"), streams, (test.expect.stdout, test.expect.stderr), strict=True
            ):
                if check is not None:
                    yield from text_problems(what, b"".join(stream.read()).decode(errors="replace"), check)

    def _serve(self, rootfs: str, network: PrivateNetwork, output: BoundedOutput) -> Iterator[str]:
        """Start the image's own command, wait until it is ready, do what the test asks for, and stop it."""
        test = self._test
        process = self._process(network, test.start or (), exact=False)
        with self._started(process, rootfs, output.write, output.write) as started:
            began = self._around.clock()
            problem = self._wait_until_ready(started, rootfs, network, output)
            if problem:
                yield problem
            else:
                self.ready = self._around.clock() - began
                yield from self._against(network, output)
                if (status := started.wait(0)) is not None and not test.command and not test.expect.http:
                    yield f"the image's command ended with status {status}"
            if (status := started.wait(0)) is None:
                status = started.stop(running.stop_signal(self._config, running.RunOptions()), test.grace)
            if not problem and test.expect.exit not in (None, status):
                yield f"the image's command ended with status {status} when it was stopped, not {test.expect.exit}"

    def _wait_until_ready(
        self, started: RunningProcess, rootfs: str, network: PrivateNetwork, output: BoundedOutput
    ) -> str | None:
        """Wait for the health check and the port. Returns the problem if the image does not become ready."""
        test = self._test
        until = self._around.clock() + test.timeout
        check = health.health_check(self._config.run)
        pending = check is not None
        while True:
            if (status := started.wait(_PAUSE)) is not None:
                return f"the image's command ended with status {status} before it was ready"
            left = until - self._around.clock()
            if left <= 0:
                # Of many checks, the last one says what is still missing.
                output.write(self._check_output)
                return f"it was not ready within {test.timeout:g} s: {self._missing(network, pending=pending)}"
            if pending and check is not None:
                pending = not self._is_healthy(started, check, min(left, check.timeout), rootfs, network)
            if not pending and (not test.port or network.listening(test.port) == "yes"):
                return None

    def _missing(self, network: PrivateNetwork, *, pending: bool) -> str:
        if pending:
            return "the HEALTHCHECK of the image did not succeed"
        if network.listening(self._test.port) == "loopback":
            return f"it listens on port {self._test.port} of a loopback address only, which nothing outside reaches"
        return f"nothing listens on port {self._test.port}"

    def _is_healthy(
        self, started: RunningProcess, check: health.HealthCheck, timeout: float, rootfs: str, network: PrivateNetwork
    ) -> bool:
        said = bytearray()

        def keep(data: bytes) -> None:
            said.extend(data[: max(0, _MOST_CHECK_OUTPUT - len(said))])

        process = self._process(network, check.argv, exact=True)
        with self._around.sandbox.start(
            process, rootfs, platform=self._candidate.image.platform, stdout=keep, stderr=keep
        ) as probe:
            # A check that hangs does not hide that the image's own command has ended.
            until = self._around.clock() + timeout
            while (status := probe.wait(_PAUSE)) is None:
                if self._around.clock() >= until or started.wait(0) is not None:
                    break
        # One that was cut short may have said nothing.
        self._check_output = bytes(said) or self._check_output
        return status == 0

    def _against(self, network: PrivateNetwork, output: BoundedOutput) -> Iterator[str]:
        """Do what the test asks for against the running image."""
        test = self._test
        port = 0
        if test.port:
            listener = listen("127.0.0.1", 0)
            port = int(listener.getsockname()[1])
            network.forward(listener, test.port)
        for check in test.expect.http:
            yield from requests.problems(port, check, test.timeout)
        if test.command:
            variables = dict(self._around.environment)
            variables["POLYARCH_PLATFORM"] = str(self._candidate.image.platform)
            variables["POLYARCH_TEST_IMAGE"] = self._candidate.name
            if port:
                variables["POLYARCH_TEST_HOST"] = f"127.0.0.1:{port}"
                variables["POLYARCH_TEST_URL"] = f"http://127.0.0.1:{port}"
            with _pipe_into(output) as writer:
                status = self._around.host.run(test.command, variables, writer, test.timeout)
            if status is None:
                yield f"the command on this machine did not end within {test.timeout:g} s"
            elif status:
                yield f"the command on this machine ended with status {status}"


def _both(one: BoundedOutput, other: BoundedOutput) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        one.write(data)
        other.write(data)

    return write


@contextlib.contextmanager
def _pipe_into(output: BoundedOutput) -> Iterator[int]:
    """Yield a descriptor: what is written to it in the block goes to `output`.

    A daemon may keep the descriptor after the block, and is not waited for.
    """
    reader, writer = os.pipe()
    done = os.eventfd(0, os.EFD_CLOEXEC)
    os.set_blocking(reader, False)

    def pump() -> None:
        with open(reader, "rb", buffering=0) as source:
            waiting = select.poll()
            waiting.register(reader, select.POLLIN)
            waiting.register(done, select.POLLIN)
            last = False
            while not last:
                last = any(file == done for file, _ in waiting.poll())
                # None stands for an empty pipe, b"" for its end. One call takes all that a pipe holds.
                data = source.read(_PIPE)
                if data:
                    output.write(data)
                last = last or data == b""

    thread = threading.Thread(target=pump, name="polyarch-test-output")
    thread.start()
    try:
        yield writer
    finally:
        os.close(writer)
        os.eventfd_write(done, 1)
        thread.join()
        os.close(done)
