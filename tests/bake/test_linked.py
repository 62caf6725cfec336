"""Targets that are contexts of others: edges of one graph, planned before anything runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import trees
from tests.needs import need
from tests.program import Program

TWO = '["linux/amd64", "linux/arm64"]'


def inline(*lines: str) -> str:
    """A Dockerfile as the value of an attribute."""
    return "dockerfile-inline = " + json.dumps("\n".join(lines) + "\n").replace("${", "$${")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory for a bake file."""
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def write(project: Path, **targets: str) -> None:
    text = "".join(f"target {name} {{\n{body}\n}}\n" for name, body in targets.items())
    (project / "docker-bake.hcl").write_text(text)


@pytest.mark.integration
def test_a_target_runs_while_an_unrelated_one_of_the_same_depth_as_its_context_still_does(
    polyarch: Program, busybox: str, project: Path
) -> None:
    need("crun")
    meeting = "RUN --mount=type=cache,id=meeting,target=/m"
    write(
        project,
        # It ends only after `top` has run, which is built on another target.
        slow=inline(
            f"FROM {busybox}", f"{meeting} for i in $(seq 600); do [ -e /m/top ] && exit 0; sleep 0.1; done; exit 1"
        ),
        base=inline(f"FROM {busybox}", "RUN echo 1 > /base"),
        top=inline("FROM base", f"{meeting} cat /base > /m/top") + '\ncontexts = { base = "target:base" }',
    )
    built = polyarch("bake", "--progress=plain", "slow", "top", cwd=project)
    assert "top] FROM target:base" in built.stderr
    again = polyarch("bake", "--progress=plain", "slow", "top", cwd=project)
    # The base and the steps of three targets, and what `top` is built on.
    assert again.stderr.count("CACHED") == 5, again.stderr


def test_a_plan_takes_the_config_of_the_target_that_it_is_built_on(polyarch: Program, project: Path) -> None:
    base = (
        "FROM scratch",
        "ENV PATH=/tools KIND=base",
        "WORKDIR /work",
        "USER 7:8",
        "LABEL of=base",
        "ONBUILD COPY --chmod=600 docker-bake.hcl triggered",
    )
    top = ("ENV KIND=$KIND-top", "WORKDIR sub", "COPY docker-bake.hcl $KIND")
    write(
        project,
        base=inline(*base),
        top=inline("FROM base", *top) + f'\ncontexts = {{ base = "target:base" }}\nplatforms = {TWO}\ntags = ["top:1"]',
        same=inline(f"{base[0]} AS base", *base[1:5], "FROM base", base[5].removeprefix("ONBUILD "), *top)
        + f'\nplatforms = {TWO}\ntags = ["same:1"]',
    )
    polyarch("bake", "top", "same", "--set", "*.args.SOURCE_DATE_EPOCH=1", cwd=project)

    def config(name: str) -> dict[str, Any]:
        (found,) = polyarch("inspect", "--platform", "linux/arm64", name).json()
        return {key: found[key] for key in ("Config", "RootFS", "Architecture", "Os")}

    assert config("top:1") == config("same:1")
    assert config("top:1")["Config"]["User"] == "7:8"
    assert config("top:1")["Config"]["WorkingDir"] == "/work/sub"


def test_steps_on_a_target_are_done_once_for_all_platforms_if_the_target_is(polyarch: Program, project: Path) -> None:
    write(
        project,
        base=inline("FROM scratch", "COPY docker-bake.hcl /base"),
        top=inline("FROM base", "COPY docker-bake.hcl /top")
        + f'\ncontexts = {{ base = "target:base" }}\nplatforms = {TWO}\noutput = ["out"]',
    )
    built = polyarch("bake", "--progress=plain", "top", cwd=project)
    assert built.stderr.count("COPY docker-bake.hcl /top") == 1
    assert sorted(path.name for path in (project / "out/linux_arm64").iterdir()) == ["base", "top"]


def test_a_context_may_be_for_one_platform(polyarch: Program, project: Path) -> None:
    write(
        project,
        base=inline("FROM scratch", "COPY docker-bake.hcl /base"),
        top=inline("FROM base", "COPY docker-bake.hcl /top")
        + '\ncontexts = { "base::linux/amd64" = "target:base", "base::linux/arm64" = "docker-image://scratch" }'
        + '\nplatforms = ["linux/amd64"]\noutput = ["out"]',
    )
    polyarch("bake", "top", cwd=project)
    assert sorted(path.name for path in (project / "out").iterdir()) == ["base", "top"]


@pytest.mark.integration
def test_a_cached_step_of_another_target_keeps_the_owners_of_its_files(
    polyarch: Program, busybox: str, project: Path
) -> None:
    need("crun")
    base = inline(f"FROM {busybox}", "RUN mkdir /of && touch /of/five && chown 5:6 /of/five")
    linked = '\ncontexts = { base = "target:base" }\noutput = ["out"]'
    write(
        project,
        base=base,
        top=inline("FROM base", "RUN stat -c %u:%g /of/five > /said", "FROM scratch", "COPY --from=0 /said /") + linked,
    )
    polyarch("bake", "top", cwd=project)
    # The second time, the step of `base` is in the cache, and the last layer is made of its files.
    write(
        project,
        base=base,
        top=inline(
            "FROM base AS b",
            "FROM scratch AS copied",
            "COPY --from=b /of /of",
            "COPY --from=base /of /again",
            f"FROM {busybox}",
            "RUN --mount=from=copied,target=/b stat -c %u:%g /b/of/five /b/again/five > /said",
            "FROM scratch",
            "COPY --from=2 /said /",
        )
        + linked,
    )
    polyarch("bake", "top", cwd=project)
    assert (project / "out/said").read_text() == "5:6\n5:6\n"


