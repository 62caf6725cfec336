#!/bin/sh
if [ -n "$PORT" ]; then
  /vault > /web-vault/version.txt
  httpd -f -p "127.0.0.1:$PORT" -h /web-vault &
  trap 'kill $!; exit 0' TERM
  wait
  exit 1
fi
exec /vault
