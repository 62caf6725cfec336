"""The planner: Dockerfile text to vertices and a config, without I/O."""

from collections.abc import Callable
from typing import Any

import pytest

from polyarch.builder.plan import gostrings
from polyarch.builder.plan.options import Base, PlanOptions
from polyarch.builder.plan.planner import Plan, plan
from polyarch.builder.vertices import BuildGraph, CopyFiles, ImageLayers, MakeDirectory, RunCommand, tag
from polyarch.dockerfile import parser
from polyarch.dockerfile.source import DockerfileError
from polyarch.errors import NotFoundError, UnsupportedError
from polyarch.oci import config as configs
from polyarch.oci import digest as digests
from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform

AMD64 = platforms.parse("linux/amd64")
ARM64 = platforms.parse("linux/arm64")


class Images:
    """A resolver whose images have one layer each and whatever config a test gives them."""

    def __init__(self, **settings: dict[str, Any]) -> None:
        self.settings = settings

    def image(self, name: str, platform: Platform) -> Base:
        if name in ("absent", "example.com/absent"):
            raise NotFoundError(f"there is no image {name}")
        if name == "amd64-only" and platform != AMD64:
            raise UnsupportedError(f"the base image {name} is not for {platform}: it has linux/amd64")
        config = configs.empty(platform).with_layers((digests.of(name.encode()),), ())
        config = config.with_run(**self.settings.get(name, {}))
        return Base(digests.of(f"{name} {platform}".encode()), config, name)


def planned(
    text: str, *wanted: Platform, images: Images | None = None, graph: BuildGraph | None = None, **options: Any
) -> list[Plan]:
    settings = PlanOptions(build_platform=AMD64, **options)
    graph = graph or BuildGraph()
    return [plan(parser.parse(text), settings, platform, images or Images(), graph) for platform in wanted or (AMD64,)]


def one(text: str, **options: Any) -> Plan:
    return planned(text, **options)[0]


def run_config(text: str, **options: Any) -> dict[str, Any]:
    return dict(one(text, **options).config.run)


def error(text: str, **options: Any) -> str:
    with pytest.raises(DockerfileError) as caught:
        one(text, **options)
    return caught.value.message


def test_a_copy_onto_scratch_is_one_vertex_for_all_platforms() -> None:
    first, second = planned("FROM scratch\nCOPY a /a", AMD64, ARM64)
    assert first.layers == second.layers


def test_a_linked_copy_onto_different_bases_is_one_vertex() -> None:
    first, second = planned("FROM base\nCOPY --link a /a", AMD64, ARM64)
    assert first.layers[1] == second.layers[1]
    assert first.layers[0] != second.layers[0]


def test_a_run_of_the_build_platform_is_one_vertex_for_all_targets() -> None:
    graph = BuildGraph()
    planned(
        "FROM --platform=$BUILDPLATFORM base AS build\nRUN make\nFROM scratch\nCOPY --from=build /out /out",
        AMD64,
        ARM64,
        graph=graph,
    )
    runs = [vertex for vertex in graph.vertices.values() if isinstance(vertex, RunCommand)]
    assert [vertex.platform for vertex in runs] == [AMD64]


def test_a_run_that_sees_the_target_is_one_vertex_a_platform() -> None:
    graph = BuildGraph()
    planned("FROM --platform=$BUILDPLATFORM base\nARG TARGETARCH\nRUN make\nFROM scratch", graph=graph)
    assert not [vertex for vertex in graph.vertices.values() if isinstance(vertex, RunCommand)], "no stage needs it"
    text = "FROM --platform=$BUILDPLATFORM base AS b\nARG TARGETARCH\nRUN make\nFROM scratch\nCOPY --from=b / /"
    planned(text, AMD64, ARM64, graph=graph)
    environments = [vertex.env for vertex in graph.vertices.values() if isinstance(vertex, RunCommand)]
    assert [env[-1] for env in environments] == ["TARGETARCH=amd64", "TARGETARCH=arm64"]


