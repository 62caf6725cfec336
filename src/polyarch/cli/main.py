"""The entry point. Prints `--version` before it imports anything: click alone would make that four times slower."""

import gc
import sys

# New objects before a collection of the youngest generation. With Python's default of 700, a short command spends a
# tenth of its time searching its imports for cycles; a long one holds thousands of entries without cycles.
_YOUNG = 50_000


def main(arguments: list[str] | None = None) -> int:
    """Run the program with these arguments (None: those of the process). Returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_streams()
    # A link of that name makes Polyarch speak as docker does.
    docker = arguments is None and sys.argv[0].rpartition("/")[2] in ("docker", "docker-buildx")
    # Also with more words: podman-compose asks its podman for `--version ''`, and follows links to a program first.
    if words[:1] in (["--version"], ["-v"]) and not docker:
        from polyarch.version import VERSION

        print(f"polyarch version {VERSION}")
        return 0
    gc.set_threshold(_YOUNG)
    if arguments is not None:
        return _execute(arguments)
    from polyarch.deferred import Deferred, import_msgspec
    from polyarch.precompiled import Precompiled

    modules = Precompiled()
    modules.install()
    Deferred().install()
    import_msgspec()
    status = _execute(words, sys.argv[0] if docker else "")
    modules.close()
    _leave(status)
    return status


def _execute(words: list[str], docker: str = "") -> int:
    """Run the program; as docker, if `docker` is the path of the link that was called."""
    if docker:
        from polyarch.cli.docker.called import execute_as

        return execute_as(docker, words)
    from polyarch.cli.execute import execute

    return execute(words)


def _open_streams() -> None:
    """Open closed standard streams (`>&-`) on /dev/null, as Go programs do.

    Otherwise the next file that is opened, such as a blob in the store, would get the number of standard output.
    """
    import os

    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 (never closed)


def _leave(status: int) -> None:
    """End the process at once: all owners have cleaned up, and finalizing the interpreter would take 15 ms more.

    If standard output cannot be flushed, a success becomes a failure; any other error has been reported already.
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
