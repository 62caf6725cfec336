"""`system df`, `buildx du`, `system prune` and the cache limit, through the command line."""

import json
from pathlib import Path

import pytest

from polyarch.client import limits
from polyarch.errors import PolyarchError, UsageError
from polyarch.store import Store
from tests.program import Program


@pytest.fixture
def filled(polyarch: Program, busybox: str) -> Program:
    """A store with an image, one that lost its name, an unpacked layer of each kind, a cache mount and a loose blob."""
    layer = polyarch("inspect", busybox, "--format", "{{index .RootFS.Layers 0}}").stdout.strip()
    with Store.open(polyarch.root) as store:
        for key, about in ((layer, ""), ("sha256:" + "7" * 64, "RUN make (linux/arm64)")):
            with store.snapshots.prepare(key, about) as made:
                made.commit(2_000_000)
        with store.caches.open("/root/.cache@linux/arm64", "shared", lambda files: None) as files:
            Path(files, "file").write_bytes(b"x" * 1_000_000)
        store.put_bytes("", b"y" * 3000)
    return polyarch


def test_df_says_how_much_there_is_of_each_kind(filled: Program) -> None:
    header, *rows = filled("system", "df").stdout.split("\n\n")[0].splitlines()
    assert header.split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    table = {row.split("  ")[0]: row.split()[-4:] for row in rows}
    assert table["Unpacked layers"] == ["0", "4MB", "4MB", "(100%)"]
    assert table["Build cache"][1] == table["Build cache"][2]
    assert table["Cache mounts"] == ["0", "1MB", "1MB", "(100%)"]
    assert table["Images"][0] == "1"
    assert "Cache: 5." in filled("system", "df").stdout


def test_df_verbose_lists_the_records(filled: Program) -> None:
    assert "RUN make (linux/arm64)" in filled("system", "df", "--verbose").stdout


def test_what_a_running_command_holds_is_not_reclaimable(filled: Program) -> None:
    with Store.open(filled.root) as store:
        assert store.snapshots.get("sha256:" + "7" * 64)
        rows = [json.loads(line) for line in filled("system", "df", "--format", "json").lines()]
    (layers,) = (row for row in rows if row["Type"] == "Unpacked layers")
    assert (layers["TotalCount"], layers["Active"], layers["Reclaimable"]) == (2, 1, "2MB (50%)")


def test_du_says_what_each_record_is(filled: Program) -> None:
    rows = {row["Description"]: row for row in map(json.loads, filled("buildx", "du", "--format", "json").lines())}
    step, layer = rows["RUN make (linux/arm64)"], rows["layer of busybox:latest"]
    assert (step["Type"], step["Shared"], step["Bytes"]) == ("unpacked layer", False, 2_000_000)
    assert layer["Shared"]
    assert rows["root/.cache@linux/arm64"]["Type"] == "cache mount"
    assert rows["layer or config of no image"]["Size"] == "3kB"
    table = filled("buildx", "du").lines()
    assert table[0].split("  ")[0] == "ID"
    assert [line.split(":")[0] for line in table[-4:]] == ["Shared", "Private", "Reclaimable", "Total"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("type=exec.cachemount", ["cache mount"]),
        ("type=unpacked layer", ["unpacked layer"] * 2),
        ("shared", ["unpacked layer"]),
        ("inuse", []),
        ("id=sha256:777", ["unpacked layer"]),
    ],
)
def test_du_shows_what_its_filters_let_through(filled: Program, condition: str, expected: list[str]) -> None:
    assert filled("buildx", "du", "--filter", condition, "--format", "{{.Type}}").lines() == expected


def test_a_filter_that_is_unknown_names_those_there_are(filled: Program) -> None:
    assert "filters: id=ID" in filled.fails("buildx", "du", "--filter", "colour=red").stderr


def test_du_verbose_says_all(filled: Program) -> None:
    said = filled("buildx", "du", "--verbose", "--filter", "id=7777").stdout
    assert "Description:  RUN make (linux/arm64)\n" in said
    assert "Shared:       false\n" in said


def test_prune_says_what_all_would_free(filled: Program) -> None:
    said = filled("system", "prune", "--dry-run")
    assert "Total reclaimable space: 2MB" in said.stdout
    assert "'polyarch system prune --all' would free 5." in said.stderr
    assert "cache mounts 1MB" in said.stderr
    assert "prune --all" not in filled("system", "prune", "--all", "--dry-run").stderr


