"""Tags are entries of index.json: sorted, kept when several processes write, compatible with other tools."""

import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.store import Store
from tests.needs import need
from tests.store.images import describe, image, index

X = "docker.io/library/x:1"
Y = "localhost:5000/team/y:2.0"


def index_json(root: Path) -> Any:
    return json.loads((root / "oci/index.json").read_bytes())


def test_a_tag_is_an_entry_of_the_layout_under_its_whole_name(store: Store, store_root: Path) -> None:
    made = image(store, b"layer", X)
    assert store.resolve(X) == made.descriptor()
    assert index_json(store_root)["manifests"] == [
        {
            "mediaType": made.media_type,
            "digest": made.digest,
            "size": len(made.raw),
            "annotations": {"org.opencontainers.image.ref.name": X, "io.containerd.image.name": X},
        }
    ]


def test_a_tag_that_somebody_else_writes_meanwhile_is_not_lost(store: Store, store_root: Path) -> None:
    made = image(store, b"layer").descriptor()
    other = threading.Thread(target=store.tag, args=(Y, made))

    def step_in(point: str) -> None:
        if point == "tag:before-replace":
            other.start()
            # It waits for the lock on the index, and so is not done now.
            other.join(0.3)

    with Store.open(store_root, trace=step_in) as slow:
        slow.tag(X, made)
    other.join()
    assert store.tags() == (X, Y)


def test_tags_are_listed_sorted_and_another_process_sees_them_at_once(store: Store, store_root: Path) -> None:
    assert store.tags() == ()
    with Store.open(store_root) as other:
        made = image(other, b"layer", Y)
        other.tag(X, made.descriptor())
        assert store.tags() == (X, Y)
        other.untag(Y)
        assert dict(store.tagged()) == {X: made.descriptor()}


def test_a_name_that_moves_leaves_the_image_that_it_named_without_one(store: Store) -> None:
    first, second = image(store, b"first", X), image(store, b"second", X)
    assert store.resolve(X) == second.descriptor()
    assert store.kept() == (first.descriptor(),)
    store.tag(Y, first.descriptor())
    assert store.kept() == ()
    store.tag(Y, second.descriptor())
    store.tag(Y, second.descriptor())
    assert store.kept() == (first.descriptor(),)
    assert store.forget(first.digest)
    assert not store.forget(first.digest)
    assert store.kept() == ()


def test_an_image_without_a_name_is_kept_once(store: Store) -> None:
    made = image(store, b"layer")
    store.keep(made.descriptor())
    store.keep(made.descriptor())
    assert store.kept() == (made.descriptor(),)
    store.tag(X, made.descriptor())
    store.keep(made.descriptor())
    assert store.kept() == ()


def test_many_names_are_given_and_taken_in_one_writing(store_root: Path) -> None:
    written: list[str] = []
    with Store.open(store_root, trace=written.append) as store:
        one, two = image(store, b"one").descriptor(), image(store, b"two").descriptor()
        store.tag("a.test/old:1", one)
        written.clear()
        store.assign([("a.test/x:1", one), ("a.test/y:1", two), ("a.test/old:1", two), ("", one), ("", two)])
        assert {name: found.digest for name, found in store.tagged().items()} == {
            "a.test/x:1": one.digest,
            "a.test/y:1": two.digest,
            "a.test/old:1": two.digest,
        }
        assert store.kept() == (), "both have names"
        gone = store.drop(["a.test/x:1", "a.test/never:1"])
        assert {name: found.digest for name, found in gone.items()} == {"a.test/x:1": one.digest}
        store.assign([("", one)])
        assert [found.digest for found in store.kept()] == [one.digest]
        store.drop(["a.test/y:1", "a.test/old:1"], [one.digest])
        assert (store.tags(), store.kept()) == ((), ())
        assert written.count("tag:after-replace") == 4
        with pytest.raises(NotFoundError):
            store.assign([("a.test/x:1", one), ("a.test/y:1", Descriptor(one.media_type, digests.of(b"no"), 2))])
        assert store.tags() == ()


