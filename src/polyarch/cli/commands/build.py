"""`build`: a Dockerfile becomes an image for many platforms."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import PolyarchError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from polyarch.builder import BuildRequest, BuildResult, Export, Output


@click.command("build")
@click.argument("context", required=False, metavar="PATH|URL|-")
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="PLATFORM[,...]",
    help="Build for these platforms (default: this machine's)",
)
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Name of the result; repeatable")
@click.option("-f", "--file", metavar="FILE|-", help="The Dockerfile (default: PATH/Dockerfile)")
@click.option("--target", "target", multiple=True, metavar="STAGE", help="Build up to this stage")
@click.option(
    "--build-arg",
    "build_args",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Set an ARG; without a value, it is taken from the environment",
)
@click.option(
    "--build-context",
    "contexts",
    multiple=True,
    metavar="NAME=PATH",
    help="Another context: a directory, docker-image://NAME, oci-layout://DIR, a URL",
)
@click.option("--label", "labels", multiple=True, metavar="KEY[=VALUE]", help="Set a label")
@click.option("--annotation", "annotations", multiple=True, metavar="[TYPE:]KEY=VALUE", help="Set an annotation")
@click.option("-o", "--output", "outputs", multiple=True, metavar="OUTPUT", help="Where the result goes: type=…,dest=…")
@click.option("--load", is_flag=True, help="Keep the result in the store (the default without --push and --output)")
@click.option("--push", is_flag=True, help="Send the result to the registries in its names")
@click.option("--no-cache", is_flag=True, help="Do not use the build cache")
@click.option("--no-cache-filter", multiple=True, metavar="STAGE", help="Do not use the build cache for these stages")
@click.option("--pull", is_flag=True, help="Ask registries for newer base images")
@click.option("--network", type=click.Choice(["default", "none", "host"]), default="default", help="The network of RUN")
@click.option("--add-host", "hosts", multiple=True, metavar="NAME:ADDRESS", help="An entry of /etc/hosts for RUN")
@click.option("--shm-size", metavar="SIZE", help="The size of /dev/shm for RUN")
@click.option("--ulimit", "ulimits", multiple=True, metavar="NAME=SOFT[:HARD]", help="A limit for RUN")
@click.option(
    "--secret", "secrets", multiple=True, metavar="id=…", help="A secret for RUN: id=ID,src=FILE or id=ID,env=NAME"
)
@click.option("--ssh", multiple=True, metavar="default|ID=SOCKET", help="An ssh agent for RUN")
@click.option("--allow", multiple=True, metavar="WHAT", help="Allow security.insecure or network.host")
@click.option("--allow-foreign-base", is_flag=True, help="Only warn if a base image lacks the platform")
@click.option("--keep-going", is_flag=True, help="If a platform fails, finish the others and tag nothing")
@click.option("--partial", is_flag=True, help="If a platform fails, tag those that work and exit with 1")
@click.option(
    "--verify-platforms",
    type=click.Choice(["error", "warn", "off"]),
    default="error",
    help="How to treat binaries of another architecture that the image starts",
)
@click.option(
    "--reproducible", is_flag=True, help="Take all times from SOURCE_DATE_EPOCH, by default the start of 1970"
)
@click.option("--check", is_flag=True, help="Only check the Dockerfile")
@click.option(
    "--call",
    type=click.Choice(["build", "check", "outline", "targets"]),
    help="Report on the Dockerfile instead of building",
)
@options.progress
@click.option("-q", "--quiet", is_flag=True, help="Print the digest only")
@click.option("--iidfile", metavar="FILE", help="Write the digest to FILE")
@click.option("--metadata-file", metavar="FILE", help="Write what was made to FILE, as JSON")
@click.option(
    "--cache-limit", metavar="SIZE", help="Keep this much cache after the build: 20GB, 10% (of the disk) or none"
)
@options.insecure
@click.option("--provenance", "--sbom", "--attest", "attest", multiple=True, hidden=True)
@click.option("--cgroup-parent", hidden=True)
@click.option("--builder", hidden=True, expose_value=False)
@click.option("--rm", "--force-rm", "--compress", is_flag=True, hidden=True, expose_value=False)
@pass_session
def build(session: Session, /, **words: Any) -> int:
    """Build an image from a Dockerfile, for one platform or many, as one graph.

    PATH is the directory that COPY and ADD take files from, URL an archive or a git repository; - reads a Dockerfile,
    or a tar of a context, from standard input. --build-arg, --build-context, --label, --secret and --target may be for
    one platform alone: --build-arg linux/arm64:NAME=VALUE.
    """
    from polyarch.builder import build as build_request

    session.chosen_limit = words["cache_limit"]
    if words["cgroup_parent"]:
        raise UnsupportedError(
            "--cgroup-parent is not supported: a RUN stays in the cgroup of this command",
            "start the command in a cgroup of its own, as in: systemd-run --user --scope --slice=NAME polyarch build …",
        )
    request = _request(session, words)
    call = "check" if words["check"] else words["call"] or "build"
    if call != "build":
        from polyarch.cli.commands import subrequests

        return subrequests.call(call, request, session)
    names = request.export.names
    insecure = words["insecure"] or request.export.insecure
    registry = session.registry_for([str(name) for name in names] if insecure else ())
    way = "quiet" if words["quiet"] else words["progress"]
    with session.display(way) as emit:
        result = build_request(request, session.store, registry, emit)
    _report(session, words, request.export, result, quiet=way in ("quiet", "rawjson"))
    if way != "rawjson":
        asked, used = _to_engine(request.export.outputs), _to_engine(result.outputs)
        _tell_of_engine(session, words["load"] and not asked, asked and not used)
    for failure in result.failures:
        session.error(PolyarchError(f"{failure.platform} failed: {failure.message}", failure.hint or None))
    return 1 if result.failures else 0


def _request(session: Session, words: Mapping[str, Any]) -> "BuildRequest":
    """The request that the words of the command line make."""
    from polyarch import buildflags

    context, file = words["context"], words["file"]
    if context is None and file is None:
        raise UsageError(
            "build needs a context", "usage: polyarch build [OPTIONS] PATH; for this directory: polyarch build ."
        )
    if context == "-" and file == "-":
        raise UsageError("standard input cannot be both the Dockerfile and the context", "give the path of one of them")
    options: dict[str, Any] = {name: words[name] for name in buildflags.OPTIONS if name in words}
    if file == "-":
        options |= {"file": None, "dockerfile": sys.stdin.buffer.read().decode("utf-8", "surrogateescape")}
    options["on_failure"] = "keep" if words["partial"] else "finish" if words["keep_going"] else "stop"
    return buildflags.request(context, session.surroundings(), **options)


def _to_engine(outputs: "Iterable[Output]") -> bool:
    return any(output.kind == "engine" for output in outputs)


def _tell_of_engine(session: Session, load: bool, replaced: bool) -> None:
    """Where the result is, for a person who may expect it in an engine: `replaced` says that none runs here."""
    if replaced:
        session.note("no docker engine runs here: the image is in the store of polyarch")
    if load and (host := session.environment.variables.get("DOCKER_HOST")):
        session.note(
            f"the image is in the store of polyarch; the engine at {host} did not get it: -o type=docker sends it"
            if host.startswith(("unix://", "/"))
            else f"the image is in the store of polyarch; the engine at {host} did not get it: "
            "polyarch save NAME | docker load sends it"
        )


def _report(
    session: Session,
    words: Mapping[str, Any],
    export: "Export",
    result: "BuildResult",
    *,
    quiet: bool,
) -> None:
    """Digest and metadata to where they were wanted."""
    digest = result.descriptor.digest if result.descriptor is not None else ""
    if words["iidfile"]:
        Path(words["iidfile"]).write_text(digest)
    if words["metadata_file"]:
        import msgspec

        from polyarch.oci import descriptor as descriptors

        nameless = any(output.by_digest for output in export.outputs)
        names = ",".join(str(name if nameless else name.tagged()) for name in export.names)
        metadata: dict[str, Any] = {"containerimage.digest": digest, "image.name": names}
        if result.descriptor is not None:
            metadata["containerimage.descriptor"] = descriptors.to_dict(result.descriptor)
            if len(result.images) == 1:
                metadata["containerimage.config.digest"] = result.images[0].config
            # What a matrix of builders needs to merge, and buildx does not say.
            metadata["polyarch.images"] = {
                str(image.platform): {"digest": image.descriptor.digest, "config": image.config}
                for image in result.images
            }
        Path(words["metadata_file"]).write_bytes(msgspec.json.format(msgspec.json.encode(metadata), indent=2))
    if words["quiet"]:
        click.echo(digest)
    elif digest and not quiet:
        platforms = ", ".join(str(image.platform) for image in result.images)
        called = ", ".join(name.tagged().familiar() for name in export.names) or "an image without a name"
        session.note(f"{called} for {platforms}: {digest}")
