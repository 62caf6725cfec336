"""`drift` and `diff` as commands."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests import trees
from tests.program import Program


@pytest.fixture
def drifting(polyarch: Program, tmp_path: Path) -> str:
    """An image of two platforms that differ in a file, a label and a name that contains markup."""
    import subprocess

    common: trees.Tree = {"etc/common": "1", "etc/changed": "12"}
    for platform, more in (
        ("linux/amd64", {"etc/only-amd64": "", "etc/<b>&amp;": "", "etc/changed": "34"}),
        ("linux/arm64", {}),
    ):
        root = trees.write(tmp_path / platform, {**common, **more})
        tar = tmp_path / "root.tar"
        subprocess.run(["tar", "-C", root, "-cf", tar, "."], check=True)
        label = f"LABEL built-by=machine-{len(more)}"
        polyarch("import", "--change", label, "--platform", platform, tar, "drifting")
    return "drifting"


def test_drift_is_a_table_with_a_column_a_platform(polyarch: Program, drifting: str) -> None:
    lines = [line.split() for line in polyarch("drift", drifting).lines()]
    assert lines[0] == ["KIND", "NAME", "LINUX/AMD64", "LINUX/ARM64"]
    assert ["label", "built-by", "machine-3", "machine-0"] in lines
    assert ["file", "/etc/only-amd64", "file", "-"] in lines
    assert not any("common" in line for line in lines)


def test_drift_ends_with_1_only_where_that_is_asked_for(polyarch: Program, busybox: str, drifting: str) -> None:
    assert polyarch("drift", "--exit-code", drifting, check=False).status == 1
    same = polyarch("drift", "--exit-code", busybox, "linux/amd64", "linux/arm64")
    assert same.stdout.startswith("busybox:latest: nothing differs between linux/amd64, linux/arm64")


def test_drift_needs_two_platforms(polyarch: Program, busybox: str) -> None:
    assert "comparing needs two" in polyarch.fails("drift", busybox, "linux/amd64").stderr
    assert "linux/ppc64le" in polyarch.fails("drift", busybox, "linux/amd64", "linux/ppc64le").stderr


def test_drift_has_json(polyarch: Program, drifting: str) -> None:
    document = polyarch("drift", "--json", drifting).json()
    (label,) = [row for row in document["rows"] if row["kind"] == "label"]
    assert label["values"] == {"linux/amd64": "machine-3", "linux/arm64": "machine-0"}


class Page(HTMLParser):
    """What a page has, as a reader of HTML sees it."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.cells: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def test_the_page_stands_alone_and_shows_names_as_they_are(polyarch: Program, drifting: str, tmp_path: Path) -> None:
    polyarch("drift", "--html", tmp_path / "page.html", drifting)
    page = Page((tmp_path / "page.html").read_text())
    assert not {"script", "img", "link", "b"} & set(page.tags)
    assert page.links == []
    assert "/etc/<b>&amp;" in page.cells
    assert "missing" in page.cells


def test_diff_of_two_platforms_tells_what_was_added_removed_and_changed(polyarch: Program, drifting: str) -> None:
    lines = polyarch("diff", drifting, "--platform", "linux/amd64,linux/arm64").lines()
    assert lines[:2] == ["--- drifting:latest linux/amd64", "+++ drifting:latest linux/arm64"]
    assert "C label built-by: machine-3 → machine-0" in lines
    assert "D /etc/only-amd64" in lines
    assert "C /etc/changed  (content)" in lines
    assert not any("common" in line for line in lines)
    back = polyarch("diff", drifting, "--platform", "linux/arm64", "--platform", "linux/amd64").lines()
    assert "A /etc/only-amd64" in back


def test_diff_of_an_image_with_itself_is_nothing(polyarch: Program, drifting: str) -> None:
    assert polyarch("diff", "--exit-code", drifting, drifting).lines()[-1] == "nothing differs"


def test_diff_of_two_images_names_what_was_added_and_removed(polyarch: Program, busybox: str, drifting: str) -> None:
    result = polyarch("diff", "--exit-code", "--json", busybox, drifting, check=False)
    assert result.status == 1, str(result)
    document = result.json()
    assert document["before"]["name"] == "busybox:latest"
    changes = {(file["change"], file["path"]) for file in document["files"]}
    assert {("removed", "/bin/busybox"), ("added", "/etc/common")} <= changes


def test_diff_of_one_image_wants_two_platforms(polyarch: Program, drifting: str) -> None:
    assert "--platform" in polyarch.fails("diff", drifting).stderr
