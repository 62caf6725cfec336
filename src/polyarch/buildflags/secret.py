"""`--secret` and `--ssh`. The content is read into memory here and never shown."""

from collections.abc import Mapping
from pathlib import Path

from polyarch import csvfields
from polyarch.buildflags import values
from polyarch.errors import NotFoundError, UsageError
from polyarch.secret import SecretBytes

_KEYS = frozenset({"id", "src", "source", "env", "type"})
_HINT = "expected id=ID,src=FILE or id=ID,env=NAME"


def contents(given: Mapping[str, bytes | Path], here: Path) -> dict[str, SecretBytes]:
    """The secrets in a mapping: bytes are the content, a Path is the file that contains it. Raises UsageError."""
    found: dict[str, SecretBytes] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, bytes | Path | SecretBytes):
            # Not the value itself: it may be the secret.
            raise UsageError(
                f"--secret {name} takes bytes or Path, not {type(value).__name__}",
                "pass bytes for its content, a Path for its file",
            )
        found[name] = _read(here / value) if isinstance(value, Path) else SecretBytes(bytes(value))
    return found


def parse(words: tuple[str, ...], variables: Mapping[str, str], here: Path) -> dict[str, SecretBytes]:
    """The secrets that `id=ID,src=FILE` and `id=ID,env=NAME` name, as buildx reads them (util/buildflags/secrets.go).

    Raises UsageError, NotFoundError.
    """
    found: dict[str, SecretBytes] = {}
    for word in filter(None, words):
        fields = _fields(word)
        name = fields["id"]
        source, variable = fields.get("src") or fields.get("source"), fields.get("env")
        if fields.get("type") == "env" and not variable:
            source, variable = None, source or name
        if variable is None and source is None and name in variables:
            variable = name
        if variable:
            value = variables.get(variable)
            if value is None:
                raise NotFoundError(f"--secret: the variable {variable} is not set")
            found[name] = SecretBytes(value.encode("utf-8", "surrogateescape"))
        else:
            found[name] = _read(here / _expanded(source or name, variables))
    return found


def _fields(word: str) -> dict[str, str]:
    """The attributes of a value. No message repeats it: a user may have given the secret instead of its name."""
    try:
        pairs = [field.partition("=") for field in csvfields.fields(word)]
    except csvfields.CsvError as error:
        raise UsageError(f"invalid --secret: {error}", _HINT) from None
    found = {key.lower(): value for key, _, value in pairs}
    if not all(equals for _, equals, _ in pairs) or not found.get("id") or found.keys() - _KEYS:
        raise UsageError("invalid --secret", _HINT)
    if found.get("type", "file") not in ("file", "env"):
        raise UsageError("invalid --secret: the type is neither file nor env", _HINT)
    return found


def agents(given: object, variables: Mapping[str, str], here: Path) -> dict[str, str]:
    """The sockets of ssh agents by their ids: {id: socket}, or `ID[=SOCKET]`. Raises UsageError, NotFoundError."""
    if isinstance(given, Mapping):
        given = [f"{name}={path}" for name, path in given.items()]
    found: dict[str, str] = {}
    for word in filter(None, values.words("--ssh", given)):
        name, _, path = word.partition("=")
        socket = str(here / path) if path else variables.get("SSH_AUTH_SOCK", "")
        if not socket:
            raise NotFoundError(
                "--ssh: SSH_AUTH_SOCK is not set", "start an ssh-agent, or name its socket: --ssh default=SOCKET"
            )
        try:
            is_socket = Path(socket).is_socket()
        except OSError:
            is_socket = False
        if not is_socket:
            raise UsageError(f"--ssh: {socket} is not a socket", "add the key to an ssh-agent, and name its socket")
        found[name] = socket
    return found


def _expanded(path: str, variables: Mapping[str, str]) -> str:
    """The path with `~/` expanded: a shell does not expand it in `src=~/…`."""
    return f"{variables['HOME']}{path[1:]}" if path.startswith("~/") and variables.get("HOME") else path


def _read(path: Path) -> SecretBytes:
    try:
        return SecretBytes(path.read_bytes())
    except OSError as error:
        raise NotFoundError(f"--secret: {path}: {error.strerror}", "src= names the file of the secret") from error
