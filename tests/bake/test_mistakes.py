"""Files with mistakes: the error names the place and what was meant. Files made to be slow are refused soon."""

from pathlib import Path

import pytest

from tests.answers import RecordedCase
from tests.bake import running


def refused(directory: Path, text: str, *words: str, name: str = "docker-bake.hcl") -> str:
    """What is said about a file that is refused."""
    found, said = running.ours(RecordedCase("", {name: text}, words), directory)
    assert found is None, found
    assert "this is a bug" not in said
    return said


# The file, and parts of what is said.
MISTAKES: list[tuple[str, list[str]]] = [
    ('target "a" {\n  tags = ["x"\n}\n', ["docker-bake.hcl:3:1: ", "   2 |   tags = ["]),
    ('target "a" {\n  tags = ["x]\n}\n', ["docker-bake.hcl:2:"]),
    ('target "a" {\n  tags = "x"\n}\n', ["docker-bake.hcl:2:10", "tags", "list"]),
    ('target "a" {\n  args = ["x"]\n}\n', ["docker-bake.hcl:2:10", "args", "map"]),
    ('target "a" {\n  no-cache = "maybe"\n}\n', ["docker-bake.hcl:2:14", "no-cache", "bool"]),
    ('target "a" {\n  args = { v = VERSON }\n}\nvariable "VERSION" {}\n', [":2:16", "VERSON", "did you mean VERSION?"]),
    ('target "a" {\n  args = { v = uper("x") }\n}\n', [":2:16", "uper", "did you mean upper?"]),
    ('target "a" {\n  args = { v = upper() }\n}\n', [":2:16", "upper()", "str is missing"]),
    ('target "a" {\n  args = { v = upper([]) }\n}\n', [":2:16", "upper()", "string"]),
    ('target "a" {\n  tags = ["a"]\n  tags = ["b"]\n}\n', ["docker-bake.hcl:3:3", "tags", "line 2"]),
    ('target "a" "b" {\n}\n', ["docker-bake.hcl:1:"]),
    ("target {\n}\n", ["docker-bake.hcl:1:"]),
    ('target "a b" {\n}\n', ["docker-bake.hcl:1:1", "a b"]),
    ('tagret "a" {\n}\n', ["docker-bake.hcl:1:1", "tagret", "did you mean target?"]),
    ('variable "V" {\n  type = list\n}\n', ["docker-bake.hcl:2:10"]),
    ('variable "V" {\n  type = strin\n}\n', ["docker-bake.hcl:2:10", "did you mean string?"]),
    ('variable "V" {\n  type = number\n  default = "x"\n}\n', ["docker-bake.hcl:3:13", "number"]),
    (
        (
            'variable "V" {\n  default = 1\n  validation {\n    condition = V > 1\n    error_message = "V is small"\n'
            "  }\n}\n"
        ),
        ["docker-bake.hcl:4:17", "V is small"],
    ),
    (
        'variable "A" {\n  default = B\n}\nvariable "B" {\n  default = A\n}\n',
        ["docker-bake.hcl:5:13", "A needs itself"],
    ),
    (
        'function "f" {\n  params = [a]\n  result = f(a)\n}\ntarget "t" {\n  args = { v = f(1) }\n}\n',
        ["docker-bake.hcl:"],
    ),
    (
        'target "a" {\n  inherits = ["b"]\n}\ntarget "b" {\n  inherits = ["a"]\n}\n',
        ["docker-bake.hcl:5:14", "a → b → a"],
    ),
    (
        'target "a" {\n  inherits = ["bb"]\n}\ntarget "bbb" {}\n',
        ["docker-bake.hcl:2:14", "inherits", "did you mean bbb?"],
    ),
    ('group "a" {\n  targets = ["a"]\n}\n', ["docker-bake.hcl:2:13", "the group a contains itself"]),
    (
        'group "a" {\n  targets = ["b"]\n}\ngroup "b" {\n  targets = ["a"]\n}\n',
        ["docker-bake.hcl:5:13", "the group a contains itself: a → b → a"],
    ),
    ('group "a" {\n  targets = ["bb"]\n}\ntarget "bbb" {}\n', ["docker-bake.hcl:2:13", "did you mean bbb?"]),
    ('target "a" {\n  contexts = { x = "target:a" }\n}\n', ["docker-bake.hcl:2:14", "needs itself as a context"]),
    (
        'target "a" {\n  contexts = { x = "target:bb" }\n}\ntarget "bbb" {}\n',
        ["docker-bake.hcl:2:14", "the context x of the target a", "did you mean bbb?"],
    ),
    ('target "a" {\n  matrix = { x = [] }\n  name = "a-${x}"\n}\n', ["there is no target 'a'"]),
    ('target "a" {\n  matrix = { x = ["1", "2"] }\n}\n', ["docker-bake.hcl:1:1", "hint: name = "]),
    ('target "a" {\n  platforms = ["linux/amd64/v3/x"]\n}\n', ["target a", "linux/amd64/v3/x"]),
    ('target "a" {\n  args = { v = 1e999999999 }\n}\n', ["docker-bake.hcl:2:16"]),
    (f'target "a" {{\n  args = {{ v = {"9" * 30_000} }}\n}}\n', ["docker-bake.hcl:2:16"]),
    ('target "a" {\n  args = { v = regex("(", "x") }\n}\n', ["docker-bake.hcl:2:16", "regex()"]),
    ('target "a" {\n  args = { v = "${1 +}" }\n}\n', ["docker-bake.hcl:2:"]),
    ('target "a" {\n  dockerfile-inline = <<END\nFROM x\n}\n', ["docker-bake.hcl:2:23"]),
    ("\x00", ["docker-bake.hcl:1:1"]),
    ("}", ["docker-bake.hcl:1:1"]),
]


