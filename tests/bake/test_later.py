"""What buildx has since 0.29.1, which Debian's buildx cannot be asked about: expected values are from its sources."""

import shlex
from pathlib import Path

import pytest

from tests.answers import RecordedCase
from tests.bake import running


def printed(directory: Path, text: str, *words: str, env: dict[str, str] | None = None) -> str:
    """What `--print` prints, or the error."""
    found, said = running.ours(RecordedCase("", {"docker-bake.hcl": text}, words, env or {}), directory)
    return said if found is None else found


def value(directory: Path, expression: str) -> str:
    """The value of an expression, as a build argument."""
    text = f'target "default" {{\n args = {{ v = jsonencode({expression}) }}\n}}\n'
    found = printed(directory, text)
    for line in found.splitlines():
        if line.strip().startswith('"v": "'):
            return line.strip().removeprefix('"v": "')[:-1].replace('\\"', '"')
    return found


# From the library that buildx uses (its documentation and tests name most of these).
VERSIONS = """
1.2.3       >= 1.0.0           true
2.1.0       < 2.0.0            false
3.22        >= 3.20            true
v1          1.0.0              true
1.2.3       1.2                true
1.3.0       1.2                false
1.2.3       1.2.x              true
1.2.3       *                  true
1.2.3       =1.2.3             true
1.2.3       !=1.2.3            false
1.2.4       !=1.2.3            true
4.1.0       !=4.x              false
5.1.0       !=4.x              true
4.1.0       !=4.1              false
4.2.0       !=4.1              true
11.1.0      >11                false
12.0.0      >11                true
11.1.1      >11.1              false
11.2.1      >11.1              true
1.1         >1.1               false
1.2.3       <=1.2              true
1.3.0       <=1.2              false
1.9.9       <=1                true
2.0.0       <=1                false
1.5.0       ~1.2               false
1.2.9       ~1.2.3             true
1.2.2       ~1.2.3             false
1.9.0       ~1                 true
2.0.0       ~1                 false
1.2.9       ~>1.2.3            true
5.0.0       ~0.0.0             true
1.9.9       ^1.2.3             true
2.0.0       ^1.2.3             false
0.2.9       ^0.2.3             true
0.3.0       ^0.2.3             false
0.0.3       ^0.0.3             true
0.0.4       ^0.0.3             false
0.0.9       ^0.0               true
0.1.0       ^0.0               false
0.9.0       ^0                 true
1.5.0       1.2 - 1.4.5        false
1.4.5       1.2 - 1.4.5        true
1.5.0       >=1.2, <2          true
1.5.0       >=1.2 <2           true
2.5.0       >=1.2 <2 || >2.4   true
2.4.0       >=1.2 <2 || >2.4   false
1.2.3-beta  >=1.0.0            false
1.2.3-beta  >=1.0.0-0          true
1.2.3-beta  ~1.2.3-alpha       true
1.2.3-alpha >=1.2.3-beta       false
1.2.3-2     <1.2.3-10          true
1.2.3-2     <1.2.3-alpha       true
1.2.3-a     <1.2.3-a.b         true
1.2.3+one   =1.2.3+two         true
01.2        =1.2.0             true
"""


@pytest.mark.parametrize("line", VERSIONS.strip().splitlines())
def test_versions_satisfy_constraints(line: str, tmp_path: Path) -> None:
    version, rest = line.split(None, 1)
    constraint, wanted = rest.rsplit(None, 1)
    assert value(tmp_path, f'semvercmp("{version}", "{constraint.strip()}")') == wanted


