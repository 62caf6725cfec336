"""The file of an emulator with changes reads like bytes that were changed."""

import re

from hypothesis import given
from hypothesis import strategies as st

from polyarch.sandbox.emulator_image import EmulatorImage

_Change = tuple[int, bytes]
_CHANGES = st.lists(st.tuples(st.integers(0, 20_000), st.binary(min_size=1, max_size=40)), max_size=6)


def _changed(content: bytearray, changes: list[_Change]) -> bytearray:
    for place, data in changes:
        content.extend(bytes(max(0, place + len(data) - len(content))))
        content[place : place + len(data)] = data
    return content


@given(st.integers(0, 15_000), _CHANGES, _CHANGES, st.integers(0, 40_000), st.integers(0, 40_000))
def test_an_image_is_the_file_with_what_was_written(
    size: int, first: list[_Change], second: list[_Change], offset: int, count: int
) -> None:
    original = bytes(number * number % 251 for number in range(size))
    image = EmulatorImage.of_bytes(original)
    for change in first:
        image.write(*change)
    copy = image.copy()
    for change in second:
        copy.write(*change)
    for written, changes in ((image, first), (copy, [*first, *second])):
        expected = _changed(bytearray(original), changes)
        assert len(written) == len(expected)
        assert bytes(written) == expected
        assert written.read(offset, count) == expected[offset : offset + count]


@given(st.lists(st.sampled_from([b"aa", b"ab", b"b", b"a" * 65_535]), max_size=8))
def test_a_pattern_is_found_across_pieces(parts: list[bytes]) -> None:
    content = b"".join(parts)
    found = EmulatorImage.of_bytes(content).places(b"aab")
    assert found == [match.start() for match in re.finditer(b"aab", content)]
