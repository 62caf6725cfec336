"""The images that are compared, flattened, with what is known of their files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.contents.facts import Learner, learn_all
from polyarch.errors import NotFoundError, PolyarchError
from polyarch.images.check.check import CheckedMember, collect
from polyarch.images.check.view import Known, View, steps
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.store import Store

_WORKERS = 4


def members(source: Source, root: Descriptor) -> list[CheckedMember]:
    """The images below `root`. Raises NotFoundError where there is none that can be read."""
    found, problems = collect(source, root)
    if not found:
        why = "; ".join(problem.message for problem in problems) or "there is none"
        raise NotFoundError(f"no image can be read: {why}", "'polyarch check' says more")
    return found


def chosen(found: Sequence[CheckedMember], wanted: Platform, called: str) -> CheckedMember:
    """The image for exactly this platform, else the one that serves it best. Raises NotFoundError."""
    exact = [member for member in found if platforms.same(member.platform, wanted)]
    ranked = [(rank, n) for n, one in enumerate(found) if (rank := platforms.rank(one.platform, wanted)) is not None]
    if not exact and not ranked:
        have = ", ".join(str(member.platform) for member in found)
        raise NotFoundError(f"{called} has no image for {wanted}", f"it is for {have}")
    return exact[0] if exact else found[min(ranked)[1]]


def views(
    source: Source, images: Sequence[CheckedMember], store: "Store | None", emit: progress.Emit = progress.ignore
) -> list[View]:
    """The view of each image. Raises what reading a layer raises."""
    learnt = learn_all(Learner(source, store, emit), [layer for one in images for layer in one.layers], _WORKERS)
    made: list[View] = []
    for member in images:
        known: list[Known] = []
        for layer, step in zip(member.layers, steps(member.config, len(member.layers)), strict=True):
            result = learnt[layer.diff_id]
            if isinstance(result, PolyarchError):
                raise result
            known.append(Known(blob=layer.blob.digest, step=step, listing=result[0], facts=result[1]))
        made.append(View(member.platform, member.config, known))
    return made
