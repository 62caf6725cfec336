"""`buildx history`, the metadata file, and the id of an image: what tools read after a build."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests import trees
from tests.program import Program

pytestmark = pytest.mark.integration
DOCKERFILE = "FROM scratch AS made\nARG WORD=one\nLABEL word=$WORD\nCOPY a /\n"
BOTH = ("--platform", "linux/amd64,linux/arm64")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    trees.write(tmp_path / "context", {"Dockerfile": DOCKERFILE, "a": "1"})
    return tmp_path / "context"


@pytest.fixture
def metadata(polyarch: Program, context: Path, tmp_path: Path) -> Any:
    """Build with these options; returns what the metadata file says."""
    polyarch.env["BUILDX_CONFIG"] = str(tmp_path / "buildx")

    def built(*options: str, check: bool = True) -> dict[str, Any]:
        file = tmp_path / "metadata.json"
        file.unlink(missing_ok=True)
        polyarch("build", "-q", "--metadata-file", file, *options, context, check=check)
        found: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
        return found

    return built


def record(bundle: Path) -> tuple[dict[str, Any], dict[str, Any], set[str]]:
    """The manifest and the record of a .dockerbuild file with one build, and the names of its files."""
    with tarfile.open(bundle, "r:gz") as tar:
        files = {one.name: file.read() for one in tar if (file := tar.extractfile(one)) is not None}

    def blob(descriptor: dict[str, Any]) -> bytes:
        return files[f"blobs/sha256/{descriptor['digest'].partition(':')[2]}"]

    root = json.loads(files["index.json"])["manifests"][0]
    manifest = json.loads(blob(root))
    for layer in manifest["layers"]:
        assert len(blob(layer)) == layer["size"]
    return manifest, json.loads(blob(manifest["config"])), set(files)


class TestReference:
    def test_a_build_has_a_reference_that_finds_its_record_and_its_file(
        self, polyarch: Program, metadata: Any, context: Path, tmp_path: Path
    ) -> None:
        reference = metadata("-t", "app")["buildx.build.ref"]
        builder, node, one = reference.split("/")
        assert (builder, node) == ("polyarch", "polyarch")
        state = json.loads((tmp_path / "buildx/refs" / reference).read_bytes())
        assert state == {"Target": "default", "LocalPath": str(context), "DockerfilePath": ""}
        shown = polyarch("buildx", "history", "inspect", "--format", "json", "--builder", builder, one).json()
        assert shown["Ref"] == one
        assert shown["Status"] == "completed"

    def test_the_builder_that_is_named_is_in_the_reference(self, metadata: Any, tmp_path: Path) -> None:
        assert metadata("--builder", "mine")["buildx.build.ref"].startswith("mine/mine0/")
        assert metadata("--builder", "../../x")["buildx.build.ref"].startswith("polyarch/polyarch/")
        assert {path.name for path in (tmp_path / "buildx/refs").iterdir()} == {"mine", "polyarch"}

    def test_without_metadata_and_without_buildx_nothing_is_written_to_the_home(
        self, polyarch: Program, context: Path
    ) -> None:
        polyarch("build", "-q", context)
        assert not (polyarch.home / ".docker").exists()

    def test_a_directory_that_cannot_be_written_is_no_reason_to_fail(self, metadata: Any, tmp_path: Path) -> None:
        (tmp_path / "buildx").write_text("a file")
        assert metadata()["buildx.build.ref"]

    def test_a_bake_has_one_for_each_target_in_one_group(
        self, polyarch: Program, context: Path, tmp_path: Path
    ) -> None:
        polyarch.env["BUILDX_CONFIG"] = str(tmp_path / "buildx")
        targets = {"a": {"context": "."}, "b": {"context": ".", "args": {"WORD": "two"}}}
        trees.write(
            context, {"bake.json": json.dumps({"group": {"default": {"targets": ["a", "b"]}}, "target": targets})}
        )
        polyarch("bake", "-f", "bake.json", "--metadata-file", "m.json", cwd=context)
        found = {name: one["buildx.build.ref"] for name, one in json.loads((context / "m.json").read_bytes()).items()}
        states = {name: json.loads((tmp_path / "buildx/refs" / ref).read_bytes()) for name, ref in found.items()}
        assert {name: state["Target"] for name, state in states.items()} == {"a": "a", "b": "b"}
        (group,) = {state["GroupRef"] for state in states.values()}
        assert json.loads((tmp_path / "buildx/refs/__group__" / group).read_bytes()) == {
            "Targets": ["a", "b"],
            "Refs": [found["a"], found["b"]],
        }


class TestMetadata:
    def test_one_image_has_all_digests(self, metadata: Any) -> None:
        found = metadata("-t", "app", "-t", "other:2")
        assert found["image.name"] == "docker.io/library/app:latest,docker.io/library/other:2"
        assert found["containerimage.descriptor"]["digest"] == found["containerimage.digest"]
        assert found["containerimage.config.digest"] == found["polyarch.images"]["linux/amd64"]["config"]
        assert list(found) == sorted(found)

    def test_an_index_has_no_config(self, metadata: Any) -> None:
        assert "containerimage.config.digest" not in metadata(*BOTH, "-t", "app")
        assert "containerimage.config.digest" not in metadata("--provenance=true", "-t", "app")

    @pytest.mark.parametrize("output", ["out", "type=tar,dest=out.tar", "type=cacheonly"])
    @pytest.mark.parametrize("more", [(), ("--sbom=true",), ("-t", "app")])
    def test_files_and_nothing_have_no_digest_and_no_name(
        self, metadata: Any, tmp_path: Path, output: str, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert set(metadata("-o", output, *more)) == {"buildx.build.ref"}

    def test_no_value_is_empty(self, metadata: Any, tmp_path: Path) -> None:
        for options in ((), ("-t", "app"), ("-o", f"type=oci,dest={tmp_path}/a.tar"), ("-o", f"{tmp_path}/o")):
            assert all(metadata(*options).values())

    def test_warnings_are_there_if_they_are_asked_for(self, polyarch: Program, metadata: Any, context: Path) -> None:
        (context / "Dockerfile").write_text("FROM scratch as made\nCOPY a /\n")
        assert "buildx.build.warnings" not in metadata()
        polyarch.env["BUILDX_METADATA_WARNINGS"] = "true"
        (warning,) = metadata()["buildx.build.warnings"]
        from base64 import b64decode

        assert b64decode(warning["short"]).decode().startswith("FromAsCasing: ")
        assert b64decode(warning["sourceInfo"]["data"]) == (context / "Dockerfile").read_bytes()
        assert warning["sourceInfo"]["filename"] == "Dockerfile"
        assert warning["range"] == [{"start": {"line": 1}, "end": {"line": 1}}]
        assert warning["url"] == "https://docs.docker.com/go/dockerfile/rule/from-as-casing/"

    def test_a_failed_build_leaves_the_file_as_it_was(self, polyarch: Program, context: Path, tmp_path: Path) -> None:
        (tmp_path / "m.json").write_text("before")
        polyarch.fails("build", "--metadata-file", tmp_path / "m.json", "--target", "none", context)
        assert (tmp_path / "m.json").read_text() == "before"


class TestCall:
    def test_a_check_writes_its_findings_also_if_it_fails(
        self, polyarch: Program, context: Path, tmp_path: Path
    ) -> None:
        (context / "Dockerfile").write_text("FROM 127.0.0.1:1/none as made\nFROM scratch AS Other\nCOPY a /\n")
        words = ("build", "--call", "check", "--metadata-file", tmp_path / "m.json", context)
        done = polyarch(*words, check=False)
        assert done.status == 1
        assert done.lines()[0] == "Check complete, 2 warnings have been found!"
        assert "127.0.0.1:1/none" in done.stderr, "a base that is not found stops no check of the text"
        found = json.loads((tmp_path / "m.json").read_bytes())
        assert set(found) == {"result.json", "result.txt", "result.statuscode", "version"}
        rules = [
            (one["ruleName"], one["location"]["ranges"][0]["start"]["line"]) for one in found["result.json"]["warnings"]
        ]
        assert rules == [("FromAsCasing", 1), ("StageNameCasing", 2)]
        assert found["result.txt"] == done.stdout
        assert found["result.statuscode"] == "1"
        assert (
            polyarch("build", "--call", "check,ignorestatus=true,format=json", context).json() == found["result.json"]
        )

    def test_a_method_that_does_not_exist_is_an_error(self, polyarch: Program, context: Path) -> None:
        assert "known methods: build, check" in polyarch.fails("build", "--call", "chekc", context).stderr


class TestId:
    def test_one_image_is_known_by_its_config_and_an_index_by_itself(
        self, polyarch: Program, metadata: Any, context: Path, tmp_path: Path
    ) -> None:
        polyarch("build", "-q", "--iidfile", tmp_path / "id", "-t", "app", context)
        one = metadata("-t", "app")
        assert (tmp_path / "id").read_text() == one["containerimage.config.digest"]
        assert polyarch("build", "-q", "-t", "app", context).stdout.strip() == one["containerimage.config.digest"]
        both = metadata(*BOTH)
        assert polyarch("build", "-q", *BOTH, context).stdout.strip() == both["containerimage.digest"]

    def test_commands_find_an_image_by_the_digest_of_its_config(self, polyarch: Program, context: Path) -> None:
        config = polyarch("build", "-q", context).stdout.strip()
        (found,) = polyarch("image", "inspect", config).json()
        assert polyarch("image", "inspect", config.partition(":")[2][:12]).json() == [found]
        polyarch("tag", config, "app")
        assert polyarch("image", "inspect", config).json()[0]["RepoTags"] == ["app:latest"]

    def test_a_member_of_an_index_is_found_by_its_config_too(self, polyarch: Program, metadata: Any) -> None:
        images = metadata(*BOTH, "-t", "app")["polyarch.images"]
        (found,) = polyarch("image", "inspect", images["linux/arm64"]["config"]).json()
        assert found["Architecture"] == "arm64"

    def test_files_have_no_id(self, polyarch: Program, context: Path, tmp_path: Path) -> None:
        assert polyarch("build", "-q", "-o", tmp_path / "out", context).stdout == ""
        refused = polyarch.fails("build", "-q", "--iidfile", tmp_path / "id", "-o", tmp_path / "out", context)
        assert "--iidfile cannot be used with an output of files" in refused.stderr
        assert not (tmp_path / "id").exists()


class TestHistory:
    def test_builds_are_listed_latest_first_also_those_that_failed(self, polyarch: Program, context: Path) -> None:
        polyarch("build", "-q", "-t", "app", context)
        polyarch.fails(
            "build", "-q", "--target", "made", "--build-context", "made=docker-image://127.0.0.1:1/x", context
        )
        (context / "Dockerfile").write_text("FROM scratch\nCOPY none /\n")
        polyarch.fails("build", "-q", context)
        rows = [json.loads(line) for line in polyarch("buildx", "history", "ls", "--format", "json").lines()]
        assert [row["status"] for row in rows] == ["Error", "Error", "Completed"]
        assert rows[0]["name"] == "context"
        failed = polyarch("buildx", "history", "inspect", "--format", "json").json()
        assert failed["Status"] == "failed"
        assert "/none" in failed["Error"]["Message"]
        assert polyarch("buildx", "history", "ls", "--filter", "status=error").stdout.count("Error") == 2
        before = polyarch("buildx", "history", "inspect", "^2", "--format", "{{.Status}} {{.NumTotalSteps}}").stdout
        assert before == "completed 1\n"

    def test_a_build_is_shown_with_what_it_was_told_and_what_it_made(
        self, polyarch: Program, metadata: Any, context: Path
    ) -> None:
        found = metadata(*BOTH, "-t", "app", "--build-arg", "WORD=two", "--label", "a=b", "--provenance=true")
        shown = polyarch("buildx", "history", "inspect", "--format=json", found["buildx.build.ref"]).json()
        assert shown["Context"] == str(context)
        assert shown["Dockerfile"] == "Dockerfile"
        assert shown["Platform"] == ["linux/amd64", "linux/arm64"]
        assert shown["BuildArgs"] == [{"Name": "WORD", "Value": "two"}]
        assert shown["Labels"] == [{"Name": "a", "Value": "b"}]
        assert shown["Config"] == {"MultiPlatform": True}
        assert (shown["NumCompletedSteps"], shown["NumTotalSteps"], shown["NumCachedSteps"]) == (1, 1, 0)
        types = [(one["Type"], one.get("Platform", "")) for one in shown["Attachments"]]
        assert types[:2] == [("https://slsa.dev/provenance/v1", one) for one in ("linux/amd64", "linux/arm64")]
        assert shown["Attachments"][-1]["Digest"] == found["containerimage.digest"]
        pretty = polyarch("buildx", "history", "inspect").stdout
        assert "Platforms:     linux/amd64, linux/arm64" in pretty
        statement = polyarch(
            "buildx", "history", "inspect", "attachment", "--type", "provenance", "--platform", "linux/arm64"
        ).json()
        assert statement["subject"][0]["name"] == "pkg:docker/app@latest?platform=linux%2Farm64"

    def test_options_are_shown_by_their_names_in_buildx(self, polyarch: Program, context: Path) -> None:
        polyarch(
            "build", "-q", "--no-cache", "--add-host", "a:10.0.0.1", "--shm-size=64m", "--ulimit", "nofile=5:6", context
        )
        assert polyarch("buildx", "history", "inspect", "--format=json").json()["Config"] == {
            "ExtraHosts": ["a=10.0.0.1"],
            "NoCache": True,
            "ShmSize": "67108864",
            "Ulimit": "nofile=5:6",
        }

    def test_export_writes_the_record_and_what_was_made(
        self, polyarch: Program, metadata: Any, context: Path, tmp_path: Path
    ) -> None:
        found = metadata("-t", "app", "--provenance=true")
        reference = found["buildx.build.ref"]
        one = reference.rpartition("/")[2]
        file = tmp_path / "x.dockerbuild"
        polyarch("buildx", "history", "export", "--builder", "polyarch", "--output", file, one, "--finalize")
        manifest, kept, files = record(file)
        assert files >= {"oci-layout", "index.json"}
        assert manifest["config"]["mediaType"] == "application/vnd.buildkit.historyrecord.v0"
        assert kept["Ref"] == one
        assert kept["localState"]["LocalPath"] == str(context)
        assert kept["Results"]["linux/amd64"]["Attestations"][0]["media_type"] == "application/vnd.in-toto+json"
        assert manifest["layers"][0]["annotations"] == {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}
        assert manifest["layers"][-1]["mediaType"] == "application/json", "no reader follows it to layers"

    def test_several_builds_are_exported_as_an_index(self, polyarch: Program, metadata: Any, tmp_path: Path) -> None:
        ids = [metadata(*more)["buildx.build.ref"].rpartition("/")[2] for more in ((), ("--build-arg", "WORD=2"))]
        polyarch("buildx", "history", "export", "-o", tmp_path / "x", *ids)
        with tarfile.open(tmp_path / "x", "r:gz") as tar:
            index = tar.extractfile("index.json")
            assert index is not None
            root = json.load(index)["manifests"][0]["digest"].partition(":")[2]
            nested = tar.extractfile(f"blobs/sha256/{root}")
            assert nested is not None
            entries = json.load(io.TextIOWrapper(nested))["manifests"]
        assert [entry["annotations"]["vnd.buildkit.history.reference"] for entry in entries] == ids

    def test_a_removed_build_is_not_found(self, polyarch: Program, metadata: Any) -> None:
        one = metadata()["buildx.build.ref"].rpartition("/")[2]
        polyarch("buildx", "history", "rm", one)
        for words in (("inspect", one), ("export", one), ("rm", one)):
            assert f"no build is recorded as '{one}'" in polyarch.fails("buildx", "history", *words).stderr
        assert polyarch("buildx", "history", "ls", "--format", "json").stdout == ""
        assert "no build is recorded" in polyarch.fails("buildx", "history", "inspect").stderr

    @pytest.mark.parametrize("word", ["logs", "open", "import", "trace"])
    def test_what_does_not_exist_says_why(self, polyarch: Program, word: str) -> None:
        assert "did you mean" not in polyarch.fails("buildx", "history", word).stderr

    def test_a_url_in_the_record_has_no_password(self, polyarch: Program) -> None:
        polyarch.fails("build", "-q", "http://user:secret@127.0.0.1:1/x.git#main")
        shown = polyarch("buildx", "history", "inspect", "--format=json").stdout
        assert "127.0.0.1:1/x.git#main" in shown
        assert "secret" not in shown
