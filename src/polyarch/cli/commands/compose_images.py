"""`compose build`, `push`, `pull` and `images`: the images of services."""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import forecasts, options
from polyarch.cli.commands import compose
from polyarch.cli.farm_flags import farm_options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import PolyarchError, UsageError

if TYPE_CHECKING:
    from polyarch.bake.target import BakeTarget
    from polyarch.compose.building import BuildWords
    from polyarch.compose.project import ComposeProject, ProjectOptions
    from polyarch.oci.platform import Platform
    from polyarch.oci.reference import Reference

_SERVICES = click.argument("services", nargs=-1, metavar="[SERVICE]...")
_DEPENDENCIES = click.option("--include-deps", is_flag=True, help="Also those that the services depend on")
_QUIET = click.option("-q", "--quiet", is_flag=True, help="Show no progress")


@click.command("build")
@_SERVICES
@click.option("--build-arg", "args", multiple=True, metavar="NAME[=VALUE]", help="Set a build argument of all services")
@click.option("--push", is_flag=True, help="Push the images of services that have a name for it")
@click.option("--pull", is_flag=True, help="Look for newer base images in their registries")
@click.option("--no-cache", is_flag=True, help="Do not use the build cache")
@click.option("--with-dependencies", is_flag=True, help="Also build the services that these depend on")
@click.option("--ssh", default="", metavar="default|ID=PATH", help="An ssh agent for the builds")
@click.option("--provenance", default="", metavar="VALUE", help="Attach provenance to the images")
@click.option("--sbom", default="", metavar="VALUE", help="Attach a bill of materials to the images")
@click.option("--print", "print_", is_flag=True, help="Print the bake file that says the same, without building")
@click.option("--check", is_flag=True, help="Check the Dockerfiles instead of building")
@farm_options
@forecasts.options
@_QUIET
@options.progress
@click.option("--keep-going", is_flag=True, help="Finish the other services if one fails")
@click.option("--metadata-file", metavar="FILE", help="Write digests and names of the results to FILE, as JSON")
@options.insecure
@click.option("--builder", hidden=True)
@click.option("-m", "--memory", hidden=True, expose_value=False)
@click.option("--parallel/--no-parallel", hidden=True, expose_value=False)
@click.option("--compress", hidden=True, is_flag=True, expose_value=False)
@click.option("--force-rm/--no-rm", hidden=True, expose_value=False)
@pass_session
def build(session: Session, /, services: tuple[str, ...], **words: Any) -> int:
    """Build the images of services. A service that is a context of another is built before it."""
    from polyarch.compose import building
    from polyarch.compose import project as projects
    from polyarch.compose.building import BuildWords

    given = BuildWords(
        args=words["args"],
        push=words["push"],
        pull=words["pull"],
        no_cache=words["no_cache"],
        check=words["check"],
        ssh=_ssh(words["ssh"]),
        sbom=words["sbom"],
        provenance=words["provenance"],
    )
    project = projects.load(compose.found_project(session), _loaded(session))
    compose.check_names(services, project)
    project = building.with_platforms(projects.with_services(project, services))
    names = building.with_contexts(project, services or sorted(project.services))
    project = projects.selected(project, names)
    if words["with_dependencies"]:
        names = building.with_contexts(project, project.services)
    built = [name for name in names if (project.services.get(name) or {}).get("build") is not None]
    if not built:
        session.note("No service has a build.")
        return 0
    if words["print_"]:
        click.echo(building.printed(project, built, given), nl=False)
        return 0
    return _build(session, project, built, given, words)


def _ssh(word: str) -> str:
    if word and "=" not in word and word != "default":
        raise UsageError(f"--ssh {word} is neither default nor ID=PATH")
    return word


def _loaded(session: Session) -> "ProjectOptions":
    from polyarch.compose.project import ProjectOptions

    return ProjectOptions(environment=False, warn=session.warn)


def _build(
    session: Session, project: "ComposeProject", built: Sequence[str], given: "BuildWords", words: dict[str, Any]
) -> int:
    """Build through what `bake` builds with."""
    from polyarch.bake import options as bake_options
    from polyarch.bake import resolve
    from polyarch.bake.remote import BakeWhere
    from polyarch.bake.target import Definition
    from polyarch.cli.baking import BakeRun
    from polyarch.compose import building

    targets: list[BakeTarget] = [building.target(project, name, given) for name in built]
    resolved = resolve.resolve(Definition(tuple(targets)), [target.name for target in targets], {})
    for target in resolved.targets.values():
        bake_options.check(target, session.host())
    progress = "quiet" if words["quiet"] else words["progress"] or compose.words_of_group()["progress"]
    run = BakeRun(
        session,
        resolved,
        BakeWhere(),
        progress=progress,
        insecure=words["insecure"],
        keep_going=words["keep_going"],
        variables=_secret_variables(targets, project),
        builder=words["builder"],
        farm=words,
    )
    if forecasts.is_asked(words):
        forecasts.show(*run.forecast(), words)
        return 0
    return run.run("text", words["metadata_file"])


def _secret_variables(targets: "Sequence[BakeTarget]", project: "ComposeProject") -> dict[str, str]:
    """The variables that are secrets of the builds: a project may have them from a file."""
    named = [secret.env for target in targets for secret in target.input.secrets or () if secret.env]
    return {name: project.environment[name] for name in named if name in project.environment}


