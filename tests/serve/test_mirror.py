"""A pull-through cache of other registries: once, verified, fresh, stale when it must be, and never pushed to."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from polyarch.errors import UsageError
from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.oci.reference import Reference
from polyarch.registry import Credential, Credentials, Hosts, Registry
from polyarch.serve import mirror, server
from polyarch.serve.mirror import PullThrough
from polyarch.serve.settings import Auth, ServeSettings
from polyarch.serve.surroundings import ServeSurroundings
from polyarch.serve.upstream import MirrorSessions
from polyarch.store import Store
from tests.needs import need
from tests.serve import logins, upstreams
from tests.serve.logins import basic
from tests.serve.requests import Requests
from tests.serve.upstreams import Upstream

LAYER = os.urandom(3 << 20)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.reported: list[Exception] = []
        self.credentials = Credentials(None)
        self.hosts = Hosts()

    def around(self, root: Path) -> ServeSurroundings:
        return ServeSurroundings(
            now=lambda: self.now,
            open_registry=lambda agent: Registry(
                self.hosts, self.credentials, f"polyarch/test {agent}", sleep=lambda _: None
            ),
            open_store=lambda: Store.open(root),
            report=self.reported.append,
        )


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with upstreams.running() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mirrored(upstream: Upstream, clock: Clock, store_root: Path) -> Iterator[Requests]:
    """A mirror of `upstream`."""
    settings = ServeSettings(port=0, mirrors=(upstream.address,))
    with server.running(store_root, settings, clock.around(store_root)) as address:
        yield Requests(address)


def path(upstream: Upstream, repository: str) -> str:
    """The path of a mirrored repository: `_` for the colon of the port."""
    return f"/v2/{upstream.address.replace(':', '_')}/{repository}"


def test_an_image_is_fetched_once_and_then_comes_from_the_store(upstream: Upstream, mirrored: Requests) -> None:
    digest = upstream.image("team/app", "1", LAYER)
    here = path(upstream, "team/app")
    for _ in range(3):
        answer = mirrored("GET", f"{here}/manifests/1")
        assert (answer.status, answer.headers["docker-content-digest"]) == (200, digest)
        assert answer.headers["content-type"] == media_types.OCI_MANIFEST
        assert mirrored("GET", f"{here}/manifests/{digest}").body == answer.body
        for part in (answer.json()["config"], *answer.json()["layers"]):
            blob = mirrored("GET", f"{here}/blobs/{part['digest']}")
            assert (blob.status, digests.of(blob.body)) == (200, part["digest"])
    assert sorted(set(upstream.asked)) == sorted(upstream.asked), "something was asked for twice"
    assert upstream.count("HEAD", "") == 0


def test_bare_paths_and_the_namespace_of_containerd_mean_the_registry_too(
    upstream: Upstream, mirrored: Requests
) -> None:
    upstream.image("team/app", "1", b"layer")
    for asked in ("/v2/team/app/manifests/1", f"/v2/team/app/manifests/1?ns={upstream.address}"):
        assert mirrored("GET", asked).status == 200
    blob = digests.of(b"layer")
    assert mirrored("GET", f"/v2/team/app/blobs/{blob}?ns={upstream.address}").body == b"layer"
    assert mirrored("GET", f"/v2/team/app/blobs/{blob}").body == b"layer"


def test_another_namespace_is_not_this_registrys_repository(upstream: Upstream, mirrored: Requests) -> None:
    mirrored.image("team/own", "1")
    upstream.image("team/app", "1", b"layer")
    for repository in ("team/own", "team/app"):
        assert mirrored("GET", f"/v2/{repository}/manifests/1?ns=ghcr.io").status == 404
        assert mirrored("GET", f"/v2/{repository}/manifests/1?ns=x%2f..%2fy").status == 404
        assert mirrored("GET", f"/v2/{repository}/manifests/1?ns={mirrored.address}").status == 200


def test_what_was_pushed_under_a_bare_path_comes_before_the_registry(upstream: Upstream, mirrored: Requests) -> None:
    own = mirrored.image("team/app", "1", layer=b"own")
    theirs = upstream.image("team/app", "1", b"theirs")
    upstream.image("team/app", "2", b"theirs")
    assert mirrored("GET", "/v2/team/app/manifests/1").headers["docker-content-digest"] == own
    assert mirrored("GET", "/v2/team/app/manifests/2").status == 200
    at = path(upstream, "team/app")
    assert mirrored("GET", f"{at}/manifests/1").headers["docker-content-digest"] == theirs
    asked = f"/v2/team/app/manifests/1?ns={upstream.address}"
    assert mirrored("GET", asked).headers["docker-content-digest"] == theirs


def test_a_tag_is_asked_for_again_after_a_while_with_head_only_if_it_has_not_moved(
    upstream: Upstream, mirrored: Requests, clock: Clock
) -> None:
    first = upstream.image("app", "1", b"one")
    here = f"{path(upstream, 'app')}/manifests/1"
    assert mirrored("GET", here).headers["docker-content-digest"] == first
    second = upstream.image("app", "1", b"two")
    clock.now += 59
    assert mirrored("GET", here).headers["docker-content-digest"] == first
    clock.now += 2
    assert mirrored("GET", here).headers["docker-content-digest"] == second
    clock.now += 61
    assert mirrored("GET", here).headers["docker-content-digest"] == second
    assert mirrored("GET", here).status == 200
    assert (upstream.count("GET", "/manifests/1"), upstream.count("HEAD", "/manifests/1")) == (2, 2)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_registry_in_trouble_leaves_what_it_said_before(
    status: int, upstream: Upstream, mirrored: Requests, clock: Clock
) -> None:
    digest = upstream.image("app", "1", b"one")
    here = path(upstream, "app")
    assert mirrored("GET", f"{here}/manifests/1").status == 200
    assert mirrored("GET", f"{here}/blobs/{digests.of(b'one')}").status == 200
    upstream.status = status
    clock.now += 1000
    assert mirrored("GET", f"{here}/manifests/1").headers["docker-content-digest"] == digest
    assert mirrored("GET", f"{here}/blobs/{digests.of(b'one')}").body == b"one"
    assert clock.reported
    answer = mirrored("GET", f"{here}/manifests/2")
    assert answer.status == (429 if status == 429 else 502)
    assert answer.code == ("TOOMANYREQUESTS" if status == 429 else "UNKNOWN")
    assert str(status) in answer.json()["errors"][0]["message"]


def test_a_registry_that_is_away_leaves_what_it_said_before_also_after_a_restart(
    clock: Clock, store_root: Path
) -> None:
    with upstreams.running() as upstream:
        digest = upstream.image("app", "1", b"one")
        settings = ServeSettings(port=0, mirrors=(upstream.address,))
        here = path(upstream, "app")
        with server.running(store_root, settings, clock.around(store_root)) as address:
            ask = Requests(address)
            assert ask("GET", f"{here}/manifests/1").status == 200
            assert ask("GET", f"{here}/blobs/{digests.of(b'one')}").status == 200
    clock.now += 1000
    with server.running(store_root, settings, clock.around(store_root)) as address:
        ask = Requests(address)
        assert ask("GET", f"{here}/manifests/1").headers["docker-content-digest"] == digest
        assert ask("GET", f"{here}/blobs/{digests.of(b'one')}").body == b"one"
        started = time.monotonic()
        assert ask("GET", f"{here}/manifests/2").status == 502
        assert ask("GET", f"{here}/manifests/2").status == 502
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_a_registry_refuses_is_absent_and_not_answered_from_before(
    status: int, upstream: Upstream, mirrored: Requests, clock: Clock
) -> None:
    upstream.image("app", "1", b"one")
    here = f"{path(upstream, 'app')}/manifests/1"
    assert mirrored("GET", here).status == 200
    upstream.status = status
    clock.now += 61
    answer = mirrored("GET", here)
    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
    # The registry's 401 would make a client send its password here.
    assert "www-authenticate" not in answer.headers


def test_many_clients_share_one_download_and_get_it_while_it_arrives(upstream: Upstream, mirrored: Requests) -> None:
    upstream.image("app", "1", LAYER)
    upstream.pause = 0.15
    here = path(upstream, "app")
    blob = f"{here}/blobs/{digests.of(LAYER)}"
    mirrored("GET", f"{here}/manifests/1")
    first = threading.Event()

    def early() -> float:
        import http.client

        connection = http.client.HTTPConnection(mirrored.address, timeout=30)
        connection.request("GET", blob)
        response = connection.getresponse()
        started = time.monotonic()
        response.read(1000)
        first.set()
        before = time.monotonic() - started
        rest = response.read()
        connection.close()
        assert len(rest) == len(LAYER) - 1000
        return before

    with ThreadPoolExecutor(12) as threads:
        reading = threads.submit(early)
        bodies = list(threads.map(lambda _: mirrored("GET", blob).body, range(10)))
        assert reading.result() < 1
    assert all(body == LAYER for body in bodies)
    assert upstream.count("GET", str(digests.of(LAYER))) == 1


def test_a_part_of_a_blob_is_answered_while_it_arrives_and_after(upstream: Upstream, mirrored: Requests) -> None:
    upstream.image("app", "1", LAYER)
    upstream.pause = 0.02
    here = path(upstream, "app")
    blob = f"{here}/blobs/{digests.of(LAYER)}"
    mirrored("GET", f"{here}/manifests/1")
    for _ in range(2):
        for start, end in ((0, 9), (2 << 20, (2 << 20) + 99), (len(LAYER) - 5, len(LAYER) - 1)):
            answer = mirrored("GET", blob, headers={"Range": f"bytes={start}-{end}"})
            assert (answer.status, answer.body) == (206, LAYER[start : end + 1])
            assert answer.headers["content-range"] == f"bytes {start}-{end}/{len(LAYER)}"
    head = mirrored("HEAD", blob)
    assert (head.status, head.headers["content-length"]) == (200, str(len(LAYER)))


def test_corrupt_content_is_never_whole_and_never_kept(
    upstream: Upstream, mirrored: Requests, store_root: Path
) -> None:
    import http.client

    upstream.image("app", "1", LAYER)
    upstream.corrupt = True
    here = path(upstream, "app")
    mirrored("GET", f"{here}/manifests/1")
    for _ in range(2):
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            mirrored("GET", f"{here}/blobs/{digests.of(LAYER)}")
    encoded = digests.encoded(digests.of(LAYER))
    assert not (store_root / "oci/blobs/sha256" / encoded).exists()
    upstream.corrupt = False
    assert mirrored("GET", f"{here}/blobs/{digests.of(LAYER)}").body == LAYER
    config = digests.of(b'{"architecture":"amd64","os":"linux"}')
    upstream.corrupt = True
    answer = mirrored("GET", f"{here}/blobs/{config}")  # so small that nothing was sent yet
    assert answer.status == 502


def test_a_manifest_that_is_not_what_its_digest_says_is_refused(upstream: Upstream, mirrored: Requests) -> None:
    upstream.image("app", "1", b"layer")
    wrong = digests.of(b"something else")
    upstream.content[f"/v2/app/manifests/{wrong}"] = upstream.content["/v2/app/manifests/1"]
    answer = mirrored("GET", f"{path(upstream, 'app')}/manifests/{wrong}")
    assert answer.status == 502


def test_a_blob_that_no_manifest_named_is_asked_for_by_its_digest(upstream: Upstream, mirrored: Requests) -> None:
    digest = upstream.blob("app", b"alone")
    here = path(upstream, "app")
    assert mirrored("HEAD", f"{here}/blobs/{digest}").headers["content-length"] == "5"
    assert mirrored("GET", f"{here}/blobs/{digest}").body == b"alone"
    absent = mirrored("GET", f"{here}/blobs/{digests.of(b'none')}")
    assert (absent.status, absent.code) == (404, "BLOB_UNKNOWN")


def test_urls_in_a_manifest_send_the_mirror_nowhere(upstream: Upstream, mirrored: Requests) -> None:
    with upstreams.running() as other:
        other.content["/secret"] = ("text/plain", b"secret")
        digest = digests.of(b"secret")
        upstream.image("app", "1", b"layer")
        layer = {"mediaType": media_types.OCI_LAYER, "digest": digest, "size": 6}
        layer["urls"] = [f"http://{other.address}/secret"]  # type: ignore[assignment]
        config = {"mediaType": media_types.OCI_CONFIG, "digest": digests.of(b"x"), "size": 1}
        document = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": config, "layers": [layer]}
        upstream.manifest("app", "2", document, media_types.OCI_MANIFEST)
        here = path(upstream, "app")
        assert mirrored("GET", f"{here}/manifests/2").status == 200
        assert mirrored("GET", f"{here}/blobs/{digest}").status == 404
        assert other.asked == []


def test_nothing_is_pushed_to_the_registry_or_under_its_names(upstream: Upstream, mirrored: Requests) -> None:
    upstream.image("app", "1", b"layer")
    here = path(upstream, "app")
    mirrored("GET", f"{here}/manifests/1")
    for method, target in [
        ("POST", "blobs/uploads/"),
        ("PUT", "manifests/1"),
        ("DELETE", "manifests/1"),
        ("DELETE", f"blobs/{digests.of(b'layer')}"),
    ]:
        answer = mirrored(method, f"{here}/{target}", b"x" if method == "PUT" else None)
        assert (answer.status, answer.code) == (403, "DENIED"), method
    assert mirrored("POST", "/v2/library/alpine/blobs/uploads/").status == 403
    assert {line.split()[0] for line in upstream.asked} <= {"GET", "HEAD"}
    assert mirrored("GET", "/v2/_catalog").json()["repositories"] == [here.removeprefix("/v2/")]


def test_the_catalog_has_the_repositories_that_were_fetched(
    upstream: Upstream, mirrored: Requests, clock: Clock, store_root: Path
) -> None:
    fetched = []
    for name in ("b/app", "a", "untouched"):
        digest = upstream.image(name, "1", b"layer of " + name.encode())
        if name != "untouched":
            here = path(upstream, name)
            fetched.append(here.removeprefix("/v2/"))
            assert mirrored("GET", f"{here}/manifests/1").status == 200
            assert mirrored("GET", f"{here}/blobs/{digest}").status == 200
    assert mirrored("GET", f"{path(upstream, 'absent')}/manifests/1").status == 404
    requests = len(upstream.asked)
    assert mirrored("GET", "/v2/_catalog").json()["repositories"] == sorted(fetched)
    assert mirrored("GET", "/v2/_catalog?n=1").json()["repositories"] == sorted(fetched)[:1]
    assert len(upstream.asked) == requests
    # A registry that is mirrored no longer: what was fetched from it can no longer be had here.
    with server.running(store_root, ServeSettings(port=0, mirrors=("docker.io",)), clock.around(store_root)) as address:
        assert Requests(address)("GET", "/v2/_catalog").json()["repositories"] == []


def test_the_credentials_of_the_user_are_for_the_registry_alone(
    upstream: Upstream, mirrored: Requests, clock: Clock, tmp_path: Path
) -> None:
    upstream.image("app", "1", b"layer")
    upstream.expected = basic("ann", "secret")["Authorization"]
    assert mirrored("GET", f"{path(upstream, 'app')}/manifests/1").status == 404
    stored = Credentials(tmp_path / "config.json")
    stored.store(upstream.address, Credential(username="ann", password="secret"))
    clock.credentials = stored
    answer = None
    settings = ServeSettings(port=0, mirrors=(upstream.address,))
    with server.running(tmp_path / "other", settings, clock.around(tmp_path / "other")) as address:
        answer = Requests(address)("GET", f"{path(upstream, 'app')}/manifests/1")
    assert answer.status == 200
    assert b"secret" not in answer.body
    assert "secret" not in str(answer.headers)


def test_a_mirror_that_is_its_own_mirror_does_not_ask_itself_for_ever(
    upstream: Upstream, clock: Clock, store_root: Path, tmp_path: Path
) -> None:
    from polyarch.registry import hosts

    upstream.image("app", "1", b"layer")
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "registries.conf").write_text(
        f'[[registry]]\nprefix = "{upstream.address}"\nlocation = "{upstream.address}"\n'
        f'[[registry.mirror]]\nlocation = "127.0.0.1:{port}/{upstream.address.replace(":", "_")}"\ninsecure = true\n'
    )
    clock.hosts = hosts.load([tmp_path / "registries.conf"], [])
    settings = ServeSettings(port=port, mirrors=(upstream.address,))
    with server.running(store_root, settings, clock.around(store_root)) as address:
        started = time.monotonic()
        assert Requests(address)("GET", f"{path(upstream, 'app')}/manifests/1").status == 200
        assert time.monotonic() - started < 10


def test_tags_and_referrers_are_the_registrys(upstream: Upstream, mirrored: Requests) -> None:
    for tag in ("1", "2", "3"):
        digest = upstream.image("app", tag, tag.encode())
    here = path(upstream, "app")
    answer = mirrored("GET", f"{here}/tags/list?n=2")
    assert answer.json()["tags"] == ["1", "2"]
    assert "last=2" in answer.headers["link"]
    listing = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []}
    upstream.content[f"/v2/app/referrers/{digest}"] = (media_types.OCI_INDEX, msgspec.json.encode(listing))
    found = mirrored("GET", f"{here}/referrers/{digest}")
    assert (found.status, found.json()["manifests"]) == (200, [])


def test_rights_on_a_mirrored_image_are_those_of_its_full_name(
    upstream: Upstream, clock: Clock, tmp_path: Path
) -> None:
    host = upstream.address.replace(":", "_")
    secret, other = "mirror-secret-0123456789", "local-secret-01234567890"
    (tmp_path / "tokens.toml").write_text(
        logins.token("mirror", secret, {f"{host}/**": ["pull"]})
        + logins.token("local", other, {"team/**": ["pull"]})
        + logins.token("all", f"all-{secret}", {"**": ["push"]})
    )
    upstream.image("team/app", "1", b"layer")
    root = tmp_path / "store"
    settings = ServeSettings(port=0, mirrors=(upstream.address,), auth=Auth("token", str(tmp_path / "tokens.toml")))
    with server.running(root, settings, clock.around(root)) as address:
        ask = Requests(address)
        for asked in (f"{path(upstream, 'team/app')}/manifests/1", f"/v2/team/app/manifests/1?ns={upstream.address}"):
            assert ask("GET", asked).status == 401
            assert ask("GET", asked, headers=basic("local", other)).status == 403
            assert ask("GET", asked, headers=basic("mirror", secret)).status == 200
        assert ask("GET", "/v2/team/app/manifests/1", headers=basic("mirror", secret)).status == 200
        assert ask("GET", "/v2/team/app/manifests/1", headers=basic("local", other)).status == 404
        # containerd's token has the path that it asks for.
        token = ask("GET", "/token?scope=repository:team/app:pull", headers=basic("mirror", secret)).json()["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        assert ask("GET", f"/v2/team/app/manifests/1?ns={upstream.address}", headers=bearer).status == 200


def test_a_manifest_of_the_registry_gives_no_way_to_blobs_of_the_store(
    upstream: Upstream, clock: Clock, tmp_path: Path
) -> None:
    host = upstream.address.replace(":", "_")
    secret = "mirror-secret-0123456789"
    (tmp_path / "tokens.toml").write_text(
        logins.token("mirror", secret, {f"{host}/**": ["pull"]})
        + logins.token("all", f"all-{secret}", {"**": ["push"]})
    )
    root = tmp_path / "store"
    settings = ServeSettings(port=0, mirrors=(upstream.address,), auth=Auth("token", str(tmp_path / "tokens.toml")))
    upstream.image("evil", "1", b"private")
    del upstream.content[f"/v2/evil/blobs/{digests.of(b'private')}"]
    with server.running(root, settings, clock.around(root)) as address:
        ask = Requests(address)
        owner = basic("all", f"all-{secret}")
        begun = ask("POST", "/v2/private/app/blobs/uploads/", headers=owner)
        done = ask("PUT", f"{begun.headers['location']}?digest={digests.of(b'private')}", b"private", owner)
        assert done.status == 201
        reader = basic("mirror", secret)
        here = path(upstream, "evil")
        assert ask("GET", f"{here}/manifests/1", headers=reader).status == 200
        assert ask("GET", f"{here}/blobs/{digests.of(b'private')}", headers=reader).status == 404


def test_what_is_mirrored_is_cache_that_a_limit_removes(upstream: Upstream, clock: Clock, store_root: Path) -> None:
    upstream.image("app", "1", LAYER)
    here = path(upstream, "app")
    settings = ServeSettings(port=0, mirrors=(upstream.address,))
    with server.running(store_root, settings, clock.around(store_root)) as address:
        ask = Requests(address)
        ask("GET", f"{here}/manifests/1")
        assert len(ask("GET", f"{here}/blobs/{digests.of(LAYER)}").body) == len(LAYER)
    with Store.open(store_root) as store:
        assert store.tags() == ()
        assert store.kept() == ()
        assert store.maintenance.usage().garbage > len(LAYER)
        store.maintenance.gc()
        assert not store.blob_path(digests.of(LAYER)).exists()
    with server.running(store_root, settings, clock.around(store_root)) as address:
        assert Requests(address)("GET", f"{here}/blobs/{digests.of(LAYER)}").body == LAYER


def test_sessions_change_and_end_with_their_last_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyarch.serve.upstream._MOST_REPOSITORIES", 2)
    made: list[Registry] = []
    closed: list[Registry] = []

    class Closing(Registry):
        def close(self) -> None:
            closed.append(self)
            super().close()

    def open_registry() -> Registry:
        made.append(Closing(Hosts(), Credentials(None), "test"))
        return made[-1]

    sessions = MirrorSessions(open_registry, lambda: Store.open(tmp_path))
    names = [Reference("r.example", f"a{number}") for number in range(3)]
    with sessions.session(names[0]) as first:
        with sessions.session(names[1]):
            pass
        with sessions.session(names[2]) as second:
            assert first is not second
            assert closed == []
    assert closed == [made[0]]
    sessions.close()
    assert closed == made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("ghcr.io", "ghcr.io"),
        ("a.b:5000", "a.b:5000"),
    ],
)
def test_hosts_of_mirrors_have_one_name(text: str, expected: str) -> None:
    assert mirror.host(text) == expected


@pytest.mark.parametrize("text", ["", "https://docker.io", "docker.io/library", "docker", "a b", "@x", "-"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--mirror"):
        mirror.host(text)


@pytest.mark.parametrize(
    ("path", "namespace", "expected"),
    [
        ("docker.io/library/alpine", "", "docker.io/library/alpine"),
        ("docker.io/alpine", "", "docker.io/library/alpine"),
        ("library/alpine", "docker.io", "docker.io/library/alpine"),
        ("library/alpine", "index.docker.io", "docker.io/library/alpine"),
        ("ghcr.io/org/app", "", "ghcr.io/org/app"),
        ("org/app", "ghcr.io", "ghcr.io/org/app"),
        ("localhost_5000/app", "", "localhost:5000/app"),
        ("quay.io/org/app", "", None),
        ("org/app", "", None),
        ("docker.io", "", None),
        ("org/app", "quay.io", None),
        ("docker.io/../x", "", None),
    ],
)
def test_paths_stand_for_repositories_of_mirrored_registries(path: str, namespace: str, expected: str | None) -> None:
    made = PullThrough(("docker.io", "ghcr.io", "localhost:5000"), "x", None, time.time, lambda _: None)  # type: ignore[arg-type]
    found = made.locate(path, namespace)
    assert (None if found is None else str(found)) == expected
    assert str(made.fallback("alpine")) == "docker.io/library/alpine"


def test_skopeo_copies_an_index_through_the_mirror(upstream: Upstream, mirrored: Requests, tmp_path: Path) -> None:
    need("skopeo")
    images = [upstream.image("team/app", "", os.urandom(100_000)) for _ in range(2)]
    entries = [
        {
            "mediaType": media_types.OCI_MANIFEST,
            "digest": image,
            "size": len(upstream.content[f"/v2/team/app/manifests/{image}"][1]),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for image, architecture in zip(images, ("amd64", "arm64"), strict=True)
    ]
    document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries}
    upstream.manifest("team/app", "1", document, media_types.OCI_INDEX)
    source = f"docker://{mirrored.address}/{upstream.address.replace(':', '_')}/team/app:1"
    command = ["skopeo", "copy", "--all", "--src-tls-verify=false", source, f"oci:{tmp_path}/copy:1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(tmp_path / "copy")
