"""Parts of pages as values: the order of tags, histories, configs, pull commands and remembered results."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.builder.history.record import StepRecord, StepRun
from polyarch.oci.config import ImageConfig
from polyarch.page import commands, configuration, history, order
from polyarch.page.commands import Host
from polyarch.page.history import instruction
from polyarch.page.results import PageResults
from polyarch.page.templating import visible
from polyarch.store import Store
from tests.images.layered import image, program

DIGEST = "sha256:" + "ab" * 32


def test_tags_begin_with_latest_and_the_highest_version() -> None:
    tags = ["1.9", "main", "1.10", "1.10-rc1", "v2", "latest", "1.10-alpine", "20260101", "dev", "1.10.1", "2beef01"]
    assert order.ordered(tags) == [
        "latest",
        "20260101",
        "v2",
        "1.10.1",
        "1.10-alpine",
        "1.10",
        "1.10-rc1",
        "1.9",
        "2beef01",
        "dev",
        "main",
    ]


@given(st.lists(st.text(alphabet="0123456789.-_abrcv", min_size=1, max_size=12), unique=True))
def test_every_tag_has_one_place_in_the_order(tags: list[str]) -> None:
    assert sorted(order.ordered(tags)) == sorted(tags)
    assert order.ordered(tags) == order.ordered(order.ordered(tags))


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("sha256-" + "a" * 64, True),
        ("sha256-" + "a" * 64 + ".sig", True),
        ("sha256-" + "a" * 64 + ".att", True),
        ("sha256-" + "a" * 12, False),
        ("latest", False),
    ],
)
def test_tags_that_only_carry_signatures_are_known(tag: str, expected: bool) -> None:
    assert order.is_carrier(tag) is expected


@pytest.mark.parametrize(
    ("created_by", "line"),
    [
        ("RUN /bin/sh -c apk add curl # buildkit", "RUN apk add curl"),
        ("RUN |2 A=1 B=2 /bin/sh -c make && make install # buildkit", "RUN make && make install"),
        ("/bin/sh -c #(nop) ADD file:abc in / ", "ADD file:abc in /"),
        ('/bin/sh -c #(nop)  CMD ["sh"]', 'CMD ["sh"]'),
        ("/bin/sh -c apk add curl", "RUN apk add curl"),
        ("COPY . /app # buildkit", "COPY . /app"),
        ("buildkit.dockerfile.v0", "buildkit.dockerfile.v0"),
        ("", ""),
    ],
)
def test_a_line_of_a_history_is_shown_as_it_was_in_the_dockerfile(created_by: str, line: str) -> None:
    assert instruction(created_by) == line


def step(name: str, **more: object) -> StepRecord:
    return StepRecord(id=name, name=name, kind="RunCommand", platforms=("linux/amd64",), **more)  # type: ignore[arg-type]


def test_a_step_of_the_build_is_told_by_the_text_of_its_line_each_once(store: Store) -> None:
    made = image(
        store,
        "linux/amd64",
        [program("a", "1")],
        [program("b", "2")],
        [program("c", "3")],
        steps=["RUN /bin/sh -c make # buildkit", "COPY a /a # buildkit", "RUN /bin/sh -c make # buildkit"],
    )
    manifest = store.peek(made)
    assert hasattr(manifest, "config")
    with store.open_blob(manifest.config) as reader:
        from polyarch.oci import config as configs

        config = configs.load(reader.read())
    steps = [
        step("[1/3] RUN make", seconds=1.0, ran=StepRun(how="native")),
        step("[2/3] COPY --chown=1:1 a /a", cached=True),
    ]
    found = history.lines(manifest, config, (None, None, 7), steps)  # type: ignore[arg-type]
    assert [line.built.how if line.built else None for line in found.lines] == ["native", "cached", None]
    assert [line.number for line in found.lines] == [1, 2, 3]
    assert found.lines[2].unpacked == 7
    assert found.matches


def test_layers_without_a_line_and_lines_without_a_layer_are_shown_too(store: Store) -> None:
    made = image(store, "linux/amd64", [program("a", "1")], [program("b", "2")], steps=["COPY a /"])
    manifest = store.peek(made)
    config = ImageConfig({"history": [{"created_by": "COPY a /"}, {"created_by": "ENV A=1", "empty_layer": True}]})
    found = history.lines(manifest, config, (None, None))  # type: ignore[arg-type]
    assert [(line.number, line.line) for line in found.lines] == [(1, "COPY a /"), (0, "ENV A=1"), (2, "")]
    assert not found.matches
    bare = history.lines(manifest, ImageConfig({}), (None, None))  # type: ignore[arg-type]
    assert [line.number for line in bare.lines] == [1, 2]
    assert bare.matches


def test_settings_are_shown_as_they_are_written_in_a_dockerfile() -> None:
    run = {
        "Entrypoint": ["/app", "a b"],
        "Cmd": "text",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Healthcheck": {"Test": ["CMD-SHELL", "curl x"], "Interval": 10_000_000_000, "Retries": 3},
        "User": "",
    }
    found = {one.key: one for one in configuration.settings(ImageConfig({"config": run, "author": "me"}))}
    assert found["entrypoint"].values == ('["/app","a b"]',)
    assert found["command"].values == ("text",)
    assert found["ports"].values == ("53/udp", "80/tcp")
    assert found["healthcheck"].values == ("curl x", "--interval=10s --retries=3")
    assert found["user"].words == ("root_user",)
    assert found["author"].values == ("me",)
    disabled = configuration.settings(ImageConfig({"config": {"Healthcheck": {"Test": ["NONE"]}}}))
    assert [one.words for one in disabled if one.key == "healthcheck"] == [("health_disabled",)]
    strange = configuration.settings(
        ImageConfig({"config": {"ExposedPorts": ["80"], "Healthcheck": 7, "Cmd": {"a": 1}}})
    )
    assert [one.values for one in strange if one.key == "command"] == [('{"a":1}',)]


def pulls(host: Host, name: str, platform: str = "", *, whole: bool = True) -> dict[str, str]:
    return {one.program: one.command for one in commands.pulls(host, name, platform, whole=whole)}


def test_commands_pull_from_a_server_without_tls_on_this_machine_and_elsewhere() -> None:
    here = pulls(Host("127.0.0.1:5000", False), "127.0.0.1:5000/app:1")
    assert here == {
        "docker": "docker pull 127.0.0.1:5000/app:1",
        "podman": "podman pull --tls-verify=false 127.0.0.1:5000/app:1",
        "polyarch": "polyarch pull --all-platforms 127.0.0.1:5000/app:1",
        "skopeo": "skopeo copy --src-tls-verify=false --all docker://127.0.0.1:5000/app:1 oci:app-1",
        "crane": "crane pull --format oci 127.0.0.1:5000/app:1 app-1",
    }
    there = pulls(Host("box:5000", False), "box:5000/app:1")
    assert there["polyarch"] == "polyarch pull --insecure --all-platforms box:5000/app:1"
    assert there["crane"] == "crane pull --insecure --format oci box:5000/app:1 app-1"
    assert "insecure" not in str(pulls(Host("r.example.org"), "r.example.org/app:1"))
    assert "verify" not in str(pulls(Host("r.example.org"), "r.example.org/app:1"))


def test_commands_pull_one_platform_by_its_name_or_by_its_digest() -> None:
    named = pulls(Host(), "app:1", "linux/arm/v7")
    assert named["docker"] == "docker pull --platform linux/arm/v7 app:1"
    expected = "skopeo --override-os linux --override-arch arm --override-variant v7 copy docker://app:1 oci:app-1"
    assert named["skopeo"] == expected
    exact = pulls(Host(), f"team/app@{DIGEST}", whole=False)
    assert exact["polyarch"] == f"polyarch pull team/app@{DIGEST}"
    assert exact["skopeo"] == f"skopeo copy docker://team/app@{DIGEST} oci:app"
    assert "'windows(10.0.1)/amd64'" in pulls(Host(), "app:1", "windows(10.0.1)/amd64")["docker"]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:5000", Host("127.0.0.1:5000", False)),
        ("https://r.example.org", Host("r.example.org", True)),
        ("http://[::1]:5000", Host("[::1]:5000", False)),
        ('http://evil.example"><script>', Host()),
        ("http://user@host", Host()),
        ("http://a;rm -rf ~", Host()),
        ("javascript://x", Host()),
        ("http://[", Host()),
        ("", Host()),
    ],
)
def test_a_host_in_commands_is_nothing_but_a_host(origin: str, expected: Host) -> None:
    assert commands.host_of(origin) == expected


def test_a_result_is_computed_once_also_for_those_who_ask_at_the_same_time() -> None:
    results, calls = PageResults(), []

    def compute() -> str:
        calls.append(1)
        time.sleep(0.05)
        return "result"

    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(results.work("key", str, compute))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["result"] * 8
    assert len(calls) == 1
    assert results.known("key", str) == "result"


def test_the_least_recently_used_result_is_forgotten_and_an_error_is_not_remembered() -> None:
    results = PageResults(most=2)
    for key in "ab":
        results.work(key, str, lambda: "x")
    results.known("a", str)
    results.work("c", str, lambda: "x")
    assert [results.known(key, str) for key in "abc"] == ["x", None, "x"]
    with pytest.raises(ZeroDivisionError):
        results.work("d", int, lambda: 1 // 0)
    assert results.work("d", int, lambda: 7) == 7


@given(st.text())
def test_a_shown_text_has_no_character_that_cannot_be_seen(text: str) -> None:
    shown = visible(text)
    shown.encode()  # no half of a surrogate
    assert all(one in "\t\n" or (one.isprintable() or one.isspace() or ord(one) > 0x1FFF) for one in shown)
    assert not set(shown) & set("\x00\x1b\u202e\u2066\u200b\u2028\ufeff")
    assert visible(shown) == shown
