"""`client.images`: against a real registry, a real runtime and emulation."""

import io
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from polyarch import (
    ConflictError,
    Credential,
    NotFoundError,
    Platform,
    Polyarch,
    RegistryError,
    StartError,
    Transferred,
    UsageError,
    Warned,
)
from polyarch.progress import Event
from scripts.local_registry import LocalRegistry
from tests.client.conftest import Clients
from tests.conftest import Login

BUSYBOX = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"]


def test_an_image_is_pushed_removed_and_pulled_for_one_platform(
    client: Polyarch, busybox: str, registry: LocalRegistry
) -> None:
    name = f"{registry.address}/team/app:1"
    tagged = client.images.tag(busybox, name)
    pushed = client.images.push(name)
    assert (pushed.name, pushed.descriptor.digest) == (name, tagged.digest)
    assert client.images.remove(name).untagged == (name,)
    client.images.remove(busybox)
    assert client.images.list() == ()
    pulled = client.images.pull(name, platforms="linux/arm64")
    assert (pulled.name, pulled.digest) == (name, tagged.digest)
    assert [(entry.platform, entry.available) for entry in pulled.platforms] == [
        (platform, platform == "linux/arm64") for platform in BUSYBOX
    ]
    assert all(entry.available for entry in client.images.pull(name, platforms="all").platforms)


def test_a_string_is_one_platform_or_the_platforms_that_commas_part(
    client: Polyarch, busybox: str, registry: LocalRegistry
) -> None:
    name = f"{registry.address}/app"
    client.images.tag(busybox, name)
    pushed = client.images.push(name, platforms="linux/amd64,linux/s390x")
    there = client.indexes.inspect(f"docker://{name}")
    assert there.descriptor == pushed.descriptor
    for given in ("linux/s390x", Platform(os="linux", architecture="s390x"), ["linux/s390x"], iter(["linux/s390x"])):
        client.images.push(name, platforms=given)
    assert client.images.remove(name, platforms=["linux/arm64", "linux/arm/v7"]).untagged == ()
    left = {entry.platform for entry in client.images.get(name).platforms if entry.available}
    assert left >= {"linux/amd64", "linux/s390x"}


def test_images_are_listed_and_looked_at(client: Polyarch, busybox: str) -> None:
    (image,) = client.images.list()
    assert image == client.images.get(busybox) == client.images.get(image.digest)
    assert [entry.platform for entry in image.platforms] == BUSYBOX
    details = client.images.inspect(busybox, platform="linux/arm/v7")
    assert str(details.platform) == "linux/arm/v7"
    assert details.digest == image.platforms[2].digest
    assert details.config["architecture"] == "arm"
    assert [layer.size for layer in details.layers]
    with pytest.raises(NotFoundError, match="no image busybux") as raised:
        client.images.get("busybux")
    assert raised.value.hint == "did you mean busybox:latest?"


def test_a_process_runs_for_another_platform_and_its_output_is_captured(client: Polyarch, busybox: str) -> None:
    done = client.images.run(
        busybox, "sh", "-c", "uname -m; echo no >&2; exit 3", platform="linux/s390x", capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"s390x\n", b"no\n")
    assert str(done.platform) == "linux/s390x"


