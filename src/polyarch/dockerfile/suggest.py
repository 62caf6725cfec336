"""What a person may have meant."""

from collections.abc import Iterable

from polyarch.dockerfile.source import DockerfileError

# As BuildKit (util/suggest), which took it from HCL: three edits are another word.
_TOO_FAR = 3


def nearest(word: str, options: Iterable[str], *, case: bool = True) -> str:
    """The option that is nearest to `word`, empty where none is near."""
    best, found = _TOO_FAR, ""
    sought = word if case else word.lower()
    for option in sorted(options):
        distance = _distance(sought, option if case else option.lower())
        if distance < best:
            best, found = distance, option
    return found


def unknown(reason: str, word: str, options: Iterable[str], *, case: bool = True) -> DockerfileError:
    """The error `reason`, with what may have been meant."""
    meant = nearest(word, options, case=case)
    return DockerfileError(f"{reason} (did you mean {meant}?)" if meant else reason)


def _distance(one: str, other: str) -> int:
    """The least number of insertions, removals and replacements, or _TOO_FAR."""
    if abs(len(one) - len(other)) >= _TOO_FAR:
        return _TOO_FAR
    row = list(range(len(other) + 1))
    for at, character in enumerate(one, 1):
        before, row[0] = row[0], at
        for column, against in enumerate(other, 1):
            before, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, before + (character != against)),
            )
    return row[-1]
