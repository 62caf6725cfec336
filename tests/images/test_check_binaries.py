"""Reading ELF headers: the same results as pyelftools, and only expected errors on hostile input."""

import io
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polyarch.contents.binaries import Binary, identify, is_candidate
from polyarch.contents.window import GoneError, Window
from polyarch.layers.entry import Entry
from tests.images import elves


def read(raw: bytes) -> Binary | None:
    return identify(io.BytesIO(raw))


class Zeros:
    """An endless file, which remembers how much of it was read; `start` is what it begins with."""

    def __init__(self, start: bytes = b"") -> None:
        self.start = start
        self.taken = 0

    def read(self, size: int = -1, /) -> bytes:
        assert size >= 0, "nobody may ask for all of an endless file"
        chunk = self.start[self.taken : self.taken + size]
        chunk += bytes(size - len(chunk))
        self.taken += size
        return chunk


def test_the_dynamic_section_is_read_for_both_classes_and_byte_orders() -> None:
    for architecture in elves.MACHINES:
        raw = elves.elf(
            architecture,
            interpreter="/lib/ld.so.1",
            needed=["libc.so.6", "libm.so.6"],
            runpath="$ORIGIN/../lib",
            rpath="/opt",
            pie=True,
        )
        binary = read(raw)
        assert binary is not None
        assert binary.elf is not None
        assert binary.architectures == (architecture,)
        assert binary.elf.interpreter == "/lib/ld.so.1"
        assert binary.elf.needed == ("libc.so.6", "libm.so.6")
        assert (binary.elf.runpath, binary.elf.rpath) == ("$ORIGIN/../lib", "/opt")
        assert binary.elf.pie
        assert not binary.problem


def test_a_libc_with_an_interpreter_and_a_name_is_no_program() -> None:
    library = read(elves.elf(interpreter="/lib/ld.so", soname="libc.so.6"))
    program = read(elves.elf(interpreter="/lib/ld.so"))
    assert library is not None
    assert library.elf is not None
    assert not library.elf.is_program
    assert program is not None
    assert program.elf is not None
    assert program.elf.is_program


def test_objects_core_dumps_and_code_for_devices_are_data() -> None:
    assert read(elves.elf(kind=1)) is None
    assert read(elves.elf(kind=4)) is None
    bpf = bytearray(elves.elf())
    struct.pack_into("<H", bpf, 18, 247)
    assert read(bytes(bpf)) is None


def test_pe_and_mach_o_are_recognised() -> None:
    assert read(elves.pe(0xAA64)) == Binary(form="pe", architectures=("arm64",))
    assert read(b"\xcf\xfa\xed\xfe" + struct.pack("<I", 0x0100000C)) == Binary(form="macho", architectures=("arm64",))
    fat = b"\xca\xfe\xba\xbe" + struct.pack(">I", 2)
    fat += b"".join(struct.pack(">IIIII", cpu, 0, 0x4000, 64, 14) for cpu in (0x01000007, 0x0100000C))
    assert read(fat) == Binary(form="macho", architectures=("amd64", "arm64"))


def test_what_only_begins_alike_is_not_taken_for_it() -> None:
    assert read(elves.pe(0x14C, managed=True)) is None, ".NET code names a machine and needs none"
    assert read(b"\xca\xfe\xba\xbe" + struct.pack(">HH", 0, 52) + bytes(100)) is None, "a Java class of version 8"
    assert read(b"MZ is how a text may begin" * 10) is None
    assert read(b"\x7fELF") is None
    assert read(b"") is None


def test_a_script_keeps_its_first_line_as_it_stands() -> None:
    binary = read(b"#!/bin/sh -e\r\necho\r\n")
    assert binary is not None
    assert binary.shebang == "/bin/sh -e\r"


@pytest.mark.parametrize(
    ("path", "mode", "wanted"),
    [
        ("usr/bin/true", 0o755, True),
        ("usr/lib/libc.so.6", 0o644, True),
        ("usr/lib/perl.so", 0o644, True),
        ("usr/lib/libstemmer.so.0d.0.0", 0o644, True),
        ("app/addon.node", 0o644, True),
        ("app/tool.EXE", 0o644, True),
        ("usr/share/song.sonata", 0o644, False),
        ("etc/ld.so.conf", 0o644, False),
        ("etc/passwd", 0o644, False),
    ],
)
def test_candidates_may_be_executed_or_have_a_name_that_is_loaded(path: str, mode: int, wanted: bool) -> None:
    assert is_candidate(Entry(path=path, kind="file", mode=mode, size=100)) is wanted


