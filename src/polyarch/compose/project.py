"""A project: its services with their environment, the active ones, and what they use."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from polyarch.bake import globs
from polyarch.compose import canonical, consistency, envfile, forms, loader
from polyarch.compose.discovery import FoundProject
from polyarch.compose.loader import ComposeLoader, LoadOptions, Warn
from polyarch.compose.places import near
from polyarch.errors import NotFoundError, UsageError

Tree = Mapping[str, Any]


class ComposeProject(msgspec.Struct, frozen=True, kw_only=True):
    """A project in canonical form. `disabled` are the services whose profile is not active."""

    name: str
    directory: str
    tree: Tree
    services: Mapping[str, Tree]
    disabled: Mapping[str, Tree] = {}
    environment: Mapping[str, str] = {}
    profiles: tuple[str, ...] = ()

    def printed(self) -> dict[str, Any]:
        """The canonical form with the name and the active services."""
        return {**self.tree, "name": self.name, "services": self.services}


class ProjectOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is done to a project when it is loaded. Everything by default."""

    interpolate: bool = True
    normalize: bool = True
    absolute: bool = True
    consistent: bool = True
    environment: bool = True
    warn: Warn = lambda message: None


def load(found: FoundProject, options: ProjectOptions) -> ComposeProject:
    """The project of these files. Raises ComposeError, NotFoundError."""
    reader = ComposeLoader(
        LoadOptions(
            directory=found.directory,
            environment=found.environment,
            home=found.environment.get("HOME", ""),
            interpolate=options.interpolate,
            absolute=options.absolute,
            warn=options.warn,
        )
    )
    tree = reader.load(found.files)
    if not tree:
        raise UsageError(f"{found.files[0].path} is empty", "a compose file has at least services: …")
    if options.normalize or options.interpolate:
        tree["name"] = found.name
    if options.normalize:
        tree = canonical.normalized(tree, found.environment)
    services = {name: _scaled(one or {}) for name, one in (tree.get("services") or {}).items()}
    project = ComposeProject(
        name=found.name,
        directory=found.directory,
        tree=tree,
        services=services,
        environment=found.environment,
    )
    project = with_profiles(project, found.profiles)
    if options.consistent:
        consistency.check(project.tree, project.services, project.disabled, reader.places)
    if options.environment:
        project = with_environment(project)
    return with_labels(project) if options.interpolate else project


def _scaled(service: Tree) -> Tree:
    """The service with its scale as the number of replicas."""
    if service.get("scale") is None or service.get("deploy") is None or service["deploy"].get("replicas") is not None:
        return service
    return {**service, "deploy": {**service["deploy"], "replicas": service["scale"]}}


def with_profiles(project: ComposeProject, profiles: Iterable[str]) -> ComposeProject:
    """The project with the services that these profiles activate."""
    active = tuple(profiles)
    everything = {**project.services, **project.disabled}
    enabled = {name: one for name, one in everything.items() if _is_active(one, active)}
    disabled = {name: one for name, one in everything.items() if name not in enabled}
    return msgspec.structs.replace(project, services=enabled, disabled=disabled, profiles=active)


def _is_active(service: Tree, profiles: Sequence[str]) -> bool:
    own = service.get("profiles") or ()
    return not own or "*" in profiles or any(one in profiles for one in own)


def with_services(project: ComposeProject, names: Sequence[str]) -> ComposeProject:
    """The project with the profiles of these services active as well."""
    more = [one for name in names for one in (project.disabled.get(name) or {}).get("profiles") or ()]
    return with_profiles(project, (*project.profiles, *more)) if more else project


def selected(project: ComposeProject, names: Sequence[str], *, dependencies: bool = True) -> ComposeProject:
    """The project with these services, and those that they depend on. All without names. Raises NotFoundError."""
    if not names:
        return project
    kept: dict[str, None] = {}
    left = [(name, True) for name in names]
    while left:
        name, required = left.pop()
        matching = [one for one in project.services if globs.matches(name, one)]
        if not matching and required:
            raise unknown(project, name)
        for one in matching:
            if one not in kept:
                kept[one] = None
                depends = project.services[one].get("depends_on") or {}
                left += (
                    [(other, bool(how.get("required", True))) for other, how in depends.items()] if dependencies else []
                )
    services = {name: _with_dependencies(one, kept) for name, one in project.services.items() if name in kept}
    dropped = {name: one for name, one in project.services.items() if name not in kept}
    return msgspec.structs.replace(project, services=services, disabled={**project.disabled, **dropped})


