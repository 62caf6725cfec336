"""`--output`, `--load`, `--push`, `--tag` and `--annotation`: where the result goes, and in which format.

An output is `type=oci,dest=app.tar`, or in short form a directory, or `-` for a tar on standard output; as in BuildKit.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, TypedDict

import msgspec

from polyarch import csvfields
from polyarch.builder.request.output import Export, Output, OutputKind
from polyarch.buildflags import values
from polyarch.buildflags.values import Items, Pairs
from polyarch.errors import UnsupportedError, UsageError
from polyarch.layers.compression import Compression
from polyarch.oci import reference as references
from polyarch.oci.reference import Reference

_KINDS: Mapping[str, OutputKind] = {
    "image": "store",
    "registry": "registry",
    "oci": "oci",
    "docker": "docker",
    "local": "local",
    "tar": "tar",
}
# The options of every kind of image. Others are refused: if they were ignored, the image would not be the requested
# one. `rewrite-timestamp` is what SOURCE_DATE_EPOCH does anyway (docs/coming-from-docker.md). `name-canonical` changes
# nothing, because the store and registries have complete names anyway; nor does `unpack`, because an image is unpacked
# when it is run, nor `dangling-name-prefix`, because an image without a name is known by its digest, nor
# `prefer-nondist-layers`, because layers keep the types that they have.
_IMAGE = frozenset(
    {
        "name",
        "compression",
        "compression-level",
        "force-compression",
        "oci-mediatypes",
        "annotation",
        "rewrite-timestamp",
        "oci-artifact",
        "attestation-inline",
        "dangling-name-prefix",
        "prefer-nondist-layers",
        "source-date-epoch",
        "compatibility-version",
    }
)
_FILES = frozenset({"dest", "platform-split", "rewrite-timestamp", "attestation-prefix", "mode"})
_PUSHED = frozenset({"push", "push-by-digest", "name-canonical", "registry.insecure", "unpack", "store"})
_FLAGS = (
    "push",
    "push-by-digest",
    "name-canonical",
    "registry.insecure",
    "unpack",
    "store",
    "rewrite-timestamp",
    "oci-artifact",
    "attestation-inline",
    "prefer-nondist-layers",
)
_OPTIONS: Mapping[str, frozenset[str]] = {
    "image": _IMAGE | _PUSHED,
    "registry": _IMAGE | _PUSHED,
    "oci": _IMAGE | {"dest", "tar", "context", "push"},
    "docker": _IMAGE | {"dest", "tar", "context", "push"},
    "local": _FILES,
    "tar": _FILES,
    "cacheonly": frozenset(),
}
# The levels of annotations in keys of outputs that a build sets.
_ANNOTATIONS = ("annotation", "annotation-manifest", "annotation-index", "annotation-manifest-descriptor")
# The result goes nowhere: the build only fills caches.
_NOTHING = "cacheonly"
_COMPRESSIONS: Mapping[str, Literal["none", "gzip", "zstd", "estargz"]] = {
    "gzip": "gzip",
    "zstd": "zstd",
    "estargz": "estargz",
    "uncompressed": "none",
    "none": "none",
}
# What must be the same for all outputs.
_SHARED = (
    "compression",
    "compression-level",
    "force-compression",
    "oci-mediatypes",
    "oci-artifact",
    "compatibility-version",
)
_HINT = "as in -o type=oci,dest=app.tar, -o type=registry,name=localhost:5000/app:1, -o DIRECTORY or -o -"


class Wanted(msgspec.Struct, frozen=True):
    """One parsed `--output`: the type, and its options by name."""

    kind: str
    options: Mapping[str, str]

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean option, in the spellings of Go's strconv.ParseBool."""
        value = self.options.get(name)
        if value is None:
            return default
        if value.lower() in ("1", "t", "true"):
            return True
        if value.lower() in ("0", "f", "false"):
            return False
        raise UsageError(f"--output: {name}={value} is neither true nor false", _HINT)


