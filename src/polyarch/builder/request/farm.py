"""The farm that does the RUN steps of a build."""

import msgspec


class FarmRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The `address` of a farm's scheduler (tls://HOST:PORT), and how a build uses it.

    `certificates` is the path of a bundle, or of a directory with one for clients. With `fallback`, platforms that no
    member runs are run here. Members reach the build at `listen` (HOST:PORT; empty: at the address that faces the
    scheduler), or at `contact` (HOST:PORT), if that port is forwarded to it. `carrier` is the repository that carries
    layers, empty if the build itself does. A step that takes longer than `timeout` seconds on one member gets another
    one, once; 0 for no limit.
    """

    address: str
    certificates: str
    fallback: bool = False
    listen: str = ""
    contact: str = ""
    carrier: str = ""
    timeout: float = 0.0
