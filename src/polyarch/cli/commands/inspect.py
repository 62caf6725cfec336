"""`inspect`: show the details of images as JSON."""

from typing import Any

import click

from polyarch.cli import options
from polyarch.cli.formats import show_document
from polyarch.cli.session import Session, pass_session


@click.command("inspect")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...", shell_complete=options.complete_image)
@options.platform(several=False, help="Platform (default: this machine's)")
@click.option("--attestations", is_flag=True, help="Show the attestations and signatures instead")
@click.option("--type", "kind", type=click.Choice(["image"]), hidden=True)
@options.format_
@pass_session
def inspect(
    session: Session,
    names: tuple[str, ...],
    platform: str | None,
    attestations: bool,
    kind: str | None,
    form: str | None,
) -> None:
    """Show the details of images: config, layers, names, and the platforms of an index."""
    from polyarch.images import inspect as inspecting

    if attestations:
        show_document(form, [_attested(session, name, platform) for name in names])
        return

    chosen, host = session.platform(platform), session.host()
    documents = [inspecting.inspect(session.store, name, chosen, host) for name in names]
    show_document(form, documents, optional=inspecting.OPTIONAL)


def _attested(session: Session, name: str, platform: str | None) -> dict[str, Any]:
    """What is about an image, with docker's style of field names. `Problems` are what verify-attestations finds."""
    from polyarch.images import attested

    wanted = session.platform(platform)
    found = attested.report(session.places(()), name, (wanted,) if wanted is not None else ())
    return {
        "Name": found.name,
        "Digest": found.digest,
        "Attestations": [
            {
                "Platform": one.platform,
                "Image": one.image,
                "Digest": one.digest,
                "Size": one.size,
                "Listed": one.listed,
                "ArtifactType": one.artifact_type,
                "Statements": [
                    {
                        "PredicateType": statement.predicate_type,
                        "Digest": statement.digest,
                        "Size": statement.size,
                        "Subjects": list(statement.subjects),
                        "Materials": statement.materials,
                    }
                    for statement in one.statements
                ],
                "Signatures": list(one.signatures),
            }
            for one in found.attestations
        ],
        "Problems": [
            {"Rule": one.rule, "Severity": one.severity, "Message": one.message, "Platform": one.platform}
            for one in found.problems
            if one.rule != "attestation-missing"
        ],
    }
