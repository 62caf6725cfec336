"""Package URLs (github.com/package-url/purl-spec): one name for a package in all tools."""

from urllib.parse import quote

from polyarch.attest.bill import Distribution
from polyarch.contents.inventory.component import Component

# Their purls name the distribution, because a package of the same name and version differs in another one.
_DISTRIBUTED = ("deb", "apk", "rpm")


def purl(component: Component, distribution: Distribution) -> str:
    """The package URL of a package of an image."""
    namespace, name = _names(component, distribution)
    parts = (component.ecosystem, *namespace.split("/"), name)
    path = "/".join(_encoded(part) for part in parts if part)
    epoch, version = _version(component)
    qualifiers = _qualifiers(component, distribution) if component.ecosystem in _DISTRIBUTED else {}
    qualifiers["epoch"] = epoch
    query = "&".join(f"{key}={_encoded(value)}" for key, value in sorted(qualifiers.items()) if value)
    return f"pkg:{path}" + (f"@{_encoded(version)}" if version else "") + (f"?{query}" if query else "")


def _version(component: Component) -> tuple[str, str]:
    """The epoch, which is a qualifier of rpm, and the version without what the purl type leaves out."""
    if component.ecosystem == "rpm":
        epoch, colon, version = component.version.partition(":")
        return (epoch, version) if colon else ("", epoch)
    if component.ecosystem == "golang" and component.name == "stdlib":
        return "", component.version.removeprefix("go")
    return "", component.version


def _names(component: Component, distribution: Distribution) -> tuple[str, str]:
    name = component.name
    if component.ecosystem == "rpm":
        return _vendor(distribution.name), name
    if component.ecosystem == "maven":
        return component.group, name
    if component.ecosystem == "deb":
        return distribution.name or "debian", name.lower()
    if component.ecosystem == "apk":
        return distribution.name or "alpine", name.lower()
    scope, _, rest = name.rpartition("/")
    return scope, rest


def _vendor(distribution: str) -> str:
    """The namespace of an rpm package: a vendor with several distributions is one (purl-types, rpm)."""
    if distribution == "rhel":
        return "redhat"
    return "opensuse" if distribution.startswith("opensuse") else distribution


def _qualifiers(component: Component, distribution: Distribution) -> dict[str, str]:
    source = component.source
    version = component.source_version
    upstream = f"{source}@{version}" if source and version and version != component.version else source
    return {
        "arch": component.architecture,
        "distro": "-".join(filter(None, (distribution.name, distribution.version))) if distribution.name else "",
        "upstream": upstream if upstream != component.name else "",
    }


def _encoded(text: str) -> str:
    """Percent-encoded, but for letters, digits and `.-_~:`. So the `+` of a Debian version is %2B."""
    return quote(text.encode("utf-8", "replace"), safe=":")
