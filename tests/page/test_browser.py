"""Pages in a real browser: with a keyboard, on a phone, without scripts, for people with disabilities, and as files."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from polyarch.oci import reference as references
from polyarch.page import files, links
from polyarch.store import Store
from tests import browser
from tests.devtools import Browser, Tab
from tests.page import axe, samples
from tests.page.serving import served, site_of

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("browser")]

PAGES = [
    "/",
    "/?q=app",
    "/team/app",
    "/team/app:1.0",
    "/team/app:1.0/linux/arm64",
    "/team/attested:1",
    "/team/faulty:1",
    "/team/faulty:1/-/check",
    "/team/app:0.9/-/drift",
    "/team/app:0.9/-/diff",
    "/team/app:0.9/-/diff/1.0",
    "/team/attested:1/-/packages",
    "/team/chart:1",
    "/team/single:1",
    "/team/hostile:1",
    "/team/hostile:1/linux/amd64",
    "/team/hostile:1/-/packages",
    "/team/nosuch",
]


class Shown(NamedTuple):
    origin: str
    tab: Tab
    store: Store


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A server of sample images, and a browser that looks at it."""
    place = tmp_path_factory.mktemp("browser")
    profile = place / "profile"
    profile.mkdir()
    with Store.open(place / "store") as store:
        samples.repository(store)
        samples.attested(store)
        samples.faulty(store)
        samples.hostile(store)
        samples.artifact(store)
        store.tag("localhost/team/single:1", samples.app(store, "linux/arm64"))
        with served(site_of(store, samples.NOW)) as origin, Browser(profile) as opened:
            opened.tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
            yield Shown(origin, opened.tab, store)


def settle(tab: Tab) -> None:
    """Wait until a script has put the result of a check into the page."""
    tab.until("!document.querySelector('[data-fill]')")


def everything_open(tab: Tab) -> None:
    tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")


@pytest.mark.parametrize(("width", "dark", "language"), [(1280, False, "en"), (320, True, "zh")])
def test_every_page_is_free_of_barriers_and_of_anything_from_elsewhere(
    shown: Shown, width: int, dark: bool, language: str
) -> None:
    shown.tab.languages(language)
    for path in PAGES:
        shown.tab.emulate(width=width, dark=dark)
        shown.tab.open(shown.origin + path)
        settle(shown.tab)
        everything_open(shown.tab)
        assert axe.findings(shown.tab) == [], path
        # On the narrowest phone nothing scrolls sideways (WCAG 2, 1.4.10).
        shown.tab.emulate(width=320, dark=dark)
        assert shown.tab.evaluate("document.documentElement.scrollWidth") == 320, path
        asked = [one.removeprefix(shown.origin).partition("?")[0] for one in shown.tab.requests]
        assert set(asked) <= {path.partition("?")[0], *(f"/-/{name}" for name in links.ASSETS)}, path
        # What breaks the Content-Security-Policy, or a script.
        assert [one for one in shown.tab.complaints if "404" not in one or path != "/team/nosuch"] == [], path


def colours(dark: bool) -> dict[str, browser.Colour]:
    """The colours by their names in the style sheet."""
    style = links.content("style.css").decode()
    found = re.findall(r"--([a-z0-9-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\)", style)
    codes = {name: both[dark] for name, *both in found}
    return {name: (int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)) for name, code in codes.items()}


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_picture_of_an_image_has_the_colours_of_its_platforms(
    shown: Shown, tmp_path: Path, width: int, dark: bool
) -> None:
    shown.tab.emulate(width=width, height=700, dark=dark)
    shown.tab.languages("en")
    shown.tab.open(f"{shown.origin}/team/faulty:1")
    settle(shown.tab)
    shown.tab.picture(tmp_path / "page.png", whole=False)
    rows = browser.decoded((tmp_path / "page.png").read_bytes())
    assert (len(rows), len(rows[0])) == (700, width)
    named = colours(dark)
    assert rows[-1][0] == rows[-1][-1] == named["paper"]
    seen = Counter(colour for row in rows for colour in row)
    # The platform that is good, the one with errors, and what is said of the image.
    assert all(seen[named[name]] > 100 for name in ("ok", "ok-wash", "error", "error-wash", "sheet", "accent"))


_PAPER = "getComputedStyle(document.body).backgroundColor"


def choose_scheme(tab: Tab, name: str) -> None:
    """Choose by keyboard."""
    tab.evaluate("document.getElementById('scheme').focus()")
    for _ in range(3):
        tab.press("ArrowUp")
    for _ in range(("auto", "light", "dark").index(name)):
        tab.press("ArrowDown")


