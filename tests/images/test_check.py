"""`check` on images that are right, and on binaries, commands and libraries that are wrong."""

from pathlib import Path

import pytest

from polyarch.images.check.findings import RULES, grouped
from polyarch.layers.entry import Entry
from polyarch.store import Store
from tests.images import elves
from tests.images.checking import CONFIGURED, GLIBC, LOADER, amd64, checked, only, rules
from tests.images.layered import directory, file, image, link, program


def test_an_image_that_is_right_has_no_findings(store: Store) -> None:
    app = program("app", elves.program(interpreter=LOADER, needed=["libc.so.6"]))
    report = amd64(store, [*GLIBC, app], Entrypoint=["/app"])
    assert report.findings == ()
    assert report.is_good(strict=True)
    assert [(str(one.platform), one.binaries) for one in report.images] == [("linux/amd64", 3)]


def test_a_foreign_binary_is_an_error_with_the_layer_and_the_step_that_brought_it(store: Store) -> None:
    wrong = image(
        store,
        "linux/arm64",
        [program("bin/good", elves.program("arm64"))],
        [program("bin/bad", elves.program("amd64")), program("bin/worse", elves.program("amd64"))],
        steps=["ADD base", "COPY tools /bin"],
    )
    report = checked(store, ("linux/arm64", wrong))
    assert [finding.path for finding in report.findings] == ["/bin/bad", "/bin/worse"]
    (group,) = grouped(report.findings)
    assert group.paths == ("/bin/bad", "/bin/worse")
    first = group.first
    assert (first.rule, first.severity, first.platform) == ("foreign-binary", "error", "linux/arm64")
    assert "amd64" in first.message
    assert first.step == "COPY tools /bin"
    assert first.layer == store.load(wrong).layers[1].digest  # type: ignore[union-attr]
    assert not report.is_good()


def test_a_foreign_binary_that_a_later_layer_replaced_or_deleted_is_not_in_the_image(store: Store) -> None:
    report = amd64(
        store,
        [program("a", elves.program("arm64")), program("b", elves.program("arm64"))],
        [program("a", elves.program("amd64")), file(".wh.b")],
    )
    assert report.findings == ()


def test_a_pattern_or_a_label_allows_files_and_directories_but_no_others(store: Store) -> None:
    layers = [program(path, elves.program("arm64")) for path in ("opt/cross/gcc", "opt/cross/bin/ld", "srv/x")]
    assert only(amd64(store, layers, allow=("/opt/cross",))).path == "/srv/x"
    assert only(amd64(store, layers, Labels={"org.polyarch.check.allow": "/srv/*, opt/cross/bin"})).path == (
        "/opt/cross/gcc"
    )
    assert amd64(store, layers, allow=("/opt/*", "/srv/x")).is_good(strict=True)


def test_the_second_kind_of_a_processor_is_a_warning_only(store: Store) -> None:
    found = only(amd64(store, [file("usr/lib/i386-linux-gnu/libx.so", elves.elf("386"))]))
    assert (found.rule, found.severity) == ("foreign-binary", "warning")
    armed = image(store, "linux/arm64", [program("bin/x", elves.program("arm"))])
    report = checked(store, ("linux/arm64", armed))
    assert only(report).severity == "warning"
    assert report.is_good()
    assert not report.is_good(strict=True)


def test_files_of_other_systems_are_notes_that_no_strictness_minds(store: Store) -> None:
    report = amd64(store, [program("usr/lib/python3/distlib/t64.exe", elves.pe())])
    assert (only(report).rule, only(report).severity) == ("foreign-system", "note")
    assert report.is_good(strict=True)


def test_soft_float_among_hard_float_is_a_warning(store: Store) -> None:
    made = image(
        store,
        "linux/arm/v7",
        [
            program("lib/ld-linux-armhf.so.3", elves.elf("arm", soname="ld-linux-armhf.so.3")),
            file("lib/libold.so", elves.elf("arm", soname="libold.so", flags=0x05000200)),
        ],
    )
    found = only(checked(store, ("linux/arm/v7", made)))
    assert (found.rule, found.path) == ("float-abi", "/lib/libold.so")


