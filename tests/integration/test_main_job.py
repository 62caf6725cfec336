"""The main workflow on real input: build for several platforms, push, pull and run; checked with a second tool."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.local_registry import LocalRegistry
from tests import bases, trees
from tests.integration.conftest import Skopeo
from tests.people import Person
from tests.program import Program

Context = Callable[[trees.Tree], Path]

_BOTH = "linux/amd64,linux/arm64"
_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64", "linux/arm/v7": "armv7l", "linux/s390x": "s390x"}


def _members(images: Any) -> dict[str, str]:
    """Platform → digest, of one line of `images --format json`."""
    return {entry["Platform"]: entry["Digest"] for entry in images["Platforms"]}


def test_each_platform_runs_its_own_programs_for_root_and_for_others(either_user: Program) -> None:
    dockerfile = "FROM busybox\nRUN uname -m > /built-on\nCMD cat /built-on && uname -m\n"
    either_user("build", "--platform", ",".join(_MACHINES), "-t", "app", "-", stdin=dockerfile)
    for platform, machine in _MACHINES.items():
        assert either_user("run", "--rm", "--platform", platform, "app").lines() == [machine, machine]


def test_what_a_run_left_has_its_owners_when_a_later_build_reads_it(unprivileged: Person, busybox_store: Path) -> None:
    """Outside the user namespace its files belong to other ids, and some cannot be read at all."""
    polyarch = unprivileged.polyarch
    bases.copy_store(busybox_store, polyarch.root)
    unprivileged.give(polyarch.root)
    made = "FROM busybox AS made\nRUN echo text > /made && chmod 600 /made && chown 7:8 /made\n"
    polyarch("build", "-", stdin=f"{made}FROM scratch\nCOPY --from=made /made /one\n")
    copied = polyarch("build", "-o", "-", "-", stdin=f"{made}FROM scratch\nCOPY --from=made /made /other\n")
    assert "chown 7:8 /made\n#2 CACHED" in copied.stderr
    archive = unprivileged.directory / "out.tar"
    archive.write_text(copied.stdout)
    assert "-rw------- 7/8" in unprivileged.run("tar", "--numeric-owner", "-tvf", archive).stdout
    packed = polyarch("build", "-t", "made", "-", stdin=made)
    assert "chown 7:8 /made\n#2 CACHED" in packed.stderr
    assert polyarch("run", "--rm", "made", "ls", "-ln", "/made").stdout.split()[2:4] == ["7", "8"]


def test_a_run_for_another_processor_leaves_the_machines_emulators_as_they_were(
    polyarch: Program, busybox: str, context: Context
) -> None:
    table = Path("/proc/sys/fs/binfmt_misc")
    before = sorted(entry.name for entry in table.iterdir()) if table.exists() else []
    polyarch("build", "--platform", "linux/arm64", context({"Dockerfile": f"FROM {busybox}\nRUN uname -m"}))
    assert (sorted(entry.name for entry in table.iterdir()) if table.exists() else []) == before


def test_the_status_of_a_process_is_the_status_of_run(polyarch: Program, busybox: str) -> None:
    assert polyarch("run", "--rm", busybox, "sh", "-c", "exit 37", check=False).status == 37


def test_what_is_pushed_is_read_by_skopeo_for_each_platform(
    polyarch: Program, busybox: str, registry: LocalRegistry, skopeo: Skopeo, context: Context, tmp_path: Path
) -> None:
    name = f"{registry.address}/team/app:1"
    tree = {"Dockerfile": f'FROM {busybox}\nRUN uname -m > /machine\nCOPY a /a\nENV KEY=value\nCMD ["/a"]', "a": "text"}
    polyarch("build", "--platform", _BOTH, "-t", name, "--push", context(tree))
    assert len(skopeo.raw(f"docker://{name}")["manifests"]) == 2
    for platform in _BOTH.split(","):
        config = skopeo.config(f"docker://{name}", platform)
        assert f"{config['os']}/{config['architecture']}" == platform
        assert config["config"]["Cmd"] == ["/a"]
        assert "KEY=value" in config["config"]["Env"]
        skopeo.unpack(f"docker://{name}", platform, tmp_path / platform.replace("/", "-"))


def test_the_store_is_an_image_layout_that_skopeo_reads(polyarch: Program, busybox: str, skopeo: Skopeo) -> None:
    place = f"oci:{polyarch.root}/oci:docker.io/library/busybox:latest"
    entries = {entry["platform"]["architecture"] for entry in skopeo.raw(place)["manifests"]}
    assert entries == {"amd64", "arm64", "arm", "s390x"}
    assert skopeo.config(place, "linux/s390x")["architecture"] == "s390x"


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_what_skopeo_pushed_is_pulled_and_runs(
    polyarch: Program, busybox: str, registry: LocalRegistry, skopeo: Skopeo, tmp_path: Path, form: str
) -> None:
    source = f"oci:{polyarch.root}/oci:docker.io/library/{busybox}:latest"
    name = f"{registry.address}/from-skopeo:{form}"
    skopeo("copy", "--quiet", "--all", f"--format={form}", "--dest-tls-verify=false", source, f"docker://{name}")
    fresh = polyarch.on(tmp_path / "fresh")
    fresh("pull", "--all-platforms", name)
    assert set(_members(fresh("images", "--format", "json", name).json())) == set(_MACHINES)
    assert fresh("run", "--rm", "--platform", "linux/s390x", name, "uname", "-m").stdout == "s390x\n"


def test_a_push_and_a_pull_bring_back_the_same_digests(
    polyarch: Program, busybox: str, registry: LocalRegistry, tmp_path: Path
) -> None:
    name = f"{registry.address}/same:1"
    polyarch("tag", busybox, name)
    polyarch("push", name)
    fresh = polyarch.on(tmp_path / "fresh")
    fresh("pull", "--all-platforms", name)
    ours, theirs = (program("images", "--format", "json", name).json() for program in (polyarch, fresh))
    assert theirs["Digest"] == ours["Digest"]
    assert _members(theirs) == _members(ours)


def test_a_debian_keeps_its_packages_and_its_libraries(
    polyarch: Program, debian_tar: Callable[[str], Path], context: Context
) -> None:
    for platform in _BOTH.split(","):
        polyarch("import", "--platform", platform, debian_tar(platform), "debian")
    dockerfile = """
        FROM debian
        # /lib is a symbolic link in Debian: the copy must go through it.
        COPY libnothing.so.1 /lib/nothing/
        RUN dpkg -l | grep -c '^[iu]' > /packages
        RUN echo /usr/lib/nothing > /etc/ld.so.conf.d/nothing.conf && ldconfig && ldconfig -p | wc -l > /libraries
        CMD dpkg -s libc6 | grep ^Architecture && test -L /lib && ls /usr/lib/nothing
    """
    tree = {"Dockerfile": dockerfile, "libnothing.so.1": "not a library"}
    polyarch("build", "--platform", _BOTH, "-t", "app", context(tree), seconds=300)
    for platform in _BOTH.split(","):
        shown = polyarch("run", "--rm", "--platform", platform, "app").lines()
        assert shown == [f"Architecture: {platform.partition('/')[2]}", "libnothing.so.1"]
        packages = polyarch("run", "--rm", "--platform", platform, "app", "cat", "/packages").stdout
        assert int(packages) > 20


def test_an_application_of_thousands_of_files_is_copied_but_for_what_is_ignored(
    polyarch: Program, busybox: str, context: Context
) -> None:
    tree: dict[str, str | bytes | None] = {
        f"app/package{number % 40}/module{number}.py": f"value = {number}\n" for number in range(3000)
    }
    tree |= {f"app/package{number}/__pycache__/module.pyc": b"\0" for number in range(40)}
    tree |= {
        "app/main": "#!/bin/sh\nfind /app -type f | wc -l\n",
        ".git/HEAD": "ref: refs/heads/main\n",
        ".env": "SECRET=1\n",
        ".dockerignore": "**/__pycache__\n.git\n.env\n!app/package0/__pycache__\n",
        "Dockerfile": f'FROM {busybox}\nCOPY . /app\nCMD ["/app/app/main"]\n',
    }
    polyarch("build", "--platform", _BOTH, "-t", "app", context(tree))
    # 3,000 modules, main, Dockerfile and .dockerignore, and the one cache that is let in again.
    for platform in _BOTH.split(","):
        assert polyarch("run", "--rm", "--platform", platform, "app").stdout.strip() == "3004"
    assert polyarch("run", "--rm", "app", "sh", "-c", "test ! -e /app/.env && test ! -e /app/.git").status == 0
    entries = polyarch("inspect", "--platform", "linux/arm64", "app").json()[0]["RootFS"]["Layers"]
    others = polyarch("inspect", "--platform", "linux/amd64", "app").json()[0]["RootFS"]["Layers"]
    assert entries[-1] == others[-1], "the copied layer does not depend on the platform, and is one"


def test_a_cross_build_is_done_on_the_building_machine_once(polyarch: Program, busybox: str, context: Context) -> None:
    dockerfile = f"""
        FROM --platform=$BUILDPLATFORM {busybox} AS tools
        RUN uname -m > /tools

        FROM --platform=$BUILDPLATFORM {busybox} AS build
        ARG TARGETARCH
        COPY --from=tools /tools /tools
        RUN echo "for $TARGETARCH on $(uname -m)" > /out

        FROM {busybox}
        COPY --from=build /out /tools /
        CMD cat /out /tools && uname -m
    """
    done = polyarch(
        "build", "--progress", "plain", "--platform", _BOTH, "-t", "app", context({"Dockerfile": dockerfile})
    )
    own = polyarch("run", "--rm", busybox, "uname", "-m").stdout.strip()
    for platform in _BOTH.split(","):
        architecture = platform.partition("/")[2]
        shown = polyarch("run", "--rm", "--platform", platform, "app").lines()
        assert shown == [f"for {architecture} on {own}", own, _MACHINES[platform]]
    # A unit of work that speaks again is shown again, under the number that it has.
    reported = [line.split() for line in done.stderr.splitlines() if line.endswith("RUN uname -m > /tools")]
    assert len({words[0] for words in reported if words[0].startswith("#")}) == 1


def test_a_user_without_root_builds_pushes_and_pulls(
    unprivileged: Person, busybox_store: Path, registry: LocalRegistry
) -> None:
    bases.copy_store(busybox_store, unprivileged.polyarch.root)
    unprivileged.give(unprivileged.polyarch.root)
    dockerfile = """
        FROM busybox
        RUN echo 'ada:x:1000:1000::/home:/bin/sh' >> /etc/passwd && touch /tmp/mine && chown ada /tmp/mine
        CMD stat -c %U /tmp/mine
    """
    context = trees.write(unprivileged.directory / "context", {"Dockerfile": dockerfile})
    unprivileged.give(context)
    name = f"{registry.address}/ada:1"
    unprivileged.polyarch("build", "--platform", _BOTH, "-t", name, "--push", context)
    fresh = unprivileged.polyarch.on(unprivileged.directory / "fresh")
    fresh("pull", "--all-platforms", name)
    for platform in _BOTH.split(","):
        assert fresh("run", "--rm", "--platform", platform, name).stdout == "ada\n"
