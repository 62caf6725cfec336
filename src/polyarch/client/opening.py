"""Open the store and the registries: for the command line and for the Python client."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from polyarch.errors import PolyarchError

if TYPE_CHECKING:
    from polyarch.client.environment import Environment
    from polyarch.registry import Credentials, Registry
    from polyarch.store import Store


def open_store(environment: "Environment", root: Path, limit: "int | Literal['default'] | None") -> "Store":
    """The store at `root`, which is created if it does not exist. `limit` is for its cache. Raises PolyarchError."""
    from polyarch.store import Store

    try:
        return Store.open(root, largest_layer=environment.largest_layer, cache_limit=limit)
    except PermissionError as error:
        raise PolyarchError(
            f"cannot open the store {root}: {error.strerror}", "choose another with --root DIR or POLYARCH_ROOT"
        ) from error


def cache_limit(environment: "Environment", root: Path, chosen: str | None) -> "int | Literal['default'] | None":
    """The size limit of the cache of the store at `root` in bytes; None for no limit. Raises UsageError.

    `chosen` takes precedence over the environment and the configuration files.
    """
    files = environment.files.polyarch
    if not (chosen or environment.cache_limit or any(file.exists() for file in files)):
        return "default"
    from polyarch.client import limits

    return limits.cache_limit(chosen, environment.cache_limit, files, root)


def open_registry(
    environment: "Environment",
    credentials: "Credentials",
    insecure: Iterable[str] = (),
    debug: Callable[[str], None] | None = None,
    agent: str = "",
) -> "Registry":
    """The client for all registries. `insecure` are hosts that may use plain HTTP or an invalid certificate.

    `debug` is called with a line for each request. `agent` is added to the User-Agent of requests.
    """
    from polyarch.registry import Proxies, Registry, hosts
    from polyarch.version import VERSION

    files, proxies = environment.files, environment.proxies
    # Only the first existing file counts, as in containers' tools.
    configured = [file for file in files.registries if file.exists()][:1]
    return Registry(
        hosts.load(configured, files.certificates, tuple(insecure)),
        credentials,
        f"polyarch/{VERSION} {agent}".rstrip(),
        proxies=Proxies(proxies.http, proxies.https, proxies.bypass),
        debug=debug or (lambda line: None),
    )
