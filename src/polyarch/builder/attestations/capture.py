"""What a build used: base images, downloads, repositories, secrets, and what came from this machine.

Captured for one platform at a time, so that nothing of another platform is named. Secrets are known by id only.
"""

import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from polyarch.attest.provenance import Access, BuildParameters, ConfigSource, Material
from polyarch.builder.contexts.remote import git_source
from polyarch.builder.linked import LinkedImages
from polyarch.builder.plan.options import Base, Resolver
from polyarch.builder.plan.planner import Plan
from polyarch.builder.request.input import (
    ContextSource,
    DirectoryContext,
    ImageContext,
    LayoutContext,
    LinkedContext,
    RemoteContext,
)
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.vertices import BuildGraph, Context, Git, Http, RunCommand
from polyarch.oci import image_purl
from polyarch.oci import reference as references
from polyarch.oci.digest import Digest
from polyarch.oci.image_purl import ImageUrl
from polyarch.oci.platform import Platform
from polyarch.oci.redaction import hidden, without_credentials
from polyarch.oci.reference import Reference
from polyarch.sandbox.settings import RunSettings

if TYPE_CHECKING:
    from polyarch.builder.perform.remotes import Remotes

_SHA256 = 64  # hexadecimal digits
_OTHER_NAMES = {"network": "force-network-mode", "hosts": "add-hosts"}