def test_the_streams_of_a_process_are_those_of_subprocess(client: Polyarch, busybox: str, tmp_path: Path) -> None:
    many = b"x" * 300_000
    back = client.images.run(busybox, "cat", input=many, stdout=subprocess.PIPE)
    assert (back.stdout, back.stderr) == (many, None)
    with open(tmp_path / "out", "wb") as file:
        client.images.run(busybox, "echo", "to a file", stdout=file)
    assert (tmp_path / "out").read_bytes() == b"to a file\n"
    with open(tmp_path / "out", "rb") as file:
        memory = io.BytesIO()
        client.images.run(
            busybox, "sh", "-c", "cat; echo both >&2", stdin=file, stdout=memory, stderr=subprocess.DEVNULL
        )
    assert memory.getvalue() == b"to a file\n"
    both = client.images.run(
        busybox, "sh", "-c", "echo a; echo b >&2", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert both.stdout == b"a\nb\n"
    # A process that does not read its input does not fail for it.
    assert client.images.run(busybox, "true", input=many).returncode == 0
    with pytest.raises(UsageError, match="stdout is a text stream"):
        client.images.run(busybox, "true", stdout=io.StringIO())  # type: ignore[arg-type]


def test_a_process_gets_variables_a_directory_and_a_user(client: Polyarch, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/word").write_text("hello")
    done = client.images.run(
        busybox,
        "sh",
        "-c",
        "echo $GREETING; pwd; id -u; cat /data/word; echo x > /data/word || echo read-only; hostname",
        env={"GREETING": "hi = there"},
        working_directory="/etc",
        user="1000",
        volumes={str(tmp_path / "data"): "/data:ro"},
        hostname="box",
        capture_output=True,
    )
    assert done.stdout == b"hi = there\n/etc\n1000\nhelloread-only\nbox\n"
    with pytest.raises(NotFoundError, match="cannot mount"):
        client.images.run(busybox, volumes={str(tmp_path / "missing"): "/data"})
    with pytest.raises(UsageError, match="volumes"):
        client.images.run(busybox, volumes={str(tmp_path): "data"})


def test_what_cannot_start_is_an_error_and_what_fails_is_a_status(client: Polyarch, busybox: str) -> None:
    assert client.images.run(busybox, "false").returncode == 1
    assert client.images.run(busybox, "sh", "-c", "sleep 9 & kill -9 $!; wait $!").returncode == 137
    with pytest.raises(StartError, match="cannot run nonesuch") as raised:
        client.images.run(busybox, "nonesuch", stderr=subprocess.DEVNULL)
    assert raised.value.status == 127
    with pytest.raises(NotFoundError, match="no image for linux/riscv64"):
        client.images.run(busybox, "true", platform="linux/riscv64")


def test_processes_run_side_by_side_in_threads(client: Polyarch, busybox: str) -> None:
    found: dict[str, bytes | None] = {}

    def run(platform: str) -> None:
        found[platform] = client.images.run(busybox, "uname", "-m", platform=platform, capture_output=True).stdout

    threads = [threading.Thread(target=run, args=(platform,)) for platform in ("linux/amd64", "linux/arm64")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"linux/amd64": b"x86_64\n", "linux/arm64": b"aarch64\n"}


def test_an_image_is_checked(client: Polyarch, busybox: str) -> None:
    report = client.images.check(busybox, platforms="linux/amd64,linux/arm64")
    assert report.is_good()
    assert [str(image.platform) for image in report.images] == ["linux/amd64", "linux/arm64"]


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.zst"])
def test_an_image_is_saved_to_a_file_and_loaded(client: Polyarch, busybox: str, tmp_path: Path, ending: str) -> None:
    before = client.images.get(busybox)
    client.images.save(busybox, tmp_path / f"image{ending}")
    client.images.remove(busybox)
    (loaded,) = client.images.load(str(tmp_path / f"image{ending}"))
    assert loaded == before
    assert sorted(path.name for path in tmp_path.glob("*image*")) == [f"image{ending}"]


def test_an_image_is_saved_to_a_stream_and_loaded_from_one(client: Polyarch, busybox: str) -> None:
    memory = io.BytesIO()
    client.images.save([busybox], memory, platforms="linux/arm64", format="oci", compress="gzip")
    client.images.remove(busybox)
    memory.seek(0)
    (loaded,) = client.images.load(memory)
    assert [entry.platform for entry in loaded.platforms] == ["linux/arm64"]


def test_a_save_that_fails_leaves_no_file(client: Polyarch, busybox: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        client.images.save([busybox, "nonesuch"], tmp_path / "image.tar")
    assert not list(tmp_path.glob("*image*"))


def test_credentials_and_hosts_are_settings_of_the_client(
    clients: Clients, busybox: str, password_registry: LocalRegistry, login: Login
) -> None:
    name = f"{password_registry.address}/private/app:1"
    with clients() as stranger:
        stranger.images.tag(busybox, name)
        with pytest.raises(RegistryError) as raised:
            stranger.images.push(name)
        assert raised.value.status == 401
    given = {password_registry.address: Credential(username=login.user, password=login.password)}
    with clients(credentials=given) as known:
        assert known.images.push(name).name == name
        # A worker has them, too: it pulls what it runs.
        known.images.remove(name)
        known.images.remove(busybox)
        assert known.images.run(name, "echo", "pulled", capture_output=True).stdout == b"pulled\n"


def test_an_id_with_several_names_is_removed_with_force_alone(client: Polyarch, busybox: str) -> None:
    digest = client.images.tag(busybox, "other").digest
    with pytest.raises(ConflictError):
        client.images.remove(digest)
    assert sorted(client.images.remove(digest, force=True).untagged) == ["busybox:latest", "other:latest"]


def test_progress_is_told_to_the_callback(
    clients: Clients, busybox: str, registry: LocalRegistry, events: list[Event]
) -> None:
    with clients(progress=events.append) as client:
        client.images.tag(busybox, f"{registry.address}/app")
        client.images.push(f"{registry.address}/app")
    assert any(isinstance(event, Transferred) for event in events)
    assert not any(isinstance(event, Warned) for event in events)


def test_a_closed_client_says_so(client: Polyarch) -> None:
    client.close()
    with pytest.raises(UsageError, match="this client is closed"):
        client.images.list()
    with pytest.raises(UsageError, match="this client is closed"):
        client.images.run("busybox")


def test_threads_share_a_client(client: Polyarch, busybox: str, tmp_path: Path) -> None:
    def work(number: int) -> str:
        client.images.tag(busybox, f"app:{number}")
        client.images.save(f"app:{number}", tmp_path / f"{number}.tar")
        client.images.remove(f"app:{number}")
        (loaded,) = client.images.load(tmp_path / f"{number}.tar")
        client.indexes.create(f"list:{number}", f"app:{number}")
        return loaded.name

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(8))) == [f"app:{number}" for number in range(8)]
    assert len(client.images.list()) == 1 + 8 + 8


def test_what_no_image_needs_is_pruned(client: Polyarch, busybox: str) -> None:
    client.build(None, dockerfile="FROM busybox\nRUN echo x > /file\n", tags="app")
    client.prune()
    assert client.prune(dry_run=True).removed == ()
    client.images.remove("app")
    would = client.prune(all=True, dry_run=True)
    assert would.size > 0
    assert client.prune(all=True).size >= would.size
    assert client.prune(all=True).removed == ()
    assert client.images.run(busybox, "true").returncode == 0
    assert client.prune(keep_storage="1GB").removed == ()