@pytest.mark.parametrize(
    ("version", "constraint"),
    [
        ("not-a-version", ">= 1"),
        ("", ">= 1"),
        ("1.2.3.4", ">= 1"),
        ("1.2.3-01", ">= 1"),
        ("99999999999999999999", ">= 1"),
        ("1.2.3", "not-a-constraint"),
        ("1.2.3", ""),
        ("1.2.3", ">= 1 ||"),
        ("1.2.3", ">=1<2"),
        ("1.2.3", ">= 1,"),
        ("1.2.3", ">> 1"),
        ("1.2.3", " " * 100_000 + "x"),
    ],
)
def test_what_is_no_version_or_constraint_is_refused(version: str, constraint: str, tmp_path: Path) -> None:
    assert "docker-bake.hcl:2:26: semvercmp" in value(tmp_path, f'semvercmp("{version}", "{constraint}")')


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ('formattimestamp("YYYY-MM-DD", 1690328596)', '"2023-07-25"'),
        ('formattimestamp("X", "2023-07-25T23:43:16Z")', '"1690328596"'),
        ('formattimestamp("hh:mm", "2023-07-25T23:43:16+02:00")', '"23:43"'),
        ("unixtimestampparse(1690328596).rfc3339", '"2023-07-25T23:43:16Z"'),
        ("unixtimestampparse(1690328596).weekday_name", '"Tuesday"'),
        ("unixtimestampparse(1690328596).year_day", "206"),
        ("unixtimestampparse(-1).iso_week", "1"),
        ("unixtimestampparse(-1).iso_year", "1970"),
    ],
)
def test_times(expression: str, wanted: str, tmp_path: Path) -> None:
    assert value(tmp_path, expression) == wanted


CASES = [
    ('variable "V" {}\ntarget "default" {\n args = { a = V }\n}', "--var V=x", '"a": "x"'),
    ('variable "V" {\n default = 1\n}\ntarget "default" {\n args = { a = V + 1 }\n}', "--var V=2", '"a": "3"'),
    (
        'variable "V" {\n type = list(string)\n default = []\n}\ntarget "default" {\n tags = V\n}',
        "--var V=a,b",
        '"tags": [\n        "a",\n        "b"\n      ]',
    ),
    ('target "default" {\n resources = { memory = "1g", cpu-shares = 2 }\n}', "", '"cpu-shares": 2,'),
    ('target "default" {\n}', "--set default.resources.memory=2g", '"memory": "2g"'),
    ('target "default" {\n}', "--set default.resources.cpu-quota=x", "cpu-quota"),
    ('target "default" {\n}', "--set default.resources.cpus=1", "unknown resource 'cpus'"),
    ('target "default" {\n secret = ["id=s,src=a"]\n}', "--set default.secret.s=src=b", '"src": "b"'),
    ('target "default" {\n secret = ["id=s,src=a"]\n}', "--set default.secret.t=src=b", "declares no secret 't'"),
    ('target "default" {\n policy = [{filename = "p.rego", strict = true}]\n}', "", '"Filename": "p.rego"'),
    ('target "default" {\n policy = ["filename=p.rego,log-level=loud"]\n}', "", "docker-bake.hcl:2"),
]


@pytest.mark.parametrize(("text", "words", "wanted"), CASES)
def test_later_attributes_and_flags(text: str, words: str, wanted: str, tmp_path: Path) -> None:
    assert wanted in printed(tmp_path, text, *shlex.split(words))


def test_contexts_may_be_relative_to_their_file(tmp_path: Path) -> None:
    files = {
        "sub/docker-bake.hcl": 'target "a" {\n}\ntarget "b" {\n context = "c"\n contexts = { d = "../d" }\n}\n'
        'target "e" {\n context = "cwd://f"\n}\n'
    }
    words = ("-f", "sub/docker-bake.hcl", "a", "b", "e")
    case = RecordedCase("", files, words, {"BUILDX_BAKE_FILE_RELATIVE_PATHS": "1"})
    found, said = running.ours(case, tmp_path)
    assert found is not None, said
    for line in ('"context": "sub"', '"context": "sub/c"', '"d": "d"', '"context": "f"'):
        assert line in found


def test_the_environment_can_be_hidden_from_the_files(tmp_path: Path) -> None:
    text = 'variable "V" {\n default = "file"\n}\ntarget "default" {\n args = { a = V }\n}'
    assert '"a": "outside"' in printed(tmp_path / "1", text, env={"V": "outside"})
    hidden = {"V": "outside", "BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP": "1"}
    assert '"a": "file"' in printed(tmp_path / "2", text, env=hidden)
    assert '"a": "word"' in printed(tmp_path / "3", text, "--var", "V=word", env=hidden)
    assert "is neither true nor false" in printed(
        tmp_path / "4", text, env={"BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP": "maybe"}
    )
