"""Docker's plugin: the protocol, and that an image arrives in the engine or the command fails."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import debian, docker_client
from scripts.local_registry import LocalRegistry
from tests import engines
from tests.cli.docker.conftest import Named
from tests.needs import missing, need
from tests.program import Result, run


def test_docker_asks_a_plugin_what_it_is(plugin: Named) -> None:
    metadata = plugin("docker-cli-plugin-metadata").json()
    assert metadata["SchemaVersion"] == "0.1.0"
    assert metadata["Version"] == "v0.36.1"
    assert metadata["Vendor"]
    assert metadata["ShortDescription"]


def test_it_is_called_with_and_without_its_name(plugin: Named, tmp_path: Path) -> None:
    assert plugin("buildx", "version").stdout == plugin("version").stdout
    # The CLI passes its own options on, before the name.
    assert plugin("--config", tmp_path, "buildx", "ls").stdout == plugin("ls").stdout


@pytest.mark.parametrize("words", [["--load"], ["-o", "type=docker"], []], ids=["load", "type=docker", "nothing"])
def test_without_an_engine_an_image_for_it_is_an_error(plugin: Named, words: list[str], tmp_path: Path) -> None:
    socket = f"unix://{tmp_path}/none.sock"
    failed = plugin.fails(
        "build", *words, "-t", "app", "-", stdin="FROM scratch\nLABEL a=b\n", env={"DOCKER_HOST": socket}
    )
    assert failed.stderr.splitlines()[-1] == f"ERROR: no engine answers at {socket}, which DOCKER_HOST names"
    assert "--push" in failed.stderr


def test_a_builder_of_one_s_own_keeps_the_result_and_says_so(plugin: Named, tmp_path: Path) -> None:
    plugin("create", "--name", "N", "--use")
    built = plugin("build", "-q", "-t", "app", "-", stdin="FROM scratch\nLABEL a=b\n")
    assert "no output was asked for" in built.stderr
    assert (
        plugin("build", "-q", "-o", f"type=oci,dest={tmp_path}/x", "-", stdin="FROM scratch\nLABEL a=b\n").stderr == ""
    )


def test_beside_our_own_docker_it_uses_the_store(docker: Named, tmp_path: Path) -> None:
    beside = Named(docker, docker.path.parent / "docker-buildx")
    beside("build", "--load", "-q", "-t", "app", "-", stdin="FROM scratch\nLABEL a=b\n")
    assert docker("images", "-q").stdout


@pytest.mark.parametrize("words", [["--load"], ["-o", "type=docker"]], ids=["load", "type=docker"])
def test_called_as_docker_both_mean_the_store(docker: Named, words: list[str], tmp_path: Path) -> None:
    host = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    docker("build", *words, "-t", "app", "-", stdin="FROM scratch\nLABEL a=b\n", env=host)
    assert docker("image", "inspect", "-f", "{{.Config.Labels.a}}", "app").stdout == "b\n"


@pytest.mark.integration
def test_docker_builds_with_the_plugin_and_the_engine_has_the_image(plugin: Named, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    with engines.dockerd() as docker:
        config = Path(str(plugin.path)).parent.parent
        env = {**docker.env, "DOCKER_CONFIG": str(config), "POLYARCH_ROOT": str(plugin.root)}
        built = run(["docker", "buildx", "build", "--load", "-t", "loaded", tmp_path], env=env)
        assert docker.inspect("loaded")["Config"]["Labels"] == {"a": "b"}, str(built)
        run(["docker", "build", "-t", "plain", tmp_path], env=env)
        assert docker.inspect("plain")["Config"]["Labels"] == {"a": "b"}
        version = run(["docker", "buildx", "version"], env=env)
        assert version.stdout.startswith("github.com/docker/buildx v0.36.1 polyarch-")


@pytest.fixture(scope="session")
def compose() -> Path:
    """Debian sid's docker compose."""
    need("mmdebstrap")
    try:
        return docker_client.compose()
    except debian.UnavailableError as problem:
        missing(str(problem))


@pytest.fixture
def composed(plugin: Named, compose: Path, tmp_path: Path) -> Callable[..., Result]:
    """`docker compose` with Polyarch as its builder, in a directory with a service `web`. No engine answers."""
    (plugin.path.parent / "docker-compose").symlink_to(compose)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    env = {**plugin.env, "PATH": f"{engines.docker_programs()}:{plugin.env['PATH']}"}
    env |= {"DOCKER_CONFIG": str(plugin.path.parent.parent), "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}

    def call(*words: str, image: str, platforms: str, check: bool = True, host: str = "") -> Result:
        file = tmp_path / "compose.yaml"
        file.write_text(f"services: {{web: {{image: '{image}', build: {{context: ., platforms: {platforms}}}}}}}\n")
        given = env | ({"DOCKER_HOST": host} if host else {})
        return run(["docker", "compose", "--project-directory", tmp_path, *words], check=check, env=given)

    return call


@pytest.mark.integration
def test_docker_compose_builds_and_pushes_without_an_engine(
    plugin: Named, composed: Callable[..., Result], registry: LocalRegistry
) -> None:
    tag = f"{registry.address}/team/web:1"
    composed("build", "--push", image=tag, platforms="[linux/amd64, linux/arm64]")
    index = plugin("imagetools", "inspect", "--raw", tag).json()
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]


@pytest.mark.integration
@pytest.mark.parametrize("platforms", ["[linux/amd64]", "[linux/amd64, linux/arm64]"])
def test_docker_compose_never_reports_an_image_that_no_engine_has(
    composed: Callable[..., Result], platforms: str
) -> None:
    failed = composed("build", image="web:1", platforms=platforms, check=False)
    assert failed.status != 0
    assert "no engine answers" in failed.stderr


@pytest.mark.integration
def test_docker_compose_builds_into_the_engine(composed: Callable[..., Result]) -> None:
    with engines.dockerd() as docker:
        composed("build", image="web:1", platforms="[linux/amd64]", host=docker.host)
        assert docker.inspect("web:1")["Config"]["Labels"]["com.docker.compose.service"] == "web"
