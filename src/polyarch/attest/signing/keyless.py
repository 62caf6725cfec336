"""Signatures with an identity instead of a key, through Sigstore's services and its Python library.

A certificate authority (Fulcio) gives a certificate for minutes to whoever has a token of an OpenID provider, and a
transparency log (Rekor) records the signature. The library speaks with both, and verifies what they said.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from polyarch.attest.signing.envelope import STATEMENT, SigstoreBundle
from polyarch.attest.signing.extras import required
from polyarch.attest.signing.simple import SimpleSignature
from polyarch.attest.signing.trust import RejectedError, Signer
from polyarch.errors import PolyarchError, UsageError
from polyarch.secret import SecretBytes

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import ClientTrustConfig, SigningConfig, TrustedRoot
    from sigstore.oidc import IdentityToken

_T = TypeVar("_T")
_WHAT = "a signature without a key"
# Extensions of a certificate of Fulcio (fulcio, docs/oid-info.md): the issuer as a DER string, and in older ones raw.
_ISSUER, _OLD_ISSUER = "1.3.6.1.4.1.57264.1.8", "1.3.6.1.4.1.57264.1.1"
_OTHER_NAME = "1.3.6.1.4.1.57264.1.7"
# Reasons that the library leaves to the cause of its error.
_TOKEN_FAULTS = {
    "ExpiredSignatureError": "it has expired",
    "ImmatureSignatureError": "it is not valid yet",
    "InvalidAudienceError": "it is for another audience than sigstore",
}
# Where the errors of the library come from.
_LIBRARIES = ("sigstore", "sigstore_models", "requests", "tuf", "securesystemslib", "pydantic", "pydantic_core")


class SigstoreServices(msgspec.Struct, frozen=True, kw_only=True):
    """Files about Sigstore's services. None for one means the public services, whose files the library fetches."""

    trusted_root: Path | None = None
    signing_config: Path | None = None


class ExpectedIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Whose certificates count. A regular expression may match anywhere in the text, as for cosign."""

    identity: str = ""
    identity_regexp: str = ""
    issuer: str = ""
    issuer_regexp: str = ""

    def __post_init__(self) -> None:
        for name, exact, pattern in (
            ("identity", self.identity, self.identity_regexp),
            ("issuer", self.issuer, self.issuer_regexp),
        ):
            flag = "--certificate-identity" if name == "identity" else "--certificate-oidc-issuer"
            if bool(exact) == bool(pattern):
                raise UsageError(
                    f"the {name} of a certificate is needed once, as a text or as a regular expression",
                    f"give {flag} or {flag}-regexp",
                )
            try:
                re.compile(pattern)
            except re.error as error:
                raise UsageError(f"{pattern!r} is not a regular expression: {error}", f"see {flag}-regexp") from None

    def accepts(self, identity: str, issuer: str) -> bool:
        """Whether a certificate for this identity by this issuer counts."""
        return _matches(identity, self.identity, self.identity_regexp) and _matches(
            issuer, self.issuer, self.issuer_regexp
        )


class IdentityTrust:
    """Trust in whoever Sigstore's services certify as an identity."""

    def __init__(self, expected: ExpectedIdentity, services: SigstoreServices) -> None:
        with required("sigstore", _WHAT), _explained("the certificate authority and the log are not known"):
            from sigstore.verify import Verifier

            self._verifier = Verifier(trusted_root=_trusted_root(services))
        self._expected = expected

    def of_bundle(self, bundle: SigstoreBundle) -> Signer:
        """Implements Trust."""
        from sigstore.models import Bundle as LibraryBundle

        if not bundle.certified:
            raise RejectedError("it was made with a key: verify it with --key")
        policy = _Policy(self._expected)
        try:
            kind, _ = self._verifier.verify_dsse(LibraryBundle.from_json(bundle.raw), policy)
        except Exception as error:
            # Of a bundle that is made to deceive, any error of any library below means that it does not hold.
            raise RejectedError(str(error) or type(error).__name__) from None
        if kind != STATEMENT:
            raise RejectedError(f"it signs {kind!r}, not a statement")
        return policy.signer

    def of_simple(self, signature: SimpleSignature) -> Signer:
        """Implements Trust. The library needs a proof of inclusion in the log, which cosign's old form lacks."""
        if not signature.certified:
            raise RejectedError("it was made with a key: verify it with --key")
        raise RejectedError(
            "it is a signature with a certificate in the form that cosign had before version 3: use cosign verify"
        )


class _Policy:
    """The library's protocol VerificationPolicy. `signer` is set by `verify`."""

    def __init__(self, expected: ExpectedIdentity) -> None:
        self._expected = expected
        self.signer = Signer()

    def verify(self, cert: "Certificate") -> None:
        """Raises the library's error unless the certificate is for the expected identity."""
        from sigstore.errors import VerificationError

        issuer, identities = _issuer(cert), _identities(cert)
        for identity in identities:
            if self._expected.accepts(identity, issuer):
                self.signer = Signer(identity=identity, issuer=issuer)
                return
        shown = ", ".join(identities) or "an unknown identity"
        raise VerificationError(f"it is of {shown} (issuer {issuer or 'unknown'}), which is not the expected identity")


