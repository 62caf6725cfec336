"""What an answer of S3 that was not expected means, for people.

S3 says by a code in XML what is wrong. HEAD has no body, so the client asks again with GET before it reports an error.
"""

from collections.abc import Mapping

from polyarch.buildcache.s3_settings import S3Settings
from polyarch.distribution.errors import RETRYABLE_STATUSES, describe
from polyarch.errors import RegistryError
from polyarch.oci.urls import authority
from polyarch.registry.response import Response

_REGION_CODES = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_HINTS: Mapping[str, str] = {
    "SignatureDoesNotMatch": "the secret access key does not belong to the access key id, or a proxy changes requests",
    "InvalidAccessKeyId": "check access_key_id, or AWS_ACCESS_KEY_ID",
    "ExpiredToken": "the credentials have expired: get new ones",
    "InvalidToken": "check session_token, or AWS_SESSION_TOKEN",
    "NoSuchBucket": "create the bucket, or check bucket= and region=",
    "AccessDenied": "these credentials need s3:GetObject, s3:PutObject and s3:ListBucket there",
    "SlowDown": "the service limits requests: try again later",
}
_CODES = {301: "PermanentRedirect", 307: "TemporaryRedirect", 404: "NoSuchKey"}
_LONGEST = 200


def fields(body: bytes) -> dict[str, str]:
    """The texts of a flat XML document by the names of their elements; none if it is not XML."""
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError, LookupError):
        return {}
    return {element.tag.rpartition("}")[2]: element.text or "" for element in root}


def code_of(response: Response) -> str:
    """The code of an error, empty if it has none. The body is kept."""
    return fields(response.body()).get("Code") or _CODES.get(response.status, "")


def refusal(response: Response, what: str, settings: S3Settings, here: str) -> RegistryError:
    """The error for a response. `what` was wanted, with its verb; `here` is the time of this machine (RFC 3339)."""
    with response:
        found = fields(response.body())
        code = code_of(response)
        region = found.get("Region") or response.header("x-amz-bucket-region")
        said = _printable(found.get("Message", "")) or describe(response.status)
        hint = _HINTS.get(code)
        if region and region != settings.region and (code in _REGION_CODES or response.status in (301, 307, 400)):
            said = f"the bucket {settings.bucket} is in the region {_printable(region)}, not in {settings.region}"
            hint = f"write region={_printable(region)}"
        elif code in ("PermanentRedirect", "TemporaryRedirect"):
            hint = f"the bucket may be in another region than {settings.region}: check region= and endpoint_url="
        elif code == "RequestTimeTooSkewed":
            said = f"the clocks differ: it is {response.header('Date') or found.get('ServerTime')} there, {here} here"
            hint = "set the clock of this machine"
        return RegistryError(
            f"{what}: {authority(response.url)} answered {said}{f' ({code})' if code else ''}",
            hint,
            status=response.status,
            codes=(code,) if code else (),
            retryable=response.status in RETRYABLE_STATUSES,
            exhausted=response.exhausted,
        )


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:_LONGEST]
