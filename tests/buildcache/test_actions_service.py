"""The client of the cache service of GitHub Actions, against a service that keeps its rules."""

import io
from collections.abc import Iterator

import pytest

from polyarch.buildcache import actions_service, actions_settings, actions_token
from polyarch.buildcache.actions_service import ActionsService
from polyarch.buildcache.carrier import ReadOnlyError
from polyarch.errors import ConflictError, CorruptError, NotFoundError, RegistryError, UsageError
from polyarch.registry.hosts import Hosts
from polyarch.registry.http import Transport
from tests.buildcache.actions_server import FORK, MAIN, NOW, PULL, ActionsServer, actions_server, token
from tests.registry.faults import Answer


@pytest.fixture
def server() -> Iterator[ActionsServer]:
    with actions_server() as running:
        yield running


def client(server: ActionsServer, text: str = MAIN, waits: list[float] | None = None) -> ActionsService:
    settings = actions_settings.parse({"url_v2": server.url, "token": text}, {})
    assert settings is not None
    transport = Transport(Hosts(), "tests", sleep=(waits if waits is not None else []).append)
    return ActionsService(transport, settings, actions_token.parse(settings.token, NOW))


def save(service: ActionsService, key: str, content: bytes) -> None:
    service.save(key, io.BytesIO(content), len(content))


def read(service: ActionsService, key: str, offset: int, size: int) -> bytes:
    entry = service.find(key)
    assert entry is not None
    with service.open(entry, offset, size) as reader:
        return reader.read()


def test_what_was_saved_is_read_back_in_parts(server: ActionsServer) -> None:
    service = client(server)
    assert service.find("a") is None
    save(service, "a", b"0123456789")
    assert read(service, "a", 0, 10) == b"0123456789"
    assert read(service, "a", 3, 4) == b"3456"
    assert read(service, "a", 0, 0) == b""


def test_large_contents_are_sent_in_blocks_and_keep_their_order(
    server: ActionsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions_service, "_BLOCK", 1000)
    content = bytes(range(256)) * 43
    save(client(server), "large", content)
    assert server.content("large") == content
    assert sum("comp=" in asked.path or "comp" in asked.query for asked in server.server.asked) == 13


def test_a_key_is_taken_for_ever_even_if_its_upload_failed(server: ActionsServer) -> None:
    service = client(server)

    class Torn(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise RegistryError("the source is gone")

    with pytest.raises(RegistryError, match="the source is gone"):
        service.save("a", Torn(), 5)
    assert service.find("a") is None
    with pytest.raises(ConflictError):
        save(service, "a", b"other")


def test_a_prefix_finds_the_newest_and_a_key_never_another_that_begins_like_it(server: ActionsServer) -> None:
    service = client(server)
    for key in ("app#1", "app#2", "app2#3"):
        save(service, key, key.encode())
    newest = service.find("app#", ["app#"])
    assert newest is not None
    assert newest.key == "app#2"
    # The service itself answers with app2#3.
    assert service.find("app") is None
    assert service.find("app2") is None


def test_a_pull_request_sees_its_own_entries_before_those_of_its_target_and_main_sees_none_of_them(
    server: ActionsServer,
) -> None:
    main, pull = client(server, MAIN), client(server, PULL)
    save(main, "a#1", b"main")
    found = pull.find("a#", ["a#"])
    assert found is not None
    with pull.open(found, 0, 4) as reader:
        assert reader.read() == b"main"
    save(pull, "a#1", b"pull")
    assert read(pull, "a#1", 0, 4) == b"pull"
    assert read(main, "a#1", 0, 4) == b"main"


def test_a_token_that_may_only_read_says_so(server: ActionsServer) -> None:
    service = client(server, FORK)
    assert service.token.write_ref is None
    with pytest.raises(ReadOnlyError, match="no writable scopes"):
        save(service, "a", b"x")
    server.refusal = Answer(403, {}, b'{"code":"permission_denied","msg":"cache write denied: policy"}')
    with pytest.raises(ReadOnlyError, match="policy"):
        save(client(server), "a", b"x")


def test_a_throttled_request_waits_as_long_as_the_service_says(server: ActionsServer) -> None:
    waits: list[float] = []
    service = client(server, waits=waits)
    server.throttled = 2
    save(service, "a", b"x")
    assert waits == [1.0, 1.0]
    server.throttled = 100
    with pytest.raises(RegistryError, match=r"cannot look for a.*slow down") as raised:
        service.find("a")
    assert raised.value.status == 429
    assert "limits requests" in (raised.value.hint or "")


def test_an_expired_url_is_renewed_once(server: ActionsServer) -> None:
    service = client(server)
    save(service, "a", b"0123456789")
    entry = service.find("a")
    assert entry is not None
    server.generation += 1
    with service.open(entry, 2, 3) as reader:
        assert reader.read() == b"234"
    before = len(server.methods())
    with service.open(entry, 5, 3) as reader:
        assert reader.read() == b"567"
    assert len(server.methods()) == before
    server.forget("a")
    server.generation += 1
    with pytest.raises(NotFoundError, match="the entry a is gone"):
        service.open(entry, 0, 1)


def test_an_entry_that_is_shorter_than_its_index_says_is_corrupt(server: ActionsServer) -> None:
    service = client(server)
    save(service, "a", b"0123456789")
    entry = service.find("a")
    assert entry is not None
    with service.open(entry, 5, 10) as reader, pytest.raises(CorruptError, match="shorter"):
        reader.read()
    with pytest.raises(CorruptError, match="shorter"):
        service.open(entry, 50, 10)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'{"ok": true}', b'{"ok": true, "signed_download_url": 5}', b"<html>", b"[" * 5000],
)
def test_answers_that_are_not_the_services_are_an_error_or_a_miss(server: ActionsServer, body: bytes) -> None:
    service = client(server)
    server.answers = Answer(200, {}, body)
    if body in (b'{"ok": true}', b'{"ok": true, "signed_download_url": 5}'):
        assert service.find("a") is None
    else:
        with pytest.raises(RegistryError, match="cannot look for a"):
            service.find("a")


