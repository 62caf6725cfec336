"""What a Java archive is called: from the name of its file and from its manifest (JAR File Specification)."""

import re
from typing import NamedTuple

ENDINGS = tuple(f".{name}" for name in "jar war ear par sar nar jpi hpi kar far lpkg rar zap".split())
# Compiled where they are used: most images have no archives of Java.
_VERSION = r"(?is)\d.*|build\d+.*|rc?\d+"
_LATE_VERSION = r"(?is)[._-]((?:\d.*|build\d+.*|rc?\d+))$"
_WORD = r"(?a)[A-Za-z][\w.]*"
_IDENTIFIER = r"[^\W\d]\w*"

# In these fields authors write the group, or their organization, which is only used if it looks like a group.
_GROUPS = (
    "Group-Id",
    "Bundle-SymbolicName",
    "Extension-Name",
    "Specification-Vendor",
    "Implementation-Vendor",
    "Implementation-Vendor-Id",
    "Implementation-Title",
    "Bundle-Activator",
)
_FURTHER_GROUPS = ("Automatic-Module-Name", "Main-Class", "Package")
_DOMAINS = ("com", "org", "net", "io", "be")
_NAMES = ("Name", "Bundle-Name", "Short-Name", "Extension-Name", "Implementation-Title")
_VERSIONS = ("Implementation-Version", "Specification-Version", "Plugin-Version", "Bundle-Version")
_LICENSES = ("Bundle-License", "Plugin-License-Name")


def is_archive(path: str) -> bool:
    """Whether a file has the name of a Java archive."""
    return path.endswith(ENDINGS)


class JarManifest(NamedTuple):
    """A manifest: its main section, and the sections about files."""

    sections: tuple[dict[str, str], ...]

    @property
    def main(self) -> dict[str, str]:
        return self.sections[0] if self.sections else {}

    def first(self, field: str) -> str:
        """The value of a field in the main section or, if it is not there, in the first section that has it."""
        return next((section[field] for section in self.sections if section.get(field)), "")


def parse_manifest(text: str) -> JarManifest:
    """The sections of a manifest. A line that begins with a space continues the one above."""
    sections: list[dict[str, str]] = []
    last = ""
    for line in text.splitlines():
        if not line:
            last = ""
        elif line[0] == " ":
            if last:
                sections[-1][last] += line.strip()
        else:
            name, colon, value = line.partition(":")
            name = name.strip()
            if colon and name:
                if not last:
                    sections.append({})
                sections[-1].setdefault(name, "")
                sections[-1][name] = value.strip()
                last = name
    return JarManifest(tuple(sections))


def parse_properties(text: str) -> dict[str, str]:
    """The values of a file of properties, as Maven writes it."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, mark, value = re.sub(r"[=:]", "\0", line, count=1).partition("\0")
        if mark and not line.lstrip().startswith(("#", "!")):
            values[name.strip()] = value.strip()
    return values


def of_file(name: str) -> tuple[str, str]:
    """Name and version from that of the file: `spring-core-5.3.jar` gives `spring-core` and `5.3`."""
    stem = name.rpartition(".")[0]
    words = stem.split("-")
    count = next(
        (at for at, word in enumerate(words) if at and re.fullmatch(_VERSION, "-".join(words[at:]))), len(words)
    )
    if not all(re.fullmatch(_WORD, word) for word in words[:count]):
        return "", ""
    found = "-".join(words[:count])
    version = "-".join(words[count:])
    if not version and (late := re.search(_LATE_VERSION, found)) is not None:
        return found[: late.start()], late[1]
    return found, version


def artifact(manifest: JarManifest, stem: str) -> str:
    """The name of an archive without a pom.properties that matches."""
    symbolic = manifest.main.get("Bundle-SymbolicName", "")
    bundled = "Apache Maven Bundle Plugin" in manifest.main.get("Created-By", "")
    # The plugin joins group and artifact to this name, unless it is only the group.
    if bundled and symbolic and manifest.main.get("Implementation-Vendor-Id") != symbolic:
        # Directives may follow (OSGi Core, "Bundle-SymbolicName").
        return symbolic.partition(";")[0].strip().rpartition(".")[2]
    if "." in stem and not stem.startswith("org.eclipse."):
        words = stem.split(".")
        if all(re.fullmatch(_IDENTIFIER, word) for word in words):
            return words[-1]
    return stem or next((manifest.main[name] for name in _NAMES if manifest.main.get(name)), "")


def version(manifest: JarManifest, of_name: str) -> str:
    """The version: that of the file's name, or else of the manifest."""
    return of_name or next(filter(None, map(manifest.first, _VERSIONS)), "")


def group(manifest: JarManifest) -> str:
    """The group, as far as the manifest tells."""
    for names in (_GROUPS, _FURTHER_GROUPS):
        values = [section[name] for name in names for section in manifest.sections if name in section]
        found = sorted(re.split("[;#]", value)[0].strip() for value in values if value.startswith(_DOMAINS))
        if found:
            return found[0]
    return ""


def licenses(manifest: JarManifest) -> tuple[str, ...]:
    """What the manifest says about licenses, as it says it."""
    return tuple(filter(None, map(manifest.first, _LICENSES)))
