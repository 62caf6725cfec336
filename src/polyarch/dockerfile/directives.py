"""Parser directives: `# syntax=`, `# escape=`, `# check=` at the very top of a Dockerfile."""

import re

import msgspec

from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.words import SPACE

_DIRECTIVE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*")
_KNOWN = frozenset(("syntax", "escape", "check"))


class Directives:
    """The section of directives while lines are read: the first line that is none ends it."""

    def __init__(self, comment: str = "#") -> None:
        self.values: dict[str, str] = {}
        self._comment = comment
        self._done = False

    def take(self, line: str) -> bool:
        """Whether `line` is a directive; raises DockerfileError where it repeats one or sets a bad escape."""
        if self._done:
            return False
        found = None
        if line.startswith(self._comment):
            found = _DIRECTIVE.fullmatch(line[len(self._comment) :].lstrip(SPACE))
        key = found[1].lower() if found else ""
        if found is None or key not in _KNOWN:
            self._done = True
            return False
        if key in self.values:
            raise DockerfileError(f"only one {key} parser directive can be used")
        if key == "escape" and found[2] not in ("\\", "`"):
            raise DockerfileError(f"invalid escape token '{found[2]}' does not match ` or \\")
        self.values[key] = found[2]
        return True


def find(text: str, key: str) -> str:
    """The value of a directive of a whole file, empty where there is none; a `#!` line may stand before it.

    `syntax` is also found in `//` comments and in a JSON object, so that a file in another language can name the
    frontend that reads it.
    """
    body = text.removeprefix("\ufeff")
    if body.startswith("#!"):
        body = body.partition("\n")[2]
    for comment in ("#", "//") if key == "syntax" else ("#",):
        value = _first(body, comment).get(key)
        if value:
            return value
    if key == "syntax" and body.lstrip().startswith("{"):
        try:
            value = msgspec.json.decode(body).get(key)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return ""
        return value if isinstance(value, str) else ""
    return ""


def _first(body: str, comment: str) -> dict[str, str]:
    directives = Directives(comment)
    try:
        for line in body.split("\n"):
            if not directives.take(line.removesuffix("\r")):
                break
    except DockerfileError:
        pass  # `parse` says so, with the line
    return directives.values