def test_errors_show_no_token_and_no_signature(server: ActionsServer) -> None:
    service = client(server)
    server.refusal = Answer(500, {}, f'{{"code":"internal","msg":"bad {MAIN}\\u001b[2J"}}'.encode())
    with pytest.raises(RegistryError) as raised:
        save(service, "a", b"x")
    assert MAIN not in raised.value.message
    assert "\x1b" not in raised.value.message
    assert MAIN not in repr(service.token)
    server.refusal = None
    save(service, "b", b"x")
    assert "sig" not in repr(service.find("b"))


# ── tokens and attributes


def test_a_token_tells_which_refs_it_reads_and_writes() -> None:
    parsed = actions_token.parse(PULL, NOW)
    assert parsed.read_refs == ("refs/pull/7/merge", "refs/heads/main")
    assert parsed.write_ref == "refs/pull/7/merge"
    # Services that are not GitHub's give such tokens.
    nameless = actions_token.parse(token(ac=None), NOW)
    assert (nameless.read_refs, nameless.write_ref) == (("",), "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a JSON web token"),
        ("a.b", "not a JSON web token"),
        ("a.!!!.c", "not a JSON web token"),
        ("ä.e30.c", "not a JSON web token"),
        ("a.W10.c", "not a JSON web token"),
        (token(ac="[{]"), "access controls that cannot be read"),
        (token(ac=[1]), "access controls that cannot be read"),
        (token(ac='[{"Scope": 5}]'), "access controls that cannot be read"),
        (token(("refs/heads/main", 3), expires=NOW - 1), "expired at 2026-09-"),
    ],
)
def test_a_token_that_cannot_be_used_is_an_error_without_its_text(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        actions_token.parse(text, NOW)
    assert not text or text not in raised.value.message


def test_attributes_come_from_the_job_unless_they_are_given() -> None:
    job = {
        "ACTIONS_CACHE_SERVICE_V2": "True",
        "ACTIONS_RESULTS_URL": "https://results.example/",
        "ACTIONS_RUNTIME_TOKEN": "T",
    }
    found = actions_settings.parse({}, job)
    assert found is not None
    assert (found.url, found.token, found.scope, found.timeout) == ("https://results.example", "T", "buildkit", 600)
    assert "T" not in repr(found).replace("ActionsSettings", "")
    found = actions_settings.parse({"url_v2": "http://here:1", "token": "U", "scope": "app", "timeout": "1m"}, job)
    assert found is not None
    assert (found.url, found.token, found.scope, found.timeout) == ("http://here:1", "U", "app", 60)


@pytest.mark.parametrize("variables", [{}, {"ACTIONS_RUNTIME_TOKEN": "T"}, {"ACTIONS_CACHE_SERVICE_V2": "1"}])
def test_outside_a_job_there_is_no_service(variables: dict[str, str]) -> None:
    assert actions_settings.parse({}, variables) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"version": "3"}, "version=3"),
        ({"version": "1"}, "version 1 of the cache service is not supported"),
        ({"url": "https://old.example/"}, "version 1 of the cache service is not supported"),
        ({"timeout": "soon"}, "timeout=soon is not a duration"),
        ({"timeout": "-1s"}, "timeout=-1s is not a duration"),
        ({"scope": "a,b"}, "scope=a,b"),
        ({"scope": ""}, "scope="),
        ({"url_v2": "ftp://x", "token": "T"}, "URL of the cache service"),
        ({"url_v2": "https://x:bad/", "token": "T"}, "URL of the cache service"),
    ],
)
def test_wrong_attributes_are_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        actions_settings.parse(given, {})
