"""The readers that our layers are given to, as values."""

import sys
from pathlib import Path
from typing import Literal, NamedTuple

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"

# What a reader prints: the tar; how many files, their bytes and the sum of their CRC-32; how many files and links.
Output = Literal["tar", "files", "count"]


class Reader(NamedTuple):
    """A reader: its command, which ends with the path; what it prints; what it needs.

    `needs` is "system" for programs of the test group in scripts/system_packages.sh and the packages of our own lock,
    which CI has; "more" for Debian's that only `make readers` installs; "pypi" and "npm" for the files beside this one.
    """

    name: str
    command: tuple[str, ...]
    output: Output = "tar"
    needs: Literal["system", "more", "pypi", "npm"] = "system"


def _python(name: str, needs: Literal["system", "pypi"] = "pypi") -> Reader:
    python = sys.executable if needs == "system" else "PYTHON"
    output: Output = "files" if name.startswith(("r|", "r:")) else "tar"
    title = f'tarfile.open(mode="{name}")' if output == "files" else name
    return Reader(f"Python {title}", (python, str(PROGRAMS / "streams.py"), name), output, needs)


def _script(title: str, command: str, script: str, name: str, output: Output = "tar") -> Reader:
    return Reader(f"{title} {name}", (*command.split(), str(PROGRAMS / script), name), output)


def _javascript(engine: str, name: str, output: Output = "tar") -> Reader:
    commands = {"node": ("node",), "npm": ("node",), "bun": ("BUN",), "deno": ("DENO", "run", "-A")}
    own = name in ("gunzipSync", "createGunzip", "DecompressionStream") and engine == "node"
    return Reader(
        f"{engine} {name}",
        (*commands[engine], str(PROGRAMS / "readers.mjs"), name),
        output,
        "system" if own else "npm",
    )


GZIP = (
    Reader("GNU gzip", ("gzip", "-dc")),
    Reader("busybox gunzip", ("busybox", "gunzip", "-c")),
    Reader("pigz", ("pigz", "-dc")),
    Reader("zstd (the program)", ("zstd", "-dcq")),
    Reader("libarchive (bsdcat)", ("bsdcat",)),
    Reader("7-Zip", ("7z", "x", "-so")),
    _python("gzip.open", "system"),
    _python("gzip.decompress", "system"),
    _python("zlib.decompressobj", "system"),
    _python("r|gz", "system"),
    _python("r:gz", "system"),
    _python("isal.igzip", "system"),
    _python("deflate", "system"),
    _script("perl", "perl", "readers.pl", "IO::Uncompress::Gunzip"),
    _script("perl", "perl", "readers.pl", "Compress::Zlib"),
    _script("ruby", "ruby", "readers.rb", "GzipReader"),
    _script("ruby", "ruby", "readers.rb", "TarReader", "files"),
    _script("php", "php", "readers.php", "gzdecode"),
    _script("php", "php", "readers.php", "compress.zlib"),
    _script("php", "php", "readers.php", "PharData", "count"),
    _javascript("node", "gunzipSync"),
    _javascript("node", "createGunzip"),
    _javascript("node", "DecompressionStream"),
    Reader("Tcl zlib", ("tclsh", str(PROGRAMS / "readers.tcl")), "tar", "more"),
    Reader("Java GZIPInputStream", ("java", str(PROGRAMS / "Reader.java")), "tar", "more"),
    *map(_python, ("zlib_ng", "pgzip", "mgzip", "cramjam.gzip", "indexed_gzip", "rapidgzip")),
    *(_javascript("npm", name) for name in ("pako", "pako 2", "fflate")),
    _javascript("npm", "tar-stream", "files"),
    _javascript("npm", "node-tar", "files"),
    *(_javascript("bun", name) for name in ("gunzipSync", "DecompressionStream", "Bun.gunzipSync")),
    *(_javascript("deno", name) for name in ("gunzipSync", "DecompressionStream")),
)

ZSTD = (
    Reader("zstd (the program)", ("zstd", "-dcq")),
    Reader("libarchive (bsdcat)", ("bsdcat",)),
    Reader("7-Zip", ("7z", "x", "-so")),
    _python("backports.zstd", "system"),
    _python("r|zst", "system"),
    *map(_python, ("pyzstd", "zstd", "cramjam.zstd")),
    *(_python(f"zstandard.{name}") for name in ("decompress", "decompressobj", "read_to_iter", "stream_reader")),
    _javascript("npm", "fzstd"),
    _javascript("bun", "zstdDecompressSync"),
    _javascript("bun", "Bun.zstdDecompressSync"),
    _javascript("deno", "zstdDecompressSync"),
)
