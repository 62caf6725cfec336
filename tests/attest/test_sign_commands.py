"""The commands `sign`, `attest`, `verify` and `generate-key-pair`: what they print, and how they are used wrongly."""

import signal
import sys
from pathlib import Path

import pytest

from polyarch.cli.execute import execute
from scripts.local_registry import LocalRegistry
from tests.attest.cosign import PASSWORD
from tests.attest.sigstore_services import ISSUER, SigstoreServices
from tests.program import Program, run

SECRET = {"COSIGN_PASSWORD": PASSWORD}
APP = "127.0.0.1:9/app:1"


@pytest.fixture
def app(polyarch: Program, busybox: str) -> str:
    """An image in the store whose registry does not answer."""
    polyarch("tag", busybox, APP)
    return APP


def test_sign_and_verify_say_which_digest(polyarch: Program, app: str, key_files: tuple[Path, Path]) -> None:
    private, public = key_files
    signed = polyarch("sign", "--key", private, "-a", "a=1", app, env=SECRET)
    digest = signed.stdout.split()[1].rstrip(",")
    assert signed.stdout.startswith(f"Signed {digest}, in the store: sha256:")
    verified = polyarch("verify", "--key", public, app).lines()
    assert verified[0] == f"Verified {digest} ({APP})"
    assert verified[1].startswith("  by the key SHA256:")
    assert verified[1].endswith(" a=1")
    assert digest in polyarch("images", "--digests").stdout


def test_verify_fails_with_status_1_unless_every_image_is_signed(
    polyarch: Program, app: str, key_files: tuple[Path, Path]
) -> None:
    private, public = key_files
    polyarch("sign", "--key", private, app, env=SECRET)
    polyarch("tag", "busybox", "127.0.0.1:9/same:1")
    polyarch("verify", "--key", public, app, "127.0.0.1:9/same:1")
    other = polyarch("import", "--platform", "linux/amd64", "-", "127.0.0.1:9/other:1", stdin=b"\0" * 1024)
    assert other.status == 0
    refused = polyarch.fails("verify", "--key", public, app, "127.0.0.1:9/other:1")
    assert refused.status == 1
    assert refused.stdout == ""
    assert "has no signature in the store" in refused.stderr


def test_a_signature_is_saved_and_loaded_with_its_image(
    polyarch: Program, app: str, key_files: tuple[Path, Path], tmp_path: Path
) -> None:
    private, public = key_files
    polyarch("sign", "--key", private, app, env=SECRET)
    polyarch("save", app, "-o", tmp_path / "app.tar")
    polyarch("verify", "--key", public, f"oci-archive:{tmp_path}/app.tar")
    second = polyarch.on(tmp_path / "second")
    second("load", "-i", tmp_path / "app.tar")
    second("verify", "--key", public, app)


def test_a_signature_that_was_copied_between_registries_is_verified_with_the_image_of_the_store(
    polyarch: Program, busybox: str, registry: LocalRegistry, key_files: tuple[Path, Path]
) -> None:
    private, public = key_files
    name = f"{registry.address}/app:1"
    polyarch("tag", busybox, name)
    polyarch("push", name)
    polyarch("sign", "--key", private, f"docker://{name}", env=SECRET)
    polyarch("buildx", "imagetools", "create", "-t", f"{registry.address}/copy:1", name)
    refused = polyarch.fails("verify", "--key", public, "-a", "a=1", name)
    assert "its annotation a is None" in refused.stderr
    assert "the signature does not hold" in refused.stderr, "it is one, in the store and in the registry"
    assert polyarch("verify", "--key", public, name).status == 0


def test_attestations_are_signed_and_named_as_such(
    polyarch: Program, key_files: tuple[Path, Path], tmp_path: Path
) -> None:
    private, public = key_files
    (tmp_path / "Dockerfile").write_text("FROM scratch\nWORKDIR /w\n")
    polyarch("build", "-q", "--provenance=mode=min", "-t", APP, "--platform", "linux/amd64", tmp_path)
    signed = polyarch("sign", "-r", "--key", private, APP, env=SECRET).lines()
    assert [line.split(" sha256:")[0] for line in signed] == [
        "Signed",
        "Signed the image for linux/amd64,",
        "Signed an attestation,",
    ]
    verified = polyarch("verify", "-r", "--key", public, APP).stdout
    assert verified.count("Verified ") == 3
    assert f"({APP}, an attestation)" in verified


