"""All exceptions of Polyarch, as one family.

A message says what failed and where; a hint says what to do next. `cli/` prints both and chooses the exit status by
class: 2 for UsageError, 1 for all others.
"""


class PolyarchError(Exception):
    """A failure that the user can act on.

    `message` is one or more lines without a trailing full stop; `hint` is what to try next.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # The parameters of subclasses are not `args`, from which an exception is restored by default.
        return _restored, (type(self), self.args, vars(self))


def _restored(kind: type[PolyarchError], args: tuple[object, ...], state: dict[str, object]) -> PolyarchError:
    """An exception that was pickled, as process pools do, or copied."""
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


class UsageError(PolyarchError):
    """Invalid arguments: an unknown flag, or a value that does not parse."""


class NotFoundError(PolyarchError):
    """Something that was named does not exist: a tag, a blob, a file, a stage."""


class NoImageError(NotFoundError):
    """An image that was named is not in the store."""

    def __init__(self, name: str, hint: str | None = None) -> None:
        super().__init__(f"there is no image {name} in the store", hint)
        self.name = name


class ConflictError(PolyarchError):
    """A request contradicts what already exists."""


class CorruptError(PolyarchError):
    """Bytes do not match their digest, size or format."""


class SignatureError(PolyarchError):
    """An image has no signature that holds: none at all, or only of other keys, identities or images."""


class UnsupportedError(PolyarchError):
    """This machine, kernel or peer cannot do what was requested; the hint names what would help."""


class MachineError(UnsupportedError):
    """This machine cannot run processes in images, or not those of a platform: `polyarch doctor` shows why."""


class BuildError(PolyarchError):
    """A step of a build failed."""


class CancelledError(PolyarchError):
    """Work was stopped because its result is no longer wanted: another step failed, or the user interrupted it."""

    def __init__(self) -> None:
        super().__init__("cancelled")


class RegistryError(PolyarchError):
    """A registry refused a request or could not be reached.

    `status` is the HTTP status, 0 if there was no response. `codes` are the error codes of the OCI distribution
    specification, in the registry's order. `retryable` says whether another attempt makes sense, and `exhausted` that
    all attempts have failed (`oci/retry.py`).
    """

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        *,
        status: int = 0,
        codes: tuple[str, ...] = (),
        retryable: bool = False,
        exhausted: bool = False,
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.codes = codes
        self.retryable = retryable
        self.exhausted = exhausted
