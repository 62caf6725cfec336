"""Attempts to escape from a build or a run, as root and as another user, through the command line.

What a process in the sandbox may not do at all is listed in tests/sandbox/test_isolation.py; here it works with the
builder: its mounts, its context, its store, its layers.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import bases, trees
from tests.needs import need, need_root
from tests.people import Person
from tests.program import Program, Result

_MARK = "what no image may hold"


class Builder:
    """A user who builds contexts. `host` is a directory of that user's, outside of contexts, with a file `secret`."""

    def __init__(self, polyarch: Program, directory: Path, person: Person | None) -> None:
        self.polyarch = polyarch
        self.directory = directory
        self.host = trees.write(directory / "host", {"secret": _MARK, "place": None})
        self._person = person
        self._give(self.host)

    def build(self, dockerfile: str, files: trees.Tree | None = None, *options: str, check: bool = True) -> Result:
        shutil.rmtree(self.directory / "context", ignore_errors=True)
        context = trees.write(self.directory / "context", {"Dockerfile": dockerfile, **(files or {})})
        self._give(context)
        return self.polyarch("build", "-t", "app", "--progress", "plain", *options, context, check=check)

    def run(self, *words: str) -> Result:
        return self.polyarch("run", "--rm", "app", *words, check=False)

    def untouched(self) -> bool:
        """Whether nothing was written on the host."""
        return trees.read(self.host) == {"secret": _MARK, "place": None}

    def _give(self, path: Path) -> None:
        if self._person is not None:
            self._person.give(path)


@pytest.fixture(params=["root", "unprivileged"])
def builder(request: pytest.FixtureRequest, busybox_store: Path, tmp_path: Path) -> Builder:
    if request.param == "root":
        need_root()
        polyarch: Program = request.getfixturevalue("polyarch")
        bases.copy_store(busybox_store, polyarch.root)
        return Builder(polyarch, tmp_path, None)
    person: Person = request.getfixturevalue("unprivileged")
    bases.copy_store(busybox_store, person.polyarch.root)
    person.give(person.polyarch.root)
    return Builder(person.polyarch, person.directory, person)


# What a RUN tries, each of which must fail, or change nothing outside. {host} is the directory of the builder's user.
_ATTEMPTS = {
    "read a file of the host by its name": "grep -r . {host}/secret",
    "read the host's through the first process": "cat /proc/1/root{host}/secret",
    "read the host's through a working directory": "cat /proc/self/cwd/../../../../../..{host}/secret",
    "find the builder among the processes": "grep -l 'bin/polyarc[h]' /proc/[0-9]*/cmdline",
    "read the environment of the builder": "cat /proc/*/environ | tr '\\0' '\\n' | grep POLYARCH_ROOT",
    "find the store in the table of mounts and write there": "for d in $(cut -d' ' -f5 /proc/self/mountinfo); do "
    "touch $d/../../escaped; done; ls /{host}/escaped",
    "attach to the first process": "test -w /proc/1/mem && echo x >/proc/1/mem",
    "remount the root's lower layers": "mount -o remount,rw /",
    "move a mount of the builder": "umount /proc || umount -l /",
    "make a device of the disk": "mknod /disk b 253 0 && dd if=/disk bs=512 count=1",
    "make a device of memory": "mknod /memory c 1 1 && dd if=/memory bs=512 count=1",
    "become another user of the host": "su -s /bin/sh nobody -c 'mount -t tmpfs none /mnt'",
    "write the table of users of a namespace": "echo 0 0 1 >/proc/self/uid_map",
    "reach the host's runtime directories": "ls /run/user /var/lib/polyarch /var/run/docker.sock",
}


def test_no_way_out_of_a_run_instruction(builder: Builder) -> None:
    tried = "\n".join(
        f"  ({attempt.format(host=builder.host)}) >/out 2>&1 && echo ESCAPED: {name}"
        for name, attempt in _ATTEMPTS.items()
    )
    said = builder.build(f"FROM busybox\nRUN <<EOF\n{tried}\n  rm -f /out; echo all were tried\nEOF\n").stderr
    shown = [line for line in said.splitlines() if "ESCAPED: " in line and "echo" not in line]
    assert shown == []
    assert any(line.endswith("all were tried") for line in said.splitlines())
    assert builder.untouched()


def test_no_way_out_of_run(builder: Builder) -> None:
    tried = ";".join(
        f"({attempt.format(host=builder.host)}) >/out 2>&1 && echo ESCAPED: {name}"
        for name, attempt in _ATTEMPTS.items()
    )
    ran = builder.polyarch("run", "--rm", "busybox", "sh", "-c", f"{tried}; echo all were tried", check=False)
    assert ran.stdout.splitlines() == ["all were tried"], str(ran)
    assert builder.untouched()


def test_an_attempt_that_succeeds_is_noticed(builder: Builder) -> None:
    """With the host's directory given to it, a process does reach it, and the two tests above would see that."""
    ran = builder.polyarch(
        "run",
        "--rm",
        "-v",
        f"{builder.host}:{builder.host}",
        "busybox",
        "sh",
        "-c",
        f"grep -r . {builder.host}/secret && touch {builder.host}/place/x",
    )
    assert _MARK in ran.stdout
    assert not builder.untouched()


def test_what_a_context_links_to_outside_is_not_copied(builder: Builder) -> None:
    links: trees.Tree = {
        "absolute": f"-> {builder.host}/secret",
        "upwards": f"-> {'../' * 20}{builder.host}/secret",
        "directory": f"-> {builder.host}",
    }
    for words in ("COPY absolute /got", "COPY upwards /got", "COPY directory/secret /got", "COPY directory/ /got/"):
        said = builder.build(f"FROM busybox\n{words}\n", links, check=False)
        if said.status == 0:
            assert _MARK not in builder.run("sh", "-c", "cat /got /got/*").stdout, words
    for words in (f"COPY {'../' * 20}{builder.host}/secret /got", "ADD ../host/secret /got"):
        builder.build(f"FROM busybox\n{words}\n", check=False)
        assert _MARK not in builder.run("cat", "/got").stdout, words


