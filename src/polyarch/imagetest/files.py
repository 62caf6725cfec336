"""Files of tests, in either form."""

from collections.abc import Iterable
from pathlib import Path

from polyarch.errors import NotFoundError
from polyarch.imagetest.places import TestFileError
from polyarch.imagetest.values import ImageTest

_LARGEST = 4 << 20


def read_tests(paths: Iterable[Path]) -> tuple[ImageTest, ...]:
    """The tests of these files: `.toml` is Polyarch's own form, `.yaml`, `.yml` and `.json` container-structure-test's.

    Raises NotFoundError, TestFileError that names file, line and column.
    """
    tests: list[ImageTest] = []
    for path in paths:
        tests += _read(path)
    return tuple(tests)


def _read(path: Path) -> tuple[ImageTest, ...]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise NotFoundError(f"cannot read the tests in {path}: {error.strerror}") from error
    if len(raw) > _LARGEST:
        raise TestFileError(f"{path}: a file of tests has at most {_LARGEST >> 20} MiB")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise TestFileError(f"{path}:{line}: this is not UTF-8") from error
    if path.suffix in (".yaml", ".yml", ".json"):
        from polyarch.imagetest import structure_tests

        return structure_tests.parse(str(path), text)
    from polyarch.imagetest import testfile

    return testfile.parse(str(path), text)
