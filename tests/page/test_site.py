"""Pages as a reader gets them: what is on them, errors that help, and that no text of an image leaves its place."""

import re
import time
from html.parser import HTMLParser

import pytest

from polyarch.page import address as addresses
from polyarch.page.answer import POLICY, PageAnswer
from polyarch.page.site import Site
from polyarch.store import Store
from tests.images import elves
from tests.images.layered import entry, image, index, program
from tests.page import samples
from tests.page.conftest import Get
from tests.page.serving import NamedImages

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Outline(HTMLParser):
    """The elements of a page, with their attributes and texts; each must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def links(self) -> list[str]:
        return [values["href"] or "" for tag, values in self.elements if tag == "a"]


def outline(answer: PageAnswer) -> Outline:
    return Outline(answer.body.decode())


def test_the_first_page_lists_repositories_with_their_newest_tag_and_its_platforms(store: Store, get: Get) -> None:
    samples.repository(store)
    samples.repository(store, "localhost/other")
    shown = outline(get("/"))
    assert "2 repositories" in shown.text
    assert {"/other", "/team/app", "/team/app:latest"} <= set(shown.links())
    assert shown.text.count("linux/arm/v7") == 2
    assert "4 hours ago" not in shown.text
    assert "5 hours ago" in shown.text


def test_an_empty_store_says_how_to_begin(get: Get) -> None:
    assert "polyarch push 127.0.0.1:5000/team/app:1" in outline(get("/")).text


def test_a_search_finds_repositories_tags_and_digests(store: Store, get: Get) -> None:
    samples.repository(store)
    digest = store.resolve("localhost/team/app:0.9").digest
    assert "/team/app" in outline(get("/?q=TEAM+app")).links()
    assert "/team/app:0.9" in outline(get("/?q=app+0.9")).links()
    for start in (digest[:20], digest[7:15], digest):
        assert outline(get(f"/?q={start}")).links().count("/team/app:0.9") == 1
    one = store.peek(store.resolve("localhost/team/app:0.9")).manifests[0].digest  # type: ignore[union-attr]
    assert outline(get(f"/?q={one}")).links().count(f"/team/app@{one}") == 1
    assert "Nothing matches “zebra”" in outline(get("/?q=zebra")).text
    assert "没有与“zebra”匹配的内容" in outline(get("/?q=zebra", "zh")).text


def test_tags_are_in_the_order_of_their_versions_with_platforms_and_sizes(store: Store, get: Get) -> None:
    samples.repository(store)
    shown = outline(get("/team/app"))
    assert [link for link in shown.links() if link.startswith("/team/app:")] == [
        "/team/app:latest",
        "/team/app:1.0",
        "/team/app:0.9",
    ]
    assert re.search(r"linux/arm64 1\.\d+ kB", shown.text)


def test_a_repository_of_ten_thousand_tags_is_shown_and_searched_at_once(store: Store, get: Get) -> None:
    samples.many_tags(store, 10_000)
    get("/team/many")
    begun = time.process_time()
    first = get("/team/many")
    last, found, image = get("/team/many?page=999"), get("/?q=many+1.50.7"), get("/team/many:1.99.98")
    assert time.process_time() - begun < 2
    assert len(first.body) < 60_000
    assert "10,000 tags" in outline(first).text
    assert outline(first).links().count("/team/many:1.99.98") == 1
    assert "/team/many:1.0.0" in outline(last).links()
    assert "Page 200 of 200" in outline(last).text
    assert outline(found).links().count("/team/many:1.50.7") == 1
    assert image.status == 200


def test_an_image_shows_its_platforms_first_and_all_that_is_known_of_it(store: Store, get: Get) -> None:
    samples.repository(store)
    shown = outline(get("/team/app:1.0"))
    body = get("/team/app:1.0").body.decode()
    assert body.index('id="platforms"') < body.index('id="pull"') < body.index('id="attached"')
    assert {f"/team/app:1.0/{platform}" for platform in samples.MACHINES} <= set(shown.links())
    assert "docker pull 127.0.0.1:5000/team/app:1.0" in shown.text
    digest = store.resolve("localhost/team/app:1.0").digest
    assert f"docker pull 127.0.0.1:5000/team/app@{digest}" in shown.text
    assert "/team/app:latest" in shown.links(), "the other tag of the same image"
    assert "contents not checked" in shown.text


def test_an_image_without_an_index_shows_its_only_platform_at_once(store: Store, get: Get) -> None:
    store.tag("localhost/team/single:1", samples.app(store, "linux/arm64"))
    shown = outline(get("/team/single:1"))
    assert "Image for one platform, without an index" in shown.text
    for words in ("COPY app version /", 'Entrypoint ["/app"]', "docker pull 127.0.0.1:5000/team/single:1"):
        assert words in shown.text
    assert get("/team/single:1/linux/arm64").status == 200
    assert get("/team/single:1/linux/amd64").status == 404
    assert "The image has one platform only" in outline(get("/team/single:1/-/drift")).text


def test_a_platform_shows_which_line_made_which_layer_and_its_config(store: Store, get: Get) -> None:
    samples.repository(store)
    shown = outline(get("/team/app:1.0/linux/arm64"))
    assert re.search(
        r"Layer 1 1 ADD file:base in / .* no layer ENV MODE=fast .* Layer 2 2 COPY app version /", shown.text
    )
    assert "buildkit" not in shown.text
    assert 'Entrypoint ["/app"]' in shown.text
    assert "User 1000" in shown.text
    assert "MODE fast" in shown.text
    assert "docker pull --platform linux/arm64 127.0.0.1:5000/team/app:1.0" in shown.text


def test_another_spelling_of_a_platform_leads_to_its_page(store: Store, get: Get) -> None:
    samples.repository(store)
    for path in ("/team/app:1.0/linux/arm64/v8", "/team/app:1.0/linux/aarch64", "/team/app:1.0/linux/arm64/"):
        answer = get(path)
        assert (answer.status, answer.headers["Location"]) == (302, "/team/app:1.0/linux/arm64")


def test_what_is_wrong_with_a_platform_is_said_at_once_and_after_a_check_of_contents(store: Store, get: Get) -> None:
    samples.faulty(store)
    before = outline(get("/team/faulty:1"))
    assert "1 platform is not here" in before.text
    assert "Not here" in before.text
    assert "wrong with linux/arm64" not in before.text
    findings = outline(get("/team/faulty:1/-/check"))
    assert "foreign-binary" in findings.text
    assert "COPY app version /" in findings.text, "the line that made the layer"
    note = "检查信息为英文"
    for path in ("/team/faulty:1/-/check", "/team/faulty:1/linux/arm64"):
        assert outline(get(path, "zh")).text.count(note) == 1, "in Chinese, why the messages are not"
    assert note not in outline(get("/team/app:1.0/linux/arm64", "zh")).text
    after = outline(get("/team/faulty:1"))
    assert "Something is wrong with linux/arm64" in after.text
    assert "foreign-binary" in outline(get("/team/faulty:1/linux/arm64")).text
    assert "foreign-binary" not in outline(get("/team/faulty:1/linux/amd64")).text


def test_a_script_gets_the_row_of_platforms_after_the_check(store: Store, get: Get) -> None:
    samples.repository(store)
    whole, part = get("/team/app:1.0").body.decode(), get("/team/app:1.0?part=platforms").body.decode()
    assert 'data-fill="/team/app:1.0?part=platforms"' in whole
    assert "<html" not in part
    assert "data-fill" not in part
    assert "Nothing is wrong with any of the 3 platforms" in outline(get("/team/app:1.0")).text


def test_sizes_of_unpacked_layers_are_known_once_they_were_read(store: Store, get: Get) -> None:
    samples.repository(store)
    assert "unpacked" not in outline(get("/team/app:1.0")).text
    get("/team/app:1.0/-/check")
    assert "unpacked" in outline(get("/team/app:1.0")).text


def test_platforms_that_differ_are_compared_all_or_two(store: Store, get: Get) -> None:
    members = [
        entry(samples.app(store, "linux/amd64", User="root"), "linux/amd64"),
        entry(samples.app(store, "linux/arm64", User="root"), "linux/arm64"),
        entry(samples.app(store, "linux/arm/v7", User="nobody"), "linux/arm/v7"),
    ]
    index(store, "localhost/a:1", *members)
    assert re.search(r"User root root nobody", outline(get("/a:1/-/drift")).text)
    pair = outline(get("/a:1/-/drift?a=linux/amd64&b=linux/arm64")).text
    assert "Nothing differs between linux/amd64, linux/arm64" in pair


def test_two_tags_are_compared_on_one_platform(store: Store, get: Get) -> None:
    samples.repository(store)
    shown = outline(get("/team/app:0.9/-/diff/1.0"))
    assert re.search("MODE slow fast", shown.text)
    assert re.search(r"/version changed", shown.text)
    assert "On linux/amd64" in shown.text
    assert "On linux/arm64" in outline(get("/team/app:0.9/-/diff/1.0?platform=linux/arm64")).text
    assert get("/team/app:0.9/-/diff?with=team/app:1.0").headers["Location"] == "/team/app:0.9/-/diff/team/app:1.0"
    assert "/team/app:0.9/-/diff/1.0" in outline(get("/team/app:0.9/-/diff")).links()
    assert get("/team/app:0.9/-/diff/7").status == 404
    assert get("/team/app:0.9/-/diff?with=%3Cscript%3E").status == 200


def test_packages_come_from_the_attached_sbom_or_from_the_layers_and_can_be_searched(store: Store, get: Get) -> None:
    samples.attested(store)
    claimed = outline(get("/team/attested:1/-/packages")).text
    assert "From the SBOM that is attached" in claimed
    assert re.search(r"flask ≠ differs pypi 3\.0 3\.1 MIT", claimed)
    found = outline(get("/team/attested:1/-/packages?q=libc6")).text
    assert "libc6" in found
    assert "flask" not in found
    assert "libc6" not in outline(get("/team/attested:1/-/packages?differ=1")).text
    read = outline(get("/team/attested:1/-/packages?from=image")).text
    assert "Found by reading the image" in read
    assert "zlib1g deb 1.2.13" in read


def test_attestations_and_signatures_are_listed_with_what_they_say(store: Store, get: Get) -> None:
    samples.attested(store)
    shown = outline(get("/team/attested:1"))
    assert "https://example.org/builder" in shown.text
    assert "secret" not in shown.text, "a password in a URL is not shown"
    assert shown.text.count("Signature linux/amd64") == 1
    assert shown.text.count("SBOM linux/") == 2
    assert "org.opencontainers.image.title Attested" in shown.text
    assert "Signature" in outline(get("/team/attested:1/linux/amd64")).text
    assert "application/vnd.dev.sigstore" not in outline(get("/team/attested:1/linux/arm64")).text


def test_something_that_is_not_an_image_has_a_page_too(store: Store, get: Get) -> None:
    samples.artifact(store)
    shown = outline(get("/team/chart:1"))
    assert "application/vnd.cncf.helm.config.v1+json" in shown.text
    assert "oras pull --plain-http 127.0.0.1:5000/team/chart:1" in shown.text
    assert get("/team/chart:1/-/check").status == 400
    assert "Artifact" in outline(get("/team/chart")).text


HOSTILE_PAGES = [
    "/team/hostile:1",
    "/team/hostile:1/linux/amd64",
    "/team/hostile:1/-/check",
    "/team/hostile:1/-/packages",
    "/team/hostile:1/-/packages?from=image",
    "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE",
    "/team/hostile?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    '/team/"><script>alert(1)</script>',
    "/team/hostile:1/-/diff",
]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("path", HOSTILE_PAGES)
def test_nothing_that_an_image_or_request_says_gets_out_of_its_place(
    store: Store, get: Get, path: str, language: str
) -> None:
    samples.hostile(store)
    answer = get(path, language)
    shown = outline(answer)
    scripts = [values for tag, values in shown.elements if tag == "script"]
    assert [values["src"].partition("?")[0] for values in scripts] == ["/-/scheme.js", "/-/page.js"]  # type: ignore[union-attr]
    assert not [tag for tag, _ in shown.elements if tag in ("img", "iframe", "object", "style", "base")]
    assert not [name for _, values in shown.elements for name in values if name.startswith("on") or name == "style"]
    assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in shown.links())
    text = answer.body.decode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\u2066]", text)


def test_every_attack_in_the_sample_is_on_its_page_where_it_can_be_read(store: Store, get: Get) -> None:
    samples.hostile(store)
    text = outline(get("/team/hostile:1/linux/amd64")).text
    assert text.count("<script>alert(1)</script>") > 12
    assert "⟨U+202E⟩gnp.exe⟨U+2066⟩" in text
    assert "⟨U+001B⟩[31m⟨U+0007⟩" in text
    assert samples.HOSTILE[:20] in outline(get("/team/hostile:1/-/packages")).text


def test_a_very_long_text_is_cut_and_says_how_long_it_is(store: Store, get: Get) -> None:
    made = image(store, "linux/amd64", [program("app", elves.elf(kind=2))], Labels={"long": "x" * 1_000_000})
    index(store, "localhost/long:1", entry(made, "linux/amd64"))
    answer = get("/long:1/linux/amd64")
    assert "… (1,000,000 characters in all)" in outline(answer).text
    assert len(answer.body) < 30_000


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nosuch", 404, "There is no repository nosuch."),
        ("/team/ap", 404, "team/app"),
        ("/team/app:9", 404, "team/app has no tag or digest 9."),
        ("/team/app:1.0/linux/s390x", 404, "team/app:1.0 has no image for linux/s390x."),
        ("/team/app@sha256:" + "0" * 64, 404, "has no tag or digest sha256:"),
        ("/Team", 404, "Addresses look like"),
        ("/-/nosuch.css", 404, "Addresses look like"),
        ("/../../etc/passwd", 404, "Addresses look like"),
    ],
)
def test_an_error_page_says_what_is_missing_and_where_to_go(
    store: Store, get: Get, path: str, status: int, words: str
) -> None:
    samples.repository(store)
    answer = get(path)
    assert answer.status == status
    assert words in outline(answer).text
    assert "/" in outline(answer).links()
    chinese = outline(get(path, "zh"))
    assert "页面不存在" in chinese.text


def test_a_damaged_image_has_a_page_that_says_so(store: Store, get: Get) -> None:
    samples.repository(store)
    root = store.resolve("localhost/team/app:0.9")
    store.blob_path(root.digest).write_bytes(b"x" * root.size)
    answer = get("/team/app:0.9")
    assert answer.status == 500
    assert "cannot be shown" in outline(answer).text


def test_repositories_that_a_reader_may_not_see_do_not_exist(store: Store) -> None:
    samples.repository(store)
    samples.repository(store, "localhost/private/app")
    site = Site(store, NamedImages(store), clock=lambda: samples.NOW)

    def get(path: str, **query: str) -> PageAnswer:
        return site.respond(path, query, "en", visible=lambda name: not name.startswith("private/"))

    assert "private" not in get("/").body.decode()
    assert "private/app:1.0" not in get("/", q="1.0").body.decode()
    assert get("/private/app:1.0").status == get("/private/app").status == 404
    assert get("/team/app:1.0/-/diff/private/app:1.0").status == 404
    assert "private/app" not in get("/private/ap").body.decode()


def test_an_answer_has_an_entity_tag_and_headers_against_foreign_content(store: Store, get: Get) -> None:
    samples.repository(store)
    answer = get("/team/app:1.0")
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["Vary"] == "Accept-Language"
    again = get("/team/app:1.0", if_none_match=f'"x", W/{answer.headers["ETag"]}')
    assert (again.status, again.body) == (304, b"")
    assert get("/team/app:1.0", "zh", if_none_match=answer.headers["ETag"]).status == 200
    asset = get("/-/style.css")
    assert (asset.status, asset.media_type) == (200, "text/css; charset=utf-8")
    assert "immutable" in asset.headers["Cache-Control"]


def test_the_language_follows_the_browser_and_a_choice_stays_in_all_links(store: Store, get: Get) -> None:
    samples.repository(store)
    chinese = get("/team/app:1.0", "zh-CN,zh;q=0.9")
    assert '<html lang="zh-Hans">' in chinese.body.decode()
    assert all(
        "lang=" not in link for link in outline(chinese).links() if "lang=zh" not in link and "lang=en" not in link
    )
    chosen = outline(get("/team/app:1.0?lang=zh", "en"))
    inner = [link for link in chosen.links() if link.startswith("/") and "lang=en" not in link]
    assert inner
    assert all("lang=zh" in link for link in inner)
    assert ("input", {"type": "hidden", "name": "lang", "value": "zh"}) in chosen.elements
    assert '<html lang="en">' in get("/team/app:1.0?lang=xx", "en").body.decode()


def test_every_link_of_a_page_leads_somewhere(store: Store, get: Get) -> None:
    samples.repository(store)
    samples.attested(store)
    samples.artifact(store)
    seen, todo = set(), ["/"]
    while todo:
        link = todo.pop()
        if link in seen or "lang=" in link:
            continue
        seen.add(link)
        answer = get(link)
        assert answer.status == 200, link
        todo += [other for other in outline(answer).links() if other.startswith("/")]
    assert len(seen) > 40
    assert all(addresses.parse(link.partition("?")[0]) for link in seen)
