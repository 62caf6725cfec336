"""`--chmod`: octal modes, and symbolic ones as in chmod(1) (`u+x,go=rX`). Pure."""

import re

import msgspec

from polyarch.errors import UsageError

_CLAUSE = r"([ugoa]*)((?:[-+=][rwxXstugo]*)+)"
_ACTION = r"([-+=])([rwxXstugo]*)"
_SHIFT = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}


class Mode(msgspec.Struct, frozen=True):
    """A parsed `--chmod`. `octal` is None if the mode is symbolic."""

    octal: int | None
    clauses: tuple[tuple[str, str], ...] = ()

    def apply(self, mode: int, *, directory: bool) -> int:
        """The twelve permission bits that result from `mode`."""
        if self.octal is not None:
            return self.octal
        for who, actions in self.clauses:
            for operator, permissions in re.findall(_ACTION, actions):
                mode = _apply(mode, who, operator, permissions, directory)
        return mode


def parse(text: str) -> Mode:
    """Parse the value of `--chmod`. Raises UsageError with BuildKit's message."""
    if text.isdigit():
        value = int(text, 8) if all(digit in "01234567" for digit in text) else -1
        if not 0 <= value <= 0o7777:
            raise UsageError(
                f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777",
                "write it as in --chmod=755, or symbolically as in --chmod=u+x",
            )
        return Mode(value)
    clauses = []
    for clause in text.split(","):
        match = re.fullmatch(_CLAUSE, clause)
        if match is None:
            raise UsageError(
                f"invalid chmod parameter: '{text}'", "write it as in --chmod=755, or symbolically as in --chmod=u+x"
            )
        clauses.append((match[1], match[2]))
    return Mode(None, tuple(clauses))


def _apply(mode: int, who: str, operator: str, permissions: str, directory: bool) -> int:
    classes = "ugo" if not who or "a" in who else who
    bits = special = mask = 0
    for user_class in classes:
        shift = _SHIFT[user_class]
        mask |= 7 << shift
        for letter in permissions:
            if letter in _BITS:
                bits |= _BITS[letter] << shift
            elif letter == "X" and (directory or mode & 0o111):
                bits |= 1 << shift
            elif letter in _SHIFT:
                bits |= ((mode >> _SHIFT[letter]) & 7) << shift
    if "s" in permissions:
        special |= (0o4000 if "u" in classes else 0) | (0o2000 if "g" in classes else 0)
    if "t" in permissions:
        special |= 0o1000
    if operator == "+":
        return mode | bits | special
    if operator == "-":
        return mode & ~(bits | special)
    # `=` clears the bits that it does not set, except the sticky bit.
    cleared = mask | (0o4000 if "u" in classes else 0) | (0o2000 if "g" in classes else 0)
    return (mode & ~cleared) | bits | special
