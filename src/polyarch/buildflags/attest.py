"""`--attest`, `--provenance` and `--sbom`: what an image says of itself. Nothing by default.

`--provenance=X` is `--attest type=provenance,X`, and a boolean switches it on or off, as in buildx. Of a type the last
one counts, and `--provenance` and `--sbom` come after every `--attest`.
"""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from polyarch import csvfields
from polyarch.builder.request.attestation import AttestationRequest, ProvenanceRequest, SbomRequest
from polyarch.builder.request.output import Export
from polyarch.buildflags import values
from polyarch.errors import UsageError
from polyarch.oci import reference as references

_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")
_TYPES = ("provenance", "sbom")
_FLAGS = ("reproducible", "inline-only", "capture-usage", "complete-materials")
_KEYS = frozenset({"mode", "version", "builder-id", "filename", *_FLAGS})
_MODES = {"min": "min", "max": "max", "full": "max"}
# Build arguments that do the same in BuildKit (frontend/attestations/parse.go).
_ARGUMENT = "BUILDKIT_ATTEST_"
_HINT = "as in --provenance=mode=max, --sbom=true or --attest type=provenance,mode=max"

# One parsed attestation: the options by key, None if it is disabled.
_Options = Mapping[str, str] | None


def request(
    attest: object, provenance: object, sbom: object, arguments: Mapping[str, str], variables: Mapping[str, str]
) -> AttestationRequest:
    """The attestations that these options ask for. `arguments` are the build arguments.

    Raises UsageError.
    """
    found: dict[str, _Options] = dict(_of_arguments(arguments))
    for word in values.words("--attest", attest):
        kind, options = _parsed("--attest", word)
        found[kind] = options
    for kind, given in (("provenance", provenance), ("sbom", sbom)):
        for options in _shorthand(f"--{kind}", kind, given):
            found[kind] = options
    made, bill = found.get("provenance"), found.get("sbom")
    return AttestationRequest(
        provenance=_provenance(made, variables) if made is not None else None,
        sbom=_sbom(bill) if bill is not None else None,
    )


def _of_arguments(arguments: Mapping[str, str]) -> Iterator[tuple[str, _Options]]:
    for name, value in arguments.items():
        if name.startswith(_ARGUMENT):
            kind = name.removeprefix(_ARGUMENT).lower()
            yield _parsed(f"--build-arg {name}", ",".join(filter(None, (f"type={kind}", value))))


def _shorthand(option: str, kind: str, given: object) -> Iterator[_Options]:
    """What a value of --provenance or --sbom asks for; nothing for an empty one."""
    if isinstance(given, Mapping):
        yield {str(key).replace("_", "-"): _text(option, value) for key, value in given.items()}
    elif isinstance(given, bool):
        yield {} if given else None
    elif isinstance(given, str):
        values.refuse_nul(option, given)
        switched = _boolean(given)
        if switched is not None:
            yield {} if switched else None
        elif given:
            yield _parsed(option, f"type={kind},{given}")[1]
    elif given is not None:
        values.refuse(option, given, (bool, str, Mapping))


def _text(option: str, value: object) -> str:
    if not isinstance(value, str | bool):
        values.refuse(option, value, (str, bool))
    return str(value).lower() if isinstance(value, bool) else value


def _parsed(option: str, word: str) -> tuple[str, _Options]:
    """The type of a value of --attest, and its options."""
    try:
        fields = csvfields.fields(word) if word else []
    except csvfields.CsvError as error:
        raise UsageError(f"{option}: {word!r}: {error}", _HINT) from None
    kind, disabled, options = "", False, dict[str, str]()
    for field in fields:
        key, equals, value = field.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(f"{option}: {field!r} is not a KEY=VALUE", _HINT)
        if key.lower() == "type":
            kind = value.lower()
        elif key.lower() == "disabled":
            disabled = _flag(option, key, value)
        else:
            options[key] = value
    if kind not in _TYPES:
        problem = f"unknown attestation type {kind!r}" if kind else "the attestation has no type"
        raise UsageError(f"{option}: {problem}", f"known types: {', '.join(_TYPES)}; {_HINT}")
    return kind, None if disabled else options


def _provenance(options: Mapping[str, str], variables: Mapping[str, str]) -> ProvenanceRequest:
    for key in options:
        if key not in _KEYS:
            known = f"it accepts {', '.join(sorted(_KEYS))}"
            raise UsageError(f"--provenance does not accept {key!r}", known)
    mode = options.get("mode", "max")
    if mode not in _MODES:
        raise UsageError(f"--provenance: unknown mode {mode!r}", "known modes: min, max")
    version = options.get("version", "v1")
    if version not in ("v1", "v0.2"):
        raise UsageError(f"--provenance: unknown version {version!r}", "known versions of SLSA: v1, v0.2")
    filename = posixpath.basename(options.get("filename", "provenance.json"))
    if filename in ("", ".", ".."):
        raise UsageError(f"--provenance: filename={options['filename']} is not the name of a file")
    given: dict[str, Any] = {
        key.replace("-", "_"): _flag("--provenance", key, options[key]) for key in _FLAGS if key in options
    }
    return ProvenanceRequest(
        mode="min" if _MODES[mode] == "min" else "max",
        version="v1" if version == "v1" else "v0.2",
        builder_id=options.get("builder-id", ""),
        filename=filename,
        # As in buildx, a value that is not a boolean leaves the default.
        git_info=_boolean(variables.get("BUILDX_GIT_INFO", "")) is not False,
        git_check_dirty=_boolean(variables.get("BUILDX_GIT_CHECK_DIRTY", "")) is True,
        **given,
    )


def _sbom(options: Mapping[str, str]) -> SbomRequest:
    parameters = dict(options)
    generator = parameters.pop("generator", None)
    if generator is None:
        for key in parameters:
            raise UsageError(
                f"--sbom does not accept {key!r} without a generator", "generator=IMAGE names the image that gets it"
            )
        return SbomRequest()
    if not generator:
        raise UsageError("--sbom: the generator is empty", "name an image: --sbom=generator=REGISTRY/IMAGE")
    return SbomRequest(generator=str(references.parse(generator).tagged()), parameters=parameters)


def _flag(option: str, key: str, value: str) -> bool:
    found = _boolean(value)
    if found is None:
        raise UsageError(f"{option}: {key}={value} is neither true nor false", _HINT)
    return found


def _boolean(value: str) -> bool | None:
    """What Go's strconv.ParseBool reads; None for other text."""
    text = value.lower()
    return True if text in _TRUE else False if text in _FALSE else None


def added(
    form: Export, options: Mapping[str, Any], arguments: Mapping[str, str], variables: Mapping[str, str]
) -> Export:
    """The format with the attestations that these options ask for.

    BUILDX_NO_DEFAULT_OCI_ARTIFACT changes their default form. Raises UsageError.
    """
    found = request(options.get("attest"), options.get("provenance"), options.get("sbom"), arguments, variables)
    if not found:
        return form
    if form.docker_format:
        raise UsageError(
            "--output: oci-mediatypes=false has no form for attestations", "leave it out, or --provenance and --sbom"
        )
    artifacts = form.attestation_artifacts
    given = variables.get("BUILDX_NO_DEFAULT_OCI_ARTIFACT")
    if artifacts is None and given is not None:
        artifacts = not _flag("environment", "BUILDX_NO_DEFAULT_OCI_ARTIFACT", given)
    return msgspec.structs.replace(form, attestations=found, attestation_artifacts=artifacts)
