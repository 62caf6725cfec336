"""What builds would do together and share, without doing it: for `bake --explain` and `--graph`."""
