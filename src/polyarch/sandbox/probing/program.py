"""Programs that make system calls and report the results: built here, without a compiler.

A program is a static ELF file with two segments: code, and data that it can write. Its results are words at fixed
places in memory, which its children share, so what a child did before it crashed is known. At its end it writes them
all to standard output.
"""

import struct
from collections.abc import Mapping

import msgspec

from polyarch.oci.platform import Platform
from polyarch.sandbox import probe
from polyarch.sandbox.probing.machine_code import CODES
from polyarch.sandbox.probing.numbers import CALLS, constants

# Away from code and data, which are not as large.
_RESULTS = 0x600000
_SIZE = 0x10000
# The stack of a thread is in the same memory.
STACK = _RESULTS + 2 * _SIZE - 0x100
AT_FDCWD = -100
CLOSE_ON_EXEC = 0o2000000
READ, WRITE, EXECUTE = 1, 2, 4
SHARED, PRIVATE, FIXED = 1, 2, 0x10
_RESTORER = 0x04000000
_BEGIN = b"\0results of a probe\0"


class Word(msgspec.Struct, frozen=True):
    """An argument of a system call that is read from memory when the call is made."""

    address: int


class Results(msgspec.Struct, frozen=True):
    """What a program wrote: each result is at an offset and has a size. `order` is its byte order, as in struct."""

    order: str
    places: Mapping[str, tuple[int, int]]
    content: bytes

    def bytes_of(self, name: str) -> bytes:
        """The bytes of a result; zeros if the program did not get to it."""
        offset, size = self.places[name]
        return self.content[offset : offset + size].ljust(size, b"\0")

    def __getitem__(self, name: str) -> int:
        """The word of this name, with a sign."""
        raw = self.bytes_of(name)
        return int.from_bytes(raw, "little" if self.order == "<" else "big", signed=True)


