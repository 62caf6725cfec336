"""Fuzzes one target by hand: `python -m tests.fuzz TARGET [SECONDS]`; uses atheris if it is installed."""

import sys

from polyarch.errors import PolyarchError
from tests.fuzz import run
from tests.fuzz.targets import TARGETS


def main() -> None:
    """The words of the command line; without any, the names of the targets."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit("python -m tests.fuzz TARGET [SECONDS], of: " + ", ".join(TARGETS))
    name = sys.argv[1]
    try:
        import atheris  # type: ignore[import-not-found]
    except ImportError:
        found = run.many(name, seconds=float(sys.argv[2]) if len(sys.argv) > 2 else 60.0, seed=0)
        print(
            f"{found.inputs} inputs, {found.refused} of them refused, {len(found.wrong)} wrong, "
            f"the slowest {found.slowest:.2f} s"
        )
        for wrong in found.wrong:
            print(wrong)
        sys.exit(bool(found.wrong))

    def one(raw: bytes) -> None:
        try:
            TARGETS[name].run(raw)
        except PolyarchError:
            return

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *sys.argv[3:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
