"""Go's fmt.Sprint, Sprintln and Sprintf over the values of a template."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from polyarch.render.templates.formatting import FormatFlags, shown, type_name

# Flags; width and precision, each a number or * with an optional index of its argument; index of the value; verb.
_DIRECTIVE = re.compile(
    r"%(?P<flags>[#0+\- ]*)(?P<width_index>\[[^\]%]*\]|\[)?(?P<width>\*|[0-9]+)?"
    r"(?P<dot>\.(?P<precision_index>\[[^\]%]*\]|\[)?(?P<precision>\*|[0-9]+)?)?(?P<index>\[[^\]%]*\]|\[)?(?P<verb>.)?",
    re.DOTALL,
)
# Go takes a larger width or precision for a mistake.
_MOST = 1_000_000


def sprint(values: Sequence[Any]) -> str:
    """The values one after the other, with a space between two of which neither is a string."""
    out: list[str] = []
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            out.append(" ")
        out.append(shown(value))
    return "".join(out)


def sprintln(values: Sequence[Any]) -> str:
    """The values with spaces between them, and a newline."""
    return " ".join(map(shown, values)) + "\n"


def sprintf(form: str, values: Sequence[Any]) -> str:
    """`form` with its verbs replaced by the values. Mistakes show in the text as Go shows them, as `%!d(string=x)`."""
    arguments = _Arguments(values)
    out: list[str] = []
    position = 0
    for match in _DIRECTIVE.finditer(form):
        out += (form[position : match.start()], arguments.directive(match))
        position = match.end()
    return "".join(out) + form[position:] + arguments.extra()


class _Arguments:
    """The arguments of one printf, and which is next."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values
        self._next = 0
        self._reordered = False
        self._good = True

    def directive(self, match: "re.Match[str]") -> str:
        """The text for one directive."""
        self._good = True
        faults: list[str] = []
        letters = match["flags"]
        self._index(match["width_index"])
        width = self._number(match["width"], faults, "%!(BADWIDTH)")
        self._good &= not (match["width_index"] and (match["width"] or "").isdigit())
        precision = None
        if match["dot"]:
            self._good &= not (match["width_index"] and match["width"] != "*")
            self._index(match["precision_index"])
            self._good &= not (match["precision_index"] and (match["precision"] or "").isdigit())
            precision = self._number(match["precision"], faults, "%!(BADPREC)")
            if match["precision"] is None:
                precision = 0
            elif precision is not None and precision < 0:
                precision = None
                faults.append("%!(BADPREC)")
        self._index(match["index"])
        minus = "-" in letters or (width or 0) < 0
        flags = FormatFlags(
            plus="+" in letters,
            minus=minus,
            sharp="#" in letters,
            space=" " in letters,
            zero="0" in letters,
            width=abs(width or 0),
            precision=precision,
        )
        return "".join(faults) + self._value(match["verb"], flags)

    def _value(self, verb: str | None, flags: FormatFlags) -> str:
        if verb is None:
            return "%!(NOVERB)"
        if verb == "%":
            return "%"
        if not self._good:
            return f"%!{verb}(BADINDEX)"
        if self._next >= len(self._values):
            return f"%!{verb}(MISSING)"
        value = self._values[self._next]
        self._next += 1
        if verb == "v":
            flags = msgspec.structs.replace(flags, plus=False, sharp=False, go_syntax=flags.sharp)
        return shown(value, verb, flags)

    def _index(self, index: str | None) -> None:
        """Make `[2]` the next argument."""
        if not index:
            return
        self._reordered = True
        digits = index[1:-1]
        if index.endswith("]") and digits.isdecimal() and digits.isascii() and 1 <= int(digits) <= len(self._values):
            self._next = int(digits) - 1
        else:
            self._good = False

    def _number(self, text: str | None, faults: list[str], fault: str) -> int | None:
        """A width or precision: the number itself, or for `*` the next argument."""
        if text is None:
            return None
        if text != "*":
            return int(text) if int(text) <= _MOST else None
        value = self._values[self._next] if self._next < len(self._values) else None
        self._next += self._next < len(self._values)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST:
            return value
        faults.append(fault)
        return None

    def extra(self) -> str:
        """What Go appends for arguments that no verb used."""
        rest = self._values[self._next :]
        if self._reordered or not rest:
            return ""
        texts = ("<nil>" if value is None else f"{type_name(value)}={shown(value)}" for value in rest)
        return f"%!(EXTRA {', '.join(texts)})"
