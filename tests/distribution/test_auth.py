"""The grammar of challenges and scopes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarch.distribution.auth import Challenge, Scope, parse_challenges, parse_scope, repository_scope

CHALLENGES = [
    (
        'Bearer realm="https://auth/token",service="reg"',
        [("bearer", {"realm": "https://auth/token", "service": "reg"})],
    ),
    (
        'Bearer realm="r",scope="repository:a/b:pull,push"',
        [("bearer", {"realm": "r", "scope": "repository:a/b:pull,push"})],
    ),
    ("basic realm=plain", [("basic", {"realm": "plain"})]),
    ('Basic realm="with \\"quotes\\""', [("basic", {"realm": 'with "quotes"'})]),
    ('Negotiate, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
    ('Bearer realm = "spaced" , service = "s"', [("bearer", {"realm": "spaced", "service": "s"})]),
    (
        'Basic realm="x", Bearer realm="y",service="z"',
        [("basic", {"realm": "x"}), ("bearer", {"realm": "y", "service": "z"})],
    ),
    ("", []),
]


@pytest.mark.parametrize(("value", "expected"), CHALLENGES)
def test_challenges_are_read_as_the_grammar_says(value: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_challenges([value]) == tuple(Challenge(scheme, parameters) for scheme, parameters in expected)


@given(st.text(max_size=40))
@settings(max_examples=50)
def test_no_challenge_can_confuse_the_reader(text: str) -> None:
    for challenge in parse_challenges([text]):
        assert challenge.scheme == challenge.scheme.lower()


_SCOPES = st.builds(
    lambda pairs: Scope(frozenset((f"repository:{path}", action) for path, action in pairs)),
    st.lists(st.tuples(st.sampled_from(["a", "a/b", "host:5000/c"]), st.sampled_from(["pull", "push", "delete"]))),
)


@given(_SCOPES, _SCOPES)
def test_scopes_are_sets(one: Scope, other: Scope) -> None:
    both = one | other
    assert both.contains(one)
    assert both.contains(other)
    assert one.contains(both) == one.contains(other)
    assert parse_scope(" ".join(both.texts())) == both


def test_a_scope_has_one_text_for_each_resource() -> None:
    scope = repository_scope("b", "push", "pull") | repository_scope("a", "pull")
    assert scope.texts() == ("repository:a:pull", "repository:b:pull,push")
