"""Begin to walk the build contexts of a command before its modules are loaded."""

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyarch.cli.session import Session

if TYPE_CHECKING:
    from polyarch.builder.contexts.ahead import WalksAhead


def walk_ahead(session: Session, words: Mapping[str, Any]) -> "WalksAhead | None":
    """The walks of the contexts that these options of `build` name; None if no directory of them is large, or this
    machine has one processor. The session closes them.

    Nothing is walked early if an input can be a pipe: its writer may change a file of the context before it writes, and
    expects that the build sees the change.
    """
    from polyarch.builder.contexts import ahead
    from polyarch.store.layout import StoreLayout

    marks, file = StoreLayout(str(session.root)).contexts, words["file"]
    if not os.path.exists(marks) or len(os.sched_getaffinity(0)) < 2 or threading.active_count() > 1:
        return None
    if words["context"] == "-" or words["secrets"] or words["test_files"] or (file and not os.path.isfile(file)):
        return None
    named = (word.partition("=") for word in words["contexts"])
    paths = {"": words["context"] or ""} | {name: path for name, _, path in named}
    # As in the store, no path is normalized: `link/..` is not where `link` is.
    found = {name: Path(path).absolute() for name, path in paths.items() if path}
    large = {name: directory for name, directory in found.items() if ahead.is_marked(marks, directory)}
    if not large:
        return None
    dockerfile = Path(file) if file else found.get("", Path()) / "Dockerfile"
    walks = session.keep(ahead.WalksAhead(large, dockerfile, time.time_ns()))
    walks.start()
    return walks
