"""What `docker` answers, as clients read it. The names W1 … are in docs/reference/docker.md."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.cli.docker.conftest import Named
from tests.program import Program

BUILDX_VERSION = re.compile(r"\sv?([0-9a-f]{7}|[0-9.]+)")
GROUPS = [[], ["image"], ["manifest"], ["system"], ["context"], ["container"], ["builder"], ["buildx", "imagetools"]]


@pytest.mark.parametrize("words", GROUPS, ids=" ".join)
def test_a_group_alone_prints_its_help_and_succeeds(docker: Named, words: list[str]) -> None:
    shown = docker(*words)
    assert shown.stdout.startswith(f"Usage: {' '.join(['docker', *words])} ")
    assert shown.stderr == ""


def test_an_unknown_command_is_an_error_whose_last_line_is_the_cause(docker: Named) -> None:
    failed = docker.fails("buildx", "frobnicate")
    assert failed.stdout == ""
    assert failed.stderr.splitlines()[-1] == "ERROR: unknown command: docker buildx frobnicate"


@pytest.mark.parametrize(
    "words",
    [
        ["exec", "x", "y"],
        ["compose", "up"],
        ["network", "create", "x"],
        ["run", "-d", "x"],
        ["inspect", "--type=container", "x"],
    ],
)
def test_what_needs_a_daemon_says_so_in_the_last_line(docker: Named, words: list[str]) -> None:
    last = docker.fails(*words).stderr.splitlines()[-1]
    assert last.startswith("ERROR: ")
    assert "daemon" in last


def test_buildx_version_passes_the_gates_of_clients(docker: Named) -> None:
    shown = docker("buildx", "version")
    assert shown.stdout == "github.com/docker/buildx v0.36.1 polyarch-0.1.0\n"
    found = BUILDX_VERSION.search(shown.stdout)
    assert found is not None
    assert found[1] == "0.36.1"


def test_versions_are_docker_s(docker: Named) -> None:
    assert docker("--version").stdout.startswith("Docker version 28.5.2, build ")
    assert docker("--version", "").stdout.startswith("Docker version 28.5.2, build ")
    assert docker("version", "--format", "{{.Server.Version}}").stdout == "28.5.2\n"
    assert docker("version", "-f", "{{json .Server.Version}}").stdout == '"28.5.2"\n'
    both = docker("version", "--format", "{{json .}}").json()
    for side in ("Client", "Server"):
        assert {"Version", "ApiVersion", "Os", "Arch", "GitCommit", "GoVersion", "BuildTime"} <= set(both[side])
    plain = docker("version").stdout
    assert plain.startswith("Client:\n Version: ")
    assert "\nServer: Polyarch " in plain


def test_info_has_docker_s_fields(docker: Named) -> None:
    whole = docker("info", "--format", "{{json .}}").json()
    assert docker("system", "info", "-f", "{{.OSType}}/{{.NCPU}}").stdout == f"linux/{os.cpu_count()}\n"
    assert whole["Architecture"] == os.uname().machine
    assert whole["Containers"] == whole["Images"] == 0
    assert "Server Version: 28.5.2" in docker("info").stdout


def test_the_disk_usage_has_docker_s_types(docker: Named) -> None:
    rows = [json.loads(line) for line in docker("system", "df", "--format", "{{json .}}").lines()]
    assert [row["Type"] for row in rows] == ["Images", "Containers", "Local Volumes", "Build Cache"]


def parsed(text: str) -> dict[str, list[str]]:
    """`buildx inspect` as the actions read it: split at the first colon, keys at column 0."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and not line.startswith(" "):
            found.setdefault(key, []).append(value.strip())
    return found


def test_builders_are_names(docker: Named) -> None:
    assert parsed(docker("buildx", "inspect").stdout)["Name"] == ["default", "default"]
    assert docker.fails("buildx", "inspect", "N").stderr == 'ERROR: no builder "N" found\n'
    flags = "--allow-insecure-entitlement security.insecure --allow-insecure-entitlement network.host"
    words = ["--name=N", "--driver=docker-container", "--driver-opt=network=host", "--driver-opt=env.a=b"]
    created = docker("buildx", "create", *words, "--buildkitd-flags", flags, "--platform=linux/arm64", "--use")
    assert created.stdout == "N\n"
    shown = docker("buildx", "inspect", "--bootstrap", "--builder", "N").stdout
    assert shown.startswith("Name:          N\n")
    found = parsed(shown)
    assert found["Name"] == ["N", "n0"]
    assert found["Driver"] == ["docker-container"]
    assert found["BuildKit version"] == ["v0.29.0"]
    assert found["Driver Options"] == ['network="host" env.a="b"']
    assert found["BuildKit daemon flags"] == [flags]
    assert found["Platforms"][0].startswith("linux/arm64*, linux/amd64")
    assert shown == docker("buildx", "inspect").stdout, "it is the current builder"
    docker("buildx", "create", "--name=N", "--append", "--node=other", "--platform=linux/s390x", "ssh://host")
    assert parsed(docker("buildx", "inspect", "N").stdout)["Endpoint"] == ["polyarch", "ssh://host"]
    again = docker.fails("buildx", "create", "--name=N")
    assert 'existing instance for "N"' in again.stderr.splitlines()[-1]


