"""The entries of indexes, and the configs of images: ways to find an image by its digest that a name does not need."""

from collections.abc import Callable, Iterable, Iterator

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest

# Reads a document. Not the store's `load`, whose lease would keep what `rmi` is about to remove.
Peek = Callable[[Descriptor], Manifest | Index]

# The same number of nested indexes as the copier accepts (transfer/graph.py).
_MAX_DEPTH = 4


def members(peek: Peek, named: Iterable[tuple[str, Descriptor]]) -> Iterator[tuple[str, Descriptor]]:
    """The entries of the indexes among these images, including those of nested indexes, with the name of the image."""
    seen: set[Digest] = set()
    pending = [(name, root, 0) for name, root in named]
    while pending:
        name, node, depth = pending.pop(0)
        if node.media_type not in media_types.INDEXES or node.digest in seen or depth > _MAX_DEPTH:
            continue
        seen.add(node.digest)
        try:
            document = peek(node)
        except (NotFoundError, CorruptError):
            continue  # reported by the command that uses it
        assert isinstance(document, Index)
        for entry in document.manifests:
            yield name, entry
            plain = Descriptor(media_type=entry.media_type, digest=entry.digest, size=entry.size)
            pending.append((name, plain, depth + 1))


def has_config(peek: Peek, image: Descriptor, start: str) -> bool:
    """Whether this is an image whose config has a digest that begins with `start`: the id that docker has for it."""
    if image.media_type in media_types.INDEXES:
        return False
    try:
        document = peek(image)
    except (NotFoundError, CorruptError):
        return False
    return isinstance(document, Manifest) and document.config.digest.startswith(start)
