"""The types of carriers: `type=NAME` in `--cache-from` and `--cache-to`. A new type is one more line in `CARRIERS`.

`inline` is not among them: it is written with the image (`inline.py`), and read as `type=registry`.
"""

from collections.abc import Mapping

from polyarch.buildcache import actions_settings, s3_settings
from polyarch.buildcache.attributes import environment, split
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


def _actions(attributes: Attributes, around: Around) -> Carrier:
    from polyarch.buildcache.actions import ActionsCarrier

    return ActionsCarrier(attributes, around)


def _check_actions(attributes: Attributes) -> None:
    actions_settings.parse(*split(attributes))


def _actions_are_absent(attributes: Attributes) -> str:
    return "" if actions_settings.parse(*split(attributes)) is not None else actions_settings.ABSENT


def _s3(attributes: Attributes, around: Around) -> Carrier:
    from polyarch.buildcache.s3 import S3Carrier

    return S3Carrier(attributes, around)


def _check_s3(attributes: Attributes) -> None:
    s3_settings.parse(*split(attributes))


def _check_reference(attributes: Attributes) -> None:
    from polyarch.oci import reference as references

    references.parse(attributes["ref"])


def _check_local(attributes: Attributes) -> None:
    from polyarch.oci import digest as digests

    if "digest" in attributes and not digests.is_digest(attributes["digest"]):
        raise UsageError(f"type=local: digest={attributes['digest']} is not a digest", "as in digest=sha256:…")


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
        check=_check_local,
    ),
    "gha": CarrierType(
        open=_actions,
        source=actions_settings.ATTRIBUTES,
        target=actions_settings.ATTRIBUTES,
        environment=environment(*actions_settings.VARIABLES),
        identity=("scope",),
        check=_check_actions,
        inactive=_actions_are_absent,
    ),
    "s3": CarrierType(
        open=_s3,
        source=s3_settings.ATTRIBUTES,
        target=s3_settings.ATTRIBUTES,
        environment=environment(*s3_settings.VARIABLES),
        identity=("bucket", "endpoint_url", "prefix", "manifests_prefix", "name"),
        check=_check_s3,
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
