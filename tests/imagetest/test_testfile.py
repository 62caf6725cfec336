"""Files of tests: what they mean, and where a mistake is."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import NotFoundError
from polyarch.imagetest import structure_tests, testfile
from polyarch.imagetest.files import read_tests
from polyarch.imagetest.places import TestFileError
from polyarch.imagetest.values import (
    ConfigCheck,
    ExpandedVariables,
    Expectation,
    FileCheck,
    HttpCheck,
    ImageTest,
    TextCheck,
)

_WHOLE = """\
image = "team/app:1"
platforms = ["linux/amd64", "linux/arm64"]
timeout = "1m30s"

[[test]]
name = "answers"
port = 8000
expect.http = { path = "/health", status = 204 }
command = ["./smoke.sh", "--fast"]
grace = 3

[[test]]
name = "prints its version"
image = "team/other"
run = "app --version"
expect.exit = 3
expect.stdout = "1.2"
expect.stderr = { matches = ["^$"], lacks = ["warning"] }
env = { A = "1" }
before = ["mkdir /x", ["touch", "/x/y"]]

[[test]]
name = "files"

[[test.expect.file]]
path = "/srv/app"
kind = "directory"
owner = "app"
group = 10
mode = "0750"

[[test.expect.file]]
path = "/etc/motd"
content = ["a", "b"]
executable = "any"

[test.expect.config]
user = "app"
cmd = ["serve"]
ports = [8000, "53/udp"]
labels."org.example.a" = "x"
env.PATH = { matches = ["/bin"] }
"""


def test_a_file_means_these_tests() -> None:
    answers, version, files = testfile.parse("t.toml", _WHOLE)
    assert answers == ImageTest(
        name="answers",
        image="team/app:1",
        platforms=("linux/amd64", "linux/arm64"),
        port=8000,
        command=("./smoke.sh", "--fast"),
        expect=Expectation(http=(HttpCheck(path="/health", status=204),)),
        timeout=90.0,
        grace=3.0,
        place="t.toml:5:3",
    )
    assert (version.image, version.run, version.expect.exit) == ("team/other", ("/bin/sh", "-c", "app --version"), 3)
    assert version.expect.stdout == TextCheck(contains=("1.2",))
    assert version.expect.stderr == TextCheck(matches=("^$",), lacks=("warning",))
    assert version.before == (("/bin/sh", "-c", "mkdir /x"), ("touch", "/x/y"))
    assert files.expect.files == (
        FileCheck(path="/srv/app", kind="directory", owner="app", group="10", mode=0o750),
        FileCheck(path="/etc/motd", content=TextCheck(contains=("a", "b")), executable_by="any"),
    )
    assert files.expect.config == ConfigCheck(
        user="app",
        cmd=("serve",),
        ports=("8000/tcp", "53/udp"),
        labels={"org.example.a": TextCheck(equals="x")},
        env={"PATH": TextCheck(matches=("/bin",))},
    )


_TWO_FILES = "[[test]]\nname = 'a'\n[[test.expect.file]]\npath = '/'\n[[test.expect.file]]\npath = 'x'\n"


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ("", "t.toml", "there are no tests"),
        ("x = ", "t.toml:1:5", "invalid TOML"),
        ("[[test]]\nname = 'a'\nrun = 1\n", "t.toml:3:1", "test.run: expected"),
        ("[[test]]\nname = 'a'\nrum = 'x'\n", "t.toml:3:1", "unknown key rum"),
        ("[[test]]\nname = 'a'\nrun = 'x'\n\n[[test]]\nname = 'a'\nrun = 'x'\n", "t.toml:6:1", "second test"),
        ("[[test]]\nrun = 'x'\n", "t.toml:1:3", "missing required field `name`"),
        ("[[test]]\nname = 'a'\n", "t.toml:2:1", "tests nothing"),
        ("[[test]]\nname = 'a'\nrun = 'x'\nplatforms = ['arm65']\n", "t.toml:4:1", "arm65"),
        ("[[test]]\nname = 'a'\nport = 99999\n", "t.toml:3:1", "not a port"),
        ("[[test]]\nname = 'a'\nexpect.http = 'x'\n", "t.toml:3:1", "does not begin with /"),
        ("[[test]]\nname = 'a'\nport = 1\nrun = 'x'\n", "t.toml:4:1", "instead of the image's own"),
        ("[[test]]\nname = 'a'\nrun = 'x'\nexpect.stdout.matches = ['(']\n", "t.toml:4:1", "not a regular expression"),
        ("[[test]]\nname = 'a'\nrun = 'x'\ntimeout = '5 apples'\n", "t.toml:4:1", "not a time"),
        (
            "[[test]]\nname = 'a'\n[[test.expect.file]]\npath = '/'\n[[test.expect.file]]\npath = 'x'\n",
            "t.toml:6:1",
            "begin with /",
        ),
        ("[[test]]\nname = 'a'\n[[test.expect.file]]\npath = '/a'\nmode = 'rw'\n", "t.toml:5:1", "not a mode"),
        ("[[test]]\nname = 'a'\n[test.expect.config]\nusr = 'x'\n", "t.toml:4:1", "unknown key usr"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, where: str, reason: str) -> None:
    with pytest.raises(TestFileError) as caught:
        testfile.parse("t.toml", text)
    assert caught.value.message.startswith(f"{where}: ")
    assert reason in caught.value.message


def test_an_unknown_key_has_a_close_one() -> None:
    with pytest.raises(TestFileError) as caught:
        testfile.parse("t.toml", "[[test]]\nname = 'a'\nexpect.stdot = 'x'\n")
    assert caught.value.hint == "did you mean stdout?"


@given(st.text(alphabet=st.sampled_from("[]test.name='\"\n #x1{},"), max_size=60))
def test_any_text_is_tests_or_a_mistake(text: str) -> None:
    with contextlib.suppress(TestFileError):
        assert all(test.name for test in testfile.parse("t.toml", text))


_STRUCTURE = """\
schemaVersion: 2.0.0
globalEnvVars:
  - key: A
    value: "1"
