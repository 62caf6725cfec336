"""Rejecting images that were built, before they are named or sent anywhere."""

from collections.abc import Callable, Mapping, Sequence

from polyarch.builder.export.assemble import BuiltImage
from polyarch.builder.failures import FailurePolicy
from polyarch.errors import BuildError, PolyarchError
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform

# Looks at all images of a build, which it can read from the source. Returns the errors of those that are rejected.
Judge = Callable[[Sequence[BuiltImage], Source], Mapping[Platform, PolyarchError]]


def accepted(
    judge: Judge, images: Sequence[BuiltImage], source: Source, failures: FailurePolicy
) -> tuple[BuiltImage, ...]:
    """The images that are not rejected. An error counts as a failure of its platform.

    Raises BuildError that names every rejected platform, unless the build keeps going and another platform is left.
    """
    errors = judge(images, source)
    if errors and not failures.keeps_going:
        lines = [f"[{platform}] {error.message}" for platform, error in errors.items()]
        raise BuildError("\n".join(lines), "nothing was tagged or pushed")
    for platform, error in errors.items():
        with failures.of(platform):
            raise error
    left = tuple(image for image in images if image.platform not in errors)
    failures.raise_if_done([image.platform for image in left])
    return left
