"""An image's config: platform, how to run the image, diff ids of the layers, history (image-spec, config.md).

As with manifests, the decoded JSON is authoritative. It keeps fields that this version does not know (Docker's
Healthcheck, Shell, ArgsEscaped …). A change returns a new value.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from polyarch.errors import CorruptError
from polyarch.oci import digest as digests
from polyarch.oci import nesting, text
from polyarch.oci import platform as platforms
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform

# docker, containerd, podman and BuildKit give this PATH to a process whose image sets none.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class History(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of an image's history. An entry without `empty_layer` describes the next layer."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True):
    """The decoded config. `document` is never modified in place."""

    document: Mapping[str, Any]

    @property
    def platform(self) -> Platform:
        """The platform that the config claims, normalized."""
        get = self.document.get
        return platforms.normalize(
            Platform(
                os=get("os") or "linux",
                architecture=get("architecture") or "",
                variant=get("variant") or "",
                os_version=get("os.version") or "",
                os_features=tuple(get("os.features") or ()),
            )
        )

    @property
    def run(self) -> Mapping[str, Any]:
        """The `config` object: Env, Cmd, Entrypoint, User, WorkingDir …"""
        return self.document.get("config") or {}

    @property
    def env(self) -> dict[str, str]:
        """The environment; of several settings of a name, the last wins."""
        pairs = (str(item).partition("=") for item in self.run.get("Env") or ())
        return {name: value for name, _, value in pairs}

    @property
    def labels(self) -> dict[str, str]:
        """The labels."""
        return dict(self.run.get("Labels") or {})

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The digests of the uncompressed layers, lowest first."""
        return tuple((self.document.get("rootfs") or {}).get("diff_ids") or ())

    @property
    def history(self) -> tuple[History, ...]:
        """The history, oldest first."""
        lines = self.document.get("history") or []
        try:
            return tuple(msgspec.convert(lines, list[History]))
        except msgspec.ValidationError:
            given = [{key: value for key, value in (line or {}).items() if value is not None} for line in lines]
            return tuple(msgspec.convert(given, list[History]))

    def with_run(self, **changes: Any) -> "ImageConfig":
        """Return the config with these fields of its `config` object set; None removes a field."""
        run = {**self.run, **changes}
        return ImageConfig({**self.document, "config": {key: value for key, value in run.items() if value is not None}})

    def with_fields(self, **changes: Any) -> "ImageConfig":
        """Return the config with these top-level fields set; None removes a field.

        `os_version` stands for `os.version`, `os_features` for `os.features`.
        """
        renamed = {{"os_version": "os.version", "os_features": "os.features"}.get(k, k): v for k, v in changes.items()}
        document = {**self.document, **renamed}
        return ImageConfig({key: value for key, value in document.items() if value is not None})

    def with_platform(self, platform: Platform) -> "ImageConfig":
        """Return the config labelled with `platform`."""
        return self.with_fields(
            os=platform.os,
            architecture=platform.architecture,
            variant=platform.variant or None,
            os_version=platform.os_version or None,
            os_features=list(platform.os_features) or None,
        )

    def with_layers(self, diff_ids: tuple[Digest, ...], history: tuple[History, ...]) -> "ImageConfig":
        """Return the config with these layers and this history."""
        return self.with_fields(
            rootfs={"type": "layers", "diff_ids": list(diff_ids)},
            history=[msgspec.to_builtins(entry) for entry in history],
        )

    def encode(self) -> bytes:
        """Return the bytes of the config blob. Bytes that are not UTF-8 become replacement characters, as in Go."""
        try:
            return msgspec.json.encode(self.document)
        except UnicodeEncodeError:
            return msgspec.json.encode(text.cleaned(self.document))
        except RecursionError:
            raise CorruptError("an image config is nested too deeply") from None


def empty(platform: Platform) -> ImageConfig:
    """Return the config that `FROM scratch` starts from. Its working directory is `/`, as in BuildKit."""
    base = ImageConfig({"architecture": "", "os": "", "config": {"WorkingDir": "/"}})
    return base.with_platform(platform).with_layers((), ())


def load(raw: bytes) -> ImageConfig:
    """Return the config in a blob. As in Go, null in a list or map of strings means an empty string.

    Raises CorruptError if `raw` is not an image config.
    """
    nesting.check(raw, "an image config")
    try:
        document = msgspec.json.decode(raw)
        if not isinstance(document, dict):
            raise CorruptError("an image config is not a JSON object")
        config = ImageConfig(_without_nulls(document))
        for diff_id in config.diff_ids:
            digests.parse(str(diff_id))
        _ = config.history, config.platform, config.env, config.labels
    except (msgspec.DecodeError, RecursionError, TypeError, ValueError, AttributeError) as error:
        raise CorruptError(f"an image config is malformed: {error}") from error
    return config


def _without_nulls(document: dict[str, Any]) -> dict[str, Any]:
    run = document.get("config")
    if not isinstance(run, dict):
        return document
    for key, value in run.items():
        if isinstance(value, list) and None in value:
            run[key] = ["" if item is None else item for item in value]
    labels = run.get("Labels")
    if isinstance(labels, dict) and None in labels.values():
        run["Labels"] = {key: "" if value is None else value for key, value in labels.items()}
    return document
