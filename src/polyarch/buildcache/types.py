"""The types of carriers: `type=NAME` in `--cache-from` and `--cache-to`. A new type is one more line in `CARRIERS`.

`inline` is not among them: it is written with the image (`inline.py`), and read as `type=registry`.
"""

from collections.abc import Mapping

from polyarch.buildcache.carrier import Around, Attributes, Carrier, CarrierType
from polyarch.buildcache.wanted import CachePlace
from polyarch.errors import UsageError

# The attributes of all types.
COMMON_SOURCE = frozenset({"ttl", "mounts"})
COMMON_TARGET = frozenset(
    {"mode", "ignore-error", "ttl", "compression", "compression-level", "force-compression", "mounts"}
)


def _registry(attributes: Attributes, around: Around) -> Carrier:
    from polyarch.buildcache.registry import RegistryCarrier

    return RegistryCarrier(attributes, around)


def _local(attributes: Attributes, around: Around) -> Carrier:
    from polyarch.buildcache.local import LocalCarrier

    return LocalCarrier(attributes)


def _check_reference(attributes: Attributes) -> None:
    from polyarch.oci import reference as references

    references.parse(attributes["ref"])


# BuildKit's options for the form of its cache (docs/guides/cache.md says what they mean here).
_FORM = frozenset({"image-manifest", "oci-mediatypes"})

CARRIERS: Mapping[str, CarrierType] = {
    "registry": CarrierType(
        open=_registry,
        source=frozenset({"ref", "registry.insecure"}),
        target=frozenset({"ref", "registry.insecure"}) | _FORM,
        needed=frozenset({"ref"}),
        flags=frozenset({"registry.insecure"}) | _FORM,
        identity=("ref",),
        check=_check_reference,
    ),
    "local": CarrierType(
        open=_local,
        source=frozenset({"src", "tag", "digest"}),
        target=frozenset({"dest", "tag", "reset"}) | _FORM,
        needed=frozenset({"src", "dest"}),
        flags=frozenset({"reset"}) | _FORM,
        paths=frozenset({"src", "dest"}),
        identity=("dest", "tag"),
    ),
}


def open_carrier(place: CachePlace, around: Around) -> Carrier:
    """The carrier of a cache. No server is asked. Raises UsageError for an unknown type."""
    known = CARRIERS.get(place.kind)
    if known is None:
        raise UsageError(f"unknown type of cache {place.kind!r}", f"known types: {', '.join((*CARRIERS, 'inline'))}")
    return known.open(place.attributes, around)


def identity(place: CachePlace) -> tuple[str, ...]:
    """What makes two places the same cache: the type, and the attributes that say where it is."""
    from polyarch.oci import reference as references

    found = (place.attributes.get(name, "") for name in CARRIERS[place.kind].identity)
    if place.kind == "registry":
        return (place.kind, str(references.parse(place.attributes["ref"]).tagged()))
    return (place.kind, *found)
