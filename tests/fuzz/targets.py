"""Everything that reads foreign bytes, each as a function of bytes that may raise only PolyarchError.

Each also has seeds, from which mutations go on. `tests/fuzz/mutate.py` makes them, hypothesis chooses among them in
the suite, `make soak` runs many, and `python -m tests.fuzz NAME` hands a target to atheris where that is installed.
"""

import contextlib
import gzip
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from backports import zstd
from deflate import deflate_compress

from polyarch.builder.plan.options import Base, PlanOptions
from polyarch.builder.plan.planner import plan
from polyarch.builder.vertices import BuildGraph
from polyarch.contents import elf, packages
from polyarch.contents import layer as layer_values
from polyarch.contents.inventory import executables, java, rpm, ruby
from polyarch.contents.window import Window
from polyarch.distribution import errors
from polyarch.distribution.auth import parse_challenges
from polyarch.dockerfile import ignorefile, parser
from polyarch.errors import PolyarchError
from polyarch.layers import deflate_blocks, final_block, toc, zstd_blocks
from polyarch.layers import listing as listings
from polyarch.layers.apply import apply
from polyarch.layers.compression import decompress
from polyarch.layers.diskform import OVERLAY, PLAIN
from polyarch.layers.tree import Tree
from polyarch.oci import config as configs
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import platform as platforms
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index
from polyarch.oci.layer_table import TablePlace
from polyarch.oci.platform import Platform
from polyarch.registry import credentials, hosts
from polyarch.registry.message import CutError, RawResponse
from polyarch.store.tags import _entries
from polyarch.transfer.archive import open_archive
from tests.attest import making

_LIMIT = 1 << 22
_AMD64 = platforms.parse("linux/amd64")


class EscapedError(Exception):
    """Something was written outside of the target directory."""


