"""Which fields of each instruction are expanded, and how RUN's mounts are parsed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.dockerfile.instructions import config, copying, mounts, ports, running, stages
from polyarch.dockerfile.instructions.base import Instruction
from polyarch.dockerfile.instructions.expander import Expander
from polyarch.dockerfile.instructions.expansion import expand
from polyarch.dockerfile.instructions.mounts import Mount
from polyarch.dockerfile.parser import parse
from polyarch.dockerfile.source import DockerfileError

ENV = {"A": "x", "PORTS": "80 443/udp", "DIR": "/work dir"}


def expanded(text: str, env: dict[str, str] | None = None) -> Instruction:
    return expand(parse(f"FROM scratch\n{text}").instructions[1], ENV if env is None else env)[0]


def mount(flag: str) -> Mount:
    found = expanded(f"RUN --mount={flag} a")
    assert isinstance(found, running.Run)
    return found.mounts[0]


def test_copy_expands_its_paths_owner_and_mode_but_neither_from_nor_exclude() -> None:
    copy = expanded("COPY --from=$A --chown=$A:1 --chmod=$A --exclude=$A $A '$A' \"$DIR/\"")
    assert isinstance(copy, copying.Copy)
    assert (copy.from_, copy.exclude) == ("$A", ("$A",))
    assert (copy.chown, copy.chmod) == ("x:1", "x")
    assert (copy.sources, copy.destination) == (("x", "$A"), "/work dir/")


def test_a_document_expands_unless_its_name_is_quoted_and_keeps_its_quotes() -> None:
    copy = expanded("COPY <<A <<'B' /d/\nit's \"$A\" \\$A\nA\n$A\nB")
    assert isinstance(copy, copying.Copy)
    assert [file.content for file in copy.files] == ['it\'s "x" $A\n', "$A\n"]


def test_all_pairs_of_an_env_see_what_was_before_it() -> None:
    env = expanded("ENV A=1 B=$A C=${D:-$A}")
    assert isinstance(env, config.Env)
    assert [(pair.key, pair.value) for pair in env.pairs] == [("A", "1"), ("B", "x"), ("C", "x")]


def test_expose_parts_the_words_of_a_variable() -> None:
    expose = expanded("EXPOSE $PORTS 8000-8002/TCP")
    assert isinstance(expose, config.Expose)
    assert ports.ports(expose.specifications) == ("80/tcp", "443/udp", "8000/tcp", "8001/tcp", "8002/tcp")


@pytest.mark.parametrize(
    ("specification", "reason"),
    [
        ("a", "invalid containerPort: a"),
        ("80-70", "invalid containerPort: 80-70"),
        ("65536", "invalid containerPort: 65536"),
        ("80/icmp", 'invalid port: "80/icmp": invalid proto: icmp'),
        ("/tcp", 'invalid port: "/tcp": no port specified'),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("x:80", "invalid hostPort: x"),
        ("1-3:80-81", "invalid ranges specified for container and host Ports: 80-81 and 1-3"),
    ],
)
def test_a_port_that_is_none_is_refused(specification: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        ports.ports((specification,))
    assert caught.value.reason == reason


@pytest.mark.parametrize("text", ["RUN $A", "CMD $A", "ENTRYPOINT $A", 'SHELL ["$A"]', "HEALTHCHECK CMD $A"])
def test_commands_are_left_to_the_shell(text: str) -> None:
    instruction = parse(f"FROM scratch\n{text}").instructions[1]
    assert expand(instruction, ENV) == (instruction, ())


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("WORKDIR $A/y", "path", "x/y"),
        ("WORKDIR $DIR", "path", "/work dir"),
        ("USER $A:$A", "user", "x:x"),
        ("VOLUME $A /b", "paths", ("x", "/b")),
        ("STOPSIGNAL ${S:-SIGTERM}", "signal", "SIGTERM"),
        ("ARG $A=$A", "pairs", (("x", "x"),)),
        ("ADD --checksum=$A $A /b", "checksum", "x"),
    ],
)
def test_other_instructions_expand_where_the_language_says_so(text: str, field: str, value: object) -> None:
    assert getattr(expanded(text), field) == value


def test_what_is_not_set_is_empty_and_told() -> None:
    instruction = parse("FROM scratch\nENV a=$X$Y b=${X:-$A}").instructions[1]
    env, unmatched = expand(instruction, ENV)
    assert isinstance(env, config.Env)
    assert [pair.value for pair in env.pairs] == ["", "x"]
    assert unmatched == ("X", "Y")


def test_the_escape_directive_holds_in_words_but_not_in_documents() -> None:
    file = parse("# escape=`\nFROM scratch\nWORKDIR C:\\`$A\nCOPY <<E /d\n\\$A `$A\nE\n")
    workdir, copy = (expand(one, ENV, file.escape)[0] for one in file.instructions[1:])
    assert isinstance(workdir, config.Workdir)
    assert workdir.path == "C:\\$A"
    assert isinstance(copy, copying.Copy)
    assert copy.files[0].content == "$A `x\n"


@pytest.mark.parametrize("signal", ["SIGFOO", "0", "", "-", "SIGRTMAX+1"])
def test_a_signal_that_is_none_is_refused(signal: str) -> None:
    stop = parse("FROM scratch\nSTOPSIGNAL $S").instructions[1]
    with pytest.raises(DockerfileError, match="invalid signal"):
        expand(stop, {"S": signal})


@pytest.mark.parametrize("signal", ["SIGTERM", "term", "9", "SIGRTMIN+3", "RTMAX-1"])
def test_a_signal_may_be_a_number_or_a_name(signal: str) -> None:
    assert isinstance(expanded(f"STOPSIGNAL {signal}"), config.StopSignal)


# Mounts


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("target=/a", Mount(target="/a", read_only=True)),
        ("type=bind,from=b,source=/c,dst=/d,rw", Mount(from_="b", source="/c", target="/d")),
        ("type=bind,target=/a,readwrite=false", Mount(target="/a", read_only=True)),
        ("type=cache,target=/a/../b/", Mount(kind="cache", target="/a/../b/", id="/b")),
        ("type=cache,target=c", Mount(kind="cache", target="c", id="c")),
        (
            "type=CACHE,id=$A,target=/$A,sharing=Locked,mode=0700,uid=1,gid=2,ro,from=s,src=/t",
            Mount(
                kind="cache",
                id="x",
                target="/x",
                sharing="locked",
                mode=0o700,
                uid=1,
                gid=2,
                read_only=True,
                from_="s",
                source="/t",
            ),
        ),
        (
            "type=cache,target=/a,sharing-platforms=true",
            Mount(kind="cache", target="/a", id="/a", sharing_platforms=True),
        ),
        ("type=tmpfs,target=/a,size=1.5m", Mount(kind="tmpfs", target="/a", size=3 << 19)),
        (
            "type=secret,id=a,required,mode=0440,uid=0",
            Mount(kind="secret", id="a", required=True, mode=0o440, uid=0, read_only=True),
        ),
        ("type=secret,target=/a/b", Mount(kind="secret", target="/a/b", id="b", read_only=True)),
        ("type=secret,source=k,env=KEY", Mount(kind="secret", source="k", id="k", env="KEY", read_only=True)),
        ("type=ssh", Mount(kind="ssh", id="default", read_only=True)),
        ("type=ssh,required=false", Mount(kind="ssh", id="default", read_only=True)),
        ('"type=bind","target=/a,b"', Mount(target="/a,b", read_only=True)),
    ],
)
def test_a_mount_is_read_with_its_defaults(flag: str, expected: Mount) -> None:
    assert mount(flag.replace('"', '\\"')) == expected


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("type=binde", 'unsupported mount type "binde" (did you mean bind?)'),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("targt=/a", "unexpected key 'targt' in 'targt=/a' (did you mean target?)"),
        ("type=bind,size=1", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,size=x", "invalid value for size: x"),
        ("type=bind,uid=1", 'uid not allowed for "bind" type mounts'),
        ("type=tmpfs,mode=1", 'mode not allowed for "tmpfs" type mounts'),
        ("type=cache,mode=8", "invalid value 8 for mode"),
        ("type=cache,uid=-1", "invalid value -1 for uid"),
        ("type=cache,sharing=all", 'unsupported sharing value "all"'),
        ("type=bind,sharing=locked", "invalid cache sharing set for bind mount"),
        ("type=bind,target=/a,sharing-platforms", "unexpected key 'sharing-platforms' for mount type 'bind'"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,source=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=secret,id=a,sharing=shared", "secret mount should not define sharing"),
        ("required,type=secret,id=a", "unexpected key 'required' for mount type 'bind'"),
        ("ro=maybe", "invalid value for ro: maybe"),
        ("type=ssh,env=A", "unexpected key 'env' for mount type 'ssh'"),
        ("", "failed to parse csv mounts: EOF"),
        ('a"b', 'failed to parse csv mounts: a field that contains a quote must begin with one: a"b'),
        ('"target=/a', 'failed to parse csv mounts: a quote is not closed, or is followed by other text: "target=/a'),
    ],
)
def test_a_mount_that_cannot_be_is_refused(flag: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        mounts.parse(flag, Expander(ENV, "\\"))
    assert caught.value.reason == reason


def test_where_a_mount_comes_from_is_known_before_it_is_expanded() -> None:
    run = parse("FROM a\nRUN --mount=from=b,target=/x --mount=target=$A --mount=type=cache,from=2 c").instructions[1]
    assert isinstance(run, running.Run)
    assert run.mount_sources == ("b", "2")


@given(st.lists(st.sampled_from(["type=", "cache", "bind", ",", "=", '"', "$A", "mode=", "size=", "1", "²", "é"])))
def test_any_mount_is_read_or_is_a_dockerfile_error(pieces: list[str]) -> None:
    try:
        mounts.parse("".join(pieces), Expander(ENV, "\\"))
    except DockerfileError:
        return


def test_from_is_not_expanded_here_because_it_sees_other_names() -> None:
    from_ = parse("FROM --platform=$A img:$A AS b").instructions[0]
    assert isinstance(from_, stages.From)
    assert expand(from_, ENV) == (from_, ())
