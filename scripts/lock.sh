#!/bin/bash
# Writes requirements/*.txt from pyproject.toml: for every platform and Python that Polyarch supports, with the hash of
# every file, and without the address of any index, so that the lock says the same wherever it is made or used.
# Usage: scripts/lock.sh [--upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet uv
# What this machine prefers (mirrors, local wheels, caps) must not leak into the lock.
unset PIP_FIND_LINKS UV_FIND_LINKS UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE_NEWER

compile() { # compile FILE WHAT…: one lock file
  local file=$1
  shift
  "$tools/bin/uv" --quiet --no-config pip compile "$@" --universal --python-version 3.11 \
    --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --no-annotate --output-file "$file"
}

compile requirements/dev.txt pyproject.toml --group dev "$@"
# The others are parts of it, at the same versions: `make demo` and `make test` share one virtual environment.
# What `make demo` installs reads compose files and serves a registry, too.
compile requirements/runtime.txt pyproject.toml --extra compose --extra serve --constraints requirements/dev.txt
compile requirements/build.txt --group build --constraints requirements/dev.txt

if grep -nE '://|file:|@ ' requirements/*.txt; then
  echo "lock: the lines above name a place; a lock names only versions and hashes" >&2
  exit 1
fi
