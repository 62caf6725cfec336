"""The entry point. It answers `--version` before anything is imported: click alone would make it four times slower."""

import gc
import sys

# Net new objects before the youngest are looked through. Python's 700 let a command that lives for a moment spend a
# tenth of it on looking for cycles among what it imports; a long one holds thousands of entries, which make none.
_YOUNG = 50_000


def main(arguments: list[str] | None = None) -> int:
    """Run the program with these arguments (those of the process where None); gives its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if words in (["--version"], ["-v"]):
        from polyarch.version import VERSION

        print(f"polyarch version {VERSION}")
        return 0
    gc.set_threshold(_YOUNG)
    from polyarch.cli.execute import execute

    status = execute(words)
    if arguments is None:
        _leave(status)
    return status


def _leave(status: int) -> None:
    """End the process at once: all owners have cleaned up, and taking the interpreter apart would cost 15 ms more.

    Where the output cannot be written any more, the interpreter's own way out knows what to do.
    """
    import os

    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
