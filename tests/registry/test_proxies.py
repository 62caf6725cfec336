"""Requests through proxies. What a registry client does must be the same through each kind as without one."""

import io
import os
import socket
from collections.abc import Iterator

import pytest

from polyarch.errors import PolyarchError, RegistryError, UsageError
from polyarch.oci import digest as digests
from polyarch.oci import reference as references
from polyarch.registry import Credentials, Hosts, Proxies, Registry
from polyarch.registry.connection import Address, Pool
from polyarch.registry.http import Body, Transport
from polyarch.registry.tunnels import through
from scripts.local_registry import LocalRegistry
from tests.conftest import Authority
from tests.registry.conftest import Client, blob, image
from tests.registry.faults import Answer, Asked, serving
from tests.registry.proxies import LOGIN, TinyProxy, accepting, behind_tls, microsocks, outside, tinyproxy
from tests.registry.test_auth import TokenRegistry
from tests.registry.test_blobs import ranged


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture(scope="module")
def http_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyProxy]:
    with tinyproxy(tmp_path_factory.mktemp("tinyproxy")) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def socks() -> Iterator[str]:
    with microsocks() as address:
        yield address


@pytest.fixture(scope="module")
def https_proxy(http_proxy: TinyProxy, authority: Authority) -> Iterator[str]:
    with behind_tls(http_proxy.address, authority) as address:
        yield address


