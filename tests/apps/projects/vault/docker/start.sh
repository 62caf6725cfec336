#!/bin/sh
if [ -n "$PORT" ]; then
  /vault > /web-vault/version.txt
  echo > /web-vault/alive
  httpd -f -p "$PORT" -h /web-vault &
  trap 'kill $!; exit 0' TERM
  wait
  exit 1
fi
exec /vault
