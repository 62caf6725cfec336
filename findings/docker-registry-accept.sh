#!/bin/bash
# docker-registry 2.8.2: a tag does not exist for a client that accepts only indexes, if the tag is an OCI manifest.
#
# Guess: GET with `Accept: application/vnd.oci.image.index.v1+json` of an image's tag returns the manifest with its own
# Content-Type, as other registries do, or 406.
# What happens: 404 MANIFEST_UNKNOWN. The reason is in the message only. A client that reads the fallback tag of
# referrers (`sha256-…`) in this way concludes that there is no list, and overwrites the tag.
source "$(dirname "$0")/common/packages.sh"

debian bookworm docker-registry=2.8.2+ds1-1
cat >ask.py <<'PY'
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

OCI = "application/vnd.oci.image."
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    address = "127.0.0.1:%d" % free.getsockname()[1]
storage = {"filesystem": {"rootdirectory": os.path.abspath("storage")}}
with open("config.yml", "w") as file: # JSON is YAML
    json.dump({"version": "0.1", "log": {"level": "error"}, "storage": storage, "http": {"addr": address}}, file, indent=1)
registry = subprocess.Popen([sys.argv[1], "serve", "config.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(path, method="GET", body=None, **headers):
    request = urllib.request.Request(path if path.startswith("http") else f"http://{address}/v2/{path}", body, headers, method=method)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def put_blob(content):
    location = ask("image/blobs/uploads/", "POST")[1]["Location"]
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    ask(f"{location}&digest={digest}", "PUT", content, **{"Content-Type": "application/octet-stream"})
    return {"digest": digest, "size": len(content)}


try:
    for _ in range(100):
        try:
            ask("")
            break
        except urllib.error.URLError:
            time.sleep(0.1)
    config = put_blob(b"{}") | {"mediaType": OCI + "config.v1+json"}
    manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": config, "layers": []}
    print(ask("image/manifests/latest", "PUT", json.dumps(manifest).encode(), **{"Content-Type": OCI + "manifest.v1+json"})[0])
    for accept in (OCI + "manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json", OCI + "index.v1+json"):
        status, headers, body = ask("image/manifests/latest", Accept=accept)
        print(accept.removeprefix("application/vnd."), status, json.loads(body).get("errors", [{}])[0].get("code", "-"))
finally:
    registry.kill()
    registry.wait()
PY
python3 ask.py "$work/debian/usr/bin/docker-registry" >seen.txt
expect "PUT of an OCI manifest, and GET of its tag with three values of Accept" \
  "201;oci.image.manifest.v1+json 200 -;docker.distribution.manifest.v2+json 404 MANIFEST_UNKNOWN;oci.image.index.v1+json 404 MANIFEST_UNKNOWN;" \
  "$(tr '\n' ';' <seen.txt)"