@pytest.fixture(params=["http", "https", "socks5"])
def proxies(request: pytest.FixtureRequest, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Proxies:
    """A proxy of each kind, for plain requests and for TLS."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    fixture = {"http": "http_proxy", "https": "https_proxy", "socks5": "socks"}[request.param]
    proxy = request.getfixturevalue(fixture)
    url = f"{request.param}://{LOGIN}@{proxy.address if isinstance(proxy, TinyProxy) else proxy}"
    return Proxies(http=url, https=url)


PROXIES = """
http://a.example/        | http://proxy:1
https://a.example/       | http://secure:2
https://in.example/      |
https://x.in.example:8/  |
https://notin.example/   | http://secure:2
http://10.1.2.3/         |
http://127.0.0.1:5000/   |
http://localhost/        |
https://port.example:5/  |
https://port.example:6/  | http://secure:2
"""


@pytest.mark.parametrize("line", PROXIES.strip().splitlines())
def test_a_proxy_is_used_but_for_those_excepted(line: str) -> None:
    url, expected = (part.strip() for part in line.split("|"))
    proxies = Proxies("proxy:1", "http://secure:2", (".in.example", "10.0.0.0/8", "port.example:5"))
    assert proxies.of(url) == expected
    assert Proxies("proxy:1", "proxy:1", ("*",)).of(url) == ""


def test_a_request_goes_through_its_proxy(slept: list[float]) -> None:
    with serving(lambda asked: Answer(body=b"from the proxy")) as proxy:
        transport = Transport(
            Hosts(), "polyarch/test", proxies=Proxies(http=f"http://ada:p%40ss@{proxy.address}"), sleep=slept.append
        )
        with transport.send("GET", "http://registry.example/v2/") as response:
            assert response.body() == b"from the proxy"
        transport.close()
    assert proxy.asked[0].headers["Proxy-Authorization"] == "Basic YWRhOnBAc3M="


def test_the_password_of_a_proxy_is_not_in_its_repr() -> None:
    proxies = Proxies("ada:secret@proxy:1", "socks5://ada:secret@proxy:2")
    assert "proxy:1" in repr(proxies)
    assert "secret" not in f"{proxies!r} {proxies}"


def test_a_proxy_that_is_down_is_named_without_its_password(slept: list[float]) -> None:
    transport = Transport(Hosts(), "x", proxies=Proxies(http="http://ada:secret@127.0.0.1:1"), sleep=slept.append)
    with pytest.raises(PolyarchError) as caught:
        transport.send("GET", "http://registry.example/v2/")
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def round_trip(client: Client, address: str) -> None:
    """All that a push and a pull do."""
    content = os.urandom(3 << 20)
    first, second = client.at(address, "proxied/first"), client.at(address, "proxied/second")
    with first.upload() as upload:
        for start in range(0, len(content), 100_000):
            upload.write(content[start : start + 100_000])
        upload.commit(digests.of(content))
    assert second.mount_blob(blob(content), references.parse(f"{address}/proxied/first"))
    manifest = image(second, content, "1")
    assert second.tags() == ("1",)
    assert second.resolve("1").digest == manifest.digest
    assert second.read_manifest(manifest.descriptor()) == manifest.raw
    with second.open_blob(blob(content)) as reader:
        assert reader.read() == content
    assert second.read_range(blob(content), 5, 5) == content[5:10]


def test_a_plain_registry_is_written_and_read_through_a_proxy(registry: LocalRegistry, proxies: Proxies) -> None:
    address = outside(registry.address)
    with Client(Hosts(insecure=frozenset({address})), proxies=proxies) as client:
        round_trip(client, address)
    assert client.slept == []


def test_a_registry_with_tls_is_written_and_read_through_a_proxy(tls_registry: LocalRegistry, proxies: Proxies) -> None:
    with Client(proxies=proxies) as client:
        round_trip(client, outside(tls_registry.address))
    assert client.slept == []


def test_a_proxy_sees_urls_without_tls_and_only_hosts_with_tls(
    registry: LocalRegistry, tls_registry: LocalRegistry, http_proxy: TinyProxy, proxies: Proxies
) -> None:
    plain, secure = outside(registry.address), outside(tls_registry.address)
    with Client(Hosts(insecure=frozenset({plain})), proxies=proxies) as client:
        image(client.at(plain, "seen"), b"layer", "1")
        image(client.at(secure, "seen"), b"layer", "1")
    asked = [line for line in http_proxy.requests() if plain in line or secure in line]
    if proxies.http.startswith("socks5"):
        assert asked == []
    else:
        assert f"PUT http://{plain}/v2/seen/manifests/1" in asked
        assert {line for line in asked if secure in line} == {f"CONNECT {secure}"}


def test_a_certificate_is_verified_in_the_tunnel(tls_registry: LocalRegistry, proxies: Proxies) -> None:
    """The certificate is for 0.0.0.0, which is also found by the name 0."""
    address = tls_registry.address.replace("127.0.0.1", "0")
    with Client(proxies=proxies) as client, pytest.raises(RegistryError, match="the TLS connection to 0:") as caught:
        client.at(address, "app").tags()
    assert "mismatch" in caught.value.message


def test_a_token_is_renewed_and_a_body_sent_again_through_a_proxy(proxies: Proxies) -> None:
    tokens = TokenRegistry()

    def answer(asked: Asked) -> Answer:
        found = tokens(asked)
        if asked.method == "POST" and asked.path != "/token" and found.status == 202:
            tokens.valid.clear()
        return found

    with serving(answer) as tokens.server:
        tokens.server.address = address = outside(tokens.server.address)
        with Client(Hosts(insecure=frozenset({address})), proxies=proxies) as client:
            client.at(address, "app").write_blob(blob(b"yy"), io.BytesIO(b"yy"))
        sent = [(asked.method, asked.body) for asked in tokens.server.asked if asked.path.endswith("/uploads/1")]
    assert sent == [("PUT", b"yy"), ("PUT", b"yy")], client.lines


def test_a_download_that_is_cut_is_resumed_through_a_proxy(proxies: Proxies) -> None:
    content = bytes(range(256)) * 4096
    with serving(ranged(content, [400_000])) as server:
        address = outside(server.address)
        with (
            Client(Hosts(insecure=frozenset({address})), proxies=proxies) as client,
            client.at(address, "app").open_blob(blob(content)) as reader,
        ):
            assert b"".join(iter(lambda: reader.read(100_000), b"")) == content
        asked = [asked.headers.get("Range") for asked in server.asked if "blobs" in asked.path]
    assert asked[0] is None
    assert len(asked) == 2


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password_is_not_taken_for_the_registry(
    http_proxy: TinyProxy, scheme: str, slept: list[float]
) -> None:
    url = f"http://{http_proxy.address}"
    hosts = Hosts(insecure=frozenset({"registry.example"}))
    with Registry(hosts, Credentials(None), "x", proxies=Proxies(url, url), sleep=slept.append) as client:
        client._session._bases["registry.example"] = f"{scheme}://registry.example"
        with pytest.raises(RegistryError, match=r"the proxy in front of registry\.example") as caught:
            client.repository(references.parse("registry.example/app")).tags()
    assert "USER:PASSWORD" in str(caught.value.hint)
    assert slept == []


def test_a_server_that_a_proxy_cannot_reach_is_not_called_a_fault_of_the_proxy(
    http_proxy: TinyProxy, slept: list[float]
) -> None:
    transport = Transport(
        Hosts(), "x", proxies=Proxies(https=f"http://{LOGIN}@{http_proxy.address}"), sleep=slept.append
    )
    with pytest.raises(RegistryError, match=r"nowhere\.invalid cannot be reached: the proxy answered HTTP status 50"):
        transport.send("GET", "https://nowhere.invalid/v2/")
    transport.close()


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_request_goes_through_a_socks_proxy(socks: str, scheme: str) -> None:
    with serving(lambda asked: Answer(body=b"through")) as server:
        host, _, port = server.address.partition(":")
        with Pool(through(f"{scheme}://{LOGIN}@{socks}", None), 5) as pool:
            answer = pool.request("GET", Address(host, int(port)), server.address, "/v2/?n=1", {"Accept": "x"}, None, 5)
            assert (answer.status, answer.read()) == (200, b"through")
            answer.release()
    assert (server.asked[0].path, server.asked[0].headers["Accept"]) == ("/v2/", "x")


def test_a_socks_proxy_that_refuses_is_told_from_a_registry_that_is_not_there(socks: str, slept: list[float]) -> None:
    def ask(proxy: str, host: str) -> str:
        transport = Transport(Hosts(), "x", proxies=Proxies(http=proxy), sleep=slept.append)
        with pytest.raises(RegistryError) as caught:
            transport.send("GET", f"http://{host}/v2/")
        transport.close()
        assert "p_ss" not in f"{caught.value} {caught.value.hint}"
        return caught.value.message

    assert ask(f"socks5://{socks}", "registry.example").startswith("the proxy for registry.example cannot be used")
    assert ask("socks5://127.0.0.1:1", "registry.example").startswith("the proxy for registry.example cannot be used")
    assert ask(f"socks5://{LOGIN}@{socks}", "nowhere.invalid").startswith("nowhere.invalid cannot be reached")


def test_a_socks_proxy_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="speaks SOCKS") as caught:
        through("socks5://127.0.0.1:1080", None)
    assert "polyarch[socks]" in str(caught.value.hint)


@pytest.mark.parametrize(
    "url", ["gopher://127.0.0.1:1080", "http://", "http://[::1", "http://ada:secret", "http://a:99999"]
)
def test_a_proxy_that_is_none_is_a_usage_error_without_its_password(url: str, slept: list[float]) -> None:
    transport = Transport(Hosts(), "x", proxies=Proxies(http=url), sleep=slept.append)
    with pytest.raises(UsageError, match=r"neither http, https nor socks5|is malformed") as caught:
        transport.send("GET", "http://registry.example/v2/")
    assert "secret" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__!r}"


class Unseekable:
    """A body that can be read once."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int = -1, /) -> bytes:
        return self._content.read(size)


def test_a_body_that_cannot_be_sent_again_never_meets_a_connection_that_a_proxy_has_given_up() -> None:
    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            read_request(lines)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            # It looks open until the next request comes.
            connection.recv(1)

    with accepting(serve) as address:
        proxy = f"http://{address}"
        transport = Transport(Hosts(), "x", proxies=Proxies(proxy, proxy))
        for _ in range(3):
            with transport.send("PUT", "http://registry.example/v2/", body=Body(Unseekable(b"once"))) as response:
                assert response.status == 200
        transport.close()


def read_request(lines: io.BufferedReader) -> None:
    """Read a request with a chunked body."""
    while lines.readline().strip():
        pass
    while size := int(lines.readline(), 16):
        lines.read(size + 2)
    lines.readline()


def behind(asked: Asked) -> Answer:
    """A proxy that alone knows where the registry is, and opens no tunnels to it."""
    if asked.method == "CONNECT":
        return Answer(502)
    if asked.path == "/v2/":
        return Answer(200)
    return Answer(200, {"Content-Type": "application/json"}, b'{"name": "app", "tags": ["1"]}')


@pytest.mark.parametrize("host", ["registry.nowhere.invalid:5000", "registry.nowhere.invalid"])
@pytest.mark.parametrize("tunnels", [False, True])
def test_a_plain_registry_that_only_the_proxy_finds_is_read_through_it(host: str, tunnels: bool) -> None:
    """With HTTP_PROXY alone, TLS would go straight to a host that does not resolve here."""
    with serving(behind) as proxy:
        url = f"http://{proxy.address}"
        ways = Proxies(http=url, https=url if tunnels else "")
        with Client(Hosts(insecure=frozenset({host})), proxies=ways) as client:
            assert client.at(host, "app").tags() == ("1",)
            assert client.slept == []
        assert [asked.headers["Host"] for asked in proxy.asked if asked.method == "GET"] == [host] * 2


def test_a_registry_that_was_down_is_asked_again_whether_it_speaks_tls() -> None:
    host, down = "registry.nowhere.invalid:5000", [True]
    with serving(lambda asked: Answer(502) if down else behind(asked)) as proxy:
        ways = Proxies(http=f"http://{proxy.address}", https=f"http://{proxy.address}")
        with Client(Hosts(insecure=frozenset({host})), proxies=ways) as client:
            with pytest.raises(RegistryError, match="cannot be reached"):
                client.at(host, "app").tags()
            assert {asked.path for asked in proxy.asked if asked.method == "GET"} == {"/v2/"}
            down.clear()
            proxy.asked.clear()
            assert client.at(host, "app").tags() == ("1",)
            assert proxy.asked[0].method == "CONNECT"