def test_a_label_says_which_platforms_asked() -> None:
    graph = BuildGraph()
    (first, _) = planned("FROM scratch\nCOPY a /a", AMD64, ARM64, graph=graph)
    assert graph.labels[first.layers[0]].platforms == (AMD64, ARM64)
    assert graph.labels[first.layers[0]].name == "[1/1] COPY a /a"


def test_instructions_of_the_config_make_no_vertex() -> None:
    graph = BuildGraph()
    one("FROM scratch\nENV A=1\nLABEL l=x\nCMD a\nUSER u\nEXPOSE 80\nVOLUME /v\nSTOPSIGNAL TERM", graph=graph)
    assert graph.vertices == {}


def test_history_reads_as_buildkit_writes_it() -> None:
    lines = one(
        "FROM base\nARG V=1\nENV A=$V\nWORKDIR /w\nRUN echo $A\nCOPY --chown=1:2 a b /d/\nCMD echo hi\n"
        'ENTRYPOINT ["a", "b"]\nEXPOSE 80\nVOLUME /x /y\nLABEL k="v w"\nUSER app\nSHELL ["sh", "-x"]\nSTOPSIGNAL 9'
    ).history[1:]
    assert [(entry.created_by, entry.empty_layer) for entry in lines] == [
        ("ARG V=1", True),
        ("ENV A=1", True),
        ("WORKDIR /w", False),
        ("RUN |1 V=1 /bin/sh -c echo $A # buildkit", False),
        ("COPY --chown=1:2 a b /d/ # buildkit", False),
        ('CMD ["/bin/sh" "-c" "echo hi"]', True),
        ('ENTRYPOINT ["a" "b"]', True),
        ("EXPOSE [80/tcp]", True),
        ("VOLUME [/x /y]", True),
        ("LABEL k=v w", True),
        ("USER app", True),
        ("SHELL [sh -x]", True),
        ("STOPSIGNAL 9", True),
    ]
    assert {entry.comment for entry in lines} == {"buildkit.dockerfile.v0"}


def test_path_is_always_set() -> None:
    assert run_config("FROM scratch")["Env"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]


def test_the_environment_of_the_base_is_kept_and_changed_in_place() -> None:
    images = Images(base={"Env": ["PATH=/bin", "A=1"]})
    assert run_config("FROM base\nENV A=2 B=$A", images=images)["Env"] == ["PATH=/bin", "A=2", "B=1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('FROM base\nENTRYPOINT ["e"]', None),
        ('FROM base\nCMD ["c"]\nENTRYPOINT ["e"]', ["c"]),
        ('FROM base\nENTRYPOINT ["e"]\nCMD ["c"]', ["c"]),
        ("FROM base\nUSER u", ["base"]),
    ],
)
def test_an_entrypoint_resets_a_cmd_that_its_stage_did_not_set(text: str, expected: list[str] | None) -> None:
    assert run_config(text, images=Images(base={"Cmd": ["base"]})).get("Cmd") == expected


@pytest.mark.parametrize(
    ("declared", "arguments", "expected"),
    [
        ("ARG TARGETARCH", {}, "arm64"),
        ("ARG TARGETARCH=amd64", {}, "amd64"),
        ("ARG TARGETARCH", {"TARGETARCH": "x"}, "x"),
        ("ARG V", {}, None),
        ("ARG V=1", {}, "1"),
        ("ARG V=1", {"V": "2"}, "2"),
        ("ARG G", {}, "global"),
        ("ARG G=own", {}, "own"),
    ],
)
def test_where_an_argument_has_its_value_from(declared: str, arguments: dict[str, str], expected: str | None) -> None:
    graph = BuildGraph()
    text = f"ARG G=global\nFROM base\n{declared}\nRUN x"
    planned(text, ARM64, arguments=arguments, graph=graph)
    name = declared.removeprefix("ARG ").partition("=")[0]
    (vertex,) = [vertex for vertex in graph.vertices.values() if isinstance(vertex, RunCommand)]
    assert dict(pair.split("=", 1) for pair in vertex.env).get(name) == expected