def sign(
    statements: Sequence[bytes],
    token: SecretBytes | None,
    services: SigstoreServices,
    *,
    interactive: bool = False,
) -> tuple[bytes, ...]:
    """The bundle of each statement, as JSON. The log keeps the identity and the digest of the statement for ever.

    token: an OpenID token; without one, that of the CI service, or if `interactive`, of a person with a browser.

    Raises UnsupportedError without the library; UsageError without a token; PolyarchError if a service refuses.
    """
    with required("sigstore", _WHAT), _explained("the image cannot be signed"):
        from sigstore.dsse import Statement
        from sigstore.sign import SigningContext

        root, config = _signing_services(services)
        identity = _token(token, config, interactive)
        context = SigningContext(
            fulcio=config.get_fulcio(),
            rekor=config.get_tlogs()[0],
            trusted_root=root,
            tsa_clients=config.get_tsas(),
        )
        with context.signer(identity) as signer:
            return tuple(signer.sign_dsse(Statement(statement)).to_json().encode() for statement in statements)


def _signing_services(services: SigstoreServices) -> "tuple[TrustedRoot, SigningConfig]":
    from sigstore.models import SigningConfig

    if services.signing_config is None:
        if services.trusted_root is not None:
            raise UsageError("--trusted-root needs --signing-config", "name the services that belong to this root")
        public = _public()
        return public.trusted_root, public.signing_config
    return _trusted_root(services), _read(services.signing_config, SigningConfig.from_file, "a signing config")


def _trusted_root(services: SigstoreServices) -> "TrustedRoot":
    from sigstore.models import TrustedRoot

    if services.trusted_root is None:
        return _public().trusted_root
    return _read(services.trusted_root, TrustedRoot.from_file, "a trusted root")


def _public() -> "ClientTrustConfig":
    from sigstore.models import ClientTrustConfig

    return ClientTrustConfig.production()


def _read(path: Path, load: Callable[[str], _T], what: str) -> _T:
    from sigstore.errors import Error

    if not path.is_file():
        raise UsageError(f"there is no file {path}", "check the path")
    try:
        return load(str(path))
    except (ValueError, Error) as error:
        # The first line names the class, the next one the field.
        why = " ".join(str(error).split("\n")[:3])
        raise UsageError(f"{path} is not {what} of Sigstore: {why}", f"cosign writes {what}, too") from None


def _token(token: SecretBytes | None, config: "SigningConfig", interactive: bool) -> "IdentityToken":
    from sigstore.oidc import IdentityToken, Issuer, detect_credential

    text = bytes(token).decode("ascii", "replace").strip() if token is not None else detect_credential()
    if text is not None:
        return IdentityToken(text)
    if not interactive:
        raise UsageError(
            "there is no identity to sign with",
            "sign with --key, or give --identity-token, or set SIGSTORE_ID_TOKEN; on a CI service, let the job have"
            " tokens (GitHub: permissions: id-token: write)",
        )
    return Issuer(config.get_oidc_url()).identity_token()


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn the errors of the library, its services and its files into ours. No message has a token."""
    try:
        yield
    except PolyarchError:
        raise
    except Exception as error:
        # Some of the library's errors are in its private modules, and share no base class.
        name, module = type(error).__name__, type(error).__module__.partition(".")[0]
        why = " ".join(str(error).split()) or name
        if isinstance(error, ModuleNotFoundError) or not (
            module in _LIBRARIES or isinstance(error, ValueError | OSError)
        ):
            raise
        if "Identity" in name or name == "ExpiredCertificate":
            why = _TOKEN_FAULTS.get(type(error.__cause__).__name__, why)
            raise PolyarchError(f"{what}: the identity token is not accepted: {why}", "get a new token") from None
        if name == "TUFError":
            raise PolyarchError(
                f"{what}: the public root of trust cannot be fetched: {why}",
                "check the network, or give files: --trusted-root, and to sign --signing-config",
            ) from None
        if module == "requests" or name in ("FulcioClientError", "RekorClientError", "IssuerError", "NetworkError"):
            if error.__cause__ is not None and why == name:
                why = str(error.__cause__)
            raise PolyarchError(f"{what}: {why}", "try again; --signing-config names other services") from None
        raise PolyarchError(f"{what}: {why}", "see --trusted-root and --signing-config") from None


def _matches(text: str, exact: str, pattern: str) -> bool:
    return text == exact if exact else re.search(pattern, text) is not None


def _identities(certificate: "Certificate") -> list[str]:
    """Whom the certificate is for: addresses, URIs and names."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    others = [
        # A DER string.
        other.value[2:].decode("utf-8", "replace")
        for other in names.get_values_for_type(x509.OtherName)
        if other.type_id.dotted_string == _OTHER_NAME
    ]
    return [
        *names.get_values_for_type(x509.RFC822Name),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
        *others,
    ]


def _issuer(certificate: "Certificate") -> str:
    from cryptography import x509

    values: dict[Literal["new", "old"], bytes] = {}
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.UnrecognizedExtension):
            if extension.oid.dotted_string == _ISSUER:
                values["new"] = extension.value.value
            elif extension.oid.dotted_string == _OLD_ISSUER:
                values["old"] = extension.value.value
    if "new" in values:
        return _der_string(values["new"])
    return values.get("old", b"").decode("utf-8", "replace")


def _der_string(der: bytes) -> str:
    """The text of a UTF8String. A length over 127 takes further bytes."""
    start = 2 + (der[1] & 0x7F if len(der) > 1 and der[1] & 0x80 else 0)
    return der[start:].decode("utf-8", "replace")
