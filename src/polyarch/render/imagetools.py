"""What `imagetools inspect` shows of an image, as buildx shows it, byte for byte.

buildx decodes manifests and configs into Go structs and prints those, so it leaves out fields that it does not know.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from polyarch.indexes.inspect import Inspected, Part
from polyarch.oci import descriptor as descriptors
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index
from polyarch.render.templates import Template, functions
from polyarch.render.templates.functions import FUNCTIONS, Function
from polyarch.render.templates.values import run_error

# The fields of Go's structs, in their order (image-spec, specs-go/v1).
_CONFIG = ("created", "author", "architecture", "os", "os.version", "os.features", "variant")
_RUN = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal")
_HISTORY = ("created", "created_by", "author", "comment", "empty_layer")
_DESCRIPTOR = ("mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType")
_PLATFORM = ("architecture", "os", "os.version", "os.features", "variant")
# Go's JSON escapes what HTML would read.
_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
# Larger integers are not exact as Go's float64, which is what every number of a predicate is.
_EXACT = 1 << 53

Predicates = Mapping[str, Mapping[str, Any]]


class Root(dict[str, Any]):
    """The dot of a template: `.Name`, `.Manifest`, `.Image`; and `methods`, which are read when a template asks.

    `{{json .}}` has only the first three.
    """

    def __init__(self, fields: Mapping[str, Any], methods: Mapping[str, Callable[[], Any]]) -> None:
        super().__init__(fields)
        self._methods = methods

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self._methods

    def __getitem__(self, key: str) -> Any:
        return self._methods[key]() if key in self._methods else super().__getitem__(key)

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()


class ByPlatform(dict[str, Any]):
    """A Go map of structs: a platform that is not there has an empty one."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or an empty mapping."""
        return super().get(key, {} if default is None else default)


class OfOnePlatform(dict[str, Any]):
    """The Go struct of an image for one platform. A template that looks a platform up in it is mistaken."""

    def get(self, key: str, default: Any = None) -> Any:
        """Raises UsageError: `index` calls this."""
        raise run_error(
            f"the image is for one platform, so nothing is listed under {key!r}",
            "write .SBOM.SPDX or .Provenance.SLSA without a platform, as in buildx",
        )


def root(image: Inspected, text: str, provenance: Callable[[], Predicates], sbom: Callable[[], Predicates]) -> Root:
    """The dot for the image that was inspected under the name `text`. The callables read the predicates by platform.

    An image for one platform is not keyed by it.
    """
    configs = {name: _config(part) for name, part in _images(image)}
    several = len(configs) > 1

    def shown(by_platform: Mapping[str, Any]) -> Any:
        keyed = {name: by_platform[name] for name in sorted(by_platform)}
        return keyed if several else next(iter(keyed.values()), {})

    fields = {"name": text, "manifest": _manifest(image), "image": shown(configs)}
    return Root(
        {key: value for key, value in fields.items() if value},
        {
            "Provenance": lambda: _predicates(provenance(), several=several),
            "SBOM": lambda: _predicates(sbom(), several=several),
        },
    )


def rendered(
    form: str, image: Inspected, name: str, provenance: Callable[[], Predicates], sbom: Callable[[], Predicates]
) -> str:
    """The text of the template `form`; see `root`. As in buildx, `{{.Manifest}}` alone is the image in words. `json` is
    everything. Raises UsageError.
    """
    if not form or re.fullmatch(r"\s*\{\{\s*\.Manifest\s*\}\}\s*", form):
        return described(image)
    dot = root(image, name, provenance, sbom)
    if form == "json":
        return json({**dot, "Provenance": dot["Provenance"], "SBOM": dot["SBOM"]})
    return Template(form, functions=BUILDX).render(dot)


def described(image: Inspected) -> str:
    """The image in words, as buildx shows it without a template. It aligns columns with spaces, also at line ends."""
    name = str(image.reference or image.name)
    head = [("Name:", name), ("MediaType:", image.document.media_type), ("Digest:", image.descriptor.digest)]
    lines = _aligned(head)
    if not isinstance(image.document, Index):
        return "".join(lines)
    lines += _aligned([("", ""), ("Manifests:", "")])
    base = name.partition("@")[0]
    rows: list[tuple[str, str]] = []
    for number, part in enumerate(image.parts):
        rows += [("", "")] if number else []
        rows += _rows(base, part.descriptor)
        if part.descriptor.platform is not None and part.descriptor.annotations:
            lines += _aligned([*rows, ("  Annotations:", "")])
            lines += _aligned([(f"    {key}:", text) for key, text in sorted(part.descriptor.annotations.items())])
            rows = []
    return "".join([*lines, *_aligned(rows)])


