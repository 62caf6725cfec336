"""Docker's words and Python's values become one request: each option by its good and its bad inputs."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarch.builder.plan.names import ContextName
from polyarch.builder.request.input import DirectoryContext, ImageContext, LayoutContext, RemoteContext, StreamContext
from polyarch.builder.request.request import BuildRequest
from polyarch.buildflags import OPTIONS, Surroundings, request
from polyarch.errors import PolyarchError
from polyarch.oci.platform import parse
from polyarch.sandbox.settings import RunSettings

AMD64, ARM64, ARM = parse("linux/amd64"), parse("linux/arm64"), parse("linux/arm/v7")


def made(context: Any = ".", variables: dict[str, str] | None = None, here: Path = Path(), **options: Any) -> Any:
    """The request for these options, on a machine whose variables are only `variables`."""
    around = Surroundings(host=AMD64, variables=variables or {}, now=1_000.0, directory=here)
    return request(context, around, **options)


def refused(**options: Any) -> str:
    with pytest.raises(PolyarchError) as caught:
        made(**options)
    return f"{caught.value.message} / {caught.value.hint}"


def run_settings(**options: Any) -> RunSettings:
    asked: BuildRequest = made(**options)
    return asked.plan.run


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [AMD64]),
        ((), [AMD64]),
        ("linux/arm64", [ARM64]),
        ("linux/arm64,linux/arm/v7", [ARM64, ARM]),
        (["linux/arm64", "linux/arm/v7", "aarch64"], [ARM64, ARM]),
        (ARM64, [ARM64]),
        ({ARM64: 1}.keys(), [ARM64]),
        ((one for one in (ARM64, "linux/arm/v7")), [ARM64, ARM]),
    ],
)
def test_platforms(given: Any, expected: list[object]) -> None:
    assert list(made(platforms=given).platforms) == expected


def test_the_default_platform_is_dockers_variable_and_then_this_machine() -> None:
    around = {"DOCKER_DEFAULT_PLATFORM": "linux/arm64"}
    assert made(variables=around).platforms == (ARM64,)
    assert made(variables=around, platforms="linux/arm/v7").platforms == (ARM,)


def test_a_text_where_several_are_taken_is_one_of_them() -> None:
    asked = made(tags="hello", no_cache_filter="Build", allow="security.insecure", target="last", labels="a")
    assert [name.familiar() for name in asked.export.names] == ["hello:latest".removesuffix(":latest")]
    assert asked.plan.uncached_stages == {"build"}
    assert asked.plan.allow_insecure
    assert asked.plan.target == "last"
    assert asked.plan.labels == {"a": ""}


@pytest.mark.parametrize(
    ("given", "variables", "expected"),
    [
        ("A=1", {}, {"A": "1"}),
        (["A=1", "B=x=y", "C="], {}, {"A": "1", "B": "x=y", "C": ""}),
        ({"A": "1", "B": ""}, {}, {"A": "1", "B": ""}),
        ("A", {"A": "ours"}, {"A": "ours"}),
        ({"A": None}, {"A": "ours"}, {"A": "ours"}),
        ("A", {}, {}),
        ("SOURCE_DATE_EPOCH=5", {}, {"SOURCE_DATE_EPOCH": "5"}),
    ],
)
def test_build_arguments(given: Any, variables: dict[str, str], expected: dict[str, str]) -> None:
    assert made(build_args=given, variables=variables).plan.arguments == expected


@pytest.mark.parametrize(
    ("options", "variables", "epoch"),
    [
        ({}, {}, None),
        ({"reproducible": True}, {}, 0),
        ({}, {"SOURCE_DATE_EPOCH": "7"}, 7),
        ({}, {"SOURCE_DATE_EPOCH": ""}, None),
        ({"reproducible": True}, {"SOURCE_DATE_EPOCH": "7"}, 7),
        ({"build_args": "SOURCE_DATE_EPOCH=5"}, {"SOURCE_DATE_EPOCH": "7"}, 5),
        ({"epoch": 3, "build_args": "SOURCE_DATE_EPOCH=5"}, {}, 3),
        ({"epoch": 0}, {"SOURCE_DATE_EPOCH": "7"}, 0),
    ],
)
def test_the_epoch_is_the_options_then_the_arguments_then_the_environments(
    options: dict[str, Any], variables: dict[str, str], epoch: int | None
) -> None:
    plan = made(variables=variables, **options).plan
    assert plan.epoch == epoch
    assert ("SOURCE_DATE_EPOCH" in plan.arguments) == (epoch is not None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, RunSettings()),
        ({"network": "none"}, RunSettings(network="none")),
        ({"hosts": "db:10.0.0.1"}, RunSettings(hosts=(("db", "10.0.0.1"),))),
        ({"hosts": ["a=::1", "b:[::2]"]}, RunSettings(hosts=(("a", "::1"), ("b", "::2")))),
        (
            {"hosts": {"up": "host-gateway", "v6": "fe80::1"}},
            RunSettings(hosts=(("up", "127.0.0.1"), ("v6", "fe80::1"))),
        ),
        ({"shm_size": "64m"}, RunSettings(shm_size=64 << 20)),
        ({"shm_size": 4096}, RunSettings(shm_size=4096)),
        ({"shm_size": ""}, RunSettings()),
        ({"ulimits": "nofile=64"}, RunSettings(ulimits=(("nofile", 64, 64),))),
        ({"ulimits": ["nofile=64:-1", "core=-1"]}, RunSettings(ulimits=(("nofile", 64, -1), ("core", -1, -1)))),
        ({"ulimits": {"nofile": (64, 128), "nproc": 9}}, RunSettings(ulimits=(("nofile", 64, 128), ("nproc", 9, 9)))),
        ({"sync": True}, RunSettings(sync=True)),
        ({"sync": False}, RunSettings()),
    ],
)
def test_settings_of_run(options: dict[str, Any], expected: RunSettings) -> None:
    assert run_settings(**options) == expected


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"platfroms": "linux/amd64"}, "unknown build option 'platfroms' / did you mean platforms?"),
        ({"platforms": 42}, "--platform takes str or Platform, not int: 42"),
        ({"platforms": b"linux/amd64"}, "not bytes: b'linux/amd64'"),
        ({"platforms": ["linux/amd64", None]}, "--platform takes str or Platform, not NoneType: None"),
        ({"platforms": "linux/"}, "linux/"),
        ({"tags": {"a": "b"}}, "--tag takes str or Reference, not dict"),
        ({"tags": "A"}, "A"),
        ({"tags": f"a@sha256:{'0' * 64}"}, "has a digest, so it cannot be a tag"),
        ({"build_args": {"A": 1}}, "--build-arg takes str, not int: 1"),
        ({"build_args": "=x"}, "is not NAME=VALUE"),
        ({"labels": {1: "a"}}, "--label takes str, not int: 1"),
        ({"labels": "=x"}, "is not KEY=VALUE"),
        ({"epoch": "5"}, "epoch takes int, not str: '5'"),
        ({"epoch": -1}, "epoch: -1 is negative"),
        ({"epoch": True}, "epoch takes int, not bool: True"),
        ({"build_args": "SOURCE_DATE_EPOCH=tomorrow"}, "SOURCE_DATE_EPOCH is 'tomorrow'"),
        ({"build_args": "SOURCE_DATE_EPOCH=٣"}, "SOURCE_DATE_EPOCH is '٣'"),
        ({"variables": {"SOURCE_DATE_EPOCH": "-1"}}, "SOURCE_DATE_EPOCH is '-1'"),
        ({"no_cache": "false"}, "--no-cache takes bool, not str: 'false'"),
        ({"push": 1}, "--push takes bool, not int: 1"),
        ({"network": "moon"}, "--network: 'moon' is unknown / there are default, none, host"),
        ({"on_failure": "ignore"}, "there are stop, finish, keep"),
        ({"verify_platforms": "maybe"}, "there are error, warn, off"),
        ({"allow": "network.all"}, "--allow: unknown entitlement 'network.all'"),
        ({"hosts": "db"}, "'db' is not NAME:ADDRESS"),
        ({"hosts": {"db": 10}}, "--add-host takes str, not int: 10"),
        ({"shm_size": "huge"}, "'huge' is not a size"),
        ({"sync": "yes"}, "--sync takes bool, not str: 'yes'"),
        ({"shm_size": -1}, "--shm-size: -1 is negative"),
        ({"shm_size": 1.5}, "--shm-size takes int or str, not float: 1.5"),
        ({"ulimits": "nofile"}, "'nofile' is not NAME=SOFT[:HARD]"),
        ({"ulimits": "nofile=--1"}, "'nofile=--1' is not NAME=SOFT[:HARD]"),
        ({"ulimits": "nofile=128:64"}, "the soft limit of 'nofile=128:64' is above the hard limit"),
        ({"ulimits": "nofile=-1:64"}, "the soft limit of 'nofile=-1:64' is above the hard limit"),
        ({"ulimits": "nofile=-2"}, "'nofile=-2' is out of range"),
        ({"ulimits": f"nofile={1 << 63}"}, "is out of range"),
        ({"ulimits": {"nofile": 1 << 70}}, "is out of range"),
        ({"ulimits": "bananas=3"}, "--ulimit: unknown limit 'bananas'"),
        ({"ulimits": {"nofile": "64"}}, "--ulimit: nofile='64' is not a number"),
        ({"ulimits": {"nofile": (1, 2, 3)}}, "is not a number, or a pair of numbers"),
        ({"contexts": "a=" + "x" * 5000}, "--build-context: there is no directory"),
        ({"contexts": "a=b\0"}, "--build-context: a value contains a NUL character"),
        ({"context": "\0"}, "the build context: a value contains a NUL character"),
        ({"ssh": "a=" + "x" * 5000}, "is not a socket"),
        ({"secrets": "id=a,src=~nobody/x"}, "~nobody/x: No such file"),
        ({"shm_size": "9" * 400}, "is more than any memory or disk has"),
        ({"shm_size": "9999999t"}, "is more than any memory or disk has"),
        ({"ulimits": "nofile=" + "9" * 5000}, "is out of range"),
        ({"build_args": "SOURCE_DATE_EPOCH=" + "9" * 5000}, "SOURCE_DATE_EPOCH is '999"),
        ({"epoch": 253_402_300_800}, "epoch: 253402300800 is after the year 9999"),
        ({"outputs": 'a"b'}, "--output: 'a\"b': a field that contains a quote must begin with one"),
        ({"contexts": "lib"}, "'lib' is not NAME=PATH"),
        ({"contexts": "lib=foo://x"}, "the build context lib=foo://x is of an unknown kind"),
        ({"contexts": {"lib": "/nowhere"}}, "--build-context: there is no directory /nowhere"),
        ({"contexts": "lib::nowhere=."}, "nowhere"),
        ({"context": "foo://x"}, "the build context foo://x is of an unknown kind"),
        ({"context": 7}, "the build context takes str or Path, not int: 7"),
        ({"file": 7}, "--file takes str or Path, not int: 7"),
        ({"dockerfile": b"FROM a"}, "dockerfile takes str, not bytes: b'FROM a'"),
        (
            {"secrets": {"npm": 5}},
            "--secret npm takes bytes or Path, not int / pass bytes for its content, a Path for its file",
        ),
        ({"secrets": "npm"}, "expected id=ID,src=FILE or id=ID,env=NAME"),
        ({"secrets": "id=npm,env=NOPE"}, "the variable NOPE is not set"),
        ({"secrets": "id=npm,src=/nowhere/npm"}, "/nowhere/npm: No such file"),
        ({"ssh": "default"}, "SSH_AUTH_SOCK is not set"),
        ({"ssh": "default=/dev/null"}, "/dev/null is not a socket"),
        ({"build_args": "linux/s390x:A=1"}, "--build-arg linux/s390x: is for a platform that is not being built"),
        ({"attest": "type=seal"}, "unknown attestation type 'seal'"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_is_taken(options: dict[str, Any], reason: str) -> None:
    assert reason in refused(**options)


@pytest.mark.parametrize("given", [{"npm": "hunter2"}, "hunter2", "id=npm,value=hunter2"])
def test_a_secret_in_a_wrong_form_is_not_shown(given: Any) -> None:
    assert "hunter2" not in refused(secrets=given)


def test_a_secret_is_comma_separated_as_buildx_reads_it(tmp_path: Path) -> None:
    (tmp_path / "x,y").write_bytes(b"comma")
    (tmp_path / 'q"').write_bytes(b"quote")

    def secret(word: str, **variables: str) -> bytes:
        return bytes(made(secrets=word, variables=variables, here=tmp_path).secrets.secrets["a"])

    assert secret('id=a,"src=x,y"') == b"comma"
    assert secret('"id=a","src=q"""') == b"quote"
    assert secret("ID=a,SRC=x,env=V", V="the variable wins") == b"the variable wins"
    assert secret("id=a,type=env,src=V", V="named by src") == b"named by src"
    assert secret("id=a,type=env", a="named as the secret") == b"named as the secret"
    assert not made(secrets="").secrets.secrets
    for word in ('id=a,"src=x', 'id=a,src=x"y"', "id=a,src", "id=a,type=seal", "src=x"):
        assert "invalid --secret" in refused(secrets=word)


