"""The packages of an image, all platforms side by side: from the SBOMs attached to it, or from its layers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote

import msgspec

from polyarch.attest import sbom
from polyarch.errors import CorruptError, NotFoundError, PolyarchError
from polyarch.images.check.collect import collect
from polyarch.indexes import attestations, statements
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.page import attached
from polyarch.page.source import StoredImages

_PURL = re.compile(r"pkg:(?P<kind>[A-Za-z0-9.+-]+)/")
_UNKNOWN = ("", "NOASSERTION", "NONE")
# The largest document that is read for a page.
_LARGEST = 40 << 20


class PackageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A package with its version for each platform; None where it is missing. `kind` is as in a package URL."""

    kind: str
    name: str
    license: str
    versions: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        """Whether platforms have different versions, or some lack it."""
        return len(set(self.versions)) > 1

    def has(self, words: Sequence[str]) -> bool:
        """Whether each word, in lower case, is in its name, kind, license or a version."""
        text = " ".join((self.kind, self.name, self.license, *filter(None, self.versions))).lower()
        return all(word in text for word in words)


class PackageTable(msgspec.Struct, frozen=True, kw_only=True):
    """Packages by kind and name. `claimed` says that they come from attached SBOMs. `notes`: what could not be read."""

    platforms: tuple[str, ...]
    rows: tuple[PackageRow, ...]
    claimed: bool
    notes: tuple[str, ...] = ()

    def counts(self) -> tuple[int, ...]:
        """The number of packages of each platform."""
        return tuple(sum(row.versions[at] is not None for row in self.rows) for at in range(len(self.platforms)))


class _Reference(msgspec.Struct, frozen=True, rename="camel"):
    reference_type: str = ""
    reference_locator: str = ""


class _Package(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    version_info: str = ""
    license_declared: str = ""
    license_concluded: str = ""
    external_refs: tuple[_Reference, ...] = ()


class _Spdx(msgspec.Struct, frozen=True):
    packages: tuple[_Package, ...] = ()


# Built here, because msgspec must not analyse a type in two threads at the same time.
_decode = msgspec.json.Decoder(_Spdx).decode
_Found = Mapping[tuple[str, str], tuple[str, str]]


def has_bill(source: StoredImages, root: Descriptor) -> bool:
    """Whether an SBOM in SPDX form is attached to an image below `root`."""
    return bool(_claims(source, root))


def claimed(source: StoredImages, root: Descriptor) -> PackageTable:
    """The packages that the attached SBOMs claim. Raises NotFoundError if none is attached."""
    listed = _claims(source, root)
    if not listed:
        raise NotFoundError("no SBOM is attached to this image")
    columns: dict[str, _Found] = {}
    notes: list[str] = []
    for platform, layer in listed:
        try:
            columns[platform] = _read(source, layer)
        except (CorruptError, NotFoundError) as error:
            notes.append(f"{platform}: {error.message}")
    return _table(columns, notes, claimed=True)


def found(source: StoredImages, root: Descriptor, name: str) -> PackageTable:
    """The packages in the layers of the images below `root` that the store has. Reads each layer once."""
    members, problems = collect(source, root)
    columns: dict[str, _Found] = {}
    notes = [problem.message for problem in problems if problem.rule in ("blob-missing", "damaged")]
    for member in members:
        try:
            (bill,) = sbom.bills(source, name, [member], source.store)
        except PolyarchError as error:
            notes.append(f"{member.platform}: {error.message}")
            continue
        notes += [f"{member.platform}: {note}" for note in bill.notes]
        listed = ((one.kind, _grouped(one.group, one.name), one.version, one.license) for one in bill.packages)
        columns.setdefault(str(member.platform), _column(listed))
    return _table(columns, notes, claimed=False)


def _claims(source: StoredImages, root: Descriptor) -> list[tuple[str, Descriptor]]:
    """The platforms that have an SBOM, each with the statement."""
    try:
        everything = attestations.find(source, root)
    except PolyarchError:
        return []
    bills = attached.bills(source, everything)
    shown = {one.image.digest: str(platforms.normalize(one.platform)) for one in everything if one.platform is not None}
    return [(shown.get(digest, ""), layer) for digest, layer in bills.items()]


def _read(source: StoredImages, layer: Descriptor) -> _Found:
    if layer.size > _LARGEST:
        raise CorruptError(f"the SBOM {layer.digest} has {layer.size} bytes; at most {_LARGEST} are read here")
    statement = statements.read(source, layer)
    try:
        document = _decode(statement.predicate)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"the SBOM {layer.digest} cannot be read: {error}") from error
    return _column(filter(None, map(_of_spdx, document.packages)))


def _of_spdx(package: _Package) -> tuple[str, str, str, str] | None:
    """Kind, name, version and license; None for what has no package URL, such as the image itself."""
    locators = (one.reference_locator for one in package.external_refs if one.reference_type == "purl")
    match = next(filter(None, map(_PURL.match, locators)), None)
    if match is None:
        return None
    licenses = (package.license_declared, package.license_concluded)
    license_ = next((one for one in licenses if one not in _UNKNOWN), "")
    return match["kind"].lower(), unquote(package.name), package.version_info, license_


def _column(listed: Iterable[tuple[str, str, str, str]]) -> _Found:
    """The versions and the license of each package. One may be there in several versions."""
    versions: dict[tuple[str, str], list[str]] = {}
    licenses: dict[tuple[str, str], str] = {}
    for kind, name, version, license_ in listed:
        versions.setdefault((kind, name), []).append(version)
        if license_ not in _UNKNOWN:
            licenses.setdefault((kind, name), license_)
    return {key: (", ".join(sorted(set(all_))), licenses.get(key, "")) for key, all_ in versions.items()}


def _table(columns: Mapping[str, _Found], notes: Iterable[str], *, claimed: bool) -> PackageTable:
    keys = sorted({key for column in columns.values() for key in column})
    rows = []
    for key in keys:
        cells = [column.get(key) for column in columns.values()]
        license_ = next((cell[1] for cell in cells if cell is not None and cell[1]), "")
        versions = tuple(None if cell is None else cell[0] for cell in cells)
        rows.append(PackageRow(kind=key[0], name=key[1], license=license_, versions=versions))
    return PackageTable(platforms=tuple(columns), rows=tuple(rows), claimed=claimed, notes=tuple(notes))


def _grouped(group: str, name: str) -> str:
    return f"{group}:{name}" if group else name
