"""The images of an index or name, for `check`, `diff`, `drift` and `sbom`."""

from collections.abc import Sequence

import msgspec

from polyarch.contents.layer import LayerBlob, layers_of
from polyarch.errors import CorruptError, NotFoundError, PolyarchError, RegistryError
from polyarch.images.check import entries
from polyarch.images.check.findings import Finding
from polyarch.oci import index as indexes
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.config import ImageConfig
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.transfer import choose
from polyarch.transfer.read_through import ReadThroughSource

_MAX_DEPTH = 4


class CheckedMember(msgspec.Struct, frozen=True, kw_only=True):
    """One image of an index or name. `entry` is its platform in the index, `platform` that of entry or config."""

    descriptor: Descriptor
    entry: Platform | None
    platform: Platform
    manifest: Manifest
    config: ImageConfig

    @property
    def layers(self) -> tuple[LayerBlob, ...]:
        """Its layers. Raises CorruptError if manifest and config do not match."""
        return layers_of(self.manifest, self.config)


def collect(source: Source, root: Descriptor, most: int | None = None) -> tuple[list[CheckedMember], list[Finding]]:
    """The images below `root`, and findings about indexes and manifests. `most`: only of so many entries of the index.

    Raises the errors of reading `root` itself.
    """
    document = choose.read_document(source, root)
    if isinstance(document, Manifest):
        config = choose.read_config(source, document)
        return [
            CheckedMember(descriptor=root, entry=None, platform=config.platform, manifest=document, config=config)
        ], []
    if most is not None:
        document = msgspec.structs.replace(document, manifests=document.manifests[:most])
    members: list[CheckedMember] = []
    findings: list[Finding] = []
    _collect(source, document, members, findings, _MAX_DEPTH)
    return members, findings


def _collect(source: Source, index: Index, members: list[CheckedMember], findings: list[Finding], depth: int) -> None:
    images = indexes.images(index)
    findings += [
        Finding(rule="damaged", severity="error", message=f"an entry of the index cannot be read: {reason}")
        for reason in index.unreadable
    ]
    findings += entries.of_index([entry for entry in images if entry.media_type not in media_types.INDEXES])
    for entry in images:
        shown = str(platforms.normalize(entry.platform)) if entry.platform is not None else ""
        document, problem = _read(source, entry, shown)
        if problem is not None:
            findings.append(problem)
        if isinstance(document, Index):
            if depth:
                _collect(source, document, members, findings, depth - 1)
            else:
                message = f"indexes are nested more than {_MAX_DEPTH} levels deep"
                findings.append(Finding(rule="damaged", severity="error", message=message))
        elif document is not None and document.is_image:
            try:
                config = choose.read_config(source, document)
            except (CorruptError, NotFoundError) as error:
                findings.append(unreadable(error, "config", shown))
                continue
            except RegistryError as error:
                findings.append(out_of_reach(source, error, "config", shown))
                continue
            members.append(
                CheckedMember(
                    descriptor=entry,
                    entry=entry.platform,
                    platform=platforms.normalize(entry.platform or config.platform),
                    manifest=document,
                    config=config,
                )
            )


def _read(source: Source, entry: Descriptor, shown: str) -> tuple[Manifest | Index | None, Finding | None]:
    """The document of an entry, even if the size in the entry is wrong, and a finding if there is a problem."""
    try:
        return choose.read_document(source, entry), None
    except NotFoundError as error:
        return None, unreadable(error, f"manifest {entry.digest}", shown)
    except RegistryError as error:
        return None, out_of_reach(source, error, "image", shown)
    except CorruptError as error:
        try:
            actual = source.resolve(entry.digest)
            if actual.size == entry.size:
                return None, unreadable(error, f"manifest {entry.digest}", shown)
            message = f"the manifest {entry.digest} has {actual.size} bytes, the index says {entry.size}"
            mismatch = Finding(rule="size-mismatch", severity="error", message=message, platform=shown)
            return choose.read_document(source, actual), mismatch
        except (NotFoundError, CorruptError):
            return None, unreadable(error, f"manifest {entry.digest}", shown)


def out_of_reach(source: Source, error: RegistryError, what: str, platform: str) -> Finding:
    """A warning for content that is not in the store, and that the registry cannot deliver now.

    Raises the error itself if the image is in the registry.
    """
    if not isinstance(source, ReadThroughSource) or not source.stored:
        raise error
    message = f"the {what} is not in the store, and could not be checked: {error.message}"
    return Finding(rule="blob-missing", severity="warning", message=message, platform=platform)


def unreadable(error: PolyarchError, what: str, platform: str) -> Finding:
    absent = isinstance(error, NotFoundError)
    return Finding(
        rule="blob-missing" if absent else "damaged",
        severity="error",
        message=f"the {what} is missing: {error.message}" if absent else f"the {what}: {error.message}",
        platform=platform,
    )


def chosen(images: Sequence[CheckedMember], wanted: Platform, called: str) -> CheckedMember:
    """The image for exactly this platform, or else the one that serves it best. Raises NotFoundError."""
    exact = [member for member in images if platforms.same(member.platform, wanted)]
    ranked = [(rank, n) for n, one in enumerate(images) if (rank := platforms.rank(one.platform, wanted)) is not None]
    if not exact and not ranked:
        have = ", ".join(str(member.platform) for member in images)
        raise NotFoundError(f"{called} has no image for {wanted}", f"it is for {have}")
    return exact[0] if exact else images[min(ranked)[1]]
