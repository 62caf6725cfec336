"""`build`: builds an image from a Dockerfile, for one or more platforms."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from polyarch.cli import options
from polyarch.cli.docker_flags import docker_flags, policy
from polyarch.cli.farm_flags import farm_of, farm_options
from polyarch.cli.groups import LenientCommand
from polyarch.cli.session import Session, pass_session
from polyarch.cli.test_flags import test_options, tested
from polyarch.cli.walking import walk_ahead
from polyarch.errors import PolyarchError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from polyarch.builder import BuildRequest, BuildResult, Export, Output


class BuildCommand(LenientCommand):
    """The command `build`."""

    absent_if_empty = frozenset(
        (
            *("--file", "--output", "--cache-from", "--cache-to", "--secret", "--ssh", "--annotation", "--allow"),
            *("--build-context", "--add-host", "--network", "--progress"),
        )
    )


@click.command("build", cls=BuildCommand)
@click.argument("context", required=False, metavar="PATH|URL|-")
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="PLATFORM[,...]",
    help="Build for these platforms (default: this machine's)",
)
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Name the image; repeatable")
@click.option("-f", "--file", metavar="FILE|-", help="The Dockerfile (default: PATH/Dockerfile)")
@click.option("--target", "target", multiple=True, metavar="STAGE", help="Build up to this stage")
@click.option(
    "--build-arg",
    "build_args",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Set an ARG; without =VALUE, pass the value through from the environment",
)
@click.option(
    "--build-context",
    "contexts",
    multiple=True,
    metavar="NAME=PATH",
    help="Add a named context: a directory, docker-image://NAME, oci-layout://DIR or a URL",
)
@click.option("--label", "labels", multiple=True, metavar="KEY[=VALUE]", help="Set a label")
@click.option("--annotation", "annotations", multiple=True, metavar="[TYPE:]KEY=VALUE", help="Set an annotation")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="OUTPUT",
    help="Where to write the result: type=oci|docker|tar|local|registry|image,dest=PATH",
)
@click.option("--load", is_flag=True, help="Keep the result in the store (the default without --push and --output)")
@click.option("--push", is_flag=True, help="Push the image to the registry of each --tag")
@click.option("--no-cache", is_flag=True, help="Do not use the build cache")
@click.option("--no-cache-filter", multiple=True, metavar="STAGE", help="Do not use the build cache for these stages")
@click.option(
    "--cache-from",
    multiple=True,
    metavar="REF|type=…",
    help="Use a cache outside of the store, as in type=registry,ref=NAME; repeatable",
)
@click.option(
    "--cache-to",
    multiple=True,
    metavar="REF|type=…",
    help="Send what was built to a cache outside of the store, as in type=registry,ref=NAME,mode=max; repeatable",
)
@click.option("--pull", is_flag=True, help="Look for newer base images in their registries")
@click.option(
    "--network",
    type=click.Choice(["default", "none", "host"]),
    default="default",
    help="Network of RUN steps (default and host: the host's network)",
)
@click.option(
    "--add-host", "hosts", multiple=True, metavar="NAME:ADDRESS", help="Add an entry to /etc/hosts in RUN steps"
)
@click.option("--shm-size", metavar="SIZE", help="Size of /dev/shm in RUN steps")
@click.option(
    "--ulimit", "ulimits", multiple=True, metavar="NAME=SOFT[:HARD]", help="Set a resource limit for RUN steps"
)
@click.option(
    "--emulated-cpu",
    "emulated_cpus",
    multiple=True,
    metavar="[PLATFORM=]MODEL",
    help="Processor that emulated programs see, by qemu's name; default is all that qemu can emulate",
)
@click.option(
    "--emulator",
    "emulators",
    multiple=True,
    metavar="PLATFORM=FILE",
    help="Emulate a platform with this program instead of a qemu on PATH",
)
@click.option("--sync", is_flag=True, help="Let fsync and similar calls in RUN steps wait for the disk")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="id=…",
    help="Secret for RUN --mount=type=secret: id=ID,src=FILE or id=ID,env=NAME",
)
@click.option("--ssh", multiple=True, metavar="default|ID=SOCKET", help="ssh agent for RUN --mount=type=ssh")
@click.option("--allow", multiple=True, metavar="WHAT", help="Allow an entitlement: security.insecure or network.host")
@click.option("--allow-foreign-base", is_flag=True, help="Warn instead of failing if a base image lacks the platform")
@click.option("--keep-going", is_flag=True, help="If a platform fails, finish the others and tag nothing")
@click.option("--partial", is_flag=True, help="If a platform fails, finish, tag and push the others, and exit with 1")
@click.option(
    "--verify-platforms",
    type=click.Choice(["error", "warn", "off"]),
    default="error",
    help="How to treat an entrypoint built for another architecture (default: error)",
)
@click.option(
    "--reproducible", is_flag=True, help="Set all times to $SOURCE_DATE_EPOCH, or to 1970-01-01 if it is not set"
)
@test_options
@farm_options
@click.option("--check", is_flag=True, help="Only check the Dockerfile")
@click.option(
    "--call",
    "--print",
    "call",
    metavar="METHOD[,format=json]",
    help="Report on the Dockerfile instead of building: check, outline or targets",
)
@click.option(
    "--provenance", metavar="BOOL|KEY=VALUE,...", help="Attach how the image was built: true, mode=min, mode=max, …"
)
@click.option(
    "--sbom", metavar="BOOL|generator=IMAGE", help="Attach the packages of the image: true, or made by a generator"
)
@click.option("--attest", multiple=True, metavar="type=TYPE[,...]", help="The long form: type=provenance or type=sbom")
@options.progress
@click.option("-q", "--quiet", is_flag=True, help="Print the digest only")
@click.option("--iidfile", metavar="FILE", help="Write the digest to FILE")
@click.option("--metadata-file", metavar="FILE", help="Write digests and names of the result to FILE, as JSON")
@click.option(
    "--cache-limit",
    metavar="SIZE",
    help="Reduce the cache to this size after the build: 20GB, 10% (of the disk) or none",
)
@options.insecure
@click.option("--cgroup-parent", hidden=True)
@click.option("--builder", hidden=True)
@docker_flags("build")
@policy
@pass_session
def build(session: Session, /, **words: Any) -> int:
    """Build an image from a Dockerfile, for one or more platforms.

    PATH is the directory from which COPY and ADD copy files. URL is an archive or a git repository. With -, the
    Dockerfile, or a tar of the context, comes from standard input. --build-arg, --build-context, --label, --secret and
    --target accept a value for one platform: --build-arg linux/arm64:NAME=VALUE.
    """
    walks = walk_ahead(session, words)
    from polyarch.builder import build as build_request

    session.chosen_limit = words["cache_limit"]
    if words["cgroup_parent"] and session.is_docker:
        session.note("--cgroup-parent has no effect: a RUN stays in the cgroup of this command")
    elif words["cgroup_parent"]:
        raise UnsupportedError(
            "--cgroup-parent is not supported: a RUN stays in the cgroup of this command",
            "start the command in a cgroup of its own, as in: systemd-run --user --scope --slice=NAME polyarch build …",
        )
    if words["quiet"] and words["progress"] not in (None, "auto", "quiet", "none"):
        raise UsageError(f"--progress={words['progress']} and --quiet cannot be used together", "leave out one of them")
    request = _request(session, words)
    if words["iidfile"] and any(output.kind in ("local", "tar") for output in request.export.outputs):
        raise UsageError("--iidfile cannot be used with an output of files", "type=local and type=tar have no image id")
    if words["check"] or words["call"]:
        from polyarch.cli import metadata
        from polyarch.cli.commands import subrequests

        call = subrequests.parse("check" if words["check"] else words["call"])
        if call.method != "build":
            answer = subrequests.answer(call.method, request, session)
            if words["metadata_file"]:
                metadata.write(Path(words["metadata_file"]), answer.metadata())
            return subrequests.show(call, answer)
    from polyarch.builder.history.entry import new_reference
    from polyarch.cli import refs
    from polyarch.cli.insecure import insecure_names

    variables = session.environment.variables
    request = msgspec.structs.replace(request, reference=new_reference(session.node(words["builder"])))
    refs.save(variables, request, asked=bool(words["metadata_file"]))
    registry = session.registry_for(insecure_names(request, everything=words["insecure"]))
    way = "quiet" if words["quiet"] else words["progress"]
    called = request.export.names[0].tagged().familiar() if request.export.names else str(words["context"])
    with (
        tested(session, request, words) as judge,
        session.display(way) as emit,
        farm_of(session, words, called, lambda: registry, emit) as remote,
    ):
        result = build_request(request, session.store, registry, emit, judge and judge(emit), remote, walks)
    _report(session, words, request.export, result, quiet=way in ("quiet", "rawjson"))
    if way != "rawjson":
        asked, used = _to_engine(request.export.outputs), _to_engine(result.outputs)
        _tell_of_engine(session, words["load"] and not asked, asked and not used)
    if session.loads == "engine" and not (
        words["load"] or words["push"] or words["outputs"] or _to_engine(result.outputs)
    ):
        session.warn("no output was asked for: the image stays in the store of Polyarch, use --load or --push")
    for failure in result.failures:
        session.error(PolyarchError(f"{failure.platform} failed: {failure.message}", failure.hint or None))
    return 1 if result.failures else 0


def _request(session: Session, words: Mapping[str, Any]) -> "BuildRequest":
    """The build request for these command-line options."""
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
    partial = words["partial"] or words["push_passed"]
    options["on_failure"] = "keep" if partial else "finish" if words["keep_going"] else "stop"
    return buildflags.request(context, session.surroundings(), **options)


def _to_engine(outputs: "Iterable[Output]") -> bool:
    return any(output.kind == "engine" for output in outputs)


def _tell_of_engine(session: Session, load: bool, replaced: bool) -> None:
    """Tell a user who may expect the image in an engine that it is in the store. `replaced`: because no engine runs."""
    if replaced:
        session.note("no docker engine runs here: the image is in the store of Polyarch")
    if load and (host := session.environment.variables.get("DOCKER_HOST")):
        session.note(
            f"the image is in the store of Polyarch, not in the engine at {host}: "
            + ("-o type=docker" if host.startswith(("unix://", "/")) else "polyarch save NAME | docker load")
            + " sends it there"
        )


def _report(
    session: Session,
    words: Mapping[str, Any],
    export: "Export",
    result: "BuildResult",
    *,
    quiet: bool,
) -> None:
    """Write the digest and the metadata to the places that the options name."""
    digest = result.descriptor.digest if result.descriptor is not None else ""
    if words["iidfile"]:
        Path(words["iidfile"]).write_text(result.image_id)
    if words["metadata_file"]:
        from polyarch.cli import metadata

        metadata.write(Path(words["metadata_file"]), metadata.of_build(export, result, session.environment.variables))
    if words["quiet"]:
        click.echo(result.image_id, nl=bool(result.image_id))
    elif digest and not quiet:
        platforms = ", ".join(str(image.platform) for image in result.images)
        called = ", ".join(name.tagged().familiar() for name in export.names) or "unnamed image"
        session.note(f"{called} for {platforms}: {digest}")
