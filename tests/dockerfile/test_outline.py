"""Listing a Dockerfile's targets and their arguments."""

import pytest

from polyarch.dockerfile.outline import Needed, outline, reachable, targets
from polyarch.dockerfile.parser import parse
from polyarch.dockerfile.source import DockerfileError, Location
from polyarch.dockerfile.stages import cut, global_env

TEXT = """\
# GO which compiler
ARG GO=1.22
ARG UNUSED=1
FROM golang:$GO AS build
# TAGS features to compile in
ARG TAGS=a,$GO
ARG TARGETARCH
RUN --mount=type=secret,id=npm --mount=type=ssh go build
RUN --mount=type=secret,id=npm,required go test
FROM alpine AS docs
RUN make docs
FROM alpine AS other
COPY --from=docs / /
# app the program itself
FROM scratch AS app
COPY --from=build /a /a
RUN --mount=from=docs,target=/d true
"""
STAGES = cut(parse(TEXT))
ENV = global_env(STAGES.global_args, {}, {})


def test_each_stage_is_a_target_and_the_last_one_the_default() -> None:
    assert [(one.name, one.base, one.description, one.default) for one in targets(STAGES)] == [
        ("build", "golang:$GO", "", False),
        ("docs", "alpine", "", False),
        ("other", "alpine", "", False),
        ("app", "scratch", "the program itself", True),
    ]


def test_only_the_stages_that_the_target_needs_are_reached() -> None:
    assert [stage.name for stage in reachable(STAGES, STAGES.target("app"), ENV)] == ["build", "docs", "app"]
    assert [stage.name for stage in reachable(STAGES, STAGES.target("other"), ENV)] == ["docs", "other"]


def test_an_outline_has_the_arguments_secrets_and_sockets_of_what_is_reached() -> None:
    found = outline(STAGES, STAGES.target("app"), ENV)
    assert found.description == "the program itself"
    assert [(one.name, one.value, one.description) for one in found.arguments] == [
        ("GO", "1.22", "which compiler"),
        ("TAGS", "a,1.22", "features to compile in"),
    ]
    assert found.secrets == (Needed("npm", True, Location(9, 9)),)
    assert found.ssh == (Needed("default", False, Location(8, 8)),)
    assert outline(STAGES, STAGES.target("docs"), ENV).arguments == ()


def test_a_stage_that_cannot_be_copied_from_is_named_with_its_line() -> None:
    stages = cut(parse("FROM a\nCOPY --from=7 a b\n"))
    with pytest.raises(DockerfileError, match="Dockerfile:2: invalid stage index 7"):
        outline(stages, stages.target(), {})