def test_all_comma_separated_options_are_read_alike() -> None:
    assert made(outputs='type=oci,"dest=a,b"').export.outputs[0].destination == Path("a,b")
    cached = made(cache_to='type=local,"dest=a,b"')
    assert cached.cache.targets[0].place.attributes["dest"] == "a,b"
    given = made(attest='type=provenance,"builder-id=a,b"').export.attestations.provenance
    assert given is not None
    assert given.builder_id == "a,b"
    options = {
        "outputs": "type=oci,dest={}",
        "cache_from": "type=local,src={}",
        "attest": "type=provenance,builder-id={}",
    }
    for option, word in options.items():
        assert "quote" in refused(**{option: word.format('a"b"')})
        assert "quote" in refused(**{option: word.format('x,"open')})


def test_a_secrets_file_may_be_below_the_home_directory(tmp_path: Path) -> None:
    (tmp_path / "npm").write_bytes(b"x")
    asked = made(secrets="id=npm,src=~/npm", variables={"HOME": str(tmp_path)})
    assert bytes(asked.secrets.secrets["npm"]) == b"x"


def test_none_is_as_good_as_leaving_an_option_out() -> None:
    assert made(**dict.fromkeys(OPTIONS)) == made()


def test_values_for_one_platform_are_an_override_of_it(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "npm").write_bytes(b"for arm")
    asked: BuildRequest = made(
        here=tmp_path,
        platforms=["linux/amd64", "linux/arm64"],
        build_args=["A=all", "linux/arm64:A=arm"],
        labels=["linux/arm64:l=arm"],
        target=["all", "linux/arm64:arm"],
        contexts=["linux/arm64:lib=lib", "src::linux/amd64=lib"],
        secrets=["linux/arm64:id=npm,src=npm", "id=npm,env=NPM"],
        variables={"NPM": "for all"},
    )
    arm, amd = asked.overrides
    assert (arm.platform, arm.arguments, arm.labels, arm.target) == (ARM64, {"A": "arm"}, {"l": "arm"}, "arm")
    assert arm.contexts == {"lib": DirectoryContext(tmp_path / "lib")}
    assert (amd.platform, list(amd.contexts)) == (AMD64, ["src"])
    plan = asked.plan_for(ARM64)
    assert (plan.arguments, plan.target) == ({"A": "arm"}, "arm")
    assert asked.plan_for(AMD64).arguments == {"A": "all"}
    assert set(plan.contexts) == {ContextName("lib", ARM64), ContextName("src", AMD64)}
    secrets = asked.all_secrets()
    assert [bytes(secrets.content("npm", one) or b"") for one in (AMD64, ARM64)] == [b"for all", b"for arm"]


