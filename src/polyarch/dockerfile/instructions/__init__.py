"""The instructions as values, one file per family. Each family parses and expands its own."""
