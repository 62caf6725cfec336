"""Errors of requests: the codes and statuses of the distribution specification ("Error Codes")."""

from collections.abc import Mapping
from typing import Any

import msgspec

from polyarch.distribution import errors as codes
from polyarch.errors import CorruptError, NotFoundError, PolyarchError, UnsupportedError
from polyarch.store import disk

_STATUSES = {
    codes.BLOB_UNKNOWN: 404,
    codes.BLOB_UPLOAD_INVALID: 400,
    codes.BLOB_UPLOAD_UNKNOWN: 404,
    codes.DIGEST_INVALID: 400,
    # The client refers to something; the manifest itself is what cannot be taken.
    codes.MANIFEST_BLOB_UNKNOWN: 400,
    codes.MANIFEST_INVALID: 400,
    codes.MANIFEST_UNKNOWN: 404,
    codes.NAME_INVALID: 400,
    codes.NAME_UNKNOWN: 404,
    codes.SIZE_INVALID: 400,
    codes.UNAUTHORIZED: 401,
    codes.DENIED: 403,
    codes.UNSUPPORTED: 405,
    codes.TOOMANYREQUESTS: 429,
}


class RequestError(PolyarchError):
    """A request that is refused, with the specification's `code`, an HTTP status, and headers of the response."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        detail: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = _STATUSES.get(code, 400) if status is None else status
        self.detail = detail
        self.headers = dict(headers or {})


def is_full(error: PolyarchError) -> bool:
    """Whether something failed because the disk or quota is full."""
    cause = error.__cause__
    return isinstance(cause, OSError) and disk.is_full(cause)


def refused(error: PolyarchError) -> RequestError:
    """What a client is told of an error of the store."""
    if isinstance(error, RequestError):
        return error
    if is_full(error):
        return RequestError(codes.DENIED, "no space is left for this", status=507)
    if isinstance(error, NotFoundError):
        return RequestError(codes.MANIFEST_UNKNOWN, error.message)
    if isinstance(error, UnsupportedError):
        return RequestError(codes.UNSUPPORTED, error.message)
    if isinstance(error, CorruptError):
        # Damage on this side; where the client sent something wrong, the caller has said so.
        return RequestError(codes.UNKNOWN, error.message, status=500)
    return RequestError(codes.UNKNOWN, error.message, status=500)


def body(error: RequestError) -> bytes:
    """The JSON document of an error."""
    entry: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.detail is not None:
        entry["detail"] = error.detail
    return msgspec.json.encode({"errors": [entry]})
