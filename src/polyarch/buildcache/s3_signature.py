"""Signatures of requests to S3: AWS Signature Version 4, in its form for S3 (the path is encoded once).

The rules are in Amazon's "Signature Version 4 for API requests". They need HMAC and SHA-256 and nothing else, so no SDK
is used: botocore alone would add half a second to the start of a build.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit

import msgspec

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-._~"
EMPTY = hashlib.sha256(b"").hexdigest()


class S3Credentials(msgspec.Struct, frozen=True):
    """An access key. `token` belongs to keys that expire. The repr shows neither the secret nor the token."""

    key: str
    secret: str
    token: str = ""

    def __repr__(self) -> str:
        return f"S3Credentials(key={self.key!r})"


def encoded_path(path: str) -> str:
    """A path as it is sent and signed: everything but unreserved characters and slashes is percent-encoded."""
    return quote(path.encode("utf-8", "surrogateescape"), safe=f"/{_UNRESERVED}")


def encoded_query(pairs: Iterable[tuple[str, str]]) -> str:
    """A query as it is sent and signed: encoded and sorted."""
    encode = [(quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(encode))


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    payload: str,
    credentials: S3Credentials,
    region: str,
    timestamp: str,
) -> dict[str, str]:
    """The headers of a request with its signature.

    Path and query of `url` are encoded as by `encoded_path` and `encoded_query`; its host is what the Host header says.
    `payload` is the SHA-256 of the body in hex, `timestamp` the time as `20261130T120000Z`. Every given header is
    signed.
    """
    parts = urlsplit(url)
    extra = {"x-amz-content-sha256": payload, "x-amz-date": timestamp}
    if credentials.token:
        extra["x-amz-security-token"] = credentials.token
    given = {**headers, **extra, "host": parts.netloc}
    lines = {name.lower(): " ".join(value.split()) for name, value in given.items()}
    names = ";".join(sorted(lines))
    canonical = "\n".join(
        (
            method,
            parts.path or "/",
            parts.query,
            *(f"{name}:{lines[name]}" for name in sorted(lines)),
            "",
            names,
            payload,
        )
    )
    scope = f"{timestamp[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = _key(credentials.secret, timestamp[:8], region, f"{_ALGORITHM}\n{timestamp}\n{scope}\n{digest}")
    authorization = f"{_ALGORITHM} Credential={credentials.key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, **extra, "Authorization": authorization}


def _key(secret: str, date: str, region: str, text: str) -> str:
    """The signature of `text`: each step is the key of the next one."""
    key = f"AWS4{secret}".encode()
    for step in (date, region, "s3", "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
