"""Which platforms of a build failed, and whether the build goes on with the others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from polyarch.builder.request.request import OnFailure
from polyarch.builder.vertices import BuildGraph, RunCommand, VertexId
from polyarch.dockerfile.parser import Dockerfile
from polyarch.dockerfile.source import DockerfileError, Location
from polyarch.errors import BuildError, MachineError, PolyarchError
from polyarch.oci.platform import Platform


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A platform that could not be built, with the error."""

    platform: Platform
    message: str
    hint: str = ""


class FailurePolicy:
    """Collects the failures of one build. It owns nothing.

    `on_failure` is that of `BuildRequest`, `platforms` the number of platforms that are built.
    """

    def __init__(self, on_failure: OnFailure, platforms: int) -> None:
        self.keeps_going = on_failure != "stop"
        self._partial = on_failure == "keep"
        self._platforms = platforms
        self.failures: list[Failure] = []
        self._first: PolyarchError | None = None

    @contextmanager
    def of(self, platform: Platform) -> Iterator[None]:
        """A context for work on one platform. Its PolyarchError is recorded if the build keeps going, else raised."""
        try:
            yield
        except PolyarchError as error:
            if not self.keeps_going:
                raise
            self._first = self._first or error
            message = error.message.removeprefix(f"[{platform}] ")
            self.failures.append(Failure(platform=platform, message=message, hint=error.hint or ""))

    def raise_if_done(self, survivors: Sequence[Platform], *, last: bool = True) -> None:
        """Raise if no platform survived, or if a platform failed, all work is done and partial results are not allowed.
        `last` says that all work is done. A build for one platform raises its error; a build for several raises an
        error that names each failed platform.
        """
        if self._first is None or (survivors and (self._partial or not last)):
            return
        if self._platforms == 1:
            raise self._first
        count = f"{len(self.failures)} of {self._platforms} platforms failed, and nothing was tagged"
        reasons = [f"{failure.platform}: {failure.message}" for failure in self.failures]
        done = (
            f"{', '.join(map(str, survivors))} {'is' if len(survivors) == 1 else 'are'} done and in the cache; "
            * bool(survivors)
        )
        hints = list(dict.fromkeys(failure.hint for failure in self.failures if failure.hint))
        advice = "--partial tags the platforms that succeeded" if survivors else ""
        raise BuildError(
            "\n".join([count, *reasons]), "; ".join(filter(None, [*hints, done + advice]))
        ) from self._first


def located(graph: BuildGraph, dockerfile: Dockerfile, vertex: str, error: PolyarchError) -> PolyarchError:
    """The error of a vertex with its lines in the Dockerfile and its platforms."""
    label = graph.labels[VertexId(vertex)]
    if isinstance(error, DockerfileError):
        return error
    if not label.lines[0]:
        # Of what is in no Dockerfile, only the SBOM generator is a process whose error does not name it.
        ran = isinstance(graph.vertices[VertexId(vertex)], RunCommand) and isinstance(error, BuildError)
        return BuildError(f"{label.name}: {error.message}", error.hint) if ran else error
    lines = _lines_of(dockerfile, error, label.lines[0])
    shown = dockerfile.error(error.message, *lines, Location(*label.lines))
    where = f"[{', '.join(map(str, label.platforms))}] " if label.platforms else ""
    return (MachineError if isinstance(error, MachineError) else BuildError)(f"{where}{shown.message}", error.hint)


def _lines_of(dockerfile: Dockerfile, error: PolyarchError, before: int) -> list[Location]:
    """Where the Dockerfile sets the variable that the error is about, for the step at line `before`."""
    from polyarch.sandbox.starting import EmulatorVariableError

    if not isinstance(error, EmulatorVariableError):
        return []
    return dockerfile.setting(error.variable, before)[-1:]
