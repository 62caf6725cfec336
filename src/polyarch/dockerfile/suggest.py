"""Suggestions for misspelt words."""

from collections.abc import Iterable

from polyarch.dockerfile.source import DockerfileError
from polyarch.oci.text import distance

# As in BuildKit (util/suggest), which took it from HCL: a word with three edits is a different word.
_TOO_FAR = 3


def nearest(word: str, options: Iterable[str], *, case: bool = True) -> str:
    """Return the option that is most similar to `word`, or an empty string if none is similar."""
    best, closest = _TOO_FAR, ""
    sought = word if case else word.lower()
    for option in sorted(options):
        edits = distance(sought, option if case else option.lower(), _TOO_FAR)
        if edits < best:
            best, closest = edits, option
    return closest


def unknown(reason: str, word: str, options: Iterable[str], *, case: bool = True) -> DockerfileError:
    """Return an error with `reason` and a suggestion."""
    meant = nearest(word, options, case=case)
    return DockerfileError(f"{reason} (did you mean {meant}?)" if meant else reason)