def test_a_prune_of_cache_mounts_removes_nothing_else(filled: Program) -> None:
    before = filled("buildx", "du", "--format", "{{.ID}}").lines()
    planned = filled("builder", "prune", "--force", "--filter", "type=exec.cachemount", "--filter", "until=1h").lines()
    assert planned == ["Total reclaimed space: 0B"]
    removed = filled("builder", "prune", "--all", "--force", "--filter", "type=exec.cachemount").lines()
    assert len(removed) == 2
    assert removed[-1] == "Total reclaimed space: 1MB"
    assert len(filled("buildx", "du", "--format", "{{.ID}}").lines()) == len(before) - 1
    assert filled("images", "-q").stdout
    assert "unknown filter 'type=regular'" in filled.fails("builder", "prune", "--filter", "type=regular").stderr


def test_prune_counts_images_that_lost_their_name_before_it_removes_them(polyarch: Program, busybox: str) -> None:
    with Store.open(polyarch.root) as store:
        (descriptor,) = store.tagged().values()
        store.untag("docker.io/library/busybox:latest")
        store.keep(descriptor)
    planned = polyarch("system", "prune", "--dry-run").lines()
    assert len(planned) > 10
    done = polyarch("system", "prune", "--force").lines()
    assert [line.split()[-2:] for line in done] == [line.split()[-2:] for line in planned]


def test_the_limit_is_kept_once_the_result_is_told(filled: Program, tmp_path: Path) -> None:
    Path(tmp_path, "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    filled("build", "--cache-limit", "10MB", "-t", "one", tmp_path)
    with Store.open(filled.root) as store:
        assert len(store.snapshots.keys()) == 2
    Path(tmp_path, "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /other\n")
    assert filled("build", "-q", "--cache-limit", "1MB", "-t", "one", tmp_path).stdout.startswith("sha256:")
    with Store.open(filled.root) as store:
        assert store.snapshots.keys() == ()
    assert filled("images", "-q").lines()


@pytest.mark.parametrize(
    ("flag", "variable", "config", "expected"),
    [
        (None, "", None, "default"),
        ("5GB", "7GB", 'cache_limit = "9GB"', 5 * 10**9),
        (None, "7GiB", 'cache_limit = "9GB"', 7 << 30),
        (None, "", 'cache_limit = "9GB"', 9 * 10**9),
        (None, "", "cache_limit = 1000", 1000),
        (None, "", "", "default"),
        ("none", "1GB", None, None),
        ("25%", "", None, 50),
    ],
)
def test_where_the_limit_comes_from(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flag: str | None,
    variable: str,
    config: str | None,
    expected: int | str | None,
) -> None:
    monkeypatch.setattr(limits, "disk_size", lambda path: 200)
    if config is not None:
        Path(tmp_path, "config.toml").write_text(config)
    assert limits.cache_limit(flag, variable, [tmp_path / "config.toml"], tmp_path) == expected


@pytest.mark.parametrize("word", ["0", "0%", "-1", "many", "x%", "5 apples"])
def test_a_limit_that_is_none_is_an_error_that_says_what_is_one(tmp_path: Path, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        limits.cache_limit(None, word, [], tmp_path)
    assert caught.value.message == f"invalid POLYARCH_CACHE_LIMIT: {word!r}"
    assert "20GB" in (caught.value.hint or "")


@pytest.mark.parametrize("config", ["cache_limit = ", 'cach_limit = "1GB"'])
def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path, config: str) -> None:
    Path(tmp_path, "config.toml").write_text(config)
    with pytest.raises(PolyarchError, match=r"config\.toml"):
        limits.cache_limit(None, "", [tmp_path / "config.toml"], tmp_path)


def test_copies_of_emulators_are_counted_and_go_with_the_cache(polyarch: Program, busybox: str) -> None:
    run = ("run", "--platform", "linux/arm64", "-e", "QEMU_VERSION=1", busybox, "uname", "-m")
    polyarch(*run)
    rows = {row["Type"]: row for row in map(json.loads, polyarch("system", "df", "--format", "json").lines())}
    # The step names a variable of qemu's, so none of the machine's emulators may read it.
    assert rows["Emulators"]["TotalCount"] > 1
    polyarch("system", "prune", "--force")
    copies = polyarch.root / "emulators"
    assert len(list(copies.iterdir())) > 3
    polyarch("system", "prune", "--all", "--force")
    assert {path.name for path in copies.iterdir()} == {"known.json", "lock"}
    assert polyarch(*run).stdout == "aarch64\n"
