"""The store from the outside: images made, named, sent, fetched, saved, loaded and removed by commands alone."""

import gzip
import json
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

from polyarch.cli import execute
from polyarch.oci import reference as references
from scripts.local_registry import LocalRegistry
from tests.conftest import Login
from tests.needs import need
from tests.program import Program

pytestmark = pytest.mark.integration


@pytest.fixture
def fresh(polyarch: Program) -> Program:
    """The program on another store, which is empty."""
    return polyarch.on(polyarch.root.with_name("fresh"))


def platforms(program: Program, name: str) -> dict[str, bool]:
    """The platforms of a name, and whether each is here."""
    seen = program("inspect", "--format", "{{json .Platforms}}", name).json()
    return {entry["Platform"]: entry["Available"] for entry in seen}


def test_a_name_is_one_entry_with_its_platforms_below_it(polyarch: Program, busybox: str) -> None:
    header, *lines = polyarch("images").lines()
    assert header.split() == ["IMAGE", "ID", "SIZE"]
    assert lines[0].startswith("busybox:latest ")
    assert [line.split()[1] for line in lines[1:]] == ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"]
    assert all(line.split()[-1].endswith(("kB", "MB")) for line in lines)


def test_the_list_has_dockers_formats(polyarch: Program, busybox: str) -> None:
    identity = polyarch("images", "-q").stdout.strip()
    assert len(identity) == 12
    assert polyarch("images", "-q", "--no-trunc").stdout.startswith(f"sha256:{identity}")
    row = json.loads(polyarch("images", "--format", "json").stdout)
    assert (row["Repository"], row["Tag"], row["ID"]) == ("busybox", "latest", identity)
    assert row["CreatedAt"]
    assert polyarch("images", "--format", "{{.Repository}}:{{.Tag}}").stdout == "busybox:latest\n"
    table = polyarch("images", "--format", r"table {{.ID}}\t{{.Name}}").lines()
    assert [line.split() for line in table] == [["IMAGE", "ID", "NAME"], [identity, "busybox:latest"]]
    assert "sha256:" in polyarch("images", "--digests").lines()[2]


def test_filters_choose_by_name_and_platform(polyarch: Program, busybox: str) -> None:
    polyarch("tag", busybox, "localhost:5000/team/app:1")
    assert polyarch("images", "-f", "reference=busy*", "--format", "{{.Name}}").lines() == ["busybox:latest"]
    assert polyarch("images", "localhost:5000/team/app", "--format", "{{.Tag}}").lines() == ["1"]
    assert polyarch("images", "-f", "platform=linux/riscv64", "-q").stdout == ""


def test_what_is_pushed_comes_back_the_same(
    polyarch: Program, busybox: str, registry: LocalRegistry, fresh: Program
) -> None:
    name = f"{registry.address}/team/busybox:1"
    polyarch("tag", busybox, name)
    said = polyarch("push", name).stdout
    digest = polyarch("inspect", "--format", "{{.Id}}", busybox).stdout.strip()
    assert said == f"1: digest: {digest} size: 1210\n"
    assert fresh("pull", "--all-platforms", name).lines()[0] == f"Digest: {digest}"
    assert platforms(fresh, name) == dict.fromkeys(["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"], True)
    assert fresh("inspect", "--format", "{{.Id}}", name).stdout.strip() == digest


def test_pull_takes_this_machines_platform_and_keeps_the_index(
    polyarch: Program, busybox: str, registry: LocalRegistry, fresh: Program
) -> None:
    name = f"{registry.address}/busybox"
    polyarch("tag", busybox, name)
    polyarch("push", "-q", name)
    assert fresh("pull", "-q", name).stdout == f"{name}:latest\n"
    assert [platform for platform, here in platforms(fresh, name).items() if here] == ["linux/amd64"]
    fresh("pull", "--platform", "linux/arm64,linux/s390x", "--platform", "linux/arm/v7", name)
    assert all(platforms(fresh, name).values())


def test_a_subset_is_pushed_under_the_index_and_what_is_not_here_is_never_half_pushed(
    polyarch: Program, busybox: str, registry: LocalRegistry, fresh: Program
) -> None:
    name = f"{registry.address}/busybox:1"
    polyarch("tag", busybox, name)
    assert "index" in polyarch("push", "--platform", "linux/arm64", name).stderr
    polyarch("rmi", "--platform", "linux/s390x", name, busybox, check=False)
    polyarch("rmi", busybox)
    polyarch("rmi", "--platform", "linux/s390x", name)
    result = polyarch.fails("push", name)
    assert "linux/s390x" in result.stderr
    assert "--platform linux/amd64,linux/arm64,linux/arm/v7" in result.stderr


