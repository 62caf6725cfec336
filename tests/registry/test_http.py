"""The transport under misfortune: limits, failures, redirects, proxies."""

import io
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from polyarch.distribution import endpoints
from polyarch.errors import NotFoundError, PolyarchError, RegistryError, UsageError
from polyarch.oci import media_types
from polyarch.oci import retry as retries
from polyarch.oci.urls import redact
from polyarch.registry import Hosts, failures
from polyarch.registry.http import Body, Transport
from tests.registry.conftest import Client, blob
from tests.registry.faults import Answer, Asked, serving
from tests.registry.test_auth import stored
from tests.registry.test_connection import Scripted


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def transport(slept: list[float]) -> Transport:
    return Transport(Hosts(), "polyarch/test", sleep=slept.append)


def test_a_registry_that_asks_for_patience_gets_it(transport: Transport, slept: list[float]) -> None:
    answers = [Answer(429, {"Retry-After": "7"}), Answer(503), Answer(200, body=b"at last")]
    with serving(lambda asked: answers.pop(0)) as server, transport.send("GET", server.url) as response:
        assert response.body() == b"at last"
    assert slept[0] == 7
    assert 0 < slept[1] < 7


def test_patience_may_be_asked_for_until_a_date(transport: Transport, slept: list[float]) -> None:
    """From the server's own clock, which may be wrong, to the date that it names."""
    dates = {"Date": "Mon, 30 Nov 1970 08:00:00 GMT", "Retry-After": "Mon, 30 Nov 1970 08:00:09 GMT"}
    answers = [Answer(429, dates), Answer(429, {**dates, "Retry-After": "soon"}), Answer()]
    with serving(lambda asked: answers.pop(0)) as server, transport.send("GET", server.url) as response:
        assert response.status == 200
    assert slept[0] == 9
    assert 0 < slept[1] < 9


def test_a_registry_that_asks_for_too_much_patience_is_an_error(client: Client) -> None:
    limit = Answer(429, {"Retry-After": "3600"}, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}')
    with (
        serving(lambda asked: limit if "app" in asked.path else Answer()) as server,
        pytest.raises(RegistryError, match=r"slow down \(TOOMANYREQUESTS\)") as caught,
    ):
        client.at(server.address, "app").tags()
    assert "polyarch login" in str(caught.value.hint)
    assert client.slept == []


def test_a_registry_that_stays_broken_is_an_error_after_some_attempts(client: Client) -> None:
    with serving(lambda asked: Answer(502 if "app" in asked.path else 200, body=b"<html>")) as server:
        with pytest.raises(RegistryError, match="HTTP status 502") as caught:
            client.at(server.address, "app").tags()
        assert len(server.asked) == 6  # one of them /v2/
    assert caught.value.retryable
    assert caught.value.exhausted
    assert len(client.slept) == 4


def test_a_refusal_is_not_tried_again(client: Client) -> None:
    with serving(lambda asked: Answer(403 if "app" in asked.path else 200)) as server:
        with pytest.raises(RegistryError, match="403") as caught:
            client.at(server.address, "app").tags()
        assert len(server.asked) == 2
    assert not caught.value.retryable


def test_a_connection_that_is_dropped_is_made_anew(transport: Transport) -> None:
    """A server that accepts and closes, once, and then answers."""
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            listener.accept()[0].close()
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with transport.send("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/") as response:
            assert response.body() == b"ok"
        thread.join()


def test_a_port_where_nobody_listens_is_named(client: Client) -> None:
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:1 cannot be reached: Connection refused") as caught:
        client.at("127.0.0.1:1", "app").resolve("1")
    assert caught.value.status == 0
    assert sum(client.slept) < 1


def test_a_host_that_does_not_exist_is_named(client: Client) -> None:
    with pytest.raises(RegistryError, match=r"there is no host nobody\.invalid"):
        client.at("nobody.invalid", "app").resolve("1")


