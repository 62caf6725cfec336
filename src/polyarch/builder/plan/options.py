"""What a plan depends on beside the Dockerfile's text, and the one question that it asks of the outside."""

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from polyarch.errors import UsageError
from polyarch.oci.config import ImageConfig
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform


class PlanOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The words of the command line that the plan needs.

    `arguments` are build arguments; `contexts` the names of build contexts of this machine, and `images` those
    that stand for an image (`docker-image://`, `oci-layout://`), each by its name, perhaps with `::platform`.
    `uncached_stages` are names whose steps are done anew; `hosts`, `shm_size` and `limits` are as of `vertices.Run`.
    `ignore` is the text of the main context's ignore file.
    """

    build_platform: Platform
    arguments: Mapping[str, str] = msgspec.field(default_factory=dict)
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    contexts: frozenset[str] = frozenset()
    images: Mapping[str, str] = msgspec.field(default_factory=dict)
    target: str = ""
    network: Literal["default", "none", "host"] = "default"
    allow_foreign_base: bool = False
    allow_insecure: bool = False
    allow_host_network: bool = True
    epoch: int | None = None
    uncached_stages: frozenset[str] = frozenset()
    hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = 0
    limits: tuple[tuple[str, int, int], ...] = ()
    ignore: str = ""


class Base(msgspec.Struct, frozen=True):
    """An image that a stage begins with: its manifest's digest, its config, and how it is named for people."""

    manifest: Digest
    config: ImageConfig
    name: str
    warning: str = ""


class Resolver(Protocol):
    """What finds the config of an image: the only thing that planning asks of the outside."""

    def image(self, name: str, platform: Platform) -> Base:
        """The image that `name` means for `platform`.

        Raises NotFoundError, or UnsupportedError that lists the platforms which it has.
        """


def epoch_of(arguments: Mapping[str, str]) -> int | None:
    """The seconds that the build argument SOURCE_DATE_EPOCH says. Raises UsageError for what is no number."""
    text = arguments.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isdigit():
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}, not a number of seconds")
    return int(text)