class Target(NamedTuple):
    """`run` is given bytes; `seeds` are good ones. A `tar` gets its checksums right again after a mutation."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    tar: bool = False


def unpack(raw: bytes) -> None:
    """Scan and unpack a layer twice, upon itself and as an overlay's, beside a directory that must stay as it is."""
    directory = Path(tempfile.mkdtemp(prefix="polyarch-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        outside = directory / "outside"
        outside.mkdir()
        (outside / "canary").write_text("as it was")
        try:
            _, listing = listings.scan(io.BytesIO(raw), limit=_LIMIT)
            Tree([listing, listing])
            for form in (PLAIN, OVERLAY):
                (directory / form.name).mkdir()
                apply(decompress(io.BytesIO(raw), _LIMIT), str(directory / form.name), form)
            apply(decompress(io.BytesIO(raw), _LIMIT), str(directory / "plain"), PLAIN)
        finally:
            _look(directory, outside)
    finally:
        subdirectories = [path for path in directory.rglob("*") if path.is_dir() and not path.is_symlink()]
        for path in subdirectories:
            with contextlib.suppress(OSError):
                path.chmod(0o700)
        shutil.rmtree(directory, ignore_errors=True)


def _look(directory: Path, outside: Path) -> None:
    there = {path.name for path in directory.iterdir()}
    if not there <= {"outside", "plain", "overlay"} or os.path.lexists("/escaped"):
        raise EscapedError(f"{there}")
    if [path.name for path in outside.iterdir()] != ["canary"] or (outside / "canary").read_text() != "as it was":
        raise EscapedError("what lies beside the target was changed")


def _document(raw: bytes) -> None:
    document = documents.load(raw)
    if isinstance(document, Index):
        indexes.describe(document)
        for entry in document.manifests:
            indexes.remove(document, indexes.by_digest(entry.digest))
        indexes.select(document, _AMD64)


def _config(raw: bytes) -> None:
    config = configs.load(raw)
    str(config.platform)
    config.with_layers(config.diff_ids, config.history)
    digests.chain_ids(config.diff_ids)


def _archive(raw: bytes) -> None:
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the archive closes it)
    file.write(raw)
    file.seek(0)
    with contextlib.closing(open_archive(file, lambda: tempfile.TemporaryFile(), "the archive")) as archive:
        for name in archive.tags():
            document = documents.load(archive.read_manifest(archive.resolve(name)))
            if not isinstance(document, Index):
                with archive.open_blob(document.config) as reader:
                    reader.read()


class _Images:
    def image(self, name: str, platform: Platform) -> Base:
        return Base(digests.of(name.encode("utf-8", "surrogateescape")), configs.empty(platform), name)


def _dockerfile(raw: bytes) -> None:
    dockerfile = parser.parse(raw.decode("utf-8", "replace"))
    plan(dockerfile, PlanOptions(build_platform=_AMD64), _AMD64, _Images(), BuildGraph())


def _ignorefile(raw: bytes) -> None:
    text = raw.decode("utf-8", "replace")
    matcher = ignorefile.Matcher(ignorefile.parse(text))
    for path in ("a", "a/b/c", "x.py", "node_modules/é"):
        matcher.matches(path)
        matcher.skips(path, matcher.enter(path))


def _words(raw: bytes) -> None:
    text = raw.decode("utf-8", "replace")
    for read in (references.parse, platforms.parse, digests.parse):
        with contextlib.suppress(PolyarchError):
            read(text)


def _response(raw: bytes) -> None:
    with contextlib.suppress(CutError):  # which the transport makes a PolyarchError
        reader = io.BufferedReader(io.BytesIO(raw))  # type: ignore[arg-type]
        RawResponse(reader, "GET", lambda *, reusable: None).read()


def _credentials(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "config.json")
        file.write_bytes(raw)
        credentials.load(file).get("example.com", "app")


def _elf(raw: bytes) -> None:
    window = Window(io.BytesIO(raw))
    elf.read(window)


def tar_of(*entries: tuple[str, bytes, str | bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of (name, type, link or content)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as tar:
        for name, kind, rest in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.mode = 0o755
            if isinstance(rest, bytes):
                info.size = len(rest)
                tar.addfile(info, io.BytesIO(rest))
            else:
                info.linkname = rest
                tar.addfile(info)
    return raw.getvalue()


_DIR, _SYM, _LINK, _REG = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.REGTYPE
_LAYERS = (
    tar_of(("d", _DIR, ""), ("d/f", _REG, b"content"), ("d/l", _SYM, "f"), ("d/h", _LINK, "d/f")),
    tar_of(("l", _SYM, "../outside"), ("l/canary", _REG, b"x"), ("l/new", _REG, b"x")),
    tar_of(("l", _SYM, "/"), ("l/escaped", _REG, b"x"), ("h", _LINK, "l/etc/passwd")),
    tar_of(("a", _SYM, "b"), ("b", _SYM, "a"), ("a/c", _REG, b"x"), form=tarfile.GNU_FORMAT),
    tar_of(("d", _DIR, ""), ("d/.wh..wh..opq", _REG, b""), (".wh.d", _REG, b""), ("d", _REG, b"")),
    tar_of(("n" * 150 + "/" + "m" * 150, _REG, b"long"), ("é" * 60, _DIR, ""), form=tarfile.GNU_FORMAT),
    tar_of(("dev", tarfile.CHRTYPE, ""), ("fifo", tarfile.FIFOTYPE, ""), ("../up", _REG, b"x"), ("/abs", _REG, b"x")),
)
_IMAGE = configs.empty(_AMD64).with_layers((digests.of(b"layer"),), ())
_DIGEST = digests.of(b"x")
_RPM = making.rpm_header(name="x", version="1", release="2", epoch=3, license="MIT")
_MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": _DIGEST, "size": 1},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": _DIGEST, "size": 1}],
        "annotations": {"a": "b"},
    }
).encode()
_INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": _DIGEST,
                "size": 1,
                "platform": {"architecture": "arm", "os": "linux", "variant": "v7"},
                "annotations": {"org.opencontainers.image.ref.name": "x:1"},
            }
        ],
    }
).encode()
_LAID = _INDEX.replace(_DIGEST.encode(), digests.of(_MANIFEST).encode()).replace(
    b'"size": 1', b'"size": %d' % len(_MANIFEST)
)
_OCI = tar_of(
    ("oci-layout", _REG, b'{"imageLayoutVersion":"1.0.0"}'),
    ("index.json", _REG, _LAID),
    (f"blobs/{digests.of(_MANIFEST).replace(':', '/')}", _REG, _MANIFEST),
    (f"blobs/{_DIGEST.replace(':', '/')}", _REG, b"x"),
)
_SAVED = tar_of(
    ("manifest.json", _REG, b'[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l/layer.tar"]}]'),
    ("c.json", _REG, _IMAGE.encode()),
    ("l/layer.tar", _REG, b"layer"),
)
_DOCKERFILE = b"""# syntax=docker/dockerfile:1
ARG V=1
FROM --platform=$BUILDPLATFORM base:${V:-2} AS one
COPY --chown=1:2 --chmod=755 a* b/ /d/
RUN --mount=type=cache,target=/c,sharing=locked --network=none <<EOF
echo "$V" 'x'
EOF
FROM one
ENV A=b "C"='d e' F=${A#x}
HEALTHCHECK --interval=1s CMD ["x"]
ONBUILD ADD https://example.com/x /x
WORKDIR ../x
ADD http://a:b@example.com/x?y#z https://[::1]:99/a.git#main:/sub git@example.com:x.git /y/
"""


_LAYER = Descriptor(media_type="application/vnd.oci.image.layer.v1.tar+gzip", digest=Digest(_DIGEST), size=1)


