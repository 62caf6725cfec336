"""What goes wrong with a farm, apart from the steps themselves."""

from typing import Literal

from polyarch.errors import PolyarchError, UnsupportedError

FaultKind = Literal["died", "cut-off", "disk-full", "slow", "version", "machine"]

# What happened, as the output of a build says it.
_WORDS: dict[FaultKind, str] = {
    "died": "ended in the middle of the step",
    "cut-off": "cannot be reached",
    "disk-full": "has no space left",
    "slow": "is too slow",
    "version": "has another version of Polyarch",
    "machine": "cannot run the step",
}


class MemberError(PolyarchError):
    """A member could not perform a step that another member may be able to: the step moves on, once."""

    def __init__(self, kind: FaultKind, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.kind: FaultKind = kind

    @property
    def words(self) -> str:
        """What happened to the member, without its name."""
        return _WORDS[self.kind]


class FarmError(UnsupportedError):
    """The farm cannot be used: its scheduler is not reached, or no member is able to do what is needed."""
