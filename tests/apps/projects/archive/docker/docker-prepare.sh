#!/usr/bin/env bash
mkdir -p /usr/src/archive/{data,media} && chown archive: /usr/src/archive/{data,media}