# What is started


def test_a_command_that_is_not_there_is_an_error(store: Store) -> None:
    assert only(amd64(store, [file("x")], Cmd=["/bin/sh", "-c", "true"])).rule == "command-missing"
    found = only(amd64(store, [file("x")], Entrypoint=["serve"], Env=["PATH=/opt/bin"]))
    assert found.rule == "command-missing"
    assert "/opt/bin" in found.message
    assert only(amd64(store, [link("app", "app")], Cmd=["/app"])).rule == "command-missing"


def test_a_command_is_found_on_path_through_links_and_relative_to_the_working_directory(store: Store) -> None:
    files = [program("usr/bin/serve", elves.program()), link("bin", "usr/bin"), link("usr/bin/s", "/bin/serve")]
    for run in (
        {"Entrypoint": ["serve"]},
        {"Cmd": ["/bin/s"]},
        {"Cmd": ["./serve"], "WorkingDir": "/usr/bin"},
        {"Cmd": ["bin/s"], "WorkingDir": "/usr"},
    ):
        assert amd64(store, files, **run).findings == ()


def test_a_command_that_may_not_be_executed_or_is_a_directory_is_an_error(store: Store) -> None:
    found = only(amd64(store, [file("app", elves.program())], Entrypoint=["/app"]))
    assert found.rule == "command-not-executable"
    assert "0644" in found.message
    assert only(amd64(store, [directory("app")], Entrypoint=["/app"])).rule == "command-not-executable"


def test_a_foreign_command_is_said_to_be_the_command(store: Store) -> None:
    report = amd64(store, [program("app", elves.program("arm64"))], Entrypoint=["/app"])
    assert sorted(rules(report)) == ["command-foreign", "foreign-binary"]
    windows = amd64(store, [program("app.exe", elves.pe())], Entrypoint=["/app.exe"])
    assert sorted(rules(windows)) == ["command-foreign", "foreign-system"]
    # A pattern lets it lie there; nothing lets it run.
    allowed = amd64(store, [program("app", elves.program("arm64"))], Entrypoint=["/app"], allow=("*",))
    assert rules(allowed) == ["command-foreign"]


def test_a_script_needs_its_interpreter_for_the_platform_and_a_line_without_a_carriage_return(store: Store) -> None:
    shell = program("bin/sh", elves.program())
    assert amd64(store, [shell, program("run", "#! /bin/sh -e\n")], Cmd=["/run"]).findings == ()
    assert only(amd64(store, [program("run", "#!/bin/sh\n")], Cmd=["/run"])).rule == "interpreter-missing"
    assert rules(amd64(store, [shell, program("run", "#!/bin/sh\r\n")], Cmd=["/run"])) == ["command-crlf"]
    foreign = amd64(
        store,
        [program("opt/sh", elves.program("arm64")), program("run", "#!/opt/sh\n")],
        Cmd=["/run"],
        allow=("/opt",),
    )
    assert only(foreign).rule == "command-foreign"


def test_env_of_a_first_line_is_asked_what_it_would_run(store: Store) -> None:
    env = program("usr/bin/env", elves.program())
    script = program("run", "#!/usr/bin/env -S A=1 python3 -u\n")
    found = only(amd64(store, [env, script], Cmd=["/run"]))
    assert found.rule == "interpreter-missing"
    assert "python3" in found.message
    assert amd64(store, [env, script, program("usr/bin/python3", elves.program())], Cmd=["/run"]).findings == ()


def test_scripts_that_interpret_each_other_for_ever_come_to_an_end(store: Store) -> None:
    assert amd64(store, [program("a", "#!/b\n"), program("b", "#!/a\n")], Cmd=["/a"]).findings == ()


# Loaders and libraries


def test_a_missing_loader_is_an_error_and_says_when_the_other_libc_is_there(store: Store) -> None:
    app = program("app", elves.program(interpreter=LOADER, needed=["libc.so.6"]))
    assert only(amd64(store, [app])).rule == "loader-missing"
    musl = program("lib/ld-musl-x86_64.so.1", elves.elf(soname="libc.musl-x86_64.so.1"))
    assert "musl" in only(amd64(store, [app, musl])).message


