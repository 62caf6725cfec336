"""Any legal name and tag can be used, and any other is refused, whatever it is made of."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serve.names import REPOSITORIES, TAGS
from tests.serve.spec import content
from tests.serve.spec.asked import Asked
from tests.serve.spec.calls import Calls
from tests.serve.spec.wire import Connection

pytestmark = pytest.mark.xdist_group("serve-spec")

# The expressions of "Pulling manifests".
_NAME = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
_ASKED = settings(
    max_examples=25,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# Characters that names consist of, and some that they must not.
_MIXED = st.text("ab0A._-/:@+~ %\\?#\x00\n\xe9\u4e2d", min_size=1, max_size=12)
IMAGE = content.image("a name of the grammar")


def _is(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, re.ASCII) is not None


@pytest.fixture(scope="module")
def calls(served: Asked) -> Iterator[Calls]:
    connection = Connection(served.address())
    calls = Calls(connection, "grammar")
    # Every repository has the blobs of the store.
    calls.push_blobs(*IMAGE.blobs)
    yield calls
    connection.close()


@_ASKED
@given(REPOSITORIES.map("/".join).filter(lambda name: len(name) < 200))
def test_a_legal_name_can_be_pushed_to_pulled_from_and_listed(calls: Calls, name: str) -> None:
    assert _is(_NAME, name)
    calls.repository = name
    calls.put_only("1", IMAGE).expect(201)
    calls.get_manifest("1").expect(200, body=IMAGE.body)
    assert calls.tags().expect(200).fields() == {"name": name, "tags": ["1"]}


@_ASKED
@given(TAGS)
def test_a_legal_tag_can_be_pushed_pulled_listed_and_deleted(calls: Calls, tag: str) -> None:
    calls.repository = "grammar/tags"
    calls.put_only(tag, IMAGE).expect(201)
    calls.get_manifest(tag).expect(200, body=IMAGE.body)
    assert tag in calls.tags().expect(200).listed("tags")
    calls.ask("DELETE", calls.path("manifests", tag)).expect(202)
    assert tag not in calls.tags().expect(200).listed("tags")


@_ASKED
@given(_MIXED.filter(lambda name: not _is(_NAME, name)))
def test_an_illegal_name_is_refused_for_every_use(calls: Calls, name: str) -> None:
    calls.repository = quote(name, safe="/")
    before = calls.ask("GET", "/v2/_catalog").expect(200).listed("repositories")
    for answer in (
        calls.get_manifest("1"),
        calls.tags(),
        calls.ask("POST", calls.path("blobs", "uploads", "")),
        calls.put_only("1", IMAGE),
        calls.ask("DELETE", calls.path("manifests", "1")),
    ):
        answer.expect(400, 404)
        if answer.status == 400:
            assert answer.codes() == ["NAME_INVALID"]
    assert calls.ask("GET", "/v2/_catalog").expect(200).listed("repositories") == before


@_ASKED
@given(_MIXED.filter(lambda tag: not _is(_TAG, tag)))
def test_an_illegal_tag_is_refused_for_every_use(calls: Calls, tag: str) -> None:
    calls.repository = "grammar/illegal-tags"
    calls.put_only("1", IMAGE).expect(201)
    reference = quote(tag, safe="")
    for answer in (
        calls.put_only(reference, IMAGE),
        calls.get_manifest(reference),
        calls.ask("DELETE", calls.path("manifests", reference)),
    ):
        answer.expect(400, 404)
    assert calls.tags().expect(200).listed("tags") == ["1"]