class Program:
    """Collects the instructions and data of one program. It owns nothing.

    Raises LookupError for an architecture or a system call that is not known.
    """

    def __init__(self, platform: Platform) -> None:
        self.architecture = platform.architecture
        self.machine = probe.MACHINES[platform.architecture]
        self.constants = constants(platform.architecture)
        self._places: dict[str, tuple[int, int]] = {}
        self._used = 0
        self._encode = CODES[platform.architecture]
        self._code = bytearray(probe.requirements(platform))
        self._data = bytearray()
        self._labels: dict[str, int] = {}
        # Where the address of a label is missing: offset, label, and whether the jump depends on a result.
        self._jumps: list[tuple[int, str, bool]] = []
        self.map(_RESULTS, 2 * _SIZE, READ | WRITE, SHARED | FIXED)

    @property
    def word(self) -> int:
        """The bytes of a word."""
        return self.machine.bits // 8

    def data(self, content: bytes) -> int:
        """The address of some bytes of the program."""
        self._data += bytes(-len(self._data) % 16)
        address = probe.DATA + len(self._data)
        self._data += content
        return address

    def offset(self, address: int) -> int:
        """Where the data at an address is in the file."""
        return probe.DATA_OFFSET + address - probe.DATA

    def text(self, value: str) -> int:
        """The address of a string that ends with a zero."""
        return self.data(value.encode() + b"\0")

    def words(self, *values: int) -> int:
        """The address of words, as C's structures of pointers and longs have them."""
        kind = "Q" if self.word == 8 else "I"
        masked = (value & ((1 << self.machine.bits) - 1) for value in values)
        return self.data(struct.pack(f"{self.machine.order}{len(values)}{kind}", *masked))

    def result(self, name: str, size: int = 0) -> int:
        """The address of the result of this name: `size` bytes, or a word."""
        if name not in self._places:
            self._used += -self._used % 16
            self._places[name] = (self._used, size or self.word)
            self._used += size or self.word
            if self._used > _SIZE:
                raise ValueError("too many results")
        return _RESULTS + self._places[name][0]

    def call(self, name: str, *arguments: int | Word, keep: str = "") -> None:
        """Make a system call. `keep` names the result that its value becomes."""
        for register, argument in enumerate(arguments):
            if isinstance(argument, Word):
                self._code += self._encode.load(register, argument.address)
            else:
                self._code += self._encode.set(register, argument)
        self._code += self._encode.call(CALLS[self.architecture][name])
        if keep:
            self.keep(keep)

    def keep(self, name: str) -> None:
        """Store the value of the last system call as the result of this name."""
        self.store(self.result(name))

    def store(self, address: int) -> None:
        """Store the value of the last system call at an address."""
        self._code += self._encode.store(address)

    def label(self, name: str) -> int:
        """Name the place of the next instruction, and return its address."""
        self._labels[name] = self._here
        return self._here

    @property
    def _here(self) -> int:
        return probe.CODE + probe.headers(self.machine, 2) + len(self._code)

    def jump(self, label: str) -> None:
        """Continue at a label, which may follow."""
        self._jump(label, depends=False)

    def jump_unless_zero(self, label: str) -> None:
        """Continue at a label if the last system call did not return 0."""
        self._jump(label, depends=True)

    def jump_to(self, address: int) -> None:
        """Continue at an address."""
        self._code += self._encode.jump(address)

    def _jump(self, label: str, *, depends: bool) -> None:
        self._jumps.append((len(self._code), label, depends))
        self._code += self._encode.jump_unless_zero(0) if depends else self._encode.jump(0)

    def map(
        self, address: int, size: int, protection: int, flags: int, file: int | Word = -1, page: int = 0, keep: str = ""
    ) -> None:
        """Call mmap. Without a file, the memory is anonymous; `page` is the offset, in pages of 4096 bytes."""
        if file == -1:
            flags |= self.constants.anonymous
        values = (address, size, protection, flags, file, page if self.word == 4 else page * 4096)
        if self.constants.in_memory:
            self.call("mmap", self.words(*(value for value in values if isinstance(value, int))), keep=keep)
        else:
            self.call("mmap", *values, keep=keep)

    def clone(self, flags: int, stack: int = 0, thread: int = 0) -> None:
        """Call clone. `thread` is where the id of a new thread is stored and cleared, if the flags say so."""
        first = (stack, flags) if self.constants.reversed_clone else (flags, stack)
        # The order of the last three differs too, so they have the same value.
        self.call("clone", *first, thread, thread, thread)

    def handle(self, signal: int, handler: int, keep: str = "") -> None:
        """Call rt_sigaction, for a handler at an address."""
        # amd64 refuses a handler without a function that returns from it. These handlers return by themselves.
        size = self.constants.signals
        # SA_SIGINFO, without which some have a frame of another kind, for sigreturn instead of rt_sigreturn.
        flags = 8 if size == 16 else 4
        if self.architecture == "amd64":
            flags |= _RESTORER
        if size == 16:
            action = self.data(struct.pack(f"{self.machine.order}IIQQQ", flags, 0, handler, 0, 0))
        else:
            action = self.words(handler, flags, 0, 0, 0, 0)
        self.call("rt_sigaction", signal, action, 0, size, keep=keep)

    def handler(self, label: str, mark: str) -> int:
        """A handler for signals, which stores a number in the result `mark`. Returns its address."""
        self.jump(f"after {label}")
        address = self.label(label)
        self.call("gettid", keep=mark)
        self._code += self._encode.return_from_handler(CALLS[self.architecture]["rt_sigreturn"])
        self.label(f"after {label}")
        return address

    def exiting(self, status: int) -> bytes:
        """The instructions that end a process with a status. They work at any address."""
        return self._encode.set(0, status) + self._encode.call(CALLS[self.architecture]["exit_group"])

    def report(self) -> None:
        """Write the results to standard output, and end."""
        # qemu 11.1 may write a line of its own to standard output first: "Could not resolve /proc/self/fd/3".
        self.call("write", 1, self.data(_BEGIN), len(_BEGIN))
        self.call("write", 1, _RESULTS, self._used)
        self.call("exit_group", 0)

    def results(self, output: bytes) -> Results:
        """What the program wrote to standard output."""
        return Results(self.machine.order, self._places, output.partition(_BEGIN)[2])

    def image(self) -> bytes:
        """The file."""
        for offset, label, depends in self._jumps:
            encode = self._encode.jump_unless_zero if depends else self._encode.jump
            instructions = encode(self._labels[label])
            self._code[offset : offset + len(instructions)] = instructions
        return probe.image(self.machine, bytes(self._code), bytes(self._data) or b"\0")
