"""Open the store and the registries that settings describe: for the command line and for the Python client."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from polyarch.errors import PolyarchError

if TYPE_CHECKING:
    from polyarch.client.environment import Environment
    from polyarch.registry import Credentials, Registry
    from polyarch.store import Store


def open_store(environment: "Environment", root: Path, limit: "int | Literal['default'] | None") -> "Store":
    """The store at `root`, made where it is not there yet; `limit` is of its cache. Raises PolyarchError."""
    from polyarch.store import Store

    try:
        return Store.open(root, largest_layer=environment.largest_layer, cache_limit=limit)
    except PermissionError as error:
        raise PolyarchError(
            f"cannot open the store {root}: {error.strerror}", "choose another with --root DIR or POLYARCH_ROOT"
        ) from error


def cache_limit(environment: "Environment", root: Path, chosen: str | None) -> "int | Literal['default'] | None":
    """How many bytes the cache of the store at `root` may take; None for no limit. Raises UsageError.

    `chosen` wins over what the environment and configuration files say.
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
) -> "Registry":
    """The client for all registries. `insecure` are hosts that may speak plain HTTP or show a bad certificate.

    `debug` gets a line for each request.
    """
    from polyarch.registry import Proxies, Registry, hosts
    from polyarch.version import VERSION

    files, proxies = environment.files, environment.proxies
    # Only the first existing file counts, as in containers' tools.
    configured = [file for file in files.registries if file.exists()][:1]
    return Registry(
        hosts.load(configured, files.certificates, tuple(insecure)),
        credentials,
        f"polyarch/{VERSION}",
        proxies=Proxies(proxies.http, proxies.https, proxies.bypass),
        debug=debug or (lambda line: None),
    )
