"""What a person may have meant."""

from collections.abc import Iterable

from polyarch.dockerfile.source import DockerfileError
from polyarch.oci.text import distance

# As BuildKit (util/suggest), which took it from HCL: three edits are another word.
_TOO_FAR = 3


def nearest(word: str, options: Iterable[str], *, case: bool = True) -> str:
    """The option that is nearest to `word`, empty where none is near."""
    best, found = _TOO_FAR, ""
    sought = word if case else word.lower()
    for option in sorted(options):
        edits = distance(sought, option if case else option.lower(), _TOO_FAR)
        if edits < best:
            best, found = edits, option
    return found


def unknown(reason: str, word: str, options: Iterable[str], *, case: bool = True) -> DockerfileError:
    """The error `reason`, with what may have been meant."""
    meant = nearest(word, options, case=case)
    return DockerfileError(f"{reason} (did you mean {meant}?)" if meant else reason)
