"""`save`, `load` and `-o type=docker`: what engines and other tools read, and what they wrote."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import engines
from tests.engines import Engine
from tests.integration.conftest import Skopeo
from tests.needs import need
from tests.oci import schemas
from tests.program import Program, run

_ARCHITECTURES = {"linux/amd64": "amd64", "linux/arm64": "arm64", "linux/arm/v7": "arm", "linux/s390x": "s390x"}
_DOCKERFILE = "FROM busybox\nCOPY <<E /greeting\nhello\nE\n"


@pytest.fixture(scope="module", params=["dockerd", "podman"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Debian's docker engine, and podman's service."""
    with getattr(engines, request.param)() as running:
        yield running


def _here(program: Program, name: str) -> list[str]:
    """The platforms of a name whose content is in the store."""
    listed = program("images", "--format", "json", name).json()
    return [entry["Platform"] for entry in listed["Platforms"] if entry["Available"]]


def _saved(program: Program, *arguments: str) -> bytes:
    """What `polyarch save` writes to standard output."""
    command: list[str | Path] = [*program.prefix, program.path, "save", *arguments]
    return subprocess.run(command, env=program.env, capture_output=True, check=True).stdout


class TestEngines:
    """What docker and podman load."""

    @pytest.mark.parametrize("compression", ["none", "gzip"])
    def test_an_engine_loads_a_saved_image_of_many_platforms_and_has_this_machines(
        self, engine: Engine, polyarch: Program, busybox: str, compression: str
    ) -> None:
        name = f"example.com/team/saved:{compression}"
        polyarch("tag", busybox, name)
        said = engine("load", stdin=_saved(polyarch, "--compress", compression, name)).stdout
        assert name in said
        own = polyarch("inspect", name).json()[0]
        assert engine.inspect(name)["Architecture"] == own["Architecture"]

    def test_one_archive_brings_several_names(
        self, engine: Engine, polyarch: Program, busybox: str, tmp_path: Path
    ) -> None:
        polyarch("tag", busybox, "example.com/one:1")
        polyarch("tag", busybox, "example.com/two:2")
        polyarch("save", "-o", tmp_path / "both.tar", "example.com/one:1", "example.com/two:2")
        engine("load", "-i", tmp_path / "both.tar")
        assert engine.inspect("example.com/one:1")["Id"] == engine.inspect("example.com/two:2")["Id"]

    def test_a_name_of_docker_hub_keeps_its_meaning(self, engine: Engine, polyarch: Program, busybox: str) -> None:
        engine("load", stdin=_saved(polyarch, busybox))
        assert engine.inspect("docker.io/library/busybox:latest")["Id"] == engine.inspect("busybox")["Id"]

    def test_a_build_goes_straight_into_a_running_engine(
        self, engine: Engine, polyarch: Program, busybox: str, tmp_path: Path
    ) -> None:
        words = ["build", "--platform", "linux/arm64", "-t", "example.com/straight:1", "-o", "type=docker", "-"]
        polyarch(*words, stdin=_DOCKERFILE, env={"DOCKER_HOST": engine.host})
        assert engine.inspect("example.com/straight:1")["Architecture"] == "arm64"

    def test_two_platforms_for_an_engine_that_keeps_one_are_refused_before_the_build(
        self, engine: Engine, polyarch: Program, busybox: str
    ) -> None:
        words = ["build", "--platform", "linux/amd64,linux/arm64", "-t", "example.com/two:2", "-o", "type=docker", "-"]
        result = polyarch.fails(*words, stdin=_DOCKERFILE, env={"DOCKER_HOST": engine.host})
        assert "keeps one platform of an image, and this build is for linux/amd64, linux/arm64" in result.stderr
        assert "-o type=docker,dest=FILE" in result.stderr
        assert "example.com/two" not in polyarch("images").stdout

    def test_load_says_that_the_engine_of_docker_host_did_not_get_the_image(
        self, polyarch: Program, busybox: str
    ) -> None:
        words = ["build", "--load", "-q", "-"]
        assert "engine" not in polyarch(*words, stdin=_DOCKERFILE).stderr
        near = polyarch(*words, stdin=_DOCKERFILE, env={"DOCKER_HOST": "unix:///run/docker.sock"}).stderr
        assert near == (
            "the image is in the store of Polyarch, not in the engine at unix:///run/docker.sock: "
            "-o type=docker sends it there\n"
        )
        far = polyarch(*words, stdin=_DOCKERFILE, env={"DOCKER_HOST": "ssh://box"}).stderr
        assert "polyarch save NAME | docker load" in far

    def test_what_an_engine_saved_comes_back(
        self, engine: Engine, polyarch: Program, busybox: str, fresh: Program, tmp_path: Path
    ) -> None:
        polyarch("tag", busybox, "example.com/back:1")
        engine("load", stdin=_saved(polyarch, "example.com/back:1"))
        engine("save", "-o", tmp_path / "theirs.tar", "example.com/back:1")
        assert fresh("load", "-i", tmp_path / "theirs.tar").stdout == "Loaded image: example.com/back:1\n"
        assert fresh("run", "--rm", "example.com/back:1", "echo", "still runs").stdout == "still runs\n"
        manifest = fresh("manifest", "inspect", "example.com/back:1").json()
        assert [layer["mediaType"].rpartition("+")[2] for layer in manifest["layers"]] == ["gzip"]

    def test_an_engine_that_docker_host_names_and_that_is_not_there_is_an_error(
        self, polyarch: Program, busybox: str, tmp_path: Path
    ) -> None:
        result = polyarch.fails(
            *("build", "-t", "x", "-o", "type=docker", "-"),
            stdin=_DOCKERFILE,
            env={"DOCKER_HOST": f"unix://{tmp_path}/nothing.sock"},
        )
        assert f"no engine answers at unix://{tmp_path}/nothing.sock" in result.stderr

    def test_layers_that_an_old_engine_cannot_read_are_a_warning(
        self, polyarch: Program, busybox: str, tmp_path: Path
    ) -> None:
        zstd = f"type=docker,dest={tmp_path}/new.tar,compression=zstd,force-compression=true"
        built = polyarch("build", "-t", "example.com/new:1", "-o", zstd, "-", stdin=_DOCKERFILE)
        assert "example.com/new:1 has layers compressed by zstd, which docker's engines before 23" in built.stderr
        assert "zstd" not in polyarch("save", "-o", tmp_path / "old.tar", busybox).stderr


