"""Secrets leave no trace: not in layers, history, cache keys, the cache, logs or output."""

import base64
import gzip
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from polyarch.buildflags import Surroundings, request
from polyarch.sandbox import File, Process, host_platform
from polyarch.secret import Variables
from scripts.local_registry import LocalRegistry
from tests import trees
from tests.conftest import Authority, Login
from tests.program import Program, Result, run
from tests.registry.faults import Answer, serving
from tests.reliability.proxy import between

SECRET = "correct-horse-battery-staple"

_USES_SECRETS = """FROM busybox
RUN --mount=type=secret,id=file --mount=type=secret,id=variable,env=TOKEN \\
    test "$(cat /run/secrets/file)" = "$TOKEN" && test -n "$TOKEN" && echo used >/used
RUN test ! -e /run/secrets/file && test -z "$TOKEN"
"""


def where_it_is(secret: str, root: Path) -> list[str]:
    """The files below `root` that hold the secret, as it is, in base64, or compressed."""
    wanted = [secret.encode(), base64.b64encode(secret.encode()).rstrip(b"="), json.dumps(secret).encode()]
    found = []
    for path in root.rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw += gzip.decompress(raw)
        if any(form in raw for form in wanted):
            found.append(str(path.relative_to(root)))
    return found


def leaks(secret: str, said: Iterable[str]) -> list[str]:
    """The texts that give the secret away."""
    return [text for text in said if secret in text or base64.b64encode(secret.encode()).decode().rstrip("=") in text]


def debugged(polyarch: Program, *words: str | Path, stdin: str = "", **around: str) -> Result:
    """A command with --debug, which may show a traceback."""
    return run(
        [polyarch.path, "--debug", *words], check=False, cwd=polyarch.home, env=polyarch.env | around, stdin=stdin
    )


