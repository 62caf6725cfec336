#!/bin/sh
# Says what it is, from what the build left in /app and what the running machine says.
set -eu
cd /app
case "${1:-}" in
  --short) uname -m ;;
  *)
    echo "$(cat greeting)from $(uname -m): built for $(cat platform) by RUN steps on $(cat machine)"
    echo "(greeting $(cat made))"
    ;;
esac