def test_credentials_do_not_follow_a_redirect_to_another_host(
    new_client: Callable[..., Client], tmp_path: Path
) -> None:
    with serving(lambda asked: Answer(body=b"content")) as storage:

        def answer(asked: Asked) -> Answer:
            if not asked.authorization:
                return Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
            return Answer(307, {"Location": f"{storage.url}/signed?signature=secret"})

        with serving(answer) as server:
            client = new_client(credentials=stored(tmp_path, server.address, username="ada", password="s3cret"))
            with client.at(server.address, "app").open_blob(blob(b"content")) as reader:
                assert reader.read() == b"content"
    assert [asked.authorization for asked in storage.asked] == [""]
    assert not any("signature=secret" in line for line in client.lines)
    assert any("signature=…" in line for line in client.lines)


def test_a_challenge_of_a_host_that_was_redirected_to_is_not_answered(
    new_client: Callable[..., Client], tmp_path: Path
) -> None:
    with serving(lambda asked: Answer(401, {"WWW-Authenticate": 'Basic realm="give"'})) as thief:

        def answer(asked: Asked) -> Answer:
            return Answer(307, {"Location": f"{thief.url}/blob"}) if "blobs" in asked.path else Answer()

        with serving(answer) as server:
            client = new_client(credentials=stored(tmp_path, server.address, username="ada", password="s3cret"))
            with pytest.raises(RegistryError):
                client.at(server.address, "app").open_blob(blob(b"content"))
    assert [asked.authorization for asked in thief.asked] == [""]


def test_credentials_stay_on_a_redirect_within_the_host(transport: Transport) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(302, {"Location": "/there"}) if asked.path == "/" else Answer()

    with serving(answer) as server:
        transport.send("GET", f"{server.url}/", {"Authorization": "Bearer x"}).close()
    assert [asked.authorization for asked in server.asked] == ["Bearer x", "Bearer x"]


def test_redirects_in_circles_are_an_error(transport: Transport) -> None:
    with (
        serving(lambda asked: Answer(302, {"Location": "/"})) as server,
        pytest.raises(RegistryError, match="in circles"),
    ):
        transport.send("GET", server.url)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.com/x"])
def test_a_redirect_to_another_protocol_is_refused(transport: Transport, location: str) -> None:
    with (
        serving(lambda asked: Answer(302, {"Location": location})) as server,
        pytest.raises(RegistryError, match="not HTTP"),
    ):
        transport.send("GET", server.url)


def test_a_redirect_from_tls_to_plain_http_is_refused(transport: Transport) -> None:
    with pytest.raises(RegistryError, match="from TLS to plain HTTP"):
        transport._check_redirect("https://example.com/", "http://elsewhere.example/")
    transport._check_redirect("https://example.com/", "http://127.0.0.1:5000/")


@pytest.mark.parametrize("location", ["http://elsewhere.example/v2/app/blobs/uploads/1", "http://registry.example/x"])
def test_an_upload_is_not_sent_in_the_clear_to_where_a_registry_with_tls_points(client: Client, location: str) -> None:
    """As with a redirect: POST's and PATCH's Location, and whatever else a registry gives to be asked next."""
    wire = client.at("registry.example", "app")._wire
    wire.session._bases["registry.example"] = "https://registry.example"
    for operation in (endpoints.FINISH_UPLOAD, endpoints.SEND_CHUNK, endpoints.CANCEL_UPLOAD):
        with pytest.raises(RegistryError, match=r"registry\.example uses TLS, but .* plain HTTP at") as caught:
            wire.request(operation, location, what="a layer", body=Body(b"secret"))
        assert "X-Forwarded-Proto" in str(caught.value.hint)
    assert client.lines == []


@pytest.mark.parametrize("user", ["localhost", "localhost:5000", "127.0.0.1:5000", "ada:secret"])
def test_a_user_in_a_url_is_neither_taken_for_its_host_nor_shown(transport: Transport, user: str) -> None:
    with pytest.raises(RegistryError, match=r"would go to elsewhere\.example over plain HTTP") as caught:
        transport.require_private(f"http://{user}@elsewhere.example/layer")
    assert "secret" not in f"{caught.value} {caught.value.hint}"
    with pytest.raises(RegistryError, match=r"from TLS to plain HTTP at elsewhere\.example"):
        transport._check_redirect("https://registry.example/", f"http://{user}@elsewhere.example/layer")
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:1 cannot be reached"):
        transport.send("GET", f"http://{user}@127.0.0.1:1/", retry=retries.ONCE)
    transport.require_private(f"http://{user}@127.0.0.1:5000/layer")


