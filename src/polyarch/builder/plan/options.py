"""The inputs of a plan besides the Dockerfile: options, and the resolver of base images."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from polyarch.builder.plan.names import ContextName
from polyarch.builder.vertices import LinkedLayers
from polyarch.errors import UsageError
from polyarch.oci.config import ImageConfig
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform
from polyarch.sandbox.settings import RunSettings
from polyarch.secret import Variables

# The last second that RFC 3339 can write, which is in every image config.
LATEST_EPOCH = 253_402_300_799
_DIGITS = 30  # longer numbers are out of range, and slow to parse


class PlanOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options that a plan depends on.

    `arguments` are build arguments. `contexts` are the named build contexts: an image by the name that `Resolver`
    knows, or empty for a context of files. `run` are the settings of every RUN. Steps of `uncached_stages` (lowercase
    names) are always done again. `epoch` is SOURCE_DATE_EPOCH in seconds. `ignore` is the text of the main context's
    ignore file.
    """

    build_platform: Platform
    arguments: Mapping[str, str] = Variables()
    labels: Mapping[str, str] = {}
    contexts: Mapping[ContextName, str] = {}
    target: str = ""
    run: RunSettings = RunSettings()
    allow_foreign_base: bool = False
    allow_insecure: bool = False
    epoch: int | None = None
    uncached_stages: frozenset[str] = frozenset()
    ignore: str = ""


class Base(msgspec.Struct, frozen=True):
    """An image that a stage starts from: its manifest's digest, its config, and its name for messages.

    `root` is the digest that its name stands for: that of the index if there is one. An image that another build of the
    same command makes has no digest yet: `linked` are its layers.
    """

    manifest: Digest
    config: ImageConfig
    name: str
    warning: str = ""
    root: Digest = Digest("")
    linked: LinkedLayers | None = None


class Resolver(Protocol):
    """Finds the config of an image. Planning needs no other input or output."""

    def image(self, name: str, platform: Platform) -> Base:
        """The image `name` for `platform`.

        Raises NotFoundError, or UnsupportedError with the platforms that the image has.
        """


def epoch_of(variables: Mapping[str, str]) -> int | None:
    """The seconds since 1970 that SOURCE_DATE_EPOCH has among variables or build arguments; None if it is not set.

    Raises UsageError for a value that is not a number.
    """
    text = variables.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) <= LATEST_EPOCH):
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}", "it is a number of seconds since 1970, as 'date +%s' prints")
    return int(text)