@pytest.mark.parametrize("scripts", [True, False])
def test_the_reader_chooses_light_or_dark_and_scripts_remember_it(shown: Shown, scripts: bool) -> None:
    paper = {dark: "rgb({}, {}, {})".format(*colours(dark)["paper"]) for dark in (False, True)}
    tab = shown.tab
    try:
        for system in (False, True):
            tab.emulate(dark=system, scripts=scripts)
            tab.open(f"{shown.origin}/team/app:1.0")
            for name, expected in [("light", False), ("dark", True), ("auto", system), ("dark", True)]:
                choose_scheme(tab, name)
                assert tab.evaluate("document.getElementById('scheme').value") == name
                assert tab.evaluate(_PAPER) == paper[expected], (system, name)
            if scripts:
                assert axe.findings(tab) == []
            tab.open(f"{shown.origin}/team/app")
            assert tab.evaluate(_PAPER) == paper[True if scripts else system]
            assert tab.evaluate("document.getElementById('scheme').value") == ("dark" if scripts else "auto")
            choose_scheme(tab, "auto")
    finally:
        tab.emulate()


def test_axe_finds_what_is_wrong(shown: Shown) -> None:
    shown.tab.emulate()
    shown.tab.open(f"{shown.origin}/")
    shown.tab.evaluate("document.querySelector('h1').style.color = '#eee'; document.documentElement.lang = ''; 0")
    assert {one.partition(":")[0] for one in axe.findings(shown.tab)} == {"color-contrast", "html-has-lang"}


def test_the_platforms_are_the_first_thing_that_is_seen_of_an_image(shown: Shown) -> None:
    box = "document.querySelector('.cards').getBoundingClientRect()"
    shown.tab.languages("en")
    for width, height, below in ((1280, 800, 800), (390, 800, 1600)):
        shown.tab.emulate(width=width, height=height)
        shown.tab.open(f"{shown.origin}/team/app:1.0")
        settle(shown.tab)
        top, bottom = shown.tab.evaluate(f"[{box}.top, {box}.bottom]")
        assert top < height / 2
        assert bottom < below


def test_the_contents_are_checked_while_the_page_can_be_read_already(shown: Shown) -> None:
    with_faults = site_of(shown.store, samples.NOW)  # has checked nothing yet
    shown.tab.emulate()
    shown.tab.languages("en")
    with served(with_faults) as origin:
        shown.tab.emulate(scripts=False)
        shown.tab.open(f"{origin}/team/faulty:1")
        before = shown.tab.evaluate("document.querySelector('.verdict').textContent")
        assert "arm64" not in before
        shown.tab.emulate(scripts=True)
        shown.tab.open(f"{origin}/team/faulty:1")
        settle(shown.tab)
        after = shown.tab.evaluate("document.querySelector('.verdict').textContent")
    assert "Something is wrong with linux/arm64" in after


def focused(tab: Tab) -> str:
    return str(tab.evaluate("document.activeElement.outerHTML.slice(0, 300)"))


# The width of the mark around what has the focus: its own, or that of the layer that makes a whole card a link.
_MARK = """(() => {
  const own = getComputedStyle(document.activeElement), layer = getComputedStyle(document.activeElement, "::after");
  const width = (style) => style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
  return Math.max(width(own), layer.content === "none" ? 0 : width(layer)) })()"""
_WHERE = """(() => { const box = document.activeElement.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && box.top < innerHeight && box.bottom > 0 })()"""
_ALL = """[...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
  .filter((one) => !one.hidden && one.type !== "hidden" && one.checkVisibility()).length"""


@pytest.mark.parametrize("path", ["/team/app:1.0", "/team/app:1.0/linux/arm64", "/team/attested:1/-/packages", "/"])
def test_a_keyboard_reaches_everything_in_order_and_the_focus_is_seen(shown: Shown, path: str) -> None:
    shown.tab.emulate()
    shown.tab.languages("en")
    shown.tab.open(shown.origin + path)
    settle(shown.tab)
    count = shown.tab.evaluate(_ALL)
    shown.tab.evaluate("window.met = []; window.before = document.body; 0")
    for number in range(count):
        shown.tab.press("Tab")
        assert shown.tab.evaluate(_MARK) >= 2, focused(shown.tab)
        assert shown.tab.evaluate(_WHERE), focused(shown.tab)
        in_order = "!!(before.compareDocumentPosition(document.activeElement) & 4) || before === document.body"
        assert shown.tab.evaluate(in_order) or number == 0, focused(shown.tab)
        shown.tab.evaluate("met.push(document.activeElement); before = document.activeElement; 0")
    assert shown.tab.evaluate("new Set(met).size") == count


