#!/bin/bash -e
PERMISSIONS_OK=0
[ -r "$DS_PATHS_CONFIG" ] || { echo "DS_PATHS_CONFIG='$DS_PATHS_CONFIG' is not readable."; PERMISSIONS_OK=1; }
[ -w "$DS_PATHS_DATA" ] || { echo "DS_PATHS_DATA='$DS_PATHS_DATA' is not writable."; PERMISSIONS_OK=1; }
[ $PERMISSIONS_OK -eq 0 ] || exit 1
exec dashboards "$@"
