"""`compose`: the images of compose files are built, pushed and fetched, and the files are shown in their full form."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.groups import LazyGroup
from polyarch.cli.session import Session, pass_session

if TYPE_CHECKING:
    from polyarch.compose.discovery import FoundProject
    from polyarch.compose.project import ComposeProject, ProjectOptions

COMMANDS = {
    "Commands": {
        "build": ("compose_images:build", "Build the images of services"),
        "config": ("compose:config", "Check compose files, and show them in their full form"),
        "images": ("compose_images:images", "List the images of services that are in the store"),
        "pull": ("compose_images:pull", "Fetch the images of services from their registries"),
        "push": ("compose_images:push", "Send the images of services to their registries"),
    }
}
_WORDS = "polyarch.compose"
_FILES = click.option("-f", "--file", "files", multiple=True, metavar="FILE|-", help="A compose file; repeatable")
_NAME = click.option("-p", "--project-name", default="", metavar="NAME", help="The name of the project")
_DIRECTORY = click.option(
    "--project-directory", default="", metavar="DIR", help="Where paths begin (default: the first file's directory)"
)
_ENV = click.option("--env-file", "env_files", multiple=True, metavar="FILE", help="Variables, instead of .env")
_PROFILE = click.option("--profile", "profiles", multiple=True, metavar="NAME", help="Activate a profile; * is all")
_ALL = click.option("--all-resources", is_flag=True, help="Include resources that no service uses")


class ComposeGroup(LazyGroup):
    """The group, which keeps its options for its commands."""

    def invoke(self, ctx: click.Context) -> Any:
        ctx.meta[_WORDS] = dict(ctx.params)
        return super().invoke(ctx)


compose = ComposeGroup(
    "compose", sections=COMMANDS, help="Build, push and fetch the images of compose files, and check the files."
)
for _option in (_FILES, _NAME, _DIRECTORY, _ENV, _PROFILE, _ALL, options.progress):
    compose = _option(compose)
for _hidden in ("--ansi", "--parallel"):
    compose = click.option(_hidden, hidden=True, expose_value=False)(compose)
for _hidden in ("--compatibility", "--dry-run"):
    compose = click.option(_hidden, hidden=True, is_flag=True, expose_value=False)(compose)


@click.command("config")
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@click.option("--format", "form", default="yaml", type=click.Choice(["yaml", "json"]), help="The format of the output")
@click.option("-q", "--quiet", is_flag=True, help="Only check, and print nothing")
@click.option("-o", "--output", metavar="FILE", help="Write to a file")
@click.option("--services", "list_services", is_flag=True, help="List the names of the services")
@click.option("--images", is_flag=True, help="List the images of the services")
@click.option("--profiles", "list_profiles", is_flag=True, help="List the profiles")
@click.option("--volumes", is_flag=True, help="List the names of the volumes")
@click.option("--networks", is_flag=True, help="List the names of the networks")
@click.option("--environment", is_flag=True, help="List the variables that the files see")
@click.option("--no-interpolate", is_flag=True, help="Do not replace variables")
@click.option("--no-normalize", is_flag=True, help="Do not add what is implicit")
@click.option("--no-path-resolution", is_flag=True, help="Do not make paths absolute")
@click.option("--no-consistency", is_flag=True, help="Do not check that what services name exists")
@click.option("--no-env-resolution", is_flag=True, help="Do not read the env files of services")
@pass_session
def config(session: Session, /, services: tuple[str, ...], **words: Any) -> None:
    """Check compose files, and show them merged and in their full form."""
    from polyarch.compose import printing
    from polyarch.compose.project import ProjectOptions

    listed = words["list_services"] or words["images"] or words["list_profiles"]
    _, project = opened(
        session,
        services,
        ProjectOptions(
            interpolate=not words["no_interpolate"],
            normalize=not words["no_normalize"],
            absolute=not words["no_path_resolution"],
            consistent=not words["no_consistency"],
            environment=not (listed or words["no_env_resolution"]),
            warn=session.warn,
        ),
    )
    text = _listed(project, words)
    if text is None:
        shown = project.printed()
        text = printing.as_json(shown) if words["form"] == "json" else printing.as_yaml(shown)
        text = text.replace("$$", "$") if words["no_interpolate"] else text
    if words["quiet"]:
        return
    if words["output"]:
        Path(words["output"]).write_text(text)
    else:
        click.echo(text, nl=False)


def _listed(project: "ComposeProject", words: dict[str, Any]) -> str | None:
    """What one of the flags that list something prints; None without one."""
    from polyarch.compose.project import image_of

    lines: list[str] | None = None
    if words["list_services"]:
        lines = sorted(project.services)
    elif words["volumes"] or words["networks"]:
        lines = sorted(project.tree.get("volumes" if words["volumes"] else "networks") or ())
    elif words["list_profiles"]:
        everything = [*project.services.values(), *project.disabled.values()]
        lines = sorted({one for service in everything for one in service.get("profiles") or ()})
    elif words["images"]:
        lines = [image_of(project, name) for name in sorted(project.services)]
    elif words["environment"]:
        lines = [f"{name}={value}" for name, value in sorted(project.environment.items())]
    return None if lines is None else "".join(f"{line}\n" for line in lines)


def words_of_group() -> dict[str, Any]:
    """The options of `compose` itself."""
    found: dict[str, Any] = click.get_current_context().meta[_WORDS]
    return found


def found_project(session: Session) -> "FoundProject":
    """The files of the project that the options of `compose` name."""
    from polyarch.compose import discovery
    from polyarch.compose.discovery import ComposeWords, Surrounding

    given = words_of_group()
    words = ComposeWords(
        files=given["files"],
        env_files=given["env_files"],
        project_name=given["project_name"],
        directory=given["project_directory"],
        profiles=given["profiles"],
    )
    around = Surrounding(
        directory=str(Path.cwd()),
        variables=session.environment.variables,
        stdin=sys.stdin.buffer.read,
        warn=session.warn,
    )
    return discovery.find(words, around)


def opened(
    session: Session, services: tuple[str, ...], chosen: "ProjectOptions", *, dependencies: bool = True
) -> "tuple[FoundProject, ComposeProject]":
    """The project with these services and those that they depend on; all without names."""
    from polyarch.compose import project as projects

    found = found_project(session)
    project = projects.load(found, chosen)
    project = projects.with_services(project, services)
    if chosen.environment:
        project = projects.with_environment(project)
    project = projects.selected(project, services, dependencies=dependencies)
    return found, project if words_of_group()["all_resources"] else projects.without_unused(project)


def check_names(services: tuple[str, ...], project: "ComposeProject") -> None:
    """Raise NotFoundError for a service that the project does not have."""
    from polyarch.compose.project import unknown

    for name in services:
        if name not in project.services and name not in project.disabled:
            raise unknown(project, name)
