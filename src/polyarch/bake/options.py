"""A target → the options of a build, as `buildflags.request` takes them."""

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyarch.bake.remote import BakeWhere
from polyarch.bake.target import BakeTarget, TargetInput
from polyarch.buildflags import output, platform, run
from polyarch.errors import PolyarchError, UnsupportedError, UsageError
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.buildflags import Surroundings

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
        output.export({"annotations": target.result.annotations or ()}, Path(), None)
    except PolyarchError as error:
        raise UsageError(f"{where}: {error.message}", error.hint) from error


def left_out(target: BakeTarget) -> list[str]:
    """What a target asks for and no build here does, though the image is the same without it."""
    found = []
    if target.run.resources:
        found.append("resources are not supported: a RUN has those of this command")
    devices = [one for one in target.run.entitlements or () if one.partition("=")[0] == "device"]
    return found + [f"the entitlement {one} is not supported: a RUN has no devices of this machine" for one in devices]


def of_target(target: BakeTarget, where: BakeWhere, around: "Surroundings") -> tuple[str | Path, dict[str, Any]]:
    """The context of a build and its options. A context that another target makes is an image with the name of that
    target, which the caller replaces.

    Raises UnsupportedError for what no build here has, UsageError and NotFoundError for contexts.
    """
    source, shown, result = target.input, target.run, target.result
    if target.policy and any(not one.disabled for one in target.policy):
        raise UnsupportedError("source policies are not supported", "policy = [{disabled = true}] builds without them")
    context = where.context(source.context or ".")
    outputs = [one.text() for one in result.outputs or () if one.type not in _NOWHERE]
    links = {name: f"docker-image://{other}" for name, other in target.links().items()}
    contexts = {name: links.get(name) or where.context(at) for name, at in (source.contexts or {}).items()}
    options: dict[str, Any] = {
        "file": None if source.dockerfile_inline is not None else _file(source, context, around),
        "dockerfile": source.dockerfile_inline,
        "target": source.target or "",
        "build_args": {name: value for name, value in (source.args or {}).items() if value is not None},
        "labels": {name: value for name, value in (result.labels or {}).items() if value is not None},
        "contexts": contexts,
        "secrets": [*(one.text() for one in source.secrets or ()), *where.secrets(context, around)],
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


def _file(source: TargetInput, context: str | Path, around: "Surroundings") -> str | Path:
    """The path of a Dockerfile: relative to a local context, or with `cwd://` to the working directory."""
    dockerfile = source.dockerfile or "Dockerfile"
    if dockerfile.startswith("cwd://"):
        return (around.directory / dockerfile.removeprefix("cwd://")).absolute()
    if isinstance(context, str) or dockerfile.startswith("/"):
        return dockerfile
    return posixpath.normpath(posixpath.join(str(context), dockerfile))