def test_a_missing_library_is_an_error_for_a_program_and_a_warning_for_a_plugin(store: Store) -> None:
    app = program("app", elves.program(interpreter=LOADER, needed=["libz.so.1", "libc.so.6"]))
    found = only(amd64(store, [*GLIBC, app]))
    assert (found.rule, found.severity) == ("library-missing", "error")
    assert "libz.so.1" in found.message
    plugin = file("usr/lib/p/plugin.so", elves.elf(needed=["libtk.so"]))
    assert only(amd64(store, [*GLIBC, plugin])).severity == "warning"


def test_a_library_of_another_architecture_does_not_help(store: Store) -> None:
    app = program("app", elves.program(interpreter=LOADER, needed=["libz.so.1"]))
    wrong = file("usr/lib/libz.so.1", elves.elf("arm64", soname="libz.so.1"))
    assert only(amd64(store, [*GLIBC, app, wrong], allow=("/usr/lib",))).rule == "library-missing"


@pytest.mark.parametrize(
    ("where", "fields", "extra"),
    [
        ("usr/lib/x86_64-linux-gnu", {}, []),
        ("app/lib", {"runpath": "$ORIGIN/../lib"}, []),
        ("app/lib", {"rpath": "/nowhere:/app/bin/../lib"}, []),
        ("opt/z", {}, CONFIGURED),
    ],
)
def test_libraries_are_looked_for_where_the_loader_looks(
    store: Store, where: str, fields: dict[str, str], extra: list[tuple[Entry, bytes]]
) -> None:
    app = program("app/bin/app", elves.program(interpreter=LOADER, needed=["libz.so.1"], **fields))
    files = [*GLIBC, *extra, app, link(f"{where}/libz.so.1", "libz.so.1.3"), file(f"{where}/libz.so.1.3", elves.elf())]
    assert amd64(store, files).findings == ()  # type: ignore[arg-type]


def test_a_library_where_nobody_looks_is_a_warning_that_names_it_unless_the_environment_leads_there(
    store: Store,
) -> None:
    app = program("app", elves.program(interpreter=LOADER, needed=["libz.so.1"]))
    files = [*GLIBC, app, file("srv/libz.so.1", elves.elf())]
    found = only(amd64(store, files))
    assert found.severity == "warning"
    assert "/srv/libz.so.1" in found.message
    assert amd64(store, files, Env=["LD_LIBRARY_PATH=/srv"]).findings == ()


def test_musl_is_told_its_directories_and_brings_what_glibc_has_apart(store: Store) -> None:
    loader = "/lib/ld-musl-x86_64.so.1"
    app = program("app", elves.program(interpreter=loader, needed=["libc.so", "libm.so.6", "libz.so.1"]))
    files = [app, program(loader[1:], elves.elf(soname="libc.so")), file("srv/libz.so.1", elves.elf())]
    assert only(amd64(store, files)).rule == "library-missing"
    assert amd64(store, [*files, file("etc/ld-musl-x86_64.path", "/lib:/srv\n")]).findings == ()


# Links


def test_ten_thousand_links_and_a_thousand_directories_are_no_trouble(store: Store) -> None:
    links = [link(f"l{n}", f"l{n + 1}") for n in range(10_000)]
    report = amd64(store, [*links, program("l10000", elves.program())], Cmd=["/l0"])
    assert only(report).rule == "command-missing"
    assert "symbolic links" in only(report).message
    deep = "/".join(["d"] * 1000)
    assert amd64(store, [program(f"{deep}/app", elves.program())], Cmd=[f"/{deep}/app"]).findings == ()


def test_links_in_circles_are_where_a_library_is_not(store: Store) -> None:
    app = program("app", elves.program(interpreter=LOADER, needed=["libz.so"]))
    files = [*GLIBC, app, link("lib/libz.so", "libz.so"), link("usr/lib", "../usr/lib")]
    assert only(amd64(store, files)).rule == "library-missing"


# The page


def test_the_reference_page_has_every_rule_and_no_other() -> None:
    import re

    page = (Path(__file__).parents[2] / "docs" / "reference" / "check.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == set(RULES)
