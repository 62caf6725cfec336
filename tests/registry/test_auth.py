"""Authentication by tokens. Debian has no token server, so one is scripted."""

import base64
import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from polyarch.errors import RegistryError
from polyarch.oci import reference as references
from polyarch.registry import Credential, Credentials
from tests.registry.conftest import Client, blob
from tests.registry.faults import Answer, Asked, Server, serving


class TokenRegistry:
    """A registry and its token server in one. It knows the blob b"x"; a token serves for the scopes it came with."""

    def __init__(self) -> None:
        self.server: Server | None = None
        self.valid: dict[str, list[str]] = {}
        self.fetched: list[Asked] = []
        self.refuses_tokens = False
        self.expires_in: int = 300

    def __call__(self, asked: Asked) -> Answer:
        assert self.server is not None
        if asked.path == "/token":
            return self.token(asked)
        action = "pull" if asked.method in ("GET", "HEAD") else "push"
        path = asked.path.removeprefix("/v2/").partition("/blobs")[0]
        token = asked.authorization.removeprefix("Bearer ")
        if asked.path != "/v2/" and not any(
            scope.startswith(f"repository:{path}:") and action in scope for scope in self.valid.get(token, [])
        ):
            challenge = f'Bearer realm="{self.server.url}/token",service="reg",scope="repository:{path}:{action}"'
            return Answer(401, {"WWW-Authenticate": challenge}, b'{"errors":[{"code":"UNAUTHORIZED"}]}')
        if asked.method == "POST":
            return Answer(202, {"Location": f"/v2/{path}/blobs/uploads/1"})
        return Answer(201 if asked.method == "PUT" else 200, body=b"x" if asked.method != "PUT" else b"")

    def token(self, asked: Asked) -> Answer:
        self.fetched.append(asked)
        if self.refuses_tokens:
            return Answer(401, body=b'{"details":"incorrect username or password"}')
        form = parse_qs(asked.body.decode())
        scopes = asked.query.get("scope") or form.get("scope", [""])[0].split()
        token = f"token-{len(self.fetched)}"
        self.valid[token] = scopes
        name = "access_token" if asked.method == "POST" else "token"
        return Answer(body=json.dumps({name: token, "expires_in": self.expires_in}).encode())


@pytest.fixture
def tokens() -> TokenRegistry:
    return TokenRegistry()


def stored(tmp_path: Path, address: str, **entry: str) -> Credentials:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {address: entry}}))
    return Credentials(tmp_path / "config.json")


def test_one_anonymous_token_serves_many_reads(client: Client, tokens: TokenRegistry) -> None:
    with serving(tokens) as tokens.server:
        for _ in range(3):
            with client.at(tokens.server.address, "app").open_blob(blob(b"x")) as reader:
                assert reader.read() == b"x"
    assert [asked.query["scope"] for asked in tokens.fetched] == [["repository:app:pull"]]
    assert tokens.fetched[0].query["service"] == ["reg"]
    assert tokens.fetched[0].authorization == ""


def test_a_token_for_writing_is_asked_for_when_it_is_needed(client: Client, tokens: TokenRegistry) -> None:
    with serving(tokens) as tokens.server:
        target = client.at(tokens.server.address, "app")
        assert target.has_blob(blob(b"x"))
        target.write_blob(blob(b"yy"), io.BytesIO(b"yy"))
        assert target.read_range(blob(b"x"), 0, 1) == b"x"
    assert [asked.query["scope"] for asked in tokens.fetched] == [["repository:app:pull"], ["repository:app:pull,push"]]


def test_a_mount_asks_to_read_the_neighbour(client: Client, tokens: TokenRegistry) -> None:
    with serving(tokens) as tokens.server:
        target = client.at(tokens.server.address, "app")
        assert target.has_blob(blob(b"x"))
        assert not target.mount_blob(blob(b"yy"), references.parse(f"{tokens.server.address}/other"))
    assert tokens.fetched[-1].query["scope"] == ["repository:app:pull,push", "repository:other:pull"]


def test_many_threads_wait_for_one_token(client: Client, tokens: TokenRegistry) -> None:
    with serving(tokens) as tokens.server:
        source = client.at(tokens.server.address, "app")
        assert source.has_blob(blob(b"x"))
        tokens.valid.clear()

        def read(_: int) -> bytes:
            with source.open_blob(blob(b"x")) as reader:
                return reader.read()

        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(read, range(12))) == {b"x"}
    assert len(tokens.fetched) == 2


