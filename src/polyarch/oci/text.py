"""Text whose bytes need not be UTF-8 (such bytes are surrogate escapes in a `str`), and how near two words are."""

from typing import Any


def shown(text: str) -> str:
    """`text` with a replacement character for what is not UTF-8, as Go's encoders write it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def cleaned(value: Any) -> Any:
    """A value of lists, dicts and scalars with `shown` for every text in it."""
    match value:
        case str():
            return shown(value)
        case dict():
            return {cleaned(key): cleaned(item) for key, item in value.items()}
        case list() | tuple():
            return [cleaned(item) for item in value]
    return value


def distance(one: str, other: str, limit: int) -> int:
    """The least number of insertions, removals and replacements between two words, or `limit`, if that is less."""
    if abs(len(one) - len(other)) >= limit:
        return limit
    row = list(range(len(other) + 1))
    for at, character in enumerate(one, 1):
        before, row[0] = row[0], at
        for column, against in enumerate(other, 1):
            before, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, before + (character != against)),
            )
    return min(row[-1], limit)
