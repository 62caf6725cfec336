"""The table of differences between Polyarch and syft 1.18, each with its reason. A row that is not used is wrong."""

import re
from collections.abc import Iterable
from typing import NamedTuple

# Name, version and purl of a package.
Found = tuple[str, str, str]


class Difference(NamedTuple):
    """A pattern of what syft says, as `NAME VERSION PURL`, and what is said here instead; empty if it is not found."""

    pattern: str
    instead: str
    reason: str


class Beyond(NamedTuple):
    """A pattern of what only Polyarch finds."""

    pattern: str
    reason: str


DIFFERENCES = (
    Difference(
        r"^(\S+ \S+ pkg:golang/[^@#]+)@([^#]+)#(\S+)$",
        r"\1/\3@\2",
        "the purl of a module has its whole path as its name (purl-spec, golang); syft says so since 1.19",
    ),
    Difference(
        r"^(\S+) \(devel\) (pkg:golang/\S+)@\(devel\)$",
        r"\1  \2",
        "a main module that was built in its own repository has no version; later versions of syft leave it out, too",
    ),
    Difference(
        r"^(github\.com/\S+(?:/cmd/\S+|/runc)) v\d\S+ (pkg:golang/\S+)@\S+$",
        r"\1  \2",
        "the build information has no version; syft takes the first text in the program that looks like one",
    ),
    Difference(
        r"^(\S+) UNKNOWN (pkg:maven/\S+)$",
        r"\1  \2",
        "a version that is not known is left out, as syft does in the purl",
    ),
    Difference(
        r"^(\S+ \S+) pkg:rpm/([^/@ ]+@[^? ]+)\?arch=x86_64(&upstream=\S+)$",
        r"\1 pkg:rpm/mariner/\2?arch=x86_64&distro=mariner-2.0\3",
        "the packages in the list of Azure Linux are of its distribution, as those in a database are",
    ),
    Difference(
        r"^([^ ;]+);\S+ (\S+) pkg:maven/([^/ ]+)/\S+@(\S+)$",
        r"\1 \2 pkg:maven/\3/\1@\4",
        "the directives after a symbolic name of OSGi are not part of the name",
    ),
    Difference(
        r"^\S+ \S+ pkg:generic/\S+$",
        "",
        "no package manager installed it: syft looks for texts that it knows in the programs of C, and guesses",
    ),
)

BEYOND = (Beyond(r" pkg:npm/", "from a package-lock.json without node_modules; syft reads none in an image"),)


class Comparison(NamedTuple):
    """What no row explains, and the rows that were needed."""

    missing: tuple[Found, ...]
    additional: tuple[Found, ...]
    used: frozenset[str]


def compare(ours: Iterable[Found], syft: Iterable[Found]) -> Comparison:
    """Compare the packages of one image."""
    mine, theirs = set(ours), set(syft)
    used: set[str] = set()
    missing: list[Found] = []
    explained: set[Found] = set()
    for package in sorted(theirs - mine):
        said, rows = _translated(" ".join(package))
        name, version, purl = said.split(" ") if said else ("", "", "")
        if not said or (name, version, purl) in mine:
            used |= rows
            explained.add((name, version, purl))
        else:
            missing.append(package)
    additional: list[Found] = []
    for package in sorted(mine - theirs - explained):
        row = next((row for row in BEYOND if re.search(row.pattern, " ".join(package))), None)
        if row is None:
            additional.append(package)
        else:
            used.add(row.reason)
    return Comparison(tuple(missing), tuple(additional), frozenset(used))


def _translated(said: str) -> tuple[str, set[str]]:
    used = set()
    for row in DIFFERENCES:
        if re.search(row.pattern, said):
            used.add(row.reason)
            said = re.sub(row.pattern, row.instead, said)
    return said, used
