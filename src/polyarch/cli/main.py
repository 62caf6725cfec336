"""The entry point. It answers `--version` before anything is imported: click alone would make it four times slower."""

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the program with these arguments (those of the process where None); gives its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if words in (["--version"], ["-v"]):
        from polyarch.version import VERSION

        print(f"polyarch version {VERSION}")
        return 0
    from polyarch.cli.execute import execute

    return execute(words)


if __name__ == "__main__":
    sys.exit(main())
