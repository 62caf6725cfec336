"""The text of a pattern → its tree (https://github.com/google/re2/wiki/Syntax, as Go's regexp/syntax reads it)."""

from typing import TypeAlias

import msgspec

from polyarch.bake.hcl.regex import charsets
from polyarch.bake.hcl.regex.charsets import CharSet

MAX_REPEAT = 1000
_MAX_DEPTH = 100
_MAX_PATTERN = 20_000
_ESCAPES = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}


class PatternError(ValueError):
    """A pattern that RE2 does not have."""


class OneOf(msgspec.Struct, frozen=True, eq=False):
    """One letter of a set."""

    letters: CharSet


class Assertion(msgspec.Struct, frozen=True, eq=False):
    """A place: `^` and `$` of lines, `A` and `z` of the text, `b` and `B` of words."""

    kind: str


class Sequence(msgspec.Struct, frozen=True, eq=False):
    """Parts, one after the other."""

    parts: tuple["Pattern", ...]


class Alternatives(msgspec.Struct, frozen=True, eq=False):
    """One of several, the first one if several match."""

    parts: tuple["Pattern", ...]


class Repetition(msgspec.Struct, frozen=True, eq=False):
    """A part several times. `most` is None without a limit."""

    part: "Pattern"
    least: int
    most: int | None
    greedy: bool


class CaptureGroup(msgspec.Struct, frozen=True, eq=False):
    """A part whose match is remembered under a number, from 1."""

    part: "Pattern"
    number: int


Pattern: TypeAlias = OneOf | Assertion | Sequence | Alternatives | Repetition | CaptureGroup


class ParsedPattern(msgspec.Struct, frozen=True, eq=False):
    """A pattern, and the names of its captures; a capture without a name has an empty one."""

    root: Pattern
    names: tuple[str, ...]


def parse(text: str) -> ParsedPattern:
    """Parse a pattern. Raises PatternError."""
    if len(text) > _MAX_PATTERN:
        raise PatternError(f"the pattern has more than {_MAX_PATTERN} letters")
    parser = _PatternParser(text)
    root = parser.alternatives(0)
    if parser.at < len(text):
        raise PatternError("there is no ( for a )")
    if _repeats(root) > MAX_REPEAT:
        raise PatternError(f"a part is repeated more than {MAX_REPEAT} times")
    return ParsedPattern(root, tuple(parser.names))


def _repeats(pattern: Pattern) -> int:
    """The largest product of nested counts."""
    match pattern:
        case Repetition():
            return max(1, pattern.least, pattern.most or 0) * _repeats(pattern.part)
        case CaptureGroup():
            return _repeats(pattern.part)
        case Sequence() | Alternatives():
            return max(map(_repeats, pattern.parts), default=1)
        case _:
            return 1