@click.command("images")
@_SERVICES
@click.option("--format", "form", default="table", metavar="FORMAT", help="Output format: table or json")
@click.option("-q", "--quiet", is_flag=True, help="Print only the digests")
@pass_session
def images(session: Session, /, services: tuple[str, ...], form: str, quiet: bool) -> None:
    """List the images of services that are in the store, with their platforms."""
    from polyarch.cli.formats import Row, show
    from polyarch.oci import reference as references
    from polyarch.render import tables

    _, project = compose.opened(session, services, _loaded(session), dependencies=False)
    stored = session.store.tagged()
    rows: list[Row] = []
    for name in sorted(project.services):
        reference = references.parse(_image_of(project, name)).tagged()
        found = stored.get(str(reference))
        if found is not None:
            rows.append(
                {
                    "Service": name,
                    "Repository": references.parse(reference.familiar()).familiar().rpartition(":")[0],
                    "Tag": reference.tag or "",
                    "Digest": found.digest,
                }
            )
    if quiet:
        click.echo("".join(f"{row['Digest']}\n" for row in rows), nl=False)
        return

    def table() -> str:
        header = ("SERVICE", "REPOSITORY", "TAG", "DIGEST")
        return tables.render(header, [[str(value) for value in row.values()] for row in rows])

    show(None if form == "table" else form, rows, table, {})


def _image_of(project: "ComposeProject", name: str) -> str:
    from polyarch.compose.project import image_of

    return image_of(project, name)


@click.command("push")
@_SERVICES
@_DEPENDENCIES
@click.option("--ignore-push-failures", is_flag=True, help="Push what can be pushed")
@_QUIET
@options.progress
@options.insecure
@pass_session
def push(session: Session, /, services: tuple[str, ...], **words: Any) -> int:
    """Send the images of services to their registries: of those with a build and a name of an image."""
    from polyarch.images import push as pushing

    _, project = compose.opened(session, services, _loaded(session), dependencies=words["include_deps"])
    names = [
        name for name, one in sorted(project.services.items()) if one.get("image") and one.get("build") is not None
    ]
    chosen = _references(project, names, with_tags=True)

    def one(reference: "Reference", emit: Any) -> str:
        registry = session.registry([reference.domain] if words["insecure"] else ())
        return pushing.push(session.store, registry, reference, None, emit).descriptor.digest

    optional = chosen if words["ignore_push_failures"] else ()
    return _each(session, ("Pushing", "pushed"), chosen, one, words, optional)


@click.command("pull")
@_SERVICES
@_DEPENDENCIES
@click.option("--ignore-pull-failures", is_flag=True, help="Fetch what can be fetched")
@click.option("--ignore-buildable", is_flag=True, help="Skip services that have a build")
@click.option(
    "--policy", type=click.Choice(["missing", "always"]), help="Whether to fetch what is in the store already"
)
@_QUIET
@options.progress
@options.insecure
@pass_session
def pull(session: Session, /, services: tuple[str, ...], **words: Any) -> int:
    """Fetch the images of services from their registries, for their platforms, else for this machine's.

    A failure for a service that has a build is a warning, because it can be built.
    """
    from polyarch.images import pull as pulling
    from polyarch.oci import platform as platforms

    _, project = compose.opened(session, services, _loaded(session), dependencies=words["include_deps"])
    stored = session.store.tagged()
    wanted: dict[Reference, tuple[Platform, ...]] = {}
    buildable: set[Reference] = set()
    for name, service in sorted(project.services.items()):
        policy = words["policy"] or service.get("pull_policy") or "always"
        has_build = service.get("build") is not None
        if not service.get("image") or policy in ("never", "build") or (has_build and words["ignore_buildable"]):
            continue
        reference = _references(project, [name])[0]
        if policy not in ("missing", "if_not_present") or str(reference) not in stored:
            asked = platforms.parse_list([str(service.get("platform") or "")], session.host()) or (session.host(),)
            wanted[reference] = tuple(dict.fromkeys((*wanted.get(reference, ()), *asked)))
            buildable |= {reference} if has_build else set()

    def one(reference: "Reference", emit: Any) -> str:
        registry = session.registry([reference.domain] if words["insecure"] else ())
        return pulling.pull(session.store, registry, reference, wanted[reference], emit).descriptor.digest

    optional = set(wanted) if words["ignore_pull_failures"] else buildable
    return _each(session, ("Pulling", "fetched"), list(wanted), one, words, optional)


def _references(project: "ComposeProject", names: Sequence[str], *, with_tags: bool = False) -> "list[Reference]":
    """The names of the images of services, each once; with those of `build.tags` as well."""
    from polyarch.oci import reference as references

    found: list[str] = []
    for name in names:
        found.append(_image_of(project, name))
        if with_tags:
            found += (project.services[name].get("build") or {}).get("tags") or ()
    parsed = [references.parse(name).tagged() for name in found]
    return list(dict.fromkeys(parsed)) if with_tags else parsed


def _each(
    session: Session,
    verb: tuple[str, str],
    chosen: "Sequence[Reference]",
    work: "Callable[[Reference, Any], str]",
    words: dict[str, Any],
    optional: "Collection[Reference]",
) -> int:
    """Do something with each image; `verb` is what is done, and its past. A failure for an optional one is a warning.
    Returns the exit status.
    """
    failed: list[tuple[Reference, PolyarchError]] = []
    lines: list[str] = []
    progress = "quiet" if words["quiet"] else words["progress"] or compose.words_of_group()["progress"]
    with session.display(progress, verb=verb[0]) as emit:
        for reference in chosen:
            try:
                lines.append(f"{reference.familiar()}: digest: {work(reference, emit)}")
            except PolyarchError as error:
                failed.append((reference, error))
    for line in lines if not words["quiet"] else ():
        click.echo(line)
    for reference, problem in failed:
        message = f"{reference.familiar()} was not {verb[1]}: {problem.message}"
        if reference in optional:
            session.warn(message, problem.hint or "")
        else:
            session.error(PolyarchError(message, problem.hint))
    return 1 if any(reference not in optional for reference, _ in failed) else 0
