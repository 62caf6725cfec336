#!/bin/bash
# sigstore 4.5.1 (PyPI): refuses an in-toto statement whose subject has no name, and accepts one whose name is null.
#
# Guess: a statement that cosign and BuildKit's readers take is taken: a subject needs a digest, its name is optional
# (in-toto's ResourceDescriptor), and in JSON it is a string where it is present.
# What happens: no name is "malformed in-toto statement: … Field required"; `"name": null` and `"name": ""` pass. cosign
# writes subjects of images with `digest` alone. A subject with a sha1 or gitCommit beside its sha256 is refused, too,
# although in-toto defines both, so a statement about a commit, or about an image and its commit, cannot be signed.
source "$(dirname "$0")/common/packages.sh"

pypi sigstore==4.5.1
cat >subjects.py <<'PY'
import json

from sigstore.dsse import Statement
from sigstore.errors import Error

SHA256 = {"sha256": "ab" * 32}
ROWS = {
    "name and digest": {"name": "image", "digest": SHA256},
    "no name": {"digest": SHA256},
    "name null": {"name": None, "digest": SHA256},
    "sha256 and gitCommit": {"name": "image", "digest": SHA256 | {"gitCommit": "ab" * 20}},
}
HEAD = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1", "predicate": {}}
for title, subject in ROWS.items():
    try:
        Statement(json.dumps(HEAD | {"subject": [subject]}).encode())
        print(title, "accepted", sep=": ")
    except Error as error:
        print(title, str(error).partition(":")[0], sep=": ")
PY
"$work/python/bin/python" subjects.py >seen.txt
expect "a subject" "name and digest: accepted;no name: malformed in-toto statement;name null: accepted;sha256 and gitCommit: malformed in-toto statement;" \
  "$(tr '\n' ';' <seen.txt)"
