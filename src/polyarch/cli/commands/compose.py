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
@click.option(
    "--format", "form", metavar="FORMAT", help="The format: yaml (default) or json; also table for --variables"
)
@click.option("-q", "--quiet", is_flag=True, help="Only check, and print nothing")
@click.option("-o", "--output", metavar="FILE", help="Write to a file")
@click.option("--services", "list_services", is_flag=True, help="List the names of the services")
@click.option("--images", is_flag=True, help="List the images of the services")
@click.option("--profiles", "list_profiles", is_flag=True, help="List the profiles")
@click.option("--volumes", is_flag=True, help="List the names of the volumes")
@click.option("--networks", is_flag=True, help="List the names of the networks")
@click.option("--models", is_flag=True, help="List the models of the services")
@click.option(
    "--hash", "hashed", metavar="SERVICES", help="Print the hash of services (A,B or *), as docker compose has it"
)
@click.option("--variables", is_flag=True, help="List the variables in the files, and their defaults")
@click.option("--environment", is_flag=True, help="List the variables that the files see")
@click.option(
    "--resolve-image-digests", is_flag=True, help="Print images with the digests that registries have for them"
)
@click.option("--lock-image-digests", is_flag=True, help="Print only images, with their digests: a file to add with -f")
@click.option("--no-interpolate", is_flag=True, help="Do not replace variables")
@click.option("--no-normalize", is_flag=True, help="Do not add what is implicit")
@click.option("--no-path-resolution", is_flag=True, help="Do not make paths absolute")
@click.option("--no-consistency", is_flag=True, help="Do not check that what services name exists")
@click.option("--no-env-resolution", is_flag=True, help="Do not read the env files of services")
@pass_session
def config(session: Session, /, services: tuple[str, ...], **words: Any) -> None:
    """Check compose files, and show them merged and in their full form."""
    from polyarch.cli.commands import compose_config
    from polyarch.compose.project import ProjectOptions

    form = compose_config.form_of(words)
    listed = any(words[one] for one in compose_config.LISTS)
    raw = words["no_interpolate"] or words["variables"]
    chosen = ProjectOptions(
        interpolate=not raw,
        normalize=not words["no_normalize"],
        absolute=not words["no_path_resolution"],
        consistent=not (raw or words["no_consistency"]),
        environment=not (raw or listed or words["no_env_resolution"]),
        warn=session.warn,
    )
    _, project = opened(session, () if raw or words["hashed"] else services, chosen)
    text = compose_config.listed(project, words, form)
    if text is None:
        text = compose_config.printed(session, project, words, form)
    if words["quiet"]:
        return
    if words["output"]:
        Path(words["output"]).write_text(text)
    else:
        click.echo(text, nl=False)


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
    if chosen.interpolate:
        project = projects.with_labels(project)
    project = projects.selected(project, services, dependencies=dependencies)
    everything = words_of_group()["all_resources"] or not chosen.interpolate
    return found, project if everything else projects.without_unused(project)


def check_names(services: tuple[str, ...], project: "ComposeProject") -> None:
    """Raise NotFoundError for a service that the project does not have."""
    from polyarch.compose.project import unknown

    for name in services:
        if name not in project.services and name not in project.disabled:
            raise unknown(project, name)
