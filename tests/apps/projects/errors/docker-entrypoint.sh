#!/bin/bash
set -e
mkdir -p /data && chown errors: /data
exec tini -- gosu errors python3 errors.py
