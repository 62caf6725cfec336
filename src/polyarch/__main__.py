"""`python -m polyarch`: the command line."""

from polyarch.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
