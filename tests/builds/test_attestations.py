"""Attestations of a build: attached to the image in every output, true, and without secrets. Off unless asked for."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sigstore.dsse import Statement as SignableStatement

from polyarch.attest.provenance import BUILD_TYPE
from scripts.local_registry import LocalRegistry
from tests import trees
from tests.builds.test_git import Repository
from tests.builds.test_git import environment as environment
from tests.needs import need
from tests.program import Program, run
from tests.registry.faults import Answer, Asked, Server, serving

BOTH = "--platform=linux/amd64,linux/arm64"
DOCKERFILE = """FROM busybox AS base
ARG WORD=one
FROM busybox
COPY --from=base /bin/sh /sh
COPY a /a
"""
SPDX, V1, V02 = "https://spdx.dev/Document", "https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"


class Place:
    """The blobs of an OCI layout: of a store, an archive or a directory."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self.blobs = blobs

    @classmethod
    def of_store(cls, polyarch: Program) -> "Place":
        root = polyarch.root / "oci/blobs"
        return cls({f"{path.parent.name}:{path.name}": path.read_bytes() for path in root.glob("*/*")})

    @classmethod
    def of_archive(cls, path: Path) -> "tuple[Place, str]":
        """The blobs of an archive, and the digest of what its first name points to."""
        with tarfile.open(path) as tar:
            files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
        place = cls({":".join(name.split("/")[1:]): raw for name, raw in files.items() if name.startswith("blobs/")})
        return place, json.loads(files["index.json"])["manifests"][0]["digest"]

    def json(self, digest: str) -> Any:
        return json.loads(self.blobs[digest])

    def images(self, digest: str) -> dict[str, str]:
        """The digests of the images of an index by platform."""
        entries = self.json(digest)["manifests"]
        return {
            f"{entry['platform']['os']}/{entry['platform']['architecture']}": entry["digest"]
            for entry in entries
            if "annotations" not in entry
        }

    def attestations(self, digest: str) -> dict[str, Any]:
        """The attestation manifests of an index by the digest of their image."""
        entries = [entry for entry in self.json(digest)["manifests"] if "annotations" in entry]
        for entry in entries:
            assert entry["platform"] == {"architecture": "unknown", "os": "unknown"}
            assert entry["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
            assert "artifactType" not in entry
            assert entry["size"] == len(self.blobs[entry["digest"]])
        return {entry["annotations"]["vnd.docker.reference.digest"]: self.json(entry["digest"]) for entry in entries}

    def statements(self, digest: str, platform: str = "linux/amd64") -> dict[str, Any]:
        """The statements about one image of an index by the types of their predicates."""
        manifest = self.attestations(digest)[self.images(digest)[platform]]
        found = {}
        for layer in manifest["layers"]:
            assert layer["mediaType"] == "application/vnd.in-toto+json"
            assert "sha256:" + hashlib.sha256(self.blobs[layer["digest"]]).hexdigest() == layer["digest"]
            statement = self.json(layer["digest"])
            assert statement["_type"] == "https://in-toto.io/Statement/v1"
            assert layer["annotations"] == {"in-toto.io/predicate-type": statement["predicateType"]}
            found[statement["predicateType"]] = statement
        return found


class Builds:
    """Builds a context with `polyarch`. Calling it returns the digest of the result."""

    def __init__(self, polyarch: Program, directory: Path) -> None:
        self.polyarch = polyarch
        self.context = directory / "context"
        trees.write(self.context, {"Dockerfile": DOCKERFILE, "a": "a\n"})

    def __call__(self, *words: str, context: str | Path | None = None, **options: Any) -> str:
        # Not what -q prints: for one image that is the digest of its config.
        file = self.context.parent / "digest.json"
        self.polyarch("build", "-q", "--metadata-file", file, *words, context or self.context, **options)
        digest: str = json.loads(file.read_bytes()).get("containerimage.digest", "")
        return digest

    def v1(self, *words: str, platform: str = "linux/amd64", **options: Any) -> Any:
        """The predicate of the provenance of a build."""
        digest = self(*words, **options)
        return Place.of_store(self.polyarch).statements(digest, platform)[V1]["predicate"]


@pytest.fixture
def builds(polyarch: Program, busybox: str, tmp_path: Path) -> Builds:
    return Builds(polyarch, tmp_path)


class TestImages:
    def test_the_images_do_not_depend_on_the_attestations(self, builds: Builds) -> None:
        plain = builds(BOTH, "-t", "plain")
        attested = builds(BOTH, "--provenance=true", "--sbom=true", "-t", "app")
        place = Place.of_store(builds.polyarch)
        assert place.attestations(plain) == {}
        assert place.images(plain) == place.images(attested)
        assert set(place.attestations(attested)) == set(place.images(plain).values())
        assert list(place.statements(attested)) == [SPDX, V1]
        # Images come first, in the order of their platforms.
        kinds = ["annotations" in entry for entry in place.json(attested)["manifests"]]
        assert kinds == [False, False, True, True]
        assert "app:latest is good" in builds.polyarch("check", "app").stdout

    @pytest.mark.parametrize("off", [(), ("--provenance=false",), ("--attest=type=sbom,disabled=true", "--sbom=false")])
    def test_one_platform_stays_an_image_unless_something_is_attached(
        self, builds: Builds, off: tuple[str, ...]
    ) -> None:
        plain = builds(*off)
        attested = builds("--provenance=mode=min")
        place = Place.of_store(builds.polyarch)
        assert "layers" in place.json(plain)
        assert place.images(attested) == {"linux/amd64": plain}

    def test_an_artifact_refers_to_its_image(self, builds: Builds) -> None:
        digest = builds("--provenance=mode=min")
        place = Place.of_store(builds.polyarch)
        ((image, manifest),) = place.attestations(digest).items()
        assert manifest["artifactType"] == "application/vnd.docker.attestation.manifest.v1+json"
        assert manifest["config"]["data"] == "e30="
        assert place.blobs[manifest["config"]["digest"]] == b"{}"
        assert manifest["subject"] == {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": image,
            "size": len(place.blobs[image]),
        }

    @pytest.mark.parametrize("how", ["option", "environment"])
    def test_the_older_form_refers_to_nothing(self, builds: Builds, how: str) -> None:
        words = ["-o", "type=image,oci-artifact=false"] if how == "option" else []
        env = {} if how == "option" else {"BUILDX_NO_DEFAULT_OCI_ARTIFACT": "1"}
        digest = builds("--provenance=mode=min", *words, env=env)
        place = Place.of_store(builds.polyarch)
        (manifest,) = place.attestations(digest).values()
        assert set(manifest) == {"schemaVersion", "mediaType", "config", "layers"}
        assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
        config = place.json(manifest["config"]["digest"])
        assert config["os"] == config["architecture"] == "unknown"
        assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]

    def test_the_image_is_a_subject_under_each_of_its_names(self, builds: Builds) -> None:
        digest = builds(BOTH, "--provenance=mode=min", "-t", "app:1", "-t", "localhost:5000/team/app")
        place = Place.of_store(builds.polyarch)
        for platform, image in place.images(digest).items():
            quoted = platform.replace("/", "%2F")
            assert place.statements(digest, platform)[V1]["subject"] == [
                {"name": f"pkg:docker/app@1?platform={quoted}", "digest": {"sha256": image[7:]}},
                {
                    "name": f"pkg:docker/localhost:5000/team/app@latest?platform={quoted}",
                    "digest": {"sha256": image[7:]},
                },
            ]

    def test_every_statement_has_a_subject_with_a_name(self, builds: Builds) -> None:
        """Sigstore's library (4.5) refuses to sign any other, and in-toto has none without a subject."""
        for words in ([], ["-t", "app:1"]):
            digest = builds("--provenance=mode=max", "--sbom=true", *words)
            place = Place.of_store(builds.polyarch)
            found = place.statements(digest)
            assert set(found) == {V1, SPDX}
            for statement in found.values():
                assert all(subject["name"] and subject["digest"] for subject in statement["subject"])
                SignableStatement(json.dumps(statement).encode())
            if not words:
                (image,) = place.images(digest).values()
                assert found[V1]["subject"] == [{"name": image, "digest": {"sha256": image[7:]}}]

    def test_a_push_sends_the_image_then_the_attestation_then_the_index(
        self, builds: Builds, registry: LocalRegistry
    ) -> None:
        name = f"{registry.address}/app:1"
        digest = builds("--provenance=true", "--sbom=true", "-t", name, "--push")
        put = [line.split()[1].rpartition("/")[2] for line in registry.requests() if line.startswith("PUT /v2/app/man")]
        place = Place.of_store(builds.polyarch)
        (image,) = place.images(digest).values()
        attestation = place.json(digest)["manifests"][1]["digest"]
        assert put == [image, attestation, "1"]
        need("skopeo")
        raw = run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"]).stdout.encode()
        assert "sha256:" + hashlib.sha256(raw).hexdigest() == digest
        copy = builds.polyarch.root.parent / "copy"
        run(["skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{name}", f"oci:{copy}:1"])
        other = builds.polyarch.on(copy.with_name("other"))
        other("pull", "--all-platforms", name)
        assert set(Place.of_store(other).blobs) >= {image, attestation, digest}
        shown = other(
            "buildx", "imagetools", "inspect", name, "--format", "{{json .Provenance.SLSA.buildDefinition.buildType}}"
        )
        assert shown.json() == BUILD_TYPE

    def test_a_push_to_docker_hub_names_the_form_that_it_shows(self, builds: Builds) -> None:
        # Nothing answers behind this proxy.
        unreachable = {"HTTPS_PROXY": "http://127.0.0.1:1"}
        words = ("build", "--provenance=mode=min", "-t", "docker.io/ada/app", builds.context)
        pushed = builds.polyarch.fails(*words, "--push", env=unreachable)
        assert "Docker Hub does not show attestations that are artifacts" in pushed.stderr
        chosen = builds.polyarch.fails(*words, "-o", "type=registry,oci-artifact=true", env=unreachable)
        assert "Docker Hub" not in chosen.stderr
        assert "Docker Hub" not in builds.polyarch(*words).stderr

    @pytest.mark.parametrize("kind", ["oci", "docker"])
    def test_archives_have_attestations(self, builds: Builds, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "app.tar"
        digest = builds("--provenance=mode=min", "-t", "app:1", "-o", f"type={kind},dest={path}")
        place, root = Place.of_archive(path)
        assert root == digest
        assert list(place.statements(root)) == [V1]
        with tarfile.open(path) as tar:
            manifest = json.load(tar.extractfile("manifest.json")) if kind == "docker" else []  # type: ignore[arg-type]
        assert [entry["RepoTags"] for entry in manifest] == [["docker.io/library/app:1"]] * (kind == "docker")
        builds.polyarch("rmi", "-f", "app:1", check=False)
        builds.polyarch("load", "-i", path)
        assert "app:1 is good" in builds.polyarch("check", "app:1").stdout

    def test_inline_only_is_for_the_store_and_registries(self, builds: Builds, tmp_path: Path) -> None:
        attested = builds(
            "--provenance=mode=min,inline-only=true",
            "--output=type=image",
            f"--output=type=oci,dest={tmp_path}/app.tar",
            f"--output=type=oci,dest={tmp_path}/all.tar,attestation-inline=true",
            f"--output={tmp_path}/files",
        )
        place, root = Place.of_archive(tmp_path / "app.tar")
        assert "layers" in place.json(root)
        assert Place.of_store(builds.polyarch).images(attested) == {"linux/amd64": root}
        assert Place.of_archive(tmp_path / "all.tar")[1] == attested
        assert not list((tmp_path / "files").glob("*.json"))

    def test_removing_the_index_removes_what_was_attached(self, builds: Builds) -> None:
        digest = builds("--provenance=true", "--sbom=true", "-t", "app")
        place = Place.of_store(builds.polyarch)
        (manifest,) = place.attestations(digest).values()
        builds.polyarch("rmi", "app")
        builds.polyarch("prune", "--all", "--force", check=False)
        left = Place.of_store(builds.polyarch).blobs
        assert not {layer["digest"] for layer in manifest["layers"]} & set(left)


class TestFiles:
    def test_statements_are_files_whose_subjects_are_all_files(self, builds: Builds, tmp_path: Path) -> None:
        (builds.context / "Dockerfile").write_text("FROM scratch\nCOPY d /d\n")
        trees.write(builds.context, {"d/a": "a\n", "d/b": "b", "d/link": "-> a"})
        builds("--provenance=mode=min", "--sbom=true", f"--output={tmp_path}/out")
        out = tmp_path / "out"
        assert sorted(path.name for path in out.iterdir()) == ["d", "provenance.json", "sbom.spdx.json"]
        for name in ("provenance.json", "sbom.spdx.json"):
            assert (out / name).stat().st_mode & 0o7777 == 0o600
            assert json.loads((out / name).read_text())["subject"] == [
                {"name": f"d/{file}", "digest": {"sha256": hashlib.sha256(text).hexdigest()}}
                for file, text in (("a", b"a\n"), ("b", b"b"))
            ]

    @pytest.mark.parametrize(
        ("options", "words", "expected"),
        [
            ("", (BOTH,), {"linux_amd64/provenance.json", "linux_arm64/provenance.json"}),
            (",platform-split=false", (BOTH,), {"provenance.linux_amd64.json", "provenance.linux_arm64.json"}),
            (",platform-split=true", (), {"linux_amd64/provenance.json"}),
            (",attestation-prefix=x.", (), {"x.provenance.json"}),
        ],
    )
    @pytest.mark.parametrize("kind", ["local", "tar"])
    def test_the_names_of_files(
        self, builds: Builds, tmp_path: Path, kind: str, options: str, words: tuple[str, ...], expected: set[str]
    ) -> None:
        (builds.context / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
        out = tmp_path / "out"
        builds("--provenance=mode=min", *words, "-o", f"type={kind},dest={out}{options}")
        if kind == "tar":
            with tarfile.open(out) as tar:
                found = {member.name: member.mode for member in tar if member.name.endswith(".json")}
        else:
            found = {str(path.relative_to(out)): path.stat().st_mode & 0o777 for path in out.rglob("*.json")}
        assert found == dict.fromkeys(expected, 0o600)

    def test_a_file_of_the_image_is_never_replaced(self, builds: Builds, tmp_path: Path) -> None:
        (builds.context / "Dockerfile").write_text("FROM scratch\nCOPY a /provenance.json\n")
        words = ("build", "--provenance=true", builds.context, "-o")
        failed = builds.polyarch.fails(*words, f"{tmp_path}/out")
        assert "the image has a file /provenance.json" in failed.stderr
        assert "attestation-prefix=" in failed.stderr
        builds.polyarch(*words, f"type=local,dest={tmp_path}/out,attestation-prefix=our-")
        assert (tmp_path / "out/provenance.json").read_text() == "a\n"

    def test_two_statements_need_two_names(self, builds: Builds, tmp_path: Path) -> None:
        words = ("--provenance=filename=sbom.spdx.json", "--sbom=true", f"--output={tmp_path}/out", builds.context)
        assert "two attestations are named sbom.spdx.json" in builds.polyarch.fails("build", *words).stderr
        builds("--provenance=filename=slsa.json", "--sbom=true", f"--output={tmp_path}/out")
        assert json.loads((tmp_path / "out/slsa.json").read_text())["predicateType"] == V1


class TestProvenance:
    def test_max_has_arguments_and_steps(self, builds: Builds) -> None:
        found = builds.v1("--provenance=true", "--build-arg=WORD=two", "--label=k=v", "--target=")
        assert found["buildDefinition"]["buildType"] == BUILD_TYPE
        request = found["buildDefinition"]["externalParameters"]["request"]
        assert request["args"] == {"build-arg:WORD": "two", "label:k": "v"}
        assert request["locals"] == [{"name": "context"}, {"name": "dockerfile"}]
        steps = found["buildDefinition"]["internalParameters"]["buildConfig"]["steps"]
        assert [(step["name"].partition("@")[0], step.get("inputs")) for step in steps] == [
            ("FROM busybox", None),
            ("[1/2] COPY --from=base /bin/sh /sh", ["step0:0"]),
            ("load build context", None),
            ("[2/2] COPY a /a", ["step1:0", "step2:0"]),
        ]
        metadata = found["runDetails"]["metadata"]
        assert metadata["buildkit_completeness"] == {"request": True, "resolvedDependencies": False}
        (info,) = metadata["buildkit_metadata"]["source"]["infos"]
        assert info["filename"] == "Dockerfile"
        assert sorted(metadata["buildkit_metadata"]["layers"]) == ["step0:0", "step1:0", "step3:0"]

    def test_min_has_neither(self, builds: Builds) -> None:
        found = builds.v1("--provenance=mode=min", "--build-arg=WORD=two", "--label=k=v", "--no-cache-filter=base")
        request = found["buildDefinition"]["externalParameters"]["request"]
        assert request["args"] == {"no-cache": "base"}
        assert found["buildDefinition"]["internalParameters"] == {"builderPlatform": "linux/amd64"}
        assert found["runDetails"]["metadata"]["buildkit_metadata"] == {}
        assert not found["runDetails"]["metadata"]["buildkit_completeness"]["request"]

    def test_the_layers_are_those_of_the_image(self, builds: Builds) -> None:
        digest = builds("--provenance=true")
        place = Place.of_store(builds.polyarch)
        (image,) = place.images(digest).values()
        layers = place.statements(digest)[V1]["predicate"]["runDetails"]["metadata"]["buildkit_metadata"]["layers"]
        described = [layer for _, chains in sorted(layers.items()) for chain in chains for layer in chain]
        assert described == place.json(image)["layers"]

    def test_version_0_2_says_the_same(self, builds: Builds) -> None:
        digest = builds("--provenance=version=v0.2,builder-id=https://ci/1,reproducible=true", "--build-arg=WORD=two")
        found = Place.of_store(builds.polyarch).statements(digest)[V02]["predicate"]
        assert found["builder"] == {"id": "https://ci/1"}
        assert found["invocation"]["configSource"] == {"entryPoint": "Dockerfile"}
        assert found["invocation"]["parameters"]["args"] == {"build-arg:WORD": "two"}
        assert found["metadata"]["completeness"] == {"parameters": True, "environment": True, "materials": False}
        assert found["metadata"]["reproducible"] is True
        assert len(found["buildConfig"]["steps"]) == 4
        assert "source" in found["metadata"]["https://mobyproject.org/buildkit@v1#metadata"]

    def test_materials_are_those_of_the_platform(self, builds: Builds) -> None:
        (builds.context / "Dockerfile").write_text(
            "FROM --platform=$BUILDPLATFORM busybox AS tools\nFROM busybox:latest\nCOPY --from=tools /bin/sh /sh\n"
        )
        digest = builds(BOTH, "--provenance=mode=min")
        place = Place.of_store(builds.polyarch)
        index = builds.polyarch("images", "-q", "--no-trunc", "busybox").stdout.strip()
        for platform, expected in (("amd64", ["amd64"]), ("arm64", ["amd64", "arm64"])):
            found = place.statements(digest, f"linux/{platform}")[V1]["predicate"]["buildDefinition"]
            assert found["resolvedDependencies"] == [
                {"uri": f"pkg:docker/busybox@latest?platform=linux%2F{one}", "digest": {"sha256": index[7:]}}
                for one in expected
            ]

    def test_one_request_has_one_invocation(self, builds: Builds) -> None:
        def invocations(digest: str) -> set[str]:
            place = Place.of_store(builds.polyarch)
            made = (place.statements(digest, platform)[V1]["predicate"] for platform in place.images(digest))
            return {one["runDetails"]["metadata"]["invocationId"] for one in made}

        first, second = (invocations(builds(BOTH, "--provenance=mode=min")) for _ in range(2))
        assert len(first) == len(second) == 1
        assert first != second

    def test_usage_is_captured_on_request(self, builds: Builds) -> None:
        metadata = builds.v1("--provenance=true")["runDetails"]["metadata"]
        assert "polyarch_usage" not in metadata
        found = builds.v1("--provenance=capture-usage=true")
        assert found["runDetails"]["metadata"]["polyarch_usage"]["maxResidentBytes"] > 1 << 20
        steps = found["buildDefinition"]["internalParameters"]["buildConfig"]["steps"]
        used = {step["name"].partition("@")[0]: step.get("resourceUsage") for step in steps}
        assert used == {
            "FROM busybox": {"cached": True},
            "[1/2] COPY --from=base /bin/sh /sh": {"cached": True},
            "load build context": None,
            "[2/2] COPY a /a": {"cached": True},
        }

    def test_a_build_of_local_files_has_incomplete_materials(self, builds: Builds) -> None:
        failed = builds.polyarch.fails("build", "--provenance=complete-materials=true", builds.context)
        assert "cannot name every material: context, dockerfile come from this machine" in failed.stderr

    def test_the_metadata_file_has_the_provenance(self, builds: Builds, tmp_path: Path) -> None:
        def metadata(*words: str, **env: str) -> dict[str, Any]:
            file = tmp_path / "metadata.json"
            builds.polyarch("build", "-q", "--metadata-file", file, *words, builds.context, env=env)
            found = json.loads(file.read_text())
            return {name: value for name, value in found.items() if name.startswith("buildx.build.prov")}

        assert metadata() == {}
        (both,) = metadata("--provenance=true").items()
        assert both[0] == "buildx.build.provenance"
        assert sorted(both[1]) == ["buildType", "builder", "invocation", "materials"]
        assert list(metadata("--provenance=mode=min", BOTH)) == [
            "buildx.build.provenance/linux/amd64",
            "buildx.build.provenance/linux/arm64",
        ]
        whole = metadata("--provenance=true", BUILDX_METADATA_PROVENANCE="max")["buildx.build.provenance"]
        assert {"buildConfig", "metadata"} < set(whole)
        assert metadata("--provenance=true", BUILDX_METADATA_PROVENANCE="disabled") == {}


class TestPaths:
    def test_no_path_of_this_machine_is_in_a_statement(self, builds: Builds, tmp_path: Path) -> None:
        builds.polyarch("save", "--format", "oci-archive", "busybox", "-o", tmp_path / "busybox.tar")
        trees.unpack(tmp_path / "busybox.tar", tmp_path / "layout")
        (builds.context / "other.Dockerfile").write_text("FROM base\nCOPY --link a /a\nCOPY --from=more a /b\n")
        digest = builds(
            "--provenance=true",
            "--sbom=true",
            f"--file={builds.context}/other.Dockerfile",
            f"--build-context=base=oci-layout://{tmp_path}/layout",
            f"--build-context=more={builds.context}",
        )
        found = Place.of_store(builds.polyarch).statements(digest)
        assert str(tmp_path) not in json.dumps(found)
        predicate = found[V1]["predicate"]
        (base,) = predicate["buildDefinition"]["resolvedDependencies"]
        assert base["uri"].startswith("pkg:oci/base?digest=sha256:")
        parameters = predicate["buildDefinition"]["externalParameters"]
        assert parameters["request"]["args"] == {"context:base": "oci-layout://base", "context:more": "local:more"}
        assert parameters["request"]["locals"] == [{"name": "context"}, {"name": "dockerfile"}, {"name": "more"}]
        assert parameters["configSource"] == {"path": "other.Dockerfile"}
        steps = predicate["buildDefinition"]["internalParameters"]["buildConfig"]["steps"]
        (stack,) = [step for step in steps if "stack" in step["op"]]
        # A linked layer does not depend on what it is put on.
        assert stack["op"] == {"stack": {"base": "step0:0", "layers": "step2:0"}}


class TestSecrets:
    SECRET, PATH = b"hunter2-the-value", "the-source-path"

    def test_a_secret_is_known_by_its_id_only(self, builds: Builds, tmp_path: Path) -> None:
        (tmp_path / self.PATH).write_bytes(self.SECRET)
        (builds.context / "Dockerfile").write_text(
            "FROM busybox\nRUN --mount=type=secret,id=token --mount=type=secret,id=other,env=X true\n"
            "RUN --mount=type=secret,id=token,required=true wc -c < /run/secrets/token > /n\n"
        )
        words = (f"--secret=id=token,src={tmp_path}/{self.PATH}", "--secret=id=other,env=OTHER")
        digest = builds("--provenance=capture-usage=true", "--sbom=true", *words, env={"OTHER": self.SECRET.decode()})
        place = Place.of_store(builds.polyarch)
        found = place.statements(digest)[V1]["predicate"]
        request = found["buildDefinition"]["externalParameters"]["request"]
        assert request["secrets"] == [{"id": "other", "optional": True}, {"id": "token"}]
        for path in [path for path in builds.polyarch.root.rglob("*") if path.is_file() and not path.is_symlink()]:
            raw = path.read_bytes()
            assert self.SECRET not in raw, path
            assert self.PATH.encode() not in raw, path
        without = builds.v1("--provenance=mode=min", *words, env={"OTHER": self.SECRET.decode()})
        assert "secrets" not in without["buildDefinition"]["externalParameters"]["request"]

    def test_passwords_in_urls_are_hidden(self, builds: Builds) -> None:
        (builds.context / "Dockerfile").write_text(
            "FROM busybox\n# see https://ada:hunter2@example.test/x\nARG PROXY\nLABEL a=$PROXY\n"
        )
        url = "https://ada:hunter2@example.test/x"
        context = f"--build-context=unused={url}?token=hunter2"
        digest = builds("--provenance=true", f"--build-arg=PROXY={url}", context)
        place = Place.of_store(builds.polyarch)
        found = place.statements(digest)[V1]
        args = found["predicate"]["buildDefinition"]["externalParameters"]["request"]["args"]
        assert args == {
            "build-arg:PROXY": "https://xxxxx:xxxxx@example.test/x",
            "context:unused": "https://xxxxx:xxxxx@example.test/x?token=xxxxx",
        }
        assert "hunter2" not in json.dumps(found)
        from base64 import b64decode

        (info,) = found["predicate"]["runDetails"]["metadata"]["buildkit_metadata"]["source"]["infos"]
        assert b"hunter2" not in b64decode(info["data"])


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with a file, and an archive that is a context."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in (("Dockerfile", b"FROM busybox\nCOPY a /a\n"), ("a", b"a\n")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    files = {"/file": b"file", "/context.tar": archive.getvalue()}

    def answer(asked: Asked) -> Answer:
        body = files.get(asked.path.partition("?")[0])
        return Answer(404) if body is None else Answer(200, {}, body)

    with serving(answer) as running:
        yield running


class TestRemote:
    def test_a_remote_context_makes_the_build_complete_and_hermetic(self, builds: Builds, server: Server) -> None:
        url = f"{server.url}/context.tar"
        found = builds.v1("--provenance=complete-materials=true", context=url)
        (archive,) = [one for one in found["buildDefinition"]["resolvedDependencies"] if one["uri"] == url]
        source = found["buildDefinition"]["externalParameters"]["configSource"]
        assert source == {"uri": url, "digest": archive["digest"], "path": "Dockerfile"}
        assert "locals" not in found["buildDefinition"]["externalParameters"]["request"]
        assert found["runDetails"]["metadata"]["buildkit_completeness"]["resolvedDependencies"]
        assert found["runDetails"]["metadata"]["buildkit_hermetic"]
        # Another Dockerfile is an input of this machine.
        (builds.context / "other").write_text("FROM busybox\nRUN --network=none true\n")
        with_local = builds.v1("--provenance=true", f"--file={builds.context}/other", context=url)
        request = with_local["buildDefinition"]["externalParameters"]["request"]
        assert request["locals"] == [{"name": "dockerfile"}]
        assert "buildkit_hermetic" not in with_local["runDetails"]["metadata"]

    @pytest.mark.parametrize(("network", "hermetic"), [("", False), ("--network=none ", True)])
    def test_a_run_with_a_network_is_not_hermetic(
        self, builds: Builds, tmp_path: Path, network: str, hermetic: bool
    ) -> None:
        text = f"FROM busybox\nRUN {network}true\n"
        with _archive(text) as archive, serving(lambda _: Answer(200, {}, archive.getvalue())) as running:
            found = builds.v1("--provenance=mode=min", context=f"{running.url}/context.tar")
        metadata = found["runDetails"]["metadata"]
        assert metadata["buildkit_completeness"]["resolvedDependencies"]
        assert metadata.get("buildkit_hermetic", False) is hermetic

    def test_repositories_are_materials_with_their_commits(
        self, builds: Builds, environment: dict[str, str], tmp_path: Path
    ) -> None:
        repository = Repository(tmp_path / "repository")
        library = Repository(tmp_path / "library")
        known = library.commit({"b": "b"})
        text = f"FROM busybox\nADD --checksum={known} {library.url}#main /library\nCOPY a /a\n"
        commit = repository.commit({"sub/Dockerfile": text, "sub/a": "a"})
        found = builds.v1(
            "--provenance=complete-materials=true", context=f"{repository.url}#main:sub", env=environment
        )["buildDefinition"]
        assert found["resolvedDependencies"][1:] == [
            {"uri": f"{library.url}#main", "digest": {"sha1": known}},
            {"uri": f"{repository.url}#main", "digest": {"sha1": commit}},
        ]
        assert found["externalParameters"]["configSource"] == {
            "uri": f"{repository.url}#main:sub",
            "digest": {"sha1": commit},
            "path": "Dockerfile",
        }

    def test_a_download_is_a_material_without_its_token(self, builds: Builds, server: Server) -> None:
        (builds.context / "Dockerfile").write_text(f"FROM busybox\nADD {server.url}/file?token=hunter2 /file\n")
        digest = builds("--provenance=mode=min")
        found = Place.of_store(builds.polyarch).statements(digest)[V1]
        assert found["predicate"]["buildDefinition"]["resolvedDependencies"][-1] == {
            "uri": f"{server.url}/file?token=xxxxx",
            "digest": {"sha256": hashlib.sha256(b"file").hexdigest()},
        }
        assert "hunter2" not in json.dumps(found)
        steps = builds.v1("--provenance=true")["buildDefinition"]["internalParameters"]["buildConfig"]["steps"]
        assert [step["op"]["http"]["url"] for step in steps if "http" in step["op"]] == [
            f"{server.url}/file?token=xxxxx"
        ]


def _archive(dockerfile: str) -> io.BytesIO:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(dockerfile)
        tar.addfile(info, io.BytesIO(dockerfile.encode()))
    return io.BytesIO(archive.getvalue())


class TestScans:
    """BUILDKIT_SBOM_SCAN_CONTEXT and BUILDKIT_SBOM_SCAN_STAGE."""

    PACKAGE = json.dumps({"name": "left-pad", "version": "1.3.0", "license": "MIT"})

    def found(self, builds: Builds, dockerfile: str, *words: str) -> dict[str, list[str]]:
        """The names of packages by the SBOM that lists them."""
        (builds.context / "Dockerfile").write_text(dockerfile)
        trees.write(builds.context, {"node_modules/left-pad/package.json": self.PACKAGE})
        digest = builds("--sbom=true", *words)
        place = Place.of_store(builds.polyarch)
        (manifest,) = place.attestations(digest).values()
        bills = [place.json(layer["digest"])["predicate"] for layer in manifest["layers"]]
        assert all(layer["annotations"]["in-toto.io/predicate-type"] == SPDX for layer in manifest["layers"])
        return {
            bill["name"]: [package["name"] for package in bill["packages"] if "externalRefs" in package]
            for bill in bills
        }

    STAGES = "FROM busybox AS tools\nCOPY node_modules /node_modules\n{}FROM busybox AS idle\n{}\nFROM busybox\n{}"
    USING = "COPY --from=tools /bin/sh /sh\n"

    def test_only_the_image_is_scanned_by_default(self, builds: Builds) -> None:
        assert self.found(builds, self.STAGES.format("", "", self.USING)) == {"image": []}
        assert self.found(builds, "FROM scratch\nCOPY node_modules /node_modules\n", "-t", "app") == {
            "app:latest": ["left-pad"]
        }

    @pytest.mark.parametrize("value", ["true", "1", "tools", "other,tools"])
    def test_a_stage_is_scanned_where_its_arg_is_declared(self, builds: Builds, value: str) -> None:
        declared = f"ARG BUILDKIT_SBOM_SCAN_STAGE={value}\n"
        assert self.found(builds, self.STAGES.format(declared, declared, self.USING)) == {
            "image": [],
            "tools": ["left-pad"],
        }
        # For all stages before the first FROM. The idle stage is not needed.
        assert self.found(builds, declared + self.STAGES.format("", "", self.USING)) == {
            "image": [],
            "tools": ["left-pad"],
        }

    @pytest.mark.parametrize("value", ["false", "0", "other", ""])
    def test_other_values_scan_nothing(self, builds: Builds, value: str) -> None:
        declared = f"ARG BUILDKIT_SBOM_SCAN_STAGE={value}\n"
        assert self.found(builds, self.STAGES.format(declared, "", self.USING)) == {"image": []}

    def test_a_build_argument_counts_only_where_the_arg_is_declared(self, builds: Builds) -> None:
        words = ("--build-arg=BUILDKIT_SBOM_SCAN_STAGE=true", "--build-arg=BUILDKIT_SBOM_SCAN_CONTEXT=true")
        assert self.found(builds, self.STAGES.format("", "", self.USING), *words) == {"image": []}
        declared = self.STAGES.format("ARG BUILDKIT_SBOM_SCAN_STAGE\n", "", self.USING)
        assert self.found(builds, declared, *words) == {"image": [], "tools": ["left-pad"]}

    def test_the_context_is_scanned_for_the_target_stage_only(self, builds: Builds) -> None:
        declared = "ARG BUILDKIT_SBOM_SCAN_CONTEXT=true\n"
        assert self.found(builds, self.STAGES.format(declared, "", self.USING)) == {"image": []}
        assert self.found(builds, self.STAGES.format("", "", self.USING + declared)) == {
            "image": [],
            "context": ["left-pad"],
        }

    def test_what_a_run_made_is_scanned(self, builds: Builds) -> None:
        made = "ARG BUILDKIT_SBOM_SCAN_STAGE=true\nRUN rm -r /node_modules\n"
        assert self.found(builds, self.STAGES.format(made, "", self.USING)) == {"image": [], "tools": []}
        made = "ARG BUILDKIT_SBOM_SCAN_STAGE=true\nRUN mkdir /opt && mv /node_modules /opt\n"
        assert self.found(builds, self.STAGES.format(made, "", self.USING)) == {"image": [], "tools": ["left-pad"]}

    def test_the_same_image_has_the_same_sbom(self, builds: Builds) -> None:
        first, second = (builds("--sbom=true", env={"SOURCE_DATE_EPOCH": "7"}) for _ in range(2))
        assert first == second


class TestGit:
    """Facts of the repository around a context on this machine."""

    def test_facts_of_git(self, builds: Builds) -> None:
        need("git")
        top = builds.context

        def git(*words: str) -> str:
            author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
            return run(["git", "-C", top, *author, *words], env={"PATH": builds.polyarch.env["PATH"]}).stdout.strip()

        def facts(**env: str) -> Any:
            words = ("--provenance=mode=min", f"--file={top}/Dockerfile")
            metadata = builds.v1(*words, context=top / "sub", env=env)["runDetails"]["metadata"]
            return metadata["buildkit_metadata"].get("vcs")

        trees.write(top, {"sub/a": "a\n"})
        assert facts() is None
        git("init", "--quiet")
        assert facts() == {"localdir:context": "sub", "localdir:dockerfile": "."}
        git("add", ".")
        git("commit", "--quiet", "-m", "one")
        git("remote", "add", "origin", "https://ada:hunter2@example.test/app.git")
        revision = git("rev-parse", "HEAD")
        where = {"localdir:context": "sub", "localdir:dockerfile": "."}
        known = {"revision": revision, "source": "https://xxxxx:xxxxx@example.test/app.git", **where}
        assert facts(BUILDX_GIT_CHECK_DIRTY="1") == known
        (top / "new").write_text("")
        assert facts() == known
        assert facts(BUILDX_GIT_CHECK_DIRTY="true") == {**known, "revision": f"{revision}-dirty"}
        assert facts(BUILDX_GIT_INFO="false") is None
        # Variables that git sets for its hooks name another repository.
        assert facts(GIT_DIR="/nowhere") == known
