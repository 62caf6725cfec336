"""`Polyarch.images`: the images of the store, and registries."""

import subprocess
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Literal

from polyarch.client import arguments
from polyarch.client.arguments import Name, Names, Platforms, StrPath
from polyarch.client.core import ClientCore
from polyarch.client.values import CompletedRun, Image, ImageDetails, ImagePlatform, PushResult
from polyarch.errors import UsageError
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.images.check.findings import Report
    from polyarch.images.list import ListedImage
    from polyarch.images.remove import Removed
    from polyarch.oci.descriptor import Descriptor
    from polyarch.store import Store

# What subprocess.Popen takes, and any object with a `write` that takes bytes.
Sink = int | IO[bytes] | None


class Images:
    """The images of a client's store: `client.images`.

    A `name` is a name as docker has it ("alpine:3.20", "registry.example.org/team/app:1"), a Reference, a digest or
    the first digits of one. `platforms` is a str ("linux/amd64" or "linux/amd64,linux/arm64"), a Platform, or
    several of either.
    """

    def __init__(self, core: ClientCore) -> None:
        self._core = core

    def pull(self, name: Name, *, platforms: Platforms | Literal["all"] = ()) -> Image:
        """Fetch an image from its registry; its index stays whole, even where not every platform is fetched.

        `platforms` is this machine's where none is given; "all" fetches every platform, and attestations. Blobs that
        the store has are not fetched. Raises NotFoundError for an unknown name, or for a platform that the image
        lacks; RegistryError; CorruptError.
        """
        from polyarch.images import pull as pulling

        reference = arguments.reference("name", name).tagged()
        wanted = None if platforms == "all" else self._platforms(platforms) or self._default_platforms()
        with self._core.places() as places:
            pulled = pulling.pull(places.store, places.registry, reference, wanted, self._core.emit)
            return _listed(places.store, pulled.name, pulled.descriptor)

    def push(self, name: Name, *, platforms: Platforms = ()) -> PushResult:
        """Send an image to the registry that its name says, its platforms first and its index last.

        With `platforms` only these are sent. Raises NotFoundError before anything is sent where content is not in
        the store; UsageError for an id, which names no registry; RegistryError.
        """
        from polyarch.images import push as pushing

        reference, wanted = arguments.reference("name", name), self._platforms(platforms) or None
        with self._core.places() as places:
            done = pushing.push(places.store, places.registry, reference, wanted, self._core.emit)
        return PushResult(name=done.name, descriptor=done.descriptor, note=done.note)

    def list(self, *, unnamed: bool = False) -> tuple[Image, ...]:
        """The images of the store, sorted by name; with `unnamed`, those without a name come last."""
        from polyarch.images import list as listing

        arguments.flag("unnamed", unnamed)
        with self._core.places() as places:
            return tuple(map(_image, listing.list_images(places.store, unnamed=unnamed)))

    def get(self, name: Name) -> Image:
        """One image of the store. Raises NotFoundError, with names that are nearly it."""
        from polyarch.images import names

        text = arguments.image("name", name)
        with self._core.places() as places:
            found = names.find(places.store, text)
            names.require_here(places.store, found)
            return _listed(places.store, found.name, found.descriptor)

    def inspect(self, name: Name, *, platform: str | Platform | None = None) -> ImageDetails:
        """How an image is run and what it is made of, for `platform`; without one this machine's, else any.

        Raises NotFoundError for an unknown name, or a platform that is not in the store.
        """
        from polyarch.images import names
        from polyarch.transfer import choose

        text = arguments.image("name", name)
        wanted = arguments.platform("platform", platform, self._core.host)
        with self._core.places() as places:
            found = names.find(places.store, text)
            names.require_here(places.store, found)
            shown = names.familiar(found.name)
            image = choose.any_of(places.store, shown, found.descriptor, wanted, self._core.host)
        run = image.config.run
        return ImageDetails(
            name=shown,
            platform=image.platform,
            digest=image.descriptor.digest,
            created=str(image.config.document.get("created") or ""),
            env=image.config.env,
            labels=image.config.labels,
            entrypoint=tuple(run.get("Entrypoint") or ()),
            command=tuple(run.get("Cmd") or ()),
            user=run.get("User") or "",
            working_directory=run.get("WorkingDir") or "/",
            layers=image.manifest.layers,
            annotations=image.manifest.annotations,
            config=image.config.document,
        )

    def run(
        self,
        name: Name,
        *command: str,
        platform: str | Platform | None = None,
        entrypoint: str | Iterable[str] | None = None,
        env: Mapping[str, str] = {},
        working_directory: str = "",
        user: str = "",
        volumes: Mapping[str, str] = {},
        network: Literal["host", "none"] = "host",
        hostname: str = "polyarch",
        read_only: bool = False,
        pull: Literal["always", "missing", "never"] = "missing",
        input: bytes | None = None,
        stdin: Sink = None,
        stdout: Sink = None,
        stderr: Sink = None,
        capture_output: bool = False,
    ) -> CompletedRun:
        """Run `command` in an image, for `platform` or this machine's, and wait for its end.

        Without `command` the image's own is run. What the process writes in its image is removed when it ends.
        `volumes` are directories of this machine and where the process sees them: {"src": "/src", "data": "/data:ro"}.

        The streams are those of `subprocess.run`: None is this process's own (for stdin, /dev/null), or
        `subprocess.PIPE`, `subprocess.DEVNULL`, a file descriptor, a binary file; stderr may be `subprocess.STDOUT`.
        Any object with a `write` that takes bytes does as well. `input` is given to the process, and
        `capture_output` is PIPE for both outputs.

        Raises NotFoundError for an image or platform that there is not, UnsupportedError for a platform that does not
        run on this machine, StartError where the command cannot be started. Another exit status than 0 does not raise:
        see `CompletedRun.returncode`.
        """
        from polyarch.client import running

        request = running.request(
            self._core,
            image=arguments.image("name", name),
            command=arguments.texts("command", command),
            platform=arguments.platform("platform", platform, self._core.host),
            entrypoint=None if entrypoint is None else arguments.texts("entrypoint", entrypoint),
            env=arguments.pairs("env", env),
            working_directory=arguments.text("working_directory", working_directory),
            user=arguments.text("user", user),
            volumes=arguments.pairs("volumes", volumes),
            network=arguments.choice("network", network, ("host", "none")),
            hostname=arguments.text("hostname", hostname),
            read_only=arguments.flag("read_only", read_only),
            pull=arguments.choice("pull", pull, ("always", "missing", "never")),
        )
        if arguments.flag("capture_output", capture_output):
            if stdout is not None or stderr is not None:
                raise UsageError("capture_output cannot be combined with stdout or stderr", "choose one of them")
            stdout = stderr = subprocess.PIPE
        if input is not None and stdin is not None:
            raise UsageError("input cannot be combined with stdin", "choose one of them")
        return running.run(self._core, request, running.RunStreams(input, stdin, stdout, stderr))

    def check(self, name: Name, *, platforms: Platforms = (), allow: str | Iterable[str] = ()) -> "Report":
        """Check that an image is what it says, on every platform or on `platforms`.

        `name` may also be a location: "oci-layout://DIR", "oci-archive:FILE", "docker-archive:FILE"; a name that the
        store does not have is read in its registry. `allow` are patterns of files whose findings are accepted. What
        is wrong with the image is in the report: `report.is_good()`, `report.findings`. Raises NotFoundError,
        RegistryError.
        """
        from polyarch.images.check import check as checking

        text = arguments.image("name", name)
        options = checking.CheckOptions(platforms=self._platforms(platforms), allow=arguments.texts("allow", allow))
        with self._core.places() as places:
            return checking.check(places, text, options, self._core.emit)

    def save(
        self,
        names: Names,
        destination: StrPath | BinaryIO,
        *,
        platforms: Platforms = (),
        format: Literal["docker", "oci"] = "docker",
        compress: Literal["none", "gzip", "zstd"] | None = None,
    ) -> None:
        """Write images to an archive that docker load, podman, skopeo and `load` read.

        `destination` is a path or a binary file object. `platforms` is all that the store has where none is given.
        `compress` None is as the ending of the path says: .gz, .tgz, .zst, .tzst. A file is whole or is not there.
        Raises NotFoundError, CorruptError, RegistryError where a layer that was never downloaded cannot be fetched.
        """
        from polyarch.client import archives
        from polyarch.images import save as saving

        texts, wanted = arguments.images("names", names), self._platforms(platforms) or None
        form = arguments.choice("format", format, ("docker", "oci"))
        if compress is not None:
            arguments.choice("compress", compress, ("none", "gzip", "zstd"))
        place: Any = destination
        if not arguments.is_writable(destination):
            place = arguments.path("destination", destination, self._core.directory)
        kind = compress or archives.by_ending(None if place is destination else place)
        with self._core.places() as places, archives.archive_output(place, kind) as sink:
            saving.save(
                places.store,
                places.registry,
                texts,
                sink,
                platforms=wanted,
                form="docker" if form == "docker" else "oci",
                preferred=self._core.host,
                emit=self._core.emit,
            )

    def load(self, source: StrPath | BinaryIO, *, platforms: Platforms = ()) -> tuple[Image, ...]:
        """Load the images of an archive, docker's or OCI's, compressed or not, or of an OCI layout's directory.

        `source` is a path or a binary file object. `platforms` is all that the archive has where none is given.
        Raises NotFoundError, CorruptError for what is not an archive of images.
        """
        from polyarch.images import load as loading

        wanted = self._platforms(platforms) or None
        place: Any = source
        if not arguments.is_readable(source):
            place = arguments.path("source", source, self._core.directory)
        with (
            self._core.places() as places,
            loading.opened(place, places.spool, getattr(source, "name", "the stream")) as archive,
        ):
            loaded = loading.load(places.store, archive, wanted, self._core.emit)
            return tuple(_listed(places.store, image.name, image.descriptor) for image in loaded)

    def tag(self, name: Name, new_name: Name) -> Image:
        """Give an image another name; a name that there is already points at this image from then on.

        Raises NotFoundError; UsageError where `new_name` has a digest.
        """
        from polyarch.images import tag as tagging

        source, target = arguments.image("name", name), arguments.image("new_name", new_name)
        with self._core.places() as places:
            tagged = tagging.tag(places.store, source, target)
            return _listed(places.store, tagged.name, tagged.descriptor)

    def remove(self, name: Name, *, platforms: Platforms = (), force: bool = False) -> "Removed":
        """Take a name away, or all names of an id; with the last name goes the content that no other image needs.

        With `platforms`, the name and its index stay, and the content for these platforms goes. `force` removes an
        id that has several names, and makes nothing of a name that is not there. Raises NotFoundError, ConflictError.
        """
        from polyarch.images import remove as removing

        text, wanted = arguments.image("name", name), self._platforms(platforms)
        arguments.flag("force", force)
        with self._core.places() as places:
            return removing.remove(places.store, text, wanted, force=force)

    def _platforms(self, platforms: object) -> tuple[Platform, ...]:
        return arguments.platforms("platforms", platforms, self._core.host)

    def _default_platforms(self) -> tuple[Platform, ...]:
        default = self._core.settings.environment.default_platform
        return self._platforms(default) if default else (self._core.host,)


def _listed(store: "Store", name: str, descriptor: "Descriptor") -> Image:
    from polyarch.images import list as listing

    (found,) = listing.list_images(store, {name: descriptor})
    return _image(found)


def _image(found: "ListedImage") -> Image:
    from polyarch.images import names

    return Image(
        name=names.familiar(found.name) if found.name else "",
        digest=found.digest,
        size=found.size,
        is_index=found.is_index,
        platforms=tuple(
            ImagePlatform(
                platform=entry.platform,
                digest=entry.digest,
                size=entry.size,
                config=entry.config,
                available=entry.present,
                attestation=entry.attestation,
            )
            for entry in found.platforms
        ),
    )