def parse(word: str) -> Wanted:
    """Parse one value of `--output`. Raises UsageError."""
    try:
        fields = csvfields.fields(word) if word else []
    except csvfields.CsvError as error:
        raise UsageError(f"--output: {word!r}: {error}", _HINT) from None
    if len(fields) == 1 and "=" not in fields[0]:
        # The short form: a directory, or a tar on standard output.
        return Wanted("tar" if fields[0] == "-" else "local", {"dest": fields[0]})
    options: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals or not key:
            raise UsageError(f"--output: {field!r} is not a KEY=VALUE", _HINT)
        options[key.strip().lower() if not key.startswith("annotation") else key.strip()] = value
    kind = options.pop("type", "")
    if kind not in _OPTIONS:
        known = ", ".join(_OPTIONS)
        raise UsageError(
            f"--output: unknown type {kind!r}" if kind else "--output has no type", f"known types: {known}; {_HINT}"
        )
    for key in options:
        name = "annotation" if key.startswith(("annotation.", "annotation-", "annotation[")) else key
        if name not in _OPTIONS[kind]:
            known = ", ".join(sorted(_OPTIONS[kind]))
            raise UsageError(f"--output: type={kind} does not accept {key}", f"it accepts {known}")
    if kind in ("local", "oci") and not options.get("dest"):
        raise UsageError(f"--output: type={kind} needs a destination", f"add dest=PATH; {_HINT}")
    wanted = Wanted(kind, options)
    for flag in _FLAGS:
        wanted.flag(flag)
    _refuse(wanted)
    return wanted


def _refuse(wanted: Wanted) -> None:
    """Raise UnsupportedError for what would change the result, but is not done."""
    get = wanted.options.get
    if get("mode", "copy") != "copy":
        raise UnsupportedError(
            f"--output: mode={get('mode')} is not supported: files that are there already stay",
            "remove the directory before the build",
        )
    if get("context", "default") != "default":
        raise UnsupportedError(
            f"--output: context={get('context')} is not supported: there are no docker contexts",
            "name the engine with DOCKER_HOST",
        )
    if "source-date-epoch" in wanted.options:
        raise UnsupportedError(
            "--output: source-date-epoch is not supported: all outputs have the same times",
            "set it for the build: --build-arg SOURCE_DATE_EPOCH=SECONDS",
        )
    if wanted.kind in ("oci", "docker") and wanted.flag("push"):
        raise UnsupportedError(
            f"--output: push=true is not supported with type={wanted.kind}", "add --push, or an output type=registry"
        )
    if (version := get("compatibility-version", "30")) not in ("20", "30"):
        raise UnsupportedError(
            f"--output: compatibility-version={version} is not supported", "known versions: 20 and 30 (BuildKit 0.32)"
        )
    for key in wanted.options:
        head = key.partition(".")[0]
        if key.startswith("annotation") and head not in _ANNOTATIONS:
            raise _no_annotation(head.removeprefix("annotation").removeprefix("-") or "manifest")


def _no_annotation(level: str) -> UnsupportedError:
    return UnsupportedError(
        f"--annotation: a build cannot annotate a {level}",
        "after the build, use: polyarch manifest annotate --annotation KEY=VALUE LIST PLATFORM",
    )


class ExportFlags(TypedDict, total=False):
    """Options for the result of a build.

    `tags` are the names of the result. `outputs` are values of `--output`. Without `outputs`, `push` and `load` the
    result goes to the store. `annotations` are {key: value} for the manifests of images, or texts
    "[index:|manifest:|manifest-descriptor:]KEY=VALUE". `attest` are values of `--attest`. `provenance` and `sbom` are
    booleans, texts as for `--provenance` and `--sbom`, or {key: value}.
    """

    tags: Items[str | Reference]
    outputs: Items[str | Output]
    push: bool
    load: bool
    annotations: Pairs
    attest: Items[str]
    provenance: bool | str | Mapping[str, str | bool] | None
    sbom: bool | str | Mapping[str, str] | None


