"""Package URLs (github.com/package-url/purl-spec): one name for a package in all tools."""

from urllib.parse import quote

from polyarch.attest.bill import Distribution
from polyarch.contents.inventory.component import Component


def purl(component: Component, distribution: Distribution) -> str:
    """The package URL of a package of an image."""
    namespace, name = _names(component, distribution)
    path = "/".join(_encoded(part) for part in (component.ecosystem, namespace, name) if part)
    qualifiers = _qualifiers(component, distribution) if component.ecosystem in ("deb", "apk") else {}
    query = "&".join(f"{key}={_encoded(value)}" for key, value in sorted(qualifiers.items()) if value)
    return f"pkg:{path}@{_encoded(component.version)}" + (f"?{query}" if query else "")


def _names(component: Component, distribution: Distribution) -> tuple[str, str]:
    name = component.name
    if component.ecosystem == "deb":
        return distribution.name or "debian", name.lower()
    if component.ecosystem == "apk":
        return distribution.name or "alpine", name.lower()
    scope, _, rest = name.rpartition("/")
    return scope, rest


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
