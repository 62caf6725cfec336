"""What stands before the handlers: logins over HTTP, browsers of other sites, paths, sizes, slow and many clients."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.errors import UsageError
from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.serve import exposure, naming, server
from polyarch.serve.accepting import ListeningSocket
from polyarch.serve.authentication import htpasswd
from polyarch.serve.connections import ConnectionLimits
from polyarch.serve.guard import action_of
from polyarch.serve.protection import own_names
from polyarch.serve.settings import Auth, ServeSettings
from polyarch.serve.tally import Tally, network
from tests.serve import logins
from tests.serve.around import AROUND
from tests.serve.logins import basic
from tests.serve.requests import Answer, Requests

READER, WRITER, CLEANER = "reader-secret-0123456789", "writer-secret-0123456789", "cleaner-secret-012345678"
TOKENS = (
    logins.anonymous({"public/**": ["pull"]})
    + logins.token("reader", READER, {"team/**": ["pull"]})
    + logins.token("writer", WRITER, {f"{part}/**": ["push"] for part in ("team", "public", "private")}, digest=True)
    + logins.token("cleaner", CLEANER, {"**": ["push", "delete"]})
)


class Client(Requests):
    """Sends the same headers with each request."""

    def __init__(self, address: str, headers: dict[str, str]) -> None:
        super().__init__(address)
        self.headers = headers

    def __call__(self, method, path, body=None, headers=None):  # type: ignore[no-untyped-def]
        return super().__call__(method, path, body, self.headers | dict(headers or {}))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Requests]:
    """A server with tokens; its images were pushed by the writer."""
    directory = tmp_path_factory.mktemp("guarded")
    (directory / "tokens.toml").write_text(TOKENS)
    settings = ServeSettings(port=0, auth=Auth("token", str(directory / "tokens.toml")))
    with server.running(directory / "store", settings, AROUND) as address:
        writer = Client(address, basic("writer", WRITER))
        for repository in ("team/app", "public/app", "private/app"):
            writer.image(repository, "1", layer=repository.encode())
        yield Requests(address)


@pytest.fixture(scope="module")
def reader(guarded: Requests) -> Client:
    return Client(guarded.address, basic("reader", READER))


@pytest.fixture(scope="module")
def writer(guarded: Requests) -> Client:
    return Client(guarded.address, basic("writer", WRITER))


# Logins


def test_the_first_request_is_told_how_to_log_in(guarded: Requests) -> None:
    answer = guarded("GET", "/v2/")
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"] == f'Bearer realm="http://{guarded.address}/token",service="polyarch"'
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    assert guarded("GET", "/v2/", headers=basic("reader", READER)).status == 200


def test_a_proxy_that_speaks_tls_says_so_and_the_realm_has_its_scheme_and_name(guarded: Requests) -> None:
    answer = guarded("GET", "/v2/", headers={"Host": "r.example.org", "X-Forwarded-Proto": "https"})
    assert 'realm="https://r.example.org/token"' in answer.headers["www-authenticate"]
    answer = guarded("GET", "/v2/", headers={"Host": "r.example.org", "X-Forwarded-Proto": 'x",evil="'})
    assert 'realm="http://r.example.org/token"' in answer.headers["www-authenticate"]


def token(asked: Requests, scope: str, headers: dict[str, str] | None = None) -> Answer:
    return asked("GET", f"/token?service=polyarch&scope={scope}", headers=headers)


def test_a_bearer_token_from_the_endpoint_works_for_its_scope(guarded: Requests) -> None:
    answer = token(guarded, "repository:team/app:pull", basic("reader", READER))
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert 0 < answer.json()["expires_in"] <= 300
    bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
    assert guarded("GET", "/v2/team/app/manifests/1", headers=bearer).status == 200
    other = guarded("GET", "/v2/public/app/manifests/1", headers=bearer)
    assert (other.status, other.code) == (403, "DENIED")  # not the account's
    pushing = guarded("POST", "/v2/team/app/blobs/uploads/", headers=bearer)
    assert pushing.status == 403


def test_a_token_for_too_little_is_told_the_scope_that_it_lacks(guarded: Requests) -> None:
    bearer = {"Authorization": "Bearer " + token(guarded, "repository:x:pull", basic("writer", WRITER)).json()["token"]}
    answer = guarded("POST", "/v2/team/app/blobs/uploads/", headers=bearer)
    assert answer.status == 401
    assert 'scope="repository:team/app:pull,push"' in answer.headers["www-authenticate"]


def test_the_endpoint_takes_the_form_of_oauth2_too(guarded: Requests) -> None:
    form = f"grant_type=password&service=polyarch&scope=repository:team/app:pull&username=reader&password={READER}"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = guarded("POST", "/token", form.encode(), kind)
    assert answer.status == 200
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert guarded("GET", "/v2/team/app/tags/list", headers=bearer).status == 200
    assert guarded("POST", "/token", form.replace(READER, "wrong").encode(), kind).status == 401
    assert guarded("POST", "/token", b"grant_type=refresh_token&refresh_token=x", kind).status == 400
    assert guarded("POST", "/token", b"grant_type=password&" + b"x" * 20_000, kind).status == 413
    assert guarded("PUT", "/token").status == 405


@pytest.mark.parametrize(
    "headers",
    [
        basic("reader", "wrong"),
        basic("reader", WRITER),
        {"Authorization": "Basic %%%"},
        {"Authorization": "Bearer abc.def"},
        {"Authorization": "Bearer"},
        {"Authorization": "x"},
    ],
)
def test_wrong_credentials_are_refused_for_what_anonymous_clients_may_pull_too(
    headers: dict[str, str], guarded: Requests
) -> None:
    assert guarded("GET", "/v2/public/app/manifests/1", headers=headers).status == 401
    assert token(guarded, "repository:public/app:pull", headers).status == 401


def test_anonymous_clients_pull_what_the_file_says_with_and_without_a_token(guarded: Requests) -> None:
    bearer = {"Authorization": "Bearer " + token(guarded, "repository:public/app:pull").json()["token"]}
    for headers in ({}, bearer):
        assert guarded("GET", "/v2/public/app/manifests/1", headers=headers).status == 200
        assert guarded("GET", "/v2/team/app/manifests/1", headers=headers).status == 401
        assert guarded("POST", "/v2/public/app/blobs/uploads/", headers=headers).status == 401


def test_every_endpoint_needs_its_right_whatever_the_method(guarded: Requests, reader: Client) -> None:
    digest = digests.of(b"team/app")
    upload = "00000000-0000-0000-0000-000000000000"
    paths = ["manifests/1", f"manifests/{digest}", f"blobs/{digest}", "tags/list", f"referrers/{digest}"]
    writing = [
        ("PUT", "manifests/1"),
        ("DELETE", "manifests/1"),
        ("DELETE", f"manifests/{digest}"),
        ("DELETE", f"blobs/{digest}"),
        ("POST", "blobs/uploads/"),
        ("PATCH", f"blobs/uploads/{upload}"),
        ("PUT", f"blobs/uploads/{upload}?digest={digest}"),
        ("GET", f"blobs/uploads/{upload}"),
        ("DELETE", f"blobs/uploads/{upload}"),
    ]
    for path in paths:
        for method in ("GET", "HEAD"):
            assert guarded(method, f"/v2/team/app/{path}").status == 401, (method, path)
            assert reader(method, f"/v2/private/app/{path}").status == 403, (method, path)
    for method, path in writing:
        assert guarded(method, f"/v2/team/app/{path}").status == 401, (method, path)
        assert reader(method, f"/v2/team/app/{path}").status == 403, (method, path)
    for method in ("TRACE", "OPTIONS", "CONNECT", "PROPFIND", "LOCK"):
        assert guarded(method, "/v2/team/app/manifests/1").status in (400, 401, 404, 405), method


def test_what_exists_cannot_be_told_from_what_does_not(guarded: Requests, reader: Client) -> None:
    for client in (guarded, reader):
        there, absent = client("GET", "/v2/private/app/manifests/1"), client("GET", "/v2/private/none/manifests/1")
        assert there.status == absent.status
        assert there.body.replace(b"private/app", b"private/none") == absent.body


def test_deleting_needs_a_right_of_its_own_by_tag_and_by_digest(guarded: Requests, writer: Client) -> None:
    digest = writer.image("team/gone", "1", layer=b"gone")
    for reference in ("1", digest):
        assert writer("DELETE", f"/v2/team/gone/manifests/{reference}").status == 403
    assert writer("GET", "/v2/team/gone/manifests/1").status == 200


def test_a_blob_of_another_repository_is_neither_read_nor_mounted_by_who_knows_its_digest(
    guarded: Requests, reader: Client
) -> None:
    private = digests.of(b"private/app")
    assert reader("GET", f"/v2/team/app/blobs/{private}").status == 404
    assert reader("HEAD", f"/v2/team/app/blobs/{private}").status == 404
    # Somebody who may push to team only.
    scope = "repository:team/app:pull,push"
    bearer = {"Authorization": "Bearer " + token(guarded, scope, basic("writer", WRITER)).json()["token"]}
    for origin in ("&from=private/app", ""):
        path = f"/v2/team/app/blobs/uploads/?mount={private}{origin}"
        assert guarded("POST", path, headers=bearer).status == 202  # an upload begins, nothing is mounted
    document = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": {"mediaType": media_types.OCI_CONFIG, "digest": private, "size": 11},
        "layers": [],
    }
    named = Client(guarded.address, bearer).manifest("team/app", "stolen", document)
    assert (named.status, named.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert guarded("GET", f"/v2/team/app/blobs/{private}", headers=bearer).status == 404


def test_the_catalog_has_what_the_client_may_pull(guarded: Requests, reader: Client, writer: Client) -> None:
    # Other tests may have pushed more to this server, of which the reader may pull what is in team.
    found = reader("GET", "/v2/_catalog").json()["repositories"]
    assert "team/app" in found
    assert all(name.startswith("team/") for name in found)
    assert set(writer("GET", "/v2/_catalog").json()["repositories"]) >= {"private/app", "public/app", "team/app"}
    assert guarded("GET", "/v2/_catalog").json()["repositories"] == ["public/app"]
    narrow = {"Authorization": "Bearer " + token(guarded, "repository:x:pull", basic("reader", READER)).json()["token"]}
    answer = guarded("GET", "/v2/_catalog", headers=narrow)
    assert answer.status == 401
    assert 'scope="registry:catalog:*"' in answer.headers["www-authenticate"]
    wide = {"Authorization": "Bearer " + token(guarded, "registry:catalog:*", basic("reader", READER)).json()["token"]}
    assert guarded("GET", "/v2/_catalog", headers=wide).status == 200


def test_numbers_that_ask_for_too_much_are_bounded_or_refused(reader: Client) -> None:
    for number in ("-1", "0", "999999999999999999999999", "1e9", "x", "%D9%A4"):
        for path in ("/v2/_catalog", "/v2/team/app/tags/list"):
            answer = reader("GET", f"{path}?n={number}")
            assert answer.status in (200, 400), (path, number)


def test_another_name_of_a_repository_gives_no_right_to_it(tmp_path: Path) -> None:
    secret = "two-components-0123456789"
    (tmp_path / "tokens.toml").write_text(
        f'[[token]]\nname = "two"\nsecret = "{secret}"\nmay = {{ "*/*" = ["pull"] }}\n'
        f'[[token]]\nname = "all"\nsecret = "{WRITER}"\nmay = {{ "**" = ["push"] }}\n'
    )
    settings = ServeSettings(port=0, auth=Auth("token", str(tmp_path / "tokens.toml")))
    with server.running(tmp_path / "store", settings, AROUND) as address:
        Client(address, basic("all", WRITER)).image("app", "1")
        two = Client(address, basic("two", secret))
        for name in ("app", "localhost/app"):
            assert two("GET", f"/v2/{name}/manifests/1").status == 403
        assert Client(address, basic("all", WRITER))("GET", "/v2/localhost/app/manifests/1").status == 200


def test_htpasswd_is_basic_and_everyone_in_it_may_do_everything(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(logins.users(("ann", b"secret")))
    settings = ServeSettings(port=0, auth=Auth("htpasswd", str(tmp_path / "users")))
    with server.running(tmp_path / "store", settings, AROUND) as address:
        anyone = Requests(address)
        assert anyone("GET", "/v2/").headers["www-authenticate"].startswith("Basic realm=")
        for method, path in [("GET", "/v2/_catalog"), ("GET", "/v2/app/manifests/1"), ("POST", "/v2/a/blobs/uploads/")]:
            assert anyone(method, path).status == 401
            assert anyone(method, path, headers=basic("ann", "wrong")).status == 401
        assert "www-authenticate" in anyone("GET", "/").headers
        ann = Client(address, basic("ann", "secret"))
        digest = ann.image("app", "1")
        assert ann("DELETE", f"/v2/app/manifests/{digest}").status == 202


def test_a_client_is_told_when_to_try_again_where_too_many_passwords_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(htpasswd, "_WAITING", 0)
    (tmp_path / "users").write_text(logins.users(("ann", b"secret")))
    settings = ServeSettings(port=0, auth=Auth("htpasswd", str(tmp_path / "users")))
    with server.running(tmp_path / "store", settings, AROUND) as address:
        answer = Requests(address)("GET", "/v2/", headers=basic("ann", "secret"))
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "TOOMANYREQUESTS", "1")


def test_the_page_asks_browsers_for_a_name_and_shows_what_may_be_pulled(guarded: Requests, reader: Client) -> None:
    anonymous = guarded("GET", "/").body.decode()
    assert "public/app" in anonymous
    assert "team/app" not in anonymous
    page = reader("GET", "/").body.decode()
    assert "team/app" in page
    assert "private/app" not in page
    assert reader("GET", "/private/app").status == 404
    assert guarded("GET", "/?login").headers["www-authenticate"].startswith("Basic ")
    assert reader("GET", "/?login").status == 200
    wrong = guarded("GET", "/", headers=basic("reader", "wrong"))
    assert (wrong.status, wrong.headers["www-authenticate"]) == (401, 'Basic realm="polyarch", charset="UTF-8"')


# Without authentication


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Requests, Path]]:
    """A server for requests that change nothing, and its store."""
    root = tmp_path_factory.mktemp("plain")
    with server.running(root) as address:
        yield Requests(address), root


def test_read_only_refuses_every_change_by_tag_and_digest(store_root: Path) -> None:
    with server.running(store_root) as address:
        digest = Requests(address).image("app", "1")
    with server.running(store_root, ServeSettings(port=0, read_only=True)) as address:
        ask = Requests(address)
        for method, path in [
            ("PUT", "manifests/1"),
            ("DELETE", "manifests/1"),
            ("DELETE", f"manifests/{digest}"),
            ("DELETE", f"blobs/{digest}"),
            ("POST", "blobs/uploads/"),
            ("PATCH", "blobs/uploads/x"),
            ("PUT", "blobs/uploads/x"),
            ("DELETE", "blobs/uploads/x"),
        ]:
            answer = ask(method, f"/v2/app/{path}")
            assert (answer.status, answer.code) == (405, "UNSUPPORTED"), (method, path)
        assert ask("GET", "/v2/app/manifests/1").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v2/../../etc/passwd",
        "/v2/%2e%2e/%2e%2e/etc/manifests/passwd",
        "/v2/..%2f..%2fetc/manifests/passwd",
        "/v2/app/manifests/..%2f..%2findex.json",
        "/v2/app/manifests/%2e%2e",
        "/v2/app/blobs/sha256:..%2f..%2f..%2fcache.db",
        "/v2/app/blobs/sha256:" + "../" * 21 + "x",
        "/v2/app/blobs/sha256%3a" + "%2e" * 64,
        "/v2/app/blobs/uploads/..%2f..%2f..%2fcache.db",
        "/v2/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e",
        "/v2/app%00/manifests/1",
        "/v2/app/manifests/1%00",
        "/v2/app/manifests/1%0d%0aX-Injected:%20yes",
        "/v2//etc/passwd/manifests/1",
        "/v2/APP/manifests/1",
        "/v2/app/manifests/" + "a" * 129,
        "/v2/" + "a" * 256 + "/manifests/1",
        "/v2/localhost/oci/index.json",
        "//etc/passwd",
        "/../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2f..%2fetc/passwd",
        "/assets/..%2f..%2f..%2fetc/passwd",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PUT"])
def test_no_path_of_a_request_reaches_a_file(path: str, method: str, plain: tuple[Requests, Path]) -> None:
    ask, root = plain
    before = (root / "oci/index.json").read_bytes()
    request = f"{method} {path} HTTP/1.1\r\nHost: {ask.address}\r\nConnection: close\r\n\r\n"
    answer = raw_answer(ask.address, request.encode())
    status = int(answer.split(b" ", 2)[1])
    assert 300 < status < 500, answer[:300]
    assert b"root:" not in answer
    assert b"\r\nX-Injected" not in answer
    assert (root / "oci/index.json").read_bytes() == before


@pytest.mark.parametrize("path", ["/v2/", "/v2/app/manifests/none", "/nowhere", "/v2/app/blobs/sha256:" + "0" * 64])
def test_every_response_tells_browsers_what_not_to_do(path: str, ask: Requests) -> None:
    headers = ask("GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] in ("no-referrer", "same-origin")
    assert headers["server"] == "polyarch"


def test_what_was_pushed_as_html_is_not_a_page_of_this_server(ask: Requests) -> None:
    content = b"<script>alert(1)</script>"
    digest = ask.blob("app", content)
    answer = ask("GET", f"/v2/app/blobs/{digest}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    raw = b'{"schemaVersion":2,"mediaType":"text/html","x":"<script>"}'
    assert ask("PUT", "/v2/app/manifests/1", raw, {"Content-Type": "text/html"}).status == 400


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example.com", 403),
        ("evil.example.com:5000", 403),
        ("localhost.evil.com", 403),
        ("127.0.0.1.evil.com", 403),
        ("localhost:1", 200),
        ("registry", 200),
        ("host.docker.internal:5000", 200),
        ("127.0.0.2", 200),
        ("[::1]:5000", 200),
        ("my.registry.example", 200),
        ("a b", 400),
        ("a/b", 400),
        ("[::1", 400),
        ("a:b:c", 400),
        ("a@b.example", 400),
    ],
)
def test_a_name_that_points_here_without_being_ours_is_refused(host: str, status: int, tmp_path: Path) -> None:
    with server.running(tmp_path, ServeSettings(port=0, names=("My.Registry.example",))) as address:
        answer = Requests(address)("GET", "/v2/", headers={"Host": host})
        assert answer.status == status
        if status == 403:
            assert "--name" in answer.json()["errors"][0]["message"]


def test_a_request_without_a_host_is_answered_without_asking_the_resolver(
    ask: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda *_: pytest.fail("the resolver was asked"))
    answer = raw_answer(ask.address, b"GET /v2/ HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 200")
    assert raw_answer(ask.address, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200")
    assert raw_answer(ask.address, b"GET /v2/ HTTP/1.0\r\nHost: \r\n\r\n").startswith(b"HTTP/1.0 400")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"Origin": "http://{address}"}, 202),
        ({"Sec-Fetch-Site": "same-origin"}, 202),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_a_page_of_another_site_cannot_begin_an_upload(headers: dict[str, str], status: int, ask: Requests) -> None:
    sent = {name: value.replace("{address}", ask.address) for name, value in headers.items()}
    assert ask("POST", "/v2/app/blobs/uploads/", headers=sent).status == status


def raw_answer(address: str, request: bytes, seconds: float = 10) -> bytes:
    host, _, port = address.rpartition(":")
    with contextlib.closing(socket.create_connection((host, int(port)), timeout=seconds)) as connection:
        connection.sendall(request)
        with contextlib.suppress(ConnectionError):
            return b"".join(iter(lambda: connection.recv(65536), b""))
        return b""


def test_headers_that_are_too_long_or_too_many_are_refused_soon(ask: Requests) -> None:
    for request in (
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: a\nb\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"NONSENSE\r\n\r\n",
    ):
        answer = raw_answer(ask.address, request)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), (request[:40], answer[:80])
        assert b"Traceback" not in answer
        assert b"aiohttp" not in answer.lower()
        assert b"X-Content-Type-Options: nosniff" in answer


def test_a_request_has_one_length(ask: Requests) -> None:
    for framing in (
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 0x3\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
    ):
        request = b"POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\nabc"
        answer = raw_answer(ask.address, request)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), (framing, answer[:80])


def test_a_compressed_body_is_stored_as_it_came(ask: Requests) -> None:
    import gzip

    content = gzip.compress(bytes(1 << 20))
    begun = ask("POST", "/v2/app/blobs/uploads/")
    path = f"{begun.headers['location']}?digest={digests.of(content)}"
    assert ask("PUT", path, content, {"Content-Encoding": "gzip"}).status == 201
    assert ask("GET", f"/v2/app/blobs/{digests.of(content)}").body == content


def test_a_manifest_above_4_mib_is_refused(ask: Requests) -> None:
    for body in (b"x" * ((4 << 20) + 1), iter([b"x" * (1 << 20)] * 5)):
        with contextlib.suppress(ConnectionError):
            answer = ask("PUT", "/v2/app/manifests/1", body, {"Content-Type": media_types.OCI_MANIFEST})
            assert (answer.status, answer.code) == (413, "MANIFEST_INVALID")


def test_a_document_that_is_both_an_index_and_a_manifest_is_refused(ask: Requests) -> None:
    digest = ask.image("app", "1")
    config = {"mediaType": media_types.OCI_CONFIG, "digest": digests.of(b"x"), "size": 1}
    entry = {"mediaType": media_types.OCI_MANIFEST, "digest": digest, "size": 1}
    both = {"schemaVersion": 2, "manifests": [entry], "config": config, "layers": []}
    for kind in (media_types.OCI_INDEX, media_types.OCI_MANIFEST):
        assert ask.manifest("app", "2", both, kind).status == 400
        assert ask.manifest("app", "2", {**both, "mediaType": kind}, kind).status == 400
    named = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "config": config, "layers": []}
    assert ask.manifest("app", "2", named, media_types.OCI_MANIFEST).status == 400


# Where it listens


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "*", "10.1.2.3", "::ffff:10.1.2.3", "fe80::1%1"])
@pytest.mark.parametrize(("tls", "auth"), [(False, False), (True, False), (False, True)])
def test_other_addresses_need_tls_and_authentication(host: str, tls: bool, auth: bool) -> None:
    addresses = exposure.resolve(host)
    with pytest.raises(UsageError, match="other machines reach") as error:
        exposure.require_protection(host, addresses, tls=tls, auth=auth, insecure=False)
    assert error.value.hint is not None
    assert ("--auth" in error.value.hint) is not auth
    assert ("--tls" in error.value.hint) is not tls
    exposure.require_protection(host, addresses, tls=tls, auth=auth, insecure=True)
    exposure.require_protection(host, addresses, tls=True, auth=True, insecure=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    exposure.require_protection(host, exposure.resolve(host), tls=False, auth=False, insecure=False)


def test_a_name_that_is_loopback_and_something_else_counts_as_the_other() -> None:
    def lookup(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("127.0.0.1", 0)), (0, 0, 0, "", ("192.0.2.7", 0))]

    addresses = exposure.resolve("localhost", lookup)
    with pytest.raises(UsageError, match=r"other machines reach localhost \(192.0.2.7\)"):
        exposure.require_protection("localhost", addresses, tls=False, auth=False, insecure=False)


def test_a_host_that_does_not_exist_is_an_error_of_the_user() -> None:
    def lookup(*_: object, **__: object) -> list[tuple[object, ...]]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(UsageError, match="there is no such host"):
        exposure.resolve("nowhere.invalid", lookup)


def test_the_server_does_not_start_where_it_may_not_listen(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="no TLS and no authentication"),
        server.running(tmp_path, ServeSettings(listen="0.0.0.0", port=0)),
    ):
        pass
    with server.running(tmp_path, ServeSettings(listen="localhost", port=0)) as address:
        assert Requests(address)("GET", "/v2/").status == 200


def test_own_names_are_what_was_given_and_the_address() -> None:
    settings = ServeSettings(listen="10.0.0.5", names=("r.example",))
    assert own_names(settings, exposure.resolve("10.0.0.5")) == ("r.example", "10.0.0.5")
    every = own_names(ServeSettings(listen="0.0.0.0"), exposure.resolve("0.0.0.0"))
    assert {"localhost", "127.0.0.1", socket.gethostname()} <= set(every)
    with pytest.raises(UsageError, match="--name"):
        own_names(ServeSettings(names=("a b",)), exposure.resolve("127.0.0.1"))


# Actions of requests


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "a/manifests/1", "pull"),
        ("HEAD", "a/blobs/sha256:0", "pull"),
        ("GET", "a/tags/list", "pull"),
        ("PUT", "a/manifests/1", "push"),
        ("POST", "a/blobs/uploads/", "push"),
        ("GET", "a/blobs/uploads/x", "push"),
        ("DELETE", "a/blobs/uploads/x", "push"),
        ("DELETE", "a/manifests/1", "delete"),
        ("DELETE", "a/blobs/sha256:0", "delete"),
        ("PROPFIND", "a/manifests/1", "push"),
    ],
)
def test_each_method_has_its_action(method: str, path: str, action: str) -> None:
    route = naming.parse_path(path)
    assert route is not None
    assert action_of(method, route) == action


# Many and slow clients


def test_addresses_count_by_network_and_those_of_this_machine_have_no_limit_each() -> None:
    assert network("192.0.2.1") == "192.0.2.1"
    assert network("2001:db8::1") == network("2001:db8::2")
    assert network("2001:db8::1") != network("2001:db8:0:1::1")
    assert network("::ffff:192.0.2.1") == "192.0.2.1"
    assert network("fe80::1%eth0") == "fe80::"
    tally = Tally(4, 2)
    assert [tally.take("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert [tally.take("127.0.0.1") for _ in range(3)] == [True, True, False]
    tally.give("192.0.2.1")
    assert (len(tally), tally.take("192.0.2.2")) == (3, True)


def test_the_limits_fit_the_number_of_files_that_may_be_open() -> None:
    assert ConnectionLimits().fitting(1024).total == 341
    assert ConnectionLimits().fitting(1 << 20).total == 4096


@pytest.fixture
def strict(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Requests]:
    """A server with a few connections and little patience."""
    monkeypatch.setattr(
        "polyarch.serve.protection.LIMITS", ConnectionLimits(total=20, idle=1, window=2, least=64 << 10)
    )
    with server.running(store_root) as address:
        yield Requests(address)


def connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=15)


def until_refused(connection: socket.socket, piece: bytes) -> float:
    """How many seconds the server takes small pieces from a connection; 10 if it takes them on and on."""
    started = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - started < 10:
            connection.sendall(piece)
            time.sleep(0.2)
    return time.monotonic() - started


def test_headers_that_never_end_are_given_up_and_more_bytes_do_not_put_that_off(strict: Requests) -> None:
    with contextlib.closing(connected(strict.address)) as connection:
        connection.sendall(b"GET /v2/ HTTP/1.1\r\n")
        assert until_refused(connection, b"X: y\r\n") < 5


@pytest.mark.parametrize("length", [1_000_000, 3_000_000], ids=["read by aiohttp", "read by a thread"])
def test_a_body_that_trickles_is_given_up(strict: Requests, length: int) -> None:
    begun = strict("POST", "/v2/app/blobs/uploads/")
    with contextlib.closing(connected(strict.address)) as connection:
        connection.sendall(
            f"PATCH {begun.headers['location']} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        assert until_refused(connection, b"x") < 6
    # What arrived can be continued.
    assert strict("GET", begun.headers["location"]).status == 204


def test_a_response_that_is_not_taken_is_given_up_and_does_not_hold_up_others(strict: Requests) -> None:
    digest = strict.blob("app", bytes(32 << 20))
    with contextlib.closing(connected(strict.address)) as connection:
        connection.sendall(f"GET /v2/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert len(strict("GET", f"/v2/app/blobs/{digest}").body) == 32 << 20
        time.sleep(5)
        taken = 0
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1 << 20):
                taken += len(part)
        assert taken < 32 << 20


def test_a_steady_client_may_take_longer_than_a_window(strict: Requests) -> None:
    digest = strict.blob("app", bytes(8 << 20))
    with contextlib.closing(connected(strict.address)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        connection.sendall(f"GET /v2/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        taken, started = 0, time.monotonic()
        while part := connection.recv(256 << 10):
            taken += len(part)
            time.sleep(0.08)
        assert time.monotonic() - started > 2
        assert taken > 8 << 20


def test_connections_are_counted_when_they_are_accepted_and_until_they_are_closed() -> None:
    with ListeningSocket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.tally = Tally(2, 1)
        clients = [socket.create_connection(listening.getsockname(), timeout=5) for _ in range(4)]
        first, _ = listening.accept()
        second, _ = listening.accept()
        with pytest.raises(ConnectionAbortedError):
            listening.accept()
        assert clients[2].recv(1) == b""  # closed at once
        first.close()
        first.close()
        fourth, _ = listening.accept()
        for one in (second, fourth, *clients):
            one.close()
        assert len(listening.tally) == 0


def test_a_tls_handshake_that_is_not_done_is_given_up(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyarch.serve.protection.LIMITS", ConnectionLimits(handshake=1))
    settings = ServeSettings(port=0, self_signed=True)
    with server.running(store_root, settings, AROUND) as address, connected(address) as connection:
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            connection.recv(1)
        assert 0.5 < time.monotonic() - started < 5


def test_connections_above_the_limit_are_told_so_and_the_others_work(strict: Requests) -> None:
    held = [connected(strict.address) for _ in range(20)]
    try:
        time.sleep(0.2)
        answer = raw_answer(strict.address, b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer == b"" or answer.startswith(b"HTTP/1.1 503")
        held[0].sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"".join(iter(lambda: held[0].recv(65536), b"")).startswith(b"HTTP/1.1 200")
    finally:
        for connection in held:
            connection.close()
    assert strict("GET", "/v2/").status == 200
