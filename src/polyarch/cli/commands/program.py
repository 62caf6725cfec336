"""The commands: which there are, under which names, in which order the help shows them.

docker's synonyms are entries that name the same command: `build`, `buildx build` and `image build` are one.
"""

from pathlib import Path

import click

from polyarch.cli import environment
from polyarch.cli.groups import LazyGroup
from polyarch.cli.session import Session

_BUILD = ("build:build", "Build an image from a Dockerfile, for one platform or many")

IMAGE = {
    "Commands": {
        "build": _BUILD,
        "history": ("images:history", "Show the history of an image"),
        "import": ("importing:import_", "Create an image for one platform from a root filesystem"),
        "inspect": ("inspect:inspect", "Show the details of images, as JSON"),
        "load": ("archives:load", "Load the images of an archive into the store"),
        "ls": ("images:images", "List the images of the store"),
        "prune": ("system:prune", "Remove unused data"),
        "pull": ("push_pull:pull", "Fetch an image from its registry"),
        "push": ("push_pull:push", "Send an image to its registry"),
        "rm": ("images:rmi", "Remove images, or platforms of them"),
        "save": ("archives:save", "Write images to an archive"),
        "tag": ("images:tag", "Give an image another name"),
    }
}

BUILDX = {
    "Commands": {
        "build": _BUILD,
        "du": ("du:du", "Show each record of the cache and what it takes on disk"),
        "imagetools": ("imagetools:imagetools", "Work on images in registries"),
        "inspect": ("platforms:inspect", "Show the builder and its platforms"),
        "ls": ("platforms:ls", "List the builders: there is one"),
        "prune": ("system:prune", "Remove unused data"),
        "version": ("about:version", "Show the version of polyarch and of what it runs on"),
    }
}

PROGRAM = {
    "Common Commands": {
        "run": ("run:run", "Run a command in an image"),
        "build": _BUILD,
        "images": ("images:images", "List the images of the store"),
        "pull": ("push_pull:pull", "Fetch an image from its registry"),
        "push": ("push_pull:push", "Send an image to its registry"),
        "login": ("login:login", "Log in to a registry"),
        "logout": ("login:logout", "Log out from a registry"),
        "version": ("about:version", "Show the version of polyarch and of what it runs on"),
    },
    "Management Commands": {
        "buildx": ("program:buildx", "Commands with the names of docker buildx"),
        "image": ("program:image", "Commands with the names of docker image"),
        "manifest": ("manifest:manifest", "Make, edit, compare and push multi-platform indexes"),
        "system": ("system:system", "Manage the store"),
    },
    "Commands": {
        "check": ("check:check", "Check that an image is what it says it is, on every platform"),
        "completion": ("about:completion", "Print the completion script for bash, zsh or fish"),
        "diff": ("diff:diff", "Show how an image differs from another"),
        "drift": ("drift:drift", "Show what differs between the platforms of an image"),
        "explain": ("explain:explain", "Show what a build did, or would do, and why"),
        "history": ("images:history", "Show the history of an image"),
        "import": ("importing:import_", "Create an image for one platform from a root filesystem"),
        "inspect": ("inspect:inspect", "Show the details of images, as JSON"),
        "load": ("archives:load", "Load the images of an archive into the store"),
        "merge": ("merge:merge", "Combine what several machines built into one index"),
        "platforms": ("platforms:platforms", "Show for which platforms this machine can build and run"),
        "rmi": ("images:rmi", "Remove images, or platforms of them"),
        "save": ("archives:save", "Write images to an archive"),
        "tag": ("images:tag", "Give an image another name"),
    },
}


# Plain words, no click.Path: its constructor looks for translations on the disk, 3 ms for each.
@click.group(cls=LazyGroup, sections=PROGRAM)
@click.option("--root", metavar="DIR", help="The store (default: POLYARCH_ROOT)")
@click.option("-D", "--debug", is_flag=True, help="Show tracebacks, and each request to a registry")
@click.option("-v", "--version", "show_version", is_flag=True, help="Print the version and quit")
@click.pass_context
def program(context: click.Context, root: str | None, debug: bool, show_version: bool) -> None:
    """Build, store, edit, check, run and ship one container image for many platforms.

    It needs neither a daemon nor root, and takes docker's commands and flags.
    """
    if show_version:
        from polyarch.version import VERSION

        click.echo(f"polyarch version {VERSION}")
        context.exit()
    # `execute` passes the variables of the environment.
    settings = environment.read(context.obj)
    context.obj = context.with_resource(Session(settings, root=Path(root) if root else None, debug=debug))


image = LazyGroup("image", sections=IMAGE, help="Commands with the names of docker image.")
buildx = LazyGroup("buildx", sections=BUILDX, help="Commands with the names of docker buildx.")
