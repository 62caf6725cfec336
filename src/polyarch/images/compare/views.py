"""The images to compare, flattened, with facts about their files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.contents.facts import Learner, learn_all
from polyarch.errors import NotFoundError, PolyarchError
from polyarch.images.check.collect import CheckedMember, collect
from polyarch.images.check.view import Known, View, steps
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import Source

if TYPE_CHECKING:
    from polyarch.store import Store

_WORKERS = 4


def members(source: Source, root: Descriptor) -> list[CheckedMember]:
    """The images below `root`. Raises NotFoundError if none can be read."""
    images, problems = collect(source, root)
    if not images:
        why = "; ".join(problem.message for problem in problems) or "there are no images"
        raise NotFoundError(f"no image can be read: {why}", "'polyarch check' shows the problems")
    return images


def views(
    source: Source, images: Sequence[CheckedMember], store: "Store | None", emit: progress.Emit = progress.ignore
) -> list[View]:
    """The view of each image. Raises the errors of reading a layer."""
    learnt = learn_all(Learner(source, store, emit), [layer for one in images for layer in one.layers], _WORKERS)
    result: list[View] = []
    for member in images:
        known: list[Known] = []
        for layer, step in zip(member.layers, steps(member.config, len(member.layers)), strict=True):
            facts = learnt[layer.diff_id]
            if isinstance(facts, PolyarchError):
                raise facts
            known.append(Known(blob=layer.blob.digest, step=step, listing=facts[0], facts=facts[1]))
        result.append(View(member.platform, member.config, known))
    return result
