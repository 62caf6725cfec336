"""Requirements of tests on the machine. Without one, a test is skipped on a developer's machine and fails in CI."""

import ctypes.util
import os
import shutil
from typing import NoReturn

import pytest

IN_CI = bool(os.environ.get("CI"))

# A skip whose reason begins so is about the kind of machine (its processor, its kernel), which no set-up can change.
ELSEWHERE = "not for this kind of machine: "


def missing(reason: str) -> NoReturn:
    """End the test: skipped with its reason on a developer's machine, failed in CI."""
    if IN_CI:
        pytest.fail(f"CI must be able to run this: {reason}", pytrace=False)
    pytest.skip(reason)


def elsewhere(reason: str) -> NoReturn:
    """Skip a test that has no meaning on this kind of machine, in CI as well."""
    pytest.skip(ELSEWHERE + reason)


def need(*programs: str) -> None:
    """End the test by missing() unless all these programs are on PATH."""
    absent = [name for name in programs if shutil.which(name) is None]
    if absent:
        missing(f"needs {', '.join(absent)} on PATH (`make test` installs what is missing)")


def need_library(name: str) -> None:
    if ctypes.util.find_library(name) is None:
        missing(f"needs the shared library {name} (`make test` installs what is missing)")


def need_root() -> None:
    """For tests of root's own path; tests of everyone's use the fixture `unprivileged` besides."""
    if os.geteuid() != 0:
        missing("needs root")
