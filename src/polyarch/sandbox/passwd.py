"""The format of etc/passwd and etc/group, as moby/sys/user reads it for docker and BuildKit. Pure."""

from collections.abc import Iterator, Sequence


def records(text: str) -> Iterator[list[str]]:
    """The fields of each line. Spaces around a line and empty lines are ignored."""
    for line in text.split("\n"):
        if line := line.strip():
            yield line.split(":")


def number(fields: Sequence[str], index: int) -> int | None:
    """The id in a field of a record; None if the field is missing or not a number."""
    return int(fields[index]) if len(fields) > index and is_number(fields[index]) else None


def is_number(text: str) -> bool:
    """Whether a text is an id and not a name."""
    return text.isascii() and text.isdigit()
