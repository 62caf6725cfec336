"""The words of the pages: all of them in both languages, and how a language writes numbers, sizes and ages."""

import re
from pathlib import Path
from string import Formatter

import pytest

from polyarch import page
from polyarch.images.check.findings import RULES
from polyarch.page.language import Language, choose
from polyarch.page.texts import RULES_ZH, TEXTS

NOW = 1772366400.0
ROOM = Path(page.__file__).parent


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_is_there_in_both_languages_with_the_same_values(key: str) -> None:
    english, chinese = TEXTS[key]
    assert english
    assert chinese
    assert fields(english) == fields(chinese)
    forms = english.split("|")
    assert len(forms) <= 2
    assert "|" not in chinese, "Chinese has one form"
    if "n" in fields(english):
        assert len(forms) == 2, "a number has two forms in English"
    known = {"sbom", "shell", "arch_wasm"}  # words that Chinese takes from English
    assert key in known or re.search("[\u4e00-\u9fff]", chinese) or not re.search("[a-z]{3}", chinese), "it is Chinese"
    assert not re.search("[\u4e00-\u9fff]", english)


def test_every_rule_of_check_has_its_sentence_in_chinese() -> None:
    assert RULES_ZH.keys() == RULES.keys()


def test_every_text_is_used_and_every_text_that_is_used_exists() -> None:
    code = "\n".join(
        path.read_text() for path in [*ROOM.rglob("*.html"), *ROOM.rglob("*.py")] if path.name != "texts.py"
    )
    named = set(re.findall(r"""(?<![\w.])t\(['"]([a-z_]+)['"]""", code)) | set(
        re.findall(r"""request\.language\(\s*['"]([a-z_]+)['"]""", code)
    )
    assert {key for key in named if not key.endswith("_")} <= TEXTS.keys()
    quoted = set(re.findall(r"""['"]([a-z_0-9]+)['"]""", code))
    computed = re.compile(r"arch_|part_|change_|by_(tag|digest)_why")
    assert {key for key in TEXTS if key not in quoted and not computed.match(key)} == set()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("de,zh;q=0.5", "zh"),
        ("zh;q=0", "en"),
        ("*", "en"),
        ("en;q=0.1, zh;q=0.2", "zh"),
        ("zh" * 5000, "en"),
        ("<script>,;;;=,zh;q=2", "en"),
        ("ZH-hant", "zh"),
    ],
)
def test_the_language_is_the_one_that_the_reader_likes_best(header: str, expected: str) -> None:
    assert choose(header) == expected


def test_numbers_and_sizes() -> None:
    language = Language("en", NOW)
    assert language("n_tags", 1) == "1 tag"
    assert language("n_tags", 0) == "0 tags"
    assert language("n_tags", 10000) == "10,000 tags"
    assert Language("zh", NOW)("n_tags", 10000) == "10,000 个标签"
    sizes = (0, 999, 1000, 1234, 99_949, 99_950, 999_499, 999_500, 12_345_678, 10**13)
    assert [language.size(size) for size in sizes] == [
        "0 B",
        "999 B",
        "1 kB",
        "1.23 kB",
        "99.9 kB",
        "100 kB",
        "999 kB",
        "1 MB",
        "12.3 MB",
        "10 TB",
    ]
    assert language.size(None) == ""


@pytest.mark.parametrize(
    ("created", "english", "chinese"),
    [
        ("2026-03-01T11:59:30Z", "just now", "刚刚"),
        ("2026-03-01T07:00:00.123456789Z", "4 hours ago", "4 小时前"),
        ("2026-03-01T11:58:59+00:00", "1 minute ago", "1 分钟前"),
        ("2026-02-20T12:00:00Z", "1 week ago", "1 周前"),
        ("2024-01-01T00:00:00Z", "2 years ago", "2 年前"),
        ("2026-03-01T12:10:00Z", "just now", "刚刚"),
        ("2036-03-01T12:10:00Z", "2036-03-01 12:10 UTC", "2036-03-01 12:10 UTC"),
        ("1970-01-01T00:00:00Z", "", ""),
        ("0001-01-01T00:00:00Z", "", ""),
        ("yesterday", "", ""),
        ("", "", ""),
    ],
)
def test_ages(created: str, english: str, chinese: str) -> None:
    assert Language("en", NOW).age(created) == english
    assert Language("zh", NOW).age(created) == chinese
