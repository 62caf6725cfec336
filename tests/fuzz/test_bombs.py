"""Decompression bombs, and indexes and manifests without end."""

import gzip
import io
import json
import resource
import tarfile
from pathlib import Path

import pytest
from backports import zstd

from polyarch.oci import config as configs
from polyarch.oci import digest as digests
from polyarch.oci import platform as platforms
from tests.program import Program, Result
from tests.reliability import crash

_OCI = "application/vnd.oci.image"


def zeros(size: int) -> bytes:
    """A tar of one file of zeros."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        info = tarfile.TarInfo("zeros")
        info.size = size
        tar.addfile(info, io.BytesIO(bytes(size)))
    return raw.getvalue()


def sparse(size: int) -> bytes:
    """A tar of one file that is all hole, in GNU's format 1.0: a few bytes that claim exabytes."""
    table = b"0\n".ljust(512, b"\0")
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("GNUSparseFile.0/huge")
        info.size = len(table)
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "huge",
            "GNU.sparse.realsize": str(size),
        }
        tar.addfile(info, io.BytesIO(table))
    return raw.getvalue()


class Layout:
    """An OCI layout written by hand, for content that no honest tool writes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "blobs/sha256").mkdir(parents=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def add(self, media_type: str, raw: bytes, **more: object) -> dict[str, object]:
        digest = digests.of(raw)
        (self.directory / "blobs" / digest.replace(":", "/")).write_bytes(raw)
        return {"mediaType": media_type, "digest": digest, "size": len(raw), **more}

    def image(self, layer: bytes, plain: bytes, kind: str = "gzip") -> dict[str, object]:
        config = configs.empty(platforms.parse("linux/amd64")).with_layers((digests.of(plain),), ())
        return self.add(
            f"{_OCI}.manifest.v1+json",
            json.dumps(
                {
                    "schemaVersion": 2,
                    "mediaType": f"{_OCI}.manifest.v1+json",
                    "config": self.add(f"{_OCI}.config.v1+json", config.encode()),
                    "layers": [self.add(f"{_OCI}.layer.v1.tar+{kind}", layer)],
                }
            ).encode(),
        )

    def named(self, entry: dict[str, object], name: str = "docker.io/library/bomb:latest") -> Path:
        entry = {**entry, "annotations": {"org.opencontainers.image.ref.name": name}}
        (self.directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        return self.directory


def soon(polyarch: Program, *words: str | Path, **around: str) -> Result:
    """A command that ends by itself, in less than a gigabyte of memory, and says in words what is wrong if anything."""
    done = polyarch(*words, check=False, env=around, seconds=60)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1 << 20
    assert "bug in polyarch" not in done.stderr, str(done)
    return done


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_layer_that_inflates_without_end_is_refused_at_the_limit(
    polyarch: Program, tmp_path: Path, kind: str
) -> None:
    plain = zeros(64 << 20)
    packed = gzip.compress(plain) if kind == "gzip" else zstd.compress(plain)
    assert len(packed) < 100_000
    layout = Layout(tmp_path / "layout")
    place = layout.named(layout.image(packed, plain, kind))
    assert soon(polyarch, "load", "-i", place).status == 0
    refused = soon(polyarch, "run", "--rm", "bomb", "/x", POLYARCH_MAX_LAYER_SIZE="1MB")
    assert "allowed" in refused.stderr
    assert "POLYARCH_MAX_LAYER_SIZE" in refused.stderr
    assert list((polyarch.root / "snapshots").iterdir()) == list((polyarch.root / "tmp").iterdir()) == []
    (tmp_path / "bomb.tar").write_bytes(packed)
    assert "allowed" in soon(polyarch, "import", tmp_path / "bomb.tar", "x", POLYARCH_MAX_LAYER_SIZE="1MB").stderr
    assert soon(polyarch, "import", tmp_path / "bomb.tar", "x", POLYARCH_MAX_LAYER_SIZE="100MB").status == 0


def test_a_file_of_holes_that_claims_exabytes_is_refused_before_anyone_copies_it(
    polyarch: Program, tmp_path: Path
) -> None:
    plain = sparse(1 << 60)
    layout = Layout(tmp_path / "layout")
    polyarch("load", "-i", layout.named(layout.image(gzip.compress(plain), plain)))
    (tmp_path / "Dockerfile").write_text("FROM bomb AS base\nFROM scratch\nCOPY --from=base /huge /copy\n")
    for words in (("build", "-t", "y", tmp_path), ("run", "--rm", "bomb", "/x"), ("check", "bomb")):
        assert "allowed" in soon(polyarch, *words).stderr, words
    (tmp_path / "bomb.tar").write_bytes(plain)
    assert "allowed" in soon(polyarch, "import", tmp_path / "bomb.tar", "x").stderr
    (tmp_path / "Dockerfile").write_text("FROM scratch\nADD bomb.tar /\n")
    assert "allowed" in soon(polyarch, "build", "-t", "y", tmp_path).stderr
    assert list((polyarch.root / "tmp").iterdir()) == []


def test_an_index_of_a_hundred_thousand_entries_is_refused(polyarch: Program, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    image = layout.image(gzip.compress(zeros(1)), zeros(1))
    entries = [{**image, "digest": digests.of(str(number).encode())} for number in range(100_000)]
    raw = json.dumps({"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": entries}).encode()
    place = layout.named(layout.add(f"{_OCI}.index.v1+json", raw))
    assert "manifest" in soon(polyarch, "load", "-i", place).stderr
    assert crash.names(polyarch.root) == {}
    # As large as a manifest may be (4 MiB), with more entries than any image has.
    raw = json.dumps({"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": entries[:15_000]}).encode()
    assert len(raw) < 4 << 20
    assert "entries" in soon(polyarch, "load", "-i", layout.named(layout.add(f"{_OCI}.index.v1+json", raw))).stderr


def test_a_manifest_of_many_layers_is_refused_or_read_soon(polyarch: Program, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layer = layout.add(f"{_OCI}.layer.v1.tar+gzip", gzip.compress(zeros(1)))
    count = 20_000
    config = configs.empty(platforms.parse("linux/amd64")).with_layers((digests.of(zeros(1)),) * count, ())
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": layout.add(f"{_OCI}.config.v1+json", config.encode()),
            "layers": [layer] * count,
        },
        separators=(",", ":"),
    ).encode()
    assert len(raw) < 4 << 20
    assert soon(polyarch, "load", "-i", layout.named(layout.add(f"{_OCI}.manifest.v1+json", raw))).status == 0
    # One layer twenty thousand times over is one directory: it starts, and finds nothing to run.
    assert soon(polyarch, "run", "--rm", "bomb", "/x").status != 0


def test_indexes_in_a_circle_of_tags_and_digests_end(polyarch: Program, tmp_path: Path) -> None:
    """A true circle needs a broken hash; what claims to be one has a digest that is not its own."""
    layout = Layout(tmp_path / "layout")
    claimed = digests.of(b"the other")
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.index.v1+json",
            "manifests": [{"mediaType": f"{_OCI}.index.v1+json", "digest": claimed, "size": 300}],
        }
    ).encode()
    (layout.directory / "blobs" / claimed.replace(":", "/")).write_bytes(raw)
    done = soon(polyarch, "load", "-i", layout.named(layout.add(f"{_OCI}.index.v1+json", raw)))
    assert "sha256:" in done.stderr
    assert crash.names(polyarch.root) == {}


@pytest.mark.parametrize("part", ["config", "manifest", "index"])
def test_json_a_hundred_thousand_levels_deep_is_refused(polyarch: Program, tmp_path: Path, part: str) -> None:
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    layout = Layout(tmp_path / "layout")
    if part == "config":
        entry = layout.add(
            f"{_OCI}.manifest.v1+json",
            json.dumps(
                {
                    "schemaVersion": 2,
                    "mediaType": f"{_OCI}.manifest.v1+json",
                    "config": layout.add(f"{_OCI}.config.v1+json", deep),
                    "layers": [],
                }
            ).encode(),
        )
    else:
        entry = layout.add(f"{_OCI}.{part}.v1+json", deep)
    place = layout.named(entry)
    loaded = soon(polyarch, "load", "-i", place)
    for words in (("inspect", "bomb"), ("images",), ("history", "bomb"), ("run", "--rm", "bomb"), ("system", "fsck")):
        soon(polyarch, *words)
    assert loaded.status or part == "config"


def test_a_limit_that_is_none_is_a_usage_error(polyarch: Program) -> None:
    done = polyarch.fails("images", env={"POLYARCH_MAX_LAYER_SIZE": "much"})
    assert done.status == 2
    assert "size" in done.stderr
