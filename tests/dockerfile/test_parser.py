"""The parser: how lines are joined, dropped and split into instructions, and their line numbers."""

import pytest

from polyarch.dockerfile import directives
from polyarch.dockerfile.instructions import config, copying, healthcheck, running, stages
from polyarch.dockerfile.instructions.base import Heredoc, Instruction
from polyarch.dockerfile.parser import parse, parse_trigger
from polyarch.dockerfile.source import DockerfileError, Location


def one(text: str) -> Instruction:
    """The only instruction behind FROM."""
    return parse(f"FROM scratch\n{text}").instructions[1]


def run(text: str) -> running.Run:
    found = one(text)
    assert isinstance(found, running.Run)
    return found


# Lines


def test_a_byte_order_mark_and_carriage_returns_are_no_part_of_the_text() -> None:
    file = parse("\ufeffFROM scratch\r\nRUN a \\\r\n  b\r\n")
    assert [(type(one), one.location) for one in file.instructions] == [
        (stages.From, Location(1, 1)),
        (running.Run, Location(2, 3)),
    ]
    assert file.instructions[1].text == "RUN a   b"


def test_comments_and_empty_lines_within_a_continuation_are_dropped() -> None:
    file = parse("FROM scratch\nRUN a \\\n  # why\n\n \t\n && b\n")
    assert file.instructions[1].text == "RUN a  && b"
    assert file.instructions[1].location == Location(2, 6)
    assert file.empty_continuations == (Location(5, 5),)


def test_space_behind_the_escape_character_does_not_end_a_continuation() -> None:
    assert run("RUN a \\ \t\n b").arguments == ("a  b",)


def test_a_doubled_escape_character_at_the_end_continues_nothing() -> None:
    assert run("RUN a \\\\\nRUN b").arguments == ("a \\\\",)


def test_a_continuation_at_the_end_of_the_file_is_dropped() -> None:
    assert run("RUN a \\").arguments == ("a",)


def test_an_escape_character_alone_on_a_line_begins_a_continuation() -> None:
    assert run("\\\nRUN a").location == Location(2, 3)


def test_the_escape_directive_chooses_the_continuation() -> None:
    file = parse("# escape=`\nFROM scratch\nRUN dir C:\\\nRUN a `\n b\n")
    assert [one.text for one in file.instructions[1:]] == ["RUN dir C:\\", "RUN a  b"]
    assert file.escape == "`"


def test_comments_above_an_instruction_belong_to_it_until_an_empty_line() -> None:
    file = parse("# lost\n\n# base the base\n# second\nFROM scratch AS base\n#\nRUN a\n")
    assert file.instructions[0].comments == ("base the base", "second")
    assert file.instructions[1].comments == ()


def test_a_line_of_more_than_64_kib_is_refused() -> None:
    with pytest.raises(DockerfileError, match="line greater than max allowed size of 65535"):
        parse("FROM scratch\nRUN " + "a" * 65536 + "\n")


# Directives


def test_directives_end_at_the_first_line_that_is_none() -> None:
    assert parse("# Syntax = docker/dockerfile:1 \n# check=skip=all\nFROM scratch").check == "skip=all"
    assert parse("# syntax=a\n\n# escape=`\nFROM scratch").escape == "\\"
    assert parse("# a comment\n# escape=`\nFROM scratch").escape == "\\"
    assert parse("# other=a\n# escape=`\nFROM scratch").escape == "\\"


def test_directives_are_no_comments_of_the_instruction_below() -> None:
    assert parse("# syntax=a\nFROM scratch").instructions[0].comments == ()


@pytest.mark.parametrize(
    ("text", "syntax"),
    [
        ("# syntax=docker/dockerfile:1\nFROM x", "docker/dockerfile:1"),
        ("#!/usr/bin/env x\n# syntax=a/b\n", "a/b"),
        ("// syntax=a/b\n{}", "a/b"),
        ('{"syntax": "a/b"}', "a/b"),
        ('{"syntax": 1}', ""),
        ("FROM x\n# syntax=a/b", ""),
    ],
)
def test_the_syntax_is_found_in_other_languages_too(text: str, syntax: str) -> None:
    assert directives.find(text, "syntax") == syntax


@pytest.mark.parametrize(
    ("syntax", "ours"),
    [
        ("", True),
        ("docker/dockerfile:1.7-labs", True),
        ("docker.io/docker/dockerfile@sha256:1", True),
        ("docker/dockerfile-upstream:master", True),
        ("example.org/docker/dockerfile:1", False),
        ("tonistiigi/dockerfile:runmount", False),
    ],
)
def test_a_frontend_of_another_language_is_known_as_such(syntax: str, ours: bool) -> None:
    assert directives.is_dockerfile(syntax) is ours


# Heredocs


def test_a_run_may_have_several_heredocs_with_descriptors() -> None:
    found = run("RUN cat 3<<A <<-B\na1\n\nA\n\tb1\n\tB\n")
    assert found.heredocs == (
        Heredoc("A", "a1\n\n", True, False, 3),
        Heredoc("B", "\tb1\n", True, True, 0),
    )
    assert found.heredocs[1].chomped == "b1\n"
    assert found.location == Location(2, 7)
    assert running.command(found, ("/bin/sh", "-c")).argv == (
        "/bin/sh",
        "-c",
        "cat 3<<A <<-B\na1\n\nA\n\tb1\nB",
    )


