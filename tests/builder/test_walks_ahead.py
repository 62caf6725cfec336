"""Contexts that a child process walks: the signatures of a walk in this process, or none.

Each case runs in a new process, because a process that forks must have one thread.
"""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from polyarch.builder.contexts import ahead
from polyarch.builder.contexts.signature import sign
from tests.program import Program

_PRELUDE = """
    import os, sys, time
    from pathlib import Path
    from polyarch.builder.contexts.ahead import WalksAhead
    from polyarch.builder.contexts.signature import sign
    from polyarch.dockerfile import ignorefile
    root = Path(sys.argv[1])
    later = time.time_ns() + 3_600_000_000_000
    def walks(now=later):
        opened = WalksAhead({"": root}, root / "Dockerfile", now)
        opened.start()
        return opened
"""


def ran(root: Path, code: str) -> str:
    """What the code prints in a process of its own. `walks` is begun by `walks(now)`."""
    text = textwrap.dedent(_PRELUDE) + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", text, root], capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr
    return done.stdout


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "context"
    (made / "a" / "deep").mkdir(parents=True)
    (made / "a" / "deep" / "one").write_text("1")
    (made / "two").write_text("2")
    (made / "link").symlink_to("two")
    Path(os.fsdecode(os.fsencode(made) + b"/\xff")).write_text("no UTF-8")
    return made


@pytest.mark.parametrize("ignore", ["", "a\n", "a\n!a/deep/one\n", "# \xe4\n**/one\n", "\n"])
def test_a_signature_is_that_of_a_walk_in_this_process(directory: Path, ignore: str) -> None:
    (directory / ".dockerignore").write_text(ignore)
    code = """
        ignore = (root / ".dockerignore").read_text()
        opened = walks()
        found = opened.take(root, ignore)
        opened.close()
        print(found == sign(str(root), ignorefile.of_text(ignore)), found.count)
    """
    equal, count = ran(directory, code).split()
    assert equal == "True"
    assert int(count) == {"": 7, "a\n": 4, "a\n!a/deep/one\n": 7, "# \xe4\n**/one\n": 6, "\n": 7}[ignore]


def test_the_ignore_file_beside_the_dockerfile_wins(directory: Path) -> None:
    (directory / ".dockerignore").write_text("a\n")
    (directory / "Dockerfile.dockerignore").write_text("two\n")
    code = """
        opened = walks()
        print(opened.take(root, "a\\n"), opened.take(root, "two\\n") == sign(str(root), ignorefile.of_text("two\\n")))
        opened.close()
    """
    assert ran(directory, code) == "None True\n"


@pytest.mark.parametrize(
    "code",
    [
        'print(opened.take(root, "two\\n"))',
        'print(opened.take(root / "a", ""))',
        'opened.take(root, ""); print(opened.take(root, ""))',
        'os.kill(opened._child, 9); opened._answers = None; print(opened.take(root, "another"))',
    ],
    ids=["other rules", "another directory", "asked again", "a dead child"],
)
def test_another_question_has_no_answer(directory: Path, code: str) -> None:
    assert ran(directory, f"opened = walks()\n{code}\nopened.close()") == "None\n"


def test_a_file_that_changed_a_moment_ago_leaves_it_uncertain(directory: Path) -> None:
    (directory / "two").write_text("3")
    assert ran(directory, 'opened = walks(0)\nprint(opened.take(root, ""))\nopened.close()') == "None\n"


def test_a_child_that_fails_says_nothing(directory: Path) -> None:
    code = """
        opened = WalksAhead({"": root / "nothing"}, root / "Dockerfile", later)
        opened.start()
        print(opened.take(root / "nothing", ""))
        opened.close()
    """
    assert ran(directory, code) == "None\n"


def test_no_child_is_left(directory: Path) -> None:
    code = """
        opened = walks()
        opened.close()
        opened.close()
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("none")
    """
    assert ran(directory, code) == "none\n"


