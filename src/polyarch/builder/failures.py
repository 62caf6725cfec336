"""Which platforms of a build have failed, and whether the others go on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from polyarch.builder.request.request import OnFailure
from polyarch.errors import BuildError, PolyarchError
from polyarch.oci.platform import Platform


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A platform that could not be built, and why."""

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
        """Work on one platform. Its PolyarchError is noted, if the build keeps going, and raised otherwise."""
        try:
            yield
        except PolyarchError as error:
            if not self.keeps_going:
                raise
            self._first = self._first or error
            message = error.message.removeprefix(f"[{platform}] ")
            self.failures.append(Failure(platform=platform, message=message, hint=error.hint or ""))

    def settle(self, survivors: Sequence[str], *, last: bool = True) -> None:
        """Raise where the build ends here: nothing is left, or, with all done, something failed and all was wanted.

        The error of a single platform is its own; of several, one that names each.
        """
        if self._first is None or (survivors and (self._partial or not last)):
            return
        if self._platforms == 1:
            raise self._first
        count = f"{len(self.failures)} of {self._platforms} platforms failed, and nothing was tagged"
        whys = [f"{failure.platform}: {failure.message}" for failure in self.failures]
        done = f"{', '.join(survivors)} {'is' if len(survivors) == 1 else 'are'} done and in the cache; " * bool(
            survivors
        )
        hints = list(dict.fromkeys(failure.hint for failure in self.failures if failure.hint))
        wish = "--partial tags what works" if survivors else ""
        raise BuildError("\n".join([count, *whys]), "; ".join(filter(None, [*hints, done + wish]))) from self._first
