#!/bin/sh
# Says what it is, from what the build left in /app and what the running machine says.
set -eu
cd /app
case "${1:-}" in
  --short) uname -m ;;
  *)
    echo "$(cat greeting)from $(uname -m): built for $(cat platform), on a $(cat machine) processor"
    echo "(greeting $(cat made))"
    ;;
esac
