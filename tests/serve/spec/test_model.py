"""Repositories beside a model of them: whatever is pushed and deleted, in two repositories that share their content.

The model knows of each manifest whether it must be there, must not, or may: a registry may drop what only a deleted
index or a deleted subject had kept.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.serve.spec import content
from tests.serve.spec.asked import Asked
from tests.serve.spec.calls import Calls
from tests.serve.spec.content import Document
from tests.serve.spec.wire import Connection

pytestmark = pytest.mark.xdist_group("serve-spec")

A, B, C = (content.image(f"model {name}") for name in "abc")
FIRST, SECOND = content.index([A, B]), content.index([B, C])
NESTED = content.index([FIRST, C])
ABOUT_A = content.artifact("model about a", subject=A.descriptor())
ABOUT_FIRST = content.artifact("model about first", subject=FIRST.descriptor())
ABOUT_ABOUT = content.artifact("model about about", subject=ABOUT_A.descriptor())
DOCUMENTS = (A, B, C, FIRST, SECOND, NESTED, ABOUT_A, ABOUT_FIRST, ABOUT_ABOUT)
MEMBERS = {FIRST: (A, B), SECOND: (B, C), NESTED: (FIRST, C)}
SUBJECTS = {ABOUT_A: A, ABOUT_FIRST: FIRST, ABOUT_ABOUT: ABOUT_A}
TAGS = ("x", "y")
REPOSITORIES = ("one", "two")
_Thing = TypeVar("_Thing")


def below(document: Document) -> Iterator[Document]:
    """What an index lists, at any depth."""
    for member in MEMBERS.get(document, ()):
        yield member
        yield from below(member)


class Model:
    """One repository."""

    def __init__(self) -> None:
        self.tags: dict[str, Document] = {}
        self.there: set[Document] = set()
        self.maybe: set[Document] = set()

    def add(self, document: Document) -> None:
        found = {document, *below(document)}
        self.there |= found
        self.maybe -= found

    def remove(self, document: Document) -> None:
        self.tags = {tag: named for tag, named in self.tags.items() if named != document}
        self.there.discard(document)
        self.maybe.discard(document)
        kept = {one for named in self.tags.values() for one in (named, *below(named))}
        loose = [*below(document), *(one for one, subject in SUBJECTS.items() if subject not in self.there)]
        for one in loose:
            # What another index that stays lists stays with it.
            listed = any(one in set(below(other)) for other in self.there if other != document and other not in loose)
            if one in self.there and one not in kept and not listed:
                self.there.discard(one)
                self.maybe.add(one)


def _one_of(there: Sequence[_Thing], all_of_them: Sequence[_Thing], which: int) -> _Thing:
    """Mostly something that is there."""
    choice = there if there and which else all_of_them
    return choice[which % len(choice)]


class Repositories(RuleBasedStateMachine):
    """Pushes and deletes at random."""

    calls: Calls
    run = 0

    @initialize()
    def begin(self) -> None:
        type(self).run += 1
        self.models = {f"model/{type(self).run}/{name}": Model() for name in REPOSITORIES}
        for name in self.models:
            self.calls.repository = name
            for document in DOCUMENTS:
                self.calls.push_blobs(*document.blobs)

    def choose(self, at: int) -> Model:
        self.calls.repository = list(self.models)[at]
        return self.models[self.calls.repository]

    @rule(at=st.integers(0, 1), document=st.sampled_from(DOCUMENTS), tag=st.sampled_from(TAGS))
    def push_a_tag(self, at: int, document: Document, tag: str) -> None:
        model = self.choose(at)
        answer = self.calls.put_only(tag, document)
        if self.is_whole(document, answer.status, model):
            model.add(document)
            model.tags[tag] = document

    @rule(at=st.integers(0, 1), document=st.sampled_from(DOCUMENTS))
    def push_by_digest(self, at: int, document: Document) -> None:
        model = self.choose(at)
        answer = self.calls.put_only(document.digest, document)
        if self.is_whole(document, answer.status, model):
            model.add(document)

    def is_whole(self, document: Document, status: int, model: Model) -> bool:
        """Whether it was accepted: it must be if all that it lists is there, and may be if another one has that."""
        if set(MEMBERS.get(document, ())) <= model.there:
            assert status == 201
        else:
            assert status in (201, 400)
        return status == 201

    @rule(at=st.integers(0, 1), which=st.integers(0, 9))
    def delete_a_tag(self, at: int, which: int) -> None:
        model = self.choose(at)
        tag = _one_of(sorted(model.tags), TAGS, which)
        self.calls.ask("DELETE", self.calls.path("manifests", tag)).expect(202 if tag in model.tags else 404)
        model.tags.pop(tag, None)

    @rule(at=st.integers(0, 1), which=st.integers(0, 99))
    def delete_a_manifest(self, at: int, which: int) -> None:
        model = self.choose(at)
        document = _one_of([one for one in DOCUMENTS if one in model.there], DOCUMENTS, which)
        answer = self.calls.ask("DELETE", self.calls.path("manifests", document.digest)).expect(202, 404, 405)
        if answer.status == 202:
            assert document in model.there | model.maybe
            model.remove(document)
        elif answer.status == 404:
            assert document not in model.there
        else:  # An index that stays lists it.
            assert any(document in MEMBERS.get(other, ()) for other in model.there | model.maybe)

    @invariant()
    def the_repository_is_as_the_model_says(self) -> None:
        if self.calls.repository in getattr(self, "models", {}):
            self.compare(self.calls.repository)

    def teardown(self) -> None:
        # What was done in one repository is nothing to the other.
        for name in getattr(self, "models", {}):
            self.compare(name)

    def compare(self, name: str) -> None:
        self.calls.repository, model = name, self.models[name]
        present = {one for one in DOCUMENTS if self.calls.head_manifest(one.digest).expect(200, 404).status == 200}
        assert model.there <= present <= model.there | model.maybe
        # What lists something has it.
        assert all(member in present for one in present for member in MEMBERS.get(one, ()))
        for tag in TAGS:
            answer = self.calls.get_manifest(tag)
            if tag in model.tags:
                answer.expect(200, body=model.tags[tag].body)
            else:
                answer.expect(404)
        answer = self.calls.tags().expect(200, 404)
        assert (answer.fields().get("tags") or []) == sorted(model.tags)
        assert answer.status == 200 or not present
        for subject in set(SUBJECTS.values()):
            listed = self.calls.referrers(subject.digest).expect(200).listed("manifests")
            found: list[Any] = sorted(entry["digest"] for entry in listed)
            assert found == sorted(one.digest for one in present if SUBJECTS.get(one) == subject)


def test_two_repositories_are_what_was_pushed_and_not_deleted(served: Asked) -> None:
    connection = Connection(served.address())
    Repositories.calls = Calls(connection, "model")
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Repositories,
        settings=settings(
            max_examples=6,
            stateful_step_count=25,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    connection.close()
