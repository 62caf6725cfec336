#!/bin/bash
for dir in /opt/certified/server/{conf,logs,tmp}; do
  mkdir -p "$dir" && chmod -R g+rwX "$dir"
done
