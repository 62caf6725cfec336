#!/bin/bash
set -e
umask 002
exec "$@"
