"""What a bake file may not do unless `--allow` says so."""

from pathlib import Path

import pytest

from polyarch.bake import entitlements
from polyarch.bake.entitlements import BakeHost, Need
from polyarch.bake.entries import CacheEntry, OutputEntry, SecretEntry, SshEntry
from polyarch.bake.target import BakeTarget, TargetCache, TargetInput, TargetResult, TargetRun
from polyarch.errors import UsageError
from tests.bake.test_build import write
from tests.program import Program


def needs(target: BakeTarget, here: Path, *allow: str, sets: tuple[str, ...] = (), fetched: bool = False) -> list[str]:
    grants = entitlements.parse(allow) | entitlements.of_overrides(sets)
    return [need.flag for need in entitlements.missing([target], grants, BakeHost(here, "/home/me", fetched))]


def at(context: str, **more: object) -> BakeTarget:
    return BakeTarget(name="t", input=TargetInput(context=context, dockerfile="Dockerfile", **more))  # type: ignore[arg-type]


def test_the_working_directory_needs_no_grant(tmp_path: Path) -> None:
    target = at("sub/../app", contexts={"a": ".", "b": "docker-image://alpine", "c": "target:x", "d": "https://a.b/c"})
    assert needs(target, tmp_path) == []


@pytest.mark.parametrize("context", ["/etc", "../../../../../../etc", "cwd:///etc", "link", "link/ssh"])
def test_a_context_elsewhere_needs_a_grant(tmp_path: Path, context: str) -> None:
    (tmp_path / "link").symlink_to("/etc")
    found = needs(at(context), tmp_path)
    assert found in (["--allow=fs.read=/etc"], ["--allow=fs.read=/etc/ssh"])
    assert needs(at(context), tmp_path, "fs.read=/etc") == []
    assert needs(at(context), tmp_path, "fs=*") == []
    assert needs(at(context), tmp_path, "fs.read=/") == []
    assert needs(at(context), tmp_path, "fs.write=/etc") == found
    assert needs(at(context), tmp_path, "fs.read=/et") == found
    assert needs(at(context), tmp_path, sets=(f"t.context={context}",)) == []


def test_every_place_that_is_read_or_written_counts(tmp_path: Path) -> None:
    target = BakeTarget(
        name="t",
        input=TargetInput(
            context=".",
            dockerfile="/a/Dockerfile",
            contexts={"layout": "oci-layout:///b/layout:tag", "other": "oci-layout:///c@sha256:00"},
            secrets=(SecretEntry("one", "/d"), SecretEntry("../../../../../../../../e"), SecretEntry("three", "~/f")),
            ssh=(SshEntry("key", ("/g",)), SshEntry("default")),
        ),
        run=TargetRun(entitlements=("network.host", "device=a.b/c=d", "security.insecure")),
        cache=TargetCache(
            cache_from=(CacheEntry("local", {"src": "/h"}),), cache_to=(CacheEntry("local", {"dest": "/i"}),)
        ),
        result=TargetResult(outputs=(OutputEntry("local", "/j/out"), OutputEntry("tar", "-"), OutputEntry("oci", "x"))),
    )
    words = ["device", "network.host", "security.insecure", "ssh"]
    reads = ["/a/Dockerfile", "/b/layout", "/c", "/d", "/e", "/g", "/h", "/home/me/f"]
    assert needs(target, tmp_path) == [
        *(f"--allow={word}" for word in words),
        *(f"--allow=fs.read={path}" for path in reads),
        "--allow=fs.write=/i",
        "--allow=fs.write=/j/out",
    ]
    assert needs(target, tmp_path, *words, "fs=*") == []


def test_what_is_read_and_written_has_one_flag_and_a_directory_covers_what_is_in_it(tmp_path: Path) -> None:
    target = BakeTarget(
        name="t",
        input=TargetInput(context="/a/b", contexts={"x": "/a", "y": "/a/b/c"}, dockerfile="Dockerfile"),
        result=TargetResult(outputs=(OutputEntry("local", "/a"),)),
    )
    assert needs(target, tmp_path) == ["--allow=fs=/a"]


def test_set_grants_only_what_it_names(tmp_path: Path) -> None:
    target = BakeTarget(
        name="t", input=TargetInput(context="."), result=TargetResult(outputs=(OutputEntry("local", "/a"),))
    )
    assert needs(target, tmp_path, sets=("*.output+=type=local,dest=/b", "t.tags=/a")) == ["--allow=fs.write=/a"]
    assert needs(target, tmp_path, sets=("*.output+=/a",)) == []


def test_relative_contexts_of_fetched_files_are_not_on_this_machine(tmp_path: Path) -> None:
    assert needs(at("../../../../../../../etc"), tmp_path, fetched=True) == []
    assert needs(at("/etc"), tmp_path, fetched=True) == []
    assert needs(at("cwd:///etc"), tmp_path, fetched=True) == ["--allow=fs.read=/etc"]


@pytest.mark.parametrize("word", ["fs.raed=/", "fs", "fs.read", "fs.read=", "nothing", ""])
def test_unknown_words_are_refused(word: str) -> None:
    with pytest.raises(UsageError):
        entitlements.parse([word])


def test_needs_about_files_are_known() -> None:
    assert Need("fs.read", "/a").is_file
    assert Need("ssh").is_file
    assert not Need("network.host").is_file


def test_the_command_refuses_and_names_the_flags(polyarch: Program, tmp_path: Path) -> None:
    work = write(
        tmp_path / "work", {"docker-bake.hcl": 'target "default" {\n context = "../else"\n network = "host"\n}'}
    )
    write(tmp_path / "else", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    done = polyarch.fails("bake", cwd=work)
    read = f"--allow=fs.read={tmp_path / 'else'}"
    assert f"run it again with: --allow=network.host {read}" in done.stderr
    polyarch("bake", "--allow=network.host", read, cwd=work)
    off = {"BUILDX_BAKE_ENTITLEMENTS_FS": "0"}
    assert "with: --allow=network.host\n" in polyarch.fails("bake", cwd=work, env=off).stderr
    polyarch("bake", "--allow=network.host", cwd=work, env=off)
    assert polyarch("bake", "--print", cwd=work).json()["target"]["default"]["network"] == "host"
