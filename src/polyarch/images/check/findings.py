"""Rules and findings, as values. docs/reference/check.md says of each rule why it is one."""

from typing import Literal

import msgspec

from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform

Severity = Literal["error", "warning", "note"]
_ORDER = {"error": 0, "warning": 1, "note": 2}


class Rule(msgspec.Struct, frozen=True):
    """A rule: its id, and what it asks of an image in a sentence."""

    id: str
    summary: str


RULES = {
    rule.id: rule
    for rule in (
        Rule("blob-missing", "All that an image names is there"),
        Rule("size-mismatch", "What an image names has the size that it is said to have"),
        Rule("damaged", "Manifests, configs and layers can be read, and are what their digests say"),
        Rule("platform-mismatch", "An index entry and its image's config speak of one platform"),
        Rule("platform-twice", "An index has one image for a platform"),
        Rule("platform-unknown", "An image says which platform it is for"),
        Rule("variant-missing", "A platform that needs a variant has one"),
        Rule("variant-impossible", "A variant is one that the architecture has"),
        Rule("variant-order", "The baseline of an architecture stands before its variants"),
        Rule("foreign-binary", "Binaries are for the image's architecture"),
        Rule("foreign-system", "Binaries are for the image's operating system"),
        Rule("broken-binary", "The headers of a binary can be read"),
        Rule("float-abi", "Dynamic binaries agree on how floating-point numbers are passed"),
        Rule("command-missing", "What the entrypoint or the command names is in the image"),
        Rule("command-not-executable", "What the entrypoint or the command names may be executed"),
        Rule("command-foreign", "What the entrypoint or the command runs is for the image's platform"),
        Rule("command-crlf", "The first line of a script ends as Linux wants it"),
        Rule("interpreter-missing", "The interpreter of a script that is run is in the image"),
        Rule("loader-missing", "The loader of a dynamic binary is in the image"),
        Rule("library-missing", "The libraries that a binary needs are found"),
    )
}


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that is wrong, or looks so. `message` says it without the path, so that equal ones can be grouped.

    `platform` is empty where it is about the whole index. `layer` is the digest of the blob that brought the file at
    `path`, and `step` the line of history that made it.
    """

    rule: str
    severity: Severity
    message: str
    platform: str = ""
    path: str = ""
    layer: Digest = Digest("")
    step: str = ""


class CheckedImage(msgspec.Struct, frozen=True, kw_only=True):
    """One image that was looked at: of which platform, its manifest's digest, and how many binaries it has."""

    platform: Platform
    digest: Digest
    binaries: int
    layers: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found. `findings` are sorted: by platform in the index's order, the worst first."""

    name: str
    digest: Digest
    images: tuple[CheckedImage, ...]
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many findings are of this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def is_good(self, *, strict: bool = False) -> bool:
        """Whether nothing is wrong; `strict` counts warnings too."""
        return not self.count("error") and not (strict and self.count("warning"))


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Findings that say the same of several paths that one layer brought. `first` stands for them."""

    first: Finding
    paths: tuple[str, ...]


def weight(finding: Finding) -> tuple[int, str, str, str]:
    """The key that sorts findings of one platform."""
    return (_ORDER[finding.severity], finding.rule, finding.message, finding.path)


def grouped(findings: tuple[Finding, ...]) -> tuple[Group, ...]:
    """The findings with equal ones together, in the order of their first."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        key = (finding.platform, finding.severity, finding.rule, finding.message, finding.layer, finding.step)
        groups.setdefault(key, []).append(finding)
    return tuple(
        Group(first=found[0], paths=tuple(finding.path for finding in found if finding.path))
        for found in groups.values()
    )
