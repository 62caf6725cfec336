"""`polyarch test`: an image's tests, for every platform, with everything ended afterwards."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from scripts.local_registry import LocalRegistry
from tests.needs import need
from tests.program import Program

pytestmark = pytest.mark.integration

_SERVER = """\
FROM busybox
RUN mkdir -p /www && echo hello > /www/index.html && echo app:x:1000:1000::/:/bin/sh >> /etc/passwd
RUN chown 1000:1000 /www/index.html
EXPOSE 8080
USER app
LABEL org.example.a=b
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
"""


@pytest.fixture
def server(either_user: Program) -> Program:
    """A program whose store has the image `server` for two platforms: a web server on port 8080."""
    either_user("build", "-q", "--platform", "linux/amd64,linux/arm64", "-t", "server", "-", stdin=_SERVER)
    return either_user


@pytest.fixture
def place(server: Program) -> Path:
    """A directory that the user can read and write."""
    return server.root.parent


def rows(result: "str") -> list[list[str]]:
    return [line.split("   ") for line in result.splitlines()[1:]]


def outcomes(text: str) -> dict[str, dict[str, object]]:
    return {outcome["platform"]: outcome for outcome in json.loads(text)}


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing of the sandbox is left: no process, and no mount in this namespace."""
    yield
    seen = Path("/proc/self/mountinfo").read_text()
    assert "/tmp/" not in "".join(line for line in seen.splitlines() if "overlay" in line and "root-" in line)


def test_a_command_on_this_machine_meets_every_platform_at_once(server: Program) -> None:
    script = 'curl -sf "$POLYARCH_TEST_URL" && echo "$POLYARCH_PLATFORM $POLYARCH_TEST_HOST" && exit 3'
    result = server.fails("test", "server", "--json", "--", "sh", "-c", script)
    assert result.status == 1
    found = outcomes(result.stdout)
    assert [(name, each["how"], each["passed"]) for name, each in found.items()] == [
        ("linux/amd64", "native", False),
        ("linux/arm64", "emulated", False),
    ]
    for name, each in found.items():
        assert each["problems"] == ["the command on this machine ended with status 3"]
        assert str(each["output"]).startswith(f"hello\n{name} 127.0.0.1:")
        assert isinstance(each["ready"], float)
    assert server("test", "server", "--", "sh", "-c", 'curl -sf "$POLYARCH_TEST_URL"').status == 0


def test_the_command_on_this_machine_runs_as_the_caller_and_where_the_caller_is(server: Program) -> None:
    # In the user namespace of the sandbox, nobody else's processes are there to signal, and the ids are others.
    script = "id -u; pwd; readlink /proc/self/ns/user; exit 1"
    failed = server.fails("test", "server", "--json", "--platform", "linux/amd64", "--", "sh", "-c", script)
    found = str(outcomes(failed.stdout)["linux/amd64"]["output"]).split()
    ask = [*server.prefix, "sh", "-c", "id -u; pwd; readlink /proc/self/ns/user"]
    assert found == subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()


def test_a_command_inside_runs_instead_of_the_images_own(server: Program) -> None:
    result = server("test", "server", "--run", "id -un; uname -m")
    assert [row[0] for row in rows(result.stdout)] == ["linux/amd64", "linux/arm64"]
    failed = server.fails("test", "server", "--run", "uname -m; echo to stderr >&2; false")
    assert failed.status == 1
    assert "  | aarch64\n" in failed.stderr
    assert "  | to stderr\n" in failed.stderr
    assert "the command ended with status 1, not 0" in failed.stderr
    assert failed.stdout.count("FAILED") == 2


_FILE = """\
[[test]]
name = "serves"
expect.http = {{ path = "/", body = "hello" }}
port = 8080

[[test]]
name = "holds"
run = "cat /www/index.html; exit 4"
expect.exit = 4
expect.stdout = {{ equals = "hello\\n" }}
before = ["test -e /bin/sh"]

[[test]]
name = "files"
[[test.expect.file]]
path = "/www/index.html"
owner = "{owner}"
mode = "0644"
content = "hello"
[[test.expect.file]]
path = "/nothing"
exists = false
[test.expect.config]
user = "app"
ports = [8080]
labels."org.example.a" = "b"
"""


def test_a_file_of_tests_is_done_for_each_platform_and_reported_as_junit(server: Program, place: Path) -> None:
    file, report = place / "tests.toml", place / "report.xml"
    file.write_text(_FILE.format(owner="app"))
    server("test", "server", "--file", file, "--junit", report)
    suites = ElementTree.parse(report).getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("6", "0")
    assert [suite.get("name") for suite in suites] == ["server (linux/amd64)", "server (linux/arm64)"]
    file.write_text(_FILE.format(owner="root"))
    failed = server.fails("test", "server", "--file", file, "--junit", report)
    assert failed.stderr.count("/www/index.html has the owner 1000, not root (0)") == 2
    cases = ElementTree.parse(report).getroot().findall(".//testcase[@name='files']/failure")
    assert len(cases) == 2


