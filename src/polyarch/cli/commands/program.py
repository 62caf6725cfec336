"""The table of all commands: their names, their modules, and their order in the help.

Docker's synonyms are entries that name the same command: `build`, `buildx build` and `image build` are one.
"""

from pathlib import Path

import click

from polyarch.cli.groups import LazyGroup
from polyarch.cli.session import Session
from polyarch.client import environment

_BUILD = ("build:build", "Build an image from a Dockerfile, for one or more platforms")
_BAKE = ("bake:bake", "Build the targets of bake files")

IMAGE = {
    "Commands": {
        "build": _BUILD,
        "history": ("history:history", "Show the history of an image"),
        "import": ("importing:import_", "Create an image for one platform from a root filesystem"),
        "inspect": ("inspect:inspect", "Show the details of images, as JSON"),
        "load": ("archives:load", "Load images from an archive into the store"),
        "ls": ("images:images", "List the images in the store"),
        "prune": ("image_prune:prune", "Remove images without a name, or all that meet filters"),
        "pull": ("push_pull:pull", "Fetch an image from its registry"),
        "push": ("push_pull:push", "Push an image to its registry"),
        "rm": ("rmi:rmi", "Remove images, or platforms of them"),
        "save": ("archives:save", "Write images to an archive"),
        "tag": ("tag:tag", "Create another name for an image"),
    }
}

BUILDS = {
    "Commands": {
        "export": ("builds:export", "Write builds to a .dockerbuild file"),
        "inspect": ("builds:inspect", "Show a build, or a document that it made"),
        "ls": ("builds:ls", "List the builds"),
        "rm": ("builds:rm", "Forget builds"),
    }
}

BUILDX = {
    "Commands": {
        "bake": _BAKE,
        "build": _BUILD,
        "du": ("du:du", "List the records of the cache with their sizes"),
        "history": ("program:builds", "Work on the records of builds"),
        "imagetools": ("imagetools:imagetools", "Work on images in registries"),
        "inspect": ("builders:inspect", "Show the builder and its platforms"),
        "ls": ("builders:ls", "List the builders"),
        "prune": ("system:prune", "Remove unused data"),
        "version": ("about:version", "Show the versions of Polyarch, Python and the system"),
    }
}

_CREATE = ("container:create", "Create a container without running it")
_CP = ("container:cp", "Copy files out of an image or a container")
_EXPORT = ("container:export", "Write the files of an image or a container as a tar")
_PS = ("container:ps", "List containers")
_RM = ("container:rm", "Remove containers that create made")

CONTAINER = {
    "Commands": {
        "cp": _CP,
        "create": _CREATE,
        "export": _EXPORT,
        "list": _PS,
        "ls": _PS,
        "prune": ("container:prune", "Remove all containers that create made"),
        "ps": _PS,
        "rm": _RM,
        "run": ("run:run", "Run a command in a container"),
    }
}

VOLUME = {
    "Commands": {
        "create": ("volume:create", "Create a volume"),
        "inspect": ("volume:inspect", "Show the details of volumes, as JSON"),
        "ls": ("volume:ls", "List the volumes"),
        "prune": ("volume:prune", "Remove volumes that no container uses now"),
        "rm": ("volume:rm", "Remove volumes"),
    }
}

BUILDER = {
    "Commands": {
        "build": _BUILD,
        "prune": ("cache_prune:prune", "Remove the build cache, or a part of it"),
    }
}