def export(
    options: ExportFlags,
    here: Path,
    stdout: BinaryIO | None,
    arguments: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    loads: Literal["", "store", "engine"] = "",
) -> Export:
    """Combine these options into one `Export`. Paths are relative to `here`; the destination `-` is `stdout`.

    `arguments` are build arguments and `variables` environment variables that concern attestations. `loads` is as in
    `Surroundings`. Raises UsageError.
    """
    get = options.get
    given = values.items("--output", get("outputs"), str, Output)
    wanted = [parse(one) for one in given if isinstance(one, str)]
    pushed = values.flag("--push", get("push"))
    if pushed:
        wanted = [_pushed(one) for one in wanted]
    outputs = [one for one in given if isinstance(one, Output)]
    names = [*values.items("--tag", get("tags"), str, Reference)]
    for one in wanted:
        outputs += [] if one.kind == _NOTHING else _outputs(one, here, stdout)
        names += [name for name in one.options.get("name", "").split(",") if name]
    if pushed and not any(output.kind == "registry" for output in outputs):
        outputs.append(Output(kind="registry"))
    if values.flag("--load", get("load")):
        outputs.append(Output(kind="engine" if loads == "engine" else "store"))
    elif not (outputs or any(one.kind == _NOTHING for one in wanted)):
        outputs.append(Output(kind=_unasked(loads, variables or {})))
    if loads == "store":
        outputs = [msgspec.structs.replace(one, kind="store") if one.kind == "engine" else one for one in outputs]
    elif _unasked(loads, variables or {}) == "engine" and not any(output.kind == "registry" for output in outputs):
        # type=image: docker's default builder has no other place for an image than the engine.
        outputs = [msgspec.structs.replace(one, kind="engine") if one.kind == "store" else one for one in outputs]
    if sum(output.stream is not None for output in outputs) > 1:
        raise UsageError("--output: only one output can go to standard output", "add dest=FILE to the others")
    notes = _annotations(values.pairs("--annotation", get("annotations")), wanted)
    form = _form(wanted)
    asked = any(get(name) for name in ("attest", "provenance", "sbom"))
    if asked or any(name.startswith("BUILDKIT_ATTEST_") for name in arguments or ()):
        from polyarch.buildflags import attest

        form = attest.added(form, options, arguments or {}, variables or {})
    if any(_is_old(one) for one in wanted) and not form.attestations:
        form = msgspec.structs.replace(form, docker_format=True)
    return msgspec.structs.replace(
        form,
        names=_distinct(map(_name, names)),
        outputs=tuple(dict.fromkeys(outputs)),
        annotations=notes["manifest"],
        index_annotations=notes["index"],
        entry_annotations=notes["manifest-descriptor"],
        insecure=any(one.flag("registry.insecure") for one in wanted),
    )


def _pushed(one: Wanted) -> Wanted:
    """An output with `--push`, which is push=true of every output of type=image, as in buildx: its other keys count."""
    return Wanted(one.kind, {**one.options, "push": "true"}) if one.kind in ("image", "registry") else one


def _is_old(one: Wanted) -> bool:
    """Whether an output has the media types of BuildKit before 0.32: Docker's, unless attestations need OCI's."""
    old = one.options.get("compatibility-version") == "20"
    return old and one.kind in ("image", "registry") and "oci-mediatypes" not in one.options


def _unasked(loads: str, variables: Mapping[str, str]) -> OutputKind:
    """Where the result goes if nothing says so: as with buildx, docker's default builder loads it into the engine."""
    default = variables.get("BUILDX_BUILDER", "") in ("", "default")
    return "engine" if loads == "engine" and default else "store"


def _distinct(names: Iterable[Reference]) -> tuple[Reference, ...]:
    """The names without those that mean the same, as `app` and `app:latest` do."""
    found: dict[Reference, Reference] = {}
    for name in names:
        found.setdefault(name.tagged(), name)
    return tuple(found.values())


def _name(given: str | Reference) -> Reference:
    name = references.parse(given) if isinstance(given, str) else given
    if name.digest:
        raise UsageError(f"{name} has a digest, so it cannot be a tag", "leave out the @ and what follows it")
    return name