def test_the_status_with_which_a_stopped_image_ends_is_compared(server: Program, place: Path) -> None:
    command = "trap 'exit 7' TERM; httpd -f -p 8080 -h /www & wait"
    server("build", "-q", "-t", "stops", "-", stdin=f"FROM server\nCMD {command}\n")
    file = place / "stops.toml"
    text = '[[test]]\nname = "a"\nexpect.http = "/"\n'
    for more in ("", "expect.exit = 7\n"):
        file.write_text(text + more)
        server("test", "stops", "--file", file)
    file.write_text(f"{text}expect.exit = 0\n")
    failed = server.fails("test", "stops", "--file", file)
    assert "the image's command ended with status 7 when it was stopped, not 0" in failed.stderr


def test_variables_of_a_structure_test_may_name_those_of_the_image(server: Program, place: Path) -> None:
    file = place / "tests.yaml"
    file.write_text(
        "schemaVersion: 2.0.0\nglobalEnvVars: [{key: VENV, value: /env}, {key: PATH, value: '$VENV/bin:$PATH'}]\n"
        "commandTests:\n- {name: a, command: sh, args: [-c, 'echo $PATH'], expectedOutput: ['^/env/bin:/.*/bin']}\n"
    )
    server("test", "server", "--file", file)


def test_a_health_check_says_when_an_image_is_ready(server: Program) -> None:
    check = "HEALTHCHECK CMD wget -q -O /dev/null http://127.0.0.1:8080/"
    dockerfile = f"FROM server\n{check}\nCMD sleep 1; exec httpd -f -p 8080 -h /www\n"
    server("build", "-q", "-t", "healthy", "-", stdin=dockerfile)
    (found,) = json.loads(server("test", "healthy", "--json").stdout)
    assert 1 <= found["ready"] < 30
    server("build", "-q", "-t", "ill", "-", stdin="FROM server\nHEALTHCHECK CMD echo I am ill; false\n")
    failed = server.fails("test", "ill", "--timeout", "2s")
    assert "not ready within 2 s: the HEALTHCHECK of the image did not succeed" in failed.stderr
    # It was tried many times.
    assert failed.stderr.count("| I am ill\n") == 1
    # A check that hangs does not hide that the image's command has ended.
    server("build", "-q", "-t", "stuck", "-", stdin="FROM server\nHEALTHCHECK CMD sleep 1000\nCMD sleep 1; exit 9\n")
    began = time.monotonic()
    assert "ended with status 9 before it was ready" in server.fails("test", "stuck").stderr
    assert time.monotonic() - began < 25


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("exit 5", "ended with status 5 before it was ready"),
        ("exec sleep 60", "not ready within 2 s: nothing listens on port 8080"),
        ("exec httpd -f -p 127.0.0.1:8080", "listens on port 8080 of a loopback address only"),
    ],
)
def test_an_image_that_does_not_become_ready_fails_with_the_reason(server: Program, command: str, problem: str) -> None:
    server("build", "-q", "-t", "lame", "-", stdin=f"FROM server\nCMD {command}\n")
    assert problem in server.fails("test", "lame", "--timeout", "2").stderr


def test_much_output_and_ignored_signals_do_not_hold_a_test_up(server: Program, place: Path) -> None:
    loud = "trap '' TERM; httpd -p 8080 -h /www; while :; do head -c 1000000 /dev/zero; done"
    server("build", "-q", "-t", "loud", "-", stdin=f"FROM server\nUSER 0\nCMD {loud}\n")
    file = place / "loud.toml"
    file.write_text('[[test]]\nname = "a"\nport = 8080\ncommand = "false"\ngrace = 1\n')
    began = time.monotonic()
    failed = server.fails("test", "loud", "--file", file)
    assert time.monotonic() - began < 60
    assert "ended with status 1" in failed.stderr


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["test"], 2, "an image is expected"),
        (["test", "server", "--"], 2, "a command is expected after --"),
        (["test", "server", "--run", "x", "--port", "1"], 2, "instead of the image's own"),
        (["test", "server", "--timeout", "soon", "--run", "x"], 2, "is not a time"),
        (["test", "server", "--http", "health"], 2, "does not begin with /"),
        (["test", "server", "--platform", "linux/s390x", "--run", "true"], 1, "linux/amd64"),
        (["test", "nope", "--pull", "never", "--run", "true"], 1, "no image nope"),
        (["test", "server", "--file", "/nope.toml"], 1, "cannot read the tests"),
        (["test", "busybox", "--platform", "linux/amd64"], 2, "nothing says when busybox is ready"),
    ],
)
def test_a_mistake_is_named_before_anything_runs(server: Program, words: list[str], status: int, reason: str) -> None:
    refused = server.fails(*words)
    assert refused.status == status
    assert reason in refused.stderr


