"""The format of etc/passwd and etc/group, as moby/sys/user reads it for docker and BuildKit. Pure."""

from collections.abc import Iterator, Sequence


def records(text: str) -> Iterator[list[str]]:
    """Yield the fields of each line. Empty lines, and spaces around a line, are ignored."""
    for line in text.split("\n"):
        if line := line.strip():
            yield line.split(":")


def number(fields: Sequence[str], index: int) -> int | None:
    """Return the id in a field of a record; None if the field is missing or not a number."""
    return int(fields[index]) if len(fields) > index and is_number(fields[index]) else None


def is_number(text: str) -> bool:
    """Return whether a text is an id, not a name."""
    return text.isascii() and text.isdigit()
