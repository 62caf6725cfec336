"""Check the entries of an index, and whether they agree with their images."""

from collections.abc import Iterable, Iterator, Sequence

from polyarch.images.check.findings import Finding
from polyarch.oci import platform as platforms
from polyarch.oci.config import ImageConfig
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform

_VARIANTS = {
    "arm": {"v5", "v6", "v7", "v8"},
    "amd64": {"v1", "v2", "v3", "v4"},
    "arm64": {"v8", "v9", *(f"v8.{n}" for n in range(10)), *(f"v9.{n}" for n in range(6))},
}
# Their variants (GORISCV64=rva22u64, GOPPC64=power9) have no standard names in images.
_OPEN = frozenset({"riscv64", "ppc64", "ppc64le", "mips", "mipsle", "mips64", "mips64le"})
# An image that `podman manifest push --add-compression zstd` added for engines that know zstd. They prefer it by this
# annotation, and the others take the first entry.
_ZSTD = "io.github.containers.compression.zstd"


def of_index(entries: Sequence[Descriptor]) -> Iterator[Finding]:
    """Findings about the image entries of an index, without reading the images."""
    seen: dict[Platform, Descriptor] = {}
    alternatives: dict[Platform, Descriptor] = {}
    for entry in entries:
        if entry.platform is None or not entry.platform.architecture:
            message = f"the entry {entry.digest} has no platform: only tools that read its config can choose it"
            yield Finding(rule="platform-unknown", severity="warning", message=message)
            continue
        normal = platforms.normalize(entry.platform)
        other = (alternatives if entry.annotations.get(_ZSTD) == "true" else seen).setdefault(normal, entry)
        if other is not entry:
            what = "the same image" if other.digest == entry.digest else f"{other.digest} and {entry.digest}"
            message = f"two entries are for {normal}: {what}; engines take the first"
            yield Finding(rule="platform-twice", severity="error", message=message, platform=str(normal))
        yield from _variant(entry.platform, f"the entry {entry.digest}", str(normal))
    yield from _order(seen | alternatives)


def of_image(entry: Platform | None, config: ImageConfig, platform: Platform) -> Iterator[Finding]:
    """Findings about an image's config, and contradictions between it and its index entry, if there is one."""
    get = config.document.get
    claimed = Platform(
        os=str(get("os") or ""),
        architecture=str(get("architecture") or ""),
        variant=str(get("variant") or ""),
        os_version=str(get("os.version") or ""),
    )
    if not claimed.architecture or not claimed.os:
        what = "architecture" if not claimed.architecture else "operating system"
        yield Finding(
            rule="platform-unknown", severity="error", message=f"the config has no {what}", platform=str(platform)
        )
        return
    if entry is None:
        yield from _variant(claimed, "the config", str(platform))
        return
    mine, theirs = platforms.normalize(entry), platforms.normalize(claimed)
    parts = [
        ("operating system", mine.os, theirs.os),
        ("architecture", mine.architecture, theirs.architecture),
        ("operating system's version", mine.os_version, theirs.os_version),
    ]
    for what, one, other in parts:
        if one != other and one and other:
            yield _contradiction(platform, what, one, other)
    if mine.architecture != theirs.architecture:
        return
    # Only values in both can contradict: many builders omit the variant in one of them.
    if entry.variant and claimed.variant:
        if mine.variant != theirs.variant:
            yield _contradiction(platform, "variant", entry.variant, claimed.variant)
    elif mine.variant != theirs.variant or (mine.architecture == "arm" and not claimed.variant):
        lacks, has = ("entry", theirs) if not entry.variant else ("config", mine)
        if not (lacks == "entry" and mine.architecture == "arm"):  # `of_index` reports this
            message = f"the {lacks} has no variant, but the other says {has.variant}"
            yield Finding(rule="variant-missing", severity="warning", message=message, platform=str(platform))
    if claimed.variant and claimed.variant != entry.variant:
        yield from _variant(claimed, "the config", str(platform))


def _order(seen: Iterable[Platform]) -> Iterator[Finding]:
    """Variants that come before a lower one of their architecture. `seen` is in the order of the index."""
    highest: dict[tuple[str, str], Platform] = {}
    for platform in seen:
        before = highest.setdefault((platform.os, platform.architecture), platform)
        if platforms.variant_order(platform) < platforms.variant_order(before):
            family = f"{platform.os}/{platform.architecture}"
            message = (
                f"the entry for {platform} comes after that for {before}: tools that ask for {family} without a "
                f"variant take the first, which not every {platform.architecture} machine can run"
            )
            yield Finding(rule="variant-order", severity="warning", message=message, platform=str(platform))
        else:
            highest[platform.os, platform.architecture] = platform


def _contradiction(platform: Platform, what: str, one: str, other: str) -> Finding:
    message = f"the index entry says the {what} is {one}, the image's config says {other}"
    return Finding(rule="platform-mismatch", severity="error", message=message, platform=str(platform))


def _variant(platform: Platform, what: str, shown: str) -> Iterator[Finding]:
    architecture, variant = platforms.normalize(platform).architecture, platform.variant.lower()
    if architecture == "arm" and not variant and platform.architecture.lower() == "arm":
        message = f"{what} is for arm without a variant, which engines take for v7"
        yield Finding(rule="variant-missing", severity="warning", message=message, platform=shown)
    if not variant or architecture in _OPEN:
        return
    known = _VARIANTS.get(architecture, set())
    if variant not in known and f"v{variant}" not in known:
        has = f"it has {', '.join(sorted(known))}" if known else "it has none"
        message = f"{what} has the variant {platform.variant}, which {architecture} does not have: {has}"
        yield Finding(rule="variant-impossible", severity="error", message=message, platform=shown)
