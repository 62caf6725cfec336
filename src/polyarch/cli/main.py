"""The entry point. It answers `--version` before anything is imported: click alone would make it four times slower."""

import gc
import sys

# Net new objects before the youngest are looked through. Python's 700 let a command that lives for a moment spend a
# tenth of it on looking for cycles among what it imports; a long one holds thousands of entries, which make none.
_YOUNG = 50_000


def main(arguments: list[str] | None = None) -> int:
    """Run the program with these arguments (those of the process where None); gives its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_streams()
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


def _open_streams() -> None:
    """Open what was closed of the standard streams (`>&-`) on /dev/null, as programs in Go do.

    Else the next file that is opened, a blob of the store perhaps, would have the number of standard output.
    """
    import os

    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 (never closed)


def _leave(status: int) -> None:
    """End the process at once: all owners have cleaned up, and taking the interpreter apart would cost 15 ms more.

    Output that cannot be written any more makes a failure of success; an error of it has been told already.
    """
    import os

    for stream, failure in ((sys.stdout, 1), (sys.stderr, 0)):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or failure
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
