"""Accepting connections, before anything is known of them: also of those that never finish a TLS handshake."""

import socket
from typing import Any

from polyarch.serve.tally import Tally, network


class CountedSocket(socket.socket):
    """A connection that counts in a Tally until it is closed."""

    _tally: Tally | None = None
    _address = ""

    def count(self, tally: Tally, address: str) -> bool:
        """Count it; False if there are too many."""
        if tally.take(address):
            self._tally, self._address = tally, address
        return self._tally is not None

    def close(self) -> None:
        """Close it, and count it no longer. Safe to call twice."""
        tally, self._tally = self._tally, None
        if tally is not None:
            tally.give(self._address)
        super().close()


class ListeningSocket(socket.socket):
    """A socket that accepts no more connections than a Tally allows: what is too many is closed at once."""

    tally: Tally | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Raises ConnectionAbortedError for a connection too many, which asyncio skips."""
        descriptor, address = self._accept()  # type: ignore[attr-defined]
        made = CountedSocket(self.family, self.type, self.proto, fileno=descriptor)
        if self.tally is not None and not made.count(self.tally, network(str(address[0]))):
            made.close()
            raise ConnectionAbortedError("too many connections")
        return made, address
