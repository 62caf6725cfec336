"""The images that FROM and `--from` name: in the store, else in their registry. Only manifests and configs are read.

The layers stay in the registry until something needs them. The source remembers their repositories, so that a push can
mount them and a RUN can fetch them.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from polyarch.builder.plan.options import Base, Resolver
from polyarch.contents.layer import require_tars
from polyarch.errors import CorruptError, NotFoundError, PolyarchError, UnsupportedError
from polyarch.images import names
from polyarch.oci import platform as platforms
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.transfer import choose, select
from polyarch.transfer import copy as copier
from polyarch.transfer.copy import CopyOptions
from polyarch.transfer.pool import WorkerPool

if TYPE_CHECKING:
    from polyarch.builder.request.request import BuildRequest
    from polyarch.builder.workspace import Workspace
    from polyarch.registry import Registry
    from polyarch.store import Store
    from polyarch.transfer.read_through import ReadThroughSource

_TOGETHER = 4


class BaseResolver(Resolver, Protocol):
    """A resolver for all platforms of a build."""

    def prefetch(self, like: Platform, others: Sequence[Platform]) -> None:
        """Resolve for `others` what was resolved for `like`."""


class Bases:
    """Resolves names for one build, each name and platform once. It owns nothing; the store keeps what it reads.

    With `pull`, the registry is asked even for images that the store has. `layouts` are the sources of names that are
    not references (a named context `oci-layout://…`), each with the name inside the layout.
    """

    def __init__(
        self,
        store: "Store",
        registry: "Registry",
        source: "ReadThroughSource",
        *,
        pull: bool = False,
        allow_foreign: bool = False,
        layouts: Mapping[str, tuple[Source, str]] | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._source = source
        self._pull = pull
        self._allow_foreign = allow_foreign
        self._layouts = layouts or {}
        self._roots: dict[str, tuple[Source, Descriptor]] = {}
        self._found: dict[tuple[str, Platform], Base] = {}

    def image(self, name: str, platform: Platform) -> Base:
        """Implements `plan.options.Resolver`."""
        key = (name, platform)
        if key not in self._found:
            self._found[key] = self._resolve(name, platform)
        return self._found[key]

    def prefetch(self, like: Platform, others: Sequence[Platform]) -> None:
        """Resolve for `others` the names that were resolved for `like`, in parallel: mostly they need the same bases.

        Errors are ignored: a name that is needed fails again, and is reported then. All threads have ended on return.
        """
        known = list(self._found)
        pairs = [(name, other) for name, platform in known if platform == like for other in others]
        with WorkerPool(_TOGETHER) as pool:
            pool.map(self._try, [pair for pair in pairs if pair not in self._found])

    def _try(self, pair: tuple[str, Platform]) -> None:
        with contextlib.suppress(PolyarchError):
            self.image(*pair)

    def _resolve(self, name: str, platform: Platform) -> Base:
        if name not in self._roots:
            self._roots[name] = self._locate(name)
        source, root = self._roots[name]
        descriptor, warning = root, ""
        document = choose.read_document(source, root)
        if isinstance(document, Index):
            entry = select.select(source, document, platform)
            if entry is None:
                warning = self._foreign(name, platform, select.describe(source, document))
                entry = next((leaf.entry for leaf in select.leaves(source, document)), None)
            if entry is None:
                raise NotFoundError(f"the base image {name} has no images in its index")
            descriptor = entry
            document = choose.read_document(source, descriptor)
            if isinstance(document, Index):
                raise CorruptError(f"{name} has an index where the image for {platform} should be")
        try:
            require_tars(document)
        except UnsupportedError as error:
            raise UnsupportedError(f"the base image {name}: {error.message}", error.hint) from None
        config = choose.read_config(source, document)
        if not warning and not platforms.serves(config.platform, platform):
            warning = self._foreign(name, platform, str(config.platform))
        if source is not self._source:
            self._import(source, descriptor, name)
        return Base(document.digest, config, f"{name}@{root.digest}", warning, root.digest)

    def _foreign(self, name: str, platform: Platform, offered: str) -> str:
        """The warning if no image fits. Raises UnsupportedError unless foreign bases are allowed."""
        message = f"the base image {name} is not for {platform}: it has {offered}"
        if not self._allow_foreign:
            raise UnsupportedError(
                message,
                "leave this platform out, choose another base, or use it anyway with --allow-foreign-base "
                "(its binaries will not run on that platform)",
            )
        return message

    def _locate(self, name: str) -> tuple[Source, Descriptor]:
        if name in self._layouts:
            source, tag = self._layouts[name]
            return source, source.resolve(tag)
        reference = references.parse(name).tagged()
        if not self._pull:
            with names.suggesting(self._store, name):
                return self._source, self._source.resolve(str(reference))
        from polyarch.transfer.publish import remember_root

        root = self._registry.repository(reference).resolve(reference.version)
        remember_root(self._store, root.digest, reference)
        return self._source, root

    def _import(self, source: Source, descriptor: Descriptor, name: str) -> None:
        """Copy an image from a layout into the store: the layout may be gone when the layers are needed."""
        copier.copy(source, descriptor.digest, self._store, (), CopyOptions(called=name))


def of_request(workspace: "Workspace", request: "BuildRequest") -> Bases:
    """The bases of a build. Builds that resolve names in the same way share them."""
    pull, foreign, layouts = request.cache.pull, request.plan.allow_foreign_base, workspace.layouts

    def make() -> Bases:
        return Bases(
            workspace.store,
            workspace.registry,
            workspace.source,
            pull=pull,
            allow_foreign=foreign,
            layouts=open_layouts(workspace),
        )

    return workspace.common.once(("bases", pull, foreign, *layouts.items()), make)


def open_layouts(workspace: "Workspace") -> dict[str, tuple[Source, str]]:
    """Open the OCI layouts among the named contexts. That of the store needs no import from it, and a layer that only a
    registry has is fetched when it is needed.
    """
    named = workspace.layouts
    if not named:
        return {}
    from polyarch.transfer.layout import Directory, LayoutSource

    own = Path(workspace.store.layout.oci)
    return {
        name: (workspace.source if path == own else LayoutSource(Directory(path)), tag)
        for name, (path, tag) in named.items()
    }
