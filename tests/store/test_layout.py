"""What is on disk in a store, and who may read it."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from polyarch.errors import NotFoundError, PolyarchError
from polyarch.oci.place import Ranged, Source, Target
from polyarch.store import Store
from tests.people import Person
from tests.store.images import describe, image


def test_a_new_store_is_an_image_layout_and_the_owners_alone(store_root: Path) -> None:
    with Store.open(store_root) as store:
        assert store.tags() == ()
    assert json.loads((store_root / "oci/oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads((store_root / "oci/index.json").read_bytes())["manifests"] == []
    for path in [store_root, *store_root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_store_is_a_place(store: Store) -> None:
    source: Source = store  # mypy is the judge of these two
    target: Target = store
    assert (source.tags(), target.has_blob(describe(b"absent"))) == ((), False)
    assert isinstance(store, Ranged)


def test_a_store_that_is_not_there_is_not_made_unasked(store_root: Path) -> None:
    with pytest.raises(NotFoundError, match="no store"):
        Store.open(store_root, create=False)
    assert not store_root.exists()


def test_everything_but_the_layout_may_be_deleted(store_root: Path) -> None:
    with Store.open(store_root) as store:
        made = image(store, b"layer", "docker.io/library/x:1")
        store.cache.put("kind", "key", b"")
    for part in ("snapshots", "tmp", "locks", "cache.db"):
        subprocess.run(["rm", "-r", str(store_root / part)], check=True)
    with Store.open(store_root) as store:
        assert store.missing(store.resolve("docker.io/library/x:1")) == ()
        assert store.read_manifest(made.descriptor()) == made.raw


def test_a_layout_that_another_program_made_becomes_a_store(store_root: Path) -> None:
    (store_root / "oci/blobs/sha256").mkdir(parents=True)
    (store_root / "oci/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    with Store.open(store_root) as store:
        image(store, b"layer", "docker.io/library/x:1")
    with Store.open(store_root, create=False) as store:
        assert store.tags() == ("docker.io/library/x:1",)


def test_a_root_that_is_a_file_is_an_error(store_root: Path) -> None:
    store_root.touch()
    with pytest.raises(PolyarchError, match="is not a directory") as caught:
        Store.open(store_root)
    assert "--root" in (caught.value.hint or "")


def test_a_root_that_may_not_be_written_is_an_error_with_a_hint(unprivileged: Person, tmp_path: Path) -> None:
    code = """
import sys
from polyarch.errors import PolyarchError
from polyarch.store import Store
try:
    Store.open(sys.argv[1])
except PolyarchError as error:
    print(error.message, error.hint, sep="\\n")
"""
    for root in ("/proc/store", "/store-of-root"):
        told = unprivileged.run(sys.executable, "-c", code, root).stdout
        assert told.startswith("cannot open the store: ")
        assert "POLYARCH_ROOT" in told or root.startswith("/proc")


def modules_after(imports: str) -> set[str]:
    code = f"import sys, {imports}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_importing_the_store_loads_nothing_heavy() -> None:
    heavy = {"sqlite3", "ctypes", "tempfile", "subprocess", "logging", "urllib3", "concurrent.futures", "shutil"}
    assert modules_after("polyarch.store.store") & heavy <= modules_after("msgspec, hashlib, pathlib")


def test_a_relative_root_means_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open("relative") as store:
        monkeypatch.chdir("/")
        image(store, b"layer", "docker.io/library/x:1")
    assert os.path.exists(tmp_path / "relative/oci/index.json")