def test_a_header_that_claims_too_much_is_a_word_in_problem() -> None:
    raw = bytearray(elves.elf(needed=["libc.so.6"]))
    struct.pack_into("<H", raw, 56, 0xFFFF)
    binary = read(bytes(raw))
    assert binary is not None
    assert "65535 segments" in binary.problem
    cut = read(elves.elf(needed=["libc.so.6"])[:150])
    assert cut is not None
    assert "outside the file" in cut.problem


def test_only_the_headers_of_a_static_program_are_read() -> None:
    endless = Zeros(elves.program())
    assert identify(endless) is not None
    assert endless.taken <= 8192


def test_tables_at_the_end_of_a_sparse_file_of_any_size_are_not_walked_to() -> None:
    raw = bytearray(elves.elf(needed=["libc.so.6"]))
    struct.pack_into("<Q", raw, 64 + 56 + 8, 1 << 60)  # where the dynamic section is
    endless = Zeros(bytes(raw))
    binary = identify(endless)
    assert binary is not None
    assert "too far apart" in binary.problem
    assert endless.taken <= 8192


def test_a_window_keeps_the_beginning_and_the_latest_and_says_what_is_gone() -> None:
    window = Window(Zeros(b"head"))
    assert window.take(0, 4) == b"head"
    assert window.take(100 << 20, 4) == bytes(4)
    assert window.take(0, 6) == b"head\0\0"
    with pytest.raises(GoneError):
        window.take(40 << 20, 4)
    with pytest.raises(GoneError):
        window.take((32 << 20) - 2, 4)


_REAL = elves.elf(interpreter="/lib/ld.so", needed=["libc.so.6"], runpath="/opt", soname="x", pie=True)
_OTHERS = [
    elves.elf("s390x", needed=["a"]),
    elves.program("arm", needed=["a"], interpreter="/l"),
    elves.pe(managed=True),
]


@given(
    st.sampled_from([_REAL, *_OTHERS]),
    st.lists(st.tuples(st.integers(0, 700), st.binary(min_size=1, max_size=8)), max_size=6),
    st.integers(0, 1000),
)
@example(_REAL, [], 64)
def test_no_bytes_make_the_reader_stumble(start: bytes, changes: list[tuple[int, bytes]], length: int) -> None:
    raw = bytearray(start)
    for at, patch in changes:
        raw[at : at + len(patch)] = patch
    binary = read(bytes(raw[:length]))
    if binary is not None and binary.elf is not None:
        assert len(binary.elf.needed) <= 4096
        assert all(len(name) <= 4096 for name in binary.elf.needed)
        binary.elf.interpreter.encode()  # what is remembered must be text


@given(st.sampled_from([b"\x7fELF\x02\x01", b"\x7fELF\x01\x02", b"MZ", b"\xca\xfe\xba\xbe", b"#!", b""]), st.binary())
def test_any_bytes_behind_a_known_beginning_are_read_or_refused(start: bytes, rest: bytes) -> None:
    read(start + rest)


def binaries(tar: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(tar) as archive:
        for member in archive:
            if member.isfile() and member.size > 64:
                content = archive.extractfile(member)
                assert content is not None
                raw = content.read()
                if raw[:4] == b"\x7fELF":
                    yield member.name, raw


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_every_binary_of_a_debian_is_read_as_pyelftools_reads_it(
    debian_tar: Callable[[str], Path], platform: str
) -> None:
    from elftools.elf.dynamic import DynamicSegment
    from elftools.elf.elffile import ELFFile
    from elftools.elf.segments import InterpSegment

    compared = 0
    for name, raw in binaries(debian_tar(platform)):
        oracle = ELFFile(io.BytesIO(raw))
        if oracle["e_type"] not in ("ET_EXEC", "ET_DYN"):
            continue
        binary = read(raw)
        assert binary is not None, name
        elf = binary.elf
        assert elf is not None
        assert not elf.problem, name
        interpreter, dynamic = "", []
        for segment in oracle.iter_segments():
            if isinstance(segment, InterpSegment):
                interpreter = segment.get_interp_name()
            elif isinstance(segment, DynamicSegment):
                dynamic = list(segment.iter_tags())
        assert (elf.wide, elf.little) == (oracle.elfclass == 64, oracle.little_endian)
        assert elf.flags == oracle["e_flags"]
        assert elf.interpreter == interpreter, name
        assert elf.needed == tuple(tag.needed for tag in dynamic if tag.entry.d_tag == "DT_NEEDED"), name
        assert elf.soname == next((tag.soname for tag in dynamic if tag.entry.d_tag == "DT_SONAME"), ""), name
        assert elf.runpath == next((tag.runpath for tag in dynamic if tag.entry.d_tag == "DT_RUNPATH"), ""), name
        compared += 1
    assert compared > 500
