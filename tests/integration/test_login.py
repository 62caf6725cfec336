"""Authentication to registries: passwords, credential helpers, identity tokens, certificates."""

import base64
import json
import shutil
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from scripts.local_registry import LocalRegistry
from tests import bases
from tests.conftest import Authority, Login
from tests.needs import need
from tests.people import Person
from tests.program import Program, run
from tests.registry.faults import Answer, Asked, Server, serving

# docker-credential-helpers' protocol, on a file for each server beside the program.
_HELPER = """#!/bin/sh
cd "$(dirname "$0")" || exit 1
request=$(cat)
file() { printf %s "$1" | tr /: __; }
case $1 in
  store)
    server=$(printf %s "$request" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/')
    printf %s "$request" > "kept-$(file "$server")" ;;
  get) cat "kept-$(file "$request")" 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
  erase) rm -f "kept-$(file "$request")" ;;
esac
"""


def _config(program: Program) -> dict[str, dict[str, dict[str, str]]]:
    """docker's config.json of a user."""
    document: dict[str, dict[str, dict[str, str]]] = json.loads((program.home / ".docker/config.json").read_text())
    return document


@pytest.fixture
def helper(polyarch: Program) -> Path:
    """The directory of a credential helper, `docker-credential-chest`, where it keeps things too."""
    directory = polyarch.home / "chest"
    directory.mkdir()
    program = directory / "docker-credential-chest"
    program.write_text(_HELPER)
    program.chmod(0o755)
    polyarch.env["PATH"] = f"{directory}:{polyarch.env['PATH']}"
    return directory


class TestPassword:
    """A registry that asks for a name and a password."""

    def test_it_is_read_from_standard_input_kept_used_and_forgotten(
        self, polyarch: Program, busybox: str, password_registry: LocalRegistry, login: Login
    ) -> None:
        host = password_registry.address
        name = f"{host}/team/app:1"
        polyarch("manifest", "create", name, busybox)
        assert f"polyarch login {host}" in polyarch.fails("manifest", "push", name).stderr
        done = polyarch("login", "--username", login.user, "--password-stdin", host, stdin=f"{login.password}\n")
        assert done.stdout == "Login Succeeded\n"
        pair = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        assert _config(polyarch)["auths"] == {host: {"auth": pair}}
        assert (polyarch.home / ".docker/config.json").stat().st_mode & 0o777 == 0o600
        polyarch("manifest", "push", name)
        polyarch("buildx", "imagetools", "inspect", name)
        assert polyarch("logout", host).stdout == f"Removing login credentials for {host}\n"
        assert _config(polyarch)["auths"] == {}
        assert "login" in polyarch.fails("buildx", "imagetools", "inspect", name).stderr

    def test_a_wrong_one_is_not_kept(self, polyarch: Program, password_registry: LocalRegistry, login: Login) -> None:
        result = polyarch.fails("login", "-u", login.user, "--password-stdin", password_registry.address, stdin="no")
        assert "refuses this user name or password" in result.stderr
        assert not (polyarch.home / ".docker/config.json").exists()
        assert polyarch.fails("login", "--password-stdin", password_registry.address, stdin="x").status == 2

    def test_logins_of_podman_and_skopeo_count_and_ours_count_for_them(
        self, polyarch: Program, busybox: str, password_registry: LocalRegistry, login: Login
    ) -> None:
        need("skopeo")
        host = password_registry.address
        theirs = polyarch.home / ".config/containers/auth.json"
        words = ["--tls-verify=false", "--username", login.user, "--password-stdin", host]
        run(["skopeo", "login", "--authfile", theirs, *words], stdin=login.password)
        polyarch("tag", busybox, f"{host}/app")
        polyarch("push", f"{host}/app")
        theirs.unlink()
        polyarch("login", "-u", login.user, "--password-stdin", host, stdin=login.password)
        # skopeo looks there first, and elsewhere the directory may be another user's.
        env = {**polyarch.env, "XDG_RUNTIME_DIR": str(polyarch.home)}
        seen = run(["skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{host}/app"], env=env).json()
        assert seen["mediaType"] == "application/vnd.oci.image.index.v1+json"


