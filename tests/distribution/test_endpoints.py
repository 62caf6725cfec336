"""The endpoint table and the headers, against the specification's own words."""

import pytest

from polyarch.distribution import endpoints, headers
from polyarch.distribution.endpoints import Operation

DIGEST = "sha256:" + "0" * 64

# distribution-spec v1.1, "Endpoints": number, method, path, success.
TABLE = f"""
end-1   | GET    | /v2/                                                    | 200
end-2   | GET    | /v2/a/b/blobs/{DIGEST}                                  | 200
end-2   | HEAD   | /v2/a/b/blobs/{DIGEST}                                  | 200
end-3   | GET    | /v2/a/b/manifests/1.0                                   | 200
end-3   | HEAD   | /v2/a/b/manifests/1.0                                   | 200
end-4a  | POST   | /v2/a/b/blobs/uploads/                                  | 202
end-7   | PUT    | /v2/a/b/manifests/1.0                                   | 201
end-8b  | GET    | /v2/a/b/tags/list?n=10                                  | 200
end-9   | DELETE | /v2/a/b/manifests/1.0                                   | 202
end-11  | POST   | /v2/a/b/blobs/uploads/?mount={DIGEST}&from=other/c      | 201
"""
OPERATIONS = [value for value in vars(endpoints).values() if isinstance(value, Operation)]


@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_an_operation_is_what_the_specification_says(line: str) -> None:
    number, method, target, status = (part.strip() for part in line.split("|"))
    operation = next(each for each in OPERATIONS if (each.number, each.method) == (number, method))
    values = {"digest": DIGEST, "reference": "1.0", "count": "10", "origin": "other/c"}
    assert operation.target("a/b", **values) == target
    assert operation.ok[0] == int(status)


def test_only_uploads_are_at_urls_that_the_registry_gives() -> None:
    given = {operation.number: operation.ok[0] for operation in OPERATIONS if not operation.template}
    assert given == {"end-5": 202, "end-6": 201, "": 204}
    assert endpoints.with_digest("http://x/1", DIGEST) == f"http://x/1?digest={DIGEST}"
    assert endpoints.with_digest("http://x/1?state=a", DIGEST) == f"http://x/1?state=a&digest={DIGEST}"


def test_what_a_path_may_not_contain_is_encoded() -> None:
    assert endpoints.PULL_MANIFEST.target("a", reference="x?y#z w") == "/v2/a/manifests/x%3Fy%23z%20w"


def test_ranges() -> None:
    assert headers.byte_range(5) == "bytes=5-"
    assert headers.byte_range(5, 10) == "bytes=5-9"
    assert headers.range_start("bytes 5-9/100") == 5
    assert headers.range_start("bytes 5-9/*") == 5
    assert [headers.range_start(text) for text in ("", "bytes */100", "lines 5-9/10", "bytes x-9/10")] == [None] * 4


LINKS = """
</v2/a/tags/list?n=2&last=b>; rel="next"          | /v2/a/tags/list?n=2&last=b
<https://x/y>; rel=next                           | https://x/y
</first>; rel="first", </second>; rel="next"      | /second
</other>; rel="prev"                              |
                                                  |
"""


@pytest.mark.parametrize("line", LINKS.strip("\n").splitlines())
def test_the_next_page_is_found_among_links(line: str) -> None:
    link, _, expected = (part.strip() for part in line.partition("|"))
    assert headers.next_page([link]) == (expected or None)
