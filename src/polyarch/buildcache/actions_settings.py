"""The attributes of `type=gha`, as in buildx, as one value. What is not given comes from the variables of a job."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from polyarch.buildcache import attributes as values
from polyarch.errors import UsageError

# `repository` and `ghtoken` let BuildKit list the keys of blobs by the REST API, instead of asking for each. Here one
# index says which blobs there are.
ATTRIBUTES = frozenset("url url_v2 token scope timeout repository ghtoken version".split())
VARIABLES = ("ACTIONS_CACHE_SERVICE_V2", "ACTIONS_RESULTS_URL", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_CACHE_URL")
ABSENT = "the variables of GitHub Actions (ACTIONS_RESULTS_URL, ACTIONS_RUNTIME_TOKEN) are not set"
_LONGEST_SCOPE = 256
_TRUE = ("1", "t", "true")


class ActionsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the service is. A throttled request is tried for `timeout` seconds. The repr hides the token."""

    url: str
    token: str
    scope: str = "buildkit"
    timeout: float = 600.0

    def __repr__(self) -> str:
        return f"ActionsSettings(url={self.url!r}, scope={self.scope!r})"


def parse(given: Mapping[str, str], variables: Mapping[str, str]) -> ActionsSettings | None:
    """The settings of some attributes; None outside a job, where there is no service. Raises UsageError."""
    version = given.get("version", "")
    if version not in ("", "1", "2"):
        raise UsageError(f"type=gha: version={version} is unknown", "version 2 is the only one in service")
    timeout = values.seconds("gha", given, "timeout", 600.0)
    scope = given.get("scope", "buildkit")
    if not scope or "," in scope or not scope.isprintable() or len(scope) > _LONGEST_SCOPE:
        raise UsageError(
            f"type=gha: scope={scope} cannot be a part of a key",
            f"a scope has 1 to {_LONGEST_SCOPE} printable characters, and no comma",
        )
    second = variables.get("ACTIONS_CACHE_SERVICE_V2", "").lower() in _TRUE
    url = given.get("url_v2") or (variables.get("ACTIONS_RESULTS_URL", "") if version == "2" or second else "")
    first = given.get("url") or variables.get("ACTIONS_CACHE_URL", "")
    token = given.get("token") or variables.get("ACTIONS_RUNTIME_TOKEN", "")
    if version == "1" or (not url and first):
        raise UsageError(
            "type=gha: version 1 of the cache service is not supported",
            "GitHub has ended it: set ACTIONS_CACHE_SERVICE_V2=true and ACTIONS_RESULTS_URL, or give url_v2=",
        )
    if not url or not token:
        return None
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.query
    except ValueError:
        good = False
    if not good:
        raise UsageError("type=gha: the URL of the cache service is malformed", "check url_v2=, or ACTIONS_RESULTS_URL")
    return ActionsSettings(url=url.rstrip("/"), token=token, scope=scope, timeout=timeout)
