"""What can go wrong, as one family of exceptions.

A message says what failed and where; a hint says what to do next. `cli/` prints both and chooses the exit
status by kind: UsageError 2, everything else 1.
"""


class PolyarchError(Exception):
    """A failure that a person can act on.

    `message` is one or more lines without a trailing full stop; `hint` is what to try next.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PolyarchError):
    """The words given do not fit: an unknown flag, a value that does not parse."""


class NotFoundError(PolyarchError):
    """Something that was named is not there: a tag, a blob, a file, a stage."""


class ConflictError(PolyarchError):
    """What is asked for contradicts what is there already."""


class CorruptError(PolyarchError):
    """Bytes are not what their digest, size or format says."""


class UnsupportedError(PolyarchError):
    """This machine, kernel or peer cannot do what was asked; the hint names what would help."""


class BuildError(PolyarchError):
    """A step of a build failed."""


class CancelledError(PolyarchError):
    """Work was given up because its result is not wanted any more: another step failed, or a person interrupted."""

    def __init__(self) -> None:
        super().__init__("cancelled")


class RegistryError(PolyarchError):
    """A registry refused or could not be reached.

    `status` is the HTTP status, 0 when there was no answer; `codes` are the error codes of the OCI
    distribution specification, in the registry's order; `retryable` says whether asking again makes sense, and
    `exhausted` that it was asked again in vain (`oci/retry.py`).
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
