"""Manifests of the repositories that `polyarch serve` offers.

A tag of a repository is a name in index.json like any other. A manifest that was pushed by its digest, or whose tag has
moved, is an entry without a name whose annotation `org.polyarch.serve.repository` lists the repositories that keep it.
Such an entry goes when an index of the repository has taken the manifest in. A manifest about another one is listed
under its subject as well, with the same annotation, because in a registry only the repository that it was pushed to
lists it.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from polyarch.oci.descriptor import REF_NAME, Descriptor
from polyarch.oci.digest import Digest
from polyarch.store import tags as names
from polyarch.store.tags import IMAGE_NAME, REPOSITORY, SUBJECT, Tags

Entry = dict[str, Any]


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest that a repository gets.

    `prefix` is the repository's name in the store (`localhost/team/app`), `tags` are its new tags. `below` are the
    manifests that the index `image` names. `subject` is what the manifest is about, and `entry` then its descriptor as
    a list of referrers has it. `is_reached`: something that the repository keeps names the manifest already. `check` is
    called with what each tag names so far, None for nothing, while no other process can change it; it raises to refuse.
    """

    repository: str
    prefix: str
    image: Descriptor
    tags: tuple[str, ...] = ()
    below: frozenset[Digest] = frozenset()
    subject: Digest | None = None
    entry: Descriptor | None = None
    is_reached: bool = False
    check: Callable[[Digest | None], None] | None = None


class Publications:
    """The value of `Store.published`. Each method writes index.json once."""

    def __init__(self, tags: Tags) -> None:
        self._tags = tags

    def add(self, given: Publication) -> None:
        """Give a manifest to a repository. Raises NotFoundError if it is not in the store."""
        self._tags.change(lambda entries: _published(entries, given), [given.image])

    def remove_tag(self, repository: str, name: str) -> None:
        """Remove `name`, a tag of the repository, which keeps the manifest."""

        def edit(entries: list[Entry]) -> list[Entry]:
            prefix = name.rpartition(":")[0]
            gone = [entry for entry in entries if names.name_of(entry) == name]
            result = [entry for entry in entries if names.name_of(entry) != name]
            for entry in gone:
                result = held(result, repository, entry, prefix)
            return result

        self._tags.change(edit)

    def remove(self, repository: str, prefix: str, digest: Digest) -> None:
        """Remove a manifest, all tags that name it (they begin with `prefix:`), and what says whom it is about."""

        def edit(entries: list[Entry]) -> list[Entry]:
            named = f"{prefix}:"
            kept = [
                entry for entry in entries if entry["digest"] != digest or not names.name_of(entry).startswith(named)
            ]
            return _released(kept, repository, [digest], listed=True)

        self._tags.change(edit)


def _published(entries: list[Entry], given: Publication) -> list[Entry]:
    result, repository, digest = list(entries), given.repository, given.image.digest
    wanted = [f"{given.prefix}:{tag}" for tag in given.tags]
    positions: dict[str, int] = {}
    # What was kept for itself, because its subject was not there yet, is kept by its subject now.
    about: set[Digest] = set()
    for at, other in enumerate(entries):
        if name := names.name_of(other):
            if name in wanted:
                positions[name] = at
        elif names.subject_of(other) == digest:
            about.add(other["digest"])
    lost: list[Entry] = []
    for name in wanted:
        entry = names.plain(given.image, {REF_NAME: name, IMAGE_NAME: name})
        if given.check is not None:
            given.check(Digest(result[positions[name]]["digest"]) if name in positions else None)
        if name in positions:
            before, result[positions[name]] = result[positions[name]], entry
            lost.append(before)
        else:
            result.append(entry)
    result = _released(result, repository, about | given.below | ({digest} if given.tags else set()))
    if given.subject is not None and given.entry is not None:
        result = _listed(result, repository, given.subject, given.entry)
    if not given.tags and not given.is_reached:
        result = held(result, repository, names.plain(given.image, {}))
    for entry in lost:
        if entry["digest"] != digest and entry["digest"] not in given.below:
            result = held(result, repository, entry, given.prefix)
    return result


def held(entries: list[Entry], repository: str, entry: Entry, prefix: str = "") -> list[Entry]:
    """The entries with one that keeps the manifest of `entry` for the repository, unless one of its tags does."""
    digest, start = entry["digest"], f"{prefix}:"
    for at, other in enumerate(entries):
        if other["digest"] != digest or names.subject_of(other):
            continue
        if name := names.name_of(other):
            if prefix and name.startswith(start):
                return entries
        elif keepers := names.repositories_of(other):
            return entries if repository in keepers else _replaced(entries, at, (*keepers, repository))
    kept = {key: value for key, value in entry.items() if key != "annotations"}
    return [*entries, _kept_by(kept, (repository,))]


def _released(entries: list[Entry], repository: str, digests: Iterable[Digest], *, listed: bool = False) -> list[Entry]:
    """The entries without those that keep one of these manifests for the repository and nothing else. With `listed`,
    those that list it under its subject go as well.
    """
    wanted, result = frozenset(digests), []
    for entry in entries:
        if entry["digest"] not in wanted:
            result.append(entry)
            continue
        keepers = names.repositories_of(entry)
        if repository not in keepers or names.name_of(entry) or (names.subject_of(entry) and not listed):
            result.append(entry)
        elif others := tuple(one for one in keepers if one != repository):
            result.append(_kept_by(entry, others))
    return result


def _listed(entries: list[Entry], repository: str, subject: Digest, entry: Descriptor) -> list[Entry]:
    for at, other in enumerate(entries):
        if other["digest"] == entry.digest and names.subject_of(other) == subject:
            keepers = names.repositories_of(other)
            # Without a repository it is about the image wherever that is.
            return entries if not keepers or repository in keepers else _replaced(entries, at, (*keepers, repository))
    return [*entries, names.plain(entry, {SUBJECT: subject, REPOSITORY: repository})]


def _replaced(entries: list[Entry], at: int, keepers: tuple[str, ...]) -> list[Entry]:
    return [*entries[:at], _kept_by(entries[at], keepers), *entries[at + 1 :]]


def _kept_by(entry: Entry, keepers: tuple[str, ...]) -> Entry:
    return entry | {"annotations": (entry.get("annotations") or {}) | {REPOSITORY: " ".join(keepers)}}