class ImageRecorder:
    """Implements `plan.options.Resolver` for one platform, and keeps which images were asked for."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.used: dict[tuple[str, Platform], Base] = {}

    def image(self, name: str, platform: Platform) -> Base:
        """Implements `plan.options.Resolver`."""
        base = self._resolver.image(name, platform)
        self.used[name, platform] = base
        return base


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """What the build for one platform used."""

    config: ConfigSource
    parameters: BuildParameters
    materials: tuple[Material, ...]
    has_network: bool

    @property
    def is_complete(self) -> bool:
        """Whether `materials` name all inputs. Those of this machine have no digest that would identify them."""
        return not self.parameters.locals


def capture(
    request: BuildRequest,
    plan: Plan,
    graph: BuildGraph,
    images: ImageRecorder,
    links: LinkedImages,
    remotes: "Callable[[], Remotes]",
) -> Capture:
    """What the build of `plan` used. `remotes` has fetched everything already, so nothing is fetched here. `links` are
    the images of other builds, which are made already.
    """
    reached = [graph.vertices[key] for key in graph.reach([plan.stack] if plan.stack else [])]
    runs = [vertex for vertex in reached if isinstance(vertex, RunCommand)]
    contexts = {str(name): source for name, source in request.contexts()}
    opened = {vertex.name for vertex in reached if isinstance(vertex, Context)}
    gits: dict[str, Material] = {}
    files: dict[str, Material] = {}

    def fetched(url: str) -> Material:
        """A context that was fetched."""
        git = git_source(url)
        if git is None:
            return files.setdefault(url, _file(Http(url), remotes()))
        return gits.setdefault(f"{git.url}#{git.ref}", _repository(git, remotes()))

    main = request.input.context
    config = _config(request)
    if isinstance(main, RemoteContext):
        material = fetched(main.url)
        git = git_source(main.url)
        where = f":{git.subdirectory}" if git is not None and git.subdirectory else ""
        uri = f"{material.uri}{'' if '#' in material.uri or not where else '#'}{where}"
        config = msgspec.structs.replace(config, uri=uri, digest=material.digest)
    for name in sorted(opened):
        source = contexts.get(name)
        if name and isinstance(source, RemoteContext):
            fetched(source.url)
    for vertex in reached:
        if isinstance(vertex, Git):
            gits.setdefault(f"{vertex.url}#{vertex.ref}", _repository(vertex, remotes()))
        elif isinstance(vertex, Http):
            files.setdefault(vertex.url, _file(vertex, remotes()))
    secrets, ssh = _accesses(runs)
    if gits:
        secrets += [Access(name, True) for name in request.secrets.secrets if name.startswith("GIT_AUTH_")]
    return Capture(
        config=config,
        parameters=BuildParameters(
            args=_arguments(request, plan.platform),
            secrets=_merged(secrets),
            ssh=_merged(ssh),
            locals=local_inputs(request, plan, graph),
        ),
        materials=(*_images(images, contexts, links), *_sorted(gits.values()), *_sorted(files.values())),
        has_network=any(run.settings.network != "none" for run in runs),
    )


def local_inputs(request: BuildRequest, plan: Plan, graph: BuildGraph) -> tuple[str, ...]:
    """The names of what the build of `plan` takes from this machine: contexts, and the Dockerfile.

    A main context always counts, as in BuildKit: at least its ignore file was read.
    """
    contexts: dict[str, object] = {str(name): source for name, source in request.contexts()}
    reached = (graph.vertices[key] for key in graph.reach([plan.stack] if plan.stack else []))
    names = {vertex.name for vertex in reached if isinstance(vertex, Context)}
    found = {name for name in names if name and not isinstance(contexts.get(name), RemoteContext)}
    if request.input.context is not None and not isinstance(request.input.context, RemoteContext):
        found.add("context")
    return tuple(sorted(found | ({"dockerfile"} if _has_local_dockerfile(request) else set())))


def renamed(request: BuildRequest) -> dict[str, str]:
    """The words of the request that have a path of this machine, with what is said instead."""
    contexts = ((name, source) for name, source in request.contexts() if isinstance(source, LayoutContext))
    return {source.word: _context(name.name, source) for name, source in contexts}


def _images(images: ImageRecorder, contexts: Mapping[str, ContextSource], links: LinkedImages) -> Iterable[Material]:
    words = ((name, source) for name, source in contexts.items() if isinstance(source, LayoutContext | LinkedContext))
    layouts = {source.word: name for name, source in words}
    found: dict[str, Material] = {}
    for (name, platform), base in images.used.items():
        root = links.root(name) if base.linked is not None else base.root
        algorithm, _, value = root.partition(":")
        if name in layouts:
            # The path of the layout is this machine's own matter.
            called = Reference("docker.io", f"library/{layouts[name].partition('::')[0].lower()}", "", root)
            uri = str(ImageUrl(called, platform, "oci"))
        else:
            uri = image_purl.of(references.parse(name), platform)
        found[uri] = Material(uri, {algorithm: value})
    return _sorted(found.values())


def _sorted(materials: Iterable[Material]) -> list[Material]:
    return sorted(materials, key=lambda material: material.uri)


def _repository(git: Git, remotes: "Remotes") -> Material:
    commit = remotes.repositories.commit(git)
    algorithm = "sha256" if len(commit) == _SHA256 else "sha1"
    uri = without_credentials(git.url) + (f"#{git.ref}" if git.ref else "")
    return Material(uri, {algorithm: commit})


def _file(http: Http, remotes: "Remotes") -> Material:
    digest: Digest = remotes.downloads.fetch(http.url, http.checksum).digest
    algorithm, _, value = digest.partition(":")
    return Material(hidden(http.url), {algorithm: value})


def _accesses(runs: Iterable[RunCommand]) -> tuple[list[Access], list[Access]]:
    mounts = [mount for run in runs for mount in run.mounts]
    secrets = [Access(mount.id, not mount.required) for mount in mounts if mount.kind == "secret"]
    return secrets, [Access(mount.id or "default", not mount.required) for mount in mounts if mount.kind == "ssh"]


def _merged(accesses: Iterable[Access]) -> tuple[Access, ...]:
    """Each id once. It is optional if every step could do without it."""
    found: dict[str, bool] = {}
    for access in accesses:
        found[access.id] = found.get(access.id, True) and access.optional
    return tuple(Access(name, optional) for name, optional in sorted(found.items()))


def _config(request: BuildRequest) -> ConfigSource:
    """The path of the Dockerfile: in a context that was fetched, else its name alone."""
    file = request.input.file
    if file is None:
        return ConfigSource("Dockerfile")
    if _has_local_dockerfile(request):
        return ConfigSource(file.name)
    return ConfigSource(posixpath.normpath(str(file)))


def _has_local_dockerfile(request: BuildRequest) -> bool:
    """Whether the Dockerfile was not in a context that was fetched."""
    given = request.input
    outside = given.dockerfile is not None or (given.file is not None and given.file.is_absolute())
    return outside or not isinstance(given.context, RemoteContext)


def _arguments(request: BuildRequest, platform: Platform) -> dict[str, str]:
    """The options of the build under the names that they have for BuildKit's frontend."""
    options = request.plan_for(platform)
    found = {f"build-arg:{name}": value for name, value in options.arguments.items()}
    found |= {f"label:{name}": value for name, value in options.labels.items()}
    for name, source in request.contexts():
        if name.platform in (None, platform):
            found[f"context:{name.name}"] = _context(name.name, source)
    if options.target:
        found["target"] = options.target
    if request.cache.no_cache or options.uncached_stages:
        found["no-cache"] = "" if request.cache.no_cache else ",".join(sorted(options.uncached_stages))
    found |= _settings(options.run)
    return {name: without_credentials(value) for name, value in sorted(found.items())}


def _settings(run: RunSettings) -> dict[str, str]:
    """The settings of RUN that are not at their defaults."""
    found: dict[str, str] = {}
    for field in msgspec.structs.fields(run):
        value = getattr(run, field.name)
        if value != field.default:
            # BuildKit names what may be given several times in the singular.
            name = _OTHER_NAMES.get(field.name) or field.name.replace("_", "-").removesuffix("s")
            if isinstance(value, tuple):
                value = ",".join(f"{first}={':'.join(map(str, rest))}" for first, *rest in value)
            found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def _context(name: str, source: ContextSource) -> str:
    """A named context without paths of this machine, passwords and tokens."""
    match source:
        case DirectoryContext():
            return f"local:{name}"
        case ImageContext():
            return f"docker-image://{source.name}"
        case LayoutContext():
            return f"oci-layout://{name}"
        case LinkedContext():
            return str(source)
        case RemoteContext():
            return hidden(source.url) if git_source(source.url) is None else source.url
