"""The directories of Debians: their names."""

from pathlib import Path

import pytest

from scripts import debian_root


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options of mmdebstrap, of which only an empty directory is made."""
    options: list[str] = []

    def mmdebstrap(_suite: str, _architecture: str, target: Path, *given: str) -> None:
        options.extend(one for one in given if one.startswith("--include="))
        target.mkdir()

    monkeypatch.setattr(debian_root, "_mmdebstrap", mmdebstrap)
    monkeypatch.setattr(debian_root, "_output", lambda *_: "amd64")
    return options


def test_a_root_of_few_packages_is_named_after_them(made: list[str], tmp_path: Path) -> None:
    assert debian_root.root("sid", ("skopeo", "umoci"), tmp_path).name == "sid-skopeo-umoci-amd64"
    debian_root.root("sid", ("skopeo", "umoci"), tmp_path)
    assert made == ["--include=skopeo,umoci"]


def test_a_root_of_many_packages_has_a_name_that_fits(made: list[str], tmp_path: Path) -> None:
    many = [f"a-library-of-debian-{number}" for number in range(60)]
    one, other = debian_root.root("sid", many, tmp_path), debian_root.root("sid", many[1:], tmp_path)
    assert one != other
    assert one.is_dir()
    assert debian_root.root("sid", many, tmp_path) == one
    assert [len(options.split(",")) for options in made] == [60, 59]