@pytest.mark.parametrize(
    ("ending", "magic"), [("tar", b"oci-layout"), ("tar.gz", b"\x1f\x8b"), ("tar.zst", b"\x28\xb5\x2f\xfd")]
)
def test_what_is_saved_is_loaded_and_read_by_skopeo(
    polyarch: Program, busybox: str, fresh: Program, tmp_path: Path, ending: str, magic: bytes
) -> None:
    file = tmp_path / f"busybox.{ending}"
    polyarch("save", "-o", file, busybox)
    assert file.read_bytes().startswith(magic)
    assert fresh("load", "-i", file).stdout == "Loaded image: busybox:latest\n"
    assert platforms(fresh, busybox) == platforms(polyarch, busybox)
    if ending == "tar":
        need("skopeo")
        seen = subprocess.run(
            ["skopeo", "inspect", "--config", f"docker-archive:{file}"], capture_output=True, check=True
        )
        assert json.loads(seen.stdout)["architecture"] == "amd64"


def test_save_and_load_work_as_streams_and_keep_a_subset(polyarch: Program, busybox: str, fresh: Program) -> None:
    command = [polyarch.path, "save", "--platform", "linux/arm64", busybox]
    raw = subprocess.run(command, env=polyarch.env, capture_output=True, check=True).stdout
    fresh("load", "-q", stdin=gzip.compress(raw, 1))
    assert [platform for platform, here in platforms(fresh, busybox).items() if here] == ["linux/arm64"]