def test_there_are_not_more_marks_than_a_few_hundred(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    for number in range(300):
        (tmp_path / f"{number}").mkdir()
        ahead.mark(str(marks), tmp_path / f"{number}")
    assert ahead.is_marked(str(marks), tmp_path / "299")
    assert not ahead.is_marked(str(marks), tmp_path / "0")
    assert not ahead.is_marked(str(marks), tmp_path / "nothing")
    assert len(list(marks.iterdir())) <= 256


# A cached build that may not walk its context in its own process.
_CACHED = """
    import os, sys
    from polyarch.builder.contexts import local
    from polyarch.cli import main
    def fail(*_): raise AssertionError("walked here")
    local.sign = fail
    os.sched_getaffinity = lambda process: {0, 1}
    sys.argv = ["polyarch", "build", "-q", "-t", "app", sys.argv[1]]
    main.main()
"""


class TestBuild:
    """Builds of a large context."""

    @pytest.fixture
    def large(self, tmp_path: Path) -> Path:
        made = tmp_path / "large"
        made.mkdir()
        (made / "Dockerfile").write_text("FROM scratch\nCOPY . /srv/\n")
        for number in range(ahead.LARGE):
            (made / f"{number}").write_text("")
        past = time.time_ns() - 3_600_000_000_000
        for path in (*made.iterdir(), made):
            os.utime(path, ns=(past, past))
        # The times of inodes cannot be set: wait until they are certain.
        time.sleep(0.06)
        return made

    def built(self, polyarch: Program, large: Path, *options: str) -> str:
        return polyarch("build", "-q", "-t", "app", *options, large).stdout

    def test_the_next_one_finds_what_the_child_has_found(self, polyarch: Program, large: Path) -> None:
        first = self.built(polyarch, large)
        self.built(polyarch, large)
        assert len(list((polyarch.root / "contexts").iterdir())) == 1
        code = textwrap.dedent(_CACHED)
        done = subprocess.run(
            [sys.executable, "-c", code, large], capture_output=True, text=True, env=polyarch.env, check=True
        )
        assert (done.stdout, done.stderr) == (first, "")

    def test_changes_are_seen(self, polyarch: Program, large: Path) -> None:
        digests = [self.built(polyarch, large), self.built(polyarch, large)]
        (large / "7").write_text("changed")
        digests.append(self.built(polyarch, large))
        (large / ".dockerignore").write_text("7\n")
        digests.append(self.built(polyarch, large))
        (large / "Dockerfile.dockerignore").write_text("8\n")
        digests.append(self.built(polyarch, large))
        assert digests[0] == digests[1]
        assert len(set(digests)) == 4

    @pytest.mark.parametrize("options", [["-f", "-"], ["-f", "/dev/stdin"], ["--secret", "id=x,src=/dev/stdin"]])
    def test_a_file_that_changes_before_a_pipe_is_written_is_seen(
        self, polyarch: Program, large: Path, options: list[str]
    ) -> None:
        before = self.built(polyarch, large)
        command = [polyarch.path, "build", "-q", "-t", "app", *options, large]
        with subprocess.Popen(command, env=polyarch.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            # The command has begun to wait by then, or not yet.
            time.sleep(0.5)
            (large / "7").write_text("changed")
            process.stdin.write((large / "Dockerfile").read_bytes())
            process.stdin.close()
            after = process.stdout.read().decode()
        assert process.returncode == 0
        assert after != before

    def test_a_walk_that_nobody_needs_ends_after_a_thousand_entries(self, large: Path) -> None:
        def check() -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            sign(str(large), None, check)

    def test_prune_forgets_which_contexts_are_large(self, polyarch: Program, large: Path) -> None:
        self.built(polyarch, large)
        assert (polyarch.root / "contexts").exists()
        polyarch("builder", "prune", "-af")
        assert not (polyarch.root / "contexts").exists()
