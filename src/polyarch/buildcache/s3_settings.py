"""The attributes of `type=s3`, as in BuildKit, as one value."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from polyarch.buildcache import attributes as values
from polyarch.errors import UsageError

# retry_mode changes nothing: a request that was throttled is sent again after a while in both modes.
# disable_accept_encoding neither: that header is never signed, so a proxy may change it.
ATTRIBUTES = frozenset(
    "bucket region name prefix blobs_prefix manifests_prefix endpoint_url use_path_style access_key_id "
    "secret_access_key session_token touch_refresh upload_parallelism retry_mode retry_max_attempts "
    "disable_accept_encoding".split()
)
VARIABLES = (
    "AWS_BUCKET",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ACCESS_KEY_ID",
    "AWS_ACCESS_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "HOME",
)
_DEFAULT_REGION = "us-east-1"


class S3Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a cache is. `endpoint` is empty for Amazon's own; `touch_refresh` is in seconds; `attempts` are those of a
    request, 0 for the default.
    """

    bucket: str
    region: str
    endpoint: str = ""
    path_style: bool = False
    names: tuple[str, ...] = ("buildkit",)
    prefix: str = ""
    blobs_prefix: str = "blobs/"
    manifests_prefix: str = "manifests/"
    touch_refresh: float = 86400.0
    parallelism: int = 4
    attempts: int = 0


def parse(given: Mapping[str, str], variables: Mapping[str, str]) -> S3Settings:
    """The settings of some attributes, and of the variables that stand in for them. Raises UsageError."""
    bucket = given.get("bucket") or variables.get("AWS_BUCKET") or ""
    if not bucket:
        raise UsageError("type=s3 has no bucket", "add bucket=NAME, or set AWS_BUCKET")
    if "/" in bucket or not bucket.isprintable():
        raise UsageError(f"type=s3: {bucket!r} is not the name of a bucket", "a path belongs to prefix=")
    endpoint = given.get("endpoint_url") or variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL")
    region = given.get("region") or variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or ""
    if not region:
        if not endpoint:
            raise UsageError("type=s3 has no region", "add region=NAME, or set AWS_REGION")
        region = _DEFAULT_REGION
    names = tuple(given.get("name", "buildkit").split(";"))
    if not all(names):
        raise UsageError(f"type=s3: name={given['name']} has an empty name", "as in name=main or name=main;feature")
    mode = given.get("retry_mode", "standard")
    if mode not in ("standard", "adaptive"):
        raise UsageError(f"type=s3: retry_mode={mode} is neither standard nor adaptive")
    values.flag("s3", given, "disable_accept_encoding")
    return S3Settings(
        bucket=bucket,
        region=region,
        endpoint=_endpoint(endpoint or ""),
        path_style=values.flag("s3", given, "use_path_style"),
        names=names,
        prefix=given.get("prefix", ""),
        blobs_prefix=given.get("blobs_prefix", "blobs/"),
        manifests_prefix=given.get("manifests_prefix", "manifests/"),
        touch_refresh=values.seconds("s3", given, "touch_refresh", 86400.0),
        parallelism=values.count("s3", given, "upload_parallelism", 4),
        attempts=values.count("s3", given, "retry_max_attempts", 0),
    )


def _endpoint(url: str) -> str:
    """The endpoint's URL without a slash at its end. Raises UsageError."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and parts.port != 0
    except ValueError:
        good = False
    if not good or "@" in parts.netloc:
        # The URL is not repeated: it may have a password.
        raise UsageError(
            "type=s3: endpoint_url is not an http or https URL without a user", "as in endpoint_url=https://HOST:PORT"
        )
    return url.rstrip("/")
