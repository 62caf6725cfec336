"""Text whose bytes need not be UTF-8: such bytes are surrogate escapes in a `str`, which no encoder takes."""

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