def test_the_case_of_a_builder_s_name_does_not_matter(docker: Named) -> None:
    assert docker("buildx", "create", "--name=FooBar").stdout == "FooBar\n"
    assert parsed(docker("buildx", "inspect", "FOOBAR").stdout)["Name"] == ["FooBar", "foobar0"]
    assert "existing instance" in docker.fails("buildx", "create", "--name=foobar").stderr
    docker("buildx", "use", "foobar")
    assert parsed(docker("buildx", "inspect").stdout)["Name"] == ["FooBar", "foobar0"]
    docker("buildx", "rm", "fooBAR")
    docker("context", "create", "far")
    refused = docker.fails("buildx", "use", "far").stderr
    assert refused == "ERROR: run `docker context use far` to switch to context far\n"
    assert parsed(docker("buildx", "inspect").stdout)["Name"] == ["default", "default"]


def references(docker: Named, directory: Path, *words: str) -> set[str]:
    """BUILDER/NODE of the references of a `build` and of a `bake`."""
    (directory / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    bake = {"target": {"default": {"context": str(directory)}}}
    (directory / "docker-bake.json").write_text(json.dumps(bake))
    file = directory / "metadata"
    found = []
    for command in (["build", "-q", directory], ["bake", "--progress=quiet", "--allow=fs=*"]):
        docker(*words, "buildx", *command, "--metadata-file", file, cwd=directory)
        metadata = json.loads(file.read_bytes())
        found.append(metadata.get("default", metadata)["buildx.build.ref"])
    return {reference.rpartition("/")[0] for reference in found}


def test_the_reference_of_a_build_names_the_current_builder(docker: Named, tmp_path: Path) -> None:
    assert references(docker, tmp_path) == {"default/default"}
    docker("buildx", "create", "--name=N", "--node=first", "--use")
    assert references(docker, tmp_path) == {"N/first"}
    docker("buildx", "use", "default")
    docker("context", "create", "far")
    docker("context", "use", "far")
    assert references(docker, tmp_path) == {"far/far"}
    assert [row["Name"] for row in map(json.loads, docker("buildx", "ls", "--format=json").lines())] == [
        "N",
        "default",
        "far",
    ]
    assert references(docker, tmp_path, "--host=unix:///x") == {"default/default"}
    docker.env["DOCKER_HOST"] = "unix:///x"
    assert references(docker, tmp_path) == {"default/default"}
    assert references(docker, tmp_path, "--context=far") == {"far/far"}
    docker.env["BUILDX_BUILDER"] = "M"
    assert references(docker, tmp_path) == {"M/m0"}
    refused = docker.fails("--context=far", "--host=unix:///x", "buildx", "ls").stderr
    assert refused == "ERROR: conflicting options: cannot specify both --host and --context\n"


def test_a_name_of_a_node_is_no_path(docker: Named, tmp_path: Path) -> None:
    assert "invalid" in docker.fails("buildx", "create", "--name=N", "--node=../../x").stderr


def test_builders_are_listed_one_object_in_each_line(docker: Named) -> None:
    name = docker("buildx", "create").stdout.strip()
    rows = [json.loads(line) for line in docker("buildx", "ls", "--format", "{{json . }}").lines()]
    assert [(row["Name"], row["Current"]) for row in rows] == [(name, False), ("default", True)]
    keys = {"Name", "Endpoint", "Flags", "Status", "Version", "IDs", "Platforms", "Labels"}
    assert set(rows[0]["Nodes"][0]) == keys
    docker("buildx", "use", name)
    assert f"\n{name}*" in docker("buildx", "ls").stdout
    assert rows == rows
    docker("buildx", "use", "another")
    docker("buildx", "stop", "another")
    docker("buildx", "rm", "another", name)
    left = docker("buildx", "ls", "--format=json").lines()
    assert [json.loads(line)["Name"] for line in left] == ["default"]


def test_builders_and_their_nodes_are_rows_of_a_template(docker: Named) -> None:
    docker("buildx", "create", "--name=N", "--platform=linux/arm64")
    form = "{{.Builder.Name}} {{.Name}} {{.DriverEndpoint}} {{.Status}} {{.Error}}"
    assert docker("buildx", "ls", "--format", form).lines() == [
        "N N docker-container  ",
        "N n0 polyarch running ",
        "default default docker-container  ",
        "default default polyarch running ",
    ]
    table = docker("buildx", "ls", "--format", "table {{.Name}}\t{{.Buildkit}}").lines()
    assert [line.split() for line in table][:3] == [["NAME/NODE", "BUILDKIT"], ["N"], ["\\_", "n0", "v0.29.0"]]
    assert docker("buildx", "ls").lines()[0].split() == [
        "NAME/NODE",
        "DRIVER/ENDPOINT",
        "STATUS",
        "BUILDKIT",
        "PLATFORMS",
    ]


@pytest.mark.parametrize(
    ("words", "header"),
    [
        ("ps -a --filter name=x", "CONTAINER ID"),
        ("network ls", "NETWORK ID"),
        ("compose ps", "NAME"),
        ("compose ls --format table", "NAME"),
    ],
)
def test_what_only_a_daemon_keeps_is_an_empty_list(docker: Named, words: str, header: str) -> None:
    assert docker(*words.split("--format")[0].split()).lines()[0].startswith(header)
    assert docker(*words.split(), "-q").stdout == ""


@pytest.mark.parametrize("words", ["container prune -f", "system prune -af --volumes"])
def test_removing_what_only_a_daemon_keeps_frees_nothing(docker: Named, words: str) -> None:
    assert docker(*words.split()).stdout == "Total reclaimed space: 0B\n"
    assert docker("network", "prune", "--force").stdout == ""


def test_compose_is_there_and_says_its_version(docker: Named) -> None:
    assert docker("compose", "version").stdout == "Docker Compose version v2.40.3\n"
    assert docker("compose", "version", "--short").stdout == "2.40.3\n"
    assert docker("compose", "version", "-f", "json").json() == {"version": "v2.40.3"}
    assert docker("compose").stdout.startswith("Usage: docker compose")


def test_info_answers_for_what_there_is_not(docker: Named) -> None:
    form = "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}} {{.LoggingDriver}} {{.CgroupDriver}}"
    assert docker("info", "--format", form).stdout == "inactive false none none\n"
    whole = docker("info", "-f", "json").json()
    assert whole["DefaultRuntime"] in whole["Runtimes"]


def test_docker_buildx_beside_our_docker_has_the_commands_of_buildx(docker: Named) -> None:
    beside = Named(docker, docker.path.parent / "docker-buildx")
    assert beside("version").stdout == docker("buildx", "version").stdout == beside("buildx", "version").stdout
    assert beside("create", "--name=N").stdout == "N\n"
    assert beside("ls").stdout == docker("buildx", "ls").stdout


@pytest.mark.parametrize(
    "words",
    [["buildx", "rm", "x"], ["buildx", "rm", "--keep-state"], ["logout", "example.test"], ["context", "rm", "-f", "x"]],
    ids=" ".join,
)
def test_removing_what_is_not_there_succeeds(docker: Named, words: list[str]) -> None:
    assert docker(*words).status == 0


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["create", "--name=-x"], "invalid instance name '-x'"),
        (["create", "--driver=moon"], 'failed to find driver "moon"'),
        (["create", "--driver=docker"], 'additional instances of driver "docker" cannot be created'),
        (["create", "--config=/nowhere.toml"], "there is no file /nowhere.toml"),
        (["create", "--leave"], "--leave needs --name and --node"),
        (["rm", "--all-inactive", "x"], "cannot specify builder name"),
        (["prune", "--force", "--filter=colour=red"], "unknown filter 'colour=red'"),
    ],
)
def test_what_buildx_refuses_is_refused(docker: Named, words: list[str], cause: str) -> None:
    assert cause in docker.fails("buildx", *words).stderr.splitlines()[-1]