def test_an_upload_may_go_on_in_plain_http_on_loopback_and_where_that_is_allowed(
    new_client: Callable[..., Client],
) -> None:
    with serving(lambda asked: Answer(201)) as server:
        for location in (f"{server.url}/1", f"http://localhost:{server.address.rpartition(':')[2]}/1"):
            wire = new_client().at("registry.example", "app")._wire
            wire.session._bases["registry.example"] = "https://registry.example"
            wire.request(endpoints.FINISH_UPLOAD, location, what="a layer", body=Body(b"x")).close()
    marked = new_client(Hosts(insecure=frozenset({"elsewhere.example"})))
    marked._transport.require_private("http://elsewhere.example/1", "registry.example")


GZIPPED = {"Content-Encoding": "gzip"}


def test_what_a_gateway_compressed_though_nobody_asked_is_inflated(client: Client) -> None:
    import gzip

    content = b"layer " * 50_000

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("tags/list"):
            return Answer(200, GZIPPED, gzip.compress(b'{"tags": ["1"]}'))
        return Answer(200, GZIPPED, gzip.compress(content)) if "blobs" in asked.path else Answer()

    with serving(answer) as server:
        repository = client.at(server.address, "app")
        assert repository.tags() == ("1",)
        with repository.open_blob(blob(content)) as reader:
            assert reader.read() == content


def test_a_layer_that_its_storage_calls_gzip_is_not_inflated(client: Client) -> None:
    import gzip

    packed = gzip.compress(b"layer")
    with (
        serving(lambda asked: Answer(200, GZIPPED, packed)) as server,
        client.at(server.address, "app").open_blob(blob(packed)) as reader,
    ):
        assert reader.read() == packed


@pytest.mark.parametrize("twice", [True, False])
def test_without_a_length_the_content_tells_whether_a_layer_was_compressed_on_its_way(twice: bool) -> None:
    import gzip

    layer = gzip.compress(b"layer" * 100_000)
    sent = gzip.compress(layer) if twice else layer
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(sent[at : at + 999]), sent[at : at + 999]) for at in range(0, len(sent), 999)
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    scripted = Scripted()
    scripted.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", head + chunks + b"0\r\n\r\n"]
    with Client() as client:
        repository = client.at(f"127.0.0.1:{scripted.address.port}", "app")
        with repository.open_blob(blob(layer, media_types.OCI_LAYER_GZIP)) as reader:
            assert reader.read() == layer
    scripted.close()


def test_what_is_no_gzip_and_what_is_cut_is_an_error(client: Client) -> None:
    import gzip

    for body in (b"plain", gzip.compress(b'{"tags": []}')[:-9]):
        with (
            serving(lambda asked, body=body: Answer(200, GZIPPED, body)) as server,
            pytest.raises(RegistryError, match=r"that is not gzip|ended early"),
        ):
            client.at(server.address, "app").tags()


def test_what_does_not_speak_http_on_loopback_is_not_called_a_failure_of_tls(client: Client) -> None:
    with (
        serving(lambda asked: Answer(200, {"Content-Length": "0, 1"})) as server,
        pytest.raises(RegistryError, match="a response has the length '0, 1'"),
    ):
        client.at(server.address, "app").tags()


def test_a_body_that_cannot_be_sent_twice_is_not(transport: Transport) -> None:
    class Once:
        def __init__(self) -> None:
            self.left = [b"once"]

        def read(self, size: int = -1, /) -> bytes:
            return self.left.pop() if self.left else b""

    with serving(lambda asked: Answer(503)) as server, transport.send("PUT", server.url, {}, Body(Once())) as response:
        assert response.status == 503
    assert [asked.body for asked in server.asked] == [b"once"]


