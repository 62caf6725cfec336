"""Files of `Name: value` lines: deb822(5) of Debian, the core metadata of Python, and the index format of apk."""

from collections.abc import Iterator


def text(raw: bytes) -> tuple[str, tuple[str, ...]]:
    """The text of a file, and a note if it is not UTF-8."""
    # As the codec utf-8-sig does it, which is written in Python.
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return raw.decode(), ()
    except UnicodeDecodeError as error:
        note = f"it is not UTF-8 at byte {error.start}; such bytes are shown as U+FFFD"
        return raw.decode("utf-8", "replace"), (note,)


def cut_off(raw: bytes) -> tuple[str, ...]:
    """A note if the last line of a package manager's database has no end, which the package manager writes."""
    return ("its last line has no end; the file may be cut off",) if raw and not raw.endswith(b"\n") else ()


def paragraphs(content: str, separator: str = ":") -> Iterator[dict[str, list[str]]]:
    """The paragraphs of a text: the values of each field, in order. Names are lowercase.

    A line that begins with a space or tab continues the value above it.
    """
    found: dict[str, list[str]] = {}
    last = ""
    for line in content.split("\n"):
        line = line.rstrip("\r")
        if not line.strip():
            if found:
                yield found
            found, last = {}, ""
        elif line[0] in " \t":
            if last:
                found[last][-1] += "\n" + line.strip()
        else:
            name, colon, value = line.partition(separator)
            last = name.strip().lower() if colon else ""
            if last:
                found.setdefault(last, []).append(value.strip())
    if found:
        yield found


def first(fields: dict[str, list[str]], name: str) -> str:
    """The first value of a field; empty if it is absent."""
    return fields.get(name, [""])[0]