def test_build_contexts_are_what_their_words_say(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    words = {
        "dir": "lib",
        "image": "docker-image://alpine",
        "layout": "oci-layout://lib:1",
        "untagged": "oci-layout://lib",
        "digest": "oci-layout://lib@sha256:0",
        "web": "https://example.com/a.tar",
        "git": "github.com/a/b",
        "ssh": "git@host:a/b",
    }
    asked: BuildRequest = made(here=tmp_path, contexts=words)
    lib = tmp_path / "lib"
    assert list(asked.input.contexts.values()) == [
        DirectoryContext(lib),
        ImageContext("alpine"),
        LayoutContext("oci-layout://lib:1", lib, "1"),
        LayoutContext("oci-layout://lib", lib),
        LayoutContext("oci-layout://lib@sha256:0", lib, "sha256:0"),
        RemoteContext("https://example.com/a.tar"),
        RemoteContext("github.com/a/b"),
        RemoteContext("git@host:a/b"),
    ]


@pytest.mark.parametrize(
    ("context", "file", "expected"),
    [
        (".", None, (DirectoryContext(Path("/here")), None)),
        ("sub", "docker/File", (DirectoryContext(Path("/here/sub")), Path("/here/docker/File"))),
        (Path("/abs"), Path("/f"), (DirectoryContext(Path("/abs")), Path("/f"))),
        ("-", "File", (StreamContext(), Path("File"))),
        ("https://example.com/c.tar", "docker/File", (RemoteContext("https://example.com/c.tar"), Path("docker/File"))),
        ("github.com/a/b", None, (RemoteContext("github.com/a/b"), None)),
        (None, "File", (None, Path("/here/File"))),
    ],
)
def test_the_dockerfile_is_beside_us_or_in_a_fetched_context(context: Any, file: Any, expected: Any) -> None:
    asked: BuildRequest = made(context, here=Path("/here"), file=file)
    assert (asked.input.context, asked.input.file) == expected


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ({}, {}, {}),
        ({}, {"HTTP_PROXY": "p", "no_proxy": "n", "OTHER": "o"}, {"HTTP_PROXY": "p", "no_proxy": "n"}),
        ({"HTTPS_PROXY": "a"}, {"https_proxy": "v"}, {"HTTPS_PROXY": "a", "https_proxy": "a"}),
        ({"Ftp_Proxy": "a", "X": "x"}, {}, {"FTP_PROXY": "a", "ftp_proxy": "a"}),
    ],
)
def test_proxies_of_arguments_reach_run_in_both_spellings_and_win_over_ours(
    arguments: dict[str, str], variables: dict[str, str], expected: dict[str, str]
) -> None:
    assert made(build_args=arguments, variables=variables).proxies == expected


def test_programs_are_found_by_our_path_or_else_by_the_usual_one() -> None:
    assert made(variables={"PATH": "/bin"}).host.search_path == "/bin"
    assert made().host.search_path == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


_PIECES = st.sampled_from(
    "= , : :: / @ - . linux/arm64: type= id= src= env= dest= name= oci registry docker-image:// oci-layout:// https:// "
    'git@ nofile 64 -1 annotation. index: true \x00 é \udcff [ ] " \\ \n'.split(" ")
)


@given(st.sampled_from(sorted(OPTIONS | {"context"})), st.lists(_PIECES | st.text(max_size=3), max_size=6).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_word_is_understood_or_refused_with_a_reason(option: str, word: str) -> None:
    with contextlib.suppress(PolyarchError):
        made(**{option: word})
