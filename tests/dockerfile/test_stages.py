"""Stages: how names are resolved, and what FROM accepts."""

import pytest

from polyarch.dockerfile.parser import parse
from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.stages import AUTOMATIC, Stages, automatic_args, cut, description, global_env
from polyarch.oci import platform


def stages(text: str) -> Stages:
    return cut(parse(text))


THREE = stages("ARG V=1\nFROM a AS Base\nRUN x\nFROM Base AS two\nFROM b AS base\nENV a=b\nRUN y\n")


def test_a_file_is_cut_at_each_from() -> None:
    assert [(one.index, one.name, len(one.instructions)) for one in THREE.stages] == [
        (0, "base", 1),
        (1, "two", 0),
        (2, "base", 2),
    ]
    assert [arg.pairs for arg in THREE.global_args] == [(("V", "1"),)]


def test_the_target_is_the_last_stage_unless_it_is_named_in_any_case() -> None:
    assert THREE.target().index == 2
    assert THREE.target("TWO").index == 1
    assert THREE.target("base").index == 2


@pytest.mark.parametrize("name", ["three", "0", "tow"])
def test_a_target_that_is_no_name_of_a_stage_is_refused(name: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        THREE.target(name)
    assert f'target stage "{name}" could not be found' in caught.value.reason
    assert caught.value.hint == "the stages are base, two, base"


def test_from_means_an_earlier_stage_by_its_lowercase_name_only() -> None:
    assert THREE.base("base", THREE.stages[1]) is THREE.stages[0]
    assert THREE.base("Base", THREE.stages[1]) is None
    assert THREE.base("two", THREE.stages[1]) is None
    assert THREE.base("0", THREE.stages[1]) is None


def test_copy_means_an_earlier_stage_in_any_case_or_by_number() -> None:
    last = THREE.stages[2]
    assert THREE.source("TWO", last) is THREE.stages[1]
    assert THREE.source("0", last) is THREE.stages[0]
    assert THREE.source("BASE", last) is THREE.stages[0]
    assert THREE.source("alpine", last) is None
    assert THREE.mount_source("1", last) is None
    assert THREE.mount_source("Two", last) is THREE.stages[1]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("3", "invalid stage index 3"),
        ("1", "circular dependency detected on stage: 1"),
        ("two", "circular dependency detected on stage: two"),
        ("2", 'cannot copy from stage "2", it needs to be defined before current stage "two"'),
    ],
)
def test_a_stage_that_cannot_be_copied_from_is_refused(name: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        THREE.source(name, THREE.stages[1])
    assert caught.value.reason == reason


def test_an_instruction_before_the_first_from_is_refused_with_its_line() -> None:
    with pytest.raises(DockerfileError) as caught:
        stages("ARG a\nRUN x\nFROM b")
    assert caught.value.reason == "no build stage in current context"
    assert caught.value.locations[0].first == 2


def test_a_file_of_arguments_alone_has_no_stages() -> None:
    with pytest.raises(DockerfileError, match="dockerfile contains no stages to build"):
        stages("ARG a")


def test_the_automatic_arguments_name_both_platforms() -> None:
    args = automatic_args(platform.parse("linux/amd64"), platform.parse("linux/arm/v7"), "app")
    assert set(args) == set(AUTOMATIC)
    assert args["BUILDPLATFORM"] == "linux/amd64"
    assert args["TARGETPLATFORM"] == "linux/arm/v7"
    assert (args["TARGETOS"], args["TARGETARCH"], args["TARGETVARIANT"]) == ("linux", "arm", "v7")
    assert (args["BUILDVARIANT"], args["TARGETOSVERSION"], args["TARGETSTAGE"]) == ("", "", "app")
    windows = automatic_args(platform.parse("linux/amd64"), platform.parse("windows(10.0.1+win32k)/amd64"))
    assert windows["TARGETPLATFORM"] == "windows(10.0.1+win32k)/amd64"
    assert (windows["TARGETOSVERSION"], windows["TARGETSTAGE"]) == ("10.0.1", "default")


def test_global_defaults_see_those_before_them_and_build_arguments_win() -> None:
    args = stages("ARG A=1\nARG B=$A-$TARGETARCH C\nARG D=${C:-none}\nFROM x").global_args
    automatic = {"TARGETARCH": "arm64"}
    assert global_env(args, automatic, {}) == {"TARGETARCH": "arm64", "A": "1", "B": "1-arm64", "D": "none"}
    given = global_env(args, automatic, {"A": "2", "C": "3", "TARGETARCH": "x", "OTHER": "4"})
    assert given == {"TARGETARCH": "x", "A": "2", "B": "2-x", "C": "3", "D": "3"}


def test_a_comment_that_begins_with_the_name_describes_it() -> None:
    assert description(("other text", "app the program itself"), "app") == "the program itself"
    assert description(("application",), "app") == ""
