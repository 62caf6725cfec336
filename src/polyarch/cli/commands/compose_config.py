"""What `compose config` prints instead of the whole project, and images with their digests."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from polyarch.errors import UsageError

if TYPE_CHECKING:
    from polyarch.cli.session import Session
    from polyarch.compose.project import ComposeProject
    from polyarch.oci.reference import Reference

# The options that list something, the first of those given wins. The env files of services are not read for them.
LISTS = ("list_services", "volumes", "networks", "models", "hashed", "list_profiles", "images", "variables")
_RESOURCES = ("volumes", "networks")


def form_of(words: Mapping[str, Any]) -> str:
    """The format of the output. Raises UsageError for an unknown one."""
    known = ("yaml", "json", "table") if words["variables"] else ("yaml", "json")
    form = str(words["form"] or ("table" if words["variables"] else "yaml"))
    if form not in known:
        raise UsageError(f"--format {form} is unknown", f"known: {', '.join(known)}")
    return form


def listed(project: "ComposeProject", words: Mapping[str, Any], form: str) -> str | None:
    """What the first option that lists something prints; None without one."""
    what = next((one for one in LISTS if words[one]), "environment" if words["environment"] else "")
    if what == "variables":
        from polyarch.compose import variables

        found = variables.found_in(project.tree)
        shown = {"table": variables.as_table, "yaml": variables.as_yaml, "json": variables.as_json}
        return shown[form](found)
    lines = _lines(project, what, words) if what else None
    return None if lines is None else "".join(f"{line}\n" for line in lines)


def _lines(project: "ComposeProject", what: str, words: Mapping[str, Any]) -> list[str]:
    from polyarch.compose.project import image_of

    if what == "list_services":
        return sorted((project.tree.get("services") or {}) if words["no_interpolate"] else project.services)
    if what in _RESOURCES:
        return sorted(project.tree.get(what) or ())
    if what == "models":
        models = (project.tree.get("models") or {}).values()
        return sorted(str(one["model"]) for one in models if (one or {}).get("model"))
    if what == "hashed":
        return _hashes(project, words["hashed"])
    if what == "list_profiles":
        everything = [*project.services.values(), *project.disabled.values()]
        return sorted({one for service in everything for one in service.get("profiles") or ()})
    if what == "images":
        return [image_of(project, name) for name in sorted(project.services)]
    return [f"{name}={value}" for name, value in sorted(project.environment.items())]


def _hashes(project: "ComposeProject", asked: str) -> list[str]:
    from polyarch.compose import building, pinned
    from polyarch.compose.project import unknown

    project = building.with_platforms(project)
    names = sorted(project.services) if asked == "*" else sorted(asked.split(","))
    for name in names:
        if name not in project.services:
            raise unknown(project, name)
    return [f"{name} {pinned.service_hash(name, project.services[name])}" for name in names]


def printed(session: "Session", project: "ComposeProject", words: Mapping[str, Any], form: str) -> str:
    """The project, with digests or only its images if that is asked for. With --no-interpolate it is the files, merged,
    with all services.
    """
    from polyarch.compose import printing

    raw = words["no_interpolate"]
    shown = dict(project.tree) if raw else project.printed()
    if words["resolve_image_digests"] or words["lock_image_digests"]:
        from polyarch.compose import pinned

        registry = session.registry()

        def digest(reference: "Reference") -> str:
            return registry.repository(reference).resolve(reference.version).digest

        shown["services"] = pinned.with_digests(shown.get("services") or {}, digest)
        if words["lock_image_digests"]:
            shown = pinned.images_only(shown["services"])
    if raw:
        return printing.model_json(shown) if form == "json" else printing.model_yaml(shown)
    return printing.as_json(shown) if form == "json" else printing.as_yaml(shown)
