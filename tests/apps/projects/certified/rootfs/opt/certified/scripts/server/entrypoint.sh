#!/bin/bash
. /opt/certified/scripts/liblog.sh
info "$(id -u):$(id -g) $(pwd) $(head -n1 /opt/certified/server/.manifest)"
exec "$@"
