"""The picture of the rooms shows what the imports are, and a stale one is noticed."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from scripts import limits, rooms


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Four rooms: top imports middle and low, middle low, and low nothing; aside is on its own."""
    files = {
        "src/polyarch/__init__.py": "from polyarch.version import VERSION\n",
        "src/polyarch/version.py": "VERSION = '1'\n",
        "src/polyarch/top.py": '"""What is above: a & b. It is short."""\nfrom polyarch import low, middle\n',
        "src/polyarch/middle/__init__.py": '"""Between\nthem."""\n',
        "src/polyarch/middle/one.py": "def late():\n    from polyarch.low import x\n",
        "src/polyarch/middle/inner/__init__.py": '"""A part of it."""\n',
        "src/polyarch/low.py": '"""The lowest."""\nx = 1\n',
        "src/polyarch/aside.py": '"""On its own."""\n',
        "docs/architecture.md": f"# House\n\n{rooms.BEGIN}\nold\n{rooms.END}\n\n## More\n",
        "docs/pictures/x.svg": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_room_is_above_all_that_it_imports_and_points_only_where_no_other_way_leads(repository: Path) -> None:
    found = rooms.rooms(limits.Source(repository))
    assert [(room.path, room.level, room.imports) for room in found] == [
        ("top.py", 3, ("middle",)),
        ("middle/", 2, ("low",)),
        ("aside.py", 1, ()),
        ("low.py", 1, ()),
    ]
    assert [room.purpose for room in found] == [
        "What is above: a & b",
        "Between them",
        "On its own",
        "The lowest",
    ]
    assert found[1].within == {"middle/inner/": "A part of it"}


def test_the_page_and_the_picture_are_written_and_then_fresh_until_an_import_changes(repository: Path) -> None:
    assert rooms.main(["--check"], repository) == 1
    assert (repository / "docs/architecture.md").read_text().count("old") == 1
    assert rooms.main([], repository) == 0
    page = (repository / "docs/architecture.md").read_text()
    assert page.startswith("# House\n")
    assert page.endswith("\n\n## More\n")
    assert "| `top.py` | What is above: a & b | `middle` |" in page
    assert "old" not in page
    assert rooms.main(["--check"], repository) == 0
    (repository / "src/polyarch/aside.py").write_text('"""On its own."""\nimport polyarch.low\n')
    assert rooms.main(["--check"], repository) == 1


def test_the_picture_has_a_box_for_each_room_and_an_arrow_for_each_import(repository: Path) -> None:
    drawn = ElementTree.fromstring(rooms.picture(rooms.rooms(limits.Source(repository))))
    svg = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in drawn.iter(f"{svg}text")]
    assert {"top.py", "middle/", "low.py", "aside.py", "What is above"} <= set(texts)
    assert len([path for path in drawn.iter(f"{svg}path") if path.get("marker-end")]) == 2


def test_a_page_without_a_place_for_the_rooms_is_refused(repository: Path) -> None:
    (repository / "docs/architecture.md").write_text("# House\n")
    with pytest.raises(SystemExit, match="no place for the rooms"):
        rooms.main([], repository)


def test_rooms_that_import_each_other_are_refused(repository: Path) -> None:
    (repository / "src/polyarch/low.py").write_text("import polyarch.top\n")
    with pytest.raises(SystemExit, match="import each other"):
        rooms.main(["--check"], repository)
