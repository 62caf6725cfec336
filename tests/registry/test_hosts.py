"""Where a repository is asked for, as registries.conf, certs.d and the loopback rule say."""

import ipaddress
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import RegistryError, UsageError
from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci import media_types
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.registry import Hosts
from polyarch.registry.hosts import TLS, is_loopback, load, of_registry, parse
from tests.registry.conftest import Client
from tests.registry.faults import Answer, serving

CONFIGURATION = """
unqualified-search-registries = ["docker.io"]

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "m.example:5000/hub"
[[registry.mirror]]
location = "n.example"
pull-from-mirror = "digest-only"

[[registry]]
prefix = "docker.io/team"
location = "127.0.0.1:5000/here"
insecure = true

[[registry]]
prefix = "*.wild.example"
insecure = true

[[registry]]
prefix = "blocked.example"
blocked = true
"""

ENDPOINTS = """
debian | m.example:5000/hub/library/debian n.example/library/debian registry-1.docker.io/library/debian
team/app:1 | 127.0.0.1:5000/here/app
teams/app | m.example:5000/hub/teams/app n.example/teams/app registry-1.docker.io/teams/app
a.wild.example/x             | a.wild.example/x
ghcr.io/owner/image          | ghcr.io/owner/image
localhost:5000/x             | localhost:5000/x
"""


@pytest.mark.parametrize("line", ENDPOINTS.strip().splitlines())
def test_a_name_is_looked_for_where_the_configuration_says(line: str) -> None:
    name, expected = (part.strip() for part in line.split("|"))
    found = Hosts(rules=parse(CONFIGURATION)).endpoints(references.parse(name))
    assert [f"{endpoint.host}/{endpoint.repository}" for endpoint in found] == expected.split()


def test_a_mirror_may_be_for_digests_or_for_tags_alone() -> None:
    first, second, own = Hosts(rules=parse(CONFIGURATION)).endpoints(references.parse("debian"))
    digest = digests.of(b"")
    assert [endpoint.serves("latest") for endpoint in (first, second, own)] == [True, False, True]
    assert [endpoint.serves(digest) for endpoint in (first, second, own)] == [True, True, True]


def test_a_blocked_name_is_refused() -> None:
    with pytest.raises(RegistryError, match="is blocked"):
        Hosts(rules=parse(CONFIGURATION)).endpoints(references.parse("blocked.example/x"))


def test_without_configuration_docker_hub_is_at_its_real_host() -> None:
    assert Hosts().endpoints(references.parse("debian"))[0].host == "registry-1.docker.io"
    assert of_registry("docker.io").host == "registry-1.docker.io"


SCHEMES = """
localhost           | http https
localhost:5000      | http https
127.0.0.1:5000      | http https
127.8.9.10          | http https
[::1]:5000          | http https
ghcr.io             | https
10.0.0.1:5000       | https
marked.example      | https http
b.wild.example      | https http
wild.example        | https
localhost.evil.com  | https
127.0.0.1.evil.com  | https
"""


@pytest.mark.parametrize("line", SCHEMES.strip().splitlines())
def test_plain_http_is_for_loopback_and_for_marked_hosts(line: str) -> None:
    host, expected = (part.strip() for part in line.split("|"))
    hosts = Hosts(rules=parse(CONFIGURATION), insecure=frozenset({"marked.example"}))
    assert list(hosts.schemes(host)) == expected.split()
    assert hosts.tls(host).verify == (host not in ("marked.example", "b.wild.example", "127.0.0.1:5000"))


_OCTETS = st.sampled_from(
    ["127", "0", "1", "255", "256", "01", "00", "", "\N{ARABIC-INDIC DIGIT ONE}", "+1", "1 ", "a", "0127"]
)
_LIKE_IPV4 = st.lists(_OCTETS, min_size=3, max_size=5).map(".".join)
_LIKE_IPV6 = st.lists(st.sampled_from(["", "0", "1", "::", "::1", "ffff:127.0.0.1", "%lo"]), max_size=8).map(":".join)


@given(
    st.one_of(st.text(max_size=20), _LIKE_IPV4, st.ip_addresses().map(str), st.ip_addresses(v=4).map(str), _LIKE_IPV6)
)
def test_an_address_is_loopback_if_ipaddress_says_so(text: str) -> None:
    text = text.replace("]", "")
    try:
        expected = ipaddress.ip_address(text).is_loopback
    except ValueError:
        expected = text == "localhost"
    assert is_loopback(f"[{text}]:5000") == is_loopback(f"[{text}]") == expected
    if ":" not in text and not text.startswith("["):
        assert is_loopback(f"{text}:5000") == is_loopback(text) == expected


def test_the_files_of_a_host_are_found_in_certs_d(tmp_path: Path) -> None:
    directory = tmp_path / "docker" / "localhost:5000"
    directory.mkdir(parents=True)
    for name in ("ca.crt", "client.cert", "client.key", "notes.txt"):
        (directory / name).touch()
    hosts = load(certificate_directories=[tmp_path / "absent", tmp_path / "docker"])
    assert hosts.tls("localhost:5000") == TLS(
        (str(directory / "ca.crt"),), ((str(directory / "client.cert"), str(directory / "client.key")),)
    )
    # Who has files for a host means TLS, though it is on loopback.
    assert hosts.schemes("localhost:5000") == ("https",)
    assert hosts.tls("localhost:5001") == TLS()


@pytest.mark.parametrize(("lonely", "other"), [("client.cert", "client.key"), ("client.key", "client.cert")])
def test_a_client_certificate_without_its_key_is_named(tmp_path: Path, lonely: str, other: str) -> None:
    (tmp_path / "example.com").mkdir()
    (tmp_path / "example.com" / lonely).touch()
    with pytest.raises(UsageError, match=rf"example\.com/{lonely} has no matching {other}"):
        load(certificate_directories=[tmp_path]).tls("example.com")