def test_a_token_that_expires_on_the_way_is_renewed_once(client: Client, tokens: TokenRegistry) -> None:
    with serving(tokens) as tokens.server:
        source = client.at(tokens.server.address, "app")
        assert source.has_blob(blob(b"x"))
        tokens.valid.clear()
        assert source.read_range(blob(b"x"), 0, 1) == b"x"
        tokens.valid.clear()
        tokens.refuses_tokens = True
        with pytest.raises(RegistryError, match="incorrect username or password"):
            source.read_range(blob(b"x"), 0, 1)
    assert len(tokens.fetched) == 3


def test_a_token_is_not_used_to_its_last_moment(client: Client, tokens: TokenRegistry) -> None:
    tokens.expires_in = 100
    with serving(tokens) as tokens.server:
        source = client.at(tokens.server.address, "app")

        def fetched_after(seconds: float) -> int:
            client.now = seconds
            assert source.read_range(blob(b"x"), 0, 1) == b"x"
            return len(tokens.fetched)

        assert [fetched_after(seconds) for seconds in (0, 89, 91, 180, 182)] == [1, 1, 2, 2, 3]


def test_a_password_goes_to_the_token_server_and_never_to_the_registry(
    new_client: Callable[..., Client], tokens: TokenRegistry, tmp_path: Path
) -> None:
    with serving(tokens) as tokens.server:
        pair = base64.b64encode(b"ada:pass:word").decode()
        client = new_client(credentials=stored(tmp_path, tokens.server.address, auth=pair))
        assert client.at(tokens.server.address, "app").has_blob(blob(b"x"))
        shown = [asked.authorization for asked in tokens.server.asked if asked.path != "/token"]
    assert tokens.fetched[0].authorization == f"Basic {pair}"
    assert tokens.fetched[0].query["account"] == ["ada"]
    assert not any("Basic" in authorization for authorization in shown)


def test_an_identity_token_is_exchanged_by_oauth2(
    new_client: Callable[..., Client], tokens: TokenRegistry, tmp_path: Path
) -> None:
    with serving(tokens) as tokens.server:
        pair = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
        credentials = stored(tmp_path, tokens.server.address, auth=pair, identitytoken="refresh+me")
        assert new_client(credentials=credentials).at(tokens.server.address, "app").has_blob(blob(b"x"))
    asked = tokens.fetched[0]
    form = parse_qs(asked.body.decode())
    assert asked.method == "POST"
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["refresh+me"]
    assert form["scope"] == ["repository:app:pull"]


def test_a_registry_token_is_shown_as_it_is(
    new_client: Callable[..., Client], tokens: TokenRegistry, tmp_path: Path
) -> None:
    with serving(tokens) as tokens.server:
        tokens.valid["ready"] = ["repository:app:pull"]
        credentials = stored(tmp_path, tokens.server.address, registrytoken="ready")
        assert new_client(credentials=credentials).at(tokens.server.address, "app").has_blob(blob(b"x"))
    assert tokens.fetched == []


def test_refused_credentials_are_not_replaced_by_nobody(
    new_client: Callable[..., Client], tokens: TokenRegistry, tmp_path: Path
) -> None:
    tokens.refuses_tokens = True
    with serving(tokens) as tokens.server:
        credentials = stored(tmp_path, tokens.server.address, username="ada", password="wrong-secret")
        client = new_client(credentials=credentials)
        with pytest.raises(RegistryError, match="incorrect username or password") as caught:
            client.at(tokens.server.address, "app").has_blob(blob(b"x"))
    assert caught.value.status == 401
    assert "log in again" in str(caught.value.hint)


