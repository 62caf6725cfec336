"""`verify`: whether a trusted key or identity signed an image."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError

if TYPE_CHECKING:
    from polyarch.attest.signing.trust import Trust
    from polyarch.attest.signing.verify import VerifiedImage


@click.command("verify")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, shell_complete=options.complete_image)
@click.option("--key", metavar="FILE|env://NAME", help="Public key in PEM")
@click.option("--certificate-identity", "identity", metavar="TEXT", default="", help="Whose certificate counts")
@click.option("--certificate-identity-regexp", "identity_regexp", metavar="REGEXP", default="", help="The same")
@click.option("--certificate-oidc-issuer", "issuer", metavar="URL", default="", help="Who identified them")
@click.option("--certificate-oidc-issuer-regexp", "issuer_regexp", metavar="REGEXP", default="", help="The same")
@click.option("--trusted-root", metavar="FILE", help="Sigstore's trusted root (default: the public one)")
@click.option(
    "-a", "--annotations", "notes", multiple=True, metavar="KEY=VALUE", help="Require this annotation; repeatable"
)
@click.option("--type", "kind", metavar="TYPE", default="signature", help="Verify an attestation of this type instead")
@click.option("-r", "--recursive", is_flag=True, help="Also require a signature of each image of an index")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Output format")
@click.option("--insecure-ignore-tlog", "--private-infrastructure", "no_log", is_flag=True, hidden=True)
@options.insecure
@pass_session
def verify(
    session: Session,
    images: tuple[str, ...],
    key: str | None,
    identity: str,
    identity_regexp: str,
    issuer: str,
    issuer_regexp: str,
    trusted_root: str | None,
    notes: tuple[str, ...],
    kind: str,
    recursive: bool,
    output: str,
    no_log: bool,
    insecure: bool,
) -> None:
    """Verify the signatures of images in the store, a registry or a layout, and print the digests that are signed.

    Give --key, or the identity and the issuer of a certificate. Accepts what cosign signed. Exits with 1 unless every
    IMAGE has a signature that holds. --output json is cosign's. Use the printed digest: a tag may move.
    """
    from polyarch.attest.signing import sign as signs
    from polyarch.attest.signing import verify as verifying

    expected = (identity, identity_regexp, issuer, issuer_regexp)
    if key and any((*expected, trusted_root)):
        raise UsageError("--key excludes --certificate-… and --trusted-root", "verify with a key or with an identity")
    if not key and no_log:
        raise UsageError("--insecure-ignore-tlog needs --key", "without the log, the time of a signature is unknown")
    trust = _key_trust(session, key) if key else _identity_trust(expected, trusted_root)
    chosen = verifying.VerifyOptions(
        recursive=recursive, annotations=signs.annotations(notes), predicate_type=signs.predicate_type(kind)
    )
    places = session.places(images if insecure else ())
    found = [verified for image in images for verified in verifying.verify(places, image, trust, chosen)]
    if output == "json":
        import msgspec

        click.echo(msgspec.json.encode(verifying.as_cosign(found)))
    else:
        click.echo(render(found), nl=False)


def render(images: "list[VerifiedImage]") -> str:
    """A line for each image, and one for each of its signatures."""
    from polyarch.render import text as texts

    lines: list[str] = []
    for image in images:
        platform = f" for {image.platform}" if image.platform else ""
        if image.platform is not None and image.platform.is_unknown:
            platform = ", an attestation"
        lines.append(f"Verified {image.digest} ({image.name}{platform})")
        for signature in image.signatures:
            notes = "".join(f" {key}={value}" for key, value in sorted(signature.annotations.items()))
            lines.append(f"  by {signature.signer}{notes}")
    return "".join(f"{texts.plain(line)}\n" for line in lines)


def _key_trust(session: Session, key: str) -> "Trust":
    from polyarch.attest.signing import keys
    from polyarch.attest.signing.trust import KeyTrust
    from polyarch.cli.commands.sign import read_key

    content, called = read_key(session, key)
    return KeyTrust(keys.load_public(bytes(content), called))


def _identity_trust(expected: tuple[str, str, str, str], trusted_root: str | None) -> "Trust":
    if not any(expected):
        raise UsageError(
            "it is not said whose signature is wanted", "give --key, or --certificate-identity and its issuer"
        )
    from polyarch.attest.signing import keyless

    identity, identity_regexp, issuer, issuer_regexp = expected
    wanted = keyless.ExpectedIdentity(
        identity=identity, identity_regexp=identity_regexp, issuer=issuer, issuer_regexp=issuer_regexp
    )
    services = keyless.SigstoreServices(trusted_root=Path(trusted_root) if trusted_root else None)
    return keyless.IdentityTrust(wanted, services)
