"""What is built and moved: always the same bytes, from seeds."""

import random
from pathlib import Path

FILES = 5000
_WORDS = [f"word{number}" for number in range(2000)]


def tree(directory: Path, base: str, count: int = FILES) -> Path:
    """A context: a program's tree of texts and binaries, 17 kB on average, in 50 directories, to be copied onto `base`.

    5,000 files are 85 MB.
    """
    chance = random.Random(7)
    for number in range(count):
        path = _module(directory, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = int(chance.expovariate(1 / 17_000)) + 1
        if number % 5:
            path.write_text(" ".join(chance.choices(_WORDS, k=size // 8)))
        else:
            path.write_bytes(chance.randbytes(size))
    return dockerfile(directory, f'FROM {base}\nCOPY app /app\nCMD ["/bin/sh"]\n')


def many(directory: Path, count: int) -> Path:
    """A context of so many small files, 100 in each directory."""
    for number in range(count):
        path = directory / "app" / f"package-{number // 1000}" / f"directory-{number // 100 % 10}"
        if number % 100 == 0:
            path.mkdir(parents=True)
        (path / f"module-{number % 100}.js").write_text(f"export const number = {number};\n")
    return dockerfile(directory, "FROM scratch\nCOPY app /app\n")


def change(directory: Path, run: int) -> None:
    """Another content for one file in the middle of a `tree`."""
    _module(directory, 2501).write_text(f"run {run}\n" + " ".join(random.Random(run).choices(_WORDS, k=2000)))


def large(directory: Path, base: str, mebibytes: int) -> Path:
    """A context with one file, every other mebibyte of it random, the rest text."""
    chance = random.Random(1)
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "large", "wb") as file:
        for _ in range(mebibytes // 2):
            text = " ".join(chance.choices(_WORDS, k=160_000)).encode()
            file.writelines((chance.randbytes(1 << 20), text[: 1 << 20]))
    return dockerfile(directory, f"FROM {base}\nCOPY large /large\n")


def dockerfile(directory: Path, text: str) -> Path:
    """The same directory, now with this Dockerfile."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "Dockerfile").write_text(text)
    return directory


def _module(directory: Path, number: int) -> Path:
    return directory / "app" / f"package{number % 50}" / f"module{number}.py"