def test_nothing_secret_is_in_debug_lines_errors_or_reprs(
    new_client: Callable[..., Client], tokens: TokenRegistry, tmp_path: Path
) -> None:
    secrets = ["hunter2", base64.b64encode(b"ada:hunter2").decode(), "token-1", "_state-secret"]
    with serving(tokens) as tokens.server:
        credentials = stored(tmp_path, tokens.server.address, username="ada", password="hunter2")
        client = new_client(credentials=credentials)
        target = client.at(tokens.server.address, "app")
        assert target.has_blob(blob(b"x"))
        target.write_blob(blob(b"yy"), io.BytesIO(b"yy"))
        assert any(asked.authorization.endswith(secrets[1]) for asked in tokens.fetched)
        kept = [repr(token) for held in client._session._authorizer._tokens.values() for token in held]
        assert kept
        tokens.valid.clear()
        tokens.refuses_tokens = True
        with pytest.raises(RegistryError) as caught:
            target.read_range(blob(b"x"), 0, 1)
    held = Credential(username="ada", password="hunter2", identity_token="hunter2", registry_token="hunter2")
    cause = caught.value.__cause__
    shown = [*client.lines, str(caught.value), str(caught.value.hint), repr(cause), repr(held), str(held), f"{held}"]
    # What a debugger or a logger would print of the objects that hold them.
    shown += [repr(client), repr(client._session), repr(client._session._authorizer), repr(credentials)]
    assert client.lines
    for text in [*shown, *kept]:
        assert not any(secret in text for secret in secrets), text


@pytest.mark.parametrize("header", ['Bearer service="no realm"', 'Bearer realm="file:///etc/passwd"', "Digest realm=x"])
def test_a_challenge_that_cannot_be_met_is_an_error(client: Client, header: str) -> None:
    with (
        serving(lambda asked: Answer(401, {"WWW-Authenticate": header})) as server,
        pytest.raises(RegistryError),
    ):
        client.at(server.address, "app").has_blob(blob(b"x"))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"token": ""}', b'{"token": "a\\nb"}', b'{"token": 1}', '{"token": "ü"}'.encode()]
)
def test_a_token_server_that_gives_no_token_is_an_error(client: Client, body: bytes) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path == "/token":
            return Answer(body=body)
        return Answer(401, {"WWW-Authenticate": f'Bearer realm="{server.url}/token"'})

    with serving(answer) as server, pytest.raises(RegistryError, match="token"):
        client.at(server.address, "app").has_blob(blob(b"x"))


def test_a_token_that_expires_before_the_bytes_are_sent_is_renewed_and_they_are_sent_again(
    client: Client, tokens: TokenRegistry
) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "POST" and asked.path != "/token":
            found = tokens(asked)
            if found.status == 202:
                tokens.valid.clear()
            return found
        return tokens(asked)

    with serving(answer) as tokens.server:
        client.at(tokens.server.address, "app").write_blob(blob(b"yy"), io.BytesIO(b"yy"))
        sent = [(asked.method, asked.body) for asked in tokens.server.asked if asked.path.endswith("/uploads/1")]
    assert sent == [("PUT", b"yy"), ("PUT", b"yy")]


def test_a_place_for_an_upload_at_another_host_gets_the_bytes_and_no_credentials(
    new_client: Callable[..., Client], tmp_path: Path
) -> None:
    with serving(lambda asked: Answer(201)) as storage:

        def answer(asked: Asked) -> Answer:
            if not asked.authorization:
                return Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
            return Answer(202, {"Location": f"{storage.url}/put?signature=s"})

        with serving(answer) as server:
            client = new_client(credentials=stored(tmp_path, server.address, username="ada", password="s3cret"))
            client.at(server.address, "app").write_blob(blob(b"yy"), io.BytesIO(b"yy"))
    assert [(asked.body, asked.authorization) for asked in storage.asked] == [(b"yy", "")]


def test_a_login_with_a_scope_serves_the_requests_that_it_fits(
    tokens: TokenRegistry, tmp_path: Path, new_client: Callable[..., Client]
) -> None:
    """docker/login-action with `scope` stores credentials below buildx's directory."""
    with serving(tokens) as tokens.server:
        host = tokens.server.address
        for place, user in (
            (host, "host"),
            (f"{host}/app@push", "pusher"),
            (f"{host}/app", "app"),
            (f"{host}@push", "x"),
        ):
            file = tmp_path / "config" / place / "config.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            auth = base64.b64encode(f"{user}:secret".encode()).decode()
            file.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
        client = new_client(credentials=Credentials(None, scoped=tmp_path / "config"))
        assert client.at(host, "app").has_blob(blob(b"x"))
        client.at(host, "app").write_blob(blob(b"yy"), io.BytesIO(b"yy"))
        assert client.at(host, "other").has_blob(blob(b"x"))
    users = [base64.b64decode(asked.authorization.partition(" ")[2]).decode() for asked in tokens.fetched]
    assert users == ["app:secret", "pusher:secret", "host:secret"]