def _outputs(one: Wanted, here: Path, stdout: BinaryIO | None) -> list[Output]:
    dest = one.options.get("dest", "")
    prefix = one.options.get("attestation-prefix", "")
    if "/" in prefix or "\0" in prefix:
        raise UsageError(f"--output: attestation-prefix={prefix} is not the beginning of a file name", _HINT)
    output = Output(
        kind=_KINDS[one.kind],
        platform_split=one.flag("platform-split") if "platform-split" in one.options else None,
        attestation_prefix=prefix,
        attestation_inline=one.flag("attestation-inline") if "attestation-inline" in one.options else None,
    )
    if one.kind in ("image", "registry"):
        pushed = one.flag("push", one.kind == "registry")
        output = msgspec.structs.replace(output, by_digest=pushed and one.flag("push-by-digest"))
        kept = [msgspec.structs.replace(output, kind="store")] if one.kind == "image" else []
        return kept + ([msgspec.structs.replace(output, kind="registry")] if pushed else [])
    if one.kind == "docker" and not dest:
        return [msgspec.structs.replace(output, kind="engine")]
    directory = not one.flag("tar", True) if one.kind in ("oci", "docker") else False
    if dest in ("", "-"):
        if directory or one.kind == "local":
            raise UsageError(f"--output: type={one.kind} cannot write a directory to standard output", "add dest=PATH")
        if stdout is None:
            raise UsageError("--output: there is no standard output here", "add dest=FILE")
        if stdout.isatty():
            raise UsageError("refusing to write a tar to a terminal", "add dest=FILE, or redirect standard output")
        return [msgspec.structs.replace(output, stream=stdout)]
    return [msgspec.structs.replace(output, destination=here / dest, directory=directory)]


def _form(wanted: Sequence[Wanted]) -> Export:
    """Compression and format. They must be the same for all outputs, because each image is made once."""
    found: dict[str, str] = {}
    for one in wanted:
        for name in _SHARED:
            if name in one.options and found.setdefault(name, one.options[name]) != one.options[name]:
                raise UsageError(
                    f"--output: two outputs set a different {name}",
                    "run the build once for each; the second one uses the cache",
                )
    merged = Wanted("", found)
    return Export(
        compression=compression("--output", found.get("compression", "gzip"), found.get("compression-level")),
        force_compression=merged.flag("force-compression"),
        docker_format=not merged.flag("oci-mediatypes", True),
        attestation_artifacts=merged.flag("oci-artifact") if "oci-artifact" in found else None,
    )


def compression(option: str, kind: str, level: str | None) -> Compression:
    """The compression of these words, as in `compression=zstd,compression-level=3`."""
    known = _COMPRESSIONS.get(kind)
    if known is None:
        raise UsageError(
            f"{option}: unknown compression {kind!r}",
            "known compressions: gzip, estargz, zstd, uncompressed",
        )
    if level is not None and not level.isdigit():
        raise UsageError(
            f"{option}: compression-level={level} is not a number", "levels: 0 to 12 for gzip, 1 to 22 for zstd"
        )
    return Compression(kind=known, level=int(level) if level else None)


def _annotations(words: Sequence[str], wanted: Iterable[Wanted]) -> Mapping[str, Mapping[str, str]]:
    """The annotations of outputs and of `--annotation [TYPE:]KEY=VALUE`, by their types."""
    notes: dict[str, dict[str, str]] = {"manifest": {}, "index": {}, "manifest-descriptor": {}}
    for one in wanted:
        for name, value in one.options.items():
            if name.startswith("annotation"):
                level, _, key = name.partition(".")
                notes[level.removeprefix("annotation").removeprefix("-") or "manifest"][key] = value
    for word in words:
        head, equals, value = word.partition("=")
        types, _, key = head.rpartition(":") if ":" not in head else head.partition(":")
        kinds = (types or "manifest").split(",")
        if not equals or not key:
            raise UsageError(
                f"invalid --annotation {word!r}", "expected [index:|manifest:|manifest-descriptor:]KEY=VALUE"
            )
        for kind in kinds:
            if kind in notes:
                notes[kind][key] = value
            elif _is_type(kind):
                raise _no_annotation(kind)
            else:
                raise UsageError(
                    f"--annotation: unknown type {kind!r} in {word!r}",
                    "expected [index:|manifest:|manifest-descriptor:]KEY=VALUE",
                )
    return notes


def _is_type(word: str) -> bool:
    return word.partition("[")[0] in ("index", "manifest", "index-descriptor", "manifest-descriptor")