commandTests:
  - name: version
    setup: [["mkdir", "/x"]]
    command: app
    args: ["--version"]
    expectedOutput: ["^1\\\\.2"]
    excludedError: [warning]
    exitCode: 1
fileExistenceTests:
  - name: binary
    path: /usr/bin/app
    permissions: -rwsr-x--t
    uid: 0
    isExecutableBy: group
  - name: gone
    path: tmp/x
    shouldExist: false
fileContentTests:
  - name: hosts
    path: /etc/hosts
    expectedContents: [local]
metadataTest:
  envVars:
    - key: PATH
      value: /bin
      isRegex: true
  unboundEnvVars:
    - key: SECRET
  labels:
    - key: a
      value: b
  exposedPorts: ["80"]
  unexposedPorts: ["22"]
  user: app
"""


def test_a_file_of_container_structure_test_means_the_same() -> None:
    version, binary, gone, hosts, metadata = structure_tests.parse("t.yaml", _STRUCTURE)
    assert version == ImageTest(
        name="version",
        run=("app", "--version"),
        before=(("mkdir", "/x"),),
        env=ExpandedVariables({"A": "1"}),
        expect=Expectation(exit=1, stdout=TextCheck(matches=("^1\\.2",)), stderr=TextCheck(lacks_matches=("warning",))),
        place="t.yaml:6:5",
    )
    assert binary.expect.files == (FileCheck(path="/usr/bin/app", mode=0o5751, owner="0", executable_by="group"),)
    assert gone.expect.files == (FileCheck(path="/tmp/x", exists=False),)
    assert hosts.expect.files[0].content == TextCheck(matches=("local",))
    assert metadata.expect.config == ConfigCheck(
        user="app",
        env={"PATH": TextCheck(matches=("/bin",)), "SECRET": None},
        labels={"a": TextCheck(equals="b")},
        ports=("80/tcp",),
        lacks_ports=("22/tcp",),
    )


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        ("dtrwxrwxrwx", 0o1777),
        ("urwxr-xr-x", 0o4755),
        ("-rw-r--r--", 0o644),
        ("drwxrwxrwt", 0o1777),
        ("rwx------", 0o700),
    ],
)
def test_permissions_are_written_as_ls_or_as_go_writes_them(written: str, mode: int) -> None:
    text = f"schemaVersion: 2.0.0\nfileExistenceTests:\n- {{name: a, path: /a, permissions: {written}}}\n"
    (test,) = structure_tests.parse("t.yaml", text)
    assert test.expect.files[0].mode == mode


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ("schemaVersion: 1.0.0\n", "t.yaml:1:1", "schemaVersion is '1.0.0'"),
        ("schemaVersion: 2.0.0\n", "t.yaml", "no tests"),
        ("schemaVersion: 2.0.0\nlicenseTests: []\n", "t.yaml:2:1", "licenseTests are not supported"),
        ("schemaVersion: 2.0.0\ncommandTests:\n- name: a\n  comand: x\n", "t.yaml:4:3", "unknown key comand"),
        ("schemaVersion: 2.0.0\ncommandTests:\n\t- a\n", "t.yaml:3:1", "invalid YAML"),
        ("a: [*x]\n", "t.yaml:1:5", "invalid YAML"),
        (
            "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: a, path: /a, permissions: rwx}\n",
            "t.yaml:3:",
            "not a mode",
        ),
        ("- a\n", "t.yaml", "not a mapping"),
    ],
)
def test_a_mistake_in_yaml_is_named_with_its_place(text: str, where: str, reason: str) -> None:
    with pytest.raises(TestFileError) as caught:
        structure_tests.parse("t.yaml", text)
    assert caught.value.message.startswith(where)
    assert reason in caught.value.message


def test_aliases_that_expand_without_end_are_refused() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    with pytest.raises(TestFileError, match="more than 100000 values"):
        structure_tests.parse("t.yaml", "\n".join(lines))


def test_the_form_is_chosen_by_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[[test]]\nname = 'a'\nrun = 'x'\n")
    (tmp_path / "b.yml").write_text(_STRUCTURE)
    assert [test.name for test in read_tests([tmp_path / "a.toml", tmp_path / "b.yml"])][:2] == ["a", "version"]
    with pytest.raises(NotFoundError, match=r"cannot read the tests in .*c\.toml: No such file"):
        read_tests([tmp_path / "c.toml"])
    (tmp_path / "d.toml").write_bytes(b"\n\xff")
    with pytest.raises(TestFileError, match=r"d\.toml:2: this is not UTF-8"):
        read_tests([tmp_path / "d.toml"])