def _table(raw: bytes) -> None:
    Tree([toc.read(raw, TablePlace(size=len(raw), digest=digests.of(raw)), _LAYER)])


_TABLE = toc.encode(listings.scan(io.BytesIO(_LAYERS[0]))[1].encode(), 2 << 20)

TARGETS: dict[str, Target] = {
    "layer": Target(unpack, (*_LAYERS, *map(gzip.compress, _LAYERS[:3])), tar=True),
    "stream": Target(
        lambda raw: decompress(io.BytesIO(raw), _LIMIT).read(),
        (gzip.compress(b"x" * 1000) * 2, zstd.compress(b"y" * 1000), zstd.compress(bytes(1 << 20))),
    ),
    "gzip block": Target(
        lambda raw: decompress(io.BytesIO(raw), _LIMIT, inside="gzip").read(),
        (deflate_blocks.compress(b"x" * 1000, 1) + deflate_blocks.end(0, 1000),),
    ),
    "zstd block": Target(
        lambda raw: decompress(io.BytesIO(raw), _LIMIT, inside="zstd").read(),
        (zstd_blocks.BlockCompressor(3)(b"y" * 1000) + zstd_blocks.END,),
    ),
    "deflate stream": Target(
        lambda raw: final_block.reopened(raw, 3000), (bytes(deflate_compress(bytes(range(250)) * 12, 6)),)
    ),
    "manifest or index": Target(_document, (_MANIFEST, _INDEX)),
    "config": Target(_config, (_IMAGE.encode(),)),
    "archive": Target(_archive, (_OCI, _SAVED, gzip.compress(_SAVED)), tar=True),
    "index.json": Target(lambda raw: _entries(raw, "index.json"), (_INDEX,)),
    "listing": Target(
        lambda raw: listings.decode(raw), tuple(listings.scan(io.BytesIO(raw))[1].encode() for raw in _LAYERS[:1])
    ),
    "table of contents": Target(_table, (_TABLE,)),
    "cached result": Target(layer_values.decode, (b'{"diff_id":"%s","snapshot":"x"}' % _DIGEST.encode(),)),
    "Dockerfile": Target(_dockerfile, (_DOCKERFILE,)),
    ".dockerignore": Target(_ignorefile, (b"**/*.py\n!a/**/b\n[a-z]\n\\#x\n", b"a/?/[^b]*\n../x\n/\n")),
    "words": Target(_words, (b"docker.io/library/x:1@" + _DIGEST.encode(), b"linux/arm/v7", b"[::1]:5000/a/b")),
    "registries.conf": Target(
        lambda raw: hosts.parse(raw.decode("utf-8", "replace")),
        (
            b"""[[registry]]
prefix = "*.a.com"
location = "b:1"
insecure = true
[[registry.mirror]]
location = "c"
pull-from-mirror = "tag-only"
""",
        ),
    ),
    "config.json": Target(_credentials, (b'{"auths":{"example.com":{"auth":"YTpi"}},"credHelpers":{"x":"y"}}',)),
    "challenge": Target(
        lambda raw: parse_challenges([raw.decode("latin-1")]),
        (b'Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push", Basic realm=x',),
    ),
    "error body": Target(errors.parse, (b'{"errors":[{"code":"DENIED","message":"no","detail":{}}]}',)),
    "HTTP response": Target(
        _response,
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
            b"HTTP/1.1 206 Partial\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n",
        ),
    ),
    "program": Target(_elf, (Path("/bin/true").read_bytes()[:4096],)),
    "package lists": Target(
        lambda raw: (packages.read("var/lib/dpkg/status", raw), packages.read("lib/apk/db/installed", raw)),
        (b"Package: x\nVersion: 1\nArchitecture: arm64\nStatus: install ok installed\n\n", b"P:x\nV:1\nA:x86_64\n\n"),
    ),
    "rpm database": Target(
        rpm.read, tuple(made([_RPM]) for made in (making.sqlite_database, making.ndb_database, making.hash_database))
    ),
    "packages in a program": Target(
        lambda raw: executables.read(io.BytesIO(raw)),
        (
            making.elf(go_buildinfo=making.go_info("go1.22.1", "path\tx\nmod\tx\tv1\ndep\ty\tv2\n")),
            making.elf(data=making.old_go_info("go1.17", "path\tx\nmod\tx\tv1\n")),
            making.elf(**{"dep-v0": making.crates({"name": "x", "version": "1"})}),
        ),
    ),
    "jar": Target(
        lambda raw: java.read("x-1.jar", io.BytesIO(raw)),
        (making.jar({"META-INF/MANIFEST.MF": "A: b\n", "b.jar": making.jar(making.pom("org.a", "b", "1"))}),),
    ),
    "gem": Target(ruby.read, (b's.name = "x".freeze\ns.version = "1"\ns.licenses = ["MIT".freeze]\n',)),
}
