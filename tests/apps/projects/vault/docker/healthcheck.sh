#!/bin/sh
exec wget -q -O - "http://127.0.0.1:${VAULT_PORT}/alive"