@pytest.mark.parametrize(("text", "parts"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_shown_with_its_place(text: str, parts: list[str], tmp_path: Path) -> None:
    said = refused(tmp_path, text, "--print", "a" if '"a"' in text else "t")
    for part in parts:
        assert part in said


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('{"target": {"a": {"tags": ["x",]}}}', ["docker-bake.json:1:32"]),
        ('{"target": {"a": {"tags": "x"}}}', ["docker-bake.json:1:27", "tags"]),
        ('{"target": {"a": {"args": {"v": "${VERSON}"}}}, "variable": {"VERSION": {}}}', [":1:33", "mean VERSION?"]),
        ('{"target": {"a": {"inherits": ["b"]}}}', [":1:31", "there is no target 'b'"]),
        ('{"target": ', ["docker-bake.json:1:"]),
        ("[" * 100_000, ["docker-bake.json:1:"]),
        ('{"a":' * 50_000, ["docker-bake.json:1:"]),
        ("[]", ["docker-bake.json:1:1"]),
    ],
)
def test_a_mistake_in_json_is_shown_with_its_place(text: str, parts: list[str], tmp_path: Path) -> None:
    said = refused(tmp_path, text, "a", name="docker-bake.json")
    for part in parts:
        assert part in said


def test_unknown_attributes_are_warned_of(tmp_path: Path) -> None:
    text = 'target "default" {\n  tag = ["x"]\n  dokerfile = "x"\n  nothing {\n  }\n}\n'
    found, said = running.ours(RecordedCase("", {"docker-bake.hcl": text}), tmp_path)
    assert found is not None, said
    assert "docker-bake.hcl:2:3" in said
    assert "did you mean tags?" in said
    assert "docker-bake.hcl:3:3" in said
    assert "docker-bake.hcl:4:3" in said


def test_missing_targets_and_files_are_named(tmp_path: Path) -> None:
    assert "did you mean apple?" in refused(tmp_path / "1", 'target "apple" {}\n', "aple")
    assert "there is no target 'default'" in refused(tmp_path / "2", 'target "apple" {}\n')
    assert "no target is called 'a*b'" in refused(tmp_path / "3", 'target "apple" {}\n', "--set", "a*b.tags=x", "apple")
    assert "there is no bake file nothing.hcl" in refused(tmp_path / "4", "", "-f", "nothing.hcl")
    assert "unknown key 'tag'" in refused(tmp_path / "5", 'target "default" {}\n', "--set", "default.tag=x")


