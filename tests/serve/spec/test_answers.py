"""What holds for every answer, of all that the cases ask: its form, and that no request makes the server fail."""

import re
from collections.abc import Callable

import pytest

from tests.serve.spec.api import CODES, LONGEST_WARNINGS
from tests.serve.spec.asked import Asked
from tests.serve.spec.content import digest_of
from tests.serve.spec.table import CLAUSES
from tests.serve.spec.wire import Answer, Exchange, Request

pytestmark = pytest.mark.xdist_group("serve-spec")

# `NOT_FOUND` for an address that is none of the API's.
_CODES = CODES | {"NOT_FOUND"}


def no_server_error(exchange: Exchange) -> bool:
    return exchange.answer.status < 500


def length_is_that_of_the_body(exchange: Exchange) -> bool:
    request, answer = exchange
    if answer.status in (100, 204):  # They must not have it (RFC 9110, section 8.6).
        return answer.body == b"" and answer.header("Content-Length") is None
    if request.method == "HEAD" or answer.status == 304:
        return answer.body == b""
    return answer.header("Content-Length") == str(len(answer.body))


def digest_is_that_of_the_body(exchange: Exchange) -> bool:
    request, answer = exchange
    said = answer.header("Docker-Content-Digest")
    if said is None or request.method != "GET" or answer.status != 200:
        return True
    return said == digest_of(answer.body, said.partition(":")[0])


def error_has_a_code_of_the_table(exchange: Exchange) -> bool:
    request, answer = exchange
    is_range = request.method == "GET" and answer.status == 416  # Content-Range says all.
    if answer.status < 400 or request.method == "HEAD" or is_range or not request.path.startswith("/v2"):
        return True
    document = answer.json()
    entries = document.get("errors") if isinstance(document, dict) else None
    is_json = answer.header("Content-Type") == "application/json"
    return is_json and bool(entries) and all(entry["code"] in _CODES and entry["message"] for entry in entries)


def version_is_said(exchange: Exchange) -> bool:
    request, answer = exchange
    return (
        answer.status == 100
        or not request.path.startswith("/v2")
        or answer.header("Docker-Distribution-Api-Version") == "registry/2.0"
    )


def warnings_are_well_formed(exchange: Exchange) -> bool:
    values = exchange.answer.all("Warning")
    return sum(map(len, values)) <= LONGEST_WARNINGS and all(re.fullmatch(r'299 - "[^"]*"', value) for value in values)


def type_has_no_parameters(exchange: Exchange) -> bool:
    if not exchange.request.path.startswith("/v2"):
        return True
    return ";" not in (exchange.answer.header("Content-Type") or "")


def too_many_requests_may_be_tried_again(exchange: Exchange) -> bool:
    answer = exchange.answer
    return answer.status != 429 or (answer.header("Retry-After") or "").isdigit()


def method_is_allowed_where_405_says_so(exchange: Exchange) -> bool:
    request, answer = exchange
    return answer.status != 405 or request.method == "DELETE" or request.method not in (answer.header("Allow") or "GET")


RULES: tuple[Callable[[Exchange], bool], ...] = (
    no_server_error,
    length_is_that_of_the_body,
    digest_is_that_of_the_body,
    error_has_a_code_of_the_table,
    version_is_said,
    warnings_are_well_formed,
    type_has_no_parameters,
    too_many_requests_may_be_tried_again,
    method_is_allowed_where_405_says_so,
)


@pytest.mark.parametrize("rule", RULES)
def test_every_answer_keeps_the_rule(rule: Callable[[Exchange], bool], served: Asked) -> None:
    broken = {
        f"{clause.name}: {one.request.method} {one.request.path} {one.answer.status} {one.answer.headers}"
        for clause in CLAUSES
        for one in served.about(clause).exchanges
        if not rule(one)
    }
    assert broken == set()


GOOD = Answer(404, (("Content-Type", "application/json"),), b'{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}')


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        (no_server_error, Answer(500)),
        (length_is_that_of_the_body, Answer(200, (("Content-Length", "2"),), b"1")),
        (length_is_that_of_the_body, Answer(204, (("Content-Length", "0"),))),
        (digest_is_that_of_the_body, Answer(200, (("Docker-Content-Digest", digest_of(b"2")),), b"1")),
        (error_has_a_code_of_the_table, GOOD._replace(body=GOOD.body.replace(b"NAME_UNKNOWN", b"NO_NAME"))),
        (error_has_a_code_of_the_table, GOOD._replace(headers=())),
        (error_has_a_code_of_the_table, GOOD._replace(body=b"{}")),
        (version_is_said, Answer(200)),
        (warnings_are_well_formed, Answer(200, (("Warning", '299 host "text"'),))),
        (warnings_are_well_formed, Answer(200, (("Warning", f'299 - "{"x" * 5000}"'),))),
        (type_has_no_parameters, Answer(200, (("Content-Type", "text/plain; charset=utf-8"),))),
        (too_many_requests_may_be_tried_again, Answer(429)),
        (method_is_allowed_where_405_says_so, Answer(405, (("Allow", "GET, HEAD"),))),
    ],
)
def test_a_rule_notices_an_answer_that_breaks_it(rule: Callable[[Exchange], bool], bad: Answer) -> None:
    assert not rule(Exchange(Request("GET", "/v2/"), bad))
