"""Every case of `cases/`: a Dockerfile, its context, and the expected result for each platform."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.builds.cases import BASES, Case, everything, options_of
from tests.builds.conftest import Worker
from tests.builds.images import Image
from tests.needs import need_root

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CASES = [case for case in everything() if case.file != BASES]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_builds_the_image_or_the_error_that_it_describes(
    case: Case, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if "nobody may read" in str(case):
        need_root()
    worker: Worker = request.getfixturevalue("busybox_with_bases" if _is_with_busybox(case) else "with_bases")
    outcome = worker.build(**options_of(case, tmp_path))
    expected = case.section("error")
    if expected is not None:
        _check_error(outcome, expected)
    else:
        assert "error" not in outcome, outcome["error"]
        assert list(outcome["images"]) == case.platforms
        for platform, digest in outcome["images"].items():
            _check_image(case, platform, worker.image(digest))
    for line in (case.section("warnings") or "").splitlines():
        assert any(line in warning for warning in outcome["warnings"]), outcome["warnings"]
    for line in (case.section("no warnings") or "").splitlines():
        assert not any(line in warning for warning in outcome["warnings"]), outcome["warnings"]


def test_there_are_enough_cases() -> None:
    assert len(CASES) > 150
    assert len({str(case) for case in CASES}) == len(CASES)


def _is_with_busybox(case: Case) -> bool:
    return case.runs or "busybox" in case.sections["Dockerfile"]


def _check_error(outcome: dict[str, Any], expected: str) -> None:
    assert "error" in outcome, f"this was built: {outcome}"
    for line in expected.splitlines():
        assert line in outcome["error"]


def _check_image(case: Case, platform: str, image: Image) -> None:
    system, architecture, *variant = platform.split("/")
    labelled = (image.config["os"], image.config["architecture"], image.config.get("variant"))
    if "foreign" not in case.sections:
        assert labelled == (system, architecture, variant[0] if variant else None)
    if (files := case.section("files", platform)) is not None:
        times = " @" in files
        assert [file.line(path, times=times) for path, file in image.files().items()] == files.splitlines()
    if (changes := case.section("changes", platform)) is not None:
        assert _changes(case, image, times=" @" in changes) == changes.splitlines()
    if (config := case.section("config", platform)) is not None:
        assert image.config["config"] == _config(config)
    if (fields := case.section("fields", platform)) is not None:
        for line in fields.splitlines():
            key, _, value = line.partition(": ")
            assert image.config["config"].get(key) == json.loads(value), key
    if (history := case.section("history", platform)) is not None:
        wanted = history.splitlines()
        got = image.history()
        assert (got[-len(wanted) + 1 :] if wanted[0] == "..." else got) == wanted[wanted[0] == "..." :]
    if (layers := case.section("layers", platform)) is not None:
        assert len(image.layers) == int(layers)


def _changes(case: Case, image: Image, *, times: bool) -> list[str]:
    """The entries of the layers above the base, a line between two layers. Of a base that has one layer."""
    lines: list[str] = []
    for number, layer in enumerate(image.layers[1:]):
        lines += [*(["~"] if number else []), *(file.line(path, times=times) for path, file in layer.items())]
    return lines


def _config(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in text.splitlines():
        key, _, value = line.partition(": ")
        found[key] = json.loads(value)
    found["Env"] = [_PATH if value == "PATH" else value for value in found.get("Env", ["PATH"])]
    return found