class TestHelpers:
    """Programs that keep secrets where config.json does not."""

    @pytest.mark.parametrize("setting", ["credsStore", "credHelpers"])
    def test_a_helper_keeps_and_gives_what_the_file_does_not_have(
        self,
        polyarch: Program,
        busybox: str,
        helper: Path,
        password_registry: LocalRegistry,
        login: Login,
        setting: str,
    ) -> None:
        host = password_registry.address
        chosen = {"credsStore": "chest"} if setting == "credsStore" else {"credHelpers": {host: "chest"}}
        (polyarch.home / ".docker").mkdir()
        (polyarch.home / ".docker/config.json").write_text(json.dumps(chosen))
        told = polyarch("login", "-u", login.user, "--password-stdin", host, stdin=login.password)
        assert "docker-credential-chest" in told.stderr
        (kept,) = helper.glob("kept-*")
        assert json.loads(kept.read_text())["Secret"] == login.password
        assert _config(polyarch) == {**chosen, "auths": {host: {}}}
        polyarch("tag", busybox, f"{host}/app")
        polyarch("push", f"{host}/app")
        polyarch("logout", host)
        assert list(helper.glob("kept-*")) == []
        assert "login" in polyarch.fails("push", f"{host}/app").stderr

    def test_a_helper_that_is_not_installed_is_named(
        self, polyarch: Program, busybox: str, registry: LocalRegistry
    ) -> None:
        (polyarch.home / ".docker").mkdir()
        (polyarch.home / ".docker/config.json").write_text('{"credsStore": "lost"}')
        result = polyarch.fails("login", "-u", "ada", "--password-stdin", registry.address, stdin="x")
        assert "docker-credential-lost is not installed" in result.stderr


class _Tokens:
    """A registry that wants a bearer token, and gives one, with an identity token, for ada's password."""

    server: Server

    def __init__(self) -> None:
        self.forms: list[dict[str, list[str]]] = []

    def __call__(self, asked: Asked) -> Answer:
        if asked.path == "/token":
            return self._token(asked)
        if asked.authorization != "Bearer granted":
            realm = f'Bearer realm="{self.server.url}/token",service="here"'
            return Answer(401, headers={"WWW-Authenticate": realm})
        return Answer(404 if "/manifests/" in asked.path else 200)

    def _token(self, asked: Asked) -> Answer:
        granted = {"token": "granted"}
        if asked.method == "POST":
            form = parse_qs(asked.body.decode())
            self.forms.append(form)
            return Answer(body=json.dumps(granted).encode()) if form["refresh_token"] == ["identity"] else Answer(401)
        if asked.authorization != "Basic " + base64.b64encode(b"ada:secret").decode():
            return Answer(401)
        if asked.query.get("offline_token") == ["true"]:
            granted["refresh_token"] = "identity"
        return Answer(body=json.dumps(granted).encode())


def test_an_identity_token_is_kept_in_the_passwords_place_and_exchanged_later(polyarch: Program) -> None:
    tokens = _Tokens()
    with serving(tokens) as tokens.server:
        host = tokens.server.address
        assert polyarch.fails("login", "-u", "ada", "--password-stdin", host, stdin="wrong").status == 1
        polyarch("login", "-u", "ada", "--password-stdin", host, stdin="secret")
        entry = _config(polyarch)["auths"][host]
        assert entry == {"auth": base64.b64encode(b"ada:").decode(), "identitytoken": "identity"}
        assert "not found" in polyarch.fails("pull", f"{host}/app").stderr.lower()
    assert tokens.forms[0]["grant_type"] == ["refresh_token"]
    assert tokens.forms[0]["scope"] == ["repository:app:pull"]


class TestCertificates:
    """A registry with TLS, and an authority that only we trust."""

    def test_an_authority_of_certs_d_is_trusted_for_its_host(
        self, polyarch: Program, busybox: str, tls_registry: LocalRegistry, authority: Authority
    ) -> None:
        name = f"{tls_registry.address}/app:1"
        polyarch("manifest", "create", name, busybox)
        refused = polyarch.fails("manifest", "push", name)
        assert "certs.d" in refused.stderr
        place = polyarch.home / ".config/docker/certs.d" / tls_registry.address
        place.mkdir(parents=True)
        shutil.copy(authority.certificate, place / "ca.crt")
        digest = polyarch("manifest", "push", name).stdout
        run(["skopeo", "inspect", "--cert-dir", place, "--raw", f"docker://{name}"])
        assert digest.strip() in polyarch("buildx", "imagetools", "inspect", name).stdout

    def test_insecure_is_said_for_a_command(self, polyarch: Program, busybox: str, tls_registry: LocalRegistry) -> None:
        name = f"{tls_registry.address}/app:1"
        polyarch("manifest", "create", name, busybox)
        polyarch("manifest", "push", "--insecure", name)
        assert "TLS" in polyarch.fails("buildx", "imagetools", "inspect", name).stderr
        polyarch("buildx", "imagetools", "inspect", "--insecure", name)

    def test_a_user_without_root_has_authorities_of_their_own(
        self, unprivileged: Person, busybox_store: Path, tls_registry: LocalRegistry, authority: Authority
    ) -> None:
        user = unprivileged.polyarch
        bases.copy_store(busybox_store, user.root)
        place = user.home / ".config/containers/certs.d" / tls_registry.address
        place.mkdir(parents=True)
        shutil.copy(authority.certificate, place / "ca.crt")
        unprivileged.give(user.root)
        unprivileged.give(user.home / ".config")
        user("tag", "busybox", f"{tls_registry.address}/app")
        user("push", f"{tls_registry.address}/app")
        assert [line for line in tls_registry.requests() if line.startswith("PUT /v2/app/manifests/latest 201")]
