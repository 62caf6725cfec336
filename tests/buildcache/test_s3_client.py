"""The S3 client, against moto's server, which checks signatures, and against botocore's signatures."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.buildcache import s3_client, s3_credentials, s3_settings, s3_signature
from polyarch.buildcache.s3_client import S3Client
from polyarch.buildcache.s3_settings import S3Settings
from polyarch.buildcache.s3_signature import S3Credentials
from polyarch.errors import CorruptError, NotFoundError, RegistryError, UsageError
from polyarch.registry.hosts import Hosts
from polyarch.registry.http import Transport
from tests.buildcache.buckets import S3Server, s3_server
from tests.registry.faults import Answer, Asked, serving

NOW = 1_790_000_000.0
# Each has characters that are encoded in one place and not in another.
ODD_KEYS = [
    "plain",
    "a b+c",
    "sha256:0f",
    "ä/ö",
    "100%/25%20",
    "a?b=c&d#e",
    "~._-/!*'();@$,",
    "two//slashes",
    "=",
    "a\\b",
]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


def settings_of(server: S3Server, **more: str) -> S3Settings:
    given = {"bucket": server.bucket(), "endpoint_url": server.url, "use_path_style": "true", **more}
    return s3_settings.parse(given, {})


def client_of(settings: S3Settings, credentials: S3Credentials, now: float | None = None) -> S3Client:
    import time

    transport = Transport(Hosts(), "tests", sleep=lambda seconds: None)
    return S3Client(transport, settings, credentials, time.time if now is None else lambda: now)


@pytest.fixture
def client(server: S3Server) -> S3Client:
    return client_of(settings_of(server), server.credentials)


def test_objects_with_odd_keys_are_written_listed_read_touched_and_deleted(client: S3Client) -> None:
    for key in ODD_KEYS:
        client.put(key, key.encode())
    assert [found.key for found in client.list("")] == sorted(ODD_KEYS, key=lambda key: key.encode())
    for key in ODD_KEYS:
        found = client.get(key, 100)
        assert found is not None
        assert found[0] == key.encode()
        described = client.head(key)
        assert described is not None
        assert (described.size, described.etag) == (len(key.encode()), found[1])
        client.touch(described)
        client.delete(key)
        assert client.head(key) is None
        assert client.get(key, 100) is None


def test_a_range_is_read(client: S3Client) -> None:
    client.put("a", b"0123456789")
    with client.open("a", 3, 4) as reader:
        assert reader.read() == b"3456"
    with client.open("a", 8, 4) as reader, pytest.raises(CorruptError, match="shorter"):
        reader.read()
    with pytest.raises(NotFoundError, match="has no b"):
        client.open("b", 0, 1)
    with pytest.raises(CorruptError, match="longer than 5 bytes"):
        client.get("a", 5)


def test_a_list_of_more_than_a_page_is_whole(client: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"p/{number:04}" for number in range(12)]
    for key in [*keys, "q"]:
        client.put(key, b"")
    original = s3_signature.encoded_query
    monkeypatch.setattr(
        s3_client, "encoded_query", lambda pairs: original([*pairs, *([("max-keys", "5")] if pairs else [])])
    )
    assert [found.key for found in client.list("p/")] == keys


def test_a_large_object_is_sent_in_parts(client: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # The smallest part that S3 takes.
    monkeypatch.setattr(s3_client, "_PART", 5 << 20)
    content = bytes(range(256)) * (11 << 12)
    client.upload("large", io.BytesIO(content), len(content))
    found = client.head("large")
    assert found is not None
    assert found.size == len(content)
    with client.open("large", (5 << 20) - 3, 6) as reader:
        assert reader.read() == content[(5 << 20) - 3 : (5 << 20) + 3]


def test_an_upload_that_fails_leaves_no_parts(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "_PART", 5 << 20)
    settings = settings_of(server)

    class Torn(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise RegistryError("the source is gone")
            return super().read(size)

    with pytest.raises(RegistryError, match="the source is gone"):
        client_of(settings, server.credentials).upload("large", Torn(bytes(11 << 20)), 11 << 20)
    assert server.unfinished(settings.bucket) == []


def test_a_large_object_is_renewed_in_parts(client: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(256)) * (11 << 12)
    client.put("large", content)
    found = client.head("large")
    assert found is not None
    monkeypatch.setattr(s3_client, "_LARGEST_COPY", 5 << 20)
    client.touch(found)
    after = client.head("large")
    assert after is not None
    assert after.size == len(content)


def test_conditional_writes_tell_who_was_first() -> None:
    stored: dict[str, str] = {}

    def answer(asked: Asked) -> Answer:
        old = stored.get(asked.path)
        wanted, absent = asked.headers.get("If-Match"), asked.headers.get("If-None-Match")
        if (wanted and wanted != old) or (absent and old):
            return Answer(412, {}, b"<Error><Code>PreconditionFailed</Code></Error>")
        stored[asked.path] = f'"{len(asked.body)}"'
        return Answer(200, {"ETag": stored[asked.path]})

    with serving(answer) as fake:
        client = fake_client(fake.url)
        assert client.put("a", b"1", unless="") == '"1"'
        assert client.put("a", b"22", unless="") is None
        assert client.put("a", b"22", unless='"1"') == '"2"'
        assert client.put("a", b"333", unless='"1"') is None


def test_a_server_without_conditional_writes_is_written_all_the_same() -> None:
    def answer(asked: Asked) -> Answer:
        conditional = asked.headers.get("If-Match") or asked.headers.get("If-None-Match")
        return (
            Answer(501, {}, b"<Error><Code>NotImplemented</Code></Error>")
            if conditional
            else Answer(200, {"ETag": "x"})
        )

    with serving(answer) as fake:
        client = fake_client(fake.url)
        assert client.put("a", b"1", unless="") == "x"
        assert client.put("a", b"1", unless="y") == "x"
        assert len(fake.asked) == 3


def fake_client(url: str, now: float = NOW) -> S3Client:
    settings = s3_settings.parse({"bucket": "b", "endpoint_url": url, "region": "here"}, {})
    return client_of(settings, S3Credentials("K", "S"), now)


@pytest.mark.parametrize(
    ("status", "headers", "body", "message", "hint"),
    [
        (403, {}, "SignatureDoesNotMatch", "SignatureDoesNotMatch", "secret access key"),
        (403, {}, "InvalidAccessKeyId", "InvalidAccessKeyId", "access_key_id"),
        (403, {}, "AccessDenied", "AccessDenied", "s3:PutObject"),
        (400, {}, "ExpiredToken", "ExpiredToken", "expired"),
        (404, {}, "NoSuchBucket", "NoSuchBucket", "create the bucket"),
        (
            301,
            {"x-amz-bucket-region": "there"},
            "PermanentRedirect",
            "is in the region there, not in here",
            "region=there",
        ),
        (307, {"Location": "http://127.0.0.1:9/"}, "TemporaryRedirect", "TemporaryRedirect", "check region="),
        (
            400,
            {},
            "AuthorizationHeaderMalformed</Code><Region>there</Region><Code>AuthorizationHeaderMalformed",
            "is in the region there, not in here",
            "region=there",
        ),
        (
            403,
            {"Date": "Mon, 30 Nov 2026 12:00:00 GMT"},
            "RequestTimeTooSkewed",
            "it is Mon, 30 Nov 2026 12:00:00 GMT there, Mon, 21 Sep 2026 14:13:20 GMT here",
            "clock",
        ),
        (500, {}, "", "HTTP status 500", ""),
        (418, {}, "", "HTTP status 418", ""),
    ],
)
def test_errors_of_s3_are_named(status: int, headers: dict[str, str], body: str, message: str, hint: str) -> None:
    document = f"<Error><Code>{body}</Code></Error>".encode() if body else b"<html>"
    with serving(lambda asked: Answer(status, headers, document)) as fake:
        client = fake_client(fake.url)
        for action in (
            lambda: client.put("a", b"1"),
            lambda: client.get("a", 9),
            lambda: list(client.list("")),
        ):
            with pytest.raises(RegistryError) as raised:
                action()
            assert message in raised.value.message
            assert "s3://b: cannot" in raised.value.message
            assert hint in (raised.value.hint or "")


def test_head_asks_again_for_the_reason_of_a_refusal() -> None:
    with serving(lambda asked: Answer(403, {}, b"<Error><Code>AccessDenied</Code></Error>")) as fake:
        with pytest.raises(RegistryError, match="AccessDenied"):
            fake_client(fake.url).head("a")
        assert fake.lines() == ["HEAD /b/a", "GET /b/a"]


def test_an_error_that_comes_with_status_200_is_one() -> None:
    failure = Answer(200, {}, b"<Error><Code>InternalError</Code></Error>")
    with serving(lambda asked: failure) as fake, pytest.raises(RegistryError, match="InternalError"):
        fake_client(fake.url).touch(s3_client.S3Object("a", 1, 0.0))


# ── signatures


@pytest.mark.parametrize("key", ODD_KEYS)
@pytest.mark.parametrize("token", ["", "a/token+=="])
def test_signatures_are_botocores(key: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    query = s3_signature.encoded_query([("uploadId", "a/b+c ="), ("partNumber", "1"), ("acl", "")])
    url = f"https://bucket.s3.example:8443/{s3_signature.encoded_path(key)}?{query}"
    given = {"Range": "bytes=0-5", "x-amz-meta-note": "two  spaces"}
    ours = s3_signature.signed(
        "PUT", url, given, s3_signature.EMPTY, S3Credentials("KEY", "se/cret+", token), "eu-west-3", "20260921T141320Z"
    )

    class Fixed(auth.S3SigV4Auth):
        def _should_sha256_sign_payload(self, request: AWSRequest) -> bool:
            return True

    request = AWSRequest("PUT", url, {**given, "X-Amz-Date": "20260921T141320Z"}, b"")
    request.context["timestamp"] = "20260921T141320Z"
    theirs = Fixed(Credentials("KEY", "se/cret+", token or None), "s3", "eu-west-3")
    if token:
        request.headers["X-Amz-Security-Token"] = token
    request.headers["X-Amz-Content-SHA256"] = s3_signature.EMPTY
    string = theirs.string_to_sign(request, theirs.canonical_request(request))
    assert ours["Authorization"].endswith(f"Signature={theirs.signature(string, request)}")


def test_a_wrong_secret_is_refused_by_the_server(server: S3Server) -> None:
    wrong = S3Credentials(server.credentials.key, "wrong")
    with pytest.raises(RegistryError, match="SignatureDoesNotMatch"):
        client_of(settings_of(server), wrong).put("a", b"1")


# ── credentials and attributes

FILES = """
[default]
aws_access_key_id = D
aws_secret_access_key = "100%\\
[work]
aws_access_key_id=W
aws_secret_access_key = w=w
aws_session_token = t
[role]
role_arn = arn:aws:iam::1:role/x
[half]
aws_access_key_id = H
"""


@pytest.mark.parametrize(
    ("attributes", "variables", "expected"),
    [
        ({}, {}, ("D", '"100%\\', "")),
        ({}, {"AWS_PROFILE": "work"}, ("W", "w=w", "t")),
        ({}, {"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "f", "AWS_SESSION_TOKEN": "s"}, ("E", "f", "s")),
        ({}, {"AWS_ACCESS_KEY_ID": "E"}, ("D", '"100%\\', "")),
        ({"access_key_id": "A", "secret_access_key": "b"}, {"AWS_SESSION_TOKEN": "s"}, ("A", "b", "")),
        ({"session_token": "x"}, {"AWS_PROFILE": "work"}, ("W", "w=w", "x")),
    ],
)
def test_credentials_are_looked_for_where_amazons_sdk_does(
    attributes: dict[str, str], variables: dict[str, str], expected: tuple[str, str, str], tmp_path: Path
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(FILES)
    found = s3_credentials.find(attributes, {"HOME": str(tmp_path), **variables})
    assert (found.key, found.secret, found.token) == expected
    assert found.secret not in repr(found)


@pytest.mark.parametrize(
    ("text", "profile", "message"),
    [
        ("", "", "there are no credentials for S3"),
        (FILES, "role", "takes them from role_arn"),
        (FILES, "half", "there are no credentials for S3"),
        (FILES, "absent", "AWS_PROFILE is 'absent'"),
        ("secret = x", "", "credentials is malformed"),
    ],
)
def test_credentials_that_are_not_there_are_an_error_that_shows_no_secret(
    text: str, profile: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(text)
    with pytest.raises(UsageError, match=message) as raised:
        s3_credentials.find({}, {"HOME": str(tmp_path), "AWS_PROFILE": profile})
    assert "secret = x" not in raised.value.message


def test_a_profile_may_be_in_the_configuration_file(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[profile work]\naws_access_key_id = C\naws_secret_access_key = c\n")
    variables = {"HOME": str(tmp_path), "AWS_PROFILE": "work", "AWS_CONFIG_FILE": str(config)}
    assert s3_credentials.find({}, variables).key == "C"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no bucket"),
        ({"bucket": "a/b", "region": "r"}, "'a/b' is not the name of a bucket"),
        ({"bucket": "b"}, "no region"),
        ({"bucket": "b", "region": "r", "name": "a;"}, "empty name"),
        ({"bucket": "b", "region": "r", "use_path_style": "maybe"}, "use_path_style=maybe"),
        ({"bucket": "b", "region": "r", "touch_refresh": "1 day"}, "touch_refresh=1 day"),
        ({"bucket": "b", "region": "r", "upload_parallelism": "0"}, "upload_parallelism=0"),
        ({"bucket": "b", "region": "r", "retry_mode": "often"}, "retry_mode=often"),
        ({"bucket": "b", "region": "r", "retry_max_attempts": "-1"}, "retry_max_attempts=-1"),
        ({"bucket": "b", "region": "r", "endpoint_url": "minio:9000"}, "endpoint_url is not"),
        ({"bucket": "b", "region": "r", "endpoint_url": "http://u:p@minio"}, "endpoint_url is not"),
    ],
)
def test_wrong_attributes_are_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        s3_settings.parse(given, {})
    assert "u:p" not in raised.value.message


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"region": "eu-west-1"}, "https://b.s3.eu-west-1.amazonaws.com"),
        ({"region": "cn-north-1"}, "https://b.s3.cn-north-1.amazonaws.com.cn"),
        ({"region": "eu-west-1", "bucket": "a.b"}, "https://s3.eu-west-1.amazonaws.com/a.b"),
        ({"endpoint_url": "https://minio.example/"}, "https://b.minio.example"),
        ({"endpoint_url": "https://minio.example/", "use_path_style": "1"}, "https://minio.example/b"),
        ({"endpoint_url": "http://10.0.0.1:9000"}, "http://10.0.0.1:9000/b"),
        ({"endpoint_url": "http://[::1]:9000"}, "http://[::1]:9000/b"),
    ],
)
def test_the_bucket_is_in_the_host_name_where_that_is_possible(given: dict[str, str], expected: str) -> None:
    settings = s3_settings.parse({"bucket": "b", **given}, {})
    assert client_of(settings, S3Credentials("K", "S"))._base == expected


def test_variables_stand_in_for_attributes() -> None:
    variables = {"AWS_BUCKET": "b", "AWS_REGION": "r", "AWS_ENDPOINT_URL": "http://e"}
    found = s3_settings.parse({}, variables)
    assert (found.bucket, found.region, found.endpoint) == ("b", "r", "http://e")
    assert s3_settings.parse({"bucket": "c", "region": "q"}, variables).bucket == "c"
