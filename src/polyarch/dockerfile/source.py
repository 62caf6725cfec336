"""Locations in a Dockerfile, and the error that shows them."""

from collections.abc import Iterable

import msgspec

from polyarch.errors import PolyarchError

# BuildKit shows at least four lines around a mistake (solver/errdefs).
_SHOWN = 4


class Location(msgspec.Struct, frozen=True):
    """Lines `first` to `last` of a file, counted from 1, inclusive."""

    first: int
    last: int


class DockerfileError(PolyarchError):
    """A syntax error in a Dockerfile, or an invalid instruction.

    `reason` is the message without the excerpt; `name` is the file, `locations` are the lines. The message has the
    reason and the surrounding lines, with `>>>` before those in `locations`.
    """

    def __init__(
        self,
        reason: str,
        hint: str | None = None,
        *,
        name: str = "Dockerfile",
        text: str = "",
        locations: Iterable[Location] = (),
    ) -> None:
        self.reason = reason
        self.name = name
        self.locations = tuple(locations)
        message = f"{name}:{self.locations[0].first}: {reason}" if self.locations else f"{name}: {reason}"
        shown = excerpt(text, name, self.locations) if text else ""
        super().__init__(f"{message}\n{shown}" if shown else message, hint)

    def placed(self, name: str, text: str, location: Location) -> "DockerfileError":
        """Return the same error with a file and lines, which are not known where it is raised."""
        if self.locations:
            return self
        return DockerfileError(self.reason, self.hint, name=name, text=text, locations=(location,))


def excerpt(text: str, name: str, locations: tuple[Location, ...]) -> str:
    """Return the lines around `locations`, numbered, with `>>>` before those in `locations`."""
    lines = text.removeprefix("\ufeff").split("\n")
    if not locations:
        return ""
    first = max(1, min(location.first for location in locations))
    last = min(len(lines), max(location.last for location in locations))
    start, end = first, last
    while end - start + 1 < _SHOWN and (start > 1 or end < len(lines)):
        if end < len(lines):
            end += 1
        if start > 1 and end - start + 1 < _SHOWN:
            start -= 1
    if end == len(lines) and not lines[-1] and last < end:
        end -= 1
    out = [name + (f":{first}" if first == last else f":{first}-{last}"), "--------------------"]
    for number in range(start, end + 1):
        meant = any(location.first <= number <= location.last for location in locations)
        out.append(f"{number:4d} | {'>>>' if meant else '   '} {lines[number - 1].rstrip(chr(13))}".rstrip())
    return "\n".join([*out, "--------------------"])
