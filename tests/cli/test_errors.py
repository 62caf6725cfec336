"""How commands end: one message, one hint, the right status."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from polyarch.cli import execute, explained
from tests.program import Program, Result, run


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["imagse"], "unknown command: polyarch imagse", "did you mean polyarch image"),
        (["manifest", "anotate"], "unknown command: polyarch manifest anotate", "polyarch manifest annotate"),
        (["frobnicate"], "unknown command: polyarch frobnicate", "'polyarch --help' lists the commands"),
        (["logs"], "unknown command: polyarch logs", "no daemon that keeps containers"),
        (["buildx", "create", "--use"], "unknown command: polyarch buildx create", "no builders to manage"),
        (["images", "--quite"], "unknown flag: --quite", "did you mean --quiet"),
        (["build", "--format", "docker", "."], "unknown flag: --format", "oci-mediatypes=false"),
        (["build", "--layers", "."], "unknown flag: --layers", "is cached as it is"),
        (["serve", "--port", "80"], "unknown flag: --port", "see 'polyarch serve --help'"),
        (["build", "-t"], "option '-t' requires an argument", "see 'polyarch build --help'"),
        (["manifest", "create", "--amend=yes", "a"], "does not take a value", "see 'polyarch manifest create --help'"),
        (["bud", "."], "unknown command: polyarch bud", "'polyarch build' builds"),
        (["info"], "unknown command: polyarch info", "'polyarch doctor'"),
        (["rmi"], "polyarch rmi needs IMAGE", "usage: polyarch rmi"),
        (["tag", "a"], "polyarch tag needs TARGET", "usage: polyarch tag"),
        (["tag", "a", "b", "c"], "unexpected extra argument", "see 'polyarch tag --help'"),
        (["build", "--network", "moon", "."], "'moon' is not one of", "see 'polyarch build --help'"),
        (["pull", "UPPER"], "must be lower case", "expected [registry/]name"),
        (["images", "-f", "colour=red"], "unknown filter 'colour=red'", "reference=PATTERN"),
        (["run", "--platform", "linux/amd64,linux/arm64", "x"], "one platform here", "once for each"),
    ],
)
def test_wrong_usage_says_what_is_wrong_and_exits_with_2(
    polyarch: Program, words: list[str], message: str, hint: str
) -> None:
    result = polyarch.fails(*words)
    assert result.status == 2
    first, *rest = result.stderr.splitlines()
    assert first.startswith("polyarch: error: ")
    assert message in first
    assert any(line.startswith("hint: ") and hint in line for line in rest)
    assert result.stdout == ""


def test_an_unknown_field_of_a_template_is_an_error_as_soon_as_there_is_a_row(polyarch: Program) -> None:
    # As docker does it: with nothing to list, no field is looked up.
    assert polyarch("images", "--format", "{{.Nope}}").stdout == ""
    polyarch("build", "-q", "-t", "app", "-", stdin="FROM scratch\nLABEL a=b\n")
    refused = polyarch.fails("images", "--format", "{{.Nope}}")
    assert refused.status == 2
    assert "there is no field 'Nope'" in refused.stderr
    assert "Name, Repository, Tag" in refused.stderr


def test_a_file_that_cannot_be_written_is_named_with_the_directory_that_is_missing(
    polyarch: Program, tmp_path: Path
) -> None:
    absent = tmp_path / "absent"
    for option in ("--iidfile", "--metadata-file"):
        said = polyarch.fails("build", "-q", option, absent / "file", "-", stdin="FROM scratch\nLABEL a=b\n").stderr
        assert f"polyarch: error: {absent}/file: there is no directory {absent}\nhint: create it" in said


@pytest.mark.parametrize(
    ("dockerfile", "hint"),
    [
        ("FROM scratch\nCOPY ../above /\n", "nothing outside of the build context is copied"),
        ("FROM scratch\nCOPY a/../../above /\n", "nothing outside of the build context is copied"),
        ("FROM scratch\nARG V=1\nFROM app:${V}\n", "V: give the ARG before the first FROM a default"),
    ],
)
def test_what_a_dockerfile_may_not_name_is_explained(
    polyarch: Program, tmp_path: Path, dockerfile: str, hint: str
) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    assert f"\nhint: {hint}" in polyarch.fails("build", tmp_path).stderr


def test_an_image_that_is_not_there_is_not_to_be_fetched_for_a_push_or_to_be_removed(polyarch: Program) -> None:
    assert "'polyarch tag IMAGE 127.0.0.1:9/app'" in polyarch.fails("push", "127.0.0.1:9/app").stderr
    assert "fetches it" not in polyarch.fails("rmi", "app").stderr


def test_failed_work_exits_with_1(polyarch: Program) -> None:
    result = polyarch.fails("inspect", "nothing")
    assert result.status == 1
    assert result.stderr == (
        "polyarch: error: there is no image nothing in the store\n"
        "hint: 'polyarch pull nothing' fetches it, 'polyarch images' lists the images in the store\n"
    )


def test_no_command_shows_the_help(polyarch: Program) -> None:
    result = polyarch(check=False)
    assert "Usage: polyarch" in result.stdout + result.stderr
    assert "Common Commands:" in result.stdout + result.stderr


def test_a_store_that_cannot_be_made_is_explained(polyarch: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = polyarch.fails("--root", tmp_path / "file" / "store", "images")
    assert result.status == 1
    assert str(tmp_path / "file" / "store") in result.stderr


def test_debug_shows_the_traceback(polyarch: Program, tmp_path: Path) -> None:
    result = subprocess.run(
        [polyarch.path, "--debug", "inspect", "nothing"], env=polyarch.env, capture_output=True, text=True
    )
    assert "Traceback" in result.stderr
    assert "polyarch: error: there is no image nothing" in result.stderr


def test_a_closed_pipe_is_no_error(polyarch: Program) -> None:
    polyarch("images")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([polyarch.path, "images"], env=polyarch.env, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.returncode == 0
    assert done.stderr == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_so_and_exits_with_130(polyarch: Program, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [polyarch.path, "load"],
        env=polyarch.env,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(100):
        # It waits for the archive once the store is there.
        if (polyarch.root / "tmp").exists():
            break
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "polyarch: interrupted"
    assert "Traceback" not in said


def test_a_bug_says_that_it_is_one_and_how_to_report_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from polyarch.images import names

    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(names, "find", broken)
    assert execute.execute(["--root", str(tmp_path / "store"), "history", "x"]) == 1
    said = capsys.readouterr().err
    assert "this is a bug in polyarch: ZeroDivisionError: division by zero" in said
    assert "polyarch --debug" in said
    assert "Traceback" not in said


def test_a_full_disk_and_a_forbidden_file_have_hints() -> None:
    full = explained.as_system_error(OSError(28, "No space left on device", "/store/x"))
    assert (full.message, "prune" in str(full.hint)) == ("/store/x: no space left on device", True)
    forbidden = explained.as_system_error(PermissionError(13, "Permission denied", "/store"))
    assert "--root" in str(forbidden.hint)


def test_completion_scripts_are_printed_and_complete_commands_and_images(polyarch: Program, tmp_path: Path) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "polyarch" in polyarch("completion", shell).stdout
    asked = {"_POLYARCH_COMPLETE": "bash_complete", "COMP_TEXT": "polyarch man"}
    assert polyarch(env=asked).stdout.splitlines() == ["plain,manifest"]


def in_a_shell(polyarch: Program, script: str) -> Result:
    """What a shell makes of `script`, in which $P is the program."""
    return run(["/bin/sh", "-c", script], env=polyarch.env | {"P": str(polyarch.path)}, check=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_standard_stream_that_is_closed_is_as_dev_null(polyarch: Program, tmp_path: Path, closed: str) -> None:
    Path(tmp_path, "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    for words in ("--version", "images", f"build -q -t app {tmp_path}", "--help"):
        result = in_a_shell(polyarch, f"exec $P {words} {closed}")
        assert (result.status, "Traceback" in result.stderr, "error" in result.stderr) == (0, False, False), str(result)
    assert in_a_shell(polyarch, "$P system fsck").stdout.endswith("no problems\n")


@pytest.mark.parametrize("words", ["images", "--help"])
def test_output_that_does_not_fit_is_said_to_be_the_output(polyarch: Program, words: str) -> None:
    result = in_a_shell(polyarch, f"$P {words} >/dev/full")
    assert (result.status, result.stderr) == (
        1,
        "polyarch: error: cannot write to standard output: no space left on device\n",
    )


@pytest.mark.parametrize("words", ["build .", "--root store images", "save -o x.tar app"])
def test_a_working_directory_that_is_gone_is_named(polyarch: Program, tmp_path: Path, words: str) -> None:
    (tmp_path / "gone").mkdir()
    result = in_a_shell(polyarch, f"cd {tmp_path}/gone; rmdir ../gone; exec $P {words}")
    assert (result.status, result.stderr.splitlines()[0]) == (
        1,
        "polyarch: error: the working directory has been removed",
    )
