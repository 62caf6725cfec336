"""Text with bytes that may not be UTF-8 (surrogate escapes in a `str`), and the distance between words."""

from typing import Any


def shown(text: str) -> str:
    """Return `text` with a replacement character for each byte that is not UTF-8, as Go's encoders write it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def cleaned(value: Any) -> Any:
    """Return a value of lists, dicts and scalars with `shown` applied to every string in it."""
    match value:
        case str():
            return shown(value)
        case dict():
            return {cleaned(key): cleaned(item) for key, item in value.items()}
        case list() | tuple():
            return [cleaned(item) for item in value]
    return value


def distance(first: str, second: str, limit: int) -> int:
    """Return the edit distance of two words: insertions, removals and replacements, but at most `limit`."""
    if abs(len(first) - len(second)) >= limit:
        return limit
    row = list(range(len(second) + 1))
    for at, character in enumerate(first, 1):
        before, row[0] = row[0], at
        for column, against in enumerate(second, 1):
            before, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, before + (character != against)),
            )
    return min(row[-1], limit)
