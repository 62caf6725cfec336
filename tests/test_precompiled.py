"""All code in one file: what it serves, and when it does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from polyarch import precompiled

PROGRAM = """
import sys
from polyarch.precompiled import Precompiled
modules = Precompiled()
modules.install()
import {module} as module
print(type(module.__spec__.loader).__name__, module.__file__, bool(module.__loader__.get_source(module.__name__)))
print(getattr(module, "ADDED", None), list(getattr(module, "__path__", [])))
print(module.__spec__.cached)
loader = module.__loader__
codes = [loader.get_code(module.__name__) for _ in range(2)]
print(all(code.co_filename == module.__file__ for code in codes), codes[0] == codes[1], getattr(loader, "_code", b""))
modules.close()
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of a part of the package, so that this one's cache stays as it is."""
    copy = tmp_path / "polyarch"
    (copy / "oci").mkdir(parents=True)
    home = Path(precompiled.__file__).parent
    for name in ("__init__.py", "errors.py", "lazy.py", "precompiled.py", "version.py", "oci/__init__.py"):
        shutil.copy(home / name, copy / name)
    return copy


def run(package: Path, module: str = "polyarch.errors", **variables: str) -> tuple[str, list[str]]:
    """How a new process imports a module: its loader's class, and all that it prints."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(package.parent), **variables}
    program = PROGRAM.format(module=module)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    return lines[0].split()[0], lines


def cache(package: Path) -> Path | None:
    return next((package / "__pycache__").glob("modules.*"), None)


def test_the_second_process_takes_its_modules_from_the_one_file(package: Path) -> None:
    assert run(package)[0] == "SourceFileLoader"
    first = cache(package)
    assert first is not None
    written = first.stat()
    loader, lines = run(package)
    assert (loader, lines[0].split()[1:]) == ("_Loader", [str(package / "errors.py"), "True"])
    assert lines[2] == str(first)
    assert lines[3] == "True True b''", "the code is not kept, and can be asked for again"
    assert first.stat().st_ino == written.st_ino, "it was written again, with nothing new"
    assert run(package, "polyarch.oci")[0] == "SourceFileLoader"
    loader, lines = run(package, "polyarch.oci")
    assert (loader, lines[1]) == ("_Loader", f"None {[str(package / 'oci')]}")
    assert run(package)[0] == "_Loader", "what was known before is kept"
    assert [path.name for path in (package / "__pycache__").glob("modules.*")] == [first.name]


def test_nobody_else_may_write_it_whatever_the_umask_is(package: Path) -> None:
    before = os.umask(0)
    try:
        run(package)
    finally:
        os.umask(before)
    path = cache(package)
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_changed_module_is_not_taken_from_it(package: Path) -> None:
    run(package)
    with open(package / "errors.py", "a") as file:
        file.write("\nADDED = 1\n")
    loader, lines = run(package)
    assert (loader, lines[1][:1]) == ("SourceFileLoader", "1")
    loader, lines = run(package)
    assert (loader, lines[1][:1]) == ("_Loader", "1")


def test_a_removed_module_is_gone(package: Path) -> None:
    run(package)
    (package / "errors.py").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        run(package)


@pytest.mark.parametrize("damage", [b"", b"x", b"\xff" * 8, bytes(8), (9).to_bytes(8, "little") + b"?"])
def test_a_damaged_file_is_written_anew(package: Path, damage: bytes) -> None:
    run(package)
    path = cache(package)
    assert path is not None
    path.write_bytes(damage)
    assert run(package)[0] == "SourceFileLoader"
    assert run(package)[0] == "_Loader"


def test_another_search_path_is_another_world(package: Path, tmp_path: Path) -> None:
    """Two environments with one copy of Polyarch may have two versions of a library."""
    for version in (1, 2):
        (tmp_path / f"{version}").mkdir()
        (tmp_path / f"{version}" / "library.py").write_text(f"ADDED = {version}\n")
        os.utime(tmp_path / f"{version}" / "library.py", (1, 1))
    for version in (1, 2, 1):
        for loader in ("SourceFileLoader", "_Loader"):
            search = f"{package.parent}:{tmp_path}/{version}"
            found, lines = run(package, "library", PYTHONPATH=search)
            assert (found, lines[1][:1]) == (loader, f"{version}")


def test_nothing_is_written_where_python_may_not_write_bytecode(package: Path) -> None:
    run(package, PYTHONDONTWRITEBYTECODE="1")
    assert cache(package) is None


def test_a_directory_that_cannot_be_written_changes_nothing(package: Path) -> None:
    (package / "__pycache__").write_text("no directory")
    assert run(package)[0] == "SourceFileLoader"
    assert run(package)[0] == "SourceFileLoader"