def test_a_damaged_list_of_builders_is_named(docker: Named) -> None:
    file = docker.home / ".docker/buildx/polyarch.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    failed = docker.fails("buildx", "ls")
    assert str(file) in failed.stderr.splitlines()[-1]


def test_contexts_are_names(docker: Named) -> None:
    assert docker("context", "inspect", "--format", "{{.Name}}").stdout == "default\n"
    (element,) = docker("context", "inspect", "--format=json", "default").json()
    assert element["Endpoints"]["docker"] == {"Host": "unix:///var/run/docker.sock", "SkipTLSVerify": False}
    assert element["TLSMaterial"] == {}
    assert docker("context", "create", "far", "--docker", "host=tcp://far:2376").stdout == "far\n"
    docker("context", "use", "far")
    assert docker("context", "show").stdout == "far\n"
    assert docker("context", "ls", "--format", "{{.Name}} {{.Current}}").lines() == ["default false", "far true"]
    docker("context", "rm", "far")
    assert docker("context", "show").stdout == "default\n"
    assert (
        docker.fails("context", "inspect", "far").stderr.splitlines()[-1] == 'ERROR: context "far": context not found'
    )


def test_aliases_are_the_same_commands(docker: Named) -> None:
    docker("buildx", "b", "-q", "-t", "app", "-", stdin="FROM scratch\nLABEL k=v\n")
    assert docker("image", "list", "-q").stdout == docker("images", "-q").stdout != ""
    assert docker("image", "ls", "-q", "--filter", "label=k").lines() == docker("images", "-q").lines()
    assert docker("images", "-q", "--filter", "label=k=other").stdout == ""
    assert docker("image", "remove", "app").stdout.startswith("Untagged: app:latest\n")
    assert docker("container", "ls", "-aq").stdout == docker("ps", "-q").stdout == ""
    assert docker("buildx", "install").status == 0
    docker("builder", "prune", "--force", "--all")


