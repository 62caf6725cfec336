"""Rules and findings, as values. docs/reference/check.md explains each rule."""

from typing import Literal

import msgspec

from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform

Severity = Literal["error", "warning", "note"]
_ORDER = {"error": 0, "warning": 1, "note": 2}


class Rule(msgspec.Struct, frozen=True):
    """A rule: its id, and what it requires of an image, in one sentence."""

    id: str
    summary: str


RULES = {
    rule.id: rule
    for rule in (
        Rule("blob-missing", "Everything that an image names exists"),
        Rule("size-mismatch", "Everything that an image names has the size given for it"),
        Rule("damaged", "Manifests, configs and layers can be read and match their digests"),
        Rule("platform-mismatch", "An index entry and its image's config have the same platform"),
        Rule("platform-twice", "An index has only one image for each platform"),
        Rule("platform-unknown", "An image has a platform"),
        Rule("variant-missing", "A platform that needs a variant has one"),
        Rule("variant-impossible", "A variant is one that the architecture has"),
        Rule("variant-order", "The baseline of an architecture comes before its variants"),
        Rule("attestation-subject", "An attestation or signature is about the image that it is listed for"),
        Rule(
            "attestation-type", "Attestations, their statements and predicates have the types that are given for them"
        ),
        Rule("attestation-platform", "An attestation is for no platform, and speaks of the image's platform"),
        Rule("attestation-dangling", "An attestation in an index is about an image of that index"),
        Rule("attestation-material", "A provenance names materials by digest, and layers of the image"),
        Rule("foreign-binary", "Binaries are for the image's architecture"),
        Rule("foreign-system", "Binaries are for the image's operating system"),
        Rule("broken-binary", "The headers of a binary can be read"),
        Rule("float-abi", "Dynamic binaries agree on how floating-point numbers are passed"),
        Rule("command-missing", "The program of the entrypoint or command is in the image"),
        Rule("command-not-executable", "The program of the entrypoint or command is executable"),
        Rule("command-foreign", "The program of the entrypoint or command is for the image's platform"),
        Rule("command-crlf", "The first line of a script does not end with a carriage return"),
        Rule("interpreter-missing", "The interpreter of a script that runs is in the image"),
        Rule("loader-missing", "The loader of a dynamic binary is in the image"),
        Rule("library-missing", "The libraries that a binary needs are in the image"),
    )
}


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem, or a possible one. `message` does not contain the path, so that equal findings can be grouped.

    `platform` is empty for a finding about the index. `layer` is the digest of the blob that contains the file at
    `path`, and `step` the history entry of that layer.
    """

    rule: str
    severity: Severity
    message: str
    platform: str = ""
    path: str = ""
    layer: Digest = Digest("")
    step: str = ""


class CheckedImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image that was checked: its platform, the digest of its manifest, and its number of binaries and layers."""

    platform: Platform
    digest: Digest
    binaries: int
    layers: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a check. `findings` are sorted by platform, in the order of the index, and then by severity."""

    name: str
    digest: Digest
    images: tuple[CheckedImage, ...]
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """The number of findings of this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def is_good(self, *, strict: bool = False) -> bool:
        """Whether there is no error, and with `strict`, no warning either."""
        return not self.count("error") and not (strict and self.count("warning"))


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Equal findings about several paths in one layer. `first` represents them."""

    first: Finding
    paths: tuple[str, ...]


def weight(finding: Finding) -> tuple[int, str, str, str]:
    """The key that sorts findings of one platform."""
    return (_ORDER[finding.severity], finding.rule, finding.message, finding.path)


def grouped(findings: tuple[Finding, ...]) -> tuple[Group, ...]:
    """The findings in groups of equal ones, in order of the first of each group."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        key = (finding.platform, finding.severity, finding.rule, finding.message, finding.layer, finding.step)
        groups.setdefault(key, []).append(finding)
    return tuple(
        Group(first=group[0], paths=tuple(finding.path for finding in group if finding.path))
        for group in groups.values()
    )
