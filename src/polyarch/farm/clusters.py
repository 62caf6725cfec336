"""Members that a cluster class of Dask starts: on this machine, by ssh, in Kubernetes, or with a batch system."""

import importlib
import inspect
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from polyarch.errors import PolyarchError, UsageError
from polyarch.farm import engine
from polyarch.farm.certificates import Bundle
from polyarch.farm.values import MemberOptions


def values_of(words: Sequence[str]) -> dict[str, Any]:
    """The arguments in words KEY=VALUE; values are JSON, or else text. Raises UsageError."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(f"{word!r} is not KEY=VALUE", "arguments of a cluster class look like n_workers=4")
        try:
            found[key] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            found[key] = value
    return found


def class_of(name: str) -> Callable[..., Any]:
    """The class, or function, that `module:Class` names. Raises UsageError."""
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise UsageError(f"--dask-cluster {name!r} is not MODULE:CLASS", "such as dask.distributed:LocalCluster")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise UsageError(f"--dask-cluster {name}: {error}", f"install the package that has {module}") from None
    except AttributeError:
        raise UsageError(f"--dask-cluster {name}: {module} has no {attribute}") from None
    if not callable(found):
        raise UsageError(f"--dask-cluster {name} is not a class")
    return found  # type: ignore[no-any-return]


def serve(
    name: str,
    given: Mapping[str, Any],
    options: MemberOptions,
    bundle: Bundle | None,
    silence: float,
    ready: Callable[[str], None],
) -> None:
    """Start a cluster, make its workers members, and serve until SIGTERM or SIGINT, then raise KeyboardInterrupt.

    `ready` gets the address. Raises UsageError, and PolyarchError with what the class raises.
    """
    engine.configure(silence)
    made = class_of(name)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with engine.scratch():
        try:
            cluster = made(**{**_defaults(made, bundle), **given})
        except Exception as error:
            raise PolyarchError(f"{name} cannot be started: {type(error).__name__}: {error}") from error
        with cluster:
            _join(cluster, options, bundle)
            ready(str(cluster.scheduler_address))
            while not ended.wait(1):
                pass
    raise KeyboardInterrupt


def _defaults(made: Callable[..., Any], bundle: Bundle | None) -> dict[str, Any]:
    """Arguments that a farm needs, if the class has them: TLS, one thread a worker, and no page for everyone."""
    known = inspect.signature(made).parameters
    wanted: dict[str, Any] = {
        "threads_per_worker": 1,
        "nthreads": 1,
        "dashboard_address": engine.HTTP,
        "worker_dashboard_address": engine.HTTP,
        "silence_logs": 50,
    }
    if bundle is not None:
        wanted |= {"security": engine.security(bundle), "protocol": "tls://"}
    return {key: value for key, value in wanted.items() if key in known}


def _join(cluster: Any, options: MemberOptions, bundle: Bundle | None) -> None:
    """Have Dask make all workers members, those that come later, too."""
    from distributed.client import Client

    from polyarch.farm.plugin import MemberPlugin

    encode = msgspec.msgpack.encode
    plugin = MemberPlugin(encode(options), encode(bundle) if bundle is not None else b"")
    with Client(cluster.scheduler_address, security=engine.security(bundle), set_as_default=False) as client:
        client.register_plugin(plugin)
