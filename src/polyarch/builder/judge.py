"""Rejecting images that were built, before they are named or sent anywhere."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from polyarch.builder.failures import FailurePolicy
from polyarch.errors import BuildError, PolyarchError
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.imagetest.judging import Built

# Looks at all images of a build, which it can read from the source. Returns the errors of those that are rejected.
Judge = Callable[[Sequence["Built"], Source], Mapping[Platform, PolyarchError]]
_Image = TypeVar("_Image", bound="Built")


def accepted(judge: Judge, images: Sequence[_Image], source: Source, failures: FailurePolicy) -> tuple[_Image, ...]:
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