def test_the_first_key_offers_to_skip_to_the_content(shown: Shown) -> None:
    shown.tab.emulate()
    shown.tab.languages("en")
    shown.tab.open(f"{shown.origin}/team/app:1.0")
    settle(shown.tab)
    shown.tab.press("Tab")
    assert "Skip to the content" in focused(shown.tab)
    assert shown.tab.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    shown.tab.press("Enter")
    shown.tab.until("document.activeElement.id === 'content'")
    shown.tab.press("Tab")
    assert 'href="/"' in focused(shown.tab), "the first link of the content"


def test_a_button_copies_its_command_by_enter_and_says_so(shown: Shown) -> None:
    shown.tab.emulate()
    shown.tab.languages("en")
    shown.tab.open(f"{shown.origin}/team/app:1.0")
    settle(shown.tab)
    shown.tab.call("Browser.grantPermissions", permissions=["clipboardReadWrite"], origin=shown.origin)
    shown.tab.evaluate("document.querySelector('.commands button').focus()")
    shown.tab.press("Enter")
    shown.tab.until("document.activeElement.textContent === 'Copied'")
    assert shown.tab.evaluate("document.activeElement.getAttribute('aria-label')") == "Copy docker"
    copied = shown.tab.evaluate("navigator.clipboard.readText()")
    assert copied == f"docker pull {shown.origin.removeprefix('http://')}/team/app:1.0"
    spoken = "[...document.querySelectorAll('[role=status]')].some((one) => one.textContent === 'Copied')"
    assert shown.tab.evaluate(spoken)


def test_without_the_clipboard_of_secure_pages_the_text_is_copied_by_selecting_it(shown: Shown) -> None:
    shown.tab.emulate()
    shown.tab.open(f"{shown.origin}/team/app:1.0")
    settle(shown.tab)
    shown.tab.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    shown.tab.evaluate(
        "document.execCommand = (what) => { window.taken = getSelection().toString(); return what === 'copy' }; 0"
    )
    shown.tab.evaluate("document.querySelector('.commands button').focus()")
    shown.tab.press("Space")
    shown.tab.until("document.activeElement.textContent === 'Copied'")
    assert shown.tab.evaluate("window.taken").startswith("docker pull ")


def test_everything_can_be_read_and_searched_without_scripts(shown: Shown) -> None:
    shown.tab.emulate(scripts=False)
    shown.tab.languages("en")
    try:
        shown.tab.open(f"{shown.origin}/team/app:1.0")
        text = shown.tab.evaluate("document.body.innerText")
        for words in ("linux/arm/v7", "docker pull", "Look closer", "Findings of check"):
            assert words in text
        assert "Copy" not in text, "a button that does nothing is not shown"
        shown.tab.evaluate("document.querySelector('input[name=q]').focus()")
        shown.tab.call("Input.insertText", text="attested")
        shown.tab.press("Enter")
        deadline = time.monotonic() + 10
        while shown.tab.evaluate("location.search") != "?q=attested" and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "team/attested" in shown.tab.evaluate("document.body.innerText")
    finally:
        shown.tab.emulate()


def test_nothing_moves_for_those_who_asked_for_less_motion(shown: Shown) -> None:
    duration = "getComputedStyle(document.querySelector('.card')).transitionDuration"
    for calm, expected in ((True, "0s"), (False, "0.12s, 0.12s")):
        shown.tab.emulate(calm=calm)
        shown.tab.open(f"{shown.origin}/team/app:1.0")
        assert shown.tab.evaluate(duration) == expected


def test_pages_in_files_open_without_a_server_and_ask_for_nothing(shown: Shown, tmp_path: Path) -> None:
    names = ["localhost/team/app:1.0", "localhost/team/app:0.9", "localhost/team/attested:1", "localhost/team/faulty:1"]
    chosen = [(references.parse(name), shown.store.resolve(name)) for name in names]
    files.write(shown.store, files.ChosenImages(shown.store, chosen), tmp_path, samples.NOW)
    first = (tmp_path / "index.html").as_uri()
    shown.tab.emulate()
    shown.tab.open(first)
    assert shown.tab.requests == [first]
    assert shown.tab.complaints == []
    assert shown.tab.evaluate("getComputedStyle(document.querySelector('.panel')).borderTopLeftRadius") == "10px"
    follow = "new Promise((done) => { const link = document.querySelector('%s'); done(link.href) })"
    image = shown.tab.evaluate(follow % '.tag a[href*="app/-/tag/1.0"]')
    shown.tab.open(image)
    assert shown.tab.complaints == []
    assert "team/app:1.0" in shown.tab.evaluate("document.querySelector('h1').textContent")
    assert not shown.tab.evaluate("document.querySelector('button.copy').hidden"), "the script runs"
    assert shown.tab.evaluate("document.querySelector('.verdict').className") == "verdict ok"
    shown.tab.open(shown.tab.evaluate("document.querySelector('.languages a[lang=zh-Hans]').href"))
    assert "拉取" in shown.tab.evaluate("document.body.innerText")
