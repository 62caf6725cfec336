"""Runs `check` on small images, and shortens its findings."""

from polyarch.images.check.check import CheckOptions, check_source
from polyarch.images.check.findings import RULES, Finding, Report
from polyarch.oci.descriptor import Descriptor
from polyarch.store import Store
from tests.images import elves
from tests.images.layered import entry, file, image, index, program

NAME = "docker.io/library/image:latest"
LOADER = "/lib64/ld-linux-x86-64.so.2"
GLIBC = [
    file("lib/x86_64-linux-gnu/libc.so.6", elves.elf(soname="libc.so.6", interpreter=LOADER), 0o755),
    program("lib64/ld-linux-x86-64.so.2", elves.elf(soname="ld-linux-x86-64.so.2")),
]

CONFIGURED = [
    file("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf"),
    file("etc/ld.so.conf.d/z.conf", "# z\n/opt/z\n"),
]


def checked(store: Store, *images: tuple[str, Descriptor], allow: tuple[str, ...] = ()) -> Report:
    """The report on an index of these images."""
    index(store, NAME, *(entry(descriptor, platform) for platform, descriptor in images))
    return check_source(store, NAME, store, CheckOptions(allow=allow))


def amd64(store: Store, *layers: list, allow: tuple[str, ...] = (), **run: object) -> Report:  # type: ignore[type-arg]
    """The report on one image for amd64 of these layers."""
    return checked(store, ("linux/amd64", image(store, "linux/amd64", *layers, **run)), allow=allow)  # type: ignore[arg-type]


def rules(report: Report) -> list[str]:
    return [finding.rule for finding in report.findings]


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    assert report.findings[0].rule in RULES
    return report.findings[0]
