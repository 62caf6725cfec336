#!/usr/bin/env bash
for command in document_exporter document_importer; do
  printf '#!/bin/sh\nexec gosu archive python3 manage.py %s "$@"\n' $command > /usr/local/bin/$command
  chmod +x /usr/local/bin/$command
done
