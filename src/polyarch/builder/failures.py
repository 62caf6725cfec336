"""Which platforms of a build failed, and whether the build goes on with the others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from polyarch.builder.request.request import OnFailure
from polyarch.errors import BuildError, PolyarchError
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
