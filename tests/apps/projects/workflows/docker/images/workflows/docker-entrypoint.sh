#!/bin/sh
if [ "$#" -gt 0 ]; then
  exec workflows "$@"
else
  exec workflows
fi