PROGRAM = {
    "Common Commands": {
        "run": ("run:run", "Run a command in a container"),
        "build": _BUILD,
        "images": ("images:images", "List the images in the store"),
        "pull": ("push_pull:pull", "Fetch an image from its registry"),
        "push": ("push_pull:push", "Push an image to its registry"),
        "login": ("login:login", "Log in to a registry"),
        "logout": ("login:logout", "Remove the stored credentials of a registry"),
        "version": ("about:version", "Show the versions of Polyarch, Python and the system"),
    },
    "Management Commands": {
        "builder": ("program:builder", "The commands of docker builder"),
        "cache": ("cache:cache", "Work on build caches that --cache-to wrote"),
        "buildx": ("program:buildx", "The commands of docker buildx"),
        "container": ("program:container", "The commands of docker container"),
        "compose": ("compose:compose", "Build and check compose files"),
        "image": ("program:image", "The commands of docker image"),
        "manifest": ("manifest:manifest", "Create, edit, compare and push multi-platform indexes"),
        "system": ("system:system", "Manage the store"),
        "volume": ("program:volume", "Manage the volumes of containers"),
    },
    "Commands": {
        "attest": ("sign:attest", "Sign a statement about an image"),
        "bake": _BAKE,
        "check": ("check:check", "Check the binaries, commands and metadata of an image, for every platform"),
        "completion": ("about:completion", "Print the completion script for bash, zsh or fish"),
        "cp": _CP,
        "create": _CREATE,
        "diff": ("diff:diff", "Show the differences between two images"),
        "docker-links": ("docker_links:docker_links", "Write links named docker, for programs that call docker"),
        "doctor": ("doctor:doctor", "Show what this machine can do, and how to get what is missing"),
        "drift": ("drift:drift", "Show unexpected differences between the platforms of an image"),
        "explain": ("explain:explain", "Show why the steps of a build ran and how long they took"),
        "export": _EXPORT,
        "farm": ("farm:farm", "Build on several machines, each platform where it runs natively"),
        "generate-key-pair": ("sign:generate_key_pair", "Make a pair of keys for signing"),
        "help": ("about:help_", "Show the help of a command"),
        "history": ("history:history", "Show the history of an image"),
        "import": ("importing:import_", "Create an image for one platform from a root filesystem"),
        "init": ("init:init", "Write a Dockerfile, .dockerignore and bake file for a project"),
        "inspect": ("inspect:inspect", "Show the details of images, as JSON"),
        "load": ("archives:load", "Load images from an archive into the store"),
        "merge": ("merge:merge", "Combine images that were built separately into one index"),
        "page": ("page:page", "Write pages that show images and their platforms"),
        "platforms": ("platforms:platforms", "Show for which platforms this machine can build and run"),
        "ps": _PS,
        "rm": _RM,
        "rmi": ("rmi:rmi", "Remove images, or platforms of them"),
        "save": ("archives:save", "Write images to an archive"),
        "sbom": ("sbom:sbom", "List the packages in an image, or write its bill of materials (SBOM)"),
        "serve": ("serve:serve", "Serve the images in the store as a registry"),
        "sign": ("sign:sign", "Sign images"),
        "tag": ("tag:tag", "Create another name for an image"),
        "test": ("test:test", "Test an image for every platform"),
        "verify": ("verify:verify", "Verify the signatures of images"),
        "verify-attestations": ("attestations:verify_attestations", "Verify the attestations of an image"),
    },
}


# A plain string, not click.Path: its constructor searches the disk for translations, which takes 3 ms.
@click.group(cls=LazyGroup, sections=PROGRAM)
@click.option(
    "--root",
    metavar="DIR",
    help="Directory of the store (default: $POLYARCH_ROOT, else ~/.local/share/polyarch; for root /var/lib/polyarch)",
)
@click.option("-D", "--debug", is_flag=True, help="Show tracebacks, and all requests to registries")
@click.option("-v", "--version", "show_version", is_flag=True, help="Print the version and quit")
@click.pass_context
def program(context: click.Context, root: str | None, debug: bool, show_version: bool) -> None:
    """Build, store, edit, check, run and push container images for many platforms.

    Needs no daemon and no root, and accepts docker's commands and flags.
    """
    if show_version:
        from polyarch.version import VERSION

        click.echo(f"polyarch version {VERSION}")
        context.exit()
    # `execute` passes the variables of the environment.
    settings = environment.read(context.obj)
    context.obj = context.with_resource(Session(settings, root=Path(root) if root else None, debug=debug))


image = LazyGroup("image", sections=IMAGE, help="The commands of docker image.")
builds = LazyGroup("history", sections=BUILDS, help="The builds that were done with this store.")
builder = LazyGroup("builder", sections=BUILDER, help="The commands of docker builder.")
container = LazyGroup(
    "container",
    sections=CONTAINER,
    help="The commands of docker container. Each container ends with the command that runs it.",
)
volume = LazyGroup("volume", sections=VOLUME, help="Volumes: directories of the store that containers share.")
buildx = LazyGroup("buildx", sections=BUILDX, help="The commands of docker buildx.")