def unknown(project: ComposeProject, name: str) -> NotFoundError:
    """The error for a service that a project does not have."""
    known = [*project.services, *project.disabled]
    return NotFoundError(f"there is no service {name!r}", near(name, known, "services"))


def _with_dependencies(service: Tree, kept: Mapping[str, None]) -> Tree:
    depends = service.get("depends_on")
    if not depends:
        return service
    return {**service, "depends_on": {name: how for name, how in depends.items() if name in kept}}


def with_environment(project: ComposeProject) -> ComposeProject:
    """The project with the variables of `env_file` in the services."""
    services = {name: _with_variables(name, one, project.environment) for name, one in project.services.items()}
    return msgspec.structs.replace(project, services=services)


def _with_variables(name: str, service: Tree, environment: Mapping[str, str]) -> dict[str, Any]:
    found = dict(service)
    path = ("services", name)
    own = {
        key: environment.get(key) if value is None else value
        for key, value in forms.formed("pairs", service.get("environment"), (*path, "environment")).items()
    }
    variables = {key: value for key, value in own.items() if value is not None}
    for file in service.get("env_file") or ():
        at = file["path"]
        required = forms.formed("flag", file.get("required", True), (*path, "env_file"))
        if file.get("format") not in (None, "", ".env", "raw"):
            raise UsageError(f"services.{name}.env_file: the format {file['format']} is unknown", "known: raw")
        if not Path(at).exists():
            if required:
                raise NotFoundError(f"services.{name}.env_file: there is no file {at}")
            continue
        if file.get("format") == "raw":
            variables |= _raw(at)
            continue

        def lookup(key: str) -> str | None:
            return environment.get(key, own.get(key))

        variables = envfile.parse(at, loader.text_of(at), lookup, variables, lambda key: None)
    if own or variables:
        found["environment"] = {**variables, **own}
    found.pop("env_file", None)
    return found


def with_labels(project: ComposeProject) -> ComposeProject:
    """The project with the labels of `label_file` in the services."""
    services = {name: _with_labels(name, one) for name, one in project.services.items()}
    return msgspec.structs.replace(project, services=services)


def _with_labels(name: str, service: Tree) -> dict[str, Any]:
    found = dict(service)
    labels: dict[str, str] = {}
    for at in found.pop("label_file", None) or ():
        known = dict(labels)
        labels |= envfile.parse(at, loader.text_of(at), known.get, {}, lambda key: None)
    if labels:
        found["labels"] = {**labels, **forms.formed("options", service.get("labels"), ("services", name, "labels"))}
    return found


def _raw(path: str) -> dict[str, str]:
    """The variables of a file without quotes and variables in them."""
    lines = (line.partition("=") for line in loader.text_of(path).splitlines() if line.strip() and line[0] != "#")
    return {key: value for key, _, value in lines}


def without_unused(project: ComposeProject) -> ComposeProject:
    """The project with the networks, volumes, secrets, configs and models that its services use."""
    used: dict[str, set[str]] = {kind: set() for kind in ("networks", "volumes", "secrets", "configs", "models")}
    for service in project.services.values():
        for kind in ("networks", "models"):
            used[kind] |= set(service.get(kind) or ())
        for kind in ("secrets", "configs"):
            used[kind] |= {str(one.get("source")) for one in service.get(kind) or ()}
        used["secrets"] |= {str(one.get("source")) for one in (service.get("build") or {}).get("secrets") or ()}
        mounts = [one for one in service.get("volumes") or () if one.get("type") == "volume"]
        used["volumes"] |= {one["source"] for one in mounts if one.get("source")}
    tree = dict(project.tree)
    for kind, names in used.items():
        if kind in tree:
            tree[kind] = {name: one for name, one in (tree[kind] or {}).items() if name in names}
    return msgspec.structs.replace(project, tree=tree)


def image_of(project: ComposeProject, name: str) -> str:
    """The image of a service: as it says, else of the project and the service."""
    return str(project.services[name].get("image") or f"{project.name}-{name}")
