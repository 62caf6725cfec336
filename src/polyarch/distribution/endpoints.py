"""The endpoints of the protocol (distribution-spec, "Endpoints"): method, path, and the statuses of success."""

from urllib.parse import quote

import msgspec

_PULL, _PUSH, _DELETE = ("pull",), ("pull", "push"), ("pull", "delete")


class Operation(msgspec.Struct, frozen=True):
    """One row of the specification's table, for one method.

    `number` is its row there, empty for an endpoint of the older API only. `template` has the path and the query; `ok`
    are the statuses of success, the specification's first, then others that registries answer with. `actions` are those
    on the repository that a token must allow.
    """

    number: str
    method: str
    template: str
    ok: tuple[int, ...] = (200,)
    actions: tuple[str, ...] = _PULL

    @property
    def is_writing(self) -> bool:
        """Whether the request stores something."""
        return self.method in ("PUT", "POST", "PATCH")

    def target(self, name: str = "", **values: str) -> str:
        """The path and query for the repository `name`. `values` are the template's other fields."""
        quoted = {field: quote(value, safe=":/") for field, value in values.items()}
        return self.template.format(name=name, **quoted)


PING = Operation("end-1", "GET", "/v2/")
PULL_BLOB = Operation("end-2", "GET", "/v2/{name}/blobs/{digest}", (200, 206))
CHECK_BLOB = Operation("end-2", "HEAD", "/v2/{name}/blobs/{digest}")
PULL_MANIFEST = Operation("end-3", "GET", "/v2/{name}/manifests/{reference}")
CHECK_MANIFEST = Operation("end-3", "HEAD", "/v2/{name}/manifests/{reference}")
START_UPLOAD = Operation("end-4a", "POST", "/v2/{name}/blobs/uploads/", (202,), _PUSH)
MOUNT_BLOB = Operation("end-11", "POST", "/v2/{name}/blobs/uploads/?mount={digest}&from={origin}", (201, 202), _PUSH)
# Without `from`, a registry may take the blob from any of its repositories; others begin an upload, as for end-4a.
TAKE_BLOB = Operation("end-11", "POST", "/v2/{name}/blobs/uploads/?mount={digest}", (202, 201), _PUSH)
# The registry gives the whole URL of these in a Location.
SEND_CHUNK = Operation("end-5", "PATCH", "", (202, 204), _PUSH)
FINISH_UPLOAD = Operation("end-6", "PUT", "", (201, 204), _PUSH)
CANCEL_UPLOAD = Operation("", "DELETE", "", (204, 202, 200), _PUSH)
PUSH_MANIFEST = Operation("end-7", "PUT", "/v2/{name}/manifests/{reference}", (201, 200, 202), _PUSH)
LIST_TAGS = Operation("end-8b", "GET", "/v2/{name}/tags/list?n={count}")
LIST_REFERRERS = Operation("end-12a", "GET", "/v2/{name}/referrers/{digest}")
DELETE_MANIFEST = Operation("end-9", "DELETE", "/v2/{name}/manifests/{reference}", (202, 200), _DELETE)


def with_digest(location: str, digest: str) -> str:
    """An upload's URL with the digest that ends the upload."""
    return f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe=':')}"