def test_a_stage_has_the_arguments_and_environment_of_its_parent() -> None:
    graph = BuildGraph()
    planned("FROM base AS a\nARG V=1\nENV E=2\nFROM a\nRUN x", graph=graph)
    (vertex,) = [vertex for vertex in graph.vertices.values() if isinstance(vertex, RunCommand)]
    assert {"V=1", "E=2"} <= set(vertex.env)


def test_a_stage_from_a_stage_has_its_platform() -> None:
    graph = BuildGraph()
    first = "FROM --platform=linux/amd64 base AS a\nFROM --platform=linux/arm64 a AS b\nRUN x\n"
    text = first + "FROM scratch\nCOPY --from=b / /"
    planned(text, ARM64, graph=graph)
    (vertex,) = [vertex for vertex in graph.vertices.values() if isinstance(vertex, RunCommand)]
    assert vertex.platform == AMD64


def test_only_stages_that_the_target_needs_are_planned() -> None:
    graph = BuildGraph()
    planned("FROM unused AS a\nRUN x\nFROM base AS b\nRUN y\nFROM b", graph=graph)
    assert [vertex.argv[-1] for vertex in graph.vertices.values() if isinstance(vertex, RunCommand)] == ["y"]


def test_triggers_of_the_base_run_first_and_are_dropped() -> None:
    images = Images(base={"OnBuild": ["COPY . /app", "RUN make"]})
    graph = BuildGraph()
    (made,) = planned("FROM base\nRUN own", images=images, graph=graph)
    kinds = [tag(graph.vertices[layer]) for layer in made.layers]
    assert kinds == ["ImageLayers", "Copy", "Run", "Run"]
    assert "OnBuild" not in made.config.run
    assert graph.labels[made.layers[1]].name == "[1/3] ONBUILD COPY . /app"


def test_a_trigger_is_kept_for_who_builds_on_the_image() -> None:
    assert run_config("FROM base\nONBUILD RUN make")["OnBuild"] == ["RUN make"]


def test_workdir_joins_and_makes_a_layer_but_for_the_root() -> None:
    graph = BuildGraph()
    (made,) = planned("FROM scratch\nWORKDIR /a\nWORKDIR b/../c\nWORKDIR /", graph=graph)
    vertices = [graph.vertices[layer] for layer in made.layers]
    assert [vertex.path for vertex in vertices if isinstance(vertex, MakeDirectory)] == ["/a", "/a/c"]
    assert made.config.run["WorkingDir"] == "/"


@pytest.mark.parametrize(
    ("destination", "expected"),
    [("d", "/w/d"), ("d/", "/w/d/"), (".", "/w/"), ("/", "/"), ("../x", "/x"), ("/a/./b/", "/a/b/"), ("./", "/w/")],
)
def test_a_destination_is_relative_to_workdir_and_keeps_its_slash(destination: str, expected: str) -> None:
    graph = BuildGraph()
    planned(f"FROM scratch\nWORKDIR /w\nCOPY a {destination}", graph=graph)
    (vertex,) = [vertex for vertex in graph.vertices.values() if isinstance(vertex, CopyFiles)]
    assert vertex.destination == expected


def test_scratch_has_the_target_platform() -> None:
    assert one("FROM scratch").config.document["architecture"] == "amd64"


def test_healthcheck_keeps_what_was_said() -> None:
    assert run_config("FROM scratch\nHEALTHCHECK --interval=90s --retries=3 CMD a b")["Healthcheck"] == {
        "Test": ["CMD-SHELL", "a b"],
        "Interval": 90_000_000_000,
        "Retries": 3,
    }


def test_labels_of_the_command_line_win() -> None:
    assert run_config("FROM scratch\nLABEL a=1 b=1", labels={"b": "2", "c": "3"})["Labels"] == {
        "a": "1",
        "b": "2",
        "c": "3",
    }


def test_a_base_without_the_platform_is_an_error_at_its_line() -> None:
    with pytest.raises(DockerfileError, match="is not for linux/arm64") as caught:
        planned("ARG X\nFROM amd64-only", ARM64)
    assert "2 | >>> FROM amd64-only" in caught.value.message


