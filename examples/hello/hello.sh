#!/bin/sh
# Prints how it was built, from the files in /app, and the machine that it runs on.
set -eu
cd /app
case "${1:-}" in
  --short) uname -m ;;
  *)
    echo "$(cat greeting)from $(uname -m): built for $(cat platform) by RUN steps on $(cat machine)"
    echo "(greeting $(cat made))"
    ;;
esac