def doubled(times: int) -> str:
    """Variables that double: a text of 2**times letters."""
    chain = "".join(f'variable "V{n}" {{\n default = "${{V{n - 1}}}${{V{n - 1}}}"\n}}\n' for n in range(1, times))
    return f'variable "V0" {{\n default = "{"a" * 16}"\n}}\n{chain}' + attribute(f"V{times - 1}")


def attribute(expression: str) -> str:
    return f'target "a" {{\n args = {{ v = {expression} }}\n}}\n'


SLOW = {
    "doubled texts": doubled(40),
    "nested parentheses": attribute("(" * 50_000 + "1" + ")" * 50_000),
    "nested lists": attribute("[" * 50_000),
    "nested templates": attribute('"${' * 20_000),
    "negations": attribute("-" * 100_000 + "1"),
    "conditions": attribute("true ? " * 30_000 + "1"),
    "nested blocks": "target {\n" * 50_000,
    "a large range": attribute("range(100000000)"),
    "a wide matrix": 'target "a" {\n name = "a-${x}-${y}-${z}"\n matrix = {\n'
    + "".join(f"  {axis} = range(500)\n" for axis in "xyz")
    + " }\n}\n",
    "set products": attribute("length(setproduct(range(1000), range(1000), range(1000)))"),
    "nested fors": attribute("[for a in range(1000): [for b in range(1000): [for c in range(1000): c]]]"),
    "a power": attribute("pow(10, 100000000)"),
    "an exact power": attribute("pow(9999999, 9999999)"),
    "a wide format": attribute('format("%1000000000d", 1)'),
    "a precise format": attribute('format("%.1000000000f", 1.5)'),
    "indents": attribute('indent(1000000000, "a\\nb")'),
    "replacements": attribute(
        'replace(replace("aaaaaaaaaa", "", "bbbbbbbbbbbbbbbbbbbb"), "", format("%100000s", "x"))'
    ),
    "a regex that backtracks": attribute(f'regex("^(a+)+$", "{"a" * 50_000}b")'),
    "a regex with counts": attribute('regex("((a{1,1000}){1,1000}){1,1000}", "a")'),
    "a regex that matches everywhere": attribute(f'regexall("a*b|.", "{"a" * 100_000}")'),
    "a nested regex": attribute(f'regex("{"(" * 50_000}", "a")'),
    "bcrypt": attribute('bcrypt("x", 31)'),
    "json": attribute(f'jsondecode("{"[" * 100_000}")'),
    "csv": attribute(f'csvdecode("{",".join(["a"] * 50_000)}")'),
    "recursion": 'function "f" {\n params = [n]\n result = f(n + 1)\n}\n' + attribute("f(1)"),
    "mutual recursion": 'function "f" {\n params = [n]\n result = g(n)\n}\nfunction "g" {\n params = [n]\n'
    " result = f(n)\n}\n" + attribute("f(1)"),
    "groups": "".join(f'group "g{n}" {{\n targets = ["g{n + 1}", "g{n + 1}"]\n}}\n' for n in range(60))
    + 'target "a" {\n inherits = ["nothing"]\n}\n',
    "parents": "".join(f'target "t{n}" {{\n inherits = ["t{n + 1}", "t{n + 1}"]\n}}\n' for n in range(150))
    + 'target "a" {\n inherits = ["t0"]\n}\n',
    "a large file": "# x\n" * 1_000_000,
    "many errors": "x = nothing\n" * 100_000,
    "a cut heredoc": attribute("<<" + "E" * 1_000_000),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SLOW)
def test_a_file_made_to_be_slow_is_refused_soon(name: str, tmp_path: Path) -> None:
    said = refused(tmp_path, SLOW[name], "a")
    assert len(said) < 3000


def test_what_set_asks_for_has_no_place_in_the_file(tmp_path: Path) -> None:
    text = 'target "a" {\n  contexts = { x = "target:b" }\n}\ntarget "b" {}\n'
    said = refused(tmp_path, text, "--print", "a", "--set", "a.contexts.x=target:c")
    assert "the context x of the target a: there is no target 'c'" in said
    assert "docker-bake.hcl:2" not in said
