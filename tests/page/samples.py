"""A store with small images for pages: good ones, faulty ones, and one that says hostile things."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from polyarch.oci import attestation
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci.config import History
from polyarch.oci.descriptor import Descriptor
from polyarch.store import Store
from tests.images import elves
from tests.images.layered import entry, file, image, index, program

# When the images were made, and when they are looked at: five hours later.
CREATED = "2026-03-01T07:00:00Z"
NOW = 1772366400.0
MACHINES = {"linux/amd64": "amd64", "linux/arm64": "arm64", "linux/arm/v7": "arm"}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\x1b[31m\x07\u202egnp.exe\u2066'
LONG = "w" * 3000
SPDX = "https://spdx.dev/Document"


def dpkg(packages: Mapping[str, str], architecture: str) -> str:
    """The database of Debian's package manager."""
    return "".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: {architecture}\nVersion: {version}\n\n"
        for name, version in packages.items()
    )


def app(store: Store, platform: str, version: str = "1.0", machine: str = "", **run: Any) -> Descriptor:
    """A program in two layers, with a history such as BuildKit writes. `machine` is that of the program."""
    base = [
        file("etc/os-release", "ID=debian\nVERSION_ID=12\n"),
        file("var/lib/dpkg/status", dpkg({"libc6": "2.36-9", "zlib1g": "1.2.13"}, platform.split("/")[1])),
    ]
    top = [program("app", elves.elf(machine or MACHINES[platform], kind=2)), file("version", version * 2000)]
    history = [
        History(created=CREATED, created_by="/bin/sh -c #(nop) ADD file:base in / ", comment=""),
        History(created=CREATED, created_by="ENV MODE=fast", comment="buildkit.dockerfile.v0", empty_layer=True),
        History(created=CREATED, created_by="COPY app version / # buildkit", comment="buildkit.dockerfile.v0"),
        History(created=CREATED, created_by='ENTRYPOINT ["/app"]', comment="buildkit.dockerfile.v0", empty_layer=True),
    ]
    settings = {"Entrypoint": ["/app"], "Env": ["MODE=fast", "PATH=/bin"], "User": "1000", "WorkingDir": "/srv"} | run
    config = {"created": CREATED, "history": [_line(one) for one in history]}
    return image(store, platform, base, top, config=config, **settings)


def _line(one: History) -> dict[str, Any]:
    fields = {"created": one.created, "created_by": one.created_by, "comment": one.comment}
    return {**fields, **({"empty_layer": True} if one.empty_layer else {})}


def repository(store: Store, name: str = "localhost/team/app") -> None:
    """Tags 1.0 and latest for three platforms, 0.9 for two."""
    members = [entry(app(store, platform), platform) for platform in MACHINES]
    made = index(store, f"{name}:1.0", *members)
    store.tag(f"{name}:latest", made)
    older = [entry(app(store, platform, "0.9", Env=["MODE=slow"]), platform) for platform in list(MACHINES)[:2]]
    index(store, f"{name}:0.9", *older)


def attested(store: Store, name: str = "localhost/team/attested:1") -> Descriptor:
    """An image for two platforms, each with an SBOM and a provenance, and a signature of one of them."""
    entries = []
    for platform in list(MACHINES)[:2]:
        made = app(store, platform)
        packages = [
            spdx_package("deb", "libc6", "2.36-9"),
            spdx_package("pypi", "flask", "3.0" if "amd" in platform else "3.1"),
        ]
        manifest = statement(store, made, SPDX, {"packages": packages})
        more = statement(store, made, attestation.PROVENANCE_V1, provenance())
        entries += [entry(made, platform), *(attestation.entry(one, made.digest) for one in (manifest, more))]
    made_index = indexes.create(entries, {"org.opencontainers.image.title": "Attested"})
    store.write_manifest(made_index.descriptor(), made_index.raw, name)
    signature = manifests.artifact("application/vnd.dev.sigstore.bundle.v0.3+json", [], entries[0])
    store.put_bytes(manifests.EMPTY.media_type, manifests.EMPTY_CONFIG)
    store.write_referrers(entries[0].digest, [signature])
    return made_index.descriptor()