def test_a_mounted_context_shows_nothing_outside_and_takes_no_writes(builder: Builder) -> None:
    dockerfile = """FROM busybox
RUN --mount=type=bind,target=/context cat /context/link >/got; touch /context/new /context/link; true
RUN --mount=type=bind,target=/context,rw touch /context/new; echo changed >/context/file; true
RUN --mount=type=bind,source=link,target=/link cat /link >/got || true
"""
    said = builder.build(dockerfile, {"link": f"-> {builder.host}/secret", "file": "as it was"}, check=False)
    assert _MARK not in said.stderr
    assert _MARK not in builder.run("cat", "/got").stdout
    context = builder.directory / "context"
    assert (context / "file").read_text() == "as it was"
    assert not (context / "new").exists()
    assert builder.untouched()


def test_links_that_an_image_or_a_cache_leaves_lead_no_later_step_out(builder: Builder) -> None:
    host = builder.host
    dockerfile = f"""FROM busybox
RUN ln -s {host} /out && ln -s {"../" * 20}{host} /up
COPY file /out/place/copied
COPY file /up/place/copied
WORKDIR /out/place/work
RUN touch by-run
RUN --mount=type=cache,target=/out/place/cache touch /out/place/cache/x
RUN --mount=type=bind,target=/up/place/bind true
RUN --mount=type=cache,id=c,target=/c ln -sfn {host}/place /c/link
RUN --mount=type=cache,id=c,target=/c touch /c/link/x || true
"""
    assert builder.build(dockerfile, {"file": "text"}).status == 0
    assert builder.untouched()
    ran = builder.run("cat", f"{host}/place/copied")
    assert ran.stdout == "text", "inside the image the link leads to a directory of the image"


def test_the_builders_environment_stays_outside(builder: Builder) -> None:
    said = builder.polyarch(
        *("build", "-t", "app", "--progress", "plain", "--no-cache"),
        trees.write(
            builder.directory / "env", {"Dockerfile": "FROM busybox\nRUN env >/env; cat /proc/1/environ >>/env\n"}
        ),
        env={"A_SECRET_OF_MINE": _MARK},
    )
    assert _MARK not in said.stderr
    inside = builder.polyarch("run", "--rm", "app", "sh", "-c", "cat /env; env", env={"A_SECRET_OF_MINE": _MARK}).stdout
    assert "PATH=" in inside
    assert _MARK not in inside
    assert "POLYARCH_ROOT" not in inside


def test_a_step_without_network_sees_none_of_the_hosts(builder: Builder) -> None:
    builder.build("FROM busybox\nRUN --network=none grep : /proc/net/dev | cut -d: -f1 | tr -d ' ' >/interfaces\n")
    assert builder.run("cat", "/interfaces").stdout.split() == ["lo"]


def test_nobody_else_of_the_host_reaches_a_setuid_program_of_the_store(builder: Builder) -> None:
    """Unpacked, it belongs to root (of the host, where root builds) and is marked setuid."""
    need("setpriv")
    builder.build("FROM busybox\nRUN cp /bin/busybox /setuid && chmod 4755 /setuid\n")
    builder.run("true")
    found = list((builder.polyarch.root / "snapshots").rglob("fs/setuid"))
    assert found
    for path in found:
        assert path.stat().st_mode & 0o4000
        outsider = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", str(path), "id", "-u"]
        tried = subprocess.run(outsider, capture_output=True, check=False)
        assert tried.returncode != 0
        assert tried.stdout == b""
    assert builder.polyarch.root.stat().st_mode & 0o077 == 0


def test_what_an_image_says_cannot_choose_files_of_the_host(builder: Builder) -> None:
    """Names in an image's config are paths inside the image, however they are written."""
    host = builder.host
    hostile = f"FROM busybox\nWORKDIR /../../..{host}/place\nRUN touch here\nUSER 0\nVOLUME {host}/place\n"
    builder.build(hostile)
    assert builder.run("touch", f"/../../..{host}/place/there").status == 0
    assert builder.untouched()


def test_archives_that_lead_out_are_refused_when_they_are_added(builder: Builder) -> None:
    import io
    import tarfile

    for name, link in (
        (f"{'../' * 20}{builder.host}/place/x", ""),
        ("link", f"{builder.host}/place"),
        (f"/{builder.host}/place/y", ""),
    ):
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            if link:
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = tarfile.SYMTYPE, link
                tar.addfile(entry)
                name = f"{name}/through"
            entry = tarfile.TarInfo(name)
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"x"))
        builder.build("FROM busybox\nADD a.tar /\nRUN true\n", {"a.tar": raw.getvalue()}, check=False)
        builder.polyarch("import", str(builder.directory / "context/a.tar"), "imported", check=False)
        builder.polyarch("run", "--rm", "imported", "/x", check=False)
        assert builder.untouched(), name


def test_a_store_is_its_owners_alone(builder: Builder) -> None:
    builder.build("FROM busybox\nRUN true\n")
    open_to_others = [
        path
        for path in (builder.polyarch.root, *builder.polyarch.root.iterdir())
        if path.stat().st_mode & 0o077 and path.is_dir()
    ]
    assert open_to_others == []
    shutil.rmtree(builder.directory / "context", ignore_errors=True)
    assert os.access(builder.polyarch.root, os.R_OK)
