"""Text that cannot be parsed: each mistake in BuildKit's words, with its lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.dockerfile.parser import parse, parse_trigger
from polyarch.dockerfile.source import DockerfileError, Location

ERRORS = [
    ("FRM x", "unknown instruction: FRM (did you mean FROM?)"),
    ("FOOBAR x", "unknown instruction: FOOBAR"),
    ("FROM", "FROM requires either one or three arguments"),
    ("FROM a as", "FROM requires either one or three arguments"),
    ("FROM a b c", "FROM requires either one or three arguments"),
    (
        "FROM a AS 1x",
        'invalid name for build stage: "1x", name can\'t start with a number or contain symbols',
    ),
    ("COPY a", "COPY requires at least two arguments, but only one was provided. Destination could not be determined"),
    ("ADD", "ADD requires at least two arguments, but only one was provided. Destination could not be determined"),
    ("COPY a <<B\nB", "COPY cannot accept a heredoc as a destination"),
    ("COPY --fron=a b c", "unknown flag: --fron (did you mean from?)"),
    ("COPY --from=a --from=b c d", "duplicate flag specified: --from"),
    ("COPY --from c d", "missing a value on flag: --from"),
    ("COPY --link=maybe c d", "expecting boolean value for flag --link, not: maybe"),
    ("COPY --link= c d", "missing a value on flag: --link"),
    ("ENV", "ENV requires at least one argument"),
    ("ENV a", "ENV must have two arguments"),
    ("ENV a=b c", 'Syntax error - can\'t find = in "c". Must be of the form: name=value'),
    ("ENV =b", "ENV names can not be blank"),
    ("LABEL a", "LABEL must have two arguments"),
    ("ARG", "ARG requires at least one argument"),
    ("ARG =x", "ARG names can not be blank"),
    ("WORKDIR", "WORKDIR requires exactly one argument"),
    ("USER", "USER requires exactly one argument"),
    ("EXPOSE", "EXPOSE requires at least one argument"),
    ("VOLUME", "VOLUME requires at least one argument"),
    ('VOLUME [""]', "VOLUME specified can not be an empty string"),
    ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
    ("SHELL []", "SHELL requires at least one argument"),
    ("SHELL /bin/sh -c", "SHELL requires the arguments to be in JSON form"),
    ('CMD ["a", 1]', "when using JSON array syntax, arrays must be comprised of strings only"),
    ("ONBUILD", "ONBUILD requires at least one argument"),
    ("ONBUILD ONBUILD RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
    ("ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger"),
    ("ONBUILD maintainer a", "MAINTAINER isn't allowed as an ONBUILD trigger"),
    ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
    ("HEALTHCHECK NONE a", "HEALTHCHECK NONE takes no arguments"),
    ("HEALTHCHECK a", 'Unknown type "A" in HEALTHCHECK (try CMD)'),
    ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
    ("HEALTHCHECK --interval=1us CMD a", 'Interval "interval" cannot be less than 1ms'),
    ("HEALTHCHECK --timeout=5 CMD a", 'time: missing unit in duration "5"'),
    ("HEALTHCHECK --timeout=5x CMD a", 'time: unknown unit "x" in duration "5x"'),
    ("HEALTHCHECK --retries=-1 CMD a", "--retries cannot be negative (-1)"),
    ("RUN --network=lan a", 'invalid network mode "lan"'),
    ("RUN --security=none a", 'security "none" is not valid'),
    ("RUN --mount=type=bind,from=$a b", "'from' doesn't support variable expansion, define alias stage instead"),
    ("RUN <<A\nx", "unterminated heredoc"),
    ("RUN <<A <<B\nA\n", "unterminated heredoc"),
]


@pytest.mark.parametrize(("text", "reason"), ERRORS)
def test_a_mistake_is_named_in_buildkits_words(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(f"FROM scratch\n{text}")
    assert caught.value.reason == reason
    assert caught.value.locations[0].first == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the Dockerfile cannot be empty"),
        ("# a\n\n", "file with no instructions"),
        ("# escape=x\nFROM a", "invalid escape token 'x' does not match ` or \\"),
        ("# syntax=a\n# syntax=b\nFROM a", "only one syntax parser directive can be used"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(text)
    assert caught.value.reason == reason


def test_an_error_shows_the_lines_around_the_mistake() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse("FROM scratch\nRUN a\nCOPY --fron=x \\\n  a b\nRUN c\nRUN d\nRUN e\n", "app/Dockerfile")
    assert caught.value.message == "\n".join(
        [
            "app/Dockerfile:3: unknown flag: --fron (did you mean from?)",
            "app/Dockerfile:3-4",
            "--------------------",
            "   2 |     RUN a",
            "   3 | >>> COPY --fron=x \\",
            "   4 | >>>   a b",
            "   5 |     RUN c",
            "--------------------",
        ]
    )


@pytest.mark.parametrize("trigger", ["", "FROM a", "ONBUILD RUN a", "RUN a\nRUN b", "MAINTAINER a", "FOO"])
def test_a_trigger_that_cannot_be_one_is_refused(trigger: str) -> None:
    with pytest.raises(DockerfileError):
        parse_trigger(trigger)


# Anything at all

KEYWORDS = "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL ONBUILD RUN SHELL USER VOLUME FOO".split()
MARKS = (
    *(
        "--mount=type=",
        "--from=",
        "--",
        "<<",
        "<<-",
        "EOF",
        "'",
        '"',
        "[",
        "]",
        '["a"]',
        "\\",
        "$",
        "${",
        "}",
        ",",
        "=",
    ),
    *(" ", "\t", "\n", "\r\n", "\n#", "# escape=`\n", "a", "é", "\x00", "\ufeff", "\u2028", "\x1c"),
)


@given(st.lists(st.sampled_from((*KEYWORDS, *MARKS)), max_size=40).map("".join))
def test_any_text_parses_or_is_a_dockerfile_error_with_lines(text: str) -> None:
    located: tuple[Location, ...]
    try:
        located = tuple(instruction.location for instruction in parse(text).instructions)
    except DockerfileError as error:
        located = error.locations
    last = 0
    assert located
    for location in located:
        assert last < location.first <= location.last <= text.count("\n") + 1
        last = location.last


@given(st.text())
def test_text_of_any_characters_is_no_other_exception(text: str) -> None:
    try:
        parse(text)
        parse(f"FROM a\nRUN {text}")
    except DockerfileError:
        return
