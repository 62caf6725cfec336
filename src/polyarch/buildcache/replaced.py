"""What a carrier does with a cache that it is about to replace."""

from polyarch import progress
from polyarch.buildcache import documents
from polyarch.buildcache.values import PlatformCache
from polyarch.errors import ConflictError, CorruptError, UnsupportedError
from polyarch.oci.platform import Platform


def decoded(raw: bytes, platform: Platform, where: str, emit: progress.Emit) -> PlatformCache | None:
    """The cache in `raw` (`documents.to_json`), to be merged with a new one. None, with a warning, if it is damaged.

    Raises ConflictError for a newer format, which must not be lost.
    """
    try:
        return documents.from_json(raw)
    except UnsupportedError as error:
        raise ConflictError(f"{where}: {error.message}", error.hint) from error
    except CorruptError as error:
        emit(progress.Warned(f"{where}: the cache of {platform} is replaced: {error.message}"))
        return None