def test_a_last_stage_of_another_platform_is_not_labelled_with_the_target() -> None:
    text = "FROM --platform=linux/amd64 base"
    with pytest.raises(DockerfileError, match="for linux/amd64, but the image is built for linux/arm64"):
        planned(text, ARM64)
    (made,) = planned(text, ARM64, allow_foreign_base=True)
    assert made.warnings == ("the target stage is for linux/amd64, but the image is built for linux/arm64",)


ERRORS = [
    ("FROM a AS x\nCOPY --from=x a b", "circular dependency"),
    ("FROM a AS x\nCOPY --from=y a b\nFROM a AS y\nFROM x", "needs to be defined before current stage"),
    ("FROM a\nCOPY --from=7 a b", "invalid stage index 7"),
    ("FROM a\nCOPY http://x/y /z", "source can't be a URL for COPY"),
    ("FROM a\nRUN --security=insecure x", "security.insecure is not allowed"),
    ("FROM $UNSET", "should not be blank"),
    ("FROM a\nRUN --mount=type=tmpfs,target=/ x", "target"),
    ("FROM --platform=what/is/this/now a", "is not a platform"),
]


@pytest.mark.parametrize(("text", "words"), ERRORS)
def test_a_mistake_is_shown_with_its_line(text: str, words: str) -> None:
    message = error(text)
    assert words in message
    assert ">>>" in message


def test_an_image_that_may_have_been_meant_for_a_stage_is_missed_together_with_the_stages() -> None:
    stages = "FROM a AS builder\nFROM a AS test\nFROM a\n"
    expected = "there is no image absent; there is no stage absent: the stages before it are builder, test"
    assert expected in error(f"{stages}COPY --from=absent a /")
    assert expected in error(f"{stages}RUN --mount=from=absent,target=/x true")
    assert "no stage" not in error(f"{stages}COPY --from=example.com/absent a /")
    assert "no stage" not in error("FROM a\nCOPY --from=absent a /")


def test_an_unknown_target_names_the_stages() -> None:
    message = error("FROM a AS builder\nFROM a AS final", target="biulder")
    assert "could not be found" in message
    assert "did you mean builder" in message


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (20_000_000, "20ms"),
        (1_500_000_000, "1.5s"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h0m0s"),
    ],
)
def test_durations_read_as_go_prints_them(nanoseconds: int, text: str) -> None:
    assert gostrings.duration(nanoseconds) == text


def test_strings_are_quoted_as_go_quotes_them() -> None:
    assert gostrings.quoted('a"b\\\n\t\x01é\u200b') == '"a\\"b\\\\\\n\\t\\x01é\\u200b"'
    assert gostrings.quoted(b"\xff\x7f".decode(errors="surrogateescape")) == r'"\xff\x7f"'


def test_an_image_without_layers_is_no_vertex() -> None:
    class Bare(Images):
        def image(self, name: str, platform: Platform) -> Base:
            return Base(digests.of(b"bare"), configs.empty(platform), name)

    graph = BuildGraph()
    planned("FROM bare", images=Bare(), graph=graph)
    assert not [vertex for vertex in graph.vertices.values() if isinstance(vertex, ImageLayers)]


@pytest.mark.parametrize(
    "lines",
    [
        lambda number: f"FROM s{number - 1} AS s{number}\n",
        lambda number: f"FROM scratch AS s{number}\nCOPY --from=s{number - 1} /f /f\n",
        lambda number: f"FROM scratch AS s{number}\nRUN --mount=from=s{number - 1},target=/m true\n",
    ],
)
def test_stages_may_stand_on_each_other_to_any_depth(lines: Callable[[int], str]) -> None:
    text = "FROM scratch AS s0\nCOPY f /f\n" + "".join(lines(number) for number in range(1, 1200))
    assert one(text).layers


def test_a_fault_in_a_stage_is_told_before_those_in_the_stages_that_need_it() -> None:
    text = "FROM scratch AS a\nCOPY --chown=x f /f\nFROM scratch\nUSER ${\nCOPY --from=a / /\n"
    assert "2 | >>> COPY --chown=x f /f" in error(text)
