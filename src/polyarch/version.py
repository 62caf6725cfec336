"""The version, as a constant: importlib.metadata would cost every command 39 ms."""

VERSION = "0.1.0"
