"""The limits of the source, and that the script that checks them notices each kind of violation."""

from pathlib import Path

import pytest

from scripts import limits


@pytest.fixture(scope="module")
def source() -> limits.Source:
    return limits.Source(limits.ROOT)


@pytest.mark.parametrize("rule", limits.RULES)
def test_the_source_keeps_its_limits(rule: str, source: limits.Source) -> None:
    assert [str(violation) for violation in limits.RULES[rule](source)] == []


def lines_of(rule: str, tmp_path: Path, **files: str) -> list[str]:
    """Where a rule finds violations in a source of some files, as `module:line`."""
    package = tmp_path / "src" / "polyarch"
    package.mkdir(parents=True)
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    found = limits.RULES[rule](limits.Source(tmp_path))
    return sorted(f"{Path(violation.path).stem}:{violation.line}" for violation in found)


def test_files_that_import_each_other_are_found_in_functions_and_for_types_too(tmp_path: Path) -> None:
    found = lines_of(
        "circles",
        tmp_path,
        a="import sys\n\nfrom polyarch import b\n",
        b="def late():\n    from polyarch.c import name\n",
        c="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import polyarch.a\n",
        above="from polyarch import a\n",
        below="import sys\n",
    )
    assert found == ["a:3", "b:2", "c:3"]


def test_a_line_too_many_is_found_in_files_and_functions(tmp_path: Path) -> None:
    body = "    x = 1\n"
    files = {"long": "x = 1\n" * 401, "full": "x = 1\n" * 400, "short": f"def f():\n{body * 59}"}
    assert lines_of("file-lines", tmp_path / "files", **files) == ["long:1"]
    files["tall"] = f"@decorated\n@twice\ndef f():\n{body * 60}"
    assert lines_of("function-lines", tmp_path / "functions", **files) == ["tall:3"]


def test_fields_are_counted_where_they_are_declared_and_where_they_are_assigned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PLAIN_REQUESTS", {})
    declared = "".join(f"    field{number}: int\n" for number in range(16))
    assigned = "    kind: ClassVar[str]\n    def __init__(self):\n        self.one, self.field1 = 1, 2\n"
    assert lines_of("class-fields", tmp_path, full=f"class A:\n{declared}", many=f"class B:\n{declared}{assigned}") == [
        "many:1"
    ]


def test_a_plain_request_may_have_more_fields_and_a_needless_exception_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PLAIN_REQUESTS", {"Asked": "all that a user may ask", "Gone": "is small now"})
    declared = "".join(f"    field{number}: int\n" for number in range(17))
    assert lines_of("class-fields", tmp_path, many=f"class Asked:\n{declared}") == ["limits:1"]


def test_a_class_name_of_two_classes_is_found_at_both(tmp_path: Path) -> None:
    files = {
        "a": "class Layer: ...\nclass _Part: ...\n",
        "b": "class Other:\n    class Layer: ...\n\nclass _Part: ...\n",
    }
    assert lines_of("public-twice", tmp_path / "public", **files) == ["a:1", "b:2"]
    assert lines_of("private-twice", tmp_path / "private", **files) == ["a:2", "b:4"]


def test_own_words_are_found_in_names_of_files_classes_and_functions(tmp_path: Path) -> None:
    found = lines_of(
        "own-words", tmp_path, crew="", a="class HappyCrew: ...\ndef _look_beneath(): ...\ndef screw(): ...\n"
    )
    assert found == ["a:1", "a:2", "crew:1"]


def test_phrases_are_found_in_docstrings_comments_and_texts_across_lines(tmp_path: Path) -> None:
    found = lines_of(
        "words",
        tmp_path,
        doc='"""A name.\n\nIt is\nno tar."""\n',
        comment="x = 1\n# Where a file comes\n# to lie.\n",
        text="def f(x):\n    raise ValueError(f'{x} is no platform')\n",
        good='"""It is no longer here: there is no platform."""\nuser = "nobody:x:65534"\n',
    )
    assert found == ["comment:2", "doc:3", "text:2"]
