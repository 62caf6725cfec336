"""Targets as one graph: shared work is done once, a failure names its target, `--keep-going` finishes the others."""

import http.server
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import need
from tests.program import Program

TWO = '["linux/amd64", "linux/arm64"]'


class CountingServer(http.server.ThreadingHTTPServer):
    """Serves one small file, and counts how often it is sent."""

    count = 0


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, CountingServer)
        self.server.count += 1
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"file\n")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[CountingServer]:
    with CountingServer(("127.0.0.1", 0), _Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def targets(*names: str, extra: str = "") -> str:
    """A bake file with a target for each stage of this name, for two platforms, exported to a directory."""
    group = f"group default {{ targets = {json.dumps(names)} }}\n"
    return group + "".join(
        f'target {name} {{\n target = "{name}"\n platforms = {TWO}\n output = ["out-{name}"]\n {extra}\n}}\n'
        for name in names
    )


@pytest.mark.integration
def test_a_stage_that_targets_share_runs_once_for_each_platform(
    polyarch: Program, busybox: str, tmp_path: Path
) -> None:
    need("crun")
    (tmp_path / "docker-bake.hcl").write_text(targets("one", "two", "three"))
    (tmp_path / "Dockerfile").write_text(f"""
FROM --platform=$BUILDPLATFORM {busybox} AS builder
ARG TARGETARCH
RUN --mount=type=cache,id=count,target=/c echo x >> /c/$TARGETARCH; sleep 0.2; cp /c/$TARGETARCH /made
FROM scratch AS one
COPY --from=builder /made /one
FROM scratch AS two
COPY --from=builder /made /two
FROM --platform=$BUILDPLATFORM {busybox} AS count
ARG TARGETARCH
RUN --mount=type=cache,id=count,target=/c --mount=from=builder,target=/b cat /c/$TARGETARCH > /three
FROM scratch AS three
COPY --from=count /three /
""")
    built = polyarch("bake", "--progress=plain", cwd=tmp_path)
    for platform in ("linux_amd64", "linux_arm64"):
        assert (tmp_path / f"out-three/{platform}/three").read_text() == "x\n"
    assert (tmp_path / "out-one/linux_arm64/one").read_bytes() == (tmp_path / "out-two/linux_arm64/two").read_bytes()
    assert built.stderr.count("builder 1/1] RUN") == 2, built.stderr
    again = polyarch("bake", "--progress=plain", cwd=tmp_path)
    assert again.stderr.count("CACHED") == 6, again.stderr
    assert "RUN" not in again.stderr


def test_a_download_that_targets_share_is_made_once(polyarch: Program, server: CountingServer, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text(targets("one", "two"))
    url = f"http://127.0.0.1:{server.server_port}/file"
    (tmp_path / "Dockerfile").write_text(f"FROM scratch AS one\nADD {url} /one\nFROM scratch AS two\nADD {url} /two\n")
    polyarch("bake", cwd=tmp_path)
    assert server.count == 1
    assert (tmp_path / "out-two/linux_arm64/two").read_text() == "file\n"


def test_targets_without_anything_in_common_have_their_own_results(polyarch: Program, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        (tmp_path / name / "Dockerfile").write_text("FROM scratch\nCOPY file /\nCOPY . /all/\n")
    text = "".join(f'target {name} {{\n context = "{name}"\n output = ["out-{name}"]\n}}\n' for name in ("one", "two"))
    (tmp_path / "docker-bake.hcl").write_text(text)
    polyarch("bake", "one", "two", cwd=tmp_path)
    for name in ("one", "two"):
        assert (tmp_path / f"out-{name}/file").read_text() == name
        assert (tmp_path / f"out-{name}/all/file").read_text() == name


def test_a_compression_of_its_own_is_kept(polyarch: Program, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    kinds = {"gzip": "gzip", "zstd": "zstd"}
    text = "".join(
        f'target {name} {{\n output = ["type=oci,tar=false,dest=out-{name},compression={kind}"]\n}}\n'
        for name, kind in kinds.items()
    )
    (tmp_path / "docker-bake.hcl").write_text(text)
    polyarch("bake", *kinds, cwd=tmp_path)
    for name, kind in kinds.items():
        documents = [path.read_bytes() for path in (tmp_path / f"out-{name}/blobs/sha256").iterdir()]
        assert any(f"layer.v1.tar+{kind}".encode() in text for text in documents), name


@pytest.mark.integration
def test_secrets_of_targets_are_not_mixed(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    need("crun")
    (tmp_path / "Dockerfile").write_text(
        f"FROM {busybox} AS b\nRUN --mount=type=secret,id=s cat /run/secrets/s > /said\n"
        "FROM scratch\nCOPY --from=b /said /\n"
    )
    text = "".join(
        f'target {name} {{\n secret = ["id=s,env={name.upper()}"]\n no-cache = true\n output = ["out-{name}"]\n}}\n'
        for name in ("one", "two")
    )
    (tmp_path / "docker-bake.hcl").write_text(text)
    polyarch("bake", "one", "two", cwd=tmp_path, env={"ONE": "first", "TWO": "second"})
    assert (tmp_path / "out-one/said").read_text() == "first"
    assert (tmp_path / "out-two/said").read_text() == "second"


@pytest.mark.integration
def test_a_target_is_exported_while_the_steps_of_another_run(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    need("crun")
    (tmp_path / "docker-bake.hcl").write_text(targets("slow", "quick"))
    (tmp_path / "Dockerfile").write_text(
        f"FROM {busybox} AS slow\nRUN --mount=type=bind,from=exported,target=/e,rw "
        "for i in $(seq 100); do test -e /e/quick && exit 0; sleep 0.1; done; exit 1\n"
        "FROM scratch AS quick\nCOPY Dockerfile /quick\n"
    )
    exported = tmp_path / "out-quick/linux_arm64"
    exported.mkdir(parents=True)
    (tmp_path / "docker-bake.hcl").write_text(
        targets("quick") + 'target slow {\n target = "slow"\n output = ["out-slow"]\n'
        f' contexts = {{ exported = "{exported}" }}\n}}\n'
    )
    polyarch("bake", "slow", "quick", cwd=tmp_path)
    assert (exported / "quick").exists()


def test_targets_that_share_a_directory_are_all_in_it(polyarch: Program, tmp_path: Path) -> None:
    names = [f"t{number}" for number in range(6)]
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch\nARG NAME\nCOPY Dockerfile /common/file\nCOPY Dockerfile /$NAME\n"
    )
    (tmp_path / "docker-bake.hcl").write_text(
        "".join(f'target {name} {{\n args = {{ NAME = "{name}" }}\n output = ["out"]\n}}\n' for name in names)
    )
    polyarch("bake", *names, cwd=tmp_path)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["common", *names]


def test_an_export_that_fails_names_its_target_and_the_others_are_finished(polyarch: Program, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text(targets("one", "two", "three"))
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch AS one\nCOPY Dockerfile /1\nFROM scratch AS two\nCOPY Dockerfile /2\nFROM one AS three\n"
    )
    (tmp_path / "out-two").write_text("a file where a directory should be")
    done = polyarch.fails("bake", "--keep-going", cwd=tmp_path)
    assert "target two: cannot write out-two/linux_amd64: Not a directory" in done.stderr
    assert (tmp_path / "out-one/linux_arm64/1").exists()
    assert (tmp_path / "out-three/linux_amd64/1").exists()


FAILING = """FROM scratch AS shared
COPY {source} /shared
FROM scratch AS one
COPY --from=shared /shared /one
FROM scratch AS two
COPY --from=shared /shared /two
FROM scratch AS three
COPY Dockerfile /three
"""


def test_a_failure_names_target_platform_and_line(polyarch: Program, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text(targets("three", "two"))
    (tmp_path / "Dockerfile").write_text(FAILING.format(source="nothing"))
    done = polyarch.fails("bake", cwd=tmp_path)
    assert 'target two: [linux/amd64, linux/arm64] Dockerfile:2: "/nothing": not found' in done.stderr
    assert not (tmp_path / "out-two").exists()


def test_keep_going_finishes_the_other_targets(polyarch: Program, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text(targets("one", "two", "three"))
    (tmp_path / "Dockerfile").write_text(FAILING.format(source="nothing"))
    done = polyarch.fails("bake", "--keep-going", "--metadata-file", "meta.json", cwd=tmp_path)
    assert "2 of 3 targets failed" in done.stderr
    for name in ("one", "two"):
        assert f'target {name}: [linux/amd64, linux/arm64] Dockerfile:2: "/nothing": not found' in done.stderr
        assert not (tmp_path / f"out-{name}").exists()
    assert (tmp_path / "out-three/linux_arm64/three").exists()
    assert list(json.loads((tmp_path / "meta.json").read_text())) == ["three"]


def test_keep_going_finishes_the_others_if_one_cannot_be_planned(polyarch: Program, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text(
        'target one {\n dockerfile = "bad"\n}\ntarget two {\n output = ["out-two"]\n}\n'
        'target three {\n dockerfile-inline = "FROM scratch\\nCOPY --from=o / /"\n contexts = { o = "target:one" }\n}\n'
    )
    (tmp_path / "bad").write_text("FROM scratch\nWRONG\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /two\n")
    done = polyarch.fails("bake", "--keep-going", "one", "two", "three", cwd=tmp_path)
    assert "2 of 3 targets failed" in done.stderr
    assert "target one: bad:2" in done.stderr
    assert "target three: not built, because its context one failed" in done.stderr
    assert (tmp_path / "out-two/two").exists()


@pytest.mark.integration
def test_services_that_share_a_dockerfile_share_its_steps(polyarch: Program, busybox: str, tmp_path: Path) -> None:
    need("crun")
    (tmp_path / "compose.yaml").write_text(
        "name: p\nservices:\n"
        + "".join(f"  {name}:\n    build: {{context: ., args: {{NAME: {name}}}}}\n" for name in ("web", "worker"))
    )
    (tmp_path / "Dockerfile").write_text(
        f"FROM {busybox}\nRUN --mount=type=cache,target=/c sh -c 'echo x >> /c/log; sleep 0.2; cp /c/log /made'\n"
        "ARG NAME\nRUN --mount=type=cache,target=/c sh -c 'test $(wc -l < /c/log) = 1; echo $NAME > /name'\n"
    )
    polyarch("compose", "build", cwd=tmp_path)
    assert polyarch("run", "--rm", "p-worker", "cat", "/name", "/made").stdout == "worker\nx\n"


@pytest.mark.integration
def test_an_interrupt_leaves_nothing(polyarch: Program, busybox: str, tmp_path: Path, store_root: Path) -> None:
    need("crun")
    (tmp_path / "docker-bake.hcl").write_text(targets("one", "two"))
    (tmp_path / "Dockerfile").write_text(
        f"FROM {busybox} AS one\nRUN touch /begun && sleep 31\nFROM one AS two\nRUN sleep 32\n"
    )
    process = subprocess.Popen(
        [polyarch.path, "bake", "--progress=plain"],
        cwd=tmp_path,
        env=polyarch.env,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "RUN touch" in line:
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert not list((store_root / "tmp").iterdir())
    assert not list(tmp_path.glob("out-*"))
