"""The quota: what counts, what is refused, and that clients show why. The number of unfinished uploads."""

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.serve import server
from polyarch.serve.errors import RequestError
from polyarch.serve.settings import ServeSettings
from polyarch.serve.uploads import Uploads
from polyarch.store import Store
from tests.needs import need
from tests.serve.around import AROUND
from tests.serve.requests import Answer, Requests

LIMIT = 1_000_000
HALF = bytes(500_000)


@pytest.fixture
def limited(store_root: Path) -> Iterator[Requests]:
    with server.running(store_root, ServeSettings(port=0, quota=LIMIT), AROUND) as address:
        yield Requests(address)


def upload(ask: Requests, content: bytes, repository: str = "app") -> Answer:
    """A whole blob with POST and PUT."""
    begun = ask("POST", f"/v2/{repository}/blobs/uploads/")
    if begun.status != 202:
        return begun
    return ask("PUT", f"{begun.headers['location']}?digest={digests.of(content)}", content)


def test_what_fits_is_taken_and_what_does_not_is_refused_with_the_reason(limited: Requests, store_root: Path) -> None:
    assert upload(limited, HALF + b"1").status == 201
    refused = upload(limited, HALF + b"2")
    assert (refused.status, refused.code) == (403, "DENIED")
    assert "quota of 1MB, of which 500kB are used" in refused.json()["errors"][0]["message"]
    assert upload(limited, b"small").status == 201
    assert list((store_root / "tmp").glob("*/*")) == []  # nothing is left of what was refused


def test_a_body_whose_length_is_not_said_is_refused_when_it_is_too_long(limited: Requests, store_root: Path) -> None:
    begun = limited("POST", "/v2/app/blobs/uploads/")
    refused = limited("PATCH", begun.headers["location"], iter([HALF] * 3))
    assert (refused.status, refused.code) == (403, "DENIED")
    assert list((store_root / "tmp").glob("*/*")) == []
    assert limited("GET", begun.headers["location"]).status == 404


def test_each_blob_counts_once_for_all_images_that_name_it(limited: Requests) -> None:
    first = limited.image("app", "1", layer=HALF[:400_000])
    assert limited.image("other/app", "1", layer=HALF[:400_000]) == first
    limited.image("app", "2", layer=HALF)
    assert upload(limited, os.urandom(200_000)).status == 403
    assert upload(limited, os.urandom(50_000)).status == 201


def test_deleting_an_image_makes_room(limited: Requests) -> None:
    digest = limited.image("app", "1", layer=HALF + b"1")
    assert upload(limited, HALF).status == 403
    assert limited("DELETE", f"/v2/app/manifests/{digest}").status == 202
    assert upload(limited, HALF).status == 201


def test_an_image_of_the_store_counts_when_it_is_pushed(limited: Requests, store_root: Path) -> None:
    with Store.open(store_root) as store:
        layer = store.put_bytes(media_types.OCI_LAYER, os.urandom(LIMIT))
        config = store.put_bytes(media_types.OCI_CONFIG, b"{}")
        document = {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": {"mediaType": config.media_type, "digest": config.digest, "size": config.size},
            "layers": [{"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}],
        }
        manifest: Descriptor = store.put_bytes(media_types.OCI_MANIFEST, msgspec.json.encode(document))
        store.tag("docker.io/library/own:1", manifest)
        # It is served, and takes nothing of the quota.
        assert limited("GET", "/v2/own/manifests/1").status == 200
        assert upload(limited, HALF).status == 201
        refused = limited.manifest("app", "1", document)
        assert (refused.status, refused.code) == (403, "DENIED")
        assert limited("GET", "/v2/app/manifests/1").status == 404


def test_the_quota_holds_after_a_restart(store_root: Path) -> None:
    settings = ServeSettings(port=0, quota=LIMIT)
    with server.running(store_root, settings, AROUND) as address:
        Requests(address).image("app", "1", layer=HALF + b"1")
    with server.running(store_root, settings, AROUND) as address:
        assert upload(Requests(address), HALF).status == 403


def test_one_address_of_another_machine_has_a_part_of_the_uploads(store_root: Path) -> None:
    with Store.open(store_root) as store:
        uploads = Uploads(store, 60, most=32)  # two for each address

        def begin(address: str) -> None:
            upload = uploads.start("app", address=address)
            upload.begin(address, 0)
            upload.append(address, [b"x"])

        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", *["127.0.0.1"] * 3):
            begin(address)
        with pytest.raises(RequestError) as error:
            begin("192.0.2.1")
        assert (error.value.status, error.value.code) == (429, "TOOMANYREQUESTS")
        begin("192.0.2.2")
        uploads.close()
        assert list((store_root / "tmp").glob("*/*")) == []


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layout with an image of 2 MB, tagged 1."""
    need("skopeo")
    directory = tmp_path_factory.mktemp("quota")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = 2_000_000
        tar.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    diff_id = digests.of(packed.getvalue())
    with server.running(directory / "source", ServeSettings(port=0), AROUND) as address:
        ask = Requests(address)
        layer = ask.blob("app", packed.getvalue())
        config = (
            f'{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}'.encode()
        )
        document = {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": {"mediaType": media_types.OCI_CONFIG, "digest": ask.blob("app", config), "size": len(config)},
            "layers": [{"mediaType": media_types.OCI_LAYER, "digest": layer, "size": len(packed.getvalue())}],
        }
        assert ask.manifest("app", "1", document).status == 201
        source = f"docker://{address}/app:1"
        command = ["skopeo", "copy", "-q", "--src-tls-verify=false", source, f"oci:{directory}/layout:1"]
        subprocess.run(command, check=True, timeout=60)
    return directory / "layout"


def refused_push(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    return done.stderr


def test_skopeo_shows_why_a_push_was_refused(layout: Path, limited: Requests) -> None:
    target = f"docker://{limited.address}/app:1"
    error = refused_push("skopeo", "copy", "--dest-tls-verify=false", f"oci:{layout}:1", target)
    assert "denied: this does not fit into the quota of 1MB" in error


def test_podman_shows_why_a_push_was_refused(layout: Path, limited: Requests) -> None:
    need("podman")
    # Podman takes only a short path.
    with tempfile.TemporaryDirectory(prefix="quota") as directory:
        podman = ["podman", "--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver=vfs"]
        pulled = subprocess.run([*podman, "pull", "-q", f"oci:{layout}:1"], capture_output=True, text=True, timeout=60)
        assert pulled.returncode == 0, pulled.stderr
        target = f"docker://{limited.address}/app:1"
        error = refused_push(*podman, "push", "--tls-verify=false", pulled.stdout.strip(), target)
    assert "denied: this does not fit into the quota of 1MB" in error