class _PatternParser:
    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0
        self.names: list[str] = []
        self._flags = frozenset[str]()

    def _next(self, count: int = 1) -> str:
        return self._text[self.at : self.at + count]

    def _take(self, word: str) -> bool:
        found = self._text.startswith(word, self.at)
        self.at += len(word) if found else 0
        return found

    def alternatives(self, depth: int) -> Pattern:
        """Parse up to the end or a closing parenthesis."""
        if depth > _MAX_DEPTH:
            raise PatternError(f"the pattern is nested more than {_MAX_DEPTH} deep")
        # Flags hold to the end of the group, also in the alternatives that follow.
        flags = self._flags
        found = [self._sequence(depth)]
        while self._take("|"):
            found.append(self._sequence(depth))
        self._flags = flags
        return found[0] if len(found) == 1 else Alternatives(tuple(found))

    def _sequence(self, depth: int) -> Pattern:
        parts: list[Pattern] = []
        while self.at < len(self._text) and self._next() not in "|)":
            if self._take("\\Q"):
                end = self._text.find("\\E", self.at)
                quoted = self._text[self.at : end if end >= 0 else len(self._text)]
                self.at = end + 2 if end >= 0 else len(self._text)
                parts += [self._literal(letter) for letter in quoted]
                if quoted and self.at < len(self._text):
                    parts.append(self._repeated(parts.pop()))
                continue
            part = self._atom(depth)
            if part is not None:
                parts.append(self._repeated(part))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self, part: Pattern) -> Pattern:
        bounds = self._bounds()
        if bounds is None:
            return part
        greedy = not self._take("?")
        if self._bounds() is not None:
            raise PatternError("a repetition cannot be repeated")
        return Repetition(part, *bounds, greedy != ("U" in self._flags))

    def _bounds(self) -> tuple[int, int | None] | None:
        for word, bounds in {"*": (0, None), "+": (1, None), "?": (0, 1)}.items():
            if self._take(word):
                return bounds
        if self._next() != "{":
            return None
        end = self._text.find("}", self.at)
        low, comma, high = self._text[self.at + 1 : max(end, 0)].partition(",")
        if end < 0 or not low.isdecimal() or (high and not high.isdecimal()) or not (low + high).isascii():
            return None
        self.at = end + 1
        if max(len(low), len(high)) > 4 or max(int(low), int(high or 0)) > MAX_REPEAT:
            raise PatternError(f"a count is larger than {MAX_REPEAT}")
        most = int(high) if high else None if comma else int(low)
        if most is not None and most < int(low):
            raise PatternError(f"the counts {{{low},{high}}} are not in order")
        return int(low), most

    def _atom(self, depth: int) -> Pattern | None:
        """One part; None for flags, which only change what follows."""
        letter = self._next()
        if letter == "(":
            return self._group(depth)
        if letter in "*+?":
            raise PatternError(f"there is nothing to repeat before {letter}")
        self.at += 1
        if letter == "[":
            return OneOf(self._class())
        if letter == ".":
            everything = [(0, 0x10FFFF)] if "s" in self._flags else charsets.inverted([(10, 10)])
            return OneOf(CharSet(everything))
        if letter == "^":
            return Assertion("^" if "m" in self._flags else "A")
        if letter == "$":
            return Assertion("$" if "m" in self._flags else "z")
        if letter != "\\":
            return self._literal(letter)
        if self._next() and self._next() in "AzbB":
            self.at += 1
            return Assertion(self._text[self.at - 1])
        ranges = self._named_class()
        if ranges is not None:
            return OneOf(CharSet(ranges, folded=False))
        return self._literal(self._escaped())

    def _literal(self, letter: str) -> Pattern:
        return OneOf(CharSet([(ord(letter), ord(letter))], folded="i" in self._flags))

    def _group(self, depth: int) -> Pattern | None:
        self.at += 1
        before = self._flags
        number = 0
        if self._take("?P<") or (self._next(2) == "?<" and self._next(3) not in ("?<=", "?<!") and self._take("?<")):
            number = self._name()
        elif self._take("?"):
            if self._set_flags():
                return None
        else:
            self.names.append("")
            number = len(self.names)
        inner = self.alternatives(depth + 1)
        if not self._take(")"):
            raise PatternError("a ( is not closed")
        self._flags = before
        return CaptureGroup(inner, number) if number else inner

    def _name(self) -> int:
        end = self._text.find(">", self.at)
        name = self._text[self.at : max(end, self.at)]
        if not name or not all(letter.isascii() and (letter.isalnum() or letter == "_") for letter in name):
            raise PatternError(f"{name!r} is not a name of a capture")
        self.at = end + 1
        self.names.append(name)
        return len(self.names)

    def _set_flags(self) -> bool:
        """Read flags. Returns whether they hold for what follows the group, not for what is in it."""
        flags, negative, seen = set(self._flags), False, False
        while self.at < len(self._text):
            letter = self._next()
            self.at += 1
            if letter in "imsU":
                (flags.discard if negative else flags.add)(letter)
                seen = True
            elif letter == "-" and not negative:
                negative, seen = True, False
            elif letter in ":)" and (seen or not negative):
                self._flags = frozenset(flags)
                return letter == ")"
            else:
                break
        raise PatternError("(? is followed by something that RE2 does not have")

    def _class(self) -> CharSet:
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self._next() != "]":
            if self.at >= len(self._text):
                raise PatternError("a [ is not closed")
            if self._next(2) == "[:" and (posix := self._posix()) is not None:
                ranges += posix
            elif self._next() == "\\" and (named := self._named_in_class()) is not None:
                ranges += named
            else:
                ranges.append(self._range(first=first))
            first = False
        self.at += 1
        return CharSet(ranges, negated=negated, folded="i" in self._flags)

    def _named_in_class(self) -> list[tuple[int, int]] | None:
        self.at += 1
        found = self._named_class()
        if found is None:
            self.at -= 1
        return found

    def _range(self, *, first: bool) -> tuple[int, int]:
        # A hyphen is literal at either end of a class.
        if self._next() == "-" and not first and self._next(2) != "-]":
            raise PatternError("a - in [] is neither at an end nor between two letters")
        low = self._member()
        high = low
        if self._next() == "-" and self._next(2) != "-]" and len(self._next(2)) == 2:
            self.at += 1
            high = self._member()
        if high < low:
            raise PatternError(f"the range {low}-{high} is not in order")
        return ord(low), ord(high)

    def _member(self) -> str:
        letter = self._next()
        self.at += 1
        return self._escaped() if letter == "\\" else letter

    def _posix(self) -> list[tuple[int, int]] | None:
        end = self._text.find(":]", self.at + 2)
        if end < 0:
            return None
        name = self._text[self.at + 2 : end]
        found = charsets.POSIX.get(name.removeprefix("^"))
        if found is None:
            raise PatternError(f"there is no class [:{name}:]")
        self.at = end + 2
        return charsets.inverted(found) if name.startswith("^") else list(found)

    def _named_class(self) -> list[tuple[int, int]] | None:
        """`\\d` and its like, after the backslash; None for another escape."""
        letter = self._next()
        if letter and letter in "dswDSW":
            self.at += 1
            found = charsets.PERL[letter.lower()]
            return charsets.inverted(found) if letter.isupper() else list(found)
        if not letter or letter not in "pP":
            return None
        self.at += 1
        name = self._next()
        if name == "{":
            end = self._text.find("}", self.at)
            name = self._text[self.at + 1 : max(end, self.at + 1)]
            self.at = max(end, self.at)
        self.at += 1
        known = charsets.category(name.removeprefix("^"))
        if known is None:
            raise PatternError(f"the class {name!r} of Unicode is not known: general categories are, as in \\p{{Lu}}")
        inverted = (letter == "P") != name.startswith("^")
        return charsets.inverted(known) if inverted else list(known)

    def _escaped(self) -> str:
        """The letter that an escape is, after the backslash."""
        letter = self._next()
        self.at += 1
        if not letter:
            raise PatternError("the pattern ends with a backslash")
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter == "x":
            return self._hexadecimal()
        if "0" <= letter <= "7" and (letter == "0" or "0" <= self._next() <= "7"):
            digits = letter
            while len(digits) < 3 and self._next() and self._next() in "01234567":
                digits += self._next()
                self.at += 1
            return chr(int(digits, 8))
        if (letter.isascii() and not letter.isalnum() and letter != "_") or letter == "_":
            return letter
        raise PatternError(f"there is no escape \\{letter}")

    def _hexadecimal(self) -> str:
        if self._take("{"):
            end = self._text.find("}", self.at)
            digits = self._text[self.at : max(end, self.at)]
            self.at = end + 1
        else:
            digits = self._next(2)
            self.at += 2
        valid = digits and len(digits) <= 8 and all(letter in "0123456789abcdefABCDEF" for letter in digits)
        if not valid or (len(digits) < 2 and self._text[self.at - 1] != "}") or int(digits, 16) > 0x10FFFF:
            raise PatternError(f"\\x{digits} is not a letter")
        return chr(int(digits, 16))