@pytest.mark.parametrize(
    "url", ["http://a:abc/x", "http://a:99999/x", "http://[::1/x", "http:///x", "http://ada:secret/"]
)
def test_a_malformed_url_is_a_usage_error(transport: Transport, url: str) -> None:
    with pytest.raises(UsageError, match="a URL has no host, or a port") as caught:
        transport.send("GET", url)
    assert "secret" not in f"{caught.value} {caught.value.hint}"


URLS = """
https://ada:secret@example.com/v2/?digest=sha256:00&n=1   | https://example.com/v2/?digest=sha256:00&n=1
https://s3.example/blob?X-Amz-Signature=abc&sig=x#frag    | https://s3.example/blob?X-Amz-Signature=…&sig=…
http://127.0.0.1:5000/v2/a/blobs/uploads/1?_state=abc     | http://127.0.0.1:5000/v2/a/blobs/uploads/1?_state=…
"""


@pytest.mark.parametrize("line", URLS.strip().splitlines())
def test_a_url_is_shown_without_what_may_be_secret(line: str) -> None:
    url, expected = (part.strip() for part in line.split("|"))
    assert redact(url) == expected


def test_an_answer_becomes_one_error_with_the_words_of_the_registry() -> None:
    body = b'{"errors":[{"code":"DENIED","message":"no \\u001b[31mentry"},{"code":"SIZE_INVALID"}]}'
    found = failures.refusal(403, body, "app cannot be written", "example.com")
    assert isinstance(found, RegistryError)
    assert found.message == "app cannot be written: example.com answered no  [31mentry (DENIED); SIZE_INVALID"
    assert (found.status, found.codes, found.retryable) == (403, ("DENIED", "SIZE_INVALID"), False)


def test_a_404_about_an_upload_is_not_an_absent_image() -> None:
    lost = b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"x"}]}'
    assert isinstance(failures.refusal(404, lost, "app", "example.com"), RegistryError)
    assert isinstance(failures.refusal(404, b"", "app", "example.com"), NotFoundError)


def test_what_is_missing_while_something_is_written_is_not_what_was_asked_for() -> None:
    for code, hint in (("BLOB_UNKNOWN", "lacks something"), ("NAME_UNKNOWN", "repository to be created")):
        body = b'{"errors":[{"code":"%s"}]}' % code.encode()
        found = failures.refusal(404, body, "app cannot be written", "example.com", writing=True)
        assert isinstance(found, RegistryError)
        assert (found.codes, found.status) == ((code,), 404)
        assert hint in str(found.hint)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errors":1}', b'{"errors":[1]}', b"[" * 100_000])
def test_an_error_body_of_any_form_gives_an_error(body: bytes) -> None:
    assert "418" in failures.refusal(418, body, "app", "example.com").message


@pytest.mark.parametrize("location", ["http://[", "http://example.com:port/", "http://example.com:99999/x"])
def test_a_location_that_is_no_url_is_an_error(client: Client, location: str) -> None:
    def answer(asked: Asked) -> Answer:
        status = 202 if asked.method == "POST" else 307
        return Answer(status, {"Location": location}) if "app" in asked.path else Answer()

    with serving(answer) as server:
        repository = client.at(server.address, "app")
        for ask in (repository.tags, lambda: repository.write_blob(blob(b"x"), io.BytesIO(b"x"))):
            with pytest.raises(RegistryError, match="is not a URL"):
                ask()


def test_content_that_cannot_be_read_is_not_taken_for_a_broken_network(client: Client) -> None:
    class Broken:
        def read(self, size: int = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    def answer(asked: Asked) -> Answer:
        return Answer(202, {"Location": "/v2/app/blobs/uploads/1"}) if asked.method == "POST" else Answer()

    with (
        serving(answer) as server,
        pytest.raises(PolyarchError, match="cannot read what is to be sent: Input/output error"),
    ):
        client.at(server.address, "app").write_blob(blob(b"x"), Broken())
    assert client.slept == []
