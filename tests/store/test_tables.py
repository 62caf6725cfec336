"""The tables of the cache: declared once, typed, and forgiving of rows that cannot be read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from polyarch.errors import CorruptError
from polyarch.oci import digest as digests
from polyarch.store import Store, tables
from polyarch.store.cache import Cache
from polyarch.store.growth import Growth
from polyarch.store.tables import Kept, Kind, Table

SOURCE = Path(__file__).parents[2] / "src" / "polyarch"
KINDS = {name: kind for name, kind in vars(tables).items() if isinstance(kind, Kind)}
BLOB = digests.of(b"blob")


class Value(msgspec.Struct, frozen=True):
    number: int
    snapshot: str = ""


@pytest.fixture
def table() -> Table[str, Value]:
    return Table(
        Kind("test", keeps=True),
        msgspec.json.encode,
        msgspec.json.Decoder(Value).decode,
        lambda value: Kept(frozenset((BLOB,)), frozenset(filter(None, (value.snapshot,)))),
    )


@pytest.fixture
def cache(store: Store) -> Cache:
    return store.cache


def test_values_come_back(table: Table[str, Value], cache: Cache) -> None:
    assert table.get(cache, "a") is None
    table.put_many(cache, [("a", Value(1)), ("b", Value(2))])
    table.put(cache, "a", Value(3))
    assert (table.get(cache, "a"), table.has(cache, "b"), table.has(cache, "c")) == (Value(3), True, False)
    assert table.all(cache) == {"a": Value(3), "b": Value(2)}


@pytest.mark.parametrize("raw", [b"", b"nonsense", b'{"number": "one"}', b"\xff", b"[" * 100_000])
def test_a_row_that_cannot_be_read_is_deleted(raw: bytes, table: Table[str, Value], cache: Cache) -> None:
    table.put(cache, "good", Value(1))
    for key in ("one", "two"):
        cache.put("test", key, raw)
    assert table.get(cache, "one") is None
    assert table.all(cache) == {"good": Value(1)}
    assert not table.has(cache, "one")
    assert not table.has(cache, "two")


def test_a_codec_that_refuses_is_as_good(cache: Cache) -> None:
    def refuse(raw: bytes) -> str:
        raise CorruptError("another version")

    table: Table[str, str] = Table(Kind("test"), str.encode, refuse)
    table.put(cache, "key", "value")
    assert table.get(cache, "key") is None
    assert not table.has(cache, "key")


def test_another_version_of_a_kind_is_another_table(cache: Cache) -> None:
    older: Table[str, str] = Table(Kind("test"), str.encode, lambda raw: raw.decode())
    newer: Table[str, str] = Table(Kind("test", 2), str.encode, lambda raw: raw.decode())
    older.put(cache, "key", "old")
    assert newer.get(cache, "key") is None
    assert newer.all(cache) == {}


def test_a_row_says_what_it_keeps_as_long_as_it_is_there(
    table: Table[str, Value], cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = Kind("test", keeps=True)
    table.put_many(cache, [("a", Value(1, "one")), ("b", Value(2, "two"))])
    cache.put(tables.LISTING.stored, "key", b"")
    assert tables.kept(cache, [kind]) == Kept(frozenset((BLOB,)), frozenset(("one", "two")))
    assert tables.kept(cache, [tables.LISTING]) == Kept()
    assert tables.kept(cache) == Kept()
    monkeypatch.setattr(tables, "TEST", kind, raising=False)
    cache.delete("test", "b")
    assert tables.kept(cache) == Kept(frozenset((BLOB,)), frozenset(("one",)))


def test_a_cache_of_the_version_before_is_forgotten(tmp_path: Path) -> None:
    import sqlite3

    with Store.open(tmp_path / "root") as store:
        path = store.layout.cache
    connection = sqlite3.connect(path)
    connection.executescript(
        "DROP TABLE IF EXISTS entries;"
        "CREATE TABLE entries (kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, used INTEGER NOT NULL,"
        " PRIMARY KEY (kind, key)) WITHOUT ROWID;"
        "INSERT INTO entries VALUES ('result', 'key', 'x', 1); PRAGMA user_version = 1;"
    )
    connection.close()
    with Store.open(tmp_path / "root") as store:
        assert tables.kept(store.cache) == Kept()
        assert store.cache.get("result", "key") is None
        store.cache.put("result", "key", b"value")
        assert store.cache.get("result", "key") == b"value"


def test_kinds_have_different_names() -> None:
    assert len({kind.stored for kind in KINDS.values()}) == len(KINDS)


def _calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def test_each_kind_has_one_table() -> None:
    made = [
        ast.unparse(call.args[0]).removeprefix("tables.")
        for path in SOURCE.rglob("*.py")
        for call in _calls(path)
        if ast.unparse(call.func) in ("Table", "tables.Table") and call.args
    ]
    # What grows is a number, which the cache itself adds to.
    assert sorted(made) == sorted(KINDS.keys() - {"GROWTH"})


def test_only_tables_read_and_write_rows() -> None:
    methods = {"get", "put", "put_many", "put_rows", "delete", "entries", "kept", "add"}
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for call in _calls(path)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in methods
        and ast.unparse(call.func.value).endswith(("cache", "_cache"))
    }
    assert found == {"store/tables.py", "store/growth.py"}


def test_an_estimate_that_cannot_be_read_is_forgotten(store: Store) -> None:
    cache = store.cache
    cache.put(tables.GROWTH.stored, "estimate", b"nonsense")
    growth = Growth(cache)
    assert growth.estimate() is None
    assert cache.get(tables.GROWTH.stored, "estimate") is None
    growth.correct(5)
    assert growth.estimate() == 5
