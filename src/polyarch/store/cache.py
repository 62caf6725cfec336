"""The cache: results of earlier work by kind and key, in a sqlite file that may disappear at any time. A failure of the
cache never fails a command. A broken file, or one of another version, is deleted and created again; on a full disk, or
if another process writes for too long, nothing is remembered. `tables.py` says which kinds there are.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from polyarch.store.layout import StoreLayout
from polyarch.store.locks import FileLock

if TYPE_CHECKING:
    import sqlite3

# Version 2 has `keeps`: the blobs and snapshots that are needed as long as the row exists.
_VERSION = 2
_SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS entries (
        kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, used INTEGER NOT NULL, keeps TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    PRAGMA user_version = {_VERSION};
"""
_NOW = "CAST(strftime('%s', 'now') AS INTEGER)"
_PUT = f"INSERT OR REPLACE INTO entries VALUES (?, ?, ?, {_NOW}, ?)"
_TOUCH = f"UPDATE entries SET used = {_NOW} WHERE kind = ? AND key = ?"
# Numbers are kept as decimal digits, so that every value is bytes.
_ADD = "UPDATE entries SET value = CAST(CAST(CAST(value AS INTEGER) + ? AS TEXT) AS BLOB) WHERE kind = ? AND key = ?"
_TOTAL = "SELECT SUM(LENGTH(value)) FROM entries"
_TRIM = """
    DELETE FROM entries WHERE (kind, key) IN (
        SELECT kind, key FROM (
            SELECT kind, key, SUM(LENGTH(value)) OVER (ORDER BY used DESC, kind, key) AS total FROM entries
        ) WHERE total > ?
    )
"""
_WAIT = 10.0
_T = TypeVar("_T")


class Cache:
    """The cache of a store: one connection, opened at the first use, shared by all threads, closed by `close`."""

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout
        self._mutex = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._touched: set[tuple[str, str]] = set()

    def get(self, kind: str, key: str) -> bytes | None:
        """The value of a key, or None. `close` records that it was used."""
        key = _encodable(key)

        def select(connection: sqlite3.Connection) -> bytes | None:
            query = "SELECT value FROM entries WHERE kind = ? AND key = ?"
            row: tuple[bytes] | None = connection.execute(query, (kind, key)).fetchone()
            if row is None:
                return None
            self._touched.add((kind, key))
            return row[0]

        return self._run(select, None)

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Remember `value`."""
        self.put_many(kind, [(key, value)])

    def put_many(self, kind: str, items: Iterable[tuple[str, bytes]]) -> None:
        """Remember several values in one transaction."""
        self.put_rows(kind, ((key, value, "") for key, value in items))

    def put_rows(self, kind: str, rows: Iterable[tuple[str, bytes, str]]) -> None:
        """Remember keys and values, each with the lines that `kept` gives."""
        made = [(kind, _encodable(key), value, keeps) for key, value, keeps in rows]
        self._write(lambda connection: connection.executemany(_PUT, made))

    def kept(self, kind: str) -> set[str]:
        """The lines that were put with the values of a kind."""
        query = "SELECT DISTINCT keeps FROM entries WHERE kind = ?"
        rows: list[tuple[str]] = self._run(lambda connection: connection.execute(query, (kind,)).fetchall(), [])
        return {line for (lines,) in rows for line in filter(None, lines.split("\n"))}

    def add(self, kind: str, key: str, amount: int) -> None:
        """Add to a number, atomically. Does nothing if there is no number: the sum would be wrong."""
        self._write(lambda connection: connection.execute(_ADD, (amount, kind, key)))

    def delete(self, kind: str, key: str) -> None:
        """Forget a value."""
        key = _encodable(key)
        self._write(
            lambda connection: connection.execute("DELETE FROM entries WHERE kind = ? AND key = ?", (kind, key))
        )

    def entries(self, kind: str) -> list[tuple[str, bytes]]:
        """All keys and values of a kind, the least recently used first."""
        query = "SELECT key, value FROM entries WHERE kind = ? ORDER BY used, key"
        return self._run(lambda connection: connection.execute(query, (kind,)).fetchall(), [])

    def clear(self, kind: str | None = None) -> None:
        """Forget all values of a kind, or of all kinds."""
        if kind is None:
            self._write(lambda connection: connection.execute("DELETE FROM entries"))
            self._run(lambda connection: connection.execute("VACUUM"), None)
        else:
            self._write(lambda connection: connection.execute("DELETE FROM entries WHERE kind = ?", (kind,)))

    def prepare(self) -> None:
        """Open the file, which is otherwise done when it is first needed: 2 ms, with the import of sqlite3."""
        self._run(lambda _: None, None)

    def size(self) -> int:
        """The size of the file in bytes; 0 if it does not exist."""
        total = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(self._layout.cache + suffix).st_size
        return total

    def trim(self, size: int) -> None:
        """Forget the least recently used values, until all values together have at most `size` bytes."""
        total = self._run(lambda connection: connection.execute(_TOTAL).fetchone()[0], None) or 0
        if total > size:
            self._write(lambda connection: connection.execute(_TRIM, (size,)))
            self._run(lambda connection: connection.execute("VACUUM"), None)

    def discard(self) -> None:
        """Delete the file, because on a full disk it cannot be emptied. It is created again when it is needed."""
        with self._mutex:
            self._discard()

    def close(self) -> None:
        """Record which values were used, and close the connection. Safe to call twice."""
        if self._touched:
            rows, self._touched = sorted(self._touched), set()
            self._write(lambda connection: connection.executemany(_TOUCH, rows))
        with self._mutex:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _write(self, change: Callable[[sqlite3.Connection], object]) -> None:
        def transaction(connection: sqlite3.Connection) -> None:
            with connection:
                change(connection)

        self._run(transaction, None)

    def _run(self, work: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        import sqlite3

        with self._mutex:
            for last in (False, True):
                try:
                    if self._connection is None:
                        self._connection = self._open()
                    return work(self._connection)
                except sqlite3.DatabaseError as error:
                    code: int | None = getattr(error, "sqlite_errorcode", None)
                    if code is None:
                        raise  # raised by the module and not by sqlite: a bug of this program
                    # Locked, full or read-only: it is only a cache, so the caller does the work again.
                    if last or code & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                        return otherwise
                    self._discard()
        return otherwise

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        connection = sqlite3.connect(self._layout.cache, timeout=_WAIT, check_same_thread=False, cached_statements=64)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # A power cut may cost the last entries or the file; content is verified by its digest all the same.
            connection.execute("PRAGMA synchronous = OFF")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != _VERSION:
                # A new file is not emptied: another process may have just created its table.
                drop = "DROP TABLE IF EXISTS entries;" if version else ""
                connection.executescript(f"BEGIN IMMEDIATE; {drop} {_SCHEMA} COMMIT;")
        except BaseException:
            connection.close()
            raise
        return connection

    def _discard(self) -> None:
        """Delete the file, unless another process already has."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        with FileLock(self._layout.lock("cache")):
            for suffix in ("", "-wal", "-shm"):
                try:
                    os.unlink(self._layout.cache + suffix)
                except FileNotFoundError:
                    continue


def _encodable(key: str) -> str:
    """The key without surrogate escapes, which paths that are not UTF-8 have and sqlite refuses."""
    return key if key.isascii() else key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