def test_targets_on_one_that_fails_are_named_and_the_others_are_finished(polyarch: Program, project: Path) -> None:
    write(
        project,
        bad=inline("FROM scratch", "COPY nothing /"),
        middle=inline("FROM bad", "COPY docker-bake.hcl /") + '\ncontexts = { bad = "target:bad" }',
        top=inline("FROM scratch", "COPY --from=middle / /") + '\ncontexts = { middle = "target:middle" }',
        alone=inline("FROM scratch", "COPY docker-bake.hcl /") + '\noutput = ["out"]',
    )
    done = polyarch.fails("bake", "--keep-going", "top", "alone", cwd=project)
    assert (project / "out/docker-bake.hcl").exists()
    assert '"/nothing": not found' in done.stderr
    assert "target middle: [linux/amd64] Dockerfile:1: its context bad failed" in done.stderr
    assert "target top: [linux/amd64] Dockerfile:2: its context middle failed" in done.stderr


@pytest.mark.integration
def test_a_step_that_fails_stops_what_is_on_it_only(polyarch: Program, busybox: str, project: Path) -> None:
    need("crun")
    write(
        project,
        bad=inline(f"FROM {busybox}", "RUN false"),
        top=inline("FROM scratch", "COPY --from=bad /bin /bin") + '\ncontexts = { bad = "target:bad" }',
        alone=inline(f"FROM {busybox}", "RUN echo 1 > /one") + '\noutput = ["out"]',
    )
    done = polyarch.fails("bake", "--keep-going", "top", "alone", cwd=project)
    assert (project / "out/one").read_text() == "1\n"
    assert "target bad: " in done.stderr
    assert "target top: [linux/amd64] Dockerfile:2: its context bad failed" in done.stderr
    assert "2 of 3 targets failed" in done.stderr


def test_provenance_names_the_image_of_a_context_by_its_digest(polyarch: Program, project: Path) -> None:
    write(
        project,
        base=inline("FROM scratch", "COPY docker-bake.hcl /base") + '\ntags = ["base:1"]',
        top=inline("FROM base", "COPY docker-bake.hcl /top")
        + '\ncontexts = { base = "target:base" }\nattest = ["type=provenance,mode=max"]\noutput = ["out"]',
    )
    polyarch("bake", "base", "top", cwd=project)
    statement = json.loads((project / "out/provenance.json").read_text())
    named = json.dumps(statement)
    (image,) = polyarch("images", "--no-trunc", "--digests", "--format", "{{.Digest}}", "base:1").lines()
    assert "pkg:oci/base" in named
    assert image.removeprefix("sha256:") in named


def test_what_cannot_name_the_image_of_a_context_is_not_exported(polyarch: Program, project: Path) -> None:
    write(
        project,
        base=inline("FROM scratch", "COPY docker-bake.hcl /base")
        + '\ntags = ["127.0.0.1:1/base:1"]\noutput = ["type=registry"]',
        top=inline("FROM base", "COPY docker-bake.hcl /top")
        + '\ncontexts = { base = "target:base" }\nattest = ["type=provenance"]\noutput = ["out"]',
        alone=inline("FROM scratch", "COPY docker-bake.hcl /") + '\noutput = ["alone"]',
    )
    done = polyarch.fails("bake", "--keep-going", "base", "top", "alone", cwd=project)
    assert "2 of 3 targets failed" in done.stderr
    assert "target top: not exported, because its context base was not" in done.stderr
    assert not (project / "out").exists()
    assert (project / "alone/docker-bake.hcl").exists()


def test_a_forecast_goes_on_without_targets_that_cannot_be_examined(polyarch: Program, project: Path) -> None:
    trees.write(project, {"broken/Dockerfile": "FORM scratch\n"})
    write(
        project,
        planned='context = "broken"',
        read=inline("FROM scratch", "COPY nothing /"),
        top=inline("FROM read", "COPY docker-bake.hcl /") + '\ncontexts = { read = "target:read" }',
        alone=inline("FROM scratch", "COPY docker-bake.hcl /"),
    )
    names = ("planned", "read", "top", "alone")
    stopped = polyarch.fails("bake", "--explain", *names, cwd=project)
    assert stopped.stdout == ""
    assert "target planned: Dockerfile:1" in stopped.stderr
    done = polyarch.fails("bake", "--explain", "--keep-going", "--format=json", *names, cwd=project)
    assert [target["name"] for target in json.loads(done.stdout)["targets"]] == ["alone"]
    assert "3 of 4 targets failed" in done.stderr
    assert "target top: [linux/amd64] Dockerfile:1: its context read failed" in done.stderr
    assert polyarch.fails("bake", "--explain", "--keep-going", "planned", cwd=project).stdout == ""
