"""`verify`: find out whether a trusted key or identity signed an image."""

from collections.abc import Mapping, Sequence

import msgspec

from polyarch.attest.signing import envelope as envelopes
from polyarch.attest.signing import places as signing_places
from polyarch.attest.signing import signatures
from polyarch.attest.signing.places import SignedPlace
from polyarch.attest.signing.signatures import ImageSignature, RejectedSignature
from polyarch.attest.signing.trust import Trust
from polyarch.errors import NotFoundError, RegistryError, SignatureError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform
from polyarch.transfer.locate import Places

_SHOWN = 10


class VerifyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a signature must say. `recursive` wants one for each image of an index, too."""

    recursive: bool = False
    annotations: Mapping[str, str] = {}
    predicate_type: str = envelopes.SIGNATURE


class VerifiedImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image with a signature that holds. Use it by its digest: a name may point at another image later.

    `platform` is that of an entry of an index.
    """

    name: str
    digest: Digest
    signatures: tuple[ImageSignature, ...]
    platform: Platform | None = None


def verify(places: Places, text: str, trust: Trust, options: VerifyOptions) -> tuple[VerifiedImage, ...]:
    """Verify the image that `text` names: first the image itself, then if `recursive` the images in it.

    Raises SignatureError with the reasons unless each has a signature that holds; NotFoundError, RegistryError.
    """
    with signing_places.opened(text, places) as place:
        wanted = [place.root, *(place.members() if options.recursive else ())]
        return tuple(_verified(place, descriptor, trust, options) for descriptor in wanted)


def _verified(place: SignedPlace, descriptor: Descriptor, trust: Trust, options: VerifyOptions) -> VerifiedImage:
    rejected: list[RejectedSignature] = []
    searched: list[str] = []
    unreachable = ""
    for where in filter(None, (place, place.beyond)):
        try:
            found = signatures.find(where, descriptor.digest, trust, options.annotations, options.predicate_type)
        except (RegistryError, NotFoundError) as error:
            if where is place:
                raise
            # An image in the store may never have been pushed.
            unreachable = f"{where.where} could not be asked: {error.message}"
            continue
        if found.held:
            return VerifiedImage(
                name=place.called, digest=descriptor.digest, signatures=found.held, platform=descriptor.platform
            )
        rejected += [one for one in found.rejected if one not in rejected]
        searched.append(where.where)
    raise _refused(place.called, descriptor.digest, rejected, " or in ".join(searched), unreachable)


def _refused(
    called: str, digest: Digest, rejected: Sequence[RejectedSignature], where: str, unreachable: str
) -> SignatureError:
    name = called if digest in called else f"{called} ({digest})"
    hint = unreachable or "do not use this image unless you know why"
    if not rejected:
        plain = "'polyarch sign' makes a signature; pushing and copying an image takes it along"
        return SignatureError(f"{name} has no signature in {where}", unreachable or plain)
    count = len(rejected)
    reasons = [f"  {one.artifact}: {one.reason}" for one in rejected[:_SHOWN]]
    if count > _SHOWN:
        reasons.append(f"  and {count - _SHOWN} more")
    what = "the signature does not hold" if count == 1 else f"none of the {count} signatures holds"
    return SignatureError("\n".join((f"{name}: {what}", *reasons)), hint)


def as_cosign(images: Sequence[VerifiedImage]) -> list[dict[str, object]]:
    """The signatures as `cosign verify` prints them: a list of simple signing documents."""
    return [
        {
            "critical": {
                "identity": {"docker-reference": image.name},
                "image": {"docker-manifest-digest": image.digest},
                "type": signature.predicate_type,
            },
            "optional": dict(signature.annotations) | _signer(signature),
        }
        for image in images
        for signature in image.signatures
    ]


def _signer(signature: ImageSignature) -> dict[str, str]:
    if signature.signer.key:
        return {"Key": signature.signer.key}
    return {"Subject": signature.signer.identity, "Issuer": signature.signer.issuer}