@pytest.mark.parametrize("missing", [False, True])
def test_names_that_threads_give_at_once_are_written_together(store_root: Path, missing: bool) -> None:
    reached, go_on = threading.Event(), threading.Event()
    written: list[str] = []

    def trace(point: str) -> None:
        if point == "tag:before-replace":
            written.append(point)
            reached.set()
            assert go_on.wait(10)

    with Store.open(store_root, trace=trace) as store:
        images = [image(store, f"layer {number}".encode()).descriptor() for number in range(6)]
        if missing:
            images[3] = Descriptor(images[3].media_type, digests.of(b"missing"), 7)
        refused: list[int] = []

        def assign(number: int) -> None:
            try:
                store.assign([(f"a.test/app:{number}", images[number])])
            except NotFoundError:
                refused.append(number)

        threads = [threading.Thread(target=assign, args=(number,)) for number in range(len(images))]
        threads[0].start()
        assert reached.wait(10)
        for thread in threads[1:]:
            thread.start()
        while len(store._tags._waiting) < len(threads) - 1:
            time.sleep(0.001)
        go_on.set()
        for thread in threads:
            thread.join()
        assert refused == ([3] if missing else [])
        assert set(store.tags()) == {f"a.test/app:{number}" for number in range(6)} - {
            f"a.test/app:{n}" for n in refused
        }
        assert missing or len(written) == 2


def test_untag_tells_what_the_name_pointed_at(store: Store) -> None:
    made = image(store, b"layer", X)
    assert store.untag(X) == made.descriptor()
    with pytest.raises(NotFoundError, match="x:1"):
        store.untag(X)
    with pytest.raises(NotFoundError):
        store.resolve(X)


def test_nothing_can_be_named_that_is_not_there(store: Store) -> None:
    with pytest.raises(NotFoundError):
        store.tag(X, describe(b"absent"))
    assert store.tags() == ()


def test_platform_and_annotations_of_an_entry_survive(store: Store) -> None:
    made = image(store, b"layer")
    entry = made.descriptor(Platform("linux", "arm64"), {"org.example": "kept"})
    store.tag(X, entry)
    assert store.resolve(X) == entry


def test_fields_and_entries_of_other_programs_live_on(store: Store, store_root: Path) -> None:
    made = image(store, b"layer", X)
    path = store_root / "oci/index.json"
    document = index_json(store_root)
    document["org.example.unknown"] = {"deep": [1, 2]}
    document["manifests"][0]["unknown"] = "field"
    document["manifests"].append({**document["manifests"][0], "annotations": {"note": "without a name"}})
    path.write_text(json.dumps(document))
    store.tag(Y, made.descriptor())
    after = index_json(store_root)
    assert after["org.example.unknown"] == {"deep": [1, 2]}
    assert after["manifests"][0]["unknown"] == "field"
    assert store.tags() == (X, Y)


@pytest.mark.parametrize("text", ["", "[]", '{"manifests": 1}', '{"manifests": [{"digest": "x"}]}', "{", "\xff"])
def test_a_damaged_index_is_an_error_and_is_not_overwritten(store: Store, store_root: Path, text: str) -> None:
    made = image(store, b"layer", X)
    (store_root / "oci/index.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptError, match=r"index\.json is damaged"):
        store.tags()
    with pytest.raises(CorruptError, match=r"index\.json is damaged"):
        store.tag(Y, made.descriptor())
    assert (store_root / "oci/index.json").read_bytes() == text.encode("latin-1")


def test_2000_tags_are_read_in_a_moment(store: Store, store_root: Path) -> None:
    made = image(store, b"layer", X)
    document = index_json(store_root)
    entry = document["manifests"][0]
    names = [f"docker.io/library/x{number}:1" for number in range(2000)]
    document["manifests"] = [
        entry | {"annotations": {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name}}
        for name in names
    ]
    (store_root / "oci/index.json").write_text(json.dumps(document))
    assert store.tags() == tuple(sorted(names))
    assert all(store.resolve(name) == made.descriptor() for name in names)


@pytest.mark.parametrize("name", [X, Y, f"docker.io/library/x@{digests.of(b'x')}"])
def test_skopeo_reads_the_store_by_whole_names(store: Store, store_root: Path, name: str) -> None:
    need("skopeo")
    made = image(store, b"layer", name)
    command = ["skopeo", "inspect", f"oci:{store_root}/oci:{name}"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert told["Digest"] == made.digest
    assert told["Layers"] == [made.layers[0].digest]


def test_skopeo_copies_a_whole_index_in_and_out(store: Store, store_root: Path, tmp_path: Path) -> None:
    need("skopeo")
    made = index(store, b"one", b"two", name=X)
    source, copy = f"oci:{store_root}/oci:{X}", f"oci:{tmp_path}/copy:again"
    subprocess.run(["skopeo", "copy", "--quiet", "--all", "--preserve-digests", source, copy], check=True)
    with Store.open(tmp_path / "fresh") as fresh:
        into = f"oci:{tmp_path}/fresh/oci:{Y}"
        subprocess.run(["skopeo", "copy", "--quiet", "--all", "--preserve-digests", copy, into], check=True)
        resolved = fresh.resolve(Y)
        assert resolved == Descriptor(made.media_type, made.digest, len(made.raw))
        assert fresh.missing(resolved) == ()