def statement(store: Store, subject: Descriptor, kind: str, predicate: Any) -> Any:
    """An attestation manifest with one statement, stored."""
    body = {"_type": attestation.STATEMENT, "predicateType": kind, "subject": [], "predicate": predicate}
    blob = store.put_bytes(attestation.IN_TOTO, json.dumps(body).encode())
    store.put_bytes(manifests.EMPTY.media_type, manifests.EMPTY_CONFIG)
    manifest = attestation.artifact(subject, [attestation.statement(blob, kind)])
    store.write_manifest(manifest.descriptor(), manifest.raw)
    return manifest


def spdx_package(kind: str, name: str, version: str, license_: str = "MIT") -> dict[str, Any]:
    purl = f"pkg:{kind}/{name}@{version}"
    reference = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}
    return {"name": name, "versionInfo": version, "licenseDeclared": license_, "externalRefs": [reference]}


def provenance() -> dict[str, Any]:
    material = {"uri": "https://user:secret@example.org/x.git", "digest": {"sha256": "a" * 64}}
    return {
        "buildDefinition": {"buildType": "https://example.org/build", "resolvedDependencies": [material]},
        "runDetails": {"builder": {"id": "https://example.org/builder"}, "metadata": {"startedOn": CREATED}},
    }


def faulty(store: Store, name: str = "localhost/team/faulty:1") -> Descriptor:
    """An index whose arm64 image has a program for amd64, and whose arm image is not here."""
    good, bad = app(store, "linux/amd64"), app(store, "linux/arm64", machine="amd64")
    absent = Descriptor(good.media_type, good.digest[:-8] + "00000000", 500)  # type: ignore[arg-type]
    return index(store, name, entry(good, "linux/amd64"), entry(bad, "linux/arm64"), entry(absent, "linux/arm/v7"))


def hostile(store: Store, name: str = "localhost/team/hostile:1") -> Descriptor:
    """An image whose every text is an attack on a page that shows it."""
    made = image(
        store,
        "linux/amd64",
        [file("etc/x", "x"), program("app", elves.elf(kind=2))],
        steps=[f"RUN {HOSTILE}"],
        config={"created": HOSTILE, "author": HOSTILE},
        Entrypoint=[HOSTILE],
        Cmd=[LONG],
        Env=[f"{HOSTILE}={HOSTILE}", f"LONG={LONG}"],
        User=HOSTILE,
        WorkingDir=HOSTILE,
        ExposedPorts={HOSTILE: {}},
        Volumes={HOSTILE: {}},
        Labels={HOSTILE: HOSTILE, "long": LONG},
        Healthcheck={"Test": ["CMD-SHELL", HOSTILE]},
        OnBuild=[HOSTILE],
        StopSignal=HOSTILE,
        Shell=[HOSTILE],
    )
    package = spdx_package("deb", HOSTILE, HOSTILE, HOSTILE)
    bill = statement(store, made, SPDX, {"packages": [package]})
    claim = provenance()
    claim["buildDefinition"]["buildType"] = claim["runDetails"]["builder"]["id"] = HOSTILE
    claim["buildDefinition"]["resolvedDependencies"] = [{"uri": HOSTILE, "digest": {HOSTILE: HOSTILE}}]
    more = statement(store, made, attestation.PROVENANCE_V1, claim)
    entries = [entry(made, "linux/amd64"), *(attestation.entry(one, made.digest) for one in (bill, more))]
    made_index = indexes.create(entries, {HOSTILE: HOSTILE, "long": LONG})
    store.write_manifest(made_index.descriptor(), made_index.raw, name)
    return made_index.descriptor()


def artifact(
    store: Store, name: str = "localhost/team/chart:1", kind: str = "application/vnd.cncf.helm.config.v1+json"
) -> Descriptor:
    """Something that is not an image."""
    subject = store.put_bytes("application/vnd.oci.image.manifest.v1+json", b"{}")
    layer = store.put_bytes("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart")
    store.put_bytes(manifests.EMPTY.media_type, manifests.EMPTY_CONFIG)
    made = manifests.artifact(kind, [layer], subject, {"org.opencontainers.image.version": "1"})
    store.write_manifest(made.descriptor(), made.raw, name)
    return made.descriptor()


def many_tags(store: Store, count: int, name: str = "localhost/team/many") -> None:
    """A repository with so many tags, one image."""
    members = [entry(app(store, platform), platform) for platform in list(MACHINES)[:2]]
    made = index(store, f"{name}:latest", *members)
    tags: Sequence[str] = [f"1.{number // 100}.{number % 100}" for number in range(count - 1)]
    store.assign([(f"{name}:{tag}", made) for tag in tags])