def test_an_archive_that_is_none_is_refused(polyarch: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no archive" * 1000)
    result = polyarch.fails("load", "-i", tmp_path / "file")
    assert result.status == 1
    assert "not a tar archive" in result.stderr
    assert polyarch.fails("save", "nothing", "-o", tmp_path / "x.tar").status == 1
    assert not (tmp_path / "x.tar").exists()


def test_the_manual_way_ties_images_together(
    polyarch: Program, busybox_tars: dict[str, Path], registry: LocalRegistry, fresh: Program
) -> None:
    name = f"{registry.address}/app:1.1"
    for short in ("amd64", "arm64"):
        polyarch("import", "--platform", short, busybox_tars[f"linux/{short}"], f"{name}-{short}")
        polyarch("push", f"{name}-{short}")
    created = polyarch("manifest", "create", name, f"{name}-amd64", f"{name}-arm64", "--amend")
    assert created.stdout == f"Created manifest list {name}\n"
    assert polyarch.fails("manifest", "create", name, f"{name}-amd64").status == 1
    shown = polyarch("manifest", "inspect", name).json()
    assert [entry["platform"]["architecture"] for entry in shown["manifests"]] == ["amd64", "arm64"]
    polyarch("manifest", "annotate", "--arch", "arm64", "--variant", "v8", name, f"{name}-arm64")
    digest = polyarch("manifest", "push", name).stdout.strip()
    assert digest == polyarch("inspect", "--format", "{{.Id}}", name).stdout.strip()
    assert polyarch("manifest", "diff", name).stdout == ""
    assert polyarch("manifest", "rm", name).stdout == f"Untagged: {name}\n"
    assert polyarch("manifest", "exists", name, check=False).status == 1
    fresh("pull", "--all-platforms", name)
    assert list(platforms(fresh, name)) == ["linux/amd64", "linux/arm64"]


def test_login_is_kept_used_and_forgotten(
    polyarch: Program, busybox: str, password_registry: LocalRegistry, login: Login
) -> None:
    host = password_registry.address
    polyarch("tag", busybox, f"{host}/busybox")
    refused = polyarch.fails("push", f"{host}/busybox")
    assert "login" in refused.stderr
    wrong = polyarch.fails("login", "-u", login.user, "--password-stdin", host, stdin="wrong")
    assert wrong.status == 1
    done = polyarch("login", "-u", login.user, "--password-stdin", host, stdin=login.password + "\n")
    assert done.stdout == "Login Succeeded\n"
    assert login.password not in done.stderr
    polyarch("push", f"{host}/busybox")
    assert polyarch("logout", host).stdout == f"Removing login credentials for {host}\n"
    assert polyarch("logout", host).stdout == f"Not logged in to {host}\n"
    polyarch.fails("pull", f"{host}/busybox")


def test_removal_gives_the_disk_back(polyarch: Program, busybox: str) -> None:
    polyarch("tag", busybox, "other")
    assert polyarch("rmi", "other").stdout == "Untagged: other:latest\n"
    blobs = {f"Deleted: sha256:{path.name}" for path in (polyarch.root / "oci/blobs/sha256").iterdir()}
    said = polyarch("rmi", busybox).lines()
    assert said[0] == "Untagged: busybox:latest"
    assert set(said[1:]) == blobs
    assert len(blobs) == 13
    assert polyarch("system", "df", "--format", "{{.Type}} {{.Size}}").lines()[0] == "Images 0B"


def test_the_table_of_contents_of_a_large_layer_goes_with_it(polyarch: Program, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(random.Random(1).randbytes(3 << 20))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY large /\n")
    polyarch("build", "-q", "-t", "large", tmp_path)
    said = polyarch("rmi", "large").lines()
    assert len([line for line in said if line.startswith("Deleted: sha256:")]) == 4
    assert not list((polyarch.root / "oci/blobs/sha256").iterdir())


def test_one_bad_name_does_not_keep_the_others(polyarch: Program, busybox: str) -> None:
    result = polyarch("rmi", "nothing", busybox, check=False)
    assert result.status == 1
    assert "Untagged: busybox:latest" in result.stdout
    assert "there is no image nothing" in result.stderr


def test_a_spoilt_blob_is_found_and_repaired(polyarch: Program, busybox: str) -> None:
    assert "no problems" in polyarch("system", "fsck").stdout
    blob = max((polyarch.root / "oci/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    raw = bytearray(blob.read_bytes())
    raw[1000] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(bytes(raw))
    found = polyarch("system", "fsck", check=False)
    assert found.status == 1
    assert f"sha256:{blob.name}" in found.stdout
    assert "busybox" in found.stdout
    refused = polyarch("save", "busybox", check=False)
    assert refused.status == 1
    for result in (found, refused):
        assert "polyarch system fsck --repair" in result.stderr
    polyarch("system", "fsck", "--repair")
    assert not blob.exists()


def test_merge_ties_archives_together_and_tells_of_drift(
    polyarch: Program, busybox_tars: dict[str, Path], tmp_path: Path
) -> None:
    for short in ("amd64", "arm64"):
        change = ["-c", "LABEL only=here"] if short == "arm64" else []
        polyarch("import", "--platform", short, *change, busybox_tars[f"linux/{short}"], f"app-{short}")
        polyarch("save", "--format", "oci-archive", "-o", tmp_path / f"{short}.tar", f"app-{short}")
    result = polyarch("merge", tmp_path / "amd64.tar", tmp_path / "arm64.tar", "-t", "app:1")
    assert list(platforms(polyarch, "app:1")) == ["linux/amd64", "linux/arm64"]
    assert "label" in result.stderr.lower()


def test_import_takes_changes_as_dockerfile_instructions(polyarch: Program, busybox_tars: dict[str, Path]) -> None:
    changes = [
        "CMD echo hello",
        "ENV A=1 B=2",
        "WORKDIR /srv",
        "USER 65534",
        "EXPOSE 80",
        "LABEL a=b",
        'ENTRYPOINT ["sh", "-c"]',
    ]
    words = [word for change in changes for word in ("-c", change)]
    polyarch("import", *words, busybox_tars["linux/amd64"], "app")
    config = polyarch("inspect", "--format", "{{json .Config}}", "app").json()
    assert config["Env"] == ["A=1", "B=2"]
    assert (config["WorkingDir"], config["User"], config["Labels"]) == ("/srv", "65534", {"a": "b"})
    assert config["ExposedPorts"] == {"80/tcp": {}}
    assert config["Entrypoint"] == ["sh", "-c"]
    refused = polyarch.fails("import", "-c", "RUN true", busybox_tars["linux/amd64"], "app")
    assert refused.status == 2
    assert "RUN" in refused.stderr


def test_completion_knows_the_images(polyarch: Program, busybox: str) -> None:
    asked = {"_POLYARCH_COMPLETE": "bash_complete", "COMP_TEXT": "polyarch inspect bus", "COMP_BREAKS": ""}
    assert polyarch(env=asked).stdout.split() == ["plain,busybox:latest"]


def test_two_builds_from_standard_input(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    dockerfile = "FROM busybox\nRUN echo made > /made\nCMD cat /made\n"
    polyarch("build", "-t", "one", "-", stdin=dockerfile)
    assert polyarch("run", "one").stdout == "made\n"
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY file /file\nCMD cat /file\n")
    (tmp_path / "file").write_text("from a tar\n")
    with tarfile.open(tmp_path / "context.tar", "w") as archive:
        archive.add(tmp_path / "Dockerfile", "Dockerfile")
        archive.add(tmp_path / "file", "file")
    polyarch("build", "-t", "two", "-", stdin=(tmp_path / "context.tar").read_bytes())
    assert polyarch("run", "two").stdout == "from a tar\n"


def test_a_build_writes_its_digest_and_metadata(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nARG A=none\nLABEL a=$A\n")
    words = [
        "--build-arg",
        "A=given",
        "--label",
        "b=c",
        "--iidfile",
        tmp_path / "id",
        "--metadata-file",
        tmp_path / "meta",
    ]
    said = polyarch("build", "-q", "--platform", "linux/amd64,linux/arm64", "-t", "app:1", *words, tmp_path)
    digest = said.stdout.strip()
    assert said.stderr == ""
    assert (tmp_path / "id").read_text() == digest
    metadata = json.loads((tmp_path / "meta").read_text())
    assert metadata["containerimage.digest"] == digest
    assert metadata["image.name"] == "docker.io/library/app:1"
    entries = polyarch("manifest", "inspect", "app:1").json()["manifests"]
    assert [one["digest"] for one in metadata["polyarch.images"].values()] == [one["digest"] for one in entries]
    assert list(metadata["polyarch.images"]) == ["linux/amd64", "linux/arm64"]
    labels = polyarch("inspect", "--format", "{{json .Config.Labels}}", "app:1").json()
    assert labels == {"a": "given", "b": "c"}


def test_a_failing_step_shows_its_lines_and_what_it_said(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo doomed >&2; exit 3\n")
    result = polyarch.fails("build", tmp_path)
    assert result.status == 1
    assert "Dockerfile:2" in result.stderr
    assert "doomed" in result.stderr
    assert "exit code: 3" in result.stderr


def test_a_dockerfile_is_checked_and_described_without_building_it(
    polyarch: Program, busybox: str, tmp_path: Path
) -> None:
    text = "FROM busybox AS base\nARG WHO=me\nRUN --mount=type=secret,id=token false\nFROM base AS Final\n"
    (tmp_path / "Dockerfile").write_text(text)
    found = polyarch("build", "--check", tmp_path, check=False)
    assert found.status == 1
    assert "WARNING: StageNameCasing (line 4)" in found.stdout
    assert "1 warning has been found" in found.stdout
    targets = polyarch("build", "--call", "targets", tmp_path).lines()
    assert [line.split()[0] for line in targets] == ["TARGET", "base", "final"]
    outline = polyarch("build", "--call", "outline", "--target", "base", tmp_path).stdout
    assert "WHO" in outline
    assert "token" in outline
    (tmp_path / "Dockerfile").write_text("FROM busybox\n")
    assert polyarch("build", "--check", tmp_path).stdout == "Check complete, no warnings found.\n"


def test_hosts_and_limits_reach_run(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    script = "RUN grep 10.1.2.3 /etc/hosts && test $(ulimit -n) = 512"
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\n{script}\n")
    polyarch("build", "--add-host", "db.local:10.1.2.3", "--ulimit", "nofile=512:1024", tmp_path)
    assert polyarch.fails("build", "--add-host", "db.local", tmp_path).status == 2
    assert polyarch.fails("build", "--ulimit", "nofile", tmp_path).status == 2
    assert polyarch.fails("build", "--shm-size", "huge", tmp_path).status == 2


def test_inspect_prints_an_empty_field_in_a_template_as_nothing(polyarch: Program, busybox: str) -> None:
    form = "{{.Architecture}}|{{.Variant}}|{{.OsVersion}}|{{.Author}}|{{.Parent}}|{{json .Variant}}"
    assert polyarch("inspect", "--platform", "linux/amd64", "--format", form, busybox).stdout == 'amd64|||||""\n'
    whole = polyarch("inspect", "--platform", "linux/amd64", "--format", "{{json .}}", busybox).json()
    assert "Variant" not in whole
    assert whole["Author"] == ""
    assert "no field 'Nonsense'" in polyarch.fails("inspect", "--format", "{{.Nonsense}}", busybox).stderr


@pytest.mark.parametrize("command", ["push", "pull", "run", "tag", "manifest"])
def test_a_name_is_parsed_once_where_it_enters(
    command: str, polyarch: Program, busybox: str, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{registry.address}/team/busybox:1"
    polyarch("tag", busybox, name)
    polyarch("push", "--platform", "linux/amd64", name)
    arguments = {
        "push": ["push", "--quiet", "--platform", "linux/amd64", name],
        "pull": ["pull", "--quiet", "--platform", "linux/amd64", name],
        "run": ["run", "--platform", "linux/loong64", name],
        "tag": ["tag", busybox, name],
        "manifest": ["manifest", "push", "--platform", "linux/amd64", name],
    }
    parsed: list[str] = []
    parse = references.parse
    monkeypatch.setattr(references, "parse", lambda text: parsed.append(text) or parse(text))
    # `run` fails before it enters a namespace, which would be for good: the image is not for that platform.
    assert execute.execute(["--root", str(polyarch.root), *arguments[command]]) == (command == "run")
    assert parsed.count(name) == 1
