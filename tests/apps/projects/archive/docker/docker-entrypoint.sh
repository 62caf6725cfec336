#!/usr/bin/env bash
set -e
usermod -o -u "${USERMAP_UID:-1000}" archive >&2
/sbin/docker-prepare.sh
exec gosu archive "$@"
