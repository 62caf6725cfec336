"""Commands that pull an image, for programs that people have."""

import re
import shlex
from urllib.parse import urlsplit

import msgspec

# A host and a port as they may be in a reference.
_HOST = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?")
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?")


class Host(msgspec.Struct, frozen=True):
    """Where images are pulled from: a host with its port, and whether it has TLS. Empty for the names themselves."""

    name: str = ""
    is_secure: bool = True

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, where docker and crane need no flag for plain HTTP."""
        return _LOOPBACK.fullmatch(self.name) is not None


class PullCommand(msgspec.Struct, frozen=True):
    """A program and a whole command."""

    program: str
    command: str


def host_of(origin: str) -> Host:
    """The host of an origin, such as https://registry.example.org:5000. Anything else gives an empty one."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return Host()
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc):
        return Host()
    return Host(parts.netloc, parts.scheme == "https")


def pulls(host: Host, image: str, platform: str = "", *, whole: bool = True) -> tuple[PullCommand, ...]:
    """The commands that pull an image, which is named with its host.

    They pull the image for `platform`, or else all of an index if `whole`, where a program can do that.
    """
    for_platform = f" --platform {shlex.quote(platform)}" if platform else ""
    every = whole and not platform
    insecure = " --insecure" if not host.is_secure and not host.is_loopback else ""
    unverified = "" if host.is_secure else " --tls-verify=false"
    directory = target(image)
    return (
        PullCommand("docker", f"docker pull{for_platform} {image}"),
        PullCommand("podman", f"podman pull{unverified}{for_platform} {image}"),
        PullCommand("polyarch", f"polyarch pull{insecure}{for_platform or ' --all-platforms' * every} {image}"),
        _skopeo(host, image, _overrides(platform), directory, every=every),
        _crane(host, image, for_platform, directory),
    )


def downloads(host: Host, image: str) -> tuple[PullCommand, ...]:
    """The commands that fetch an artifact that is not an image, which is named with its host."""
    plain = "" if host.is_secure else " --plain-http"
    return (
        PullCommand("oras", f"oras pull{plain} {image}"),
        _skopeo(host, image, "", target(image), every=False),
        _crane(host, image, "", target(image)),
    )


def target(image: str) -> str:
    """A name for the directory or file that an image is written to: its last part and its tag."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", image.partition("@")[0].rpartition("/")[2])


def _skopeo(host: Host, image: str, overrides: str, directory: str, *, every: bool) -> PullCommand:
    unverified = "" if host.is_secure else " --src-tls-verify=false"
    options = f"{unverified}{' --all' if every else ''}"
    return PullCommand("skopeo", f"skopeo{overrides} copy{options} docker://{image} oci:{directory}")


def _crane(host: Host, image: str, for_platform: str, directory: str) -> PullCommand:
    insecure = "" if host.is_secure or host.is_loopback else " --insecure"
    return PullCommand("crane", f"crane pull{insecure}{for_platform} --format oci {image} {directory}")


def _overrides(platform: str) -> str:
    if not platform:
        return ""
    system, architecture, variant = [*platform.split("/"), ""][:3]
    shown = f" --override-os {shlex.quote(system)} --override-arch {architecture}"
    return shown + (f" --override-variant {variant}" if variant else "")
