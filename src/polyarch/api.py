"""`polyarch.build`: a build in one call.

Like `cli/` it stands on top, so here the clock and the environment are read.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from polyarch import progress
from polyarch.buildflags import BuildOptions

if TYPE_CHECKING:
    from polyarch.builder import BuildResult
    from polyarch.registry import Registry
    from polyarch.store import Store


def build(
    context: Path | str | None,
    store: "Store",
    *,
    registry: "Registry | None" = None,
    emit: progress.Emit = progress.ignore,
    **options: Unpack[BuildOptions],
) -> "BuildResult":
    """Build the Dockerfile of `context`, a directory, the URL of an archive or a git repository.

    The options are those of `polyarch.buildflags.BuildOptions`. `registry` is asked for base images and pushed to;
    without it an anonymous one is opened, and closed again.

    RUN steps move the calling process into a user namespace permanently. Call this before starting any thread.
    Raises UsageError, DockerfileError with the lines that are wrong, BuildError if a step fails, and other kinds of
    PolyarchError.
    """
    from polyarch.builder import build as build_request
    from polyarch.buildflags import Surroundings, request
    from polyarch.sandbox import host_platform

    around = Surroundings(
        host=host_platform(),
        variables=dict(os.environ),
        now=time.time(),
        stdin=sys.stdin.buffer,
        stdout=sys.stdout.buffer,
        workers=os.cpu_count() or 2,
    )
    asked = request(context, around, **options)
    with _registry(registry) as client:
        return build_request(asked, store, client, emit)


@contextmanager
def _registry(given: "Registry | None") -> "Iterator[Registry]":
    """The registry client that was given, or an anonymous one that is closed again."""
    if given is not None:
        yield given
        return
    from polyarch.registry import Registry, credentials, hosts
    from polyarch.version import VERSION

    with Registry(hosts.load(), credentials.Credentials(None), f"polyarch/{VERSION}") as made:
        yield made