def test_a_secret_that_is_kept_would_be_found(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    context = trees.write(
        tmp_path / "context", {"Dockerfile": "FROM busybox\nRUN cat /run/s >/kept || true\nCOPY s /s\n", "s": SECRET}
    )
    polyarch("build", "-t", "app", context)
    assert where_it_is(SECRET, polyarch.root)


@pytest.mark.parametrize("way", ["plain", "rawjson", "quiet", "debug"])
def test_build_secrets_are_nowhere_afterwards(polyarch: Program, busybox: str, tmp_path: Path, way: str) -> None:
    context = trees.write(tmp_path / "context", {"Dockerfile": _USES_SECRETS})
    (tmp_path / "secret").write_text(SECRET)
    progress = ("--progress", way) if way != "debug" else ("--progress", "plain")
    done = polyarch(
        *(("--debug",) if way == "debug" else ()),
        *("build", "-t", "app", *progress, "--secret", f"id=file,src={tmp_path / 'secret'}"),
        *("--secret", "id=variable,env=MY_TOKEN", "--metadata-file", tmp_path / "metadata", context),
        env={"MY_TOKEN": SECRET},
    )
    said = [done.stdout, done.stderr, (tmp_path / "metadata").read_text()]
    said += [polyarch("history", "--no-trunc", "app").stdout, polyarch("inspect", "app").stdout]
    assert leaks(SECRET, said) == []
    assert polyarch("run", "--rm", "app", "cat", "/used").stdout == "used\n"
    polyarch("save", "-o", tmp_path / "saved.tar", "app")
    assert where_it_is(SECRET, polyarch.root) == []
    assert SECRET.encode() not in (tmp_path / "saved.tar").read_bytes()


def test_another_secret_is_no_reason_to_run_again(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    """It would run again if a cache key contained the secret."""
    context = trees.write(tmp_path / "context", {"Dockerfile": _USES_SECRETS})
    for value in (SECRET, "another"):
        (tmp_path / "secret").write_text(value)
        secrets = ("--secret", f"id=file,src={tmp_path / 'secret'}", "--secret", "id=variable,env=MY_TOKEN")
        said = polyarch("build", "-t", "app", "--progress", "plain", *secrets, context, env={"MY_TOKEN": value}).stderr
    assert said.count("CACHED") == 3


def test_a_failing_step_shows_its_command_and_no_secret(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    dockerfile = 'FROM busybox\nRUN --mount=type=secret,id=file,env=TOKEN test -n "$TOKEN" && exit 3\n'
    context = trees.write(tmp_path / "context", {"Dockerfile": dockerfile})
    (tmp_path / "secret").write_text(SECRET)
    done = debugged(polyarch, "build", "--secret", f"id=file,src={tmp_path / 'secret'}", context)
    assert "exit code: 3" in done.stderr
    assert leaks(SECRET, [done.stderr, done.stdout]) == []
    assert where_it_is(SECRET, polyarch.root) == []


def test_the_password_of_a_proxy_reaches_a_step_and_nothing_else(
    polyarch: Program, busybox: str, tmp_path: Path
) -> None:
    context = trees.write(
        tmp_path / "context", {"Dockerfile": 'FROM busybox\nRUN test -n "$HTTPS_PROXY" && echo used >/used\n'}
    )
    proxy = f"HTTPS_PROXY=http://ada:{SECRET}@127.0.0.1:9"
    done = polyarch("--debug", "build", "-t", "app", "--progress", "rawjson", "--build-arg", proxy, context)
    said = [
        done.stdout,
        done.stderr,
        polyarch("history", "--no-trunc", "app").stdout,
        polyarch("inspect", "app").stdout,
    ]
    assert leaks(SECRET, said) == []
    assert where_it_is(SECRET, polyarch.root) == []


def test_the_password_in_the_url_of_an_ADD_is_neither_shown_nor_remembered(
    polyarch: Program, busybox: str, tmp_path: Path
) -> None:
    with serving(lambda asked: Answer(200, {"ETag": '"1"'}, b"content")) as server:
        url = f"http://ada:{SECRET}@{server.address}/file?token={SECRET}"
        context = trees.write(tmp_path / "context", {"Dockerfile": "FROM busybox\nARG WHERE\nADD $WHERE /got\n"})
        done = polyarch("--debug", "build", "-t", "app", "--progress", "plain", "--build-arg", f"WHERE={url}", context)
    assert polyarch("run", "--rm", "app", "cat", "/got").stdout == "content"
    assert leaks(SECRET, [done.stdout, done.stderr]) == []
    remembered = [name for name in where_it_is(SECRET, polyarch.root) if name.startswith("cache.db")]
    assert remembered == []


def test_nothing_of_a_login_a_push_and_a_pull_shows_the_password(
    polyarch: Program, busybox: str, password_registry: LocalRegistry, login: Login, tmp_path: Path
) -> None:
    address = password_registry.address
    name = f"{address}/app:1"
    said = []
    for words, given in (
        (("login", "-u", login.user, "--password-stdin", address), login.password),
        (("tag", "busybox", name), ""),
        (("push", name), ""),
        (("rmi", name), ""),
        (("pull", name), ""),
        (("manifest", "inspect", name), ""),
        (("logout", address), ""),
        (("pull", "--all-platforms", name), ""),
    ):
        done = debugged(polyarch, *words, stdin=given)
        assert (done.status == 0) == (words[0] != "pull" or "--all-platforms" not in words), str(done)
        said += [done.stdout, done.stderr]
    assert any("GET " in text for text in said), "the debug output shows requests"
    assert leaks(login.password, said) == []
    assert leaks(f"{login.user}:{login.password}", said) == []
    assert where_it_is(login.password, polyarch.root) == []


def test_a_refused_password_is_shown_in_no_error(
    polyarch: Program, password_registry: LocalRegistry, login: Login
) -> None:
    done = debugged(polyarch, "login", "-u", login.user, "--password-stdin", password_registry.address, stdin=SECRET)
    assert done.status == 1
    assert leaks(SECRET, [done.stdout, done.stderr]) == []
    assert where_it_is(SECRET, polyarch.home) == []


def test_a_token_is_shown_in_no_debug_output(polyarch: Program, busybox: str, registry: LocalRegistry) -> None:
    with between(registry.address) as proxy:
        proxy.token_seconds = 60
        polyarch("tag", "busybox", f"{proxy.address}/app:1")
        done = polyarch("--debug", "push", f"{proxy.address}/app:1")
        tokens = {asked.headers.get("Authorization", "").removeprefix("Bearer ") for asked in proxy.asked} - {""}
    assert tokens
    for token in tokens:
        assert leaks(token, [done.stdout, done.stderr]) == []
        assert where_it_is(token, polyarch.root) == where_it_is(token, polyarch.home) == []


def test_credentials_are_their_owners_alone_at_every_moment(
    polyarch: Program, password_registry: LocalRegistry, login: Login
) -> None:
    """Even where the file was open to all before, and the umask would leave a new one so."""
    file = polyarch.home / ".docker/config.json"
    file.parent.mkdir()
    file.write_text('{"auths":{},"proxies":{"default":{}}}')
    file.chmod(0o666)
    before = file.stat().st_ino
    mask = os.umask(0)
    try:
        polyarch("login", "-u", login.user, "--password-stdin", password_registry.address, stdin=login.password)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.stat().st_ino != before, "replaced, not written over"
    assert [path.name for path in file.parent.iterdir()] == ["config.json"]
    assert json.loads(file.read_text())["proxies"] == {"default": {}}


def test_a_helper_gets_its_words_without_a_shell(
    polyarch: Program, password_registry: LocalRegistry, login: Login, tmp_path: Path
) -> None:
    helper = """#!/bin/sh
cat >>"$NOTES/$1"
[ "$1" != get ] || echo '{"Username":"ada","Secret":"x"}'
"""
    programs = trees.write(tmp_path / "programs", {"docker-credential-note": helper})
    (polyarch.home / ".docker").mkdir()
    (polyarch.home / ".docker/config.json").write_text('{"credsStore":"note"}')
    around = {"PATH": f"{programs}:{polyarch.env['PATH']}", "NOTES": str(tmp_path)}
    words = ("login", "-u", login.user, "--password-stdin", password_registry.address)
    polyarch(*words, stdin=login.password, env=around)
    assert json.loads((tmp_path / "store").read_text())["Secret"] == login.password
    assert login.password not in (polyarch.home / ".docker/config.json").read_text()
    # A name with a shell's signs in it is a name of a program that there is not.
    (polyarch.home / ".docker/config.json").write_text(json.dumps({"credsStore": f"x; touch {tmp_path}/ran; true"}))
    polyarch.fails("pull", f"{password_registry.address}/app", env=around)
    assert not (tmp_path / "ran").exists()


def test_an_authority_that_is_not_known_is_refused_until_it_is_named_or_waived(
    polyarch: Program, busybox: str, tls_registry: LocalRegistry, authority: Authority
) -> None:
    name = f"{tls_registry.address}/app:1"
    polyarch("tag", "busybox", name)
    assert "certificate" in polyarch.fails("push", name).stderr
    polyarch("push", "--insecure", name)
    assert "certificate" in polyarch.fails("pull", name).stderr, "waived for that one command only"
    trusted = polyarch.home / f".config/containers/certs.d/{tls_registry.address}"
    trusted.mkdir(parents=True)
    (trusted / "ca.crt").write_bytes(authority.certificate.read_bytes())
    polyarch("pull", name)


def test_no_value_that_a_program_may_log_shows_a_secret(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(SECRET)
    proxy = f"http://ada:{SECRET}@127.0.0.1:9"
    around = Surroundings(host=host_platform(), variables={"TOKEN": SECRET, "HTTP_PROXY": proxy}, now=0.0)
    asked = request(
        tmp_path,
        around,
        secrets=[
            "id=variable,env=TOKEN",
            f"id=file,src={tmp_path / 'file'}",
            f"linux/arm64:id=one,src={tmp_path}/file",
        ],
        build_args=[f"HTTPS_PROXY={proxy}", f"linux/arm64:ALL_PROXY={proxy}"],
        contexts={"code": f"https://ada:{SECRET}@git.example/code.git"},
        platforms=["linux/amd64", "linux/arm64"],
    )
    fetched = request(f"https://git.example/code.tar?token={SECRET}", around)
    process = Process(
        argv=("true",),
        mounts=(File("/run/secrets/file", asked.secrets.secrets["file"]),),
        hidden_env=Variables({"TOKEN": SECRET, **asked.proxies}),
    )
    assert SECRET in process.environment[0], "the process itself gets it"
    logged = [
        asked,
        fetched,
        asked.secrets,
        asked.all_secrets(),
        asked.plan_for(asked.platforms[1]),
        asked.host,
        around,
        process,
    ]
    assert leaks(SECRET, [text for value in logged for text in (repr(value), str(value), f"{value}")]) == []
    assert "SecretBytes(<28 bytes>)" in repr(process)
