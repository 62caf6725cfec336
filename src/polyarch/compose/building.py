"""`compose build`: the targets of a project's services, and the bake file that says the same."""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from polyarch.bake import entries
from polyarch.bake.attributes import replaced
from polyarch.bake.printing import rendered
from polyarch.bake.resolve import is_local
from polyarch.bake.target import BakeTarget
from polyarch.compose import canonical, forms
from polyarch.compose.project import ComposeProject, image_of
from polyarch.compose.targets import BuildSection, target_names
from polyarch.errors import UsageError
from polyarch.version import VERSION

_LABEL = "com.docker.compose"
_SERVICE = "service:"


class BuildWords(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says about a build."""

    args: tuple[str, ...] = ()
    push: bool = False
    pull: bool = False
    no_cache: bool = False
    check: bool = False
    ssh: str = ""
    sbom: str = ""
    provenance: str = ""


def with_platforms(project: ComposeProject) -> ComposeProject:
    """The project with the platforms to build: those of `build`, else that of the service, else
    DOCKER_DEFAULT_PLATFORM. Raises UsageError where they contradict.
    """
    default = project.environment.get("DOCKER_DEFAULT_PLATFORM", "")
    services = {name: _with_platform(name, one, default) for name, one in project.services.items()}
    return msgspec.structs.replace(project, services=services)


def _with_platform(name: str, service: Mapping[str, Any], default: str) -> Mapping[str, Any]:
    build = service.get("build")
    if build is None:
        return service
    own = forms.formed("text", service.get("platform"), ("services", name, "platform"))
    platform = own or default
    platforms = forms.formed("texts", build.get("platforms"), ("services", name, "build", "platforms"))
    if not platform:
        return service
    if platforms and platform not in platforms:
        source = "its platform" if own else "DOCKER_DEFAULT_PLATFORM"
        raise UsageError(
            f"services.{name}: {source} is {platform}, which is not in build.platforms", f"add it to {platforms}"
        )
    return {**service, "platform": platform, "build": {**build, "platforms": platforms or [platform]}}


def with_contexts(project: ComposeProject, names: Iterable[str]) -> tuple[str, ...]:
    """The names, and those of the services that are contexts of their builds."""
    found: dict[str, None] = {}
    left = list(names)
    while left:
        name = left.pop()
        if name in found:
            continue
        found[name] = None
        build = (project.services.get(name) or {}).get("build") or {}
        contexts = forms.formed("options", build.get("additional_contexts"), ("services", name, "build"))
        left += [at.removeprefix(_SERVICE) for at in contexts.values() if at.startswith(_SERVICE)]
    return tuple(found)


def section(project: ComposeProject, name: str) -> BuildSection:
    """The `build` of a service."""
    given = project.services[name]["build"]
    names = target_names(sorted(project.services))
    return BuildSection(name=name, given=given, secrets=project.tree.get("secrets") or {}, targets=names)


def target(project: ComposeProject, name: str, words: BuildWords) -> BakeTarget:
    """The target of a service, named as the service with `_` for dots."""
    build = section(project, name)
    found = build.target(by_target=True)
    service = project.services[name]
    args = {**build.pairs("args"), **forms.pairs(list(words.args), ("--build-arg",))}
    labels = {
        **build.options("labels"),
        f"{_LABEL}.version": VERSION,
        f"{_LABEL}.project": project.name,
        f"{_LABEL}.service": name,
    }
    privileged = ("security.insecure",) if build.flag("privileged") else ()
    pushed = words.push and bool(service.get("image"))
    agents = (*(found.input.ssh or ()), *([entries.ssh(words.ssh)] if words.ssh else []))
    return replaced(
        found,
        args=canonical.resolved(args, project.environment, keep=False) or None,
        labels=labels,
        tags=(*(found.result.tags or ()), image_of(project, name)),
        ssh=agents or None,
        dockerfile=None if found.input.dockerfile_inline is not None else found.input.dockerfile,
        entitlements=(*build.texts("entitlements"), *privileged) or None,
        no_cache=found.cache.no_cache or words.no_cache or None,
        pull=found.cache.pull or words.pull or None,
        no_cache_filter=build.texts("no_cache_filter") or None,
        attest=(*(found.result.attest or ()), *_attest(words)) or None,
        call="lint" if words.check else None,
        output=None if words.check else (entries.OutputEntry("image", attributes={"push": str(pushed).lower()}),),
    )


def _attest(words: BuildWords) -> list[entries.AttestEntry]:
    """The attestations of the command line, which win."""
    found = []
    for kind, word in (("sbom", words.sbom), ("provenance", words.provenance)):
        flag = entries.boolean(word)
        if word:
            found.append(
                entries.AttestEntry(kind, disabled=not flag)
                if flag is not None
                else entries.attest(f"type={kind},{word}")
            )
    return found


def printed(project: ComposeProject, built: Sequence[str], words: BuildWords) -> str:
    """The bake file that says the same as these services, as `docker compose build --print` writes it."""
    names = target_names(sorted(project.services))
    shown = {
        names[name]: _shown(project, name, words)
        for name in sorted(project.services)
        if project.services[name].get("build") is not None
    }
    group = {"default": {"targets": sorted(names[name] for name in built)}}
    return rendered({"group": group, "target": dict(sorted(shown.items()))}) + "\n"


def _shown(project: ComposeProject, name: str, words: BuildWords) -> dict[str, Any]:
    found = target(project, name, words)
    build = section(project, name)
    source, run, cache, result = found.input, found.run, found.cache, found.result
    agents = [f"{one.id}={','.join(one.paths)}" for one in source.ssh or ()]
    size = int(run.shm_size or 0)
    values: dict[str, Any] = {
        "context": source.context,
        "contexts": dict(sorted((source.contexts or {}).items())),
        "dockerfile": dockerfile_of(source.context or "", source.dockerfile or ""),
        "dockerfile-inline": (source.dockerfile_inline or "").replace("${", "$${"),
        "args": {key: str(one).replace("${", "$${") for key, one in sorted((source.args or {}).items())},
        "labels": dict(sorted((result.labels or {}).items())),
        "tags": list(result.tags or ()),
        "cache-from": list(build.texts("cache_from")),
        "cache-to": list(build.texts("cache_to")),
        "target": source.target,
        "secret": [_secret(one) for one in source.secrets or ()],
        "ssh": agents,
        "platforms": list(found.platforms or ()),
        "pull": cache.pull,
        "no-cache": cache.no_cache,
        "network": run.network,
        "no-cache-filter": list(cache.no_cache_filter or ()),
        "shm-size": str(size) if size else None,
        "ulimits": list(run.ulimits or ()),
        "call": found.call,
        "entitlements": list(run.entitlements or ()),
        "extra-hosts": dict(sorted((run.extra_hosts or {}).items())),
        "output": [_output(one, len(found.platforms or ())) for one in result.outputs or ()],
        "attest": [one.text() for one in reversed(build.attest() or ()) if not one.disabled],
    }
    return {key: value for key, value in values.items() if value}


def _output(output: entries.OutputEntry, platforms: int) -> str:
    """The output in docker's words, whose store keeps no images for several platforms."""
    if platforms > 1:
        return output.text()
    return "type=registry" if output.attributes.get("push") == "true" else "type=docker"


def dockerfile_of(context: str, dockerfile: str) -> str:
    """A Dockerfile's path: in a local context, with the context before it."""
    if not dockerfile or not is_local(context):
        return dockerfile
    return posixpath.normpath(posixpath.join(context, dockerfile))


def _secret(secret: entries.SecretEntry) -> str:
    if secret.env:
        return f"id={secret.id},type=env,env={secret.env}"
    return f"id={secret.id},type=file,src={secret.source}"
