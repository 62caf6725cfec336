"""The forms in which an emulator can be copied, and trying whether a form works."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from polyarch.errors import UnsupportedError
from polyarch.sandbox import emulator_code, emulator_file, probe
from polyarch.sandbox.emulator_image import EmulatorImage
from polyarch.sandbox.host import least


class EmulatorForm(msgspec.Struct, frozen=True):
    """The content of a copy. `shown` are the processors that it can show, by number.

    With `short_positions`, its 32-bit programs see positions in directories that fit (`emulator_code`).
    """

    image: EmulatorImage
    shown: tuple[str, ...] = ()
    short_positions: bool = False


def forms(
    content: EmulatorImage, names: Iterable[int], architecture: str, models: Sequence[str]
) -> Iterator[EmulatorForm]:
    """Yield the forms of an emulator for programs of `architecture`, the best first and the plainest last.

    In all of them, the names of variables at the offsets `names` are empty.
    """
    plain = content.copy()
    for offset in names:
        plain.write(offset, b"\0")
    relocations = None
    with contextlib.suppress(UnsupportedError):
        relocations = emulator_file.relocations(plain)
        plain = emulator_file.with_fast_pointer_authentication(plain, relocations)
    form = EmulatorForm(plain)
    if any(models):
        with contextlib.suppress(UnsupportedError):
            form = EmulatorForm(emulator_code.with_processors(plain, models), tuple(models))
    if probe.MACHINES[architecture].bits == 32:
        with contextlib.suppress(UnsupportedError):
            form = EmulatorForm(emulator_code.with_32_bit_directories(form.image), form.shown, short_positions=True)
    for each in (form, EmulatorForm(plain)) if form.image is not plain else (form,):
        if relocations is not None:
            with contextlib.suppress(UnsupportedError):
                yield msgspec.structs.replace(each, image=emulator_file.prelinked(each.image, relocations))
        yield each


def shortens_positions(emulator: str) -> bool:
    """Return whether a copy of this emulator has 32-bit programs see positions in directories that fit."""
    try:
        with open(emulator, "rb") as file:
            emulator_code.with_32_bit_directories(EmulatorImage.of_file(file.fileno()))
    except (OSError, UnsupportedError):
        return False
    return True


def starts(emulator: str, architecture: str, model: str = "") -> bool:
    """Return whether an emulator runs a program that does nothing, with the processor `model` if there is one."""
    from polyarch.sandbox.probing.execution import execute

    program = probe.executable(least(architecture))
    done = execute(program or b"", [emulator, *(["-cpu", model] if model else [])])
    return done is not None and done.status == 0
