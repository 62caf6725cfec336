"""The Python API. Its names are those of the package: `from polyarch import Polyarch`."""