def test_an_interruption_ends_everything(server: Program) -> None:
    mark = f"{os.getpid()}.25"
    words = ["test", "server", "--", "sh", "-c", f"sleep {mark}"]
    with subprocess.Popen(
        [*server.prefix, str(server.path), *words], env=server.env, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 30
        while _running(mark) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
    assert _running(mark) == 0


def test_what_a_command_leaves_in_the_background_ends_with_it(server: Program) -> None:
    mark = f"{os.getpid()}.75"
    script = f"echo said; sleep {mark} & exit 1"
    failed = server.fails("test", "server", "--platform", "linux/amd64", "--json", "--", "sh", "-c", script)
    (outcome,) = json.loads(failed.stdout)
    assert outcome["output"] == "said\n"
    assert outcome["seconds"] < 60
    assert _running(mark) == 0


def test_a_daemon_that_a_command_starts_does_not_hold_the_test_up(server: Program) -> None:
    script = "setsid sh -c 'while sleep 0.1; do echo x || exit; done' & echo said; exit 1"
    failed = server.fails("test", "server", "--platform", "linux/amd64", "--json", "--", "sh", "-c", script)
    (outcome,) = json.loads(failed.stdout)
    assert outcome["seconds"] < 60
    assert "said\n" in outcome["output"]


def _running(word: str) -> int:
    """How many processes of `sleep` have this word as an argument."""
    found = 0
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                found += (process / "cmdline").read_bytes().split(b"\0")[:2] == [b"sleep", word.encode()]
            except OSError:
                continue
    return found


def test_one_platform_that_fails_is_the_one_that_is_shown(server: Program) -> None:
    need("curl")
    failed = server.fails("test", "server", "--run", "test $(uname -m) = x86_64")
    assert "server (linux/arm64)" in failed.stderr
    assert "server (linux/amd64)" not in failed.stderr


_PLATFORMS = ("--platform", "linux/amd64,linux/arm64")


def test_a_build_pushes_only_what_its_tests_have_passed(server: Program, registry: LocalRegistry) -> None:
    name = f"{registry.address}/team/app:1"
    build = ["build", "-q", *_PLATFORMS, "-t", name, "--push", "--test", "true"]
    refused = server.fails(*build, "--test", "test $(uname -m) = x86_64", "-", stdin=_SERVER)
    assert refused.status == 1
    assert "[linux/arm64] tests failed: test $(uname -m) = x86_64: the command ended with status 1" in refused.stderr
    assert "nothing was tagged or pushed" in refused.stderr
    assert server.fails("manifest", "inspect", name).status == 1
    assert not any(registry.storage.rglob("data"))
    digest = server(*build, "--test-host", 'curl -sf "$POLYARCH_TEST_URL"', "-", stdin=_SERVER).stdout.strip()
    assert digest == server("buildx", "imagetools", "inspect", name, "--format", "{{.Manifest.Digest}}").stdout.strip()
    # The digest is the one of a build without tests: what is tested is what is pushed.
    assert digest == server("build", "-q", *_PLATFORMS, "-", stdin=_SERVER).stdout.strip()


def test_a_test_for_one_platform_is_done_for_it_however_the_platform_is_written(server: Program, place: Path) -> None:
    file = place / "one.toml"
    file.write_text('[[test]]\nname = "fails"\nrun = "false"\nplatforms = ["linux/arm64/v8"]\n')
    refused = server.fails("build", *_PLATFORMS, "-t", "one", "--test-file", file, "-", stdin=_SERVER)
    assert "[linux/arm64] tests failed: fails: the command ended with status 1" in refused.stderr
    assert "[linux/amd64] tests failed" not in refused.stderr


def test_a_build_can_name_the_platforms_that_pass(server: Program) -> None:
    build = ["build", *_PLATFORMS, "-t", "app", "--test", "test $(uname -m) = x86_64"]
    partial = server.fails(*build, "--push-passed", "-", stdin=_SERVER)
    assert partial.status == 1
    assert "linux/arm64 failed: tests failed" in partial.stderr
    assert "running 1 test" in partial.stderr
    assert "app:latest (linux/amd64)" in server("images").stdout
    nothing = server.fails(*build, "--keep-going", "-t", "none", "-", stdin=_SERVER)
    assert "1 of 2 platforms failed, and nothing was tagged" in nothing.stderr
    assert "none" not in server("images").stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--push-passed"], "belong to tests"),
        (["--port", "80"], "belong to tests"),
        (["--test-file", "/nope.toml"], "cannot read the tests"),
    ],
)
def test_options_about_tests_are_refused_before_a_build_begins(server: Program, words: list[str], reason: str) -> None:
    refused = server.fails("build", *words, "-", stdin=_SERVER)
    assert reason in refused.stderr
    assert "RUN" not in refused.stderr
