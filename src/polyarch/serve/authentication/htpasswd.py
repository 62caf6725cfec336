"""`--auth htpasswd FILE`: the file of Apache's htpasswd, with bcrypt. Everyone in it may do everything.

bcrypt is slow on purpose, some 50 ms and more for each check, and an image of ten layers needs thirty requests. So a
password that was right is remembered: as a keyed hash, in memory, and only while the file has the same line for its
user. A wrong one is checked each time.
"""

import asyncio
import hashlib
import hmac
import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import msgspec

from polyarch.errors import PolyarchError
from polyarch.serve.access import EVERYTHING, NOTHING, AccessRefusal, ClientRights
from polyarch.serve.authentication import basic
from polyarch.serve.authentication.basic import Login
from polyarch.serve.authentication.file import WatchedFile

_BCRYPT = re.compile(rb"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_REALM = "polyarch"
# How much bcrypt reads of a password; htpasswd cuts it there.
_READ = 72
_REMEMBERED = 1024
# Checks that run at once, and that may wait: more passwords than these are not worth any client's time.
_THREADS = 2
_WAITING = 128
_HINT = "make an entry with: htpasswd -B FILE NAME"


class Passwords(msgspec.Struct, frozen=True):
    """The hashes of a file by name, and one that no password has, of the cost that most users have."""

    hashes: Mapping[str, bytes]
    decoy: bytes

    def __repr__(self) -> str:
        return f"Passwords({len(self.hashes)} users)"


class HtpasswdAccess:
    """Implements `access.AccessControl`. It owns threads until `close`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = WatchedFile(path, parse)
        self._key = os.urandom(32)
        # Right passwords: keyed hash of name and password → the hash in the file that they were checked against.
        self._right: OrderedDict[bytes, bytes] = OrderedDict()
        self._threads = ThreadPoolExecutor(_THREADS, "bcrypt")
        self._waiting = 0

    async def rights(self, authorization: str) -> ClientRights | AccessRefusal:
        """Implements `access.AccessControl`. An anonymous client may do nothing."""
        if not authorization:
            return NOTHING
        login = basic.parse(authorization)
        if login is None:
            return basic.MALFORMED
        try:
            passwords = self._file.content()
        except PolyarchError as error:
            return AccessRefusal(503, f"logins are refused: {error.message}")
        known = passwords.hashes.get(login.name)
        mark = self._mark(login)
        if known is not None and self._right.get(mark) == known:
            self._right.move_to_end(mark)
        elif self._waiting >= _WAITING:
            return AccessRefusal(429, "too many passwords are being checked; try again")
        elif not await self._check(login, passwords.decoy if known is None else known) or known is None:
            return basic.WRONG
        else:
            self._right[mark] = known
            if len(self._right) > _REMEMBERED:
                self._right.popitem(last=False)
        return msgspec.structs.replace(EVERYTHING, account=login.name)

    async def _check(self, login: Login, hashed: bytes) -> bool:
        """bcrypt, which does not hold the interpreter's lock. It compares in constant time."""
        # It reads a text up to a NUL, so that anything behind one would be as good.
        password = login.password.replace(b"\0", b"\xff")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(self._threads, bcrypt.checkpw, password[:_READ], hashed)
        finally:
            self._waiting -= 1
        return right and b"\0" not in login.password

    def _mark(self, login: Login) -> bytes:
        name = login.name.encode()
        text = len(name).to_bytes(4, "big") + name + login.password
        return hmac.digest(self._key, text, hashlib.sha256)

    def challenge(self, base: str, scope: str = "") -> str:
        """Implements `access.AccessControl`."""
        return basic.challenge(_REALM)

    def page_challenge(self) -> str:
        """Implements `access.AccessControl`."""
        return basic.challenge(_REALM)

    def close(self) -> None:
        """End the threads. Safe to call twice."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def parse(text: str) -> Passwords:
    """The users of a file: a line each, `NAME:HASH`; empty lines and those that begin with # count for nothing. Raises
    ValueError that names the line, and not what is in it.
    """
    hashes: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, hashed = line.strip().partition(":")
        encoded = hashed.encode()
        match = _BCRYPT.fullmatch(encoded)
        if not name or match is None or not 4 <= int(match[1]) <= 31:
            raise ValueError(f"line {number} is not NAME:HASH with a bcrypt hash, which begins with $2y$; {_HINT}")
        if name in hashes:
            raise ValueError(f"line {number} has a user that an earlier line has")
        hashes[name] = encoded
    return Passwords(hashes, _decoy(hashes))


def _decoy(hashes: Mapping[str, bytes]) -> bytes:
    """A hash that a password is checked against in vain, so that a user who does not exist takes as long as one who
    does.
    """
    costs = [hashed[4:6] for hashed in hashes.values()] or [b"05"]
    cost = max(set(costs), key=costs.count)
    letters = os.urandom(53)
    alphabet = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    # The last character of salt and hash has unused bits, which must be zero: a dot has them so.
    body = bytes(alphabet[letter % 64] for letter in letters)
    return b"$2b$" + cost + b"$" + body[:21] + b"." + body[22:52] + b"."
