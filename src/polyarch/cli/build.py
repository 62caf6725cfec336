"""`build`: a Dockerfile becomes an image for many platforms."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options, text
from polyarch.cli.session import Session, pass_session
from polyarch.errors import NotFoundError, PolyarchError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from polyarch.builder import BuildResult, Override, Secrets
    from polyarch.oci.platform import Platform
    from polyarch.oci.reference import Reference
    from polyarch.progress import Emit
    from polyarch.registry import Registry

# Values of an option by the platform that they are for; None is for all.
_Sorted = Mapping["Platform | None", tuple[str, ...]]

# Docker's predefined arguments: they need no ARG, and no image keeps them.
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


@click.command("build")
@click.argument("context", required=False, metavar="PATH|URL|-")
@click.option(
    "--platform", multiple=True, metavar="PLATFORM[,...]", help="Build for these platforms (default: this machine's)"
)
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Name of the result; repeatable")
@click.option("-f", "--file", metavar="FILE|-", help="The Dockerfile (default: PATH/Dockerfile)")
@click.option("--target", "target", multiple=True, metavar="STAGE", help="Build up to this stage")
@click.option(
    "--build-arg", "build_args", multiple=True, metavar="NAME[=VALUE]", help="Set an ARG, or hand on our own variable"
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
@click.option("--no-cache", is_flag=True, help="Do every step anew")
@click.option("--no-cache-filter", "fresh", multiple=True, metavar="STAGE", help="Do the steps of these stages anew")
@click.option("--pull", is_flag=True, help="Ask registries for newer base images")
@click.option("--network", type=click.Choice(["default", "none", "host"]), default="default", help="The network of RUN")
@click.option("--add-host", "hosts", multiple=True, metavar="NAME:ADDRESS", help="An entry of /etc/hosts for RUN")
@click.option("--shm-size", metavar="SIZE", help="The size of /dev/shm for RUN")
@click.option("--ulimit", "limits", multiple=True, metavar="NAME=SOFT[:HARD]", help="A limit for RUN")
@click.option(
    "--secret", "secrets", multiple=True, metavar="id=…", help="A secret for RUN: id=ID,src=FILE or id=ID,env=NAME"
)
@click.option("--ssh", "agents", multiple=True, metavar="default|ID=SOCKET", help="An ssh agent for RUN")
@click.option("--allow", "allowed", multiple=True, metavar="WHAT", help="Allow security.insecure or network.host")
@click.option("--allow-foreign-base", is_flag=True, help="Only warn of a base image that lacks the platform")
@click.option("--keep-going", is_flag=True, help="Finish the other platforms where one fails, and tag nothing")
@click.option("--partial", is_flag=True, help="Where a platform fails, tag those that work, and exit with 1")
@click.option(
    "--verify-platforms",
    "verify",
    type=click.Choice(["error", "warn", "off"]),
    default="error",
    help="What a foreign binary is where the image starts it",
)
@click.option("--reproducible", is_flag=True, help="Take times from SOURCE_DATE_EPOCH, or the start of 1970")
@click.option("--check", is_flag=True, help="Only check the Dockerfile")
@click.option("--call", type=click.Choice(["build", "check", "outline", "targets"]), help="Ask this of the Dockerfile")
@options.progress
@click.option("-q", "--quiet", is_flag=True, help="Print the digest only")
@click.option("--iidfile", metavar="FILE", help="Write the digest to FILE")
@click.option("--metadata-file", metavar="FILE", help="Write what was made to FILE, as JSON")
@options.insecure
@click.option("--provenance", "--sbom", "--attest", "attest", multiple=True, hidden=True)
@click.option("--cgroup-parent", hidden=True)
@click.option("--builder", "--rm", "--force-rm", hidden=True, expose_value=False, is_flag=False, flag_value="")
@pass_session
def build(session: Session, /, **words: Any) -> int:
    """Build an image from a Dockerfile, for one platform or many, as one graph.

    PATH is the directory that COPY and ADD take files from, URL an archive or a git repository; - reads a Dockerfile,
    or a tar of a context, from standard input. --build-arg, --build-context, --label, --secret and --target may be for
    one platform alone: --build-arg linux/arm64:NAME=VALUE.
    """
    from polyarch import api
    from polyarch.cli import outputs

    for value in words["attest"]:
        if value.lower() not in ("false", "disabled=true", "0"):
            raise UnsupportedError("this version makes no attestations", "leave out --provenance, --sbom and --attest")
    if words["cgroup_parent"]:
        raise UnsupportedError(
            "--cgroup-parent cannot be had: a RUN is a child of this command, in its cgroup",
            "start the command in a cgroup of its own, as in: systemd-run --user --scope --slice=NAME polyarch build …",
        )
    context, read = _context(words["context"], words["file"])
    asked = read | wishes(session, words)
    call = "check" if words["check"] else words["call"] or "build"
    if call != "build":
        from polyarch.cli import calls

        return calls.call(call, context, session, asked)
    export = outputs.export(
        words["outputs"],
        load=words["load"],
        push=words["push"],
        names=words["tags"],
        annotations=words["annotations"],
        here=Path.cwd(),
        stdout=sys.stdout.buffer,
    )
    registry = session.registry_for([str(name) for name in export.names] if words["insecure"] else ())
    way = "quiet" if words["quiet"] else words["progress"]
    with session.display(way) as emit:
        result = api.build(
            context,
            session.store,
            registry=registry,
            emit=emit,
            tags=export.names,
            outputs=export.outputs,
            load=False,
            compression=export.compression,
            force_compression=export.force_compression,
            docker_format=export.docker_format,
            annotations=export.annotations,
            index_annotations=export.index_annotations,
            **asked,
        )
        if any(outputs.parse(word).is_engine for word in words["outputs"]):
            _load_into_engine(session, registry, export.names, result, emit)
    _report(session, words, export.names, result, quiet=way in ("quiet", "rawjson"))
    for failure in result.failures:
        session.error(PolyarchError(f"{failure.platform} failed: {failure.message}", failure.hint or None))
    return 1 if result.failures else 0


def _context(path: str | None, file: str | None) -> tuple[str | None, dict[str, Any]]:
    """The context, and what of the build is read from standard input: it, or the Dockerfile."""
    if path is None and file is None:
        raise UsageError(
            "build needs a context", "usage: polyarch build [OPTIONS] PATH; for this directory: polyarch build ."
        )
    if path == "-" and file == "-":
        raise UsageError("standard input is one of Dockerfile and context", "give one of them by its path")
    if path == "-":
        return path, {"stdin": sys.stdin.buffer, "file": file}
    if file == "-":
        return path, {"dockerfile": sys.stdin.buffer.read().decode("utf-8", "surrogateescape")}
    return path, {"file": file}


def _is_remote(word: str) -> bool:
    """Whether a context is a URL or a repository, which the builder fetches."""
    return "://" in word or word.startswith(("git@", "github.com/"))


def wishes(session: Session, words: Mapping[str, Any]) -> dict[str, Any]:
    """The words that say what is built and how, as `polyarch.build` takes them."""
    from polyarch.cli import per_platform

    around = session.environment
    options = ("build_args", "contexts", "labels", "secrets", "target")
    given = {name: per_platform.sort(words[name]) for name in options}
    arguments = _arguments(given["build_args"][None], around.variables)
    epoch = arguments.get("SOURCE_DATE_EPOCH")
    if epoch is not None and not epoch.isdigit():
        raise UsageError(f"SOURCE_DATE_EPOCH is {epoch!r}", "it is a number of seconds since 1970")
    default = around.default_platform
    platforms = session.platforms(words["platform"] or ([default] if default else []))
    flags = ("--build-arg", "--build-context", "--label", "--secret", "--target")
    per_platform.expect(dict(zip(flags, given.values(), strict=True)), platforms or (session.host(),))
    return {
        "platforms": platforms,
        "build_args": arguments,
        "labels": _labels(given["labels"][None]),
        "contexts": _all_contexts(given["contexts"]),
        "target": given["target"][None][-1] if given["target"][None] else "",
        "overrides": _overrides(given, around.variables),
        "network": words["network"],
        "allow": _allowed(words["allowed"]),
        "allow_foreign_base": words["allow_foreign_base"],
        "epoch": int(epoch) if epoch else around.source_date_epoch,
        "created": time.time(),
        "search_path": around.search_path,
        "secrets": _all_secrets(given["secrets"], words["agents"], around.variables),
        "proxies": _proxies(arguments, around.variables),
        "no_cache": words["no_cache"],
        "pull": words["pull"],
        "keep_going": words["keep_going"],
        "partial": words["partial"],
        "verify_platforms": words["verify"],
        "no_cache_stages": words["fresh"],
        "reproducible": words["reproducible"],
        "environment": around.variables,
        "hosts": tuple(map(_host, words["hosts"])),
        "shm_size": text.bytes_of(words["shm_size"], memory=True) if words["shm_size"] else 0,
        "limits": tuple(map(_limit, words["limits"])),
    }


def _overrides(given: "Mapping[str, _Sorted]", ours: Mapping[str, str]) -> "tuple[Override, ...]":
    """What is for one platform alone."""
    from polyarch.builder import Override

    named = dict.fromkeys(one for sorted_ in given.values() for one in sorted_ if one is not None)
    return tuple(
        Override(
            platform=platform,
            arguments=_arguments(given["build_args"].get(platform, ()), ours),
            labels=_labels(given["labels"].get(platform, ())),
            target=given["target"].get(platform, ("",))[-1],
        )
        for platform in named
    )


def _all_contexts(given: "_Sorted") -> dict[str, str]:
    """The named contexts; one for a platform is called NAME::PLATFORM, as BuildKit calls it."""
    found: dict[str, str] = {}
    for platform, words in given.items():
        end = "" if platform is None else f"::{platform}"
        found |= {f"{name}{end}": value for name, value in _contexts(words).items()}
    return found


def _all_secrets(given: "_Sorted", agents: tuple[str, ...], ours: Mapping[str, str]) -> "Secrets":
    """The secrets; one for a platform is called PLATFORM:ID."""
    from polyarch.builder import Secrets

    found = _secrets(given[None], agents, ours)
    more = {
        f"{platform}:{name}": content
        for platform, words in given.items()
        if platform is not None
        for name, content in _secrets(words, (), ours).secrets.items()
    }
    return Secrets({**found.secrets, **more}, found.sockets)


def _host(word: str) -> tuple[str, str]:
    # An IPv6 address has colons itself; `=` is buildx's newer spelling.
    separator = "=" if "=" in word else ":"
    name, _, address = word.partition(separator)
    if not name or not address:
        raise UsageError(f"--add-host: {word!r} is not NAME:ADDRESS", "as in --add-host registry.local:10.0.0.5")
    return name, address.strip("[]")


def _limit(word: str) -> tuple[str, int, int]:
    name, _, value = word.partition("=")
    soft, _, hard = value.partition(":")
    numbers = [part for part in (soft, hard or soft) if part.lstrip("-").isdigit()]
    if not name or len(numbers) != 2:
        raise UsageError(f"--ulimit: {word!r} is not NAME=SOFT[:HARD]", "as in --ulimit nofile=1024:4096")
    return name, int(numbers[0]), int(numbers[1])


def _contexts(words: tuple[str, ...]) -> dict[str, str]:
    """The named contexts: directories, and images."""
    contexts: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"--build-context: {word!r} is not NAME=PATH", "as in --build-context lib=../lib")
        if not _is_remote(value) and not Path(value).is_dir():
            raise NotFoundError(f"--build-context: there is no directory {value}")
        contexts[name] = value
    return contexts


def _arguments(words: tuple[str, ...], ours: Mapping[str, str]) -> dict[str, str]:
    """Build arguments; one without a value has that of our variable, and is left out where there is none."""
    arguments: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise UsageError(f"--build-arg: {word!r} is not NAME=VALUE")
        if equals:
            arguments[name] = value
        elif name in ours:
            arguments[name] = ours[name]
    return arguments


def _labels(words: tuple[str, ...]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if not key:
            raise UsageError(f"--label: {word!r} is not KEY=VALUE")
        labels[key] = value
    return labels


def _allowed(words: tuple[str, ...]) -> frozenset[str]:
    found = frozenset(part for word in words for part in word.split(","))
    for word in found - {"security.insecure", "network.host"}:
        raise UsageError(f"--allow does not know {word!r}", "there are security.insecure and network.host")
    return found


def _proxies(arguments: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """What reaches every RUN without being part of any image or cache key: our proxies, as buildah has it."""
    found = {name: ours[name] for base in _PROXIES for name in (base, base.upper()) if ours.get(name)}
    return found | {name: value for name, value in arguments.items() if name.lower() in _PROXIES}


def _secrets(words: tuple[str, ...], agents: tuple[str, ...], ours: Mapping[str, str]) -> "Secrets":
    from polyarch.builder import Secrets

    secrets: dict[str, bytes] = {}
    for word in words:
        fields = dict(field.partition("=")[::2] for field in word.split(","))
        name = fields.get("id", "")
        source = fields.get("src") or fields.get("source")
        variable = fields.get("env")
        unknown = set(fields) - {"id", "src", "source", "env", "type"}
        if not name or unknown:
            raise UsageError(f"--secret: {word!r} is not a secret", "it reads id=ID,src=FILE or id=ID,env=NAME")
        if source is None and (variable or fields.get("type") == "env" or name in ours):
            value = ours.get(variable or name)
            if value is None:
                raise NotFoundError(f"--secret: the variable {variable or name} is not set")
            secrets[name] = value.encode("utf-8", "surrogateescape")
            continue
        path = Path(source or name).expanduser()
        try:
            secrets[name] = path.read_bytes()
        except OSError as error:
            raise NotFoundError(f"--secret: {path}: {error.strerror}", "src= names the file of the secret") from error
    sockets: dict[str, str] = {}
    for word in agents:
        name, _, path_word = word.partition("=")
        socket = path_word or ours.get("SSH_AUTH_SOCK", "")
        if not socket:
            raise NotFoundError(
                "--ssh: SSH_AUTH_SOCK is not set", "start an ssh-agent, or name its socket: --ssh default=SOCKET"
            )
        if not Path(socket).is_socket():
            raise UsageError(f"--ssh: {socket} is not a socket", "add the key to an ssh-agent, and name its socket")
        sockets[name] = socket
    return Secrets(secrets, sockets)


def _load_into_engine(
    session: Session, registry: "Registry", names: "tuple[Reference, ...]", result: "BuildResult", emit: "Emit"
) -> None:
    """What `-o type=docker` means where an engine runs here; else the store has taken its place."""
    from polyarch.images import save as saving
    from polyarch.transfer import engine

    variables = session.environment.variables
    host = variables.get("DOCKER_HOST")
    path = engine.find([host or "/var/run/docker.sock"])
    if path is None and host:
        raise PolyarchError(
            f"no engine answers at {host}, which DOCKER_HOST names",
            "start it, or unset DOCKER_HOST; the image is in the store of polyarch",
        )
    if path is None:
        session.note("no docker engine runs here: the image is in the store of polyarch")
        return
    called = [str(name.tagged()) for name in names] or [str(result.descriptor.digest)] if result.descriptor else []
    engine.load(
        path, lambda sink: saving.save(session.store, registry, called, sink, preferred=session.host(), emit=emit)
    )


def _report(
    session: Session,
    words: Mapping[str, Any],
    tags: "tuple[Reference, ...]",
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

        names = ",".join(str(name.tagged()) for name in tags)
        metadata: dict[str, Any] = {"containerimage.digest": digest, "image.name": names}
        if result.descriptor is not None:
            metadata["containerimage.descriptor"] = descriptors.to_dict(result.descriptor)
        Path(words["metadata_file"]).write_bytes(msgspec.json.format(msgspec.json.encode(metadata), indent=2))
    if words["quiet"]:
        click.echo(digest)
    elif digest and not quiet:
        platforms = ", ".join(str(image.platform) for image in result.images)
        called = ", ".join(name.tagged().familiar() for name in tags) or "an image without a name"
        session.note(f"{called} for {platforms}: {digest}")
