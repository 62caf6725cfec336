"""`sign`, `attest` and `generate-key-pair`: statements about images that others can verify."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import PolyarchError, UsageError

if TYPE_CHECKING:
    from polyarch.attest.signing.sign import SignedImage, Signing, SignOptions
    from polyarch.secret import SecretBytes

F = TypeVar("F", bound=Callable[..., Any])

_PASSWORD = "COSIGN_PASSWORD"
_TOKEN = "SIGSTORE_ID_TOKEN"


def signing_options(function: F) -> F:
    """The options of `sign` and `attest`, which are cosign's."""
    for option in reversed(
        (
            click.option("--key", metavar="FILE|env://NAME", help="Private key in PEM, as cosign or openssl writes it"),
            click.option("-r", "--recursive", is_flag=True, help="Also sign each image of an index"),
            click.option(
                "-a", "--annotations", "notes", multiple=True, metavar="KEY=VALUE", help="Sign this as well; repeatable"
            ),
            click.option("--identity-token", metavar="TOKEN|FILE", help=f"OpenID token (default: ${_TOKEN})"),
            click.option("--trusted-root", metavar="FILE", help="Sigstore's trusted root (default: the public one)"),
            click.option("--signing-config", metavar="FILE", help="Sigstore's services (default: the public ones)"),
            click.option(
                "--tlog-upload", type=click.BOOL, hidden=True, help="As for cosign; a key has no log in any case"
            ),
            click.option("-y", "--yes", is_flag=True, help="Do not ask before an identity is published in a log"),
            options.insecure,
        )
    ):
        function = option(function)
    return function


@click.command("sign")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, shell_complete=options.complete_image)
@signing_options
@pass_session
def sign(session: Session, /, images: tuple[str, ...], recursive: bool, notes: tuple[str, ...], **given: Any) -> None:
    """Sign images in the store, or else in their registries.

    A signature is attached to the image, and is pushed and copied with it. With --key, nothing is sent to any service.
    Without, Sigstore's services certify the identity in an OpenID token, and publish it in a log for ever. Both are in
    cosign's format: 'cosign verify' accepts them. docker://IMAGE is signed in its registry.
    """
    from polyarch.attest.signing import sign as signs

    chosen = signs.SignOptions(recursive=recursive, annotations=signs.annotations(notes), created=session.timestamp())
    _sign(session, images, chosen, given)


@click.command("attest")
@click.argument("image", metavar="IMAGE", shell_complete=options.complete_image)
@click.option("--predicate", metavar="FILE", required=True, help="What is said of the image, as JSON; - is stdin")
@click.option("--type", "kind", metavar="TYPE", default="custom", help="Its type, a URI or a name (default: custom)")
@signing_options
@pass_session
def attest(
    session: Session,
    /,
    image: str,
    predicate: str,
    kind: str,
    recursive: bool,
    notes: tuple[str, ...],
    **given: Any,
) -> None:
    """Sign a statement about an image: a bill of materials, a scan, a review, or anything else in JSON.

    TYPE is a URI, or as for cosign: custom, cyclonedx, link, openvex, slsaprovenance, slsaprovenance1, spdxjson, vuln.
    'polyarch verify --type TYPE' finds it. Otherwise as sign.
    """
    from polyarch.attest.signing import sign as signs

    chosen = signs.SignOptions(
        recursive=recursive,
        annotations=signs.annotations(notes),
        created=session.timestamp(),
        predicate_type=signs.predicate_type(kind),
        predicate=_json(predicate),
    )
    _sign(session, (image,), chosen, given)


@click.command("generate-key-pair")
@click.option("--output-key-prefix", "prefix", metavar="PATH", default="cosign", help="Write PATH.key and PATH.pub")
@pass_session
def generate_key_pair(session: Session, prefix: str) -> None:
    """Make a pair of keys for signing: cosign.key, encrypted with a password, and cosign.pub.

    The password is that in COSIGN_PASSWORD, or is asked for. Existing files are not replaced.
    """
    from polyarch.attest.signing import keys

    private, public = Path(f"{prefix}.key"), Path(f"{prefix}.pub")
    for path in (private, public):
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path} exists already", "choose other names with --output-key-prefix")
    pair = keys.generate(_password(session, str(private), new=True))
    _write_new(private, bytes(pair.private), 0o600)
    _write_new(public, pair.public, 0o644)
    click.echo(f"Private key written to {private}\nPublic key written to {public}")