def test_a_signature_goes_with_its_image_when_that_is_removed(
    polyarch: Program, app: str, key_files: tuple[Path, Path]
) -> None:
    private, _ = key_files
    polyarch("rmi", "busybox")
    artifact = polyarch("sign", "--key", private, app, env=SECRET).stdout.split()[-1].removeprefix("sha256:")
    blob = polyarch.root / "oci/blobs/sha256" / artifact
    polyarch("system", "prune", "--all", "--force")
    assert blob.exists()
    polyarch("rmi", app)
    polyarch("system", "prune", "--all", "--force")
    assert not blob.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sign", APP), "publishes your identity"),
        (
            ("sign", "--yes", "--trusted-root", "absent", "--signing-config", "absent", "busybox"),
            "there is no file absent",
        ),
        (("sign", "--key", "absent.key", APP), "the key absent.key cannot be read: No such file"),
        (("sign", "--key", "env://ABSENT", APP), "the variable ABSENT has no key"),
        (("sign", "--key", "awskms://key", APP), "keys in awskms:// cannot be used"),
        (("sign", "--key", "cosign.key", "--identity-token", "x", APP), "--key and --identity-token exclude"),
        (("sign", "--key", "cosign.key", "--tlog-upload=true", APP), "not sent to a transparency log"),
        (("sign", "--key", "cosign.key", "-a", "novalue", APP), "'novalue' is not an annotation"),
        (("sign", "--key", "cosign.pub", APP), "cosign.pub has no private key, but a public key"),
        (("sign", "--key", "cosign.key"), "IMAGE..."),
        (("attest", "--key", "cosign.key", "--predicate", "absent", APP), "absent cannot be read"),
        (("attest", "--key", "cosign.key", "--predicate", "cosign.pub", APP), "cosign.pub is not JSON"),
        (("attest", "--key", "cosign.key", "--predicate", "x", "--type", "odd", APP), "'odd' is not a type"),
        (("verify", APP), "it is not said whose signature is wanted"),
        (("verify", "--key", "cosign.key", APP), "cosign.key is a private key"),
        (("verify", "--key", "cosign.pub", "--certificate-identity", "x", APP), "--key excludes"),
        (("verify", "--certificate-identity", "x", APP), "the issuer of a certificate is needed"),
        (("verify", "--insecure-ignore-tlog", "--certificate-identity", "x", APP), "needs --key"),
        (("verify", "--key", "cosign.pub", "-a", "x", APP), "'x' is not an annotation"),
        (("generate-key-pair",), "cosign.key exists already"),
        (("generate-key-pair", "--output-key-prefix", "absent/dir"), "cannot be written: No such file"),
    ],
)
def test_wrong_usage_is_named(
    arguments: tuple[str, ...],
    message: str,
    polyarch: Program,
    busybox: str,
    key_files: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(key_files[0].parent)
    for name, value in (polyarch.env | SECRET).items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGTERM)
    try:
        status = execute(arguments)
    finally:
        signal.signal(signal.SIGTERM, before)
    said = capsys.readouterr().err
    assert status in (1, 2)
    assert message in said
    assert "Traceback" not in said
    assert PASSWORD not in said


def test_a_new_private_key_is_its_owners_and_no_file_is_replaced(polyarch: Program, tmp_path: Path) -> None:
    polyarch("generate-key-pair", "--output-key-prefix", "a", cwd=tmp_path, env={"COSIGN_PASSWORD": ""})
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "a.key").read_bytes()
    polyarch.fails("generate-key-pair", "--output-key-prefix", "a", cwd=tmp_path, env=SECRET)
    assert (tmp_path / "a.key").read_bytes() == before


def test_an_identity_signs_and_is_verified_without_a_word_of_the_token(
    polyarch: Program, app: str, services: SigstoreServices, tmp_path: Path
) -> None:
    root, config = services.files(tmp_path)
    token = services.token()
    given = ("--trusted-root", root, "--signing-config", config)
    signed = polyarch("--debug", "sign", *given, "--yes", app, env={"SIGSTORE_ID_TOKEN": token})
    assert token not in signed.stdout + signed.stderr
    expected = ("--certificate-identity", "dev@example.org", "--certificate-oidc-issuer", ISSUER)
    verified = polyarch("verify", "--trusted-root", root, *expected, app)
    assert verified.lines()[1] == f"  by dev@example.org (issuer {ISSUER})"
    (found,) = polyarch("verify", "--trusted-root", root, *expected, "-o", "json", app).json()
    assert found["optional"] == {"Subject": "dev@example.org", "Issuer": ISSUER}
    other = ("--certificate-identity", "ops@example.org", "--certificate-oidc-issuer", ISSUER)
    refused = polyarch.fails("verify", "--trusted-root", root, *other, app)
    assert "it is of dev@example.org" in refused.stderr


def test_a_job_of_github_signs_with_the_identity_that_it_has(
    polyarch: Program, app: str, services: SigstoreServices, tmp_path: Path
) -> None:
    root, config = services.files(tmp_path)
    job = {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "a secret of the job",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{services.url}/token?job=1",
    }
    polyarch("sign", "--trusted-root", root, "--signing-config", config, "--yes", app, env=job)
    who = ("--certificate-identity", services.job, "--certificate-oidc-issuer", ISSUER)
    assert services.job in polyarch("verify", "--trusted-root", root, *who, app).stdout


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("cryptography", "sign", ["sign", "--key", "cosign.key", APP]),
        ("nacl", "sign", ["sign", "--key", "cosign.key", APP]),
        ("cryptography", "sign", ["verify", "--key", "cosign.pub", APP]),
        ("cryptography", "sign", ["generate-key-pair", "--output-key-prefix", "new"]),
        ("sigstore", "sigstore", ["sign", "--yes", APP]),
        ("sigstore", "sigstore", ["verify", "--certificate-identity=a", "--certificate-oidc-issuer=b", APP]),
    ],
)
def test_without_an_extra_it_is_said_how_to_install_it(
    package: str, extra: str, arguments: list[str], polyarch: Program, app: str, key_files: tuple[Path, Path]
) -> None:
    code = f"import sys\nsys.modules[{package!r}] = None\nfrom polyarch.cli.execute import execute\n"
    code += f"sys.exit(execute({arguments!r}))"
    done = run([sys.executable, "-c", code], check=False, cwd=key_files[0].parent, env=polyarch.env | SECRET)
    assert done.status == 1
    assert f"needs the Python package {package}, which is not installed" in done.stderr
    assert f"pip install 'polyarch[{extra}]'" in done.stderr


def test_only_these_commands_load_the_libraries(polyarch: Program, busybox: str) -> None:
    code = (
        "import sys\nfrom polyarch.cli.execute import execute\nexecute(['images'])\nexecute(['sign', '--help'])\n"
        "print({'cryptography', 'nacl', 'sigstore'} & set(sys.modules))"
    )
    assert run([sys.executable, "-c", code], env=polyarch.env).stdout.splitlines()[-1] == "set()"
