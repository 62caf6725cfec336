"""Objects of one S3 bucket: the few requests that a cache needs, over the transport of the registries.

Amazon's SDK is not used, because it would be the largest dependency by far, and brings an HTTP stack of its own: other
proxies, other certificates, other retries.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import unquote_plus, urlsplit

import msgspec

from polyarch.buildcache import s3_errors
from polyarch.buildcache.blocks import blocks, together
from polyarch.buildcache.ranged import ResumedRange, positioned
from polyarch.buildcache.s3_settings import S3Settings
from polyarch.buildcache.s3_signature import EMPTY, S3Credentials, encoded_path, encoded_query, signed
from polyarch.distribution import headers
from polyarch.errors import CorruptError, NotFoundError, RegistryError
from polyarch.oci.place import Readable
from polyarch.oci.retry import Retry
from polyarch.registry.http import Body, Transport
from polyarch.registry.response import Response

_PART = 16 << 20
_MOST_PARTS = 10_000
# CopyObject takes no larger object; beyond it, parts are copied.
_LARGEST_COPY = 5 << 30
# A page of a list: up to 1,000 keys of 1,024 bytes, each of which may be encoded.
_LARGEST_PAGE = 16 << 20


class S3Object(msgspec.Struct, frozen=True):
    """An object: its key, its size in bytes, when it was written (Unix time), and its ETag."""

    key: str
    size: int
    modified: float
    etag: str = ""


class S3Client:
    """The objects of a bucket. It owns nothing: the transport is the registry's. Threads may share it.

    `now` returns the time as Unix time. Each method raises RegistryError where S3 refuses or cannot be reached.
    """

    def __init__(
        self, transport: Transport, settings: S3Settings, credentials: S3Credentials, now: Callable[[], float]
    ) -> None:
        self._transport = transport
        self._settings = settings
        self._credentials = credentials
        self._now = now
        self._base = _base(settings)
        self._retry = Retry(settings.attempts, 0.2) if settings.attempts else transport.retry
        # False as soon as the server says that it does not know conditional writes.
        self._conditional = True

    def head(self, key: str) -> S3Object | None:
        """What is known of an object; None if it does not exist."""
        with self._send("HEAD", key) as response:
            if response.status == 200:
                return _described(key, response)
            if response.status == 404:
                return None
        # The answer to HEAD has no body that says why.
        with self._send("GET", key, {"Range": headers.byte_range(0, 1)}) as response:
            if response.status == 404:
                return None
            if response.status in (200, 206, 416):
                return _described(key, response)
            raise self._refused(response, f"cannot look for {key}")

    def get(self, key: str, limit: int) -> tuple[bytes, str] | None:
        """The content of an object of at most `limit` bytes, and its ETag; None if it does not exist.

        Raises CorruptError if it is longer.
        """
        with self._send("GET", key) as response:
            if response.status == 404 and s3_errors.code_of(response) == "NoSuchKey":
                return None
            if response.status != 200:
                raise self._refused(response, f"cannot read {key}")
            content = response.body(limit + 1)
            if len(content) > limit:
                raise CorruptError(f"{key} in the bucket {self._settings.bucket} is longer than {limit} bytes")
            return content, response.header("ETag")

    def open(self, key: str, offset: int, size: int) -> ResumedRange:
        """`size` bytes of an object from `offset`. Raises NotFoundError; CorruptError if it is shorter."""
        return ResumedRange(
            lambda start, end: self._open(key, start, end), offset, size, self._retry, self._transport.sleep
        )

    def _open(self, key: str, start: int, end: int) -> Response:
        response = self._send("GET", key, {"Range": headers.byte_range(start, end)})
        if response.status == 404:
            with response:
                raise NotFoundError(f"the bucket {self._settings.bucket} has no {key}", "it may have expired")
        if response.status not in (200, 206, 416):
            raise self._refused(response, f"cannot read {key}")
        return positioned(response, start, key)

    def put(self, key: str, content: bytes, unless: str | None = None) -> str | None:
        """Write an object, and return its ETag.

        With `unless`, only if the object still has this ETag, or does not exist if it is empty; None if that is not so.
        A server that knows no conditional writes writes it in any case, so read it again.
        """
        condition: dict[str, str] = {}
        if unless is not None and self._conditional:
            condition = {"If-Match": unless} if unless else {"If-None-Match": "*"}
        with self._send("PUT", key, {"Content-Type": "application/octet-stream", **condition}, content) as response:
            if response.status == 200:
                return response.header("ETag")
            # 404: the object was removed meanwhile; 409: another writer is faster.
            if condition and response.status in (404, 409, 412) and s3_errors.code_of(response) != "NoSuchBucket":
                return None
            if condition and response.status == 501:
                self._conditional = False
                return self.put(key, content)
            raise self._refused(response, f"cannot write {key}")

    def upload(self, key: str, content: Readable, size: int) -> None:
        """Write an object of `size` bytes, in parts if it is large. Raises whatever reading raises."""
        part = max(_PART, -(-size // _MOST_PARTS))
        if size <= part:
            self.put(key, content.read())
            return
        upload = self._initiate(key)
        try:
            sent = together(
                lambda block: (block[0] + 1, self._put_part(key, upload, block[0] + 1, block[1])),
                enumerate(blocks(content, part)),
                self._settings.parallelism,
            )
            self._complete(key, upload, sent)
        except BaseException:
            # Otherwise the parts stay, invisible, and are paid for.
            self._send("DELETE", key, query=[("uploadId", upload)]).close()
            raise

    def _initiate(self, key: str) -> str:
        with self._send("POST", key, query=[("uploads", "")]) as response:
            upload = s3_errors.fields(response.body()).get("UploadId", "") if response.status == 200 else ""
            if not upload:
                raise self._refused(response, f"cannot begin to write {key}")
            return upload

    def _put_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        query = [("partNumber", str(number)), ("uploadId", upload)]
        with self._send("PUT", key, body=content, query=query) as response:
            if response.status != 200:
                raise self._refused(response, f"cannot write part {number} of {key}")
            return response.header("ETag")

    def _complete(self, key: str, upload: str, parts: Iterable[tuple[int, str]]) -> None:
        from xml.sax.saxutils import escape

        lines = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>" for number, etag in parts
        )
        body = f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()
        with self._send("POST", key, body=body, query=[("uploadId", upload)]) as response:
            # The status is sent before the work is done, so an error may come with 200.
            if response.status != 200 or "Code" in s3_errors.fields(response.body()):
                raise self._refused(response, f"cannot finish {key}")

    def list(self, prefix: str) -> Iterator[S3Object]:
        """The objects whose keys begin with `prefix`, sorted by key."""
        after = ""
        while True:
            query = [("list-type", "2"), ("prefix", prefix), ("encoding-type", "url")]
            with self._send("GET", "", query=[*query, *([("continuation-token", after)] if after else [])]) as response:
                if response.status != 200:
                    raise self._refused(response, f"cannot list {prefix}*")
                found, after = _page(response.body(_LARGEST_PAGE))
            yield from found
            if not after:
                return

    def delete(self, key: str) -> None:
        """Delete an object. It may be absent."""
        with self._send("DELETE", key) as response:
            if response.status not in (200, 204, 404):
                raise self._refused(response, f"cannot delete {key}")

    def touch(self, found: S3Object) -> None:
        """Write an object again as it is, so that its age begins anew. The server copies it."""
        source = {"x-amz-copy-source": encoded_path(f"{self._settings.bucket}/{found.key}")}
        if found.size > _LARGEST_COPY:
            self._copy_parts(found, source)
            return
        copy = {**source, "x-amz-metadata-directive": "REPLACE", "x-amz-meta-updated-at": self._timestamp()}
        with self._send("PUT", found.key, copy) as response:
            if response.status != 200 or "Code" in s3_errors.fields(response.body()):
                raise self._refused(response, f"cannot renew {found.key}")

    def _copy_parts(self, found: S3Object, source: Mapping[str, str]) -> None:
        upload = self._initiate(found.key)
        parts = []
        for number, start in enumerate(range(0, found.size, _LARGEST_COPY), 1):
            end = min(start + _LARGEST_COPY, found.size)
            wanted = {**source, "x-amz-copy-source-range": headers.byte_range(start, end)}
            query = [("partNumber", str(number)), ("uploadId", upload)]
            with self._send("PUT", found.key, wanted, query=query) as response:
                etag = s3_errors.fields(response.body()).get("ETag", "")
                if response.status != 200 or not etag:
                    raise self._refused(response, f"cannot renew {found.key}")
                parts.append((number, etag))
        self._complete(found.key, upload, parts)

    def _send(
        self,
        method: str,
        key: str,
        sent: Mapping[str, str] | None = None,
        body: bytes = b"",
        query: Iterable[tuple[str, str]] = (),
    ) -> Response:
        url = f"{self._base}/{encoded_path(key)}"
        if asked := encoded_query(query):
            url += f"?{asked}"
        payload = hashlib.sha256(body).hexdigest() if body else EMPTY
        stamped = signed(method, url, sent or {}, payload, self._credentials, self._settings.region, self._timestamp())
        # A redirection leads to another region, for which the signature is wrong.
        content = Body(body) if body or method in ("PUT", "POST") else None
        return self._transport.send(method, url, stamped, content, retry=self._retry, redirects=False)

    def _timestamp(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).strftime("%Y%m%dT%H%M%SZ")

    def _refused(self, response: Response, what: str) -> RegistryError:
        here = datetime.fromtimestamp(self._now(), UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        return s3_errors.refusal(response, f"s3://{self._settings.bucket}: {what}", self._settings, here)


def _base(settings: S3Settings) -> str:
    """The URL of the bucket, without a slash at its end.

    The name of the bucket is a part of the host name, as in Amazon's SDKs, but not where that cannot be: at an IP
    address, and for a name with dots over TLS, for which no certificate holds.
    """
    bucket = encoded_path(settings.bucket)
    if not settings.endpoint:
        domain = "amazonaws.com.cn" if settings.region.startswith("cn-") else "amazonaws.com"
        host = f"s3.{settings.region}.{domain}"
        return f"https://{host}/{bucket}" if "." in bucket else f"https://{bucket}.{host}"
    parts = urlsplit(settings.endpoint)
    if settings.path_style or _is_ip(parts.hostname or "") or ("." in bucket and parts.scheme == "https"):
        return f"{settings.endpoint}/{bucket}"
    return f"{parts.scheme}://{bucket}.{parts.netloc}{parts.path}"


def _is_ip(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _described(key: str, response: Response) -> S3Object:
    from email.utils import parsedate_to_datetime

    try:
        modified = parsedate_to_datetime(response.header("Last-Modified")).timestamp()
    except (ValueError, TypeError):
        modified = 0.0
    length = response.header("Content-Range").rpartition("/")[2] or response.header("Content-Length")
    return S3Object(key, int(length) if length.isascii() and length.isdigit() else 0, modified, response.header("ETag"))


def _page(body: bytes) -> tuple[list[S3Object], str]:
    """The objects of a page of a list, and the token of the next page, empty on the last. Raises RegistryError."""
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(body)
        space = root.tag.rpartition("}")[0]
        prefix = f"{space}}}" if space else ""
        found = [
            S3Object(
                unquote_plus(entry.findtext(f"{prefix}Key") or ""),
                int(entry.findtext(f"{prefix}Size") or 0),
                datetime.fromisoformat(entry.findtext(f"{prefix}LastModified") or "").timestamp(),
                entry.findtext(f"{prefix}ETag") or "",
            )
            for entry in root.iter(f"{prefix}Contents")
        ]
        return found, root.findtext(f"{prefix}NextContinuationToken") or ""
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RegistryError(f"S3 answered with a list that cannot be read: {error}") from error
