"""What `docker buildx imagetools inspect` says of attested images, recorded: BuildKit makes them, buildx reads them.

python -m tests.integration.buildx_answers

writes buildx_answers.json anew: the manifests, configs and statements of the images, and the answers to each template.
It needs root, because scripts/buildkit_daemon.py does. test_imagetools_answers.py asks Polyarch the same.
"""

import base64
import io
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from polyarch.oci import attestation, digest, document, reference
from polyarch.oci.descriptor import REFERENCE_DIGEST, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.registry import Credentials, Hosts, Registry, Repository
from scripts import buildkit_daemon, local_registry

RECORDED = Path(__file__).with_suffix(".json")
_TWO = "--platform=linux/amd64,linux/arm64"
_ONE = "--platform=linux/arm64"
# The tag of an image, and the flags of its build. Those in _BILLED get SBOMs, which BuildKit could make here only with
# a network for its scanner.
_BUILDS: dict[str, Sequence[str]] = {
    "two": (_TWO, "--provenance=mode=max,version=v1"),
    "one": (_ONE, "--provenance=mode=min,version=v0.2"),
    "artifact": (_TWO, "--provenance=mode=min"),
    "provenance": (_ONE, "--provenance=true"),
    "plain": (_ONE, "--provenance=false"),
    "index": (_TWO, "--provenance=false"),
}
_BILLED = ("two", "one", "artifact")
_DOCKERFILE = """FROM scratch AS base
COPY f /f
WORKDIR /w
FROM scratch
COPY --from=base /f /g
COPY f /f
LABEL a="<b>&" c=d
ENV X=1
EXPOSE 80 443
VOLUME /v
HEALTHCHECK CMD true
USER 1:2
CMD ["/f"]
"""
_TEMPLATES = (
    "",
    "{{.Manifest}}",
    "{{json .}}",
    "{{json .Manifest}}",
    "{{json .Image}}",
    "{{json .Provenance}}",
    "{{json .SBOM}}",
    "{{json .SBOM.SPDX}}",
    "{{json .SBOM.AdditionalSPDXs}}",
    "{{json .Provenance.SLSA}}",
    '{{json (index .SBOM "linux/arm64").SPDX}}',
    '{{json (index .SBOM "linux/s390x").SPDX}}',
    '{{ range (index .SBOM "linux/arm64").SPDX.packages }}{{ .name }}@{{ .versionInfo }} {{ end }}',
    "{{ range .SBOM.SPDX.packages }}{{ .name }}@{{ .versionInfo }} {{ end }}",
    "{{.SBOM.SPDX.million}} {{.SBOM.SPDX.count}} {{.SBOM.SPDX.ratio}}",
    "{{.Name}} {{.Manifest.Digest}} {{.Manifest.Size}} {{.Manifest.MediaType}}",
    "{{.Image.Architecture}} {{.Image.Config.Env}} {{.Image.OS}}",
    '{{(index .Image "linux/arm64").Config.Labels.a}}',
)
_PREDICATE = {
    "spdxVersion": "SPDX-2.3",
    "SPDXID": "SPDXRef-DOCUMENT",
    "packages": [{"name": "busybox", "versionInfo": "1.36"}, {"name": "<web> & more \u2028 é", "SPDXID": "x"}],
    "count": 7,
    "ratio": 1.50,
    "million": 1000000,
    "tiny": 0.0000001,
    "huge": 123456789012345678901234,
    "empty": {},
    "none": None,
    "list": [],
}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, local_registry.running(Path(scratch, "registry")) as registry:
        context = Path(scratch, "context")
        context.mkdir()
        (context / "f").write_text("x")
        (context / "Dockerfile").write_text(_DOCKERFILE)
        with buildkit_daemon.running() as daemon:
            environment = {**daemon.environment, "PATH": os.environ["PATH"], "HOME": scratch}

            def buildx(*words: str) -> subprocess.CompletedProcess[str]:
                return subprocess.run(
                    daemon.buildx(*words), env=environment, capture_output=True, text=True, check=False
                )

            with Registry(Hosts(), Credentials(None), "polyarch-test") as client:
                repository = client.repository(reference.parse(f"{registry.address}/app"))
                for tag, flags in _BUILDS.items():
                    output = f"type=image,name={registry.address}/app:{tag},push=true"
                    output += ",oci-mediatypes=true,oci-artifact=true" if tag == "artifact" else ""
                    built = buildx("build", "--output", output, *flags, str(context))
                    built.check_returncode()
                    if tag in _BILLED:
                        _bill(repository, tag)
                answers = {tag: _answers(buildx, f"{registry.address}/app:{tag}") for tag in _BUILDS}
                recorded = {"versions": daemon.versions(), "address": registry.address, "answers": answers}
                recorded |= _content(repository)
    RECORDED.write_bytes(msgspec.json.format(msgspec.json.encode(recorded), indent=1) + b"\n")