def test_an_image_that_is_not_there_is_reported_in_docker_s_words(docker: Named) -> None:
    for words in (["image", "inspect", "x"], ["inspect", "x"]):
        failed = docker.fails(*words)
        assert (failed.status, failed.stdout) == (1, "[]\n")
        assert failed.stderr == "Error response from daemon: No such image: x\n"
    for words in (["rmi", "x"], ["tag", "x", "y"], ["push", "x"], ["save", "-o", "/dev/null", "x"]):
        assert docker.fails(*words).stderr.splitlines()[-1] == "Error response from daemon: No such image: x"


def test_options_stand_before_and_behind_a_command(docker: Named, tmp_path: Path) -> None:
    config = tmp_path / "configured"
    first = ["--debug", "--log-level=info", "--context=c", "--tls", "--config", config]
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    docker(*first, "buildx", "--builder", "before", "build", "-q", tmp_path)
    docker("--config", config, "buildx", "build", "-q", "-D", "--builder=behind", tmp_path)
    docker("--config", config, "build", "-q", "--builder", "plain", "--debug", tmp_path)
    rows = docker("--config", config, "buildx", "ls", "--format=json").lines()
    assert [json.loads(row)["Name"] for row in rows] == ["before", "behind", "plain", "default"]
    assert docker("buildx", "ls", "--format={{.Name}}").lines() == ["default", "default"]
    assert (config / "buildx/polyarch.json").is_file()


def test_a_failure_always_writes_to_standard_error(docker: Named, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("from scratch\nCOPY Dockerfile /\n")
    failed = docker("buildx", "build", "--check", tmp_path, check=False)
    assert failed.status == 1
    assert failed.stderr != ""


def test_the_help_of_buildx_names_its_option(docker: Named) -> None:
    # bentoml looks for these words.
    assert "--builder string" in docker("buildx", "--help").stdout


def test_a_cgroup_parent_is_noted(docker: Named, tmp_path: Path) -> None:
    built = docker("build", "-q", "--cgroup-parent=x", "-", stdin="FROM scratch\nLABEL a=b\n")
    assert built.stderr == "--cgroup-parent has no effect: a RUN stays in the cgroup of this command\n"


def test_pruning_by_age_keeps_what_was_used(docker: Named, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    docker("build", "-q", "-t", "app", tmp_path)
    docker("rmi", "--no-prune", "app")
    assert docker("buildx", "prune", "--force", "--all", "--filter", "until=1h").lines() == [
        "Total reclaimed space: 0B"
    ]
    removed = docker("buildx", "prune", "--force", "--all", "--filter", "until=0s").lines()
    assert len(removed) > 1
    kept = docker("buildx", "prune", "--force", "--all", "--reserved-space=1GB").lines()
    assert kept == ["Total reclaimed space: 0B"]


def test_a_prune_of_everything_takes_an_age_too(docker: Named, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    docker("build", "-q", "-t", "app", tmp_path)
    docker("rmi", "--no-prune", "app")
    young = docker("system", "prune", "--all", "--force", "--volumes", "--filter", "until=24h")
    assert young.lines() == ["Total reclaimed space: 0B"]
    assert len(docker("system", "prune", "--all", "--force").lines()) > 1


def test_links_replace_their_own_kind_only(polyarch: Program, tmp_path: Path) -> None:
    links = tmp_path / "bin"
    helper = links / "docker-credential-pass"
    links.mkdir()
    helper.write_text("")
    polyarch("docker-links", links)
    assert sorted(os.listdir(links)) == ["docker", "docker-buildx", "docker-credential-pass"]
    polyarch("docker-links", links)
    (links / "docker").unlink()
    (links / "docker").write_text("real")
    assert "exists, and is not a link of Polyarch" in polyarch.fails("docker-links", links).stderr
    assert (links / "docker").read_text() == "real"
    polyarch("docker-links", "--force", links)
    assert os.path.realpath(links / "docker") == os.path.realpath(polyarch.path)