def test_a_heredoc_alone_is_the_script_of_the_shell() -> None:
    assert running.command(run("RUN <<-EOF\n\techo $x\n\tEOF"), ("sh",)).argv == ("sh", "echo $x\n")


def test_a_heredoc_with_an_interpreter_is_a_file_that_the_shell_executes() -> None:
    command = running.command(run("RUN <<EOF\n#!/usr/bin/python3\nprint(1)\nEOF"), ("sh", "-c"))
    assert command.argv == ("sh", "-c", "/dev/pipes/EOF")
    assert command.script == ("EOF", "#!/usr/bin/python3\nprint(1)\n")


def test_a_quoted_name_keeps_the_variables_of_a_copied_document() -> None:
    copy = one("COPY <<'A' <<B x /d/\n$v\nA\n$v\nB")
    assert isinstance(copy, copying.Copy)
    assert copy.sources == ("x",)
    assert [(file.name, file.expand) for file in copy.files] == [("A", False), ("B", True)]
    assert copy.destination == "/d/"


def test_the_tabs_of_a_copied_document_are_taken_away_where_that_is_asked() -> None:
    copy = one("COPY <<-A /d\n\t\ta\n\t\tb\n\tA")
    assert isinstance(copy, copying.Copy)
    assert copy.files == (Heredoc("A", "a\nb\n", True),)


def test_a_heredoc_in_carriage_returns_keeps_them() -> None:
    assert run("RUN <<A\r\nx\r\nA\r\n").heredocs[0].content == "x\r\n"


@pytest.mark.parametrize("text", ['RUN ["cat", "<<A"]', "CMD cat <<A", "ENV x=<<A", "RUN cat <<", "RUN a '<<A'"])
def test_not_everything_with_two_angles_is_a_heredoc(text: str) -> None:
    assert len(parse(f"FROM scratch\n{text}\nRUN b\nRUN c\n").instructions) == 4


def test_onbuild_has_heredocs_too() -> None:
    trigger = one("ONBUILD RUN <<A\necho\nA\n")
    assert isinstance(trigger, config.Onbuild)
    assert trigger.trigger == "RUN <<A\necho\nA"
    again = parse_trigger(trigger.trigger)
    assert isinstance(again, running.Run)
    assert again.heredocs[0].content == "echo\n"


# Arguments


def test_what_is_no_json_array_is_a_command_line() -> None:
    for text, form, arguments in [
        ('CMD ["a", "b"]', "exec", ("a", "b")),
        ('CMD [ "a" ] ', "exec", ("a",)),
        ("CMD ['a']", "shell", ("['a']",)),
        ('CMD ["a", "b"', "shell", ('["a", "b"',)),
        ('CMD "a"', "shell", ('"a"',)),
        ("CMD []", "exec", ()),
        ("CMD", "shell", ()),
    ]:
        found = one(text)
        assert isinstance(found, config.Cmd)
        assert (found.form, found.arguments) == (form, arguments)


def test_flags_stand_before_the_arguments_and_may_be_quoted() -> None:
    copy = one('COPY --from=a --chown="a b" --link --exclude=*.o --exclude=x -- --from=b c/')
    assert isinstance(copy, copying.Copy)
    assert (copy.from_, copy.chown, copy.link, copy.exclude) == ("a", "a b", True, ("*.o", "x"))
    assert (copy.sources, copy.destination) == (("--from=b",), "c/")


def test_add_tells_what_was_said_from_what_was_not() -> None:
    add = one("ADD --unpack=false --checksum=sha256:1 a b")
    assert isinstance(add, copying.Add)
    assert (add.unpack, add.keep_git_dir, add.checksum) == (False, None, "sha256:1")


def test_copy_takes_paths_with_spaces_as_json() -> None:
    copy = one('COPY ["a b", "<<A", "c d"]')
    assert isinstance(copy, copying.Copy)
    assert (copy.sources, copy.destination, copy.files) == (("a b", "<<A"), "c d", ())


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("ENV a=1 b='x y' c=\"x y\"", [("a", "1", False), ("b", "'x y'", False), ("c", '"x y"', False)]),
        ("ENV a=x\\ y", [("a", "x\\ y", False)]),
        ("ENV a=", [("a", "", False)]),
        ("ENV a=b=c", [("a", "b=c", False)]),
        ("ENV a  b c = d", [("a", "b c = d", True)]),
        ("ENV a \\\n  b", [("a", "b", True)]),
    ],
)
def test_pairs_have_two_forms(text: str, pairs: list[tuple[str, str, bool]]) -> None:
    env = one(text)
    assert isinstance(env, config.Env)
    assert env.pairs == tuple(config.Pair(*pair) for pair in pairs)


def test_an_arg_may_declare_several_names() -> None:
    arg = one('ARG a b= c="x y"')
    assert isinstance(arg, stages.Arg)
    assert arg.pairs == (("a", None), ("b", ""), ("c", '"x y"'))


def test_healthcheck_has_durations_as_go_writes_them() -> None:
    check = one('HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=0 --retries=3 CMD ["a"]')
    assert isinstance(check, healthcheck.Healthcheck)
    assert check.test == ("CMD", "a")
    assert (check.interval, check.timeout, check.start_period, check.retries) == (90 * 10**9, 1500 * 10**6, 0, 3)
    shell = one("HEALTHCHECK CMD a || b")
    assert isinstance(shell, healthcheck.Healthcheck)
    assert shell.test == ("CMD-SHELL", "a || b")


def test_keywords_may_be_in_any_case_and_are_kept() -> None:
    assert one("rUn a").keyword == "rUn"
