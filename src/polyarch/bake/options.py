"""A target → the options of a build, as `buildflags.request` takes them."""

import posixpath
from collections.abc import Mapping
from typing import Any

from polyarch.bake.resolve import is_local
from polyarch.bake.target import BakeTarget
from polyarch.buildflags import output, platform, run
from polyarch.errors import PolyarchError, UnsupportedError, UsageError
from polyarch.oci.platform import Platform

# Outputs of buildx that mean: nowhere.
_NOWHERE = ("cacheonly",)


def check(target: BakeTarget, host: Platform) -> None:
    """Raise UsageError for values that no build accepts. Nothing is opened: `--print` checks this, too."""
    where = f"the target {target.name}"
    if target.input.context == "-" or target.input.dockerfile == "-":
        raise UsageError(f"{where}: standard input cannot be the context or the Dockerfile of a target")
    try:
        platform.parse(target.platforms or (), host)
        run.settings({"shm_size": target.run.shm_size, "ulimits": target.run.ulimits or ()})
        output.export({"annotations": target.result.annotations or ()}, path_of("."), None)
    except PolyarchError as error:
        raise UsageError(f"{where}: {error.message}", error.hint) from error


def path_of(context: str) -> Any:
    """A context without `cwd://`, in its shortest form if it is a path."""
    from pathlib import Path

    return Path(posixpath.normpath(context.removeprefix("cwd://") or ".")) if is_local(context) else context


def of_target(target: BakeTarget, links: Mapping[str, str]) -> tuple[Any, dict[str, Any]]:
    """The context of a build and its options. `links` are the contexts that other targets make: {name: context}.

    Raises UnsupportedError for what no build here has.
    """
    source, shown, result = target.input, target.run, target.result
    if target.policy and any(not one.disabled for one in target.policy):
        raise UnsupportedError(f"the target {target.name}: source policies are not supported")
    context = path_of(source.context or ".")
    outputs = [one.text() for one in result.outputs or () if one.type not in _NOWHERE]
    contexts = {name: links.get(name) or path_of(at) for name, at in (source.contexts or {}).items()}
    options: dict[str, Any] = {
        "file": None if source.dockerfile_inline is not None else _file(source.dockerfile or "Dockerfile", context),
        "dockerfile": source.dockerfile_inline,
        "target": source.target or "",
        "build_args": {name: value for name, value in (source.args or {}).items() if value is not None},
        "labels": {name: value for name, value in (result.labels or {}).items() if value is not None},
        "contexts": contexts,
        "secrets": [one.text() for one in source.secrets or ()],
        "ssh": [one.text() for one in source.ssh or ()],
        "platforms": target.platforms or (),
        "tags": result.tags or (),
        "annotations": result.annotations or (),
        "attest": [one.text() for one in result.attest or ()],
        "outputs": outputs,
        "cache_from": [one.text() for one in target.cache.cache_from or ()],
        "cache_to": [one.text() for one in target.cache.cache_to or ()],
        "no_cache": target.cache.no_cache or False,
        "no_cache_filter": target.cache.no_cache_filter or (),
        "pull": target.cache.pull or False,
        "network": shown.network or None,
        "hosts": {name: value for name, value in (shown.extra_hosts or {}).items() if value is not None},
        "shm_size": shown.shm_size or None,
        "ulimits": shown.ulimits or (),
        "allow": [one for one in shown.entitlements or () if one in ("network.host", "security.insecure")],
    }
    return context, options


def _file(dockerfile: str, context: Any) -> str:
    """The path of a Dockerfile: relative to a local context, or with `cwd://` to the working directory."""
    if dockerfile.startswith("cwd://"):
        return posixpath.normpath(dockerfile.removeprefix("cwd://"))
    if isinstance(context, str) or dockerfile.startswith("/"):
        return dockerfile
    return posixpath.normpath(posixpath.join(str(context), dockerfile))
