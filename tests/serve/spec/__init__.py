"""The clauses of the OCI distribution specification that bind a registry, each as a case that runs against any server.

`make spec-oracle` asks Debian's docker-registry again, and writes what it answered to `docker-registry.json` and the
table to docs/reference/distribution.md; `make docs` writes only the table. `conformance.py` runs the specification's
own tests, if somebody has built them.
"""
