"""Faster copies of emulators: what becomes of a file, and of one that is not as expected."""

import contextlib
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from polyarch.errors import UnsupportedError
from polyarch.sandbox import emulator_file
from polyarch.sandbox.emulator_image import EmulatorImage
from tests.needs import need
from tests.sandbox.emulator_files import COUNT, DYNAMIC, NAME, PAGE, PROPERTY, TABLE, damaged, emulator, prelinked


def _with_fast_pointer_authentication(raw: bytes | bytearray) -> bytes:
    image = EmulatorImage.of_bytes(raw)
    return bytes(emulator_file.with_fast_pointer_authentication(image, emulator_file.relocations(image)))


def test_a_prelinked_program_has_its_addresses_in_the_file() -> None:
    original = emulator()
    image = prelinked(original)
    base = emulator_file._BASE
    assert struct.unpack_from("<HHI", image, 16)[0] == 2
    entry, headers = struct.unpack_from("<QQ", image, 24)
    assert entry == base + 0x1234
    assert struct.unpack_from("<QQ", image, PROPERTY) == (base + NAME, base + 0x1000)
    found = [struct.unpack_from("<IIQQQQQQ", image, headers + 56 * number) for number in range(5)]
    # The kernel's addresses are absolute, and each page has the content that it had.
    assert [(each[0], each[3] - base) for each in found if each[0] == 1] == [
        (1, 0),
        (1, 0x1000),
        (1, 0x2000),
        (1, 0x4000),
    ]
    assert found[0][2] % PAGE == 0
    copied = image[found[0][2] :][:PAGE]
    assert copied[0x400:] == image[0x400:PAGE]
    assert original == emulator()
    # What is left of the relocations makes those in memory relative.
    table, size, count = (struct.unpack_from("<Q", image, DYNAMIC + 8 + 16 * number)[0] for number in range(3))
    left = list(struct.iter_unpack("<QQq", image[table : table + size]))
    assert (len(left), count, table) == (8, 8, TABLE + 24 * (COUNT - 8))
    assert sorted({base + value for _, _, value in left}) == [0, 0x1000, 0x2000, 0x4000]
    assert min(address for address, _, _ in left) == 0x4000 + 16


def test_the_default_of_the_property_is_set() -> None:
    image = _with_fast_pointer_authentication(emulator())
    changed = {at: new for at, (new, old) in enumerate(zip(image, emulator(), strict=True)) if new != old}
    assert changed == {PROPERTY + 48: 1}
    with pytest.raises(UnsupportedError, match="another kind"):
        _with_fast_pointer_authentication(image)


@pytest.mark.parametrize("change", [prelinked, _with_fast_pointer_authentication])
@given(damaged(emulator()))
def test_a_damaged_file_is_changed_or_refused(
    change: Callable[[bytearray], bytes], images: tuple[bytearray, bytearray]
) -> None:
    for image in images:
        with contextlib.suppress(UnsupportedError):
            assert len(change(image)) >= len(image)


@pytest.mark.integration
@pytest.mark.parametrize("name", ["aarch64", "arm", "s390x"])
def test_a_real_emulator_starts_with_half_of_the_page_faults(name: str, tmp_path: Path) -> None:
    need(f"qemu-{name}-static")
    original = shutil.which(f"qemu-{name}-static") or ""
    copy = tmp_path / "qemu"
    copy.write_bytes(prelinked(Path(original).read_bytes()))
    copy.chmod(0o755)

    def faults(emulator: str) -> int:
        quiet = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
        child = os.posix_spawn(emulator, [emulator, "--version"], {}, file_actions=quiet)
        _, status, usage = os.wait4(child, 0)
        assert status == 0
        return usage.ru_minflt

    assert faults(str(copy)) < faults(original) / 2
