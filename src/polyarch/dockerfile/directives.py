"""Parser directives: `# syntax=`, `# escape=`, `# check=` at the top of a Dockerfile."""

import msgspec

from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.words import SPACE

_KNOWN = frozenset(("syntax", "escape", "check"))


class Directives:
    """The directives read so far; the first line that is not a directive ends the section."""

    def __init__(self, comment: str = "#") -> None:
        self.values: dict[str, str] = {}
        self._comment = comment
        self._done = False

    def take(self, line: str) -> bool:
        """Return whether `line` is a directive.

        Raises DockerfileError if it is a duplicate or sets a bad escape character.
        """
        if self._done:
            return False
        key, value = _pair(line.removeprefix(self._comment)) if line.startswith(self._comment) else ("", "")
        if key not in _KNOWN:
            self._done = True
            return False
        if key in self.values:
            raise DockerfileError(f"only one {key} parser directive can be used")
        if key == "escape" and value not in ("\\", "`"):
            raise DockerfileError(f"invalid escape token '{value}' does not match ` or \\")
        self.values[key] = value
        return True


def _pair(comment: str) -> tuple[str, str]:
    """Key and value of `key=value`, empty strings for any other comment."""
    key, _, value = comment.lstrip(SPACE).partition("=")
    value = value.strip("\t\n\f\r ")
    return (key.rstrip("\t\n\f\r ").lower(), value) if value else ("", "")


def find(text: str, key: str) -> str:
    """Return the value of a directive in a whole file, or an empty string. A `#!` line may precede it.

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


def is_dockerfile(syntax: str) -> bool:
    """Return whether the value of `# syntax=`, which may be empty, names the Dockerfile language, in any version."""
    name = syntax.split(" ", 1)[0].removeprefix("docker.io/").partition("@")[0].partition(":")[0]
    return name in ("", "docker/dockerfile", "docker/dockerfile-upstream")


def _first(body: str, comment: str) -> dict[str, str]:
    directives = Directives(comment)
    try:
        for line in body.split("\n"):
            if not directives.take(line.removesuffix("\r")):
                break
    except DockerfileError:
        pass  # `parse` reports it, with the line
    return directives.values
