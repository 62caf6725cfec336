"""The forms in which an emulator can be copied, and trying whether a form works."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import UnsupportedError
from polyarch.oci.platform import Platform
from polyarch.sandbox import emulator_code, emulator_file, probe

if TYPE_CHECKING:
    import mmap

# Every processor of an architecture runs the programs for this variant.
_LEAST = {"arm": "v5"}


class EmulatorForm(msgspec.Struct, frozen=True):
    """The content of a copy. `shown` are the processors that it can show, by number.

    With `short_positions`, its 32-bit programs see positions in directories that fit (`emulator_code`).
    """

    image: bytearray
    shown: tuple[str, ...] = ()
    short_positions: bool = False


def forms(
    content: "bytes | mmap.mmap", names: Iterable[int], architecture: str, models: Sequence[str]
) -> Iterator[EmulatorForm]:
    """Yield the forms of an emulator for programs of `architecture`, the best first and the plainest last.

    In all of them, the names of variables at the offsets `names` are empty.
    """
    plain = bytearray(content)
    for offset in names:
        plain[offset] = 0
    with contextlib.suppress(UnsupportedError):
        plain = emulator_file.with_fast_pointer_authentication(plain)
    form = EmulatorForm(plain)
    if any(models):
        with contextlib.suppress(UnsupportedError):
            form = EmulatorForm(emulator_code.with_processors(plain, models), tuple(models))
    if probe.MACHINES[architecture].bits == 32:
        with contextlib.suppress(UnsupportedError):
            form = EmulatorForm(emulator_code.with_32_bit_directories(form.image), form.shown, short_positions=True)
    for each in (form, EmulatorForm(plain)) if form.image is not plain else (form,):
        with contextlib.suppress(UnsupportedError):
            yield msgspec.structs.replace(each, image=emulator_file.prelinked(each.image))
        yield each


def shortens_positions(emulator: str) -> bool:
    """Return whether a copy of this emulator has 32-bit programs see positions in directories that fit."""
    try:
        with open(emulator, "rb") as file:
            emulator_code.with_32_bit_directories(file.read())
    except (OSError, UnsupportedError):
        return False
    return True


def starts(emulator: str, architecture: str, model: str = "") -> bool:
    """Return whether an emulator runs a program that does nothing, with the processor `model` if there is one."""
    from polyarch.sandbox.probing.execution import execute

    program = probe.executable(Platform(os="linux", architecture=architecture, variant=_LEAST.get(architecture, "")))
    done = execute(program or b"", [emulator, *(["-cpu", model] if model else [])])
    return done is not None and done.status == 0