def test_later_files_win_and_absent_ones_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "one.conf").write_text('[[registry]]\nlocation = "a.example"\ninsecure = true\n')
    (tmp_path / "two.conf").write_text('[[registry]]\nlocation = "a.example"\n')
    files = [tmp_path / name for name in ("absent.conf", "one.conf", "two.conf")]
    assert load(files[:2]).is_insecure("a.example")
    assert not load(files).is_insecure("a.example")
    assert load([tmp_path / "one.conf" / "impossible"]) == Hosts()


@pytest.mark.parametrize(
    "text",
    [
        "registry = ",
        "registry = 1",
        "[[registry]]\nblocked = true",
        '[[registry]]\nlocation = "https://example.com"',
        '[[registry]]\nlocation = "example.com"\ninsecure = "yes"',
        '[[registry]]\nlocation = "example.com"\n[[registry.mirror]]\npull-from-mirror = "all"',
        '[[registry]]\nlocation = "example.com"\n[[registry.mirror]]\nlocation = "m"\npull-from-mirror = "never"',
        '[registries.search]\nregistries = ["docker.io"]',
    ],
)
def test_a_configuration_that_is_wrong_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=r"some\.conf"):
        parse(text, "some.conf")


def test_a_file_of_comments_and_short_names_says_nothing() -> None:
    text = '# unqualified-search-registries = ["example.com"]\n\n[aliases]\n  "debian" = "docker.io/library/debian"\n'
    assert parse(text) == ()
    assert parse(f'{text}[[registry]]\nlocation = "a.example"\n') != ()


INDEX = indexes.create([])
GOOD = Answer(200, {"Content-Type": media_types.OCI_INDEX, "Docker-Content-Digest": INDEX.digest}, INDEX.raw)


def mirrored(mirror: str, own: str) -> Hosts:
    return Hosts(
        rules=parse(
            f'[[registry]]\nprefix = "example.com"\nlocation = "{own}"\n[[registry.mirror]]\nlocation = "{mirror}/m"'
        )
    )


def test_a_mirror_is_asked_first(new_client: Callable[..., Client]) -> None:
    with serving(lambda asked: GOOD) as mirror, serving(lambda asked: GOOD) as own:
        assert (
            new_client(mirrored(mirror.address, own.address)).at("example.com", "app").resolve("1")
            == INDEX.descriptor()
        )
    assert mirror.lines()[-1] == "HEAD /v2/m/app/manifests/1"
    assert own.lines() == []


@pytest.mark.parametrize("status", [404, 403, 500])
def test_what_a_mirror_has_not_the_registry_gives(new_client: Callable[..., Client], status: int) -> None:
    with serving(lambda asked: Answer(status)) as mirror, serving(lambda asked: GOOD) as own:
        client = new_client(mirrored(mirror.address, own.address))
        assert client.at("example.com", "app").read_manifest(INDEX.descriptor()) == INDEX.raw


def test_a_manifest_that_a_mirror_spoilt_the_registry_gives(new_client: Callable[..., Client]) -> None:
    bad = Answer(200, {"Content-Type": media_types.OCI_INDEX}, INDEX.raw.replace(b"2", b"3"))
    with serving(lambda asked: bad) as mirror, serving(lambda asked: GOOD) as own:
        repository = new_client(mirrored(mirror.address, own.address)).at("example.com", "app")
        for _ in range(2):
            assert repository.read_manifest(INDEX.descriptor()) == INDEX.raw
            assert repository.fetch_manifest(INDEX.digest) == (INDEX.descriptor(), INDEX.raw)
    assert len([line for line in mirror.lines() if "manifests" in line]) == 1


@pytest.mark.parametrize("spoilt", [b"Layer", b"layers", b"lay"])
def test_a_blob_that_a_mirror_spoilt_asks_to_be_opened_again_and_then_the_registry_gives_it(
    new_client: Callable[..., Client], spoilt: bytes
) -> None:
    wanted = Descriptor(media_types.OCI_LAYER, digests.of(b"layer"), 5)
    with (
        serving(lambda asked: Answer(200, {}, spoilt)) as mirror,
        serving(lambda asked: Answer(200, {}, b"layer")) as own,
    ):
        repository = new_client(mirrored(mirror.address, own.address)).at("example.com", "app")
        if len(spoilt) == wanted.size:
            with repository.open_blob(wanted) as reader, pytest.raises(RegistryError, match="mirror") as caught:
                reader.read()
            assert caught.value.retryable
        with repository.open_blob(wanted) as reader:
            assert reader.read() == b"layer"


def test_a_mirror_that_is_down_is_waited_for_once(new_client: Callable[..., Client]) -> None:
    with serving(lambda asked: GOOD) as own:
        client = new_client(mirrored("127.0.0.1:1", own.address))
        for _ in range(3):
            assert client.at("example.com", "app").resolve("1") == INDEX.descriptor()
    assert sum(" failed: " in line for line in client.lines) <= 3


def test_a_mirror_is_never_written_to_nor_asked_what_the_registry_has(new_client: Callable[..., Client]) -> None:
    with serving(lambda asked: Answer(404)) as mirror, serving(lambda asked: Answer(201)) as own:
        repository = new_client(mirrored(mirror.address, own.address)).at("example.com", "app")
        repository.write_manifest(INDEX.descriptor(), INDEX.raw, "1")
    assert mirror.lines() == []
    assert own.lines()[-1] == "PUT /v2/app/manifests/1"