def _sign(session: Session, images: tuple[str, ...], chosen: "SignOptions", given: dict[str, Any]) -> None:
    from polyarch.attest.signing import sign as signs

    signing = _signing(session, given)
    places = session.places(images if given["insecure"] else ())
    for image in images:
        for signed in signs.sign(places, image, signing, chosen):
            click.echo(_shown(signed))


def _shown(signed: "SignedImage") -> str:
    image = f"the image for {signed.platform}, " if signed.platform else ""
    if signed.platform is not None and signed.platform.is_unknown:
        image = "an attestation, "
    return f"Signed {image}{signed.digest}, in {signed.where}: {signed.artifact}"


def _signing(session: Session, given: dict[str, Any]) -> "Signing":
    """How to sign, from the options."""
    key = given["key"]
    if key is None:
        return _keyless(session, given)
    for flag in ("identity_token", "trusted_root", "signing_config"):
        if given[flag]:
            raise UsageError(f"--key and --{flag.replace('_', '-')} exclude each other", "sign with one of them")
    if given["tlog_upload"]:
        raise UsageError("signatures with a key are not sent to a transparency log", "leave --tlog-upload out")
    from polyarch.attest.signing import keys
    from polyarch.attest.signing import sign as signs

    content, called = read_key(session, key)
    return signs.with_key(keys.load_private(content, called, lambda: _password(session, called)))


def _keyless(session: Session, given: dict[str, Any]) -> "Signing":
    from polyarch.attest.signing import keyless

    services = keyless.SigstoreServices(
        trusted_root=_path(given["trusted_root"]), signing_config=_path(given["signing_config"])
    )
    token = _token(session, given["identity_token"])
    if not given["yes"]:
        if not sys.stdin.isatty():
            raise UsageError(
                "a signature without a key publishes your identity in a log that keeps it for ever",
                "agree to it with --yes, or sign with --key FILE",
            )
        click.confirm(
            "Your identity will be published in a log that keeps it for ever. Continue?", abort=True, err=True
        )
    interactive = sys.stdin.isatty()
    return lambda statements: keyless.sign(statements, token, services, interactive=interactive)


def read_key(session: Session, text: str) -> "tuple[SecretBytes, str]":
    """The content of a file, or of a variable (env://NAME), and what messages call it."""
    from polyarch.secret import SecretBytes

    scheme, separator, name = text.partition("://")
    if separator and scheme == "env":
        value = session.environment.variables.get(name)
        if not value:
            raise UsageError(f"the variable {name} has no key", "set it to the content of a key file")
        return SecretBytes(value.encode()), f"the key in {name}"
    if separator:
        raise UsageError(
            f"keys in {scheme}:// cannot be used", "give a file, or --key env://NAME for a variable; cosign can use it"
        )
    try:
        return SecretBytes(Path(text).read_bytes()), text
    except OSError as error:
        raise UsageError(f"the key {text} cannot be read: {error.strerror}", "check the path") from None


def _password(session: Session, called: str, *, new: bool = False) -> "SecretBytes":
    """The password of a private key: of the environment, or as typed."""
    from polyarch.secret import SecretBytes

    given = session.environment.variables.get(_PASSWORD)
    if given is None and not sys.stdin.isatty():
        raise UsageError(f"the password of {called} is not known", f"set {_PASSWORD}; it may be empty")
    if given is None:
        given = click.prompt(
            f"Password for {called}", hide_input=True, err=True, default="", show_default=False, confirmation_prompt=new
        )
    return SecretBytes(given.encode())


def _token(session: Session, text: str | None) -> "SecretBytes | None":
    """The token of --identity-token, which may be the name of a file, or of the environment."""
    from polyarch.secret import SecretBytes

    found = text or session.environment.variables.get(_TOKEN)
    if not found:
        return None
    # A token has no slash, and is longer than names are.
    path = Path(found)
    if len(found) < 256 and path.is_file():
        return SecretBytes(path.read_bytes())
    return SecretBytes(found.encode())


def _json(path: str) -> Any:
    import msgspec

    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "check the path") from None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not JSON: {error}", "a predicate is a JSON document") from None


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    except OSError as error:
        raise PolyarchError(f"{path} cannot be written: {error.strerror}", "name a directory of your own") from None
    with open(handle, "wb") as file:
        file.write(content)
