"""Compose files in `bake`: every service with a build is a target (buildx, bake/compose.go)."""

from collections.abc import Mapping, Sequence

import msgspec

from polyarch.bake.attributes import replaced
from polyarch.bake.reading.definition import BakeFile
from polyarch.bake.target import ContextBase, Definition, TargetGroup
from polyarch.compose import canonical, consistency, forms, gotext, loader, project
from polyarch.compose.discovery import FoundProject
from polyarch.compose.loader import ComposeFile, ComposeLoader, LoadOptions, Warn
from polyarch.compose.project import ComposeProject
from polyarch.compose.targets import BuildSection, target_names, with_extension
from polyarch.errors import UsageError


def environment(process: Mapping[str, str], dotenv: str | None, given: Mapping[str, str], warn: Warn) -> dict[str, str]:
    """The variables that compose files see: `given` (`--var`), the process, and a `.env` file, in this order."""
    found = loader.env_files([dotenv], process, warn) if dotenv else {}
    return {**found, **process, **given}


def definition(files: Sequence[BakeFile], variables: Mapping[str, str], warn: Warn) -> Definition:
    """The targets of compose files, which are one project. All profiles are active. Raises ComposeError."""
    name = variables.get("COMPOSE_PROJECT_NAME") or "bake"
    found = FoundProject(
        files=tuple(ComposeFile(file.name, file.text) for file in files),
        directory="",
        environment={**variables, "COMPOSE_PROJECT_NAME": name},
        name=name,
        profiles=("*",),
    )
    options = LoadOptions(
        environment=found.environment, directory="", home=variables.get("HOME", ""), builds_only=True, warn=warn
    )
    reader = ComposeLoader(options)
    tree = reader.load(found.files)
    services = {name: one or {} for name, one in (tree.get("services") or {}).items()}
    if not services and not tree.get("secrets"):
        raise UsageError(f"{files[0].name} has no services", "a compose file has services: …")
    consistency.check(tree, services, {}, reader.places)
    loaded = project.with_environment(
        ComposeProject(name=name, directory="", tree=tree, services=services, environment=found.environment)
    )
    targets = []
    names = target_names(list(services))
    for service, given in loaded.services.items():
        if given.get("build") is None:
            continue
        section = BuildSection(name=service, given=given["build"], secrets=tree.get("secrets") or {}, targets=names)
        target = section.target(by_target=False)
        own = forms.formed("pairs", given.get("environment"), ("services", service, "environment"))
        known = {**found.environment, **{key: one for key, one in own.items() if one is not None}}
        args = canonical.resolved(section.pairs("args"), known, keep=False)
        image = forms.formed("text", given.get("image"), ("services", service, "image"))
        tags = target.result.tags or ((image,) if image else None)
        size = gotext.size_text(int(target.run.shm_size)) if target.run.shm_size else None
        target = replaced(target, args=args or None, tags=tags, shm_size=size)
        target = with_extension(target, given["build"], service)
        if files[0].directory is not None:
            base = _base(files[0].directory, target.input.context, tuple(target.input.contexts or ()))
            target = msgspec.structs.replace(target, input=msgspec.structs.replace(target.input, base=base))
        targets.append(target)
    group = TargetGroup(name="default", targets=tuple(sorted(target.name for target in targets)))
    return Definition(tuple(sorted(targets, key=lambda target: target.name)), (group,))


def _base(directory: str, context: str | None, contexts: Sequence[str]) -> ContextBase:
    return ContextBase(
        default=directory,
        context=None if context is None else directory,
        contexts=dict.fromkeys(contexts, directory),
    )
