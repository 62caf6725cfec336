"""What a server is told to do."""

from typing import Literal

import msgspec


class Auth(msgspec.Struct, frozen=True):
    """Who may use the server: users of an htpasswd file, or bearers of a file of tokens."""

    kind: Literal["htpasswd", "token"]
    path: str


class TLSFiles(msgspec.Struct, frozen=True):
    """A certificate chain and its key, PEM files."""

    certificate: str
    key: str


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one server.

    `quota` is how many bytes may be pushed (`quota.py`). `mirrors` are the hosts of other registries whose images are
    fetched when they are asked for. `insecure` allows an address that other machines reach without TLS and
    authentication. `self_signed` is TLS with a certificate that the server makes. `names` are names by which clients
    reach it, beside its address. An upload that nothing was sent to for `upload_seconds` is removed. What arrived and
    is named by nothing yet is kept for `lease_seconds` to twice that.
    """

    listen: str = "127.0.0.1"
    port: int = 5000
    read_only: bool = False
    page: bool = True
    auth: Auth | None = None
    tls: TLSFiles | None = None
    self_signed: bool = False
    names: tuple[str, ...] = ()
    quota: int | None = None
    mirrors: tuple[str, ...] = ()
    insecure: bool = False
    upload_seconds: float = 3600.0
    lease_seconds: float = 3600.0