def _rows(base: str, entry: Descriptor) -> list[tuple[str, str]]:
    rows = [("  Name:", f"{base}@{entry.digest}"), ("  MediaType:", entry.media_type)]
    if entry.platform is None:
        return rows
    platform = entry.platform
    shown = platforms.normalize(platform)
    rows.append(("  Platform:", "/".join(filter(None, (shown.os, shown.architecture, shown.variant)))))
    optional = (("OSVersion", platform.os_version), ("OSFeatures", ", ".join(platform.os_features)))
    rows += [(f"  {title}:", text) for title, text in (*optional, ("URLs", ", ".join(entry.urls))) if text]
    return rows


def _aligned(rows: list[tuple[str, str]]) -> list[str]:
    """Lines with the second column one space after the widest cell of the first."""
    width = max((len(title) for title, _ in rows), default=0) + 1
    return [f"{title.ljust(width)}{text}\n" for title, text in rows]


def json(value: Any) -> str:
    """A value as buildx's `json` prints it: indented by two spaces, with <, > and & escaped."""
    from msgspec import json as plain

    text = functions.json(value).translate(_ESCAPED)
    return plain.format(text, indent=2)


# The functions of its templates.
BUILDX: Mapping[str, Function] = {**FUNCTIONS, "json": Function(json)}


def _images(image: Inspected) -> Iterator[tuple[str, Part]]:
    """The images by platform. As in buildx, of several for one platform the last counts."""
    for part in image.parts:
        if part.config is not None and not part.descriptor.is_attestation:
            yield str(platforms.normalize(part.descriptor.platform or part.config.platform)), part


def _predicates(found: Predicates, *, several: bool) -> Any:
    # {"SPDX": …, "AdditionalSPDXs": …} is a struct, whose fields keep their order.
    decoded = {
        name: {key: _any(value) for key, value in found[name].items() if value is not None} for name in sorted(found)
    }
    return ByPlatform(decoded) if several else OfOnePlatform(next(iter(decoded.values()), {}))


def _any(value: Any) -> Any:
    """A decoded value as Go's `any`: keys are sorted, and numbers are float64."""
    match value:
        case bool() | None | str():
            return value
        case int():
            return float(value) if abs(value) < _EXACT else _float(value)
        case Mapping():
            return {key: _any(value[key]) for key in sorted(value)}
        case list() | tuple():
            return [_any(item) for item in value]
    return value


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _manifest(image: Inspected) -> dict[str, Any]:
    descriptor = image.descriptor
    if not isinstance(image.document, Index):
        return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}
    document = image.document.decode()
    fields: dict[str, Any] = {"schemaVersion": document.get("schemaVersion") or 0}
    if document.get("mediaType"):
        fields["mediaType"] = document["mediaType"]
    fields |= {"digest": descriptor.digest, "size": descriptor.size}
    fields["manifests"] = [_descriptor(entry) for entry in image.document.manifests]
    if image.document.annotations:
        fields["annotations"] = dict(sorted(image.document.annotations.items()))
    return fields


def _descriptor(entry: Descriptor) -> dict[str, Any]:
    plain = descriptors.to_dict(entry)
    if "platform" in plain:
        plain["platform"] = _fields(plain["platform"], _PLATFORM)
    if "annotations" in plain:
        plain["annotations"] = dict(sorted(plain["annotations"].items()))
    return _fields(plain, _DESCRIPTOR)


def _config(part: Part) -> dict[str, Any]:
    assert part.config is not None
    document = part.config.document
    shown = _fields(document, _CONFIG) | {
        key: document.get(key) or "" for key in ("architecture", "os") if not document.get(key)
    }
    run = _fields(document.get("config") or {}, (*_RUN, "ArgsEscaped"))
    for key in ("ExposedPorts", "Volumes", "Labels"):
        if key in run and isinstance(run[key], Mapping):
            run[key] = dict(sorted(run[key].items()))
    stack = document.get("rootfs") or {}
    shown["config"] = run
    shown["rootfs"] = {"type": stack.get("type") or "", "diff_ids": stack.get("diff_ids")}
    if history := document.get("history"):
        shown["history"] = [_fields(line, _HISTORY) for line in history]
    return shown


def _fields(document: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """These fields in this order, without empty ones."""
    return {name: document[name] for name in names if document.get(name)}
