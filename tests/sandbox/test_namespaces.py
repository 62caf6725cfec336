"""Entering the namespaces: ids inside, and errors if it is not possible."""

import json
import os
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from polyarch.errors import UnsupportedError
from polyarch.sandbox import host, namespaces
from tests.needs import need_root
from tests.people import Person
from tests.sandbox.inside import REPOSITORY, SEARCH_PATH


def _python(person: Person, script: str, search_path: str = SEARCH_PATH, prefix: tuple[str, ...] = ()) -> Any:
    """What a script, run by a person, prints as JSON. `enter` and `SEARCH_PATH` are there."""
    head = f"import json, os, sys\nfrom polyarch.sandbox import enter, entered\nSEARCH_PATH = {search_path!r}\n"
    done = person.run(*prefix, sys.executable, "-c", head + textwrap.dedent(script), cwd=REPOSITORY)
    return json.loads(done.stdout)


def test_inside_one_is_root_with_many_ids(someone: Person) -> None:
    script = """
        before = os.readlink("/proc/self/ns/mnt")
        answers = [entered(), list(enter(SEARCH_PATH).warnings), entered(), list(enter(SEARCH_PATH).warnings)]
        path = sys.argv[1] if len(sys.argv) > 1 else "file"
        os.chdir(os.environ["HOME"]); open("mine", "w").close(); os.chown("mine", 1234, 1234)
        owner = os.stat("mine").st_uid; os.unlink("mine")
        print(json.dumps([*answers, os.getuid(), os.getgid(), owner, os.readlink("/proc/self/ns/mnt") != before]))
    """
    assert _python(someone, script) == [False, [], True, [], 0, 0, 1234, True]


def test_mounts_made_inside_are_not_seen_outside(someone: Person) -> None:
    script = """
        from polyarch.sandbox.mounts import Tmpfs
        enter(SEARCH_PATH)
        os.mkdir(os.environ["HOME"] + "/place")
        Tmpfs(os.environ["HOME"] + "/place").perform()
        inside = open("/proc/self/mountinfo").read().count("/place ")
        outside = os.popen("nsenter --target $PPID --mount true 2>/dev/null; echo").read()
        print(json.dumps(inside))
    """
    assert _python(someone, script) == 1
    assert f"{someone.directory}/place" not in Path("/proc/self/mountinfo").read_text()


def test_a_living_thread_is_refused_and_counted(someone: Person) -> None:
    script = """
        import threading
        from polyarch.errors import UnsupportedError
        end = threading.Event()
        threads = [threading.Thread(target=end.wait) for _ in range(2)]
        [thread.start() for thread in threads]
        try:
            enter(SEARCH_PATH)
        except UnsupportedError as error:
            print(json.dumps([error.message, entered()]))
        end.set()
    """
    assert _python(someone, script) == ["cannot enter a user namespace while 2 other threads run", False]


def test_it_works_inside_another_user_namespace(someone: Person) -> None:
    script = """
        enter(SEARCH_PATH)
        import subprocess
        inner = "from polyarch.sandbox import enter; import os; print(enter(os.defpath).warnings, os.getuid())"
        print(json.dumps(subprocess.run([sys.executable, "-c", inner], capture_output=True, text=True).stdout))
    """
    assert _python(someone, script) == "() 0\n"


def test_a_user_without_a_range_has_one_id_and_is_told_so(single_id_user: Person) -> None:
    script = """
        warnings = enter(SEARCH_PATH).warnings
        print(json.dumps([os.getuid(), open("/proc/self/uid_map").read().split(), list(warnings)]))
    """
    uid, mapped, (warning,) = _python(single_id_user, script)
    assert (uid, mapped[0], mapped[2]) == (0, "0", "1")
    assert "has no range of ids in /etc/subuid" in warning
    assert "usermod --add-subuids" in warning


def test_without_newuidmap_the_package_is_named(unprivileged: Person) -> None:
    script = "print(json.dumps(list(enter(SEARCH_PATH).warnings)))"
    (warning,) = _python(unprivileged, script, search_path="/nonexistent")
    assert "newuidmap and newgidmap not found" in warning
    assert "package uidmap" in warning


def test_where_user_namespaces_are_switched_off_the_setting_is_named(tmp_path: Path) -> None:
    # The limit is a namespace's own: a namespace whose limit is nought plays the host that forbids them.
    need_root()
    script = """
        from polyarch.errors import UnsupportedError
        open("/proc/sys/user/max_user_namespaces", "w").write("0")
        try:
            enter(SEARCH_PATH)
        except UnsupportedError as error:
            print(json.dumps([error.message, error.hint, entered()]))
    """
    person = Person("root", tmp_path, ())
    message, hint, entered = _python(person, script, prefix=("unshare", "--user", "--map-root-user"))
    assert message.startswith("cannot make a user namespace: ")
    assert "sysctl user.max_user_namespaces" in hint
    assert not entered


@pytest.mark.parametrize("setting", ["unprivileged_userns_clone", "apparmor_restrict_unprivileged_userns"])
def test_the_settings_of_distributions_are_known(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Neither setting can be had on every kernel: what /proc says is the only thing that is made up here.
    from polyarch.sandbox import namespaces

    value = "0" if setting == "unprivileged_userns_clone" else "1"
    monkeypatch.setattr(namespaces, "_setting", lambda path: value if path.endswith(setting) else "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert f"sudo sysctl kernel.{setting}={1 - int(value)}" in (namespaces._restriction() or "")


def test_subordinate_ranges_are_read_by_name_and_by_number(tmp_path: Path) -> None:
    from polyarch.sandbox import namespaces

    file = tmp_path / "subuid"
    file.write_text("# comment\nada:100000:65536\n1000:300000:10\nbob:1:2\nada:broken:1\nada:5:0\n")
    assert namespaces._subordinate(str(file), "ada", 1000) == [(100000, 65536), (300000, 10)]
    assert namespaces._subordinate(str(tmp_path / "none"), "ada", 1000) == []


def test_the_initial_range_is_written_so_that_runtimes_see_a_user_namespace(someone: Person) -> None:
    script = """
        enter(SEARCH_PATH)
        print(json.dumps(open("/proc/self/uid_map").read().split()))
    """
    assert "4294967295" not in _python(someone, script)


def test_a_thread_that_has_ended_is_waited_for_and_one_that_runs_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    count = threading.active_count()
    listed = iter([["1"] * (count + 2), ["1"] * (count + 1), ["1"] * count])
    monkeypatch.setattr(namespaces.os, "listdir", lambda _: next(listed))
    assert namespaces.running_threads() == count
    monkeypatch.undo()
    monkeypatch.setattr(namespaces, "_PATIENCE", 0.05)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert namespaces.running_threads() > 1
    finally:
        stop.set()
        thread.join()


def test_under_an_emulator_the_error_says_what_to_use_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    links = {"/proc/self/exe": "/usr/bin/python3", "/proc/thread-self/exe": "/usr/bin/qemu-aarch64-static"}
    monkeypatch.setattr(namespaces, "_entered", None)
    monkeypatch.setattr(namespaces, "running_threads", lambda: 2)
    assert not host.is_emulated()
    monkeypatch.setattr(host.os, "readlink", links.__getitem__)
    with pytest.raises(UnsupportedError) as refused:
        namespaces.enter("/usr/bin")
    assert "an emulator runs this program" in refused.value.message
    assert "own processor" in str(refused.value.hint)
