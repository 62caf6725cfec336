"""Runs a case here, in this process, and with buildx."""

from pathlib import Path

from tests.answers import RecordedCase, run_here, run_there, write_files


def _words(case: RecordedCase) -> list[str]:
    shown = any(word.startswith(("--print", "--list")) for word in case.words)
    return [*case.words] if shown else ["--print", *case.words]


def ours(case: RecordedCase, directory: Path) -> tuple[str | None, str]:
    """What the command prints, None if it fails; and what it says on standard error."""
    write_files(case.files, directory)
    return run_here(["bake", *_words(case)], directory, case.env)


def theirs(case: RecordedCase, directory: Path, buildx: Path) -> tuple[str | None, str]:
    """The same of buildx."""
    write_files(case.files, directory)
    env = {"BUILDX_CONFIG": str(directory / ".buildx"), **case.env}
    return run_there([str(buildx), "bake", *_words(case)], directory, env)
