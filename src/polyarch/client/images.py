"""`Polyarch.images`: images in the store, and their transfer."""

import subprocess
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Literal

from polyarch.client import arguments, listing
from polyarch.client.arguments import Name, Names, Platforms, StrPath
from polyarch.client.core import ClientCore
from polyarch.client.values import CompletedRun, Image, ImageDetails, PushResult
from polyarch.errors import UsageError
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.attest.document import Sbom
    from polyarch.attest.signing.sign import SignedImage
    from polyarch.attest.signing.verify import VerifiedImage
    from polyarch.images.check.findings import Report
    from polyarch.images.remove import Removed
    from polyarch.indexes.verify import AttestationReport, VerifiedAttestation

# What subprocess.run takes for a stream. Objects with a `write` method that takes bytes are accepted, too.
Sink = int | IO[bytes] | None


class Images:
    """The images in the store of a client: `client.images`.

    A `name` is a name ("alpine:3.20", "registry.example.org/team/app:1"), a Reference, an image id, or the first
    digits of an id. `platforms` is a str ("linux/amd64", or "linux/amd64,linux/arm64"), a Platform, or several of
    them.
    """

    def __init__(self, core: ClientCore) -> None:
        self._core = core

    def pull(self, name: Name, *, platforms: Platforms | Literal["all"] = ()) -> Image:
        """Download an image from its registry, and return it.

        `platforms` are the platforms to download. The default is $DOCKER_DEFAULT_PLATFORM, or the platform of this
        machine; "all" downloads every platform and the attestations. The index is always stored complete.

        Raises NotFoundError if the registry does not have the image or the platform; RegistryError; CorruptError.
        """
        from polyarch.images import pull as pulling

        reference = arguments.reference("name", name).tagged()
        wanted = None if platforms == "all" else self._platforms(platforms) or self._default_platforms()
        with self._core.places() as places:
            pulled = pulling.pull(places.store, places.registry, reference, wanted, self._core.emit)
            return listing.listed(places.store, pulled.name, pulled.descriptor)

    def push(self, name: Name, *, platforms: Platforms = ()) -> PushResult:
        """Upload an image to the registry in its name.

        `platforms` are the platforms to upload. The default is all of them. Raises NotFoundError before it sends
        anything if content is not in the store; UsageError for an id; RegistryError.
        """
        from polyarch.images import push as pushing

        reference, wanted = arguments.reference("name", name), self._platforms(platforms) or None
        with self._core.places() as places:
            done = pushing.push(places.store, places.registry, reference, wanted, self._core.emit)
        return PushResult(name=done.name, descriptor=done.descriptor, note=done.note)

    def list(self, *, unnamed: bool = False) -> tuple[Image, ...]:
        """Return the images in the store, sorted by name. `unnamed` adds the images without a name at the end."""
        from polyarch.images import list as images

        arguments.flag("unnamed", unnamed)
        with self._core.places() as places:
            return tuple(map(listing.image, images.list_images(places.store, unnamed=unnamed)))

    def get(self, name: Name) -> Image:
        """Return one image. Raises NotFoundError, whose hint suggests similar names."""
        from polyarch.images import names

        text = arguments.image("name", name)
        with self._core.places() as places:
            found = names.find(places.store, text)
            names.require_here(places.store, found)
            return listing.listed(places.store, found.name, found.descriptor)

    def inspect(self, name: Name, *, platform: str | Platform | None = None) -> ImageDetails:
        """Return the configuration and the layers of an image for one platform.

        The default platform is that of this machine, or if the store does not have it, any. Raises NotFoundError.
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
        """Run a command in a new container, wait until it ends, and return its exit status and output.

        `command` replaces the command of the image. `platform` is by default the platform of this machine. `volumes`
        maps paths of this machine to paths in the container: {"src": "/src", "data": "/data:ro"}. An image that the
        store does not have is pulled, as `pull` says. The container is removed when the process ends.

        `input`, `stdin`, `stdout`, `stderr` and `capture_output` are those of `subprocess.run`. The default of stdin
        is /dev/null. An object with a `write` method that takes bytes can be the stdout or stderr, too.

        Raises NotFoundError if the image or platform does not exist, UnsupportedError if this machine cannot run the
        platform, StartError if the command cannot be started. An exit status other than 0 is not an error.
        """
        from polyarch.client import running

        request = running.request(
            self._core,
            image=arguments.image("name", name),
            command=arguments.items("command", command, 'one str for each word: run(name, "ls", "-l")'),
            platform=arguments.platform("platform", platform, self._core.host),
            entrypoint=None if entrypoint is None else arguments.texts("entrypoint", entrypoint),
            env=arguments.pairs("env", env, secret=True),
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
        """Check that an image works on the platforms that it claims to be for, and return a report.

        `name` can be an image in the store, an image in a registry, "oci-layout://DIR", "oci-archive:FILE" or
        "docker-archive:FILE". `platforms` are the platforms to check, by default all. `allow` are patterns of file
        names; findings about these files are not reported. Faults of the image do not raise: see `Report.is_good` and
        `Report.findings`. Raises NotFoundError, RegistryError.
        """
        from polyarch.images.check import check as checking

        text = arguments.image("name", name)
        options = checking.CheckOptions(platforms=self._platforms(platforms), allow=arguments.texts("allow", allow))
        with self._core.places() as places:
            return checking.check(places, text, options, self._core.emit)

    def attestations(self, name: Name, *, platforms: Platforms = ()) -> "tuple[VerifiedAttestation, ...]":
        """Return what is about an image: its attestations and other manifests, such as signatures, with its subjects.

        `name` is as for `check`. `platforms` are the platforms to look at, by default all. Whether they hold is the
        result of `verify_attestations`. Raises NotFoundError, CorruptError, RegistryError.
        """
        return self.verify_attestations(name, platforms=platforms).attestations

    def verify_attestations(
        self, name: Name, *, platforms: Platforms = (), materials: bool = False
    ) -> "AttestationReport":
        """Verify that the attestations of an image are about it and can be read, and return a report.

        `name` is as for `check`. `platforms` are the platforms to verify, by default all. With `materials`, registries
        are asked whether they still have the base images. Faults do not raise: see `AttestationReport.is_good` and
        `AttestationReport.problems`. An image without attestations is not good. Signatures are verified by `verify`.
        Raises NotFoundError, CorruptError for the image itself; RegistryError.
        """
        from polyarch.images import attested

        text = arguments.image("name", name)
        wanted, asked = self._platforms(platforms), arguments.flag("materials", materials)
        with self._core.places() as places:
            return attested.report(places, text, wanted, with_materials=asked)

    def sbom(self, name: Name, *, platforms: Platforms | Literal["all"] = "all") -> "tuple[Sbom, ...]":
        """Find the packages in an image, and return a bill of materials (SBOM) for each platform.

        `name` is as for `check`. The time in the documents is $SOURCE_DATE_EPOCH, or the time of the image. The
        documents are `bill.to_spdx()` and `bill.to_cyclonedx()`, which return JSON as bytes. What could not be read is
        in `bill.notes`. Raises NotFoundError if the image or a platform does not exist, CorruptError if a layer is
        damaged, RegistryError.
        """
        from polyarch.attest import sbom as sboms

        text = arguments.image("name", name)
        wanted = None if platforms == "all" else self._platforms(platforms) or None
        epoch = self._core.settings.environment.source_date_epoch
        with self._core.places() as places:
            return sboms.sbom(places, text, wanted, epoch=epoch, emit=self._core.emit)

    def sign(
        self,
        name: Name,
        *,
        key: StrPath | bytes | None = None,
        password: str | bytes = "",
        identity_token: str | None = None,
        recursive: bool = False,
        annotations: Mapping[str, str] = {},
        predicate: Mapping[str, Any] | None = None,
        predicate_type: str = "",
        trusted_root: StrPath | None = None,
        signing_config: StrPath | None = None,
    ) -> "tuple[SignedImage, ...]":
        """Sign an image in the store, or else in its registry, and return what was signed.

        `key` is a private key in PEM, as a file or as bytes; `password` is for an encrypted one. Without a key,
        Sigstore's services sign for the OpenID `identity_token`, and publish the identity for ever. `trusted_root` and
        `signing_config` are files about services other than the public ones. `recursive` also signs each image of an
        index. `annotations` are signed as well. A `predicate` with its `predicate_type` (a URI, or a name as for
        `polyarch attest`) makes an attestation instead of a signature.

        Raises UnsupportedError if the extra polyarch[sign] or polyarch[sigstore] is not installed; UsageError;
        PolyarchError for a wrong password or a service that refuses; NotFoundError; RegistryError.
        """
        from polyarch.attest.signing import sign as signs
        from polyarch.client import signing

        arguments.text("predicate_type", predicate_type)
        if (predicate is None) != (not predicate_type):
            raise UsageError("predicate and predicate_type belong together", "give both or neither")
        options = signs.SignOptions(
            recursive=arguments.flag("recursive", recursive),
            annotations=arguments.pairs("annotations", annotations),
            created=signs.timestamp(self._core.settings.environment.source_date_epoch or self._core.now()),
            predicate_type=signs.predicate_type(predicate_type or "signature"),
            predicate={} if predicate is None else dict(predicate),
        )
        how = signing.signing(self._core, key, password, identity_token, trusted_root, signing_config)
        with self._core.places() as places:
            return signs.sign(places, arguments.image("name", name), how, options)

    def verify(
        self,
        name: Name,
        *,
        key: StrPath | bytes | None = None,
        identity: str = "",
        issuer: str = "",
        identity_regexp: str = "",
        issuer_regexp: str = "",
        recursive: bool = False,
        annotations: Mapping[str, str] = {},
        predicate_type: str = "signature",
        trusted_root: StrPath | None = None,
    ) -> "tuple[VerifiedImage, ...]":
        """Verify that an image is signed, and return the digest that is signed, with its signatures.

        `name` is as for `check`. `key` is a public key in PEM, as a file or as bytes. Otherwise `identity` and `issuer`
        are those of a certificate, or the regular expressions `identity_regexp` and `issuer_regexp`, which may match
        anywhere in the text. `annotations` must be in the signature. `recursive` also requires a signature of each
        image of an index. `predicate_type` verifies an attestation instead (a URI, or a name as for `polyarch attest`).

        Raises SignatureError with the reasons if an image has no signature that holds; UnsupportedError if the extra
        polyarch[sign] or polyarch[sigstore] is not installed; UsageError; NotFoundError; RegistryError.
        """
        from polyarch.attest.signing import sign as signs
        from polyarch.attest.signing import verify as verifying
        from polyarch.client import signing

        options = verifying.VerifyOptions(
            recursive=arguments.flag("recursive", recursive),
            annotations=arguments.pairs("annotations", annotations),
            predicate_type=signs.predicate_type(arguments.text("predicate_type", predicate_type)),
        )
        trust = signing.trust(self._core, key, identity, issuer, identity_regexp, issuer_regexp, trusted_root)
        with self._core.places() as places:
            return verifying.verify(places, arguments.image("name", name), trust, options)

    def save(
        self,
        names: Names,
        destination: StrPath | BinaryIO,
        *,
        platforms: Platforms = (),
        format: Literal["docker", "oci"] = "docker",
        compress: Literal["none", "gzip", "zstd"] | None = None,
    ) -> None:
        """Write images to an archive that docker load, podman, skopeo and `load` can read.

        `destination` is a path or a binary file object. `platforms` are the platforms to save, by default all in the
        store. `compress` is by default chosen by the end of the path: .gz, .tgz, .zst or .tzst. After an error the
        file does not exist.

        Raises NotFoundError, CorruptError; RegistryError if a layer that was never downloaded is needed and cannot be
        downloaded.
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
        """Load the images of an archive or of an OCI layout, and return them.

        `source` is a path or a binary file object: an archive in docker's or OCI's format, which may be compressed, or
        the directory of an OCI layout. `platforms` are the platforms to load, by default all in the archive. Raises
        NotFoundError; CorruptError if the file is not an archive of images.
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
            return tuple(listing.listed(places.store, image.name, image.descriptor) for image in loaded)

    def tag(self, name: Name, new_name: Name) -> Image:
        """Give an image one more name, and return it. If the name exists, it is moved to this image.

        Raises NotFoundError; UsageError if `new_name` has a digest.
        """
        from polyarch.images import tag as tagging

        source, target = arguments.image("name", name), arguments.image("new_name", new_name)
        with self._core.places() as places:
            tagged = tagging.tag(places.store, source, target)
            return listing.listed(places.store, tagged.name, tagged.descriptor)

    def remove(self, name: Name, *, platforms: Platforms = (), force: bool = False) -> "Removed":
        """Remove a name, or all names of an id. Content that no other image needs is deleted with the last name.

        With `platforms`, the name and the index are kept, and only the content for these platforms is deleted.
        `force` allows to remove an id that has several names, and a name that does not exist. Raises NotFoundError,
        ConflictError.
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