def _answers(buildx: Any, name: str) -> dict[str, str]:
    """What buildx prints for each template; not those that are an error."""
    answers = {}
    for template in _TEMPLATES:
        asked = buildx("imagetools", "inspect", *(["--format", template] if template else []), name)
        if asked.returncode == 0:
            answers[template] = asked.stdout
    return answers


def _bill(repository: Repository, tag: str) -> None:
    """Add three SBOMs before the provenance of each image: of the image, of the context and of a stage."""
    index = document.load(repository.read_manifest(repository.resolve(tag)))
    plain = index.decode()
    for entry in plain["manifests"]:
        if (about := (entry.get("annotations") or {}).get(REFERENCE_DIGEST)) is None:
            continue
        old = document.load(repository.read_manifest(Descriptor(entry["mediaType"], entry["digest"], entry["size"])))
        manifest = old.decode()
        manifest["layers"] = [
            *(attestation_layer(repository, name, Digest(about)) for name in ("core", "sbom-context", "sbom-base")),
            *manifest["layers"],
        ]
        new = document.load(document.encode(manifest))
        repository.write_manifest(new.descriptor(), new.raw)
        entry |= {"digest": new.digest, "size": len(new.raw)}
    made = document.load(document.encode(plain))
    repository.write_manifest(made.descriptor(), made.raw, tag)


def attestation_layer(repository: Repository, name: str, image: Digest) -> dict[str, Any]:
    statement = {
        "_type": attestation.OLD_STATEMENT,
        "predicateType": attestation.SPDX,
        "subject": [{"name": "pkg:docker/app@1", "digest": {"sha256": digest.encoded(image)}}],
        "predicate": {**_PREDICATE, "name": name},
    }
    raw = json.dumps(statement, ensure_ascii=False).encode()
    stored = Descriptor(attestation.IN_TOTO, digest.of(raw), len(raw))
    repository.write_blob(stored, io.BytesIO(raw))
    layer: dict[str, Any] = msgspec.to_builtins(attestation.statement(stored, attestation.SPDX))
    return layer


def _content(repository: Repository) -> dict[str, Any]:
    """All that a reader of the images reads: manifests with their types, and small blobs."""
    tags: dict[str, str] = {}
    manifests: dict[str, tuple[str, str]] = {}
    blobs: dict[str, str] = {}
    for tag in _BUILDS:
        root = repository.resolve(tag)
        tags[tag] = root.digest
        pending = [root]
        while pending:
            node = pending.pop()
            found = document.load(repository.read_manifest(node), node.media_type)
            manifests[node.digest] = (node.media_type, base64.b64encode(found.raw).decode())
            if isinstance(found, Index):
                pending += found.manifests
            else:
                blobs |= _small(repository, found)
    return {"tags": tags, "manifests": manifests, "blobs": blobs}


def _small(repository: Repository, manifest: Manifest) -> dict[str, str]:
    read: dict[str, str] = {}
    for blob in (manifest.config, *manifest.layers):
        if "tar" not in blob.media_type:
            with repository.open_blob(blob) as reader:
                read[blob.digest] = base64.b64encode(reader.read()).decode()
    return read


if __name__ == "__main__":
    main()