@pytest.mark.timeout(600)  # the first time it is installed into a root of its own
@pytest.mark.parametrize("containerd_store", [True, False])
def test_whether_todays_docker_keeps_many_platforms_decides_its_image_store(
    containerd_store: bool, polyarch: Program, busybox: str
) -> None:
    """Docker 28, which has both."""
    words = ["build", "--platform", "linux/amd64,linux/arm64", "-t", "example.com/many:1", "-o", "type=docker", "-"]
    with engines.todays_dockerd(containerd_store=containerd_store) as daemon:
        result = polyarch(*words, stdin=_DOCKERFILE, env={"DOCKER_HOST": f"unix://{daemon.socket}"}, check=False)
        images = daemon.get("/images/json?manifests=1")
    if not containerd_store:
        assert (result.status, images) == (1, [])
        assert "keeps one platform of an image" in result.stderr
        return
    assert result.status == 0, str(result)
    here = [entry["Descriptor"]["platform"]["architecture"] for entry in images[0]["Manifests"] if entry["Available"]]
    assert (images[0]["RepoTags"], sorted(here)) == (["example.com/many:1"], ["amd64", "arm64"])


class TestArchives:
    """What other tools read, and what they wrote."""

    @pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
    def test_skopeo_reads_every_platform(
        self, polyarch: Program, busybox: str, skopeo: Skopeo, tmp_path: Path, form: str
    ) -> None:
        polyarch("save", "--format", form, "-o", tmp_path / "saved.tar", busybox)
        for platform, architecture in _ARCHITECTURES.items():
            place = f"oci-archive:{tmp_path}/saved.tar:"
            assert skopeo.config(place, platform)["architecture"] == architecture
        if form == "docker-archive":
            place = f"docker-archive:{tmp_path}/saved.tar:{busybox}:latest"
            assert (
                skopeo("inspect", place).json()["Architecture"]
                == polyarch("inspect", busybox).json()[0]["Architecture"]
            )

    def test_every_document_of_an_archive_is_what_its_specification_says(
        self, polyarch: Program, busybox: str, tmp_path: Path
    ) -> None:
        polyarch("save", "-o", tmp_path / "saved.tar", busybox)
        run(["tar", "-C", tmp_path, "-xf", tmp_path / "saved.tar"])
        contents = {
            str(path.relative_to(tmp_path)): path.read_bytes()
            for path in [tmp_path / "oci-layout", tmp_path / "index.json", *tmp_path.glob("blobs/sha256/*")]
        }
        schemas.validate(contents["oci-layout"], "oci-layout")
        schemas.validate(contents["index.json"], "application/vnd.oci.image.index.v1+json")
        seen = 0
        for name, content in contents.items():
            if name.startswith("blobs/") and content.startswith(b"{"):
                kind = json.loads(content).get("mediaType", "application/vnd.oci.image.config.v1+json")
                schemas.validate(content, kind)
                seen += 1
        assert seen == 1 + 2 * len(_ARCHITECTURES)

    @pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
    def test_a_stream_of_some_platforms_has_an_index_of_those(
        self, polyarch: Program, busybox: str, fresh: Program, kind: str
    ) -> None:
        stream = _saved(polyarch, "--compress", kind, "--platform", "linux/arm64,linux/s390x", busybox)
        assert fresh("load", stdin=stream).stdout == "Loaded image: busybox:latest\n"
        listed = fresh("images", "--format", "json", busybox).json()["Platforms"]
        assert [entry["Platform"] for entry in listed] == _here(fresh, busybox) == ["linux/arm64", "linux/s390x"]

    @pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
    def test_an_archive_of_one_platform_names_that_image_alone(
        self, polyarch: Program, busybox: str, fresh: Program, skopeo: Skopeo, tmp_path: Path, form: str
    ) -> None:
        saved = tmp_path / "one.tar"
        polyarch("save", "--format", form, "--platform", "linux/arm64", "-o", saved, busybox)
        with tarfile.open(saved) as tar:
            top = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type]
            names = tar.getnames()
        (entry,) = top["manifests"]
        assert entry["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        assert len([name for name in names if name.startswith("blobs/sha256/")]) == 3, "manifest, config, layer"
        # Without a platform being asked for: there is one.
        assert skopeo("inspect", f"oci-archive:{saved}").json()["Architecture"] == "arm64"
        fresh("load", "-i", saved)
        assert fresh("inspect", "--format", "{{.Architecture}}", busybox).stdout == "arm64\n"
        need("umoci")
        run(["tar", "-C", tmp_path, "--one-top-level=layout", "-xf", saved])
        run(["umoci", "unpack", "--rootless", "--image", f"{tmp_path}/layout:latest", tmp_path / "bundle"])
        assert (tmp_path / "bundle/rootfs/bin/busybox").exists()

    def test_other_peoples_compressors_do_as_well(self, polyarch: Program, busybox: str, fresh: Program) -> None:
        need("zstd")
        plain = _saved(polyarch, busybox)
        assert "busybox" in fresh("load", stdin=gzip.compress(plain, 1)).stdout
        for module in (bz2, lzma):
            assert fresh("load", "-q", stdin=module.compress(plain)).stdout == "busybox:latest\n"
        squeezed = subprocess.run(["zstd", "-q", "-1"], input=plain, capture_output=True, check=True).stdout
        assert fresh("load", "-q", stdin=squeezed).stdout == "busybox:latest\n"

    def test_an_image_without_a_name_is_said_to_have_none(
        self, polyarch: Program, fresh: Program, busybox: str, tmp_path: Path
    ) -> None:
        digest = polyarch("images", "-q", "--no-trunc", busybox).stdout.strip()
        polyarch("save", "-o", tmp_path / "nameless.tar", digest)
        loaded = fresh("load", "-i", tmp_path / "nameless.tar")
        assert loaded.stdout == f"Loaded image ID: {digest}\n"
        assert f"'polyarch images -a' lists unnamed images; 'polyarch tag {digest} NAME'" in loaded.stderr
        assert "'images -a'" not in polyarch("load", "-i", tmp_path / "nameless.tar").stderr, "it has a name there"

    def test_a_name_that_is_none_is_a_warning(self, fresh: Program, tmp_path: Path) -> None:
        layer = b"\0" * 10240
        rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
        saved = [{"Config": "c.json", "RepoTags": ["My/App:1", "good:1"], "Layers": ["l.tar"]}]
        config = {"architecture": "amd64", "os": "linux", "rootfs": rootfs}
        files = {"l.tar": layer, "c.json": json.dumps(config).encode(), "manifest.json": json.dumps(saved).encode()}
        with tarfile.open(tmp_path / "cap.tar", "w") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        loaded = fresh("load", "-i", tmp_path / "cap.tar")
        assert "cap.tar: 'My/App:1' is not an image reference: a repository name must be lower case" in loaded.stderr
        assert "the image is kept without it" in loaded.stderr
        assert fresh("images", "--format", "{{.Name}}").stdout == "good:1\n"

    def test_some_platforms_of_an_archive_are_loaded_and_a_lacking_one_is_an_error(
        self, polyarch: Program, busybox: str, fresh: Program, tmp_path: Path
    ) -> None:
        polyarch("save", "-o", tmp_path / "saved.tar.zst", busybox)
        fresh("load", "-i", tmp_path / "saved.tar.zst", "--platform", "linux/arm64", "--platform", "linux/s390x")
        assert _here(fresh, busybox) == ["linux/arm64", "linux/s390x"]
        lacking = fresh.fails("load", "-i", tmp_path / "saved.tar.zst", "--platform", "linux/riscv64")
        assert "there is no image for linux/riscv64" in lacking.stderr
        assert "linux/amd64, linux/arm64, linux/arm/v7, linux/s390x" in lacking.stderr

    @pytest.mark.parametrize("kind", ["oci-archive", "docker-archive", "oci"])
    def test_what_skopeo_wrote_is_loaded(
        self, polyarch: Program, busybox: str, fresh: Program, skopeo: Skopeo, tmp_path: Path, kind: str
    ) -> None:
        source = f"oci:{polyarch.root}/oci:docker.io/library/{busybox}:latest"
        everything = [] if kind == "docker-archive" else ["--all"]
        skopeo("copy", "--quiet", *everything, source, f"{kind}:{tmp_path}/theirs:example.com/theirs:1")
        assert fresh("load", "-i", tmp_path / "theirs").stdout == "Loaded image: example.com/theirs:1\n"
        expected = 1 if kind == "docker-archive" else len(_ARCHITECTURES)
        assert len(_here(fresh, "example.com/theirs:1")) == expected

    def test_what_is_not_here_is_named_and_no_archive_is_left(
        self, polyarch: Program, busybox: str, tmp_path: Path
    ) -> None:
        polyarch("rmi", "--platform", "linux/s390x", busybox)
        result = polyarch.fails("save", "-o", tmp_path / "half.tar", busybox)
        assert "linux/s390x: manifest sha256:" in result.stderr
        assert "--platform linux/amd64,linux/arm64,linux/arm/v7" in result.stderr
        result = polyarch.fails("save", "--platform", "linux/s390x,linux/arm64", "-o", tmp_path / "half.tar", busybox)
        assert result.stderr.endswith("choose the complete ones with --platform linux/arm64\n")
        result = polyarch.fails("save", "--platform", "linux/s390x", "-o", tmp_path / "half.tar", busybox)
        assert (
            "busybox:latest is not complete, so nothing was sent. Missing:\n  linux/s390x: manifest sha256:"
            in result.stderr
        )
        assert result.stderr.endswith("hint: pull what is missing\n")
        assert [path.name for path in tmp_path.glob("*half*")] == []

    def test_an_archive_with_a_spoilt_layer_is_refused(
        self, polyarch: Program, busybox: str, fresh: Program, tmp_path: Path
    ) -> None:
        stream = bytearray(_saved(polyarch, busybox))
        (tmp_path / "good.tar").write_bytes(stream)
        with tarfile.open(tmp_path / "good.tar") as tar:
            largest = max((member for member in tar if member.isfile()), key=lambda member: member.size)
        stream[largest.offset_data + largest.size // 2] ^= 1
        result = fresh.fails("load", stdin=bytes(stream))
        assert largest.name.rpartition("/")[2] in result.stderr
        assert fresh("images", "-q").stdout == ""


def test_a_user_without_root_saves_and_loads(either_user: Program, tmp_path: Path) -> None:
    stream = _saved(either_user, "--platform", "linux/arm64", "busybox")
    other = either_user.on(either_user.home / "other")
    assert other("load", stdin=stream).stdout == "Loaded image: busybox:latest\n"
    assert _here(other, "busybox") == ["linux/arm64"]
