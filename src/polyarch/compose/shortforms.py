"""The short forms of ports, volumes, devices and commands."""

import posixpath
import re
from typing import Any

from polyarch.compose.places import ComposeError, TreePath, shown

_PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?", re.ASCII)
_LARGEST_PORT = 65535


def volume(text: str, path: TreePath) -> dict[str, Any]:
    """`[SOURCE:]TARGET[:OPTIONS]` as a mount. Raises ComposeError."""
    if not text:
        raise ComposeError(f"{shown(path)}: a volume is empty")
    if len(text) <= 2:
        return {"type": "volume", "target": text}
    parts = _colon_parts(text)
    if not all(parts):
        raise ComposeError(f"{shown(path)}: {text!r} has nothing between two colons")
    if len(parts) > 3:
        raise ComposeError(f"{shown(path)}: {text!r} has too many colons", "use the long form of a volume")
    source, target = ("", parts[0]) if len(parts) == 1 else parts[:2]
    found: dict[str, Any] = {"type": "bind" if _is_path(source) else "volume"}
    found |= {"source": source} if source else {}
    found["target"] = posixpath.normpath(target).replace("//", "/") if target.startswith("/") else target
    bind: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option in ("ro", "rw"):
            found.pop("read_only", None)
            found |= {"read_only": True} if option == "ro" else {}
        elif option == "nocopy":
            more = {"nocopy": True}
        elif option in _PROPAGATIONS:
            bind["propagation"] = option
        elif option in ("z", "Z"):
            bind["selinux"] = option
    if found["type"] == "bind":
        found["bind"] = {**bind, "create_host_path": True}
        return {**found, "volume": more} if more else found
    return {**found, **({"bind": bind} if bind else {}), "volume": more}


def _colon_parts(text: str) -> list[str]:
    """The text split at colons, except in `${…}` and after the letter of a drive."""
    parts, current, depth = [], "", 0
    for index, letter in enumerate(text):
        if letter == "$" and text[index + 1 : index + 2] == "{":
            depth += 1
        elif letter == "}" and depth:
            depth -= 1
        elif letter == ":" and not depth and not (len(current) == 1 and current.isalpha()):
            parts.append(current)
            current = ""
            continue
        current += letter
    return [*parts, current]


def _is_path(source: str) -> bool:
    return source.startswith((".", "/", "~", "\\\\")) or (source[:1].isalpha() and source[1:2] == ":")


def device(text: str, path: TreePath) -> dict[str, Any]:
    """`SOURCE[:TARGET[:PERMISSIONS]]` as a device. Raises ComposeError."""
    parts = text.split(":")
    if len(parts) > 3:
        raise ComposeError(f"{shown(path)}: {text!r} has too many colons", "use the long form of a device")
    target = parts[1] if len(parts) > 1 else ""
    permissions = parts[2] if len(parts) > 2 else "rwm"
    return {"source": parts[0], "target": target or parts[0], "permissions": permissions}


def ports(text: str, path: TreePath) -> list[dict[str, Any]]:
    """`[[IP:]PUBLISHED:]TARGET[/PROTOCOL]` with ranges, as ports. Raises ComposeError."""

    def wrong(reason: str) -> ComposeError:
        return ComposeError(f"{shown(path)}: {text!r} is not a port: {reason}", "as in 8080:80 or 127.0.0.1:53:53/udp")

    rest, _, protocol = text.rpartition("/") if "/" in text else (text, "", "tcp")
    protocol = protocol or "tcp"
    address, published, target = _port_parts(rest)
    if not target or target == "0":
        raise wrong("it has no container port")
    if protocol.lower() not in ("tcp", "udp", "sctp"):
        raise wrong(f"the protocol {protocol} is unknown")
    inside = _port_range(target)
    outside = _port_range(published) if published else None
    if inside is None or (published and outside is None):
        raise wrong("a port is a number from 0 to 65535, or a range")
    if address.startswith("[") or (address and not _is_address(address)):
        address = address.strip("[]")
        if not _is_address(address):
            raise wrong(f"{address} is not an address")
    count = inside[1] - inside[0] + 1
    if outside is not None and outside[1] - outside[0] + 1 != count and count != 1:
        raise wrong("the ranges have different lengths")
    found = []
    for number in range(count):
        one: dict[str, Any] = {"mode": "ingress"}
        one |= {"host_ip": address} if address else {}
        one["target"] = inside[0] + number
        if outside is not None:
            spread = outside[1] - outside[0] + 1 != count
            one["published"] = f"{outside[0]}-{outside[1]}" if spread else str(outside[0] + number)
        found.append({**one, "protocol": protocol.lower()})
    # The order of docker's parser: by the container port and protocol as text.
    return sorted(found, key=lambda one: f"{one['target']}/{one['protocol']}")


def _port_parts(text: str) -> tuple[str, str, str]:
    """Address, published port and container port."""
    parts = text.split(":")
    if len(parts) <= 2:
        return "", parts[0] if len(parts) == 2 else "", parts[-1]
    return ":".join(parts[:-2]), parts[-2], parts[-1]


def _port_range(text: str) -> tuple[int, int] | None:
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    low, high = int(match[1]), int(match[2] or match[1])
    return (low, high) if low <= high <= _LARGEST_PORT else None


def _is_address(text: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def command(text: str, path: TreePath) -> list[str]:
    """A command line as words, by the rules of docker compose (go-shellwords): it ends at a `;`, `&`, `|`, `<` or `>`
    without quotes. Raises ComposeError for a quote or a bracket that is not closed.
    """
    reader = _CommandReader()
    if not all(reader.take(letter) for letter in text):
        reader.open = ""
    if reader.open or reader.is_wrong:
        raise ComposeError(f"{shown(path)}: {text!r} is not a command line", "a quote or a bracket is not closed")
    return reader.words()


class _CommandReader:
    """Takes the letters of a command line. `open` is what is not closed: a quote, a backquote, `(` or a backslash."""

    def __init__(self) -> None:
        self.open = ""
        self.is_wrong = False
        self._quoted = ""
        self._words: list[str] = []
        self._word: str | None = None

    def words(self) -> list[str]:
        return [*self._words, *([] if self._word is None else [self._word])]

    def take(self, letter: str) -> bool:
        """Take a letter. Returns whether the command goes on."""
        if self.open == "\\":
            self.open = self._quoted
            self._add({"t": "\t", "n": "\n"}.get(letter, letter))
        elif letter == "\\" and self.open != "'":
            self._quoted, self.open = self.open, "\\"
        elif letter in " \t\r\n":
            if self.open:
                self._buffer(letter)
            elif self._word is not None:
                self._words.append(self._word)
                self._word = None
        elif letter in ";&|<>" and not self.open:
            # As in `2>`, a number before it is not a word.
            if letter == ">" and (self._word or "")[:1].isdecimal():
                self._word = None
            return False
        else:
            return self._mark(letter)
        return True

    def _mark(self, letter: str) -> bool:
        if letter in "\"'" and self.open in ("", letter):
            self._word = self._word or ""
            self.open = "" if self.open else letter
            return True
        if letter == "`" and self.open in ("", letter):
            self.open = "" if self.open else letter
        elif letter == ")" and self.open in ("", "("):
            self.open = "" if self.open else "("
        elif letter == "(" and self.open in ("", "("):
            self.is_wrong = bool(self.open) or not (self._word or "").endswith("$")
            self.open = "("
            self._buffer(letter)
            return not self.is_wrong
        self._add(letter)
        return True

    def _add(self, letter: str) -> None:
        self._word = (self._word or "") + letter

    _buffer = _add
