"""References by distribution's grammar: how docker reads them, and errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import UsageError
from polyarch.oci import reference as references
from polyarch.oci.reference import Reference

SHA = "sha256:" + "0123456789abcdef" * 4

# text | normal form with tag | what docker prints
TABLE = f"""
ubuntu                          | docker.io/library/ubuntu:latest              | ubuntu:latest
ubuntu:24.04                    | docker.io/library/ubuntu:24.04               | ubuntu:24.04
library/ubuntu                  | docker.io/library/ubuntu:latest              | ubuntu:latest
docker.io/ubuntu                | docker.io/library/ubuntu:latest              | ubuntu:latest
index.docker.io/team/app        | docker.io/team/app:latest                    | team/app:latest
team/app                        | docker.io/team/app:latest                    | team/app:latest
localhost/app                   | localhost/app:latest                         | localhost/app:latest
localhost:5000/app              | localhost:5000/app:latest                    | localhost:5000/app:latest
127.0.0.1:5000/a/b/c:1          | 127.0.0.1:5000/a/b/c:1                       | 127.0.0.1:5000/a/b/c:1
[::1]:5000/app                  | [::1]:5000/app:latest                        | [::1]:5000/app:latest
ghcr.io/team/app:v1             | ghcr.io/team/app:v1                          | ghcr.io/team/app:v1
MYHOST/app                      | MYHOST/app:latest                            | MYHOST/app:latest
a__b/c-d--e.f                   | docker.io/a__b/c-d--e.f:latest               | a__b/c-d--e.f:latest
app@{SHA}                       | docker.io/library/app@{SHA}                  | app@{SHA}
app:1@{SHA}                     | docker.io/library/app:1@{SHA}                | app:1@{SHA}
x.y:5000/app:1@{SHA}            | x.y:5000/app:1@{SHA}                         | x.y:5000/app:1@{SHA}
"""
WRONG = f"""
Ubuntu                          | must be lower case
localhost:5000/App              | must be lower case
a//b                            | not a repository name
-app                            | not a repository name
app:                            | not a tag
app:-1                          | not a tag
app:{"t" * 129}                 | not a tag
app@sha256:123                  | not a digest
app@                            | not a digest
{SHA.removeprefix("sha256:")}   | an image id
host:port/app                   | not a host name
-host.x/app                     | not a host name
a..b/c                          | not a host name
{"a/" * 130}b                   | at most 255
"""


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


@pytest.mark.parametrize(("text", "normal", "familiar"), rows(TABLE))
def test_a_reference_has_one_normal_form(text: str, normal: str, familiar: str) -> None:
    reference = references.parse(text).tagged()
    assert str(reference) == normal
    assert reference.familiar() == familiar


@pytest.mark.parametrize(("text", "reason"), rows(WRONG))
def test_what_is_no_reference_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        references.parse(text)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        references.parse("")


component = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+){0,2}", fullmatch=True).filter(lambda text: len(text) < 40)
domains = st.sampled_from(["docker.io", "localhost", "localhost:5000", "[::1]:5000", "ghcr.io", "a-b.example:80", "UP"])
parsed = st.builds(
    Reference,
    domains,
    st.lists(component, min_size=1, max_size=3).map("/".join),
    st.just("") | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    st.sampled_from(["", SHA]),
)


@given(parsed)
def test_what_is_printed_reads_back_the_same(reference: Reference) -> None:
    once = references.parse(str(reference))
    assert references.parse(str(once)) == once
    assert references.parse(once.familiar()) == once


@given(st.text(max_size=30))
def test_any_text_gives_a_reference_or_a_usage_error(text: str) -> None:
    try:
        reference = references.parse(text)
    except UsageError:
        return
    assert references.parse(str(reference)) == reference
